//! Many processes that all want one cluster at once, before there is a keeper.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cratedb_cloud_simulator::Options;

use crate::project::{Left, Meet, holds_within, left, process, program};
use crate::support::cloud::{TestCloud, suspendable};
use crate::support::processes;

/// The time in which all are to be served.
const LIMIT: Duration = Duration::from_secs(280);

/// Starts processes that stay until all of them were served, and compares what that took.
fn storm(processes: usize) {
    let options = Options::default().cluster(suspendable()).operation_time(Duration::from_millis(50));
    let (cloud, meet, logs) = (TestCloud::with(options), Meet::new(), tempfile::tempdir().unwrap());
    let program = program("one");
    let log = |number: usize| logs.path().join(number.to_string());
    let mut commands: Vec<Command> =
        (0..processes).map(|number| process(&program, "served", &cloud, &meet, &log(number))).collect();
    let began = Instant::now();
    let mut children: Vec<Child> = commands.iter_mut().map(|command| command.spawn().unwrap()).collect();
    let started = began.elapsed();
    let mut died = 0;
    holds_within(LIMIT, || {
        died = children.iter_mut().filter_map(|child| child.try_wait().unwrap()).count();
        std::thread::park_timeout(Duration::from_millis(50));
        meet.served() + died >= processes
    });
    let (served, took) = (meet.served(), began.elapsed());
    meet.order("on");
    let failed: Vec<usize> = children
        .iter_mut()
        .enumerate()
        .filter_map(|(number, child)| (!child.wait().unwrap().success()).then_some(number))
        .collect();
    let left = left(&cloud);
    let ((resumes, suspends), keepers) = (cloud.counts(), cloud.log().matches("a keeper was born").count());
    println!(
        "storm of {processes}: {served} served, {} failed, {keepers} keeper, {resumes} resume, {suspends} suspension, \
         {left:?}; started in {started:.1?}, served in {took:.1?}",
        failed.len(),
    );
    for number in failed.iter().take(3) {
        println!("a process that failed said:\n{}", std::fs::read_to_string(log(*number)).unwrap());
    }
    assert!(processes::keepers(cloud.path()).is_empty());
    let expected = (processes, 0, 1, (1, 1), Left::Suspended);
    assert_eq!((served, failed.len(), keepers, (resumes, suspends), left), expected);
}

#[test]
fn thirty_two_processes_on_a_cold_key() {
    storm(32);
}

#[test]
#[ignore = "the long form: 256 and 1,000 processes, five times each"]
fn a_thousand_processes_on_a_cold_key() {
    for _ in 0..5 {
        storm(256);
        storm(1_000);
    }
}
