//! Tests the keeper itself: which resources it holds, what it survives and what survives it.

use std::process::Command;
use std::time::{Duration, Instant};

use cratedb_cloud_simulator::Options;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::cloud::{CLUSTER, TestCloud, suspendable};
use crate::support::consumer::{Consumer, clean};
use crate::support::run::{Plan, Run, Runner, runners};
use crate::support::{processes, wait_for};

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// A run that stands still in the middle of a test until [`Halted::go`].
struct Halted {
    cloud: TestCloud,
    meet: tempfile::TempDir,
    run: Run,
}

impl Halted {
    fn at(moment: &str, runner: Runner) -> Self {
        let consumer = Consumer::of("deaths", runner);
        let (cloud, meet) = (TestCloud::suspended(), tempfile::tempdir().unwrap());
        let plan = Plan::new(&consumer, runner).cloud(&cloud).env("DEATH", format!("{moment}:wait"));
        let mut run = plan.env("DEATH_DIR", meet.path().display().to_string()).in_order().start();
        run.wait_for_file(&meet.path().join("here"));
        Self { cloud, meet, run }
    }

    fn go(self) -> (TestCloud, crate::support::run::Finished) {
        std::fs::write(self.meet.path().join("go"), "x").unwrap();
        (self.cloud, self.run.finish())
    }
}

#[test]
fn tests_go_on_with_a_new_keeper_after_the_death_of_the_first() {
    for runner in runners() {
        let halted = Halted::at("middle", runner);
        kill(halted.cloud.keeper(), Signal::KILL);
        let (cloud, finished) = halted.go();
        finished.passed();
        cloud.ends_with(1, 1);
    }
}

#[test]
fn a_keeper_killed_while_the_cluster_resumes_is_followed_by_one_that_waits_for_the_same_operation() {
    for runner in runners() {
        let consumer = Consumer::of("workspace", runner);
        let cloud = TestCloud::with(Options::default().cluster(suspendable()));
        cloud.simulator.cloud().hold_next_operation(CLUSTER);
        let run = Plan::new(&consumer, runner).cloud(&cloud).start();
        cloud.wait_for_counts(1, 0);
        let first = cloud.keeper();
        kill(first, Signal::KILL);
        wait_for("the next keeper", || match cloud.keeper() {
            next if next != first => Ok(()),
            same => Err(same),
        });
        cloud.simulator.cloud().release(CLUSTER);
        run.finish().passed();
        cloud.ends_with(1, 1);
    }
}

#[test]
fn a_signal_to_the_keeper_releases_at_once_and_the_run_says_why() {
    let halted = Halted::at("middle", Runner::Cargo);
    let keeper = halted.cloud.keeper();
    // These are not for it, and neither end nor stop it.
    for signal in [Signal::USR1, Signal::USR2, Signal::XFSZ, Signal::PIPE, Signal::ALARM, Signal::TSTP] {
        kill(keeper, signal);
    }
    kill(keeper, Signal::TERM);
    halted.cloud.wait_for_counts(1, 1);
    assert_eq!(halted.cloud.log().matches("a keeper was born").count(), 1, "{}", halted.cloud.log());
    let (cloud, finished) = halted.go();
    finished.failed().says("the keeper was told to stop");
    cloud.ends_with(1, 1);
}

/// Opening it would wait for a reader, on the thread that has to send the suspension.
#[test]
fn a_report_that_no_process_reads_holds_up_nothing() {
    let (consumer, cloud) = (Consumer::of("odd", Runner::Cargo), TestCloud::suspended());
    let report = cloud.path().join("report");
    assert!(Command::new("mkfifo").arg(&report).status().unwrap().success());
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud);
    plan.env("CRATEDB_TEST_REPORT", report.display().to_string()).run().passed();
    cloud.ends_with(1, 1);
    assert!(cloud.log().contains("no process reads there"), "{}", cloud.log());
}

#[test]
fn the_keeper_holds_nothing_of_its_parent_and_rests() {
    let halted = Halted::at("middle", Runner::Cargo);
    let keeper = halted.cloud.keeper();
    assert_eq!(processes::directory(keeper).to_str(), Some("/"));
    let environment = processes::environment(keeper).join(" ");
    for leaked in ["MAKEFLAGS", "CARGO_", "NEXTEST", "CRATEDB_CLOUD", "DEATH"] {
        assert!(!environment.contains(leaked), "{leaked} in {environment:?}");
    }
    // Own: the null device, the log, the journal, the lock, its socket, its clients and their processes, epoll and the
    // like. A pipe or a terminal would be inherited; a pair of them is the runtime's own.
    let (runner, own) = (processes::descriptors(halted.run.id()), processes::descriptors(keeper));
    let inherited: Vec<&String> =
        own.iter().filter(|path| runner.contains(path) && !path.starts_with("anon_inode")).collect();
    assert!(inherited.iter().all(|path| *path == "/dev/null"), "{inherited:?} of {own:?}");
    let standard = own.iter().filter(|path| path.starts_with("/dev/") && *path != "/dev/null").count();
    assert_eq!(standard, 0, "{own:?}");

    let (ticks, began) = (processes::cpu_ticks(keeper), Instant::now());
    while began.elapsed() < Duration::from_secs(10) {
        std::thread::park_timeout(Duration::from_millis(500));
    }
    let used = processes::cpu_ticks(keeper) - ticks;
    assert!(used <= 1, "{used} ticks in 10 s at rest");
    let (cloud, finished) = halted.go();
    finished.passed().never_says("keeper");
    cloud.ends_with(1, 1);
}

#[test]
fn a_test_that_waits_for_all_its_children_does_not_wait_for_the_keeper() {
    let (consumer, cloud) = (Consumer::of("odd", Runner::Cargo), TestCloud::suspended());
    Plan::new(&consumer, Runner::Cargo).cloud(&cloud).run().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn a_forked_child_that_lives_on_does_not_hold_the_lease() {
    let (consumer, cloud) = (Consumer::of("odd", Runner::Cargo), TestCloud::suspended());
    let began = Instant::now();
    let plan = Plan::new(&consumer, Runner::Cargo).args(&["--test", "odd", "--", "leaves"]).cloud(&cloud);
    plan.env("ODD_FORK", "1").run().passed();
    cloud.ends_with(1, 1);
    assert!(began.elapsed() < Duration::from_secs(15), "the child lives for 20 s; this took {:?}", began.elapsed());
}

#[test]
fn a_users_own_constructor_does_not_run_in_the_keeper() {
    let (consumer, cloud) = (Consumer::of("odd", Runner::Cargo), TestCloud::suspended());
    let constructed = cloud.path().join("constructed");
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud);
    plan.env("ODD_CONSTRUCTED", constructed.display().to_string()).run().passed();
    cloud.ends_with(1, 1);
    let names = std::fs::read_to_string(constructed).unwrap();
    assert!(names.contains("odd") && !names.contains("keeper"), "{names}");
}

#[test]
fn the_keepers_variable_in_an_ordinary_environment_swallows_no_test() {
    let (consumer, cloud) = (Consumer::of("workspace", Runner::Cargo), TestCloud::suspended());
    let plan = Plan::new(&consumer, Runner::Cargo).args(&["-p", "b"]).cloud(&cloud);
    plan.env("CRATEDB_TEST_KEEPER", "2:0123456789abcdef").run().passed().says("1 passed");
    cloud.ends_with(1, 1);
}

#[test]
fn a_removed_socket_is_bound_again() {
    for runner in runners() {
        let halted = Halted::at("middle", runner);
        std::fs::remove_file(halted.cloud.file("sock").unwrap()).unwrap();
        let (cloud, finished) = halted.go();
        finished.passed();
        cloud.ends_with(1, 1);
    }
}

#[test]
fn a_process_whose_runner_died_before_it_asked_starts_nothing() {
    for runner in runners() {
        let consumer = Consumer::of("deaths", runner);
        let (cloud, meet) = (TestCloud::suspended(), tempfile::tempdir().unwrap());
        let plan = Plan::new(&consumer, runner).cloud(&cloud).env("DEATH", "before:wait");
        let mut run = plan.env("DEATH_DIR", meet.path().display().to_string()).in_order().start();
        run.wait_for_file(&meet.path().join("here"));
        run.signal(Signal::KILL);
        run.wait();
        std::fs::write(meet.path().join("go"), "x").unwrap();
        let finished = run.finish().failed();
        if runner == Runner::Cargo {
            finished.says("the test run that this process belongs to is over");
        }
        cloud.ends_with(0, 0);
    }
}

#[test]
fn a_low_descriptor_limit_does_not_limit_the_keeper() {
    if !runners().contains(&Runner::Nextest) {
        return;
    }
    let (small, cloud) = (Consumer::of("workspace", Runner::Cargo), TestCloud::suspended());
    // Started with few descriptors: the build is done, and one test process needs no more.
    let mut first = clean(Command::new("sh"));
    first.args(["-c", "ulimit -Sn 40; exec cargo test -p b --lib"]).current_dir(&small.dir).envs(cloud.environment());
    let output = first.env("CRATEDB_TEST_KEEP_WARM", "1h").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A hundred clients at once are two hundred descriptors.
    let many = Consumer::of("many", Runner::Nextest);
    let plan = Plan::new(&many, Runner::Nextest).args(&["-j100", "-E", "test(/t0/)"]).cloud(&cloud);
    plan.run().passed();
    assert_eq!(cloud.log().matches("a keeper was born").count(), 1);
    cloud.ends_with(1, 1);
}

#[test]
fn two_hundred_and_fifty_six_processes_at_once_start_one_keeper() {
    if !runners().contains(&Runner::Nextest) {
        return;
    }
    let (consumer, cloud) = (Consumer::of("many", Runner::Nextest), TestCloud::suspended());
    let plan = Plan::new(&consumer, Runner::Nextest).args(&["-j256"]).cloud(&cloud);
    plan.run().passed().says("256 tests run: 256 passed").never_says("LEAK");
    assert_eq!(cloud.log().matches("a keeper was born").count(), 1);
    cloud.ends_with(1, 1);
}

/// Something that waits for everything below it (a container's init, a CI agent) waits for the keeper too. On macOS
/// only launchd does.
#[test]
#[cfg(target_os = "linux")]
fn under_a_process_that_waits_for_all_the_end_is_ten_seconds_without_a_test() {
    let (consumer, cloud) = (Consumer::of("odd", Runner::Cargo), TestCloud::suspended());
    let mut build = clean(Command::new("cargo"));
    assert!(build.args(["build", "--bins"]).current_dir(&consumer.dir).status().unwrap().success());
    let subreaper = crate::support::consumer::target_dir().join("debug/subreaper");
    // The subreaper must be a runner to be watched: cargo itself runs it as an alias would.
    let mut command = clean(Command::new("cargo"));
    command.current_dir(&consumer.dir).envs(cloud.environment());
    command.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", &subreaper);
    let began = Instant::now();
    let output = command.args(["test", "--test", "odd"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the keeper can't outlive this run") && said.contains("waited for 1 more"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    cloud.ends_with(1, 1);
}
