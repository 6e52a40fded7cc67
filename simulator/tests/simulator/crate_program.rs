//! The stand-in for `bin/crate`.

use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Signal, kill_process};
use serde_json::json;

use super::serve::{ended, pid};
use super::support::Connection;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cratedb-cloud-simulator");

pub(crate) struct Node {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
    /// The address of the PostgreSQL protocol.
    psql: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it and reads its log until it has started. Returns its URL, too.
pub(crate) fn started(mut command: Command) -> (Node, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut node = Node { child, log, psql: String::new() };
    let mut url = String::new();
    loop {
        let line = node.log.next().unwrap().unwrap();
        // In the order of CrateDB's log: PostgreSQL first.
        if line.contains("][INFO ][psql                     ] [n1] publish_address {") {
            assert!(url.is_empty(), "after the HTTP address: {line}");
            let address = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).unwrap().0.to_owned();
            std::net::TcpStream::connect(&address).unwrap_or_else(|error| panic!("{address}: {error}"));
            node.psql = address;
        } else if line.contains("][INFO ][o.e.t.TransportService   ] [n1] publish_address {") {
            assert!(!url.is_empty(), "before the HTTP address: {line}");
        } else if let Some((_, rest)) = line.split_once("publish_address {") {
            assert!(line.contains("][INFO ][o.e.h.n.Netty4HttpServerTransport] [n1] publish_address {"), "{line}");
            url = format!("http://{}", rest.split_once('}').unwrap().0);
        }
        if line.ends_with("started") {
            assert!(line.contains("][INFO ][o.e.n.Node               ] [n1] started"), "{line}");
            return (node, url);
        }
    }
}

#[test]
fn serves_without_authentication_and_ends_at_once_when_told() {
    let mut command = Command::new(PROGRAM);
    command.args([
        "crate",
        "-Chttp.port=0",
        "-C",
        "node.name=n1",
        "-Cnetwork.host=_local_",
        "-Cdiscovery.type=single-node",
    ]);
    command.args(["-Ccluster.name=mine", "-Cpsql.port=0", "-Cauth.host_based.enabled=false"]);
    let (mut node, url) = started(command);
    let root = Connection::open(&url).get("/").expect(200);
    assert_eq!((&root["version"]["number"], &root["cluster_name"]), (&json!("6.4.3"), &json!("mine")));
    let user = Connection::open(&url).sql("SELECT current_user").expect(200);
    assert_eq!(user["rows"], json!([["crate"]]));
    assert_eq!(Connection::open(&url).bearer("a.b.c").sql("SELECT 1").status, 401, "as CrateDB without authentication");
    let port = Connection::open(&url).sql("SELECT port['psql'] FROM sys.nodes").expect(200);
    assert_eq!(node.psql, format!("127.0.0.1:{}", port["rows"][0][0]));
    kill_process(pid(&node.child), Signal::TERM).unwrap();
    assert!(ended(&mut node.child).success());
    assert!(node.log.by_ref().map_while(Result::ok).last().unwrap().ends_with("closed"));
}

#[test]
fn its_name_is_enough() {
    let mut command = Command::new(PROGRAM);
    command.arg0("/docker-entrypoint.sh").args([
        "crate",
        "-Chttp.port=0",
        "-Cnode.name=n1",
        "-Cnetwork.host=127.0.0.1",
    ]);
    let (_node, url) = started(command);
    Connection::open(&url).sql("SELECT 1").expect(200);
}

#[test]
fn the_version_is_told() {
    let output = Command::new(PROGRAM).args(["crate", "-v"]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("Version: 6.4.3, Build: "));
}

#[test]
fn an_unknown_setting_ends_the_start() {
    let output = Command::new(PROGRAM).args(["crate", "-Clicense.enterprise=false"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("unknown setting [license.enterprise]"));
}
