//! Tests `cargo demo` as a new user runs it.

use std::path::Path;
use std::process::{Command, Stdio};

/// The variables that a new user has. The last three say where Rust is installed.
const KEPT: [&str; 5] = ["HOME", "PATH", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

#[test]
fn the_demo_resumes_once_shares_and_suspends() {
    let mut demo = Command::new("cargo");
    demo.arg("demo").current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().stdin(Stdio::null());
    demo.envs(std::env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == kept)));

    let output = demo.output().unwrap();

    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{told}");
    let lines: Vec<&str> = told.lines().rev().take(3).collect();
    let [suspended, shared, resumed] = lines[..] else { panic!("{told}") };
    assert!(resumed.starts_with("cluster \"demo\" resumed ") && !resumed.contains("times"), "{told}");
    let count = shared.strip_suffix(" tests in 4 binaries shared it").and_then(|count| count.parse().ok());
    assert!(count == Some(count_of(&out)), "{out}{told}");
    // The keeper may see the end before the simulator does.
    assert!(suspended.starts_with("suspended ") && suspended.ends_with(" the end"), "{told}");
}

/// Returns the number of tests that libtest reports.
fn count_of(out: &str) -> usize {
    let running =
        out.lines().filter_map(|line| line.strip_prefix("running ")?.split(' ').next()?.parse::<usize>().ok());
    running.sum()
}

/// The README shows what the demo prints, except for the times.
#[test]
fn the_readme_shows_the_lines_of_the_demo() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for part in ["cluster \"demo\" resumed ", " tests in 4 binaries shared it", " ms after the end"] {
        assert!(readme.contains(part), "{part}");
    }
}
