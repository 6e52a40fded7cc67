//! The help texts, compared with files, so that a change is reviewed.
//!
//! `CARGO_CRATEDB_BLESS=1 cargo test -p cargo-cratedb help` rewrites the files.

use std::path::Path;

use crate::support::{Run, World};

const COMMANDS: [&str; 28] = [
    "login",
    "logout",
    "whoami",
    "list",
    "info",
    "start",
    "stop",
    "deploy",
    "delete",
    "query",
    "health",
    "import",
    "snapshots",
    "status",
    "finish",
    "sweep",
    "up",
    "down",
    "env",
    "shell",
    "init",
    "doctor",
    "report",
    "kept",
    "log",
    "test",
    "cache",
    "completions",
];

fn compare(name: &str, help: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help").join(name).with_extension("txt");
    if std::env::var_os("CARGO_CRATEDB_BLESS").is_some() {
        std::fs::write(&path, help).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(help, expected, "{} is not up to date; CARGO_CRATEDB_BLESS=1 writes it", path.display());
}

#[test]
fn help_is_as_it_was_last_reviewed() {
    let world = World::without_cloud();
    compare("cargo-cratedb", &world.cli(&["--help"]).done().expect(0).stdout);
    for command in COMMANDS {
        compare(command, &world.cli(&[command, "--help"]).done().expect(0).stdout);
    }
    compare("snapshots-list", &world.cli(&["snapshots", "list", "--help"]).done().expect(0).stdout);
    compare("snapshots-restore", &world.cli(&["snapshots", "restore", "--help"]).done().expect(0).stdout);
}

#[test]
fn the_short_help_lists_every_command() {
    let world = World::without_cloud();
    let help = world.cli(&["-h"]).done().expect(0).stdout;
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
}

#[test]
fn without_a_command_it_is_a_mistake_that_shows_the_help() {
    let done = World::without_cloud().cli(&[]).done().expect(2);
    assert!(done.stderr.contains("Usage: cargo cratedb"), "{done:?}");
    assert_eq!(done.stdout, "");
}

#[test]
fn runs_as_cargo_calls_it() {
    let world = World::without_cloud();
    let done = Run::of(&world, "cargo", &["cratedb", "--version"]).with_the_program_in_path().done().expect(0);
    assert!(done.stdout.starts_with("cargo-cratedb 0."), "{done:?}");
}

#[test]
fn completions_name_every_command_for_every_shell() {
    let world = World::without_cloud();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = world.cli(&["completions", shell]).done().expect(0).stdout;
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        let document = world.cli(&["completions", shell, "--output", "json"]).done().expect(0).json();
        assert_eq!(document["script"], script, "{shell}");
    }
}

#[test]
fn bash_understands_its_completions() {
    let world = World::without_cloud();
    let script = world.cli(&["completions", "bash"]).done().expect(0).stdout;
    let ask = format!(
        "{script}\nfunction=$(complete -p cargo-cratedb | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
         COMP_WORDS=(cargo-cratedb snap); COMP_CWORD=1; $function cargo-cratedb snap cargo-cratedb; echo \"${{COMPREPLY[@]}}\""
    );
    let done = Run::of(&world, "bash", &["--norc", "-c", &ask]).done().expect(0);
    assert_eq!(done.stdout.trim(), "snapshots", "{done:?}");
}
