//! The program's `serve`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::support::{Connection, eventually};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cratedb-cloud-simulator"))
}

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// Waits for a child's end, with a deadline.
pub(crate) fn ended(child: &mut Child) -> std::process::ExitStatus {
    eventually("the program ends", || child.try_wait().unwrap())
}

#[test]
fn says_where_it_listens_first_and_ends_cleanly_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut child = program()
            .args(["serve", "--cluster", "name=ci,state=suspended", "--api-key", "k", "--api-secret", "s3cret"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let url = first.trim().strip_prefix("listening on ").unwrap();
        let clusters = Connection::open(url).basic("k", "s3cret").get("/api/v2/clusters/").expect(200);
        assert_eq!((clusters[0]["name"].as_str(), clusters[0]["suspended"].as_bool()), (Some("ci"), Some(true)));
        assert_eq!(Connection::open(url).basic("k", "other").get("/api/v2/clusters/").status, 401);
        kill_process(pid(&child), signal).unwrap();
        assert!(ended(&mut child).success());
    }
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = program().args(["serve", "--listen", &address]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.starts_with(&format!("error: cannot listen on {address}: ")), "{told}");
}

#[test]
fn an_option_that_cannot_be_read_is_named_with_what_is_accepted() {
    let output = program().args(["serve", "--cluster", "name=ci,product=huge"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains("--cluster") && told.contains("product=`huge`") && told.contains("crfree, s2"), "{told}");
}

/// A program that serves, killed when a test ends early.
struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let mut child = program().arg("serve").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let url = first.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, url }
    }

    fn api(&self) -> Connection {
        Connection::open(&self.url).basic("k", "secret")
    }

    fn end(mut self, signal: Signal) {
        kill_process(pid(&self.child), signal).unwrap();
        ended(&mut self.child);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn faults_organizations_and_projects_come_from_the_command_line() {
    let served = Served::start(&[
        "--organization",
        "A",
        "--organization",
        "B",
        "--project",
        "B/blue",
        "--cluster",
        "name=ci,organization=B,project=blue",
        "--fault",
        "method=GET,path=/users/me,status=503",
        "--fault",
        "cluster=ci,fail=no room, sorry",
        "--operation-time",
        "explicit",
    ]);
    let mut api = served.api();
    assert_eq!([api.get("/api/v2/users/me/").status, api.get("/api/v2/users/me/").status], [503, 200]);
    let names: Vec<_> = api
        .get("/api/v2/organizations/")
        .expect(200)
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["A", "B"]);
    let id = api.get("/api/v2/clusters/").expect(200)[0]["id"].as_str().unwrap().to_owned();
    let suspend = format!("/api/v2/clusters/{id}/suspend/");
    let shown = api.put(&suspend, &serde_json::json!({ "suspended": true })).expect(200);
    assert_eq!(shown["last_async_operation"]["status"], "REGISTERED");
    Connection::open(&served.url).post("/_simulator/settle/", &serde_json::json!({})).expect(200);
    let operations = api.get(&format!("/api/v2/clusters/{id}/operations/?limit=1")).expect(200);
    assert_eq!(operations["operations"][0]["feedback_data"]["message"], "no room, sorry");
}

#[test]
fn what_a_fault_or_a_cluster_needs_and_is_not_there_is_an_error() {
    for (arguments, part) in [
        (["--fault", "cluster=ci,freeze_health"], "there is no cluster `ci`"),
        (["--cluster", "name=ci,organization=Z"], "there is no organization `Z`"),
        (["--project", "Z/p"], "there is no organization `Z`"),
    ] {
        let output = program().arg("serve").args(arguments).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && told.contains(part), "{told}");
    }
    for (arguments, part) in [
        (["--fault", "cluster=ci,explode"], "unknown fault `explode`"),
        (["--project", "p"], "accepted: the name of an organization, a slash"),
        (["--rotate-sessions", "0"], "--rotate-sessions"),
        (["--operation-time", "later"], "or explicit"),
    ] {
        let output = program().arg("serve").args(arguments).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && told.contains(part), "{told}");
    }
}

#[test]
fn a_state_survives_the_end_of_the_program_and_its_death() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.json");
    let arguments = ["--state", file.to_str().unwrap(), "--cluster", "name=ci"];
    let first = Served::start(&arguments);
    let cluster = |served: &Served| served.api().get("/api/v2/clusters/").expect(200)[0].clone();
    let sql = |served: &Served, stmt: &str| {
        // Another process may have taken its port meanwhile.
        let url = cluster(served)["url"].as_str().unwrap().to_owned();
        Connection::open(&url).basic("admin", "simulated-password-of-32-letters").sql(stmt)
    };
    let before = cluster(&first);
    sql(&first, "CREATE TABLE at_first (a INTEGER)").expect(200);
    // It is written at the end of the process at the latest.
    first.end(Signal::TERM);
    let second = Served::start(&arguments);
    sql(&second, "CREATE TABLE at_second (a INTEGER)").expect(200);
    eventually("it is written", || std::fs::read_to_string(&file).unwrap().contains("at_second").then_some(()));
    second.end(Signal::KILL);
    let third = Served::start(&arguments);
    assert_eq!(cluster(&third)["id"], before["id"]);
    for table in ["at_first", "at_second"] {
        sql(&third, &format!("SELECT * FROM {table}")).expect(200);
    }
    third.end(Signal::TERM);
}
