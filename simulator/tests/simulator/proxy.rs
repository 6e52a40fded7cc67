//! A gateway in front of a real server: the requests and connections to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cratedb_cloud_simulator::{ClusterOptions, EngineKind, Options};
use serde_json::json;

use super::support::{Connection, api, path, start};

/// A server that answers every request with the number of its connection and the request.
fn echo() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
            std::thread::spawn(move || while answer(&stream, number).is_some() {});
        }
    });
    (address, count)
}

fn answer(stream: &TcpStream, number: usize) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| lines.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let told = json!({
        "connection": number,
        "target": lines[0],
        "authorization": header("authorization"),
        "schema": header("default-schema"),
        "body": String::from_utf8(body).unwrap(),
    });
    let told = told.to_string();
    let mut stream = stream;
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{told}", told.len())
        .ok()
}

fn options(address: &str) -> Options {
    let cluster = ClusterOptions::running("ci").with("id", "e1e38d92-0000-4000-8000-000000000001").unwrap();
    Options { engine: EngineKind::Real(address.into()), ..Options::default() }.cluster(cluster)
}

#[test]
fn every_client_connection_has_an_upstream_connection_of_its_own() {
    let (address, count) = echo();
    let simulator = start(options(&address));
    let url = simulator.cloud().cluster("ci").url;
    let (mut one, mut two) = (Connection::open(&url), Connection::open(&url));
    let number = |connection: &mut Connection| connection.sql("SELECT 1").expect(200)["connection"].as_u64().unwrap();
    assert_eq!([number(&mut one), number(&mut two), number(&mut one), number(&mut two)], [1, 2, 1, 2]);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn credentials_headers_query_and_body_are_passed_on_as_they_came() {
    let (address, _) = echo();
    let simulator = start(options(&address));
    let url = simulator.cloud().cluster("ci").url;
    let told = Connection::open(&url).bearer("opaque").with("default-schema", "s").sql("SELECT 1").expect(200);
    assert_eq!((&told["authorization"], &told["schema"]), (&json!("Bearer opaque"), &json!("s")));
    assert_eq!(
        (&told["target"], &told["body"]),
        (&json!("POST /_sql?types HTTP/1.1"), &json!("{\"stmt\":\"SELECT 1\"}"))
    );
}

#[test]
fn revoked_tokens_do_not_reach_the_server() {
    let (address, _) = echo();
    let simulator = start(options(&address));
    let cluster = simulator.cloud().cluster("ci");
    let token = api(&simulator).get(&path(&cluster.id, "jwt/")).expect(200)["token"].as_str().unwrap().to_owned();
    Connection::open(&cluster.url).bearer(&token).sql("SELECT 1").expect(200);
    simulator.cloud().revoke_tokens();
    assert_eq!(Connection::open(&cluster.url).bearer(&token).sql("SELECT 1").status, 401);
}

#[test]
fn a_suspended_cluster_does_not_reach_the_server_and_neither_does_a_missing_one() {
    let (address, count) = echo();
    let simulator = start(options(&address));
    let cluster = simulator.cloud().cluster("ci");
    api(&simulator).put(&path(&cluster.id, "suspend/"), &json!({ "suspended": true })).expect(200);
    assert_eq!(Connection::open(&cluster.url).sql("SELECT 1").status, 503);
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let nobody = start(options("127.0.0.1:1"));
    assert_eq!(Connection::open(&nobody.cloud().cluster("ci").url).sql("SELECT 1").status, 503);
}
