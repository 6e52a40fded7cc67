//! Commands as users type them, and the builds that come before them.

use std::os::unix::ffi::OsStringExt as _;

use super::*;

fn split(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

#[track_caller]
fn builds(line: &str, expected: &str) {
    let build = of(&split(line)).unwrap_or_else(|| panic!("not recognised: {line}"));
    assert_eq!(build, split(expected), "{line}");
}

#[track_caller]
fn is_left_alone(line: &str) {
    assert_eq!(of(&split(line)), None, "{line}");
}

#[test]
fn cargo_test_is_built_first_with_all_that_it_is_given() {
    builds("cargo test", "cargo test --no-run");
    builds("cargo t", "cargo test --no-run");
    builds("cargo test orders::", "cargo test --no-run orders::");
    builds("cargo test --workspace --release -j 2", "cargo test --no-run --workspace --release -j 2");
    builds("cargo test -p x -p y --test=it -Fa,b", "cargo test --no-run -p x -p y --test=it -Fa,b");
    builds("cargo test -vv --no-fail-fast -j4", "cargo test --no-run -vv --no-fail-fast -j4");
}

#[test]
fn the_arguments_of_the_tests_stay_behind_the_dashes() {
    builds("cargo test -p x -- --nocapture", "cargo test --no-run -p x -- --nocapture");
    builds("cargo test -- --test-threads=1 a", "cargo test --no-run -- --test-threads=1 a");
    builds("cargo test --", "cargo test --no-run --");
    // They are not cargo's, whatever they are called.
    for theirs in ["--no-run", "--help", "--list", "--doc", "-x", "-- --"] {
        builds(&format!("cargo test -- {theirs}"), &format!("cargo test --no-run -- {theirs}"));
    }
}

#[test]
fn what_stands_before_the_subcommand_stays_there() {
    builds("cargo +nightly test", "cargo +nightly test --no-run");
    builds("cargo --config k=v test", "cargo --config k=v test --no-run");
    builds("cargo -C dir test", "cargo -C dir test --no-run");
    builds("cargo +1.94 -v --color=always test", "cargo +1.94 -v --color=always test --no-run");
}

#[test]
fn the_value_of_an_option_is_no_word_of_its_own() {
    builds("cargo --config test nextest run", "cargo --config test nextest run --no-run");
    builds("cargo test --package --doc", "cargo test --no-run --package --doc");
    builds("cargo test --jobs -1", "cargo test --no-run --jobs -1");
    builds("cargo -C build test --bin test", "cargo -C build test --no-run --bin test");
    is_left_alone("cargo -C test build");
    is_left_alone("cargo --config test");
    is_left_alone("cargo test --bin");
    is_left_alone("cargo test --bin -- a");
}

#[test]
fn cargo_is_known_by_the_end_of_its_path() {
    builds("/usr/lib/rust/bin/cargo test", "/usr/lib/rust/bin/cargo test --no-run");
    builds("./cargo nextest run", "./cargo nextest run --no-run");
    for other in ["cargo-test test", "mycargo test", "cross test", "/ test", ".. test", " test"] {
        is_left_alone(other);
    }
}

#[test]
fn nextest_is_built_without_what_is_about_the_run() {
    builds("cargo nextest run", "cargo nextest run --no-run");
    builds("cargo nextest r -p x", "cargo nextest run --no-run -p x");
    builds(
        "cargo +nightly nextest --config-file f run -P ci --cargo-profile fast",
        "cargo +nightly nextest --config-file f run --no-run -P ci --cargo-profile fast",
    );
    builds(
        "cargo nextest run --retries 2 -j4 -E test(a) --no-fail-fast --test it --max-fail=3 b",
        "cargo nextest run --no-run -E test(a) --test it b",
    );
    builds("cargo nextest run --no-capture -- --skip a", "cargo nextest run --no-run -- --skip a");
    // In nextest, `--jobs` is the number of tests that run at once.
    builds("cargo nextest run --jobs 1 --build-jobs 2", "cargo nextest run --no-run --build-jobs 2");
    builds("cargo nextest run --message-format libtest-json", "cargo nextest run --no-run");
}

#[test]
fn what_does_not_build_and_run_tests_is_left_alone() {
    for line in [
        "cargo",
        "cargo build",
        "cargo check --tests",
        "cargo bench",
        "cargo run -- test",
        "cargo help test",
        "cargo --list",
        "cargo --version",
        "cargo +nightly",
        "cargo nextest",
        "cargo nextest archive",
        "cargo nextest list",
        "cargo nextest help run",
        "cargo llvm-cov nextest",
        "cargo llvm-cov test",
        "cargo hack test",
        "cargo my-alias",
        "env X=1 cargo test",
        "nice cargo test",
        "docker compose run tests",
        "sh -c cargo",
    ] {
        is_left_alone(line);
    }
    assert_eq!(of(&["sh", "-c", "cargo test"].map(OsString::from)), None);
    assert_eq!(of(&["cargo test"].map(OsString::from)), None);
    assert_eq!(of(&[]), None);
}

#[test]
fn what_only_builds_or_only_tells_is_left_alone() {
    for line in [
        "cargo test --no-run",
        "cargo test -p x --no-run -- a",
        "cargo nextest run --no-run",
        "cargo test --help",
        "cargo test -h",
        "cargo --help test",
        "cargo test --doc",
        "cargo test --timings",
        "cargo test --unit-graph -Z unstable-options",
        "cargo test --message-format json",
        "cargo test --message-format=short",
        "cargo nextest run --help",
        "cargo nextest run --archive-file a.tar.zst",
        "cargo nextest run --debugger gdb",
        "cargo nextest run -R latest",
    ] {
        is_left_alone(line);
    }
}

#[test]
fn an_option_that_is_not_known_is_not_guessed_at() {
    for line in [
        "cargo test --retries 2",
        "cargo test --new-option",
        "cargo test --release=yes",
        "cargo test -xp y",
        "cargo test -rv",
        "cargo test -é",
        "cargo --new-option test",
        "cargo nextest --new-option run",
        "cargo nextest run --new-option=1",
        "cargo nextest run -j4 --new-option",
    ] {
        is_left_alone(line);
    }
    let not_text = OsString::from_vec(b"\xff".to_vec());
    assert_eq!(of(&["cargo".into(), "test".into(), not_text]), None);
}
