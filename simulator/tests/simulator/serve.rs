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
