//! The guides in `docs/`: every Rust block and every command on them runs, as whoever follows them would run it.

mod page;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Options};

use crate::support::cloud::TestCloud;
use crate::support::consumer::{Consumer, clean, target_dir};
use crate::support::run::{Plan, Runner};
use page::{Step, blocks, fits, steps};

/// Where the blocks of a page are written, one file each. What stands there from an earlier state of the page is removed.
fn write(package: &str, folder: &str, blocks: &[String]) {
    let dir = target_dir().join("src").join(package).join(folder);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    for (index, block) in blocks.iter().enumerate() {
        fs::write(dir.join(format!("block_{}.rs", index + 1)), block).unwrap();
    }
}

#[test]
fn the_guide_to_tests() {
    write("guide-tests", "tests", &blocks("testing.md", "rust"));
    let consumer = Consumer::of("guide-tests", Runner::Cargo);
    let cloud = TestCloud::suspended();

    let finished = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).run();

    assert!(finished.status.success(), "{}", finished.output);
    cloud.ends_with(1, 1);
}

#[test]
fn the_guide_to_the_sdk() {
    let programs = blocks("sdk.md", "rust");
    write("guide-sdk", "src/bin", &programs);
    let consumer = Consumer::of("guide-sdk", Runner::Cargo);
    for index in 1..=programs.len() {
        let cloud = TestCloud::suspended();
        let mut program = clean(Command::new("cargo"));
        program.args(["run", "--quiet", "--bin", &format!("block_{index}")]).current_dir(&consumer.dir);

        let output = program.envs(cloud.environment()).stdin(Stdio::null()).output().unwrap();

        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "program {index} of the guide: {told}");
        assert!(!output.stdout.is_empty(), "program {index} of the guide prints nothing");
        let (resumed, suspended) = cloud.counts();
        assert_eq!(resumed, suspended, "program {index} of the guide leaves its cluster running");
    }
}

#[test]
fn the_guide_to_the_command_line() {
    let built = Command::new("cargo")
        .args(["build", "--quiet", "-p", "cargo-cratedb"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target_dir())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let cluster = ClusterOptions::suspended("ci").with("product", "cr1").unwrap();
    let cloud = TestCloud::with(Options::default().cluster(cluster).operation_time(Duration::from_millis(50)));
    let dir = tempfile::tempdir().unwrap();
    for step in steps("command-line.md") {
        follow(&step, &cloud, dir.path());
    }
    assert!(cloud.simulator.cloud().cluster("ci").suspended);
}

/// Runs a command as a shell of the page's reader would.
fn follow(step: &Step, cloud: &TestCloud, dir: &Path) {
    let path = std::env::var("PATH").unwrap();
    let mut shell = clean(Command::new("sh"));
    shell.args(["-c", &step.command]).current_dir(dir).stdin(Stdio::null());
    shell.envs(cloud.environment()).env_remove("CRATEDB_CLUSTER_NAME");
    shell.env("PATH", format!("{}:{path}", target_dir().join("debug").display())).env("HOME", dir);
    for name in ["CARGO_HOME", "RUSTUP_HOME"] {
        let default = std::env::home_dir().unwrap().join(if name == "CARGO_HOME" { ".cargo" } else { ".rustup" });
        shell.env(name, std::env::var_os(name).unwrap_or(default.into()));
    }

    let output = shell.output().unwrap();

    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "$ {}\n{out}{told}", step.command);
    let shown: Vec<&str> = step.printed.iter().map(String::as_str).collect();
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        shown.is_empty() || fits(&shown, &lines),
        "$ {}\n{out}{told}\nis not as the guide shows it:\n{}",
        step.command,
        shown.join("\n")
    );
}
