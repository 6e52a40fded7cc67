//! The Python client `crate` and the shell `crash` against the engine and against gateways.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::support::cloud::{Cloud, PASSWORD, USER, text};
use super::support::program::{Home, Ran};
use super::support::python;

/// The stand-in for `bin/crate`: the embedded engine without authentication.
struct Engine {
    child: Child,
    url: String,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Engine {
    #[track_caller]
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cratedb-cloud-simulator"));
        command.args(["crate", "-Chttp.port=0", "-Cnetwork.host=127.0.0.1", "-Ccluster.name=mine", "-Cnode.name=n1"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines
            .map_while(Result::ok)
            .find(|line| line.contains("HttpServerTransport] [") && line.contains("publish_address {"))
            .unwrap();
        let address = said.split(['{', '}']).nth(1).unwrap();
        Self { child, url: format!("http://{address}") }
    }
}

/// A session that has the same results in the engine and in any CrateDB, except for the user.
#[track_caller]
fn check(ran: Ran, user: &str) {
    let found = ran.exits(0).json();
    let expect = |step: &str, value: Value| assert_eq!(found[step], value, "{step}");
    let fails = |step: &str, kind: &str, start: &str| {
        assert_eq!(found[step][0], kind, "{step}: {found}");
        assert!(text(&found[step][1]).starts_with(start), "{step}: {found}");
    };
    expect("lowest server version", json!("6.4.3"));
    expect("user", json!([[user, "contract"]]));
    fails("create again", "ProgrammingError", "RelationAlreadyExists[Relation 'contract.readings' already exists.]");
    expect("insert", json!(1));
    fails("duplicate", "IntegrityError", "DuplicateKeyException[");
    expect("bulk", json!([201, [1, -2]]));
    expect("bulk of names", json!([1, 1]));
    expect("count", json!([[203]]));
    let row =
        json!([1, 1_767_607_200_250_i64, { "city": "Dornbirn", "floor": 2 }, ["a", "ü"], 21.5, true, 1_i64 << 62]);
    expect("row", json!([row]));
    expect("columns", json!(["id", "at", "place", "tags", "value", "ok", "big"]));
    expect("inside", json!([["Dornbirn", "ü", 43.0, true]]));
    expect("by name", json!([[1], [300]]));
    expect("nulls", json!([[null, null, null, null]]));
    expect("update", json!(10));
    expect("delete", json!(1));
    expect("one by one", json!([[1], [[2]], [[3]], null]));
    expect("converted", json!("2026-01-05 10:00:00.250000+00:00"));
    fails("unknown relation", "ProgrammingError", "RelationUnknown[Relation 'nobody' unknown]");
    fails("unknown column", "ProgrammingError", "ColumnUnknownException[Column nobody unknown]");
    fails("syntax", "ProgrammingError", "");
    fails("wrong type", "ProgrammingError", "SQLParseException[Cannot cast `'x'` of type `text` to type `integer`]");
    fails("refused", "ProgrammingError", "UnsupportedFeatureException[");
    fails("dropped", "ProgrammingError", "RelationUnknown[Relation 'readings' unknown]");
}

#[test]
fn the_client_with_the_engine() {
    let Some(environment) = python::clients() else { return };
    let engine = Engine::start();
    check(Home::empty(environment).run_script("session.py", &[&engine.url]), "crate");
}

#[test]
fn the_client_with_a_gateway_by_password() {
    let Some(environment) = python::clients() else { return };
    let cloud = Cloud::serve(&["--cluster", "name=ci"]);
    let home = Home::empty(environment).with("CONTRACT_SECRET", PASSWORD);
    check(home.run_script("session.py", &[cloud.id("ci.url"), "basic", USER]), USER);
    let asked = cloud.asked();
    assert!(asked.len() == 25 && asked.iter().all(|line| line.starts_with("SQL ")), "{asked:?}");
}

#[test]
fn the_client_with_a_gateway_by_token() {
    let Some(environment) = python::clients() else { return };
    let cloud = Cloud::serve(&["--cluster", "name=ci"]);
    let token = text(&cloud.get(&format!("/api/v2/clusters/{}/jwt/", cloud.id("ci")))["token"]);
    let home = Home::empty(environment).with("CONTRACT_SECRET", &token);
    check(home.run_script("session.py", &[cloud.id("ci.url"), "bearer"]), USER);
}

#[test]
fn the_client_with_a_wrong_password_and_with_a_suspended_cluster() {
    let Some(environment) = python::clients() else { return };
    let cloud = Cloud::serve(&["--cluster", "name=ci", "--cluster", "name=off,state=suspended"]);
    let home = Home::empty(environment).with("CONTRACT_SECRET", "wrong-password");
    let refused = home.run_script("session.py", &[cloud.id("ci.url"), "basic", USER]).exits(1);
    refused.says("ProgrammingError").says("401 Client Error: Unauthorized");
    let home = Home::empty(environment).with("CONTRACT_SECRET", PASSWORD);
    let closed = home.run_script("session.py", &[cloud.id("off.url"), "basic", USER]).exits(1);
    closed.says("ConnectionError").says("503 Server Error: Service Unavailable");
}

fn crash(home: &Home, url: &str, arguments: &[&str]) -> Ran {
    home.run("crash", &[&["--hosts", url], arguments].concat())
}

#[test]
fn the_shell_with_the_engine() {
    let Some(environment) = python::clients() else { return };
    let (engine, home) = (Engine::start(), Home::empty(environment));
    let run = |arguments: &[&str]| crash(&home, &engine.url, arguments);
    let session = "CREATE TABLE t (id INT PRIMARY KEY, o OBJECT AS (a INT), l ARRAY(TEXT)); \
                   INSERT INTO t VALUES (1, {a = 1}, ['x', 'y']), (2, NULL, NULL); REFRESH TABLE t; SELECT * FROM t ORDER BY id";
    let ran = run(&["--format", "json", "--command", session]).exits(0);
    assert_eq!(ran.json(), json!([{ "id": 1, "o": { "a": 1 }, "l": ["x", "y"] }, { "id": 2, "o": null, "l": null }]));
    let ran = ["CONNECT OK", "CREATE OK, 1 row affected", "INSERT OK, 2 rows affected", "SELECT 2 rows in set"]
        .into_iter()
        .fold(ran, Ran::says);
    drop(ran);
    run(&["--command", "SELECT name FROM sys.cluster"]).exits(0).prints("| mine |");
    run(&["--schema", "other", "--command", "SELECT current_schema"]).exits(0).prints("| other ");
    run(&["--format", "csv", "--command", "SELECT id FROM t ORDER BY id"]).exits(0).prints("id\r\n1\r\n2");
    run(&["--command", "SELECT * FROM nobody"]).exits(1).says("RelationUnknown[Relation 'nobody' unknown]");
}

#[test]
fn the_shells_own_commands() {
    let Some(environment) = python::clients() else { return };
    let (engine, home) = (Engine::start(), Home::empty(environment));
    crash(&home, &engine.url, &["--command", "CREATE TABLE t (id INT)"]).exits(0);
    crash(&home, &engine.url, &["--command", "\\dt"]).exits(0).prints("| doc    | t    | BASE TABLE |");
    let other = Engine::start();
    // Typed into the shell: it goes on after a command that the engine refuses.
    let lines = format!(
        "\\sysinfo\n\\connect {}\nSELECT count(*) FROM information_schema.tables WHERE table_name = 't';\n",
        other.url
    );
    let ran = home.run_with_input("crash", &["--hosts", &engine.url], &lines);
    let ran = ran.prints(&other.url).prints("| TRUE      | OK").prints("|     0 |");
    // Statements that need statistics of nodes or their checks are refused, with a message.
    let refusals = ran.stderr.lines().filter(|line| line.starts_with("UnsupportedFeatureException[")).count();
    assert!(refusals >= 2, "{ran}");
    let text = ran.stderr.replace("not supported by the embedded engine", "");
    assert!(!text.contains("Exception: ") && !text.contains("Traceback"), "{ran}");
}

#[test]
fn the_shell_with_a_gateway() {
    let Some(environment) = python::clients() else { return };
    let cloud = Cloud::serve(&["--cluster", "name=ci", "--cluster", "name=off,state=suspended"]);
    let home = Home::empty(environment).with("CRATEPW", PASSWORD);
    let url = cloud.id("ci.url");
    crash(&home, url, &["-U", USER, "--command", "SELECT current_user"]).exits(0).prints("| admin ");
    assert_eq!(
        cloud.asked(),
        ["SQL /", "SQL SELECT current_user, current_schema, name FROM sys.cluster", "SQL /", "SQL SELECT current_user"]
    );
    crash(&home, url, &["-U", "nobody", "--command", "SELECT 1"]).exits(1).says("401 Client Error: Unauthorized");
    let off = crash(&home, cloud.id("off.url"), &["-U", USER, "--command", "SELECT 1"]).exits(1);
    off.says("503 Server Error: Service Unavailable");
}
