//! Compares the attribute's compile errors with those that rustc printed before.

use std::env;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// The compiler whose words are in `tests/ui/fail/*.stderr`.
const COMPILER: &str = "rustc 1.95.";

/// Set for the process in which trybuild runs.
const INSIDE: &str = "CRATEDB_TEST_UI_INSIDE";

#[test]
fn mistakes_are_reported_once_and_on_the_token_at_fault() {
    if env::var_os(INSIDE).is_some() {
        let cases = trybuild::TestCases::new();
        cases.compile_fail("tests/ui/fail/*.rs");
        if has_clippy() {
            cases.compile_fail("tests/ui/lints/*.rs");
        }
        return;
    }
    let compiler = compiler();
    if !compiler.starts_with(COMPILER) {
        return skip(&format!("the expected errors are those of {COMPILER}*, this is {}", compiler.trim()));
    }
    // trybuild takes its settings from the environment, which a test must not change in its own process.
    let mut trybuild = Command::new(env::current_exe().expect("a test knows its executable"));
    trybuild.args(["--exact", "mistakes_are_reported_once_and_on_the_token_at_fault", "--nocapture"]);
    trybuild.env(INSIDE, "1").env("RUSTC_WORKSPACE_WRAPPER", wrapper());
    let output = trybuild.output().expect("the test binary runs once more");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    if !has_clippy() {
        skip("there is no clippy, which `tests/ui/lints` needs");
    }
}

fn wrapper() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui/as_test.sh")
}

fn has_clippy() -> bool {
    Command::new("clippy-driver").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn compiler() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc says its version");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// To descriptor 2, since libtest captures what the print macros write.
fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}
