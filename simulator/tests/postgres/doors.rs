//! Access over the PostgreSQL protocol: authentication, suspension, malformed start-ups.

use cratedb_cloud_simulator::{ClusterOptions, Options, Pace, Simulator};
use pgwire::messages::PgWireFrontendMessage as Said;
use pgwire::messages::simplequery::Query;
use serde_json::{Value, json};

use super::client::Client;

fn simulator(auth: &str) -> (Simulator, String) {
    let cluster = ClusterOptions::running("ci").with("auth", auth).unwrap();
    let cluster = cluster.with("username", "ada").unwrap().with("password", "p%w").unwrap();
    let simulator = Simulator::start_blocking(Options::default().cluster(cluster)).unwrap();
    let address = format!("127.0.0.1:{}", simulator.cloud().cluster("ci").psql_port.unwrap());
    (simulator, address)
}

fn last(heard: &[Value]) -> &Value {
    heard.last().unwrap_or(&Value::Null)
}

#[test]
fn a_password_is_asked_for_and_checked() {
    let (_simulator, address) = simulator("on");
    let greet = |user, password| Client::connect(&address).greet(&[("user", user), ("database", "s")], Some(password));
    let heard = greet("ada", "p%w");
    assert_eq!(heard[..2], [json!(["R", 3]), json!(["R", 0])]);
    for told in [json!(["S", "crate_version", "6.4.3"]), json!(["S", "server_version", "14.0"]), json!(["Z", "I"])] {
        assert!(heard.contains(&told), "{heard:?}");
    }
    for (user, password) in [("ada", "wrong"), ("crate", "p%w"), ("eve", "p%w")] {
        let expected = format!("password authentication failed for user \"{user}\"");
        assert_eq!(*last(&greet(user, password)), json!(["E", "FATAL", "28000", expected]));
    }
}

#[test]
fn users_made_by_statements_come_in_with_their_passwords_until_they_are_dropped() {
    let (_simulator, address) = simulator("on");
    let greet = |user, password| Client::connect(&address).greet(&[("user", user)], Some(password));
    let mut admin = Client::connect(&address);
    admin.greet(&[("user", "ada")], Some("p%w"));
    let mut execute = |stmt: &str| {
        let heard = admin.say(&[Said::Query(Query::new(stmt.to_owned()))], 1);
        assert_eq!(heard[0][0], "C", "{stmt}: {heard:?}");
    };
    execute("CREATE USER guest WITH (password = 'first')");
    assert_eq!(*last(&greet("guest", "first")), json!(["Z", "I"]));
    let refused = json!(["E", "FATAL", "28000", "password authentication failed for user \"guest\""]);
    assert_eq!(*last(&greet("guest", "second")), refused);
    execute("ALTER USER guest SET (password = 'second')");
    assert_eq!(*last(&greet("guest", "second")), json!(["Z", "I"]));
    assert_eq!(*last(&greet("guest", "first")), refused);
    execute("ALTER USER guest SET (password = NULL)");
    assert_eq!(*last(&greet("guest", "second")), refused);
    execute("ALTER USER guest SET (password = 'third')");
    execute("DROP USER guest");
    assert_eq!(*last(&greet("guest", "third")), refused);
}

#[test]
fn without_authentication_who_is_there_is_believed() {
    let (_simulator, address) = simulator("off");
    let greet = |user| Client::connect(&address).greet(&[("user", user)], None);
    assert_eq!(*last(&greet("crate")), json!(["Z", "I"]));
    assert_eq!(*last(&greet("ada")), json!(["Z", "I"]));
    let expected = "trust authentication failed for user \"eve\"";
    assert_eq!(*last(&greet("eve")), json!(["E", "FATAL", "28000", expected]));
}

#[test]
fn connections_end_with_a_suspension_and_none_begins_before_the_resume() {
    let (simulator, address) = simulator("off");
    let mut open = Client::connect(&address);
    open.greet(&[("user", "crate")], None);
    simulator.cloud().foreign_suspend("ci", Pace::Auto(std::time::Duration::ZERO));
    simulator.cloud().settle();
    assert!(open.hear().is_none());
    assert!(Client::connect(&address).greet(&[("user", "crate")], None).is_empty());
}

#[test]
fn what_is_no_startup_is_told_so() {
    let (_simulator, address) = simulator("off");
    let mut client = Client::connect(&address);
    // SSLRequest: no; then a greeting in clear.
    client.send_bytes(&[0, 0, 0, 8, 4, 210, 22, 47]);
    assert_eq!(client.read_bytes(1), b"N");
    assert_eq!(*last(&client.greet(&[("user", "crate")], None)), json!(["Z", "I"]));

    for packet in [&[0, 0, 0, 8, 0, 2, 0, 0][..], &[0, 0, 0, 3, 0, 0, 0, 0], &[127, 0, 0, 0, 0, 3, 0, 0]] {
        let mut client = Client::connect(&address);
        client.send_bytes(packet);
        let heard = client.hear().map(|answer| client.shown(answer)).unwrap();
        assert_eq!((&heard[0], &heard[1]), (&json!("E"), &json!("FATAL")), "{heard}");
        assert!(client.hear().is_none(), "the connection goes on");
    }
    // CancelRequest: the connection ends without a word.
    let mut client = Client::connect(&address);
    client.send_bytes(&[0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 1]);
    assert!(client.hear().is_none());
}

#[test]
fn garbage_ends_its_connection_only() {
    let (_simulator, address) = simulator("off");
    for garbage in [&b"B\0\0\0\x06\0\0"[..], b"Q\xff\xff\xff\xff", b"P\0\0\0\x04"] {
        let mut client = Client::connect(&address);
        client.greet(&[("user", "crate")], None);
        client.send_bytes(garbage);
        let heard = client.hear().map(|answer| client.shown(answer)).unwrap();
        assert_eq!((&heard[0], &heard[1]), (&json!("E"), &json!("FATAL")), "{heard}");
        assert!(client.hear().is_none());
    }
    // An unknown letter is answered, and the connection goes on.
    let mut client = Client::connect(&address);
    client.greet(&[("user", "crate")], None);
    client.send_bytes(b"F\0\0\0\x04S\0\0\0\x04");
    assert_eq!(client.say(&[], 1)[0][0], "E");
}
