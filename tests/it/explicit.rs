//! Tests explicit sessions: which processes belong to them, what ends them, and what the command line shows and
//! repairs.

mod repair;

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use cratedb_cloud_simulator::{Fault, Options, Pace};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::cloud::{CLUSTER, TestCloud, suspendable};
use crate::support::consumer::{Consumer, clean, target_dir};
use crate::support::run::{Plan, Run, Runner, runners};
use crate::support::{executable, processes, wait_for};

const NAME: &str = "nightly-1";

/// A program of the consumer, with nothing of these tests around it.
fn program(consumer: &Consumer, cloud: &TestCloud, name: &str) -> Command {
    let mut command = clean(Command::new(target_dir().join("debug").join(name)));
    command.current_dir(&consumer.dir).envs(cloud.environment()).stdin(Stdio::null());
    // What a sweep finds at this machine's engine is of other tests.
    command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    command
}

/// The output of the command line, as JSON and as text.
struct Said {
    values: Vec<Value>,
    code: Option<i32>,
    text: String,
}

fn said(output: Output) -> Said {
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let values = lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| line.into())).collect();
    Said { values, code: output.status.code(), text: String::from_utf8_lossy(&output.stderr).into_owned() }
}

fn control(consumer: &Consumer, cloud: &TestCloud, words: &[&str]) -> Said {
    said(program(consumer, cloud, "explicit_control").args(words).output().unwrap())
}

impl Said {
    #[track_caller]
    fn done(self) -> Vec<Value> {
        assert_eq!(self.code, Some(0), "{}", self.text);
        self.values
    }

    #[track_caller]
    fn one(self) -> Value {
        let values = self.done();
        let [one] = &values[..] else { panic!("{values:?}") };
        one.clone()
    }
}

fn in_session(consumer: &Consumer, runner: Runner, cloud: &TestCloud) -> Plan {
    Plan::new(consumer, runner).cloud(cloud).env("CRATEDB_TEST_SESSION", NAME)
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// A process that holds the session `NAME`.
struct Holder(Child);

impl Holder {
    fn new(consumer: &Consumer, cloud: &TestCloud) -> Self {
        Self::with(consumer, cloud, true)
    }

    /// One that releases what it holds and waits for that, or one that only drops it.
    fn with(consumer: &Consumer, cloud: &TestCloud, waits: bool) -> Self {
        use std::io::BufRead as _;
        let mut command = program(consumer, cloud, "explicit_control");
        command
            .args(["hold", NAME])
            .args(waits.then_some("--wait"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains(NAME) && line.contains("CRATEDB_TEST_SESSION"), "{line}");
        Self(child)
    }

    /// Tells it to go on, and waits for what it says.
    fn release(mut self) -> Said {
        drop(self.0.stdin.take());
        let output = std::mem::replace(&mut self.0, Command::new("true").spawn().unwrap()).wait_with_output();
        said(output.unwrap())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_runs_share_one_resume_and_finish_suspends() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("explicit", runner), TestCloud::suspended());
        let report = cloud.path().join("report");
        for _ in 0..2 {
            let plan = in_session(&consumer, runner, &cloud);
            plan.env("CRATEDB_TEST_REPORT", report.display().to_string()).run().passed();
            assert_eq!(cloud.counts(), (1, 0));
        }
        let finished = control(&consumer, &cloud, &["finish", NAME, "--wait"]).one();
        // It waited: the suspension is over.
        assert_eq!(cloud.counts(), (1, 1));
        assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
        assert_eq!((&finished["sessions"], &finished["outcome"]), (&vec![NAME].into(), &"suspended".into()));
        cloud.ends_with(1, 1);
        let lines = std::fs::read_to_string(&report).unwrap();
        let [line] = lines.lines().collect::<Vec<_>>()[..] else { panic!("{lines}") };
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["name"], &line["tests"], &line["outcome"]), (&NAME.into(), &4.into(), &"suspended".into()));
    }
}

#[test]
fn idle_for_its_time_it_ends() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    let plan = in_session(&consumer, Runner::Cargo, &cloud).env("CRATEDB_TEST_SESSION_IDLE", "500ms");
    plan.run().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn finish_without_a_name_means_the_key_of_the_settings() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    in_session(&consumer, Runner::Cargo, &cloud).run().passed();
    let finished = control(&consumer, &cloud, &["finish", "--wait"]).one();
    assert_eq!((&finished["sessions"], &finished["outcome"]), (&vec![NAME].into(), &"suspended".into()));
    cloud.ends_with(1, 1);
    assert_eq!(control(&consumer, &cloud, &["finish"]).done(), Vec::<Value>::new(), "nothing is held any more");
    let unknown = control(&consumer, &cloud, &["finish", "no-such"]);
    assert!(unknown.code == Some(4) && unknown.text.contains("no-such"), "{}", unknown.text);
}

#[test]
fn a_process_without_a_runner_above_belongs_to_it() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    for _ in 0..2 {
        let mut alone = program(&consumer, &cloud, "explicit_alone");
        let output = alone.env("CRATEDB_TEST_SESSION", NAME).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(cloud.counts(), (1, 0));
    }
    control(&consumer, &cloud, &["finish", NAME, "--wait"]).one();
    cloud.ends_with(1, 1);
}

/// As in a container, whose processes have numbers of their own and end together with their first one.
fn namespace() -> Command {
    let mut inside = clean(Command::new("unshare"));
    inside.args(["--user", "--map-current-user", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    inside
}

/// Returns true if this machine can make such namespaces; otherwise says why not.
fn namespaces() -> bool {
    let output = namespace().arg("true").output().unwrap();
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        crate::support::skip("namespaces", &format!("no process namespace can be made here: {why}"));
    }
    output.status.success()
}

/// Returns its output if it succeeds.
#[track_caller]
fn told(mut inside: Command) -> String {
    let output = inside.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn a_process_of_another_process_namespace_belongs_to_it() {
    if !namespaces() {
        return;
    }
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    let holder = Holder::new(&consumer, &cloud);
    let mut inside = namespace();
    inside.arg(target_dir().join("debug/explicit_alone")).envs(cloud.environment()).env("CRATEDB_TEST_SESSION", NAME);
    inside.current_dir(&consumer.dir);
    let said = told(inside);
    assert!(!said.contains("process 1 of its container"), "{said}");
    assert_eq!(cloud.counts(), (1, 0));
    assert_eq!(holder.release().one()["outcome"], "suspended");
    cloud.ends_with(1, 1);
}

/// Without a runner each process is a run of its own. The second one says so, and what helps.
#[test]
fn processes_without_a_runner_are_told_of_sessions_and_below_a_wrapped_one_they_are_one_run() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    let alone = || told(program(&consumer, &cloud, "explicit_alone"));
    assert!(!alone().contains("CRATEDB_TEST_SESSION"));
    cloud.ends_with(1, 1);
    let said = alone();
    assert!(said.contains("CRATEDB_TEST_SESSION"), "{said}");
    cloud.ends_with(2, 2);

    // A shell in the place of cargo, under the name that Nix gives it.
    let dir = tempfile::tempdir().unwrap();
    let wrapped = dir.path().join(".cargo-wrapped");
    executable::copy("/bin/sh".as_ref(), &wrapped);
    let mut run = clean(Command::new(&wrapped));
    let program = target_dir().join("debug/explicit_alone").display().to_string();
    run.current_dir(&consumer.dir).envs(cloud.environment());
    run.args(["-c", "\"$0\"; \"$0\"; true"]).arg(program);
    assert!(!told(run).contains("CRATEDB_TEST_SESSION"));
    cloud.ends_with(3, 3);
}

/// The keeper outside lives on, whatever number a process has in its container.
#[test]
fn process_one_as_the_test_is_told_only_where_the_keeper_ends_with_it() {
    if !namespaces() {
        return;
    }
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    let alone = || {
        let mut inside = namespace();
        inside.arg(target_dir().join("debug/explicit_alone")).envs(cloud.environment()).current_dir(&consumer.dir);
        told(inside)
    };
    let holder = Holder::new(&consumer, &cloud);
    let said = alone();
    assert!(!said.contains("process 1 of its container") && !said.contains("can't outlive"), "{said}");
    assert_eq!(holder.release().one()["outcome"], "suspended");
    wait_for("the keeper's end", || match processes::keepers(cloud.path()) {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    });

    let said = alone();
    assert!(said.contains("process 1 of its container") && !said.contains("can't outlive"), "{said}");
    assert_eq!(control(&consumer, &cloud, &["sweep"]).one()["outcome"], "repaired");
    cloud.ends_with(2, 2);
}

/// The process that takes the keeper down with the run is also its ancestor. One warning is enough.
#[test]
fn process_one_as_the_runner_is_told_once() {
    if !namespaces() {
        return;
    }
    let (consumer, cloud) = (Consumer::of("workspace", Runner::Cargo), TestCloud::suspended());
    let mut inside = namespace();
    inside.args(["cargo", "test", "-p", "b"]).current_dir(&consumer.dir).envs(cloud.environment());
    let said = told(inside);
    assert!(said.contains("process 1 of its container") && !said.contains("can't outlive"), "{said}");
    // The keeper ended with it; what it left is there to be repaired.
    assert_eq!(control(&Consumer::of("explicit", Runner::Cargo), &cloud, &["sweep"]).one()["outcome"], "repaired");
    cloud.ends_with(1, 1);
}

#[test]
fn a_holder_has_the_cluster_before_the_tests_and_lets_go_after_them() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("explicit", runner), TestCloud::suspended());
        let holder = Holder::new(&consumer, &cloud);
        assert!(cloud.simulator.cloud().cluster(CLUSTER).running);
        in_session(&consumer, runner, &cloud).env("CRATEDB_TEST_SESSION_IDLE", "10ms").run().passed();
        assert_eq!(cloud.counts(), (1, 0), "it is held, so it is not idle");
        assert_eq!(holder.release().one()["outcome"], "suspended");
        assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
        cloud.ends_with(1, 1);
    }
}

#[test]
fn of_two_holders_the_first_to_end_gives_up_its_own_part_only() {
    // With the words of `release`, and with those of a holder that is dropped.
    for released in [true, false] {
        let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
        let (first, second) = (Holder::new(&consumer, &cloud), Holder::with(&consumer, &cloud, released));
        let said = second.release().done();
        let outcomes: Vec<&Value> = said.iter().map(|one| &one["outcome"]).collect();
        assert_eq!(outcomes, if released { vec!["held"] } else { vec![] });
        in_session(&consumer, Runner::Cargo, &cloud).run().passed();
        assert_eq!(cloud.counts(), (1, 0));
        assert_eq!(first.release().one()["outcome"], "suspended");
        cloud.ends_with(1, 1);
    }
}

#[test]
fn a_holder_that_is_killed_lets_go() {
    for signal in [Signal::KILL, Signal::INT] {
        let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
        let holder = Holder::new(&consumer, &cloud);
        kill(holder.0.id(), signal);
        cloud.ends_with(1, 1);
    }
}

#[test]
fn a_holder_that_is_killed_while_the_cluster_resumes_lets_go_once_it_is_there() {
    let consumer = Consumer::of("explicit", Runner::Cargo);
    let cloud = TestCloud::with(Options::default().cluster(suspendable()));
    cloud.simulator.cloud().hold_next_operation(CLUSTER);
    let mut holder = program(&consumer, &cloud, "explicit_control").args(["hold", NAME]).spawn().unwrap();
    cloud.wait_for_counts(1, 0);
    holder.kill().unwrap();
    holder.wait().unwrap();
    cloud.simulator.cloud().release(CLUSTER);
    cloud.ends_with(1, 1);
}

/// A run that stands still in a test.
fn halted(consumer: &Consumer, cloud: &TestCloud, meet: &tempfile::TempDir, explicit: bool) -> Run {
    let plan = if explicit {
        in_session(consumer, Runner::Cargo, cloud)
    } else {
        Plan::new(consumer, Runner::Cargo).cloud(cloud)
    };
    let mut run = plan.env("MEET_DIR", meet.path().display().to_string()).in_order().start();
    run.wait_for_file(&meet.path().join("a.here"));
    run
}

#[test]
fn what_a_killed_holder_started_fails_and_starts_nothing() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    let meet = tempfile::tempdir().unwrap();
    let holder = Holder::new(&consumer, &cloud);
    let run = halted(&consumer, &cloud, &meet, true);
    kill(holder.0.id(), Signal::KILL);
    wait_for("the keeper to hear of it", || {
        let status = control(&consumer, &cloud, &["status"]).one();
        let ends = status["sessions"][0]["ends"].as_str().unwrap_or_default().to_owned();
        if ends.contains("it is over") { Ok(()) } else { Err(ends) }
    });
    std::fs::write(meet.path().join("a.go"), "x").unwrap();
    run.finish().failed().says(&format!("the session `{NAME}` is over"));
    cloud.ends_with(1, 1);
}

#[test]
fn status_tells_who_holds_what_since_when_and_until_when() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    let meet = tempfile::tempdir().unwrap();
    assert_eq!(control(&consumer, &cloud, &["status"]).done(), Vec::<Value>::new());
    let run = halted(&consumer, &cloud, &meet, false);
    in_session(&consumer, Runner::Cargo, &cloud).run().passed();
    let said = control(&consumer, &cloud, &["status"]);
    assert!(said.text.contains("`one::a` runs for") && said.text.contains("cargo test"), "{}", said.text);
    let status = said.one();
    assert_eq!((&status["phase"], &status["answers"], &status["owes"]), (&"up".into(), &true.into(), &true.into()));
    assert_eq!((&status["provider"], &status["keeper"]), (&"cloud".into(), &cloud.keeper().into()));
    assert!(status["resource"].as_str().unwrap().contains(CLUSTER) && status["until"].is_i64(), "{status}");
    let sessions = status["sessions"].as_array().unwrap();
    let (explicit, runs): (Vec<&Value>, Vec<&Value>) = sessions.iter().partition(|session| session["name"] == NAME);
    let ([explicit], [implicit]) = (&explicit[..], &runs[..]) else { panic!("{status}") };
    assert_eq!((&explicit["processes"], &explicit["runners"]), (&0.into(), &Value::Array(vec![])));
    assert!(explicit["until"].is_i64() && explicit["ends"].as_str().unwrap().contains("10m"), "{explicit}");
    assert_eq!((&implicit["processes"], &implicit["tests"][0]["test"]), (&1.into(), &"one::a".into()));
    assert_eq!(implicit["runners"][0]["pid"], run.id());
    // Its run lives, so the session ends only with it; the explicit one ends.
    let finished = control(&consumer, &cloud, &["finish"]).one();
    assert_eq!((&finished["sessions"], &finished["outcome"]), (&vec![NAME].into(), &"held".into()));
    let refused = control(&consumer, &cloud, &["finish"]);
    assert!(refused.code == Some(1) && refused.text.contains(&format!("process {}", run.id())), "{}", refused.text);
    std::fs::write(meet.path().join("a.go"), "x").unwrap();
    run.finish().passed();
    cloud.ends_with(1, 1);
    let status = control(&consumer, &cloud, &["status"]).one();
    assert_eq!((&status["keeper"], &status["owes"]), (&Value::Null, &false.into()), "{status}");
}

#[test]
fn finish_ends_what_is_kept_warm() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("CRATEDB_TEST_KEEP_WARM", "1h").run().passed();
    assert_eq!(cloud.counts(), (1, 0));
    assert_eq!(control(&consumer, &cloud, &["finish", "--wait"]).one()["outcome"], "suspended");
    cloud.ends_with(1, 1);
}

#[test]
fn a_holder_repairs_what_its_killed_keeper_owes() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    let mut holder = Holder::new(&consumer, &cloud);
    // Stopped, so that it hears of the keeper's death and of its own end at once.
    kill(holder.0.id(), Signal::STOP);
    processes::kill_and_wait(cloud.keeper());
    drop(holder.0.stdin.take());
    kill(holder.0.id(), Signal::CONT);
    assert_eq!(holder.release().one()["outcome"], "suspended");
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
    cloud.ends_with(1, 1);
}

#[test]
fn finish_of_a_name_that_is_over_waits_for_its_cluster() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    in_session(&consumer, Runner::Cargo, &cloud).run().passed();
    cloud.simulator.cloud().hold_next_operation(CLUSTER);
    assert_eq!(control(&consumer, &cloud, &["finish", NAME]).one()["outcome"], "releasing");
    cloud.wait_for_counts(1, 1);
    assert_eq!(control(&consumer, &cloud, &["finish", NAME]).one()["outcome"], "releasing");
    cloud.simulator.cloud().release(CLUSTER);
    cloud.ends_with(1, 1);
}

#[test]
fn sweep_tells_of_a_keeper_that_fails_and_of_one_that_is_silent() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    in_session(&consumer, Runner::Cargo, &cloud).run().passed();
    let failed = |pid: u32| {
        let swept = control(&consumer, &cloud, &["sweep"]).one();
        let detail = swept["detail"].as_str().unwrap();
        assert!(swept["outcome"] == "failed" && detail.contains(&format!("process {pid}")), "{swept}");
    };
    assert_eq!(control(&consumer, &cloud, &["sweep"]).done(), Vec::<Value>::new(), "all is well");
    let keeper = cloud.keeper();
    kill(keeper, Signal::STOP);
    failed(keeper);
    kill(keeper, Signal::CONT);
    cloud.simulator.cloud().fault(Fault::on("PUT", "/suspend").status(403).always());
    assert_eq!(control(&consumer, &cloud, &["finish", NAME, "--wait"]).one()["outcome"], "owed");
    failed(keeper);
    cloud.simulator.cloud().clear_faults();
    assert_eq!(control(&consumer, &cloud, &["finish", "--wait"]).one()["outcome"], "suspended");
}

/// If the container ends with it, so does the keeper.
#[test]
fn a_holder_that_is_process_one_is_told() {
    if !namespaces() {
        return;
    }
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    let mut inside = namespace();
    inside.arg(target_dir().join("debug/explicit_control")).args(["hold", NAME, "--wait"]);
    inside.envs(cloud.environment()).current_dir(&consumer.dir);
    let said = told(inside);
    assert!(said.contains("process 1 of its container"), "{said}");
    cloud.ends_with(1, 1);
}

#[test]
fn finish_says_what_a_killed_keeper_owes() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    repair::left_behind(&consumer, &cloud);
    let owed = control(&consumer, &cloud, &["finish", "--wait"]).one();
    assert!(owed["outcome"] == "owed" && owed["detail"].as_str().unwrap().contains("sweep"), "{owed}");
    control(&consumer, &cloud, &["sweep"]).one();
    assert_eq!(control(&consumer, &cloud, &["finish", "--wait"]).done(), Vec::<Value>::new());
    cloud.ends_with(1, 1);
}

#[test]
fn finish_waits_for_the_next_try_of_a_release_that_failed() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    in_session(&consumer, Runner::Cargo, &cloud).run().passed();
    cloud.simulator.cloud().fault(Fault::on("PUT", "/suspend").status(403).always());
    assert_eq!(control(&consumer, &cloud, &["finish", NAME, "--wait"]).one()["outcome"], "owed");
    let again = control(&consumer, &cloud, &["finish", "--wait"]).one();
    assert!(again["outcome"] == "owed" && again["detail"].as_str().unwrap().contains("403"), "{again}");
    cloud.simulator.cloud().clear_faults();
    assert_eq!(control(&consumer, &cloud, &["finish", "--wait"]).one()["outcome"], "suspended");
}

#[test]
fn a_release_that_fails_is_told() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    in_session(&consumer, Runner::Cargo, &cloud).run().passed();
    cloud.simulator.cloud().fault(Fault::on("PUT", "/suspend").status(403).always());
    let finished = control(&consumer, &cloud, &["finish", NAME, "--wait"]).one();
    assert!(finished["outcome"] == "owed" && finished["detail"].as_str().unwrap().contains("403"), "{finished}");
    cloud.simulator.cloud().clear_faults();
    wait_for("the suspension", || match cloud.simulator.cloud().cluster(CLUSTER).running {
        false => Ok(()),
        true => Err(cloud.log()),
    });
}

#[test]
fn the_log_is_found_and_its_place_told_before_there_is_one() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    let none = control(&consumer, &cloud, &["log"]);
    assert!(none.code == Some(1) && none.text.contains(&cloud.path().display().to_string()), "{}", none.text);
    in_session(&consumer, Runner::Cargo, &cloud).run().passed();
    let log = cloud.file("log").unwrap().display().to_string();
    for words in [&["log"][..], &["log", NAME]] {
        assert_eq!(control(&consumer, &cloud, words).one(), log.as_str());
    }
    control(&consumer, &cloud, &["finish", "--wait"]).one();
    cloud.ends_with(1, 1);
}

#[test]
fn a_name_that_does_not_fit_is_refused() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("CRATEDB_TEST_SESSION", "to night");
    plan.run().failed().says("cannot read CRATEDB_TEST_SESSION=`to night`").says("accepted: 1 to 64");
    cloud.ends_with(0, 0);
}
