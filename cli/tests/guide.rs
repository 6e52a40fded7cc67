//! Runs every command of `docs/command-line.md` and of this crate's README, in order, and compares its output with the
//! output that is shown.
#![cfg(all(unix, feature = "sessions"))]

#[path = "../../tests/it/guides/page.rs"]
mod page;
#[path = "../../tests/it/guides/prompt.rs"]
mod prompt;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};

use prompt::{Step, steps};

#[test]
fn every_command_of_the_guide_does_what_it_shows() {
    follow_all("../docs/command-line.md");
}

#[test]
fn every_command_of_the_readme_does_what_it_shows() {
    follow_all("README.md");
}

/// Follows a page to its end, as a reader who has a suspended cluster `ci`.
fn follow_all(page: &str) {
    let cluster = ClusterOptions::suspended("ci").with("product", "cr1").unwrap();
    let options = Options::default().cluster(cluster).operation_time(Duration::from_millis(50));
    let simulator = Simulator::start_blocking(options).unwrap();
    let home = tempfile::tempdir().unwrap();
    for step in steps(&Path::new(env!("CARGO_MANIFEST_DIR")).join(page)) {
        follow(&step, &simulator, home.path());
    }
    assert!(simulator.cloud().cluster("ci").suspended);
}

/// Runs a command as the shell of the reader would.
fn follow(step: &Step, simulator: &Simulator, home: &Path) {
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_cargo-cratedb")).parent().unwrap().display().to_string();
    let mut shell = Command::new("sh");
    shell.args(["-c", &step.command]).current_dir(home).stdin(Stdio::null()).env_clear();
    // Cargo and the toolchains of rustup have to be found.
    for name in ["CARGO_HOME", "RUSTUP_HOME"] {
        let usual = std::env::home_dir().unwrap().join(if name == "CARGO_HOME" { ".cargo" } else { ".rustup" });
        shell.env(name, std::env::var_os(name).unwrap_or(usual.into()));
    }
    shell.env("HOME", home).env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()));
    shell.env("CRATEDB_TEST_DIR", home.join("t")).env("CRATEDB_CLOUD_ENDPOINT", simulator.url());
    shell.env("CRATEDB_CLOUD_API_KEY", "key-of-the-guide").env("CRATEDB_CLOUD_API_SECRET", "secret-of-the-guide");

    let output = shell.output().unwrap();

    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "$ {}\n{out}{told}", step.command);
    assert!(!out.contains("secret-of-the-guide") && !told.contains("secret-of-the-guide"), "$ {}", step.command);
    step.shows(&out, &told);
}
