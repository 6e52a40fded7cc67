//! The action in `ci/action/`, run as GitHub's runner runs it: a new process for each step, inputs and state in
//! variables, results in files.
//!
//! Without Node the tests say so and do nothing. `CRATEDB_TEST_REQUIRE=node` makes that a failure.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cratedb_cloud_simulator::{ClusterOptions, Fault};
use rustix::process::Signal;
#[cfg(target_os = "linux")]
use rustix::process::{Pid, kill_process};

use crate::sessions::{ONCE, changes, test_process, until_suspended};
use crate::support::{Done, KEY, PROGRAM, Run, SECRET, World, eventually};

const ACTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/action");
/// The oldest that has all that the action uses.
const OLDEST_NODE: u32 = 20;

/// Files through which a step answers.
const FILES: [&str; 4] = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"];

/// Returns whether Node is here, and says so if it is not.
fn has_node() -> bool {
    let version = Command::new("node").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let major = version.strip_prefix('v').and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    let found = major.is_some_and(|major| major >= OLDEST_NODE);
    if !found {
        let required = std::env::var("CRATEDB_TEST_REQUIRE").unwrap_or_default();
        let required = required.split(',').any(|name| name == "node");
        assert!(!required, "CRATEDB_TEST_REQUIRE names node, and Node {OLDEST_NODE} or later is missing: `{version}`");
        eprintln!("skipped: Node {OLDEST_NODE} or later is missing");
    }
    found
}

/// A job of a workflow, from the runner's side.
struct Job {
    world: World,
    inputs: BTreeMap<String, String>,
    /// Of the job, and those that steps have set.
    environment: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
    state: BTreeMap<String, String>,
    summary: String,
}

impl Job {
    /// A job whose cluster is suspended. Returns none without Node.
    fn new() -> Option<Self> {
        Self::with(ClusterOptions::suspended("ci"))
    }

    fn with(cluster: ClusterOptions) -> Option<Self> {
        if !has_node() {
            return None;
        }
        let world = World::with([cluster]);
        for dir in ["temp", "workspace"] {
            fs::create_dir(world.home().join(dir)).unwrap();
        }
        let environment = [("CRATEDB_CLUSTER_NAME".to_owned(), "ci".to_owned())].into();
        let inputs = defaults().into_iter().chain([("program".to_owned(), PROGRAM.to_owned())]).collect();
        let [outputs, state] = [BTreeMap::new(), BTreeMap::new()];
        Some(Self { world, inputs, environment, outputs, state, summary: String::new() })
    }

    fn input(&mut self, name: &str, value: &str) {
        self.inputs.insert(name.to_owned(), value.to_owned());
    }

    fn file(&self, variable: &str) -> PathBuf {
        self.world.home().join(variable)
    }

    /// Prepares a program of a step.
    fn run(&self, program: &str, arguments: &[&str]) -> Run {
        let home = self.world.home();
        let mut run = Run::of(&self.world, program, arguments).with_the_key().within("workspace");
        run = run.env("GITHUB_WORKSPACE", home.join("workspace")).env("RUNNER_TEMP", home.join("temp"));
        run = run.env("GITHUB_RUN_ID", "42").env("GITHUB_RUN_ATTEMPT", "3").env("CI", "true");
        for file in FILES {
            fs::write(self.file(file), "").unwrap();
            run = run.env(file, self.file(file));
        }
        self.environment.iter().fold(run, |run, (name, value)| run.env(name, value))
    }

    fn main(&self) -> Run {
        let run = self.run("node", &[&format!("{ACTION}/src/main.js")]);
        self.inputs.iter().fold(run, |run, (name, value)| run.env(&format!("INPUT_{}", name.to_uppercase()), value))
    }

    fn post(&self) -> Run {
        let run = self.run("node", &[&format!("{ACTION}/src/post.js")]);
        self.state.iter().fold(run, |run, (name, value)| run.env(&format!("STATE_{name}"), value))
    }

    /// Takes what a step has answered, as the runner does after its end.
    fn take(&mut self) {
        self.environment.extend(answers(&self.file("GITHUB_ENV")));
        self.outputs.extend(answers(&self.file("GITHUB_OUTPUT")));
        self.state.extend(answers(&self.file("GITHUB_STATE")));
        self.summary += &fs::read_to_string(self.file("GITHUB_STEP_SUMMARY")).unwrap();
    }

    /// Runs the main step to its end.
    fn begin(&mut self, code: i32) -> Done {
        let done = self.main().done().expect(code);
        self.take();
        done
    }

    /// Runs the post step to its end.
    fn end(&mut self, code: i32) -> Done {
        let done = self.post().done().expect(code);
        self.take();
        done
    }

    /// Returns the process that holds the session, if it lives. Only Linux shows it.
    #[cfg(target_os = "linux")]
    fn holder(&self) -> Option<Pid> {
        process_with(&format!("holder.js\0{}", self.state["place"]))
    }
}

/// Returns the process whose command line has this part.
#[cfg(target_os = "linux")]
fn process_with(mark: &str) -> Option<Pid> {
    let of = |pid: &str| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let names = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let mut pids = names.filter(|name| name.parse::<i32>().is_ok());
    let pid = pids.find(|pid| String::from_utf8_lossy(&of(pid)).contains(mark))?;
    Pid::from_raw(pid.parse().unwrap())
}

/// Returns the defaults of the inputs, which the runner passes like values that are given.
fn defaults() -> BTreeMap<String, String> {
    let action = fs::read_to_string(format!("{ACTION}/action.yml")).unwrap();
    let action: yaml_serde::Value = yaml_serde::from_str(&action).unwrap();
    let inputs = action["inputs"].as_mapping().unwrap().iter();
    inputs
        .map(|(name, input)| [name, &input["default"]].map(|text| text.as_str().unwrap().to_owned()))
        .map(Into::into)
        .collect()
}

/// Reads one of the files through which a step answers: names, and values between lines with a mark.
fn answers(path: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).unwrap();
    let (mut lines, mut all) = (text.lines(), BTreeMap::new());
    while let Some(head) = lines.next() {
        let (name, mark) = head.split_once("<<").unwrap();
        let value: Vec<_> = lines.by_ref().take_while(|line| *line != mark).collect();
        all.insert(name.to_owned(), value.join("\n"));
    }
    all
}

/// Asserts that a step told people so.
#[track_caller]
fn told(done: &Done, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(done.stdout.contains(part), "not told: {part}\n{done:#?}"));
}

#[test]
fn tests_of_later_steps_share_the_cluster_and_it_is_released_after_the_job() {
    let Some(mut job) = Job::new() else { return };
    let begun = job.begin(0);
    told(&begun, &[&format!("::add-mask::{SECRET}\n"), &format!("::add-mask::{KEY}\n"), "resuming cluster `ci`"]);
    assert!(job.outputs["session"].starts_with("github-42-3-"), "{:?}", job.outputs);
    assert_eq!(job.outputs["session"], job.environment["CRATEDB_TEST_SESSION"]);
    assert_eq!(job.outputs["url"], job.environment["CRATEDB_TEST_SESSION_URL"]);
    assert_eq!(job.outputs["cache-hit"], "false");
    let process = test_process();
    let arguments: Vec<_> = process[1..].iter().map(String::as_str).collect();
    for _ in 0..2 {
        let done = job.run(&process[0], &arguments).done().expect(0);
        assert!(done.stdout.contains("1 passed"), "{done:?}");
        assert_eq!(changes(&job.world), [false], "the cluster stays");
    }
    let ended = job.end(0);
    assert!(job.world.cloud().cluster("ci").suspended, "it was not waited for");
    assert_eq!(changes(&job.world), ONCE);
    told(&ended, &["is over: cluster suspended", "suspended after"]);
    for part in [
        "| cluster | cluster &#96;ci&#96; ",
        "| tests | 2 passed in 2 processes |",
        "| at the end | cluster suspended |",
        "| bill | ",
    ] {
        assert!(job.summary.contains(part), "{part}: {}", job.summary);
    }
}

#[test]
fn a_second_post_step_has_nothing_to_do() {
    let Some(mut job) = Job::new() else { return };
    job.begin(0);
    job.end(0);
    told(&job.end(0), &["was ended before: cluster suspended"]);
    assert_eq!(changes(&job.world), ONCE);
    assert_eq!(job.summary.matches("### CrateDB").count(), 1);
}

#[test]
fn a_post_step_without_a_session_has_nothing_to_do() {
    let Some(mut job) = Job::new() else { return };
    told(&job.end(0), &["there is none to end"]);
}

#[test]
fn mistakes_in_inputs_name_the_input_its_value_and_what_is_accepted() {
    for (input, value, accepted) in [
        ("wait", "yes", "accepted are true and false"),
        ("cache", "1", "accepted are true and false"),
        ("summary", "", "accepted are true and false"),
        ("session", "a b", "accepted are 1 to 64 of letters"),
        ("working-directory", "nowhere", "accepted is a directory"),
        ("program", "/nowhere/cargo-cratedb", "no such program%0Ainstall it"),
        ("program", "no-such-program", "no such program in PATH or "),
    ] {
        let Some(mut job) = Job::new() else { return };
        job.input(input, value);
        told(&job.begin(1), &[&format!("::error::input {input}=`{value}`: "), accepted]);
        told(&job.end(0), &["there is none to end"]);
    }
}

#[test]
fn a_program_that_can_not_run_is_told_at_once() {
    let Some(mut job) = Job::new() else { return };
    job.input("program", "false");
    told(&job.begin(1), &["::error::input program=`", "`--version` failed"]);
}

#[test]
fn a_session_that_can_not_begin_fails_the_step_and_holds_nothing() {
    let Some(mut job) = Job::new() else { return };
    job.environment.insert("CRATEDB_CLUSTER_NAME".into(), "other".into());
    job.environment.insert("CRATEDB_CLOUD_DEPLOY".into(), "never".into());
    told(&job.begin(1), &["::error::no session: ", "`other`"]);
    told(&job.end(0), &["is over: nothing is held any more"]);
    assert_eq!(changes(&job.world), [false; 0]);
    assert!(job.summary.contains("nothing is held"), "{}", job.summary);
}

#[test]
fn without_a_wait_the_cluster_starts_while_later_steps_build() {
    let Some(mut job) = Job::new() else { return };
    job.input("wait", "false");
    job.world.cloud().hold_next_operation("ci");
    job.begin(0);
    assert_eq!(job.outputs["url"], "");
    eventually("the resumption", || (changes(&job.world) == [false]).then_some(()));
    job.world.cloud().release("ci");
    let process = test_process();
    let arguments: Vec<_> = process[1..].iter().map(String::as_str).collect();
    job.run(&process[0], &arguments).done().expect(0);
    job.end(0);
    assert_eq!(changes(&job.world), ONCE);
}

#[test]
fn without_a_wait_the_post_step_says_why_there_was_no_cluster() {
    let Some(mut job) = Job::new() else { return };
    job.input("wait", "false");
    job.world.cloud().fault(Fault::on("PUT", "/suspend").status(403).always());
    job.begin(0);
    told(&job.end(0), &["::warning::session github-42-3-", "ended before the job did", "403 Forbidden"]);
}

/// Starts a main step that waits for the resumption, and returns once it was asked for.
fn resuming(job: &Job) -> crate::support::Running {
    job.world.cloud().hold_next_operation("ci");
    let running = job.main().start();
    eventually("the resumption", || (!changes(&job.world).is_empty()).then_some(()));
    running
}

#[test]
fn a_job_that_is_cancelled_while_it_waits_leaves_nothing() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let Some(mut job) = Job::new() else { return };
        let running = resuming(&job);
        running.signal(signal);
        told(&running.done().expect(code), &["::error::SIG", "the post step ends the session"]);
        job.take();
        job.world.cloud().release("ci");
        told(&job.end(0), &["is over: "]);
        until_suspended(&job.world);
        assert_eq!(changes(&job.world), ONCE, "{signal:?}");
    }
}

#[test]
fn a_main_step_that_is_killed_leaves_its_session_to_the_post_step() {
    let Some(mut job) = Job::new() else { return };
    let running = resuming(&job);
    running.signal(Signal::KILL);
    running.wait();
    job.take();
    job.world.cloud().release("ci");
    told(&job.end(0), &["is over: "]);
    until_suspended(&job.world);
    assert_eq!(changes(&job.world), ONCE);
}

#[cfg(target_os = "linux")]
#[test]
fn a_holder_that_is_killed_ends_the_session_and_the_post_step_says_so() {
    let Some(mut job) = Job::new() else { return };
    job.begin(0);
    kill_process(job.holder().unwrap(), Signal::KILL).unwrap();
    until_suspended(&job.world);
    told(&job.end(0), &["::warning::session github-42-3-", "can not be reached", "is over: "]);
    crate::sessions::until_no_keeper(&job.world);
    assert_eq!(changes(&job.world), ONCE);
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_is_killed_ends_the_session_and_the_post_step_says_so() {
    let Some(mut job) = Job::new() else { return };
    job.begin(0);
    let program = process_with(&format!("--session\0{}", job.outputs["session"])).unwrap();
    kill_process(program, Signal::KILL).unwrap();
    until_suspended(&job.world);
    told(&job.end(0), &["::warning::session github-42-3-", "was ended by SIGKILL", "is over: "]);
    crate::sessions::until_no_keeper(&job.world);
    assert_eq!(changes(&job.world), ONCE);
}

#[cfg(target_os = "linux")]
#[test]
fn a_session_whose_files_were_removed_is_found_by_its_name() {
    let Some(mut job) = Job::new() else { return };
    job.begin(0);
    fs::remove_dir_all(&job.state["place"]).unwrap();
    told(&job.end(0), &["can not be reached", "is over: "]);
    assert_eq!(changes(&job.world), ONCE);
    eventually("the end of the holder", || job.holder().is_none().then_some(()));
}

#[test]
fn a_cluster_that_may_still_run_fails_the_job_until_it_is_released() {
    let Some(mut job) = Job::new() else { return };
    job.begin(0);
    job.world.cloud().fault(Fault::on("PUT", "/suspend").status(403).times(20));
    told(&job.end(1), &["::error::session github-42-3-", "the cluster may still run", "403 Forbidden"]);
    assert!(job.summary.contains("**may still run**"), "{}", job.summary);
    job.world.cloud().clear_faults();
    told(&job.end(0), &["is over: "]);
    assert!(job.world.cloud().cluster("ci").suspended);
}

#[test]
fn a_cluster_that_ran_before_runs_after() {
    let Some(mut job) = Job::with(ClusterOptions::running("ci")) else { return };
    job.begin(0);
    told(&job.end(0), &["is over: cluster ", "found running"]);
    assert_eq!(changes(&job.world), [false; 0]);
}

#[test]
fn its_own_tests_pass() {
    if !has_node() {
        return;
    }
    let world = World::without_cloud();
    let tests = format!("{ACTION}/tests");
    let files = fs::read_dir(&tests).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let files = files.filter(|file| file.ends_with(".test.js"));
    let arguments: Vec<_> = ["--test".to_owned()].into_iter().chain(files).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Run::of(&world, "node", &arguments).done().expect(0);
}

#[test]
fn the_guide_gives_inputs_that_there_are() {
    let guide = include_str!("../../../docs/ci.md");
    let examples = guide.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let version = concat!("crate/cratedb-test/ci/action@v", env!("CARGO_PKG_VERSION"));
    let example = examples.into_iter().find(|yaml| yaml.contains(version)).expect("an example of the action");
    let example: yaml_serde::Value = yaml_serde::from_str(example).unwrap();
    let mut steps = example["jobs"]["integration"]["steps"].as_sequence().unwrap().iter();
    let step = steps.find(|step| step["uses"] == version).unwrap();
    for (name, _) in step["with"].as_mapping().unwrap() {
        assert!(defaults().contains_key(name.as_str().unwrap()), "{name:?}");
    }
}

/// Evaluates the one form of an expression that the guide has, as GitHub does.
fn evaluated(expression: &str, secret: &str) -> String {
    let inside = expression.strip_prefix("${{ secrets.CRATEDB_CLOUD_API_KEY != '' && '").unwrap();
    let name = inside.strip_suffix("' || '' }}").unwrap();
    if secret.is_empty() { String::new() } else { name.to_owned() }
}

#[test]
fn by_the_guides_expression_a_fork_tests_on_a_local_server() {
    let guide = include_str!("../../../docs/ci.md");
    let lines = guide.lines().filter_map(|line| line.trim().strip_prefix("CRATEDB_CLUSTER_NAME: "));
    let expressions: Vec<_> = lines.filter(|value| value.starts_with("${{")).collect();
    assert!(!expressions.is_empty());
    for expression in expressions {
        for (key, secret, uses) in [("", "", "CrateDB 6.4.3"), (KEY, SECRET, "cluster `ci` of CrateDB Cloud")] {
            let world = World::with([ClusterOptions::suspended("ci")]);
            world.write("Cargo.toml", "[package]\nname = \"orders\"\n");
            let run = world.stranger(&["doctor"]).env("CRATEDB_CLUSTER_NAME", evaluated(expression, key));
            let done = run.env("CRATEDB_CLOUD_API_KEY", key).env("CRATEDB_CLOUD_API_SECRET", secret).done();
            let would = done.stdout.lines().find(|line| line.starts_with("would use")).unwrap_or_default();
            assert!(would.contains(uses), "{done:#?}");
        }
    }
}
