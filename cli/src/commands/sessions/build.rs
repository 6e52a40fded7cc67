//! Recognises commands that build tests before they run them, and makes the command that only builds.
//!
//! A command that is not known to the last word is left alone: `--no-run` in a place where it does not belong would
//! make a mistake of what was right. An alias of cargo's configuration can't be known.

use std::ffi::OsString;
use std::path::Path;

/// Without tests to run, cargo's own `test` and nextest's `run` only build them.
const NO_RUN: &str = "--no-run";

/// Options by name. An option in neither list is unknown.
struct Options {
    flags: &'static [&'static str],
    /// Those with a value: `--name value`, `--name=value`, `-n value`, `-nvalue`.
    valued: &'static [&'static str],
}

/// Options that cargo takes before and after its subcommand.
const CARGO: Options = Options {
    flags: &["-v", "--verbose", "-q", "--quiet", "--locked", "--offline", "--frozen"],
    valued: &["--color", "--config", "-C", "-Z"],
};

/// Options of `cargo test` and of `cargo nextest run` that say what is built, and mean the same in both.
const SELECTION: Options = Options {
    flags: &[
        "--workspace",
        "--all",
        "--lib",
        "--bins",
        "--examples",
        "--tests",
        "--benches",
        "--all-targets",
        "--all-features",
        "--no-default-features",
        "-r",
        "--release",
        "--ignore-rust-version",
        "--future-incompat-report",
    ],
    valued: &[
        "-p",
        "--package",
        "--exclude",
        "--bin",
        "--example",
        "--test",
        "--bench",
        "-F",
        "--features",
        "--target",
        "--target-dir",
        "--manifest-path",
    ],
};

/// Further options of `cargo test`. Among those that are left out are `--doc`, which can't be built ahead, and
/// `--message-format` and `--timings`: a program or a person wants the output of one build.
const CARGO_TEST: Options =
    Options { flags: &["--no-fail-fast"], valued: &["-j", "--jobs", "--profile", "--lockfile-path"] };

/// Options that nextest takes before and after `run`.
const NEXTEST: Options = Options {
    flags: &["-v", "--verbose", "--no-pager", "--override-version-check"],
    valued: &[
        "--color",
        "--manifest-path",
        "-P",
        "--profile",
        "--config-file",
        "--tool-config-file",
        "--user-config-file",
    ],
};

/// Further options of `cargo nextest run`. Those that reuse a build or need a terminal of their own are left out.
const NEXTEST_RUN: Options = Options {
    flags: &["--locked", "--offline", "--frozen", "--cargo-quiet", "--cargo-verbose", "--ignore-default-filter"],
    valued: &[
        "--config",
        "-Z",
        "--build-jobs",
        "--cargo-profile",
        "-E",
        "--filterset",
        "--filter-expr",
        "--run-ignored",
        "--partition",
        "--platform-filter",
    ],
};

/// Options of `cargo nextest run` that are about running tests. nextest refuses some of them beside `--no-run`, and
/// warns of others.
const NEXTEST_RUNS: Options = Options {
    flags: &[
        "--no-capture",
        "--nocapture",
        "--fail-fast",
        "--ff",
        "--no-fail-fast",
        "--nff",
        "--hide-progress-bar",
        "--no-input-handler",
        "--no-output-indent",
    ],
    valued: &[
        "-j",
        "--jobs",
        "--test-threads",
        "--retries",
        "--flaky-result",
        "--max-fail",
        "--no-tests",
        "--stress-count",
        "--stress-duration",
        "--failure-output",
        "--success-output",
        "--status-level",
        "--final-status-level",
        "--show-progress",
        "--max-progress-running",
        "--message-format",
        "--message-format-version",
    ],
};

/// Returns the command that builds what `command` tests, none if it is not recognised.
pub(super) fn of(command: &[OsString]) -> Option<Vec<OsString>> {
    let words: Vec<&str> = command.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    let (program, mut rest) = words.split_first()?;
    if Path::new(program).file_name()? != "cargo" {
        return None;
    }
    let mut build = vec![*program];
    if let [toolchain, others @ ..] = rest
        && toolchain.starts_with('+')
    {
        build.push(toolchain);
        rest = others;
    }
    rest = taken(rest, &[&CARGO], &mut build)?;
    let (subcommand, rest) = rest.split_first()?;
    match *subcommand {
        // An alias may have the short name and be any command. The long name is always cargo's own.
        "test" | "t" => {
            build.extend(["test", NO_RUN]);
            build.extend(arguments(rest, &[&CARGO, &SELECTION, &CARGO_TEST], None)?);
        }
        "nextest" => {
            build.push("nextest");
            let (run, rest) = taken(rest, &[&NEXTEST], &mut build)?.split_first()?;
            if !matches!(*run, "run" | "r") {
                return None;
            }
            build.extend(["run", NO_RUN]);
            build.extend(arguments(rest, &[&NEXTEST, &SELECTION, &NEXTEST_RUN], Some(&NEXTEST_RUNS))?);
        }
        _ => return None,
    }
    Some(build.into_iter().map(OsString::from).collect())
}

/// Moves the options at the beginning of `words` to `build`. Returns the words from the first that is none.
fn taken<'a, 'b>(mut words: &'b [&'a str], known: &[&Options], build: &mut Vec<&'a str>) -> Option<&'b [&'a str]> {
    while words.first().is_some_and(|word| is_option(word)) {
        let (option, rest) = words.split_at_checked(length(words, known)?)?;
        build.extend(option);
        words = rest;
    }
    Some(words)
}

/// Returns the arguments of a subcommand without the options in `dropped`, and none if one is unknown. Words after
/// `--` are arguments of the tests, and stay.
fn arguments<'a>(mut words: &[&'a str], known: &[&Options], dropped: Option<&Options>) -> Option<Vec<&'a str>> {
    let mut kept = Vec::new();
    while let Some(word) = words.first().filter(|word| **word != "--") {
        let (length, keep) = match dropped.and_then(|dropped| length(words, &[dropped])) {
            _ if !is_option(word) => (1, true),
            Some(length) => (length, false),
            None => (length(words, known)?, true),
        };
        let (argument, rest) = words.split_at_checked(length)?;
        kept.extend(argument.iter().filter(|_| keep));
        words = rest;
    }
    kept.extend(words);
    Some(kept)
}

fn is_option(word: &str) -> bool {
    word.starts_with('-') && word != "-"
}

/// Returns how many words the option at the beginning takes, none if it is unknown.
fn length(words: &[&str], known: &[&Options]) -> Option<usize> {
    let word = words.first()?;
    let is_flag = |name: &str| known.iter().any(|options| options.flags.contains(&name));
    let is_valued = |name: &str| known.iter().any(|options| options.valued.contains(&name));
    if is_flag(word) {
        return Some(1);
    }
    if is_valued(word) {
        return words.get(1).filter(|value| **value != "--").map(|_| 2);
    }
    if let Some((name, _)) = word.split_once('=').filter(|_| word.starts_with("--")) {
        return is_valued(name).then_some(1);
    }
    // `-j4`, and `-vv`. Others that stand together are left alone.
    let short = word.get(..2).filter(|_| !word.starts_with("--"))?;
    let repeated = is_flag(short) && word.chars().skip(1).all(|letter| short.ends_with(letter));
    (is_valued(short) || repeated).then_some(1)
}

#[cfg(test)]
mod tests;
