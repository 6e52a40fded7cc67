//! A service that fails, at each kind of request, before the cluster is there and at the end of a run.

use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::Duration;

use cratedb_cloud_simulator::{Fault, Options, Request};

use crate::matrix::now;
use crate::project::{Left, Meet, holds_within, left_within, process, program};
use crate::support::cloud::{CLUSTER, TestCloud, suspendable};
use crate::support::processes;

/// The kinds of requests: a name, the method, and what the path contains.
const REQUESTS: [(&str, &str, &str); 5] = [
    ("GET cluster", "GET", "/clusters/"),
    ("GET operations", "GET", "/operations/"),
    ("GET token", "GET", "/jwt/"),
    ("PUT suspend", "PUT", "/suspend/"),
    ("POST SQL", "POST", "/_sql"),
];

const TROUBLES: [&str; 8] = ["500", "502", "503", "404", "429", "reset", "2 s late", "no answer"];

/// What the keeper's log says where something is owed.
const SAYS: [&str; 3] = ["the work can't go on for now", "outcome=\"owed\"", "maybe_up=true"];

/// How often a fault hits. The last one is taken away after the run, as an outage ends.
const LASTING: [(&str, u32); 3] = [("once", 1), ("three times", 3), ("until lifted", u32::MAX)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// From before the first request on.
    Start,
    /// From the middle of the test on.
    End,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    phase: Phase,
    request: (&'static str, &'static str, &'static str),
    trouble: &'static str,
    lasting: (&'static str, u32),
}

impl Cell {
    fn fault(&self) -> Fault {
        let (_, method, path) = self.request;
        let fault = Fault::on(method, path);
        let fault = match self.trouble {
            "reset" => fault.drop_connection(),
            "2 s late" => fault.delay(Duration::from_secs(2)),
            "no answer" => fault.hang(),
            "429" => fault.status(429).retry_after(1),
            status => fault.status(status.parse().unwrap()),
        };
        fault.times(self.lasting.1)
    }
}

/// The end of a run with a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NeverResumed,
    Suspended,
    /// The keeper could not suspend it, said so, and did when the service answered again.
    OwedSaidAndPaid,
    /// The same without a word in the log.
    OwedInSilence,
    Left,
}

struct Seen {
    passed: bool,
    end: End,
    /// Seconds from the end of the test process until the service took the request to suspend.
    after: Option<f64>,
}

/// Waits for the run's end, but not for ever. A run that takes longer is killed.
fn ends(child: &mut Child, limit: Duration) -> Option<bool> {
    let mut status = None;
    holds_within(limit, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    status.map(|status| status.success())
}

fn examine(cell: Cell, program: &std::path::Path) -> Seen {
    let (cloud, meet) = (TestCloud::with(Options::default().cluster(suspendable())), Meet::new());
    let log = meet.path().join("log");
    let mut command: Command = process(program, "session", &cloud, &meet, &log);
    command.env("CRATEDB_TEST_START_TIMEOUT", "8s");
    if cell.phase == Phase::Start {
        cloud.simulator.cloud().fault(cell.fault());
        meet.order("on");
    } else {
        command.env("RELIABILITY_PHASE", "running");
    }
    let mut child = command.spawn().unwrap();
    if cell.phase == Phase::End {
        assert!(holds_within(Duration::from_secs(60), || meet.here().exists()), "{cell:?}: no test runs");
        cloud.simulator.cloud().fault(cell.fault());
        meet.order("on");
    }
    let passed = ends(&mut child, Duration::from_secs(120));
    let (over, end) = (now(), end(&cloud, cell));
    let seen = Seen { passed: passed == Some(true), end, after: taken(&cloud).map(|at| (at - over).max(0.0) / 1000.0) };
    if passed.is_none() || matches!(seen.end, End::Left | End::OwedInSilence) {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        println!("{cell:?}: passed {passed:?}, {:?}, counts {:?}\n{said}\n{}", seen.end, cloud.counts(), cloud.log());
    }
    seen
}

/// The time at which the service took the last request to suspend.
fn taken(cloud: &TestCloud) -> Option<f64> {
    let requests = cloud.simulator.requests();
    let suspends = requests.iter().filter(|request| request.is_suspend() && (200..300).contains(&request.status));
    suspends.map(|request| request.at_ms).next_back()
}

fn end(cloud: &TestCloud, cell: Cell) -> End {
    let took = |request: &Request| request.is_resume() && (200..300).contains(&request.status);
    let resumed = || cloud.simulator.requests().iter().any(took);
    let ended = |left: Left| match left {
        Left::Suspended if resumed() => End::Suspended,
        Left::Suspended => End::NeverResumed,
        _ => End::Left,
    };
    if cell.lasting.1 < u32::MAX {
        return ended(left_within(Duration::from_secs(150), cloud));
    }
    // Long enough for the retries within one call.
    let first = left_within(Duration::from_secs(if cell.trouble == "no answer" { 40 } else { 10 }), cloud);
    let is_down = !cloud.simulator.cloud().cluster(CLUSTER).running;
    let said = SAYS.iter().any(|words| cloud.log().contains(words));
    cloud.simulator.cloud().clear_faults();
    if first != Left::Held {
        return ended(first);
    }
    match left_within(Duration::from_secs(150), cloud) {
        Left::Suspended if !resumed() => End::NeverResumed,
        // The keeper only waited to hear it.
        Left::Suspended if is_down => End::Suspended,
        Left::Suspended if said => End::OwedSaidAndPaid,
        Left::Suspended => End::OwedInSilence,
        _ => End::Left,
    }
}

fn examine_all(cells: Vec<Cell>, workers: usize) {
    let (program, work) = (program("one"), Mutex::new(cells.into_iter()));
    let seen: Mutex<Vec<(Cell, Seen)>> = Mutex::default();
    let worker = || {
        while let Some(cell) = { work.lock().unwrap().next() } {
            let result = examine(cell, &program);
            seen.lock().unwrap().push((cell, result));
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    show(&seen.into_inner().unwrap());
}

/// Prints the ends by phase and request, and fails if a cluster was left.
fn show(seen: &[(Cell, Seen)]) {
    let ends = [End::NeverResumed, End::Suspended, End::OwedSaidAndPaid, End::OwedInSilence, End::Left];
    println!(
        "| phase, request | runs | passed | {} | last suspension after, s |",
        ends.map(|end| format!("{end:?}")).join(" | ")
    );
    for phase in [Phase::Start, Phase::End] {
        for request in REQUESTS {
            let of = |cell: &Cell| cell.phase == phase && cell.request == request;
            let here: Vec<&Seen> = seen.iter().filter(|(cell, _)| of(cell)).map(|(_, seen)| seen).collect();
            let passed = here.iter().filter(|seen| seen.passed).count();
            let counts = ends.map(|end| here.iter().filter(|seen| seen.end == end).count().to_string()).join(" | ");
            let last = here.iter().filter_map(|seen| seen.after).fold(0.0, f64::max);
            println!("| {phase:?}, {} | {} | {passed} | {counts} | {last:.1} |", request.0, here.len());
        }
    }
    let bad = seen.iter().filter(|(_, seen)| matches!(seen.end, End::Left | End::OwedInSilence)).count();
    assert_eq!(bad, 0, "clusters were left running, or nothing was said of it");
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for phase in [Phase::Start, Phase::End] {
        for request in REQUESTS {
            for trouble in TROUBLES {
                cells.extend(LASTING.map(|lasting| Cell { phase, request, trouble, lasting }));
            }
        }
    }
    cells
}

#[test]
fn one_fault_of_each_kind_at_each_request() {
    // Those that take only moments.
    let quick = |cell: &Cell| cell.lasting.1 == 1 && ["503", "reset"].contains(&cell.trouble);
    examine_all(cells().into_iter().filter(quick).collect(), 4);
}

#[test]
#[ignore = "the long form: every fault, passing and lasting"]
fn every_fault_at_every_request() {
    examine_all(cells(), 12);
}

/// The keeper dies before it has sent the request, and nobody is left who could start another one.
#[test]
fn a_keeper_that_dies_before_the_request_leaves_it_to_the_next_run() {
    let (cloud, meet) = (TestCloud::with(Options::default().cluster(suspendable())), Meet::new());
    let (program, log) = (program("one"), meet.path().join("log"));
    let mut command = process(&program, "session", &cloud, &meet, &log);
    let mut child = command.env("RELIABILITY_PHASE", "running").spawn().unwrap();
    assert!(holds_within(Duration::from_secs(60), || meet.here().exists()), "no test runs");
    let keeper = cloud.keeper();
    let raw = rustix::process::Pid::from_raw(keeper as i32).unwrap();
    rustix::process::kill_process(raw, rustix::process::Signal::STOP).unwrap();
    meet.order("on");
    // The test's process waits for no keeper when it ends.
    let _ = ends(&mut child, Duration::from_secs(60));
    processes::kill_and_wait(keeper);
    assert_eq!(left_within(Duration::from_secs(5), &cloud), Left::Running);
    let next = process(&program, "session", &cloud, &meet, &log).status().unwrap();
    assert!(next.success(), "{}", std::fs::read_to_string(&log).unwrap());
    assert_eq!(left_within(Duration::from_secs(60), &cloud), Left::Suspended);
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
}
