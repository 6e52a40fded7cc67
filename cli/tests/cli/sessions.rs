//! `test`, `status`, `finish`, `sweep`, `log`.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use cratedb_cloud_simulator::{ClusterOptions, Fault, Options};
use cratedb_test::{Cluster, cratedb_cluster};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Run, Running, World, eventually};

/// A test as users write them. The tests below run it in a session, in a process of its own.
#[cratedb_cluster]
#[ignore = "run in sessions of other tests, by `test_process` and in the containers of contained.rs"]
async fn joins_the_session(cluster: Cluster) -> cratedb_test::Result<()> {
    assert_eq!(cluster.query("SELECT 1 + 1").scalar::<i64>().await?, 2);
    if std::env::var_os("CONTAINED_WAITS").is_some() {
        // Tells the test that kills this container that it runs. A print macro would hold the text back until the end.
        std::io::Write::write_all(&mut std::io::stdout(), b"waits\n").unwrap();
        std::future::pending::<()>().await;
    }
    Ok(())
}

fn world() -> World {
    World::with([ClusterOptions::suspended("ci")])
}

/// Prepares `test` with the cluster `ci` and these arguments.
pub(crate) fn test(world: &World, arguments: &[&str]) -> Run {
    world.cli(&[&["test", "--cluster-name", "ci"], arguments].concat())
}

/// Returns the command for a test process of this crate.
pub(crate) fn test_process() -> Vec<String> {
    let program = std::env::current_exe().unwrap().display().to_string();
    [&program, "--ignored", "--exact", "sessions::joins_the_session"].map(str::to_owned).into()
}

/// Returns the requests to resume (false) and suspend (true) the cluster.
pub(crate) fn changes(world: &World) -> Vec<bool> {
    let requests = world.simulator().requests();
    let puts = requests.iter().filter(|one| one.method == "PUT" && one.path.ends_with("/suspend/"));
    puts.map(|one| one.body["suspended"].as_bool().unwrap()).collect()
}

pub(crate) const ONCE: [bool; 2] = [false, true];

pub(crate) fn until_suspended(world: &World) {
    eventually("the suspension", || {
        let cluster = world.cloud().cluster("ci");
        let done = cluster.operation.is_some_and(|(_, status)| status == "SUCCEEDED");
        (changes(world).last() == Some(&true) && cluster.suspended && done).then_some(())
    });
}

/// A command that writes its process id to a file, then runs until it is ended.
const MARKING: [&str; 4] = ["--", "sh", "-c", "echo $$ > mark; exec sleep 600"];

/// Starts [`MARKING`] in a session.
fn running(world: &World, arguments: &[&str]) -> Running {
    let running = test(world, &[arguments, &MARKING].concat()).start();
    eventually("the command", || command(world));
    running
}

/// Returns the process of the command that [`running`] started.
fn command(world: &World) -> Option<Pid> {
    let mark = std::fs::read_to_string(world.home().join("mark")).ok()?;
    Pid::from_raw(mark.trim().parse().ok()?)
}

/// Ends the command whose parent was killed.
fn end_command(world: &World) {
    kill_process(command(world).expect("it was started"), Signal::KILL).unwrap();
}

fn status(world: &World) -> Vec<Value> {
    world.cli(&["status", "--output", "json"]).done().expect(0).json().as_array().unwrap().clone()
}

/// Waits until no keeper of this world is alive.
pub(crate) fn until_no_keeper(world: &World) {
    eventually("the end of the keeper", || status(world).iter().all(|key| key["keeper"].is_null()).then_some(()));
}

#[test]
fn the_cluster_is_there_for_the_command_and_let_go_of_after_it() {
    let world = world();
    let program = crate::support::PROGRAM;
    let script =
        format!("echo \"session $CRATEDB_TEST_SESSION\"; {program} query 'SELECT 1 AS one' --output csv --quiet");
    let done = test(&world, &["--", "sh", "-c", &script]).done().expect(0);
    let lines: Vec<_> = done.stdout.lines().collect();
    assert!(lines[0].starts_with("session cargo-cratedb-"), "{done:?}");
    assert_eq!(lines[1..], ["one", "1"]);
    assert!(world.cloud().cluster("ci").suspended, "it was not waited for");
    assert_eq!(changes(&world), ONCE);
    done.says(&["resuming cluster `ci`", "is ready after", "suspended after"]);
}

#[test]
fn test_processes_belong_to_the_session_and_none_of_them_ends_it() {
    let world = world();
    let process = test_process().join(" ");
    let done = test(&world, &["--", "sh", "-c", &format!("{process} && {process}")]).done().expect(0);
    assert_eq!(done.stdout.matches("1 passed").count(), 2, "{done:?}");
    assert_eq!(changes(&world), ONCE, "{done:?}");
    assert!(world.cloud().cluster("ci").suspended);
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    for (command, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143)]
    {
        let world = world();
        test(&world, &["--quiet", "--", "sh", "-c", command]).done().expect(code);
        assert_eq!(changes(&world), ONCE, "{command}");
    }
}

#[test]
fn it_is_the_same_when_cargo_calls_it() {
    let world = world();
    let arguments = ["cratedb", "test", "--cluster-name", "ci", "--quiet", "--", "sh", "-c", "exit 7"];
    let run = Run::of(&world, "cargo", &arguments).with_the_key().with_the_program_in_path();
    assert_eq!(run.done().expect(7).stderr, "");
    assert_eq!(changes(&world), ONCE);
}

#[test]
fn a_command_that_can_not_be_started_ends_the_session_too() {
    let world = world();
    world.write("no-program", "");
    test(&world, &["--", "/nonexistent/program"]).done().expect(127).says(&["/nonexistent/program"]);
    assert_eq!(changes(&world), ONCE);
    test(&world, &["--", "./no-program"]).done().expect(126).says(&["./no-program"]);
    assert_eq!(changes(&world).len(), 4);
    assert!(world.cloud().cluster("ci").suspended);
}

#[test]
fn json_is_one_document_and_the_commands_own_words_go_to_stderr() {
    let world = world();
    let arguments = ["--session", "named.1", "--output", "json", "--", "sh", "-c", "echo from the command; exit 3"];
    let done = test(&world, &arguments).done().expect(3).says(&["from the command"]);
    let document = done.json();
    assert_eq!((document["session"].as_str(), document["exit_code"].as_u64()), (Some("named.1"), Some(3)));
    assert!(document["cluster"].as_str().unwrap().contains("ci"));
    assert_eq!(document["cluster_outcome"], "suspended");
}

#[test]
fn the_session_has_the_name_of_the_option_else_of_the_variable() {
    let world = world();
    let print = ["--", "sh", "-c", "echo $CRATEDB_TEST_SESSION"];
    let by_variable = |more: &[&str]| test(&world, &[more, &print].concat()).env("CRATEDB_TEST_SESSION", "variable");
    assert_eq!(by_variable(&[]).done().expect(0).stdout, "variable\n");
    assert_eq!(by_variable(&["--session", "option"]).done().expect(0).stdout, "option\n");
}

#[test]
fn a_cluster_that_ran_before_runs_after() {
    let world = World::with([ClusterOptions::running("ci")]);
    test(&world, &["--", "true"]).done().expect(0);
    assert_eq!(changes(&world), [false; 0]);
}

#[test]
fn a_signal_to_this_process_alone_is_passed_on() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let world = world();
        let running = running(&world, &[]);
        running.signal(signal);
        running.done().expect(code);
        assert_eq!(changes(&world), ONCE, "{signal:?}");
        assert!(world.cloud().cluster("ci").suspended, "{signal:?}");
    }
}

/// Sends a signal as a process outside the container does, which has no id in here and is given as 0.
#[cfg(target_os = "linux")]
fn signal_from_outside(running: &Running, signal: Signal) {
    // SAFETY: every field of this C structure may be zero.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    (info.si_signo, info.si_code) = (signal.as_raw(), libc::SI_QUEUE);
    let to = i32::try_from(running.pid()).unwrap();
    // SAFETY: the kernel only reads the structure, which outlives the call.
    let sent = unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, to, signal.as_raw(), &raw const info) };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_from_outside_of_the_container_is_passed_on() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let world = world();
        let running = running(&world, &[]);
        signal_from_outside(&running, signal);
        running.done().expect(code);
        assert_eq!(changes(&world), ONCE, "{signal:?}");
    }
}

#[test]
fn a_signal_that_is_ignored_from_the_start_stays_ignored() {
    let world = world();
    let script = format!("trap '' HUP; exec {} test --cluster-name ci -- \"$@\"", crate::support::PROGRAM);
    let running = Run::of(&world, "sh", &[&["-c", &script, "sh"], &MARKING[1..]].concat()).with_the_key().start();
    eventually("the command", || command(&world));
    running.signal(Signal::HUP);
    // Of two pending signals the one with the lower number, SIGHUP, is delivered first.
    running.signal(Signal::TERM);
    running.done().expect(143);
}

#[test]
fn the_end_of_the_terminal_is_passed_on() {
    let world = world();
    let ended = test(&world, &MARKING).hung_up(|| command(&world).map(drop));
    assert_eq!(ended.code(), Some(129));
    assert_eq!(changes(&world), ONCE);
}

#[test]
fn an_interruption_of_the_wait_for_the_cluster_starts_nothing_and_leaves_nothing() {
    let world = world();
    world.cloud().hold_next_operation("ci");
    let run = test(&world, &["--output", "json", "--", "touch", "mark"]).start();
    eventually("the resumption", || (!changes(&world).is_empty()).then_some(()));
    run.signal(Signal::INT);
    let done = run.done().expect(130).says(&["interrupted", "the command was not started", "cargo cratedb status"]);
    assert_eq!(done.json()["error"]["exit_code"], 130);
    world.cloud().release("ci");
    until_suspended(&world);
    assert!(!world.home().join("mark").exists());
    until_no_keeper(&world);
}

#[test]
fn the_death_of_this_process_ends_the_session() {
    let world = world();
    let running = running(&world, &[]);
    running.signal(Signal::KILL);
    let ended = running.wait();
    assert_eq!(ended.signal(), Some(9));
    // The command stays alive and holds nothing.
    until_suspended(&world);
    end_command(&world);
    assert_eq!(changes(&world), ONCE);
    until_no_keeper(&world);
}

#[test]
fn status_tells_who_holds_what_until_when() {
    let world = world();
    assert_eq!(status(&world), [Value::Null; 0]);
    world.cli(&["status"]).done().expect(0).says(&["there is no test session"]);
    let running = running(&world, &["--session", "mine"]);
    let keys = status(&world);
    let [key] = &keys[..] else { panic!("{keys:?}") };
    assert!(key["key"].as_str().unwrap().contains("name:ci"), "{key}");
    assert_eq!(key["sessions"][0]["name"], "mine");
    let shown = world.cli(&["status"]).done().expect(0).stdout;
    assert!(shown.contains("mine") && shown.contains("since") && shown.contains("ends with"), "{shown}");
    running.signal(Signal::TERM);
    running.done().expect(143);
    until_no_keeper(&world);
    assert_eq!(status(&world), [Value::Null; 0], "what is over is not shown");
    let all = world.cli(&["status", "--all", "--output", "json"]).done().expect(0).json();
    assert_eq!(all.as_array().unwrap().len(), 1);
}

#[test]
fn finish_ends_a_session_by_its_name_and_waits() {
    let world = world();
    let running = running(&world, &["--session", "mine"]);
    let done = world.cli(&["finish", "mine", "--wait", "--output", "json"]).done().expect(0);
    let document = done.json();
    assert_eq!(
        (document[0]["sessions"][0].as_str(), document[0]["outcome"].as_str()),
        (Some("mine"), Some("suspended"))
    );
    assert!(world.cloud().cluster("ci").suspended);
    running.signal(Signal::TERM);
    running.done().expect(143);
}

/// Forbids suspensions, after this many resumptions, which are the same call.
fn forbid_to_suspend(world: &World, resumptions: u32) {
    world.cloud().fault(Fault::on("PUT", "/suspend").status(403).after(resumptions).always());
}

#[test]
fn finish_fails_if_the_cluster_is_not_let_go_of() {
    let world = world();
    let running = running(&world, &["--session", "mine"]);
    forbid_to_suspend(&world, 0);
    let done = world.cli(&["finish", "mine", "--wait", "--output", "json"]).done().expect(1);
    assert_eq!(done.json()[0]["outcome"], "owed");
    running.signal(Signal::TERM);
    running.done().expect(143);
}

#[test]
fn a_wait_for_the_suspension_says_why_it_is_owed_still() {
    let passing = |world: &World, resumptions| {
        world.cloud().fault(Fault::on("PUT", "/suspend").status(503).after(resumptions).times(1));
        world.cloud().fault(Fault::on("PUT", "/suspend").drop_connection().after(resumptions).times(1));
    };
    let said = ["suspending cluster `ci`", "503 Service Unavailable", "did not answer PUT"];
    let a = world();
    passing(&a, 1);
    test(&a, &["--", "true"]).done().expect(0).says(&said).says(&["suspended after"]);
    let b = world();
    let running = running(&b, &["--session", "mine"]);
    passing(&b, 0);
    let done = b.cli(&["finish", "mine", "--wait", "--output", "json"]).done().expect(0).says(&said);
    assert_eq!(done.json()[0]["outcome"], "suspended");
    running.signal(Signal::TERM);
    running.done().expect(143);
}

#[test]
fn what_is_owed_is_shown_with_its_reason_and_fails_a_sweep() {
    let world = world();
    forbid_to_suspend(&world, 1);
    test(&world, &["--", "true"]).done().expect(1);
    let keys = status(&world);
    assert!(
        keys[0]["problem"].as_str().unwrap().contains("403 Forbidden") && keys[0]["owed_since"].is_i64(),
        "{keys:?}"
    );
    let shown = world.cli(&["status"]).done().expect(0).stdout;
    assert!(shown.contains("problem: ") && shown.contains(", since 20"), "{shown}");
    let swept = world.cli(&["sweep"]).done().expect(1).stdout;
    assert!(swept.contains("`ci` was being let go of and may be up still, since 20"), "{swept}");
    assert!(swept.contains("; failed: its keeper (process ") && swept.contains("403 Forbidden"), "{swept}");
}

#[test]
fn a_command_that_went_well_does_not_hide_that_the_cluster_runs_on() {
    for (command, code) in [("exit 0", 1), ("exit 7", 7)] {
        let world = world();
        forbid_to_suspend(&world, 1);
        let run = test(&world, &["--output", "json", "--", "sh", "-c", command]);
        let document = run.done().expect(code).says(&["error: ", "owed"]).json();
        assert_eq!(
            (document["exit_code"].as_i64(), document["cluster_outcome"].as_str()),
            (Some(code.into()), Some("owed"))
        );
    }
}

#[test]
fn finish_of_what_is_not_there_tells_what_helps() {
    let world = world();
    world.cli(&["finish", "nope"]).done().expect(4).says(&["nope", "cargo cratedb status"]);
    world.cli(&["log", "nope", "--output", "json"]).done().expect(4).says(&["nope"]);
    world.cli(&["sweep", "--forget", "nope"]).done().expect(4).says(&["nope"]);
    let done = world.cli(&["finish", "--cluster-name", "ci", "--output", "json"]).done().expect(0);
    assert_eq!(done.says(&["nothing to finish"]).json(), serde_json::json!([]));
}

#[test]
fn the_log_is_shown_and_where_it_would_be() {
    let world = world();
    world.cli(&["log", "--cluster-name", "ci"]).done().expect(1).says(&["no log"]);
    test(&world, &["--quiet", "--", "true"]).done().expect(0);
    let log = world.cli(&["log", "--cluster-name", "ci"]).done().expect(0).stdout;
    assert!(log.contains("suspend"), "{log}");
    let document = world.cli(&["log", "--cluster-name", "ci", "--output", "json"]).done().expect(0).json();
    assert!(PathBuf::from(document["path"].as_str().unwrap()).is_file());
    assert!(document["text"].as_str().unwrap().contains("suspend"));
}

/// Kills the keeper of a session that runs, then the session, so that the cluster is not released.
pub(crate) fn abandon(world: &World) {
    let running = running(world, &["--session", "mine"]);
    let keeper = u32::try_from(status(world)[0]["keeper"].as_u64().unwrap()).unwrap();
    // First the holder, stopped so that it can't attach to anything again.
    running.signal(Signal::STOP);
    kill_process(Pid::from_raw(i32::try_from(keeper).unwrap()).unwrap(), Signal::KILL).unwrap();
    running.signal(Signal::KILL);
    running.wait();
    end_command(world);
    until_no_keeper(world);
    assert_eq!(changes(world), [false], "something released the cluster");
}

#[test]
fn sweep_lets_go_of_what_a_killed_keeper_left() {
    let world = world();
    world.cli(&["sweep"]).done().expect(0).says(&["no session left anything"]);
    abandon(&world);
    assert_eq!(status(&world)[0]["owes"], true);
    let dry = world.cli(&["sweep", "--dry-run", "--output", "json"]).done().expect(0).json();
    assert_eq!(dry[0]["outcome"], "would repair");
    assert_eq!(changes(&world), [false]);
    let done = world.cli(&["sweep", "--output", "json"]).done().expect(0).json();
    assert_eq!(done[0]["outcome"], "repaired", "{done}");
    assert!(world.cloud().cluster("ci").suspended);
    until_no_keeper(&world);
}

#[test]
fn sweep_forgets_what_it_is_told_to() {
    let world = world();
    abandon(&world);
    let key = status(&world)[0]["hash"].as_str().unwrap().to_owned();
    let done = world.cli(&["sweep", "--forget", &key, "--output", "json"]).done().expect(0).json();
    assert_eq!(done[0]["outcome"], "forgotten", "{done}");
    assert_eq!(status(&world), [Value::Null; 0]);
    world.cloud().cluster("ci");
}

#[test]
fn a_sweep_that_can_not_repair_is_a_failure() {
    let world = world();
    abandon(&world);
    let run = world.stranger(&["sweep", "--output", "json"]);
    let done = run.done().expect(1);
    assert_eq!(done.json()[0]["outcome"], "skipped");
}

#[test]
fn a_cluster_that_can_not_be_had_is_told_by_the_exit_code() {
    let world = world();
    let mark = ["--", "touch", "mark"];
    let run = |more: &[&str]| test(&world, &[more, &mark].concat());
    run(&[]).env("CRATEDB_CLOUD_API_SECRET", "wrong").done().expect(3).says(&["401"]);
    run(&[]).without("CRATEDB_CLOUD_API_SECRET").done().expect(3).says(&["CRATEDB_CLOUD_API_SECRET"]);
    let id = ["test", "--cluster-id", "11111111-1111-4111-8111-111111111111", "--", "touch", "mark"];
    world.cli(&id).done().expect(4).says(&["does not exist"]);
    run(&[]).env("CRATEDB_TEST_START_TIMEOUT", "soon").done().expect(2).says(&["CRATEDB_TEST_START_TIMEOUT", "soon"]);
    run(&[]).env("CRATEDB_TEST_SESSION", "a b").done().expect(2).says(&["CRATEDB_TEST_SESSION"]);
    assert!(!world.home().join("mark").exists());
}

#[test]
fn a_cluster_that_takes_too_long_is_timed_out() {
    let world = World::of(Options::default().cluster(ClusterOptions::suspended("ci")));
    world.cloud().hold_next_operation("ci");
    let done = test(&world, &["--timeout", "300ms", "--output", "json", "--", "touch", "mark"]).done().expect(5);
    assert_eq!(done.json()["error"]["exit_code"], 5);
    assert!(!world.home().join("mark").exists());
    world.cloud().release("ci");
    until_suspended(&world);
    until_no_keeper(&world);
}
