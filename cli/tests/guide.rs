//! The guide to the command line, `docs/command-line.md`: every command on it runs, in its order, and prints what is shown.
#![cfg(unix)]

#[path = "../../tests/it/guides/page.rs"]
mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};

/// Stands for whatever is there: within a line, or alone for any number of lines.
const ANYTHING: char = '…';

/// A command and the lines that stand below it.
#[derive(Debug)]
struct Step {
    command: String,
    printed: Vec<String>,
}

/// What a page says at a prompt.
fn steps(page: &Path) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in page::blocks(page, "console").iter().flat_map(|block| block.lines()) {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), printed: Vec::new() }),
            (None, Some(step)) => step.printed.push(line.to_owned()),
            (None, None) => panic!("`{line}` stands before any command"),
        }
    }
    steps
}

/// Whether lines are as a page shows them.
fn fits(shown: &[&str], lines: &[&str]) -> bool {
    match (shown, lines) {
        ([], lines) => lines.is_empty(),
        ([first, rest @ ..], lines) if first.trim() == ANYTHING.to_string() => {
            (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..]))
        }
        ([first, rest @ ..], [line, others @ ..]) => line_fits(first.trim_end(), line.trim_end()) && fits(rest, others),
        (_, []) => false,
    }
}

fn line_fits(shown: &str, line: &str) -> bool {
    let Some((before, after)) = shown.split_once(ANYTHING) else { return shown == line };
    let Some(rest) = line.strip_prefix(before) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_fits(after, &rest[at..]))
}

#[test]
fn every_command_of_the_guide_does_what_it_shows() {
    let cluster = ClusterOptions::suspended("ci").with("product", "cr1").unwrap();
    let options = Options::default().cluster(cluster).operation_time(Duration::from_millis(50));
    let simulator = Simulator::start_blocking(options).unwrap();
    let home = tempfile::tempdir().unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/command-line.md");
    for step in steps(&page) {
        follow(&step, &simulator, home.path());
    }
    assert!(simulator.cloud().cluster("ci").suspended);
}

/// Runs a command as a shell of the page's reader would.
fn follow(step: &Step, simulator: &Simulator, home: &Path) {
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_cargo-cratedb")).parent().unwrap().display().to_string();
    let mut shell = Command::new("sh");
    shell.args(["-c", &step.command]).current_dir(home).stdin(Stdio::null()).env_clear();
    // Cargo itself has to be found, and what rustup knows of it.
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
    let shown: Vec<&str> = step.printed.iter().map(String::as_str).collect();
    let lines: Vec<&str> = out.lines().collect();
    let fits = shown.is_empty() || fits(&shown, &lines);
    assert!(fits, "$ {}\n{out}{told}\nis not as the guide shows it:\n{}", step.command, shown.join("\n"));
}

#[test]
fn anything_stands_for_parts_of_lines_and_for_lines() {
    assert!(line_fits("id … of …", "id 7 of ci") && line_fits("…", "") && line_fits("a…", "a"));
    assert!(!line_fits("id … of", "id 7 of ci") && !line_fits("a", "ab"));
    assert!(fits(&["a", "…", "b"], &["a", "b"]) && fits(&["a", "…", "b"], &["a", "x", "y", "b"]) && fits(&["…"], &[]));
    assert!(!fits(&["a", "…", "b"], &["a", "b", "c"]) && !fits(&["a"], &[]) && !fits(&[], &["a"]));
}
