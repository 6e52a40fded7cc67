//! The component for GitLab in `ci/gitlab/`: its job's script, run as a runner runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use cratedb_cloud_simulator::ClusterOptions;
use yaml_serde::Value;

use crate::sessions::{ONCE, changes};
use crate::support::{Run, World};

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/gitlab/templates/cratedb/template.yml");
const GUIDE: &str = include_str!("../../../docs/ci.md");

/// Reads the component: its inputs with their defaults, and the text of its job.
fn component() -> (BTreeMap<String, String>, String) {
    let text = fs::read_to_string(TEMPLATE).unwrap();
    let (head, job) = text.split_once("\n---\n").unwrap();
    let head: Value = yaml_serde::from_str(head).unwrap();
    let inputs = head["spec"]["inputs"].as_mapping().unwrap().iter();
    let inputs = inputs.map(|(name, input)| [name, &input["default"]].map(|text| text.as_str().unwrap().to_owned()));
    (inputs.map(<(String, String)>::from).collect(), job.to_owned())
}

/// Returns the names of the inputs that a text uses.
fn used(text: &str) -> BTreeSet<&str> {
    text.split("$[[ inputs.").skip(1).map(|rest| rest.split_once(" ]]").unwrap().0).collect()
}

/// Returns the lines of the job's script, with these inputs, as one script.
fn script(given: &[(&str, &str)]) -> String {
    let (mut inputs, mut job) = component();
    for (name, value) in given {
        assert!(inputs.insert((*name).to_owned(), (*value).to_owned()).is_some(), "there is no input {name}");
    }
    for (name, value) in &inputs {
        job = job.replace(&format!("$[[ inputs.{name} ]]"), value);
    }
    let job: Value = yaml_serde::from_str(&job).unwrap();
    let lines = job[inputs["job"].as_str()]["script"].as_sequence().unwrap().iter();
    lines.map(|line| format!("{}\n", line.as_str().unwrap())).collect()
}

fn world() -> World {
    let world = World::with([ClusterOptions::suspended("ci")]);
    fs::create_dir(world.home().join("service")).unwrap();
    world
}

/// Prepares a script of a job.
fn job(world: &World, script: &str) -> Run {
    let run = Run::of(world, "sh", &["-ec", script]).with_the_program_in_path();
    run.env("CI_PROJECT_DIR", world.home()).env("CRATEDB_CLUSTER_NAME", "ci")
}

#[test]
fn every_input_is_used_and_every_used_one_is_there() {
    let (inputs, job) = component();
    assert_eq!(used(&job), inputs.keys().map(String::as_str).collect());
    assert_eq!(inputs["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_session_is_around_the_command_in_the_projects_directory() {
    let world = world();
    let script = script(&[("command", "sh -c 'pwd; echo $CRATEDB_TEST_SESSION'"), ("directory", "service")]);
    let done = job(&world, &script).with_the_key().done().expect(0);
    assert!(done.stdout.contains("/service\ncargo-cratedb-"), "{done:?}");
    assert_eq!(changes(&world), ONCE);
    assert!(world.cloud().cluster("ci").suspended);
}

#[test]
fn a_command_that_fails_fails_the_job_after_the_release() {
    let world = world();
    job(&world, &script(&[("command", "sh -c 'exit 7'")])).with_the_key().done().expect(7);
    assert_eq!(changes(&world), ONCE);
}

#[test]
fn a_pipeline_without_the_key_does_not_use_the_cluster() {
    let world = world();
    let script = script(&[]);
    let (before, _) = script.split_once("cargo cratedb test").unwrap();
    let ask = format!("{before} echo \"cluster '$CRATEDB_CLUSTER_NAME'\"");
    let shown = |run: Run| run.done().expect(0).stdout.lines().last().map(str::to_owned);
    assert_eq!(shown(job(&world, &ask)).as_deref(), Some("cluster ''"));
    assert_eq!(shown(job(&world, &ask).env("CRATEDB_CLOUD_API_KEY", "")).as_deref(), Some("cluster ''"));
    assert_eq!(shown(job(&world, &ask).with_the_key()).as_deref(), Some("cluster 'ci'"));
}

#[test]
fn the_guide_gives_inputs_that_there_are() {
    let examples = GUIDE.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let example = examples.into_iter().find(|yaml| yaml.contains("ci/gitlab/")).expect("an example of the component");
    let example: Value = yaml_serde::from_str(example).unwrap();
    let (inputs, _) = component();
    for (name, _) in example["include"][0]["inputs"].as_mapping().unwrap() {
        assert!(inputs.contains_key(name.as_str().unwrap()), "{name:?}");
    }
}
