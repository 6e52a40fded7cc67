//! The README of the simulator: every command at a prompt runs and prints what is shown. Its Rust block is a doctest.

#[path = "../../tests/it/guides/page.rs"]
mod page;
#[path = "../../tests/it/guides/prompt.rs"]
mod prompt;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use prompt::{Step, steps};

/// The reader's tests of a tool: here one that only checks that the simulator answers.
const TEST: &str = r#"
#[test]
fn the_simulator_is_there() {
    let variable = |name: &str| std::env::var(name).unwrap();
    assert_eq!(variable("CRATEDB_CLUSTER_NAME"), "ci");
    assert!(!variable("CRATEDB_CLOUD_API_KEY").is_empty() && !variable("CRATEDB_CLOUD_API_SECRET").is_empty());
    let endpoint = variable("CRATEDB_CLOUD_ENDPOINT");
    std::net::TcpStream::connect(endpoint.trim_start_matches("http://")).unwrap();
}
"#;

#[test]
fn every_command_of_the_readme_does_what_it_shows() {
    let project = tempfile::tempdir().unwrap();
    std::fs::create_dir(project.path().join("src")).unwrap();
    std::fs::write(project.path().join("src/lib.rs"), TEST).unwrap();
    let manifest = "[package]\nname = \"tool\"\nedition = \"2024\"\n\n[workspace]\n";
    std::fs::write(project.path().join("Cargo.toml"), manifest).unwrap();
    let steps = steps(&Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let (serving, running): (Vec<_>, Vec<_>) = steps.iter().partition(|step| step.command.contains(" serve "));
    assert!(!serving.is_empty() && !running.is_empty());
    serving.into_iter().for_each(|step| served(step, project.path()));
    running.into_iter().for_each(|step| ran(step, project.path()));
}

/// Runs the command in a shell, as a reader of the page would.
fn shell(step: &Step, project: &Path) -> Command {
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_cratedb-cloud-simulator")).parent().unwrap().display().to_string();
    let mut shell = Command::new("sh");
    // The shell becomes the command, so that a signal reaches it.
    shell.args(["-c", &format!("exec {}", step.command)]).current_dir(project).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CRATEDB_") || name.starts_with("CARGO_")) {
        shell.env_remove(name);
    }
    shell.env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()));
    shell
}

fn ran(step: &Step, project: &Path) {
    let output = shell(step, project).output().unwrap();
    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "$ {}\n{out}{told}", step.command);
    step.shows(&out, &told);
}

/// Runs until Ctrl-C, which is sent when the shown output is there.
fn served(step: &Step, project: &Path) {
    let mut command = shell(step, project);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(step.printed.len());
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    // SIGTERM does the same. If these tests run in the background, a shell may have ignored SIGINT for all processes
    // below.
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success(), "$ {}", step.command);
    step.shows(&said.join("\n"), "");
}
