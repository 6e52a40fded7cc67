//! `test -- cargo test`: the build beside the wait for the cluster.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Fault, Options};
use rustix::process::{Pid, Signal, kill_process};

use crate::executable;
use crate::sessions::{ONCE, changes, test, test_process, until_no_keeper, until_suspended};
use crate::support::{PROGRAM, Run, World, eventually};

const CARGO_TEST: [&str; 5] = ["--", "cargo", "test", "-p", "x"];
const BUILD: &str = "test --no-run -p x";
const TESTS: &str = "test -p x";

/// A world whose `cargo` is a script that notes its arguments and then does what it is told for the build, and for the
/// tests.
struct Project {
    world: World,
}

impl Project {
    /// A project on a suspended cluster.
    fn new(build: &str, tests: &str) -> Self {
        Self::on(World::with([ClusterOptions::suspended("ci")]), build, tests)
    }

    fn on(world: World, build: &str, tests: &str) -> Self {
        let (bin, home) = (world.home().join("bin"), world.home().display());
        std::fs::create_dir(&bin).unwrap();
        let script = format!(
            "cd '{home}'\necho \"$@\" >> calls\n\
             case \" $* \" in\n*' --no-run '*)\n{build}\n;;\n*)\n{tests}\n;;\nesac\n"
        );
        executable::script(&bin.join("cargo"), &script);
        // A build that reads this waits for the test.
        let go = world.home().join("go");
        assert!(Command::new("mkfifo").arg(go).status().unwrap().success());
        Self { world }
    }

    /// Prepares `test` with the cluster `ci` and these arguments.
    fn test(&self, arguments: &[&str]) -> Run {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let bin = self.world.home().join("bin");
        let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&paths))).unwrap();
        test(&self.world, arguments).env("PATH", path)
    }

    /// Returns the arguments of each call of cargo so far.
    fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.world.home().join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    /// Waits until the build runs, and the cluster resumes beside it.
    fn until_both_are_under_way(&self) {
        eventually("the resumption", || (changes(&self.world) == [false]).then_some(()));
        eventually("the build", || (self.calls() == [BUILD]).then_some(()));
    }

    fn until_the_cluster_runs(&self) {
        eventually("the cluster", || (!self.world.cloud().cluster("ci").suspended).then_some(()));
    }

    /// Lets a build go on that waits for `go`.
    fn let_the_build_go_on(&self) {
        std::fs::write(self.world.home().join("go"), "").unwrap();
    }

    fn process(&self) -> Option<Pid> {
        let mark = std::fs::read_to_string(self.world.home().join("mark")).ok()?;
        Pid::from_raw(mark.trim().parse().ok()?)
    }
}

/// A build that ends when the test lets it.
const WAITS: &str = "echo 'compiling a' >&2; read line < go; echo 'compiling b' >&2";
/// A build that is to be interrupted.
const MARKS: &str = "echo $$ > mark; exec sleep 600";

#[test]
fn the_tests_are_built_while_the_cluster_resumes_and_run_when_both_are_done() {
    let project = Project::new(WAITS, &format!("{PROGRAM} query 'SELECT 1 AS one' --output csv --quiet"));
    project.world.cloud().hold_next_operation("ci");
    let run = project.test(&CARGO_TEST).start();
    project.until_both_are_under_way();
    project.let_the_build_go_on();
    project.world.cloud().release("ci");

    let done = run.done().expect(0).says(&["session cargo-cratedb-", "is ready", "the build"]);

    assert_eq!(done.stdout, "one\n1\n", "the cluster is there for the tests");
    assert_eq!(project.calls(), [BUILD, TESTS]);
    assert_eq!(changes(&project.world), ONCE);
    assert!(project.world.cloud().cluster("ci").suspended);
}

#[test]
fn a_cluster_that_is_there_first_waits_for_the_build() {
    let project = Project::new(WAITS, &test_process().join(" "));
    let run = project.test(&CARGO_TEST).start();
    project.until_both_are_under_way();
    project.until_the_cluster_runs();
    assert_eq!(project.calls(), [BUILD]);
    project.let_the_build_go_on();

    let done = run.done().expect(0);

    assert_eq!(done.stdout.matches("1 passed").count(), 1, "{done:?}");
    assert_eq!(project.calls(), [BUILD, TESTS]);
    assert_eq!(changes(&project.world), ONCE, "{done:?}");
}

#[test]
fn what_is_waited_for_is_said_when_the_build_has_ended() {
    let project = Project::new(WAITS, "echo 'the tests' >&2");
    project.world.cloud().hold_next_operation("ci");
    let run = project.test(&CARGO_TEST).start();
    project.until_both_are_under_way();
    project.let_the_build_go_on();
    project.world.cloud().release("ci");

    let done = run.done().expect(0);

    let at = |text: &str| done.stderr.find(text).unwrap_or_else(|| panic!("{text} is not in {done:#?}"));
    let order = ["compiling a", "compiling b", "resuming cluster `ci`", "is ready", "the tests", "suspended after"];
    assert!(order.map(at).is_sorted(), "{done:#?}");
}

#[test]
fn a_build_that_fails_ends_the_session_with_its_exit_code() {
    for cluster_first in [true, false] {
        let project = Project::new(&format!("{WAITS}; exit 101"), "");
        if !cluster_first {
            project.world.cloud().hold_next_operation("ci");
        }
        let run = project.test(&[&["--output", "json"], &CARGO_TEST[..]].concat()).start();
        project.until_both_are_under_way();
        if cluster_first {
            project.until_the_cluster_runs();
        }
        project.let_the_build_go_on();
        if !cluster_first {
            // The resumption can't be undone before it has ended.
            project.world.cloud().release("ci");
        }

        let done = run.done().expect(101).says(&["the build ended with exit code 101", "was not started"]);

        let document = done.json();
        assert_eq!((&document["exit_code"], &document["cluster_outcome"]), (&101.into(), &"suspended".into()));
        assert_eq!(project.calls(), [BUILD]);
        assert_eq!(changes(&project.world), ONCE, "{done:?}");
        assert!(project.world.cloud().cluster("ci").suspended, "it was not waited for: {done:?}");
        until_no_keeper(&project.world);
    }
}

/// The wait for the release of a cluster that still resumes can be ended, as that of any other.
#[test]
fn a_failed_build_does_not_keep_a_user_who_is_in_a_hurry() {
    let project = Project::new(&format!("{WAITS}; exit 101"), "");
    project.world.cloud().hold_next_operation("ci");
    let mut screen = project.test(&CARGO_TEST).in_a_terminal();
    project.until_both_are_under_way();
    project.let_the_build_go_on();
    screen.until("releasing the cluster");
    screen.ctrl_c();
    screen.until("once more");
    screen.ctrl_c();
    let (code, seen) = screen.done();
    assert_eq!(code, Some(101), "{seen}");
    assert!(seen.contains("the keeper releases the cluster"), "{seen}");
    project.world.cloud().release("ci");
    until_suspended(&project.world);
    until_no_keeper(&project.world);
}

#[test]
fn a_build_that_can_not_be_started_ends_the_session_too() {
    let project = Project::new("", "");
    let run = test(&project.world, &["--", "./no-such-directory/cargo", "test"]);
    run.done().expect(127).says(&["cannot run `./no-such-directory/cargo`"]);
    // The resumption may have been given up before it was asked for.
    assert!([&[][..], &ONCE].contains(&&changes(&project.world)[..]));
    assert!(project.world.cloud().cluster("ci").suspended);
    assert_eq!(project.calls(), [""; 0]);
}

#[test]
fn without_overlap_nothing_starts_before_the_cluster_is_there() {
    let project = Project::new("exit 1", "");
    project.world.cloud().hold_next_operation("ci");
    let run = project.test(&[&["--no-overlap"], &CARGO_TEST[..]].concat()).start();
    eventually("the resumption", || (changes(&project.world) == [false]).then_some(()));
    assert_eq!(project.calls(), [""; 0]);
    project.world.cloud().release("ci");
    let done = run.done().expect(0);
    assert!(!done.stderr.contains("the build"), "{done:?}");
    assert_eq!(project.calls(), [TESTS]);
}

#[test]
fn what_is_not_recognised_is_run_as_it_was() {
    for command in [&["cargo", "test", "--help"][..], &["cargo", "llvm-cov", "nextest"], &["sh", "-c", "cargo test"]] {
        let project = Project::new("exit 1", "");
        project.test(&[&["--"], command].concat()).done().expect(0);
        assert_eq!(project.calls().len(), 1, "{command:?}");
        assert_eq!(changes(&project.world), ONCE, "{command:?}");
    }
}

#[test]
fn a_cluster_that_can_not_be_had_is_an_error_before_anything_is_built() {
    let project = Project::new("", "");
    let run = || project.test(&CARGO_TEST);
    run().env("CRATEDB_CLOUD_API_SECRET", "wrong").done().expect(3).says(&["401"]);
    run().env("CRATEDB_TEST_START_TIMEOUT", "soon").done().expect(2).says(&["CRATEDB_TEST_START_TIMEOUT", "soon"]);
    let id = ["test", "--cluster-id", "11111111-1111-4111-8111-111111111111", "--", "cargo", "test"];
    project.world.cli(&id).done().expect(4).says(&["does not exist"]);
    assert_eq!(project.calls(), [""; 0]);
}

#[test]
fn a_cluster_that_is_refused_during_the_build_is_told_at_once_and_is_the_error_at_the_end() {
    let project = Project::new(&format!("{WAITS}; exit 101"), "");
    project.world.cloud().hold_next_operation("ci");
    let arguments = [&["--timeout", "2s"], &CARGO_TEST[..]].concat();
    let screen = project.test(&arguments).in_a_terminal();
    screen.until("the build goes on, and Ctrl-C ends it");
    assert!(!screen.seen().contains("error:"), "{}", screen.seen());
    project.let_the_build_go_on();
    let (code, seen) = screen.done();
    assert_eq!(code, Some(5), "{seen}");
    let at = |text: &str| seen.find(text).unwrap_or_else(|| panic!("{text} is not in {seen}"));
    assert!(["compiling a", "the build goes on", "compiling b", "error:"].map(at).is_sorted(), "{seen}");
    assert_eq!(project.calls(), [BUILD]);
    project.world.cloud().release("ci");
    until_suspended(&project.world);
    until_no_keeper(&project.world);
}

#[test]
fn a_signal_during_the_build_ends_it_and_the_session() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        for cluster_first in [true, false] {
            let project = Project::new(MARKS, "");
            if !cluster_first {
                project.world.cloud().hold_next_operation("ci");
            }
            let run = project.test(&CARGO_TEST).start();
            project.until_both_are_under_way();
            eventually("the process of the build", || project.process());
            if cluster_first {
                project.until_the_cluster_runs();
            }
            run.signal(signal);
            if !cluster_first {
                project.world.cloud().release("ci");
            }
            let done = run.done().expect(code).says(&["the build was interrupted; the command was not started"]);
            assert_eq!(project.calls(), [BUILD]);
            assert_eq!(changes(&project.world), ONCE, "{signal:?} {done:?}");
            assert!(project.world.cloud().cluster("ci").suspended, "{signal:?}");
        }
    }
}

#[test]
fn ctrl_c_during_the_build_reaches_it_once_and_ends_the_session() {
    let project = Project::new("trap 'echo caught; exit 42' INT; echo building; read line < go", "");
    let mut screen = project.test(&CARGO_TEST).in_a_terminal();
    screen.until("building");
    screen.ctrl_c();
    let (code, seen) = screen.done();
    assert_eq!(code, Some(42), "{seen}");
    assert_eq!(seen.matches("caught").count(), 1, "{seen}");
    assert!(seen.contains("suspended after"), "{seen}");
    assert_eq!(project.calls(), [BUILD]);
    assert!(project.world.cloud().cluster("ci").suspended);
}

#[test]
fn a_build_that_succeeds_in_spite_of_a_signal_is_not_followed_by_the_tests() {
    let build = "trap 'touch noticed' INT; echo $$ > mark; sleep 600 & \
                 while [ ! -e noticed ]; do wait; done; kill $!; exit 0";
    let project = Project::new(build, "");
    let run = project.test(&CARGO_TEST).start();
    project.until_both_are_under_way();
    eventually("the process of the build", || project.process());
    run.signal(Signal::INT);
    run.done().expect(130).says(&["the build was interrupted; the command was not started"]);
    assert_eq!(project.calls(), [BUILD]);
    assert_eq!(changes(&project.world), ONCE);
}

#[test]
fn the_death_of_this_process_during_the_build_ends_the_session() {
    for cluster_first in [true, false] {
        let project = Project::new(MARKS, "");
        if !cluster_first {
            project.world.cloud().hold_next_operation("ci");
        }
        let run = project.test(&CARGO_TEST).start();
        let build = eventually("the build", || project.process());
        eventually("the resumption", || (changes(&project.world) == [false]).then_some(()));
        run.signal(Signal::KILL);
        assert_eq!(run.wait().signal(), Some(9));
        if !cluster_first {
            project.world.cloud().release("ci");
        }
        // The build stays alive and holds nothing.
        until_suspended(&project.world);
        kill_process(build, Signal::KILL).unwrap();
        assert_eq!(changes(&project.world), ONCE);
        until_no_keeper(&project.world);
    }
}

#[test]
fn in_a_terminal_the_build_has_the_screen_until_it_ends() {
    let project = Project::new(&format!("test -t 1 && test -t 2 && echo 'on a terminal'; {WAITS}"), "echo 'the tests'");
    project.world.cloud().hold_next_operation("ci");
    let screen = project.test(&CARGO_TEST).in_a_terminal();
    project.until_both_are_under_way();
    project.let_the_build_go_on();
    screen.until("resuming cluster `ci`");
    project.world.cloud().release("ci");
    let (raw, (code, seen)) = (screen.raw(), screen.done());
    assert_eq!(code, Some(0), "{seen}");
    assert!(raw.find("compiling b").unwrap() < raw.find("resuming").unwrap(), "{raw:?}");
    assert!(seen.contains("on a terminal") && seen.contains(" s after the build, which took "), "{seen}");
    assert!(!seen.contains("resuming"), "it is erased: {seen}");
}

#[test]
fn a_build_belongs_to_the_session_as_the_tests_do() {
    let print = "echo \"$CRATEDB_TEST_SESSION $CRATEDB_TEST_SESSION_IDLE ${CRATEDB_TEST_SESSION_URL:+url}\"";
    let project = Project::new(print, print);
    let done = project.test(&[&["--session", "mine"], &CARGO_TEST[..]].concat()).done().expect(0);
    assert_eq!(done.stdout, "mine 10s \nmine 10s url\n");
}

#[test]
fn a_failed_build_fails_although_the_cluster_stays_up_and_that_is_said() {
    let project = Project::new(&format!("{WAITS}; exit 101"), "");
    project.world.cloud().fault(Fault::on("PUT", "/suspend").status(403).after(1).always());
    let run = project.test(&[&["--output", "json"], &CARGO_TEST[..]].concat()).start();
    project.until_both_are_under_way();
    project.until_the_cluster_runs();
    project.let_the_build_go_on();
    let document = run.done().expect(101).says(&["error: ", "owed"]).json();
    assert_eq!((&document["exit_code"], &document["cluster_outcome"]), (&101.into(), &"owed".into()));
}

/// A package without dependencies, whose test finds the cluster's address, and the real cargo.
fn real(text: &str) -> World {
    let options = Options::default().cluster(ClusterOptions::suspended("ci"));
    let world = World::of(options.operation_time(Duration::from_millis(500)));
    world.write("Cargo.toml", "[package]\nname = \"real\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n");
    std::fs::create_dir(world.home().join("tests")).unwrap();
    world.write("tests/it.rs", text);
    world
}

#[test]
fn cargo_itself_finds_everything_built() {
    let world = real("#[test]\nfn finds_it() { assert!(std::env::var(\"CRATEDB_TEST_SESSION_URL\").is_ok()); }\n");
    let arguments = ["--", "cargo", "test", "--offline", "--test", "it", "--", "--test-threads=1"];
    let done = test(&world, &arguments).done().expect(0);
    assert!(done.stdout.contains("1 passed"), "{done:#?}");
    assert_eq!(done.stderr.matches("Compiling real").count(), 1, "{done:#?}");
    assert_eq!(changes(&world), ONCE);
}

#[test]
fn cargo_itself_fails_to_build_with_101() {
    let world = real("#[test]\nfn finds_it() { nothing_of_this_name() }\n");
    let done = test(&world, &["--", "cargo", "test", "--offline"]).done().expect(101);
    assert_eq!(done.stderr.matches("nothing_of_this_name").count(), 2, "told and shown once: {done:#?}");
    assert_eq!(changes(&world), ONCE, "{done:#?}");
    assert!(world.cloud().cluster("ci").suspended);
}
