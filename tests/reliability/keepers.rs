//! Keepers that are killed at random moments of runs.

use std::sync::Mutex;
use std::time::Duration;

use cratedb_cloud_simulator::Options;
use rustix::process::{Pid, Signal, kill_process};

use crate::project::{Left, Meet, left, plan, process, program, runners};
use crate::support::cloud::{TestCloud, suspendable};
use crate::support::processes;
use crate::support::run::Runner;

/// The longest time between two deaths.
const LONGEST_LIFE: Duration = Duration::from_millis(800);

/// The most deaths in one run, which is then left alone. Processes give up after 16 keepers in a row that ended before
/// they said anything, which is possible on a machine with much other work.
const MOST: usize = 15;

/// Runs at the same time, each with a simulator of its own.
const WORKERS: usize = 4;

#[derive(Debug, Default)]
struct Count {
    killed: usize,
    runs: usize,
    failed: usize,
    /// Runs that resumed the cluster more than once.
    resumed_again: usize,
    /// Runs whose keeper was killed when no test process was left that could start another one.
    left: usize,
    /// Those of them that the next run did not put right.
    lost: usize,
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.killed += other.killed;
        self.runs += other.runs;
        self.failed += other.failed;
        self.resumed_again += other.resumed_again;
        self.left += other.left;
        self.lost += other.lost;
    }
}

/// Kills the keepers of one run, and counts.
fn one_run(runner: Runner, most: usize) -> Count {
    let options = Options::default().cluster(suspendable()).operation_time(Duration::from_millis(50));
    let (cloud, meet) = (TestCloud::with(options), Meet::new());
    let plan = plan(runner, "busy", &cloud, &meet, "none");
    let plan = match runner {
        Runner::Cargo => plan.args(&["--", "--test-threads=2"]),
        Runner::Nextest => plan.args(&["-j4"]),
    };
    let run = plan.start();
    let runner_lives = || !processes::is_dead(run.id());
    let mut count = Count { runs: 1, ..Count::default() };
    while runner_lives() && count.killed < most {
        std::thread::park_timeout(LONGEST_LIFE.mul_f64(fastrand::f64()));
        for keeper in processes::keepers(cloud.path()) {
            if runner_lives() && kill_process(Pid::from_raw(keeper as i32).unwrap(), Signal::KILL).is_ok() {
                count.killed += 1;
            }
        }
    }
    let finished = run.finish();
    if !finished.status.success() {
        count.failed = 1;
        println!("a run failed:\n{}\nthe keepers' log:\n{}", finished.output, cloud.log());
    }
    if left(&cloud) != Left::Suspended {
        count.left = 1;
        let (program, log) = (program("one"), meet.path().join("log"));
        let next = process(&program, "session", &cloud, &meet, &log).status().unwrap();
        if !next.success() || left(&cloud) != Left::Suspended {
            count.lost = 1;
            println!("the next run repaired nothing: {}", cloud.log());
        }
    }
    count.resumed_again = usize::from(cloud.counts().0 > 1);
    count
}

fn kill(most: usize) {
    let sum = Mutex::new(Count::default());
    let killed = || sum.lock().unwrap().killed;
    let worker = |first: usize| {
        for runner in runners().iter().cycle().skip(first) {
            if killed() >= most {
                return;
            }
            let count = one_run(*runner, MOST.min(most));
            let mut sum = sum.lock().unwrap();
            sum.add(&count);
            println!("{runner:?}: {count:?}; all: {sum:?}");
        }
    };
    let workers = WORKERS.min(most.div_ceil(MOST));
    std::thread::scope(|scope| {
        (0..workers).for_each(|first| {
            drop(scope.spawn({
                let worker = &worker;
                move || worker(first)
            }))
        })
    });
    let sum = sum.into_inner().unwrap();
    assert_eq!((sum.failed, sum.lost), (0, 0), "{sum:?}");
}

#[test]
fn ten_keepers_die_at_random() {
    kill(10);
}

#[test]
#[ignore = "the long form: 1,000 keepers"]
fn a_thousand_keepers_die_at_random() {
    kill(1_000);
}
