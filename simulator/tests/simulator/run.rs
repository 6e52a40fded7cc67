//! The program's `run`, with small shell commands as the command.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Signal, kill_process};
use serde_json::json;

use super::serve::{ended, pid};
use super::support::{Connection, eventually, path};

/// Shell functions for the commands: this test binary is their client, so that nothing else need be installed.
/// `keeper NAME` starts a process that holds the lock of a keeper until there is a file `NAME.end`.
const PRELUDE: &str = r#"
resume() { CALL=resume "$CLIENT" --exact run::client --ignored > /dev/null; }
suspend() { CALL=suspend "$CLIENT" --exact run::client --ignored > /dev/null; }
keeper() {
    NAME=$1 "$CLIENT" --exact run::keeper --ignored > /dev/null 2>&1 &
    tries=0
    until test -e "$CRATEDB_TEST_DIR/$1.held" || test $tries = 1000; do tries=$((tries + 1)); sleep 0.02; done
}
"#;

#[test]
#[ignore = "no test: a keeper that the commands of the other tests start, by PRELUDE"]
fn keeper() {
    let (Ok(dir), Ok(name)) = (std::env::var("CRATEDB_TEST_DIR"), std::env::var("NAME")) else { return };
    let file = |end: &str| Path::new(&dir).join(format!("{name}.{end}"));
    let _held = hold(&file("keeper"));
    File::create(file("held")).unwrap();
    eventually("it is told to end", || file("end").exists().then_some(()));
}

/// Takes a lock as keepers do.
fn hold(path: &Path) -> File {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

#[test]
#[ignore = "no test: the client that the commands of the other tests start, by PRELUDE"]
fn client() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let suspended = match variable("CALL").as_str() {
        "resume" => false,
        "suspend" => true,
        _ => return,
    };
    let api = Connection::open(&variable("CRATEDB_CLOUD_ENDPOINT")).with("user-agent", &variable("AGENT"));
    let mut api = api.basic(&variable("CRATEDB_CLOUD_API_KEY"), &variable("CRATEDB_CLOUD_API_SECRET"));
    let clusters = api.get("/api/v2/clusters/").expect(200);
    let found =
        clusters.as_array().unwrap().iter().find(|one| one["name"] == variable("CRATEDB_CLUSTER_NAME")).unwrap();
    let suspend = path(found["id"].as_str().unwrap(), "suspend/");
    api.put(&suspend, &json!({ "suspended": suspended })).expect(200);
}

fn command(options: &[&str], script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cratedb-cloud-simulator"));
    command.env("CLIENT", std::env::current_exe().unwrap());
    command.arg("run").args(options).args(["--", "sh", "-c", &format!("{PRELUDE}\n{script}")]);
    command
}

fn run(options: &[&str], script: &str) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(options, script).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_command_finds_its_cluster_in_the_environment() {
    let shown = "echo $CRATEDB_CLUSTER_NAME $CRATEDB_CLOUD_API_KEY $CRATEDB_CLOUD_API_SECRET $CRATEDB_TEST_OUTER $PPID; \
                 test -w $CRATEDB_TEST_REPORT && suspend && echo answered";
    let options = ["--cluster", "name=demo", "--api-key", "k", "--api-secret", "s"];
    let (code, out, err) = run(&options, shown);
    let words: Vec<_> = out.split_whitespace().collect();
    assert_eq!((code, &words[..3], words[5]), (Some(0), &["demo", "k", "s"][..], "answered"), "{err}");
    assert_eq!(words[3], words[4], "the outer process is the simulator itself");
}

#[test]
fn inherited_variables_for_other_clusters_and_of_cargo_are_removed() {
    let script = "echo ${CRATEDB_CLUSTER_URL-none} ${CARGO_MANIFEST_DIR-none} ${CARGO_HOME-none} ${KEPT-none}";
    let mut command = command(&["--cluster", "name=demo"], script);
    for (name, value) in [("CRATEDB_CLUSTER_URL", "u"), ("CARGO_MANIFEST_DIR", "d"), ("CARGO_HOME", "h"), ("KEPT", "k")]
    {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "none none h k\n");
}

#[test]
fn the_commands_exit_code_is_returned() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        assert_eq!(run(&["--cluster", "name=demo"], script).0, Some(code), "{script}");
    }
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cratedb-cloud-simulator"));
    let output = command.args(["run", "--", "/no/such/program"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(told.starts_with("error: cannot run `/no/such/program`: "), "{told}");
}

#[test]
fn the_timeline_tells_what_was_resumed_shared_and_suspended() {
    let script = "resume; sleep 0.3
        echo '{\"session\":\"a\",\"tests\":12,\"processes\":4,\"binaries\":3,\"outcome\":\"suspended\"}' >> $CRATEDB_TEST_REPORT
        (sleep 0.3; suspend) > /dev/null 2>&1 &";
    let options = ["--cluster", "name=demo,state=suspended", "--operation-time", "200ms"];
    let (code, _, err) = run(&options, script);
    let lines: Vec<_> = err.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 3), "{err}");
    let resumed =
        lines[0].strip_prefix("cluster \"demo\" resumed ").unwrap().strip_suffix(" after the first request").unwrap();
    let millis: f64 = resumed.strip_suffix(" ms").unwrap().parse().unwrap();
    assert!((200.0..5000.0).contains(&millis), "{err}");
    assert_eq!(lines[1], "12 tests in 3 binaries shared it");
    assert!(lines[2].starts_with("suspended ") && lines[2].ends_with(" after the end"), "{err}");
}

#[test]
fn the_users_report_gets_the_lines_too() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report");
    let told = |to: &Path| {
        let mut command = command(&["--cluster", "name=demo"], "echo '{\"tests\":1}' >> $CRATEDB_TEST_REPORT; suspend");
        String::from_utf8(command.env("CRATEDB_TEST_REPORT", to).output().unwrap().stderr).unwrap()
    };
    for lines in 1..=2 {
        let err = told(&report);
        assert_eq!(std::fs::read_to_string(&report).unwrap(), "{\"tests\":1}\n".repeat(lines), "{err}");
    }
    let err = told(dir.path());
    assert!(err.contains("CRATEDB_TEST_REPORT=`") && err.contains("` was not written: "), "{err}");
}

#[test]
fn a_cluster_that_still_runs_makes_a_success_a_failure_at_once() {
    let options = ["--cluster", "name=demo,state=suspended"];
    let begun = Instant::now();
    let (code, _, err) = run(&options, "resume");
    assert_eq!(code, Some(1));
    assert!(err.ends_with("still runs: no suspension was requested\n"), "{err}");
    assert_eq!(run(&options, "resume; exit 5").0, Some(5), "the command's own failure stays");
    assert!(begun.elapsed() < Duration::from_secs(20), "no process was left that could have suspended it");
}

#[test]
fn a_process_that_the_command_left_may_suspend_its_cluster_until_the_time_is_over() {
    let mut options = vec!["--cluster", "name=demo,state=suspended"];
    let script = "resume; (sleep 0.3; suspend) > /dev/null 2>&1 &";
    let (code, _, err) = run(&options, script);
    assert!(code == Some(0) && err.contains("suspended ") && err.ends_with(" after the end\n"), "{err}");
    options.extend(["--wait", "100ms"]);
    let (code, _, err) = run(&options, script);
    assert!(code == Some(1) && err.ends_with("still runs: no suspension was requested\n"), "{err}");
}

#[test]
fn every_session_is_waited_for_and_counted() {
    // The second one's keeper suspends nothing: the cluster is suspended already.
    let script = "report() { echo \"{\\\"tests\\\":$1,\\\"binaries\\\":$2}\" >> $CRATEDB_TEST_REPORT; }
        resume; suspend; report 1 1; keeper one; keeper two
        (sleep 0.2; report 2 1; touch $CRATEDB_TEST_DIR/one.end
         sleep 0.3; report 4 3; touch $CRATEDB_TEST_DIR/two.end) > /dev/null 2>&1 &";
    let (code, _, err) = run(&["--cluster", "name=demo,state=suspended"], script);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("7 tests in 5 binaries shared it"), "{err}");
}

#[test]
fn a_keeper_that_does_not_end_in_time_is_named_and_keeps_its_files() {
    let options = ["--cluster", "name=demo,state=suspended", "--wait", "300ms"];
    let (code, out, err) = run(&options, "resume; suspend; keeper slow; echo $!");
    let pid = out.trim();
    assert_eq!(code, Some(1), "{err}");
    let told = format!("the keeper with process id {pid} has not ended within 300ms (--wait)");
    let dir = err.trim().rsplit_once("the logs of the run's keepers are in ").map(|(_, dir)| PathBuf::from(dir));
    assert!(err.contains(&told) && dir.is_some(), "{err}");
    let dir = dir.unwrap();
    assert!(dir.join("slow.keeper").exists());
    File::create(dir.join("slow.end")).unwrap();
    eventually("the keeper ends", || is_free(&dir.join("slow.keeper")).then_some(()));
    std::fs::remove_dir_all(dir).unwrap();
}

fn is_free(lock: &Path) -> bool {
    let file = File::options().read(true).write(true).open(lock).unwrap();
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[test]
fn in_a_directory_of_the_users_only_keepers_of_this_simulator_are_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let _other = hold(&dir.path().join("other.keeper"));
    std::fs::write(dir.path().join("other.journal"), "{\"key\":\"cloud|http://127.0.0.1:1|name:demo|k\"}").unwrap();
    let options = ["--cluster", "name=demo,state=suspended", "--wait", "15s"];
    let script = "printf '{\"key\":\"cloud|%s|name:demo|k\"}' $CRATEDB_CLOUD_ENDPOINT > $CRATEDB_TEST_DIR/own.journal
        resume; suspend; keeper own
        (sleep 0.3; echo '{\"tests\":5,\"binaries\":1}' >> $CRATEDB_TEST_REPORT; touch $CRATEDB_TEST_DIR/own.end) > /dev/null 2>&1 &";
    let mut command = command(&options, script);
    let output = command.env("CRATEDB_TEST_DIR", dir.path()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains("5 tests in 1 binary shared it") && !err.contains("keeper with process id"), "{err}");
    assert!(dir.path().join("own.keeper").exists(), "the directory is the user's");
}

#[test]
fn clusters_that_were_found_running_or_may_not_be_suspended_are_no_failure() {
    assert_eq!(run(&["--cluster", "name=demo"], "true"), (Some(0), String::new(), String::new()));
    let (code, _, err) = run(&["--cluster", "name=demo,state=suspended,product=crfree"], "resume");
    assert_eq!(code, Some(0));
    assert!(err.ends_with("left running: its product cannot be suspended\n"), "{err}");
}

#[test]
fn signals_reach_the_command_and_the_suspension_is_still_awaited() {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready");
    let script = format!(
        "trap 'echo told; (sleep 0.3; suspend) >/dev/null 2>&1 & exit 3' TERM
         resume; touch {}; while :; do sleep 0.05; done",
        ready.display()
    );
    let mut child = command(&["--cluster", "name=demo,state=suspended"], &script)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the command is ready", || ready.exists().then_some(()));
    kill_process(pid(&child), Signal::INT).unwrap();
    kill_process(pid(&child), Signal::HUP).unwrap();
    kill_process(pid(&child), Signal::TERM).unwrap();
    let status = ended(&mut child);
    let output = child.wait_with_output().unwrap();
    assert_eq!((status.code(), output.stdout.as_slice()), (Some(3), b"told\n".as_slice()));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("suspended ") && err.ends_with(" after the end\n"), "{err}");
}
