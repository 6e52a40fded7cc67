//! The command line as users type it, mistakes first.

use clap::CommandFactory;

use super::*;

fn parsed(line: &str) -> Result<Cli, clap::Error> {
    read(line.split(' ').map(OsString::from))
}

#[track_caller]
fn mistake(line: &str) -> String {
    let error = parsed(line).expect_err(line);
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_examples() {
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = format!("\n  cargo cratedb {}", command.get_name());
        assert!(help.contains("Examples:") && help.contains(&example), "{}", command.get_name());
    }
}

#[test]
fn runs_as_a_program_and_as_cargo_calls_it() {
    for line in ["cargo-cratedb info", "cargo-cratedb cratedb info", "/any/where/cargo-cratedb info"] {
        assert!(matches!(parsed(line).unwrap().command, Command::Info), "{line}");
    }
}

#[test]
fn global_options_stand_before_and_after_the_command() {
    for line in ["x --cluster-name ci --output json info", "x info --output json --cluster-name ci"] {
        let cli = parsed(line).unwrap();
        assert_eq!(cli.global.address(), Some(Address::Name("ci".into())), "{line}");
        assert_eq!(cli.global.output, Output::Json, "{line}");
    }
}

#[test]
fn two_addresses_are_a_mistake_that_names_both_wherever_they_stand() {
    for line in [
        "x info --cluster-id a --cluster-name b",
        "x --cluster-id a info --cluster-name b",
        "x info --cluster-name b --cluster-id a --cluster-url c",
    ] {
        let text = mistake(line);
        assert!(text.contains("--cluster-id") && text.contains("--cluster-name"), "{text}");
    }
}

#[test]
fn an_empty_value_counts_as_not_given() {
    let arguments = ["x", "info", "--cluster-id", "", "--cluster-name", "ci"].map(OsString::from);
    assert_eq!(read(arguments).unwrap().global.address(), Some(Address::Name("ci".into())));
}

#[test]
fn a_cluster_for_a_command_that_is_about_none_is_a_mistake() {
    for line in ["x whoami --cluster-name ci", "x --cluster-id a list", "x logout --cluster-url http://a"] {
        assert!(mistake(line).contains("--cluster-"), "{line}");
    }
}

#[test]
fn csv_is_for_rows() {
    for line in ["x info --output csv", "x snapshots restore s --output csv", "x stop --output csv"] {
        assert!(mistake(line).contains("table, json"), "{line}");
    }
    for line in
        ["x query --output csv", "x list --output csv", "x snapshots --output csv", "x snapshots list --output csv"]
    {
        assert!(parsed(line).is_ok(), "{line}");
    }
}

#[test]
fn mistakes_name_the_option_the_value_and_what_is_accepted() {
    for (line, parts) in [
        ("x info --timeout 10", ["--timeout", "10", "a number with its unit"]),
        ("x info --output yaml", ["--output", "yaml", "json"]),
        ("x login --idp gitlab", ["--idp", "gitlab", "github"]),
        ("x deploy --nodes 0", ["--nodes", "0", "1.."]),
    ] {
        let text = mistake(line);
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
    for line in ["x login", "x query a --file b", "x completions", "x nonsense"] {
        mistake(line);
    }
}

#[test]
fn times_have_a_unit_and_last() {
    assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(duration("10y"), Ok(LONGEST));
    for bad in ["10", "0", "0s", "", "soon", "-1s", "11y", "300000000000y", "99999999999999999999y"] {
        assert!(duration(bad).is_err_and(|text| text.starts_with("accepted: ")), "{bad}");
    }
}

#[cfg(all(unix, feature = "sessions"))]
#[test]
fn mistakes_about_sessions_are_mistakes() {
    let text = mistake("x test --session a/b -- true");
    assert!(["--session", "a/b", "letters, digits"].iter().all(|part| text.contains(part)), "{text}");
    for line in ["x test", "x test cargo"] {
        mistake(line);
    }
    assert!(mistake("x status --cluster-url http://a").contains("--cluster-url"));
}

#[cfg(all(unix, feature = "sessions"))]
#[test]
fn what_stands_after_the_dashes_belongs_to_the_command() {
    let cli = parsed("x test -- cargo test --color always --cluster-name b").unwrap();
    assert_eq!((cli.global.address(), cli.global.color), (None, Color::Auto));
    let Command::Session(SessionCommand::Test(test)) = cli.command else { panic!("{cli:?}") };
    assert_eq!(test.command.len(), 6);
}

#[cfg(not(all(unix, feature = "sessions")))]
#[test]
fn without_sessions_their_commands_say_why_they_are_missing() {
    for line in [
        "x test -- cargo test",
        "x status",
        "x sweep --dry-run",
        "x --color never kept --drop a b",
        "x cache fetch 6.4",
    ] {
        let text = mistake(line);
        assert!(text.contains("is one of the commands for tests, which") && text.contains("Usage:"), "{text}");
    }
    assert!(mistake("x statsu").contains("unrecognized subcommand"));
    let help = Cli::command().render_help().to_string();
    assert!(!help.contains("cratedb test") && !help.contains("\n  finish"), "{help}");
}

#[test]
fn help_is_coloured_as_the_option_says() {
    let colors = |line: &str| help_colors(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
    assert_eq!(colors("x --color never --help"), ColorChoice::Never);
    assert_eq!(colors("x --help --color=always"), ColorChoice::Always);
    assert_eq!(colors("x test -- ls --color=always"), ColorChoice::Auto);
}
