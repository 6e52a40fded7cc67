//! Failures of every command: a wrong key, a wrong setting, a wrong word, and one JSON document in each case.

use cratedb_cloud_simulator::ClusterOptions;
use serde_json::Value;

use crate::support::World;

/// Every command that asks CrateDB Cloud, with arguments that work.
const ASKING: [&[&str]; 11] = [
    &["whoami"],
    &["list"],
    &["info", "--cluster-name", "ci"],
    &["start", "--cluster-name", "ci"],
    &["query", "--cluster-name", "ci", "SELECT 1"],
    &["health", "--cluster-name", "ci"],
    &["import", "--cluster-name", "ci", "data.csv", "--table", "t"],
    &["snapshots", "--cluster-name", "ci"],
    &["stop", "--cluster-name", "ci"],
    &["test", "--cluster-name", "ci", "--", "true"],
    &["delete", "--cluster-name", "ci", "--yes"],
];

/// The commands that look at this machine only.
const LOCAL: [&[&str]; 5] =
    [&["status"], &["finish", "--cluster-name", "ci"], &["sweep"], &["logout"], &["completions", "zsh"]];

fn world() -> World {
    let world = World::with([ClusterOptions::running("ci")]);
    world.write("data.csv", "a\n1\n");
    world
}

/// Puts global options before the command, since what follows `--` belongs to another program.
fn with(command: &[&'static str], more: &[&'static str]) -> Vec<&'static str> {
    [more, command].concat()
}

#[test]
fn json_is_one_document_for_every_command() {
    let world = world();
    for command in ASKING.iter().chain(&LOCAL) {
        let done = world.cli(&with(command, &["--output", "json"])).done().expect(0);
        let document = done.json();
        assert!(document.is_object() || document.is_array(), "{command:?}: {document}");
        assert!(!done.stdout.contains('\u{1b}'), "{done:?}");
    }
}

#[test]
fn quiet_is_quiet_for_every_command() {
    let world = world();
    for command in ASKING.iter().chain(&LOCAL) {
        let done = world.cli(&with(command, &["--quiet"])).done().expect(0);
        assert_eq!(done.stderr, "", "{command:?}");
    }
}

#[test]
fn a_wrong_key_is_3_for_every_command() {
    let world = world();
    for command in ASKING {
        let run = world.cli(&with(command, &["--output", "json"])).env("CRATEDB_CLOUD_API_SECRET", "wrong");
        let done = run.done().expect(3).says(&["error: ", "401", "CRATEDB_CLOUD_API_SECRET"]);
        assert_eq!(done.json()["error"]["exit_code"], 3, "{command:?}");
        assert_eq!(done.json()["error"]["status"], 401, "{command:?}");
    }
    assert_eq!(world.cloud().clusters().len(), 1);
}

#[test]
fn a_wrong_setting_is_2_for_every_command() {
    let world = world();
    for command in ASKING {
        let run = world.cli(&with(command, &["--output", "json"])).env("CRATEDB_CLOUD_TIMEOUT", "10");
        let done = run.done().expect(2).says(&["CRATEDB_CLOUD_TIMEOUT", "`10`", "10s"]);
        assert_eq!(done.json()["error"]["exit_code"], 2, "{command:?}");
        let run = world.cli(&with(command, &["--endpoint", "ftp://nowhere"]));
        run.done().expect(2).says(&["--endpoint", "ftp"]);
    }
    assert!(world.simulator().requests().is_empty());
}

#[test]
fn a_cloud_that_is_not_there_is_1_for_every_command() {
    let world = world();
    for command in ASKING {
        // No server listens on this port, which is that of the discard protocol.
        let run = world.cli(&with(command, &["--endpoint", "http://127.0.0.1:9", "--output", "json"]));
        // A run of tests waits for it as long as for a cluster.
        let done =
            run.env("CRATEDB_TEST_START_TIMEOUT", "3s").done().expect(1).says(&["http://127.0.0.1:9", "--endpoint"]);
        assert_eq!(done.json()["error"]["status"], Value::Null, "{command:?}");
    }
}

#[test]
fn a_strange_answer_is_1_and_shown_in_part() {
    let world = world();
    world.cloud().fault(
        cratedb_cloud_simulator::Fault::on("GET", "/api/v2/").answer(200, "<html>Please sign in</html>").always(),
    );
    for command in [&["list"][..], &["info", "--cluster-name", "ci"]] {
        world.cli(command).done().expect(1).says(&["Please sign in"]);
    }
}

#[test]
fn an_unknown_word_is_2_and_the_help_is_near() {
    let world = world();
    for command in [&["inof"][..], &["info", "--cluster-nam", "ci"], &["start", "now"], &["stop", "--wait"]] {
        let done = world.cli(command).done().expect(2).says(&["error: ", "--help"]);
        assert_eq!(done.stdout, "");
    }
    assert!(world.simulator().requests().is_empty());
}

#[test]
fn wrong_usage_is_one_json_document_too() {
    let world = world();
    for command in [
        &["inof", "--output", "json"][..],
        &["--output=json", "info", "--cluster-nam", "ci"],
        &["test", "--output", "json"],
        &["--output", "json"],
        &["info", "--cluster-name", "ci", "--cluster-id", "x", "--output=json"],
    ] {
        let done = world.cli(command).done().expect(2).says(&["error: "]);
        let error = done.json()["error"].clone();
        assert_eq!((&error["exit_code"], &error["status"]), (&2.into(), &Value::Null), "{command:?}");
        let message = error["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.starts_with("error") && done.stderr.contains(message), "{done:?}");
    }
    let of_another = world.cli(&["test", "--tiemout", "1s", "--", "x", "--output", "json"]).done().expect(2);
    assert_eq!(of_another.stdout, "");
    assert!(world.cli(&["info", "--output", "json", "--help"]).done().expect(0).stdout.contains("Usage:"));
}

#[test]
fn a_time_that_is_too_long_is_2() {
    let world = world();
    let command = ["test", "--cluster-name", "ci", "--timeout", "300000000000y", "--", "true"];
    world.cli(&command).done().expect(2).says(&["--timeout", "300000000000y", "at most 10y"]);
}

#[test]
fn two_addresses_are_2_and_named_both() {
    let world = world();
    let done = world.cli(&["info", "--cluster-name", "ci", "--cluster-id", "x"]).done().expect(2);
    done.says(&["--cluster-id and --cluster-name"]);
}

#[test]
fn the_error_of_an_invalid_file_does_not_quote_it() {
    let world = world();
    world.write(".env", &format!("CRATEDB_CLOUD_API_SECRET={}\" unbalanced\n", crate::support::SECRET));
    world.stranger(&["list"]).done().expect(2).says(&[".env"]);
}

#[test]
fn a_hint_names_the_option_that_was_given_and_else_the_variable() {
    let world = world();
    let named = |done: crate::support::Done, option: &str, variable: &str| {
        assert!(done.stderr.contains(option) && !done.stderr.contains(variable), "{done:?}");
    };
    let unknown = "e1e38d92-0000-4000-8000-00000000000f";
    for (option, value, variable) in [
        ("--cluster-name", "none", "CRATEDB_CLUSTER"),
        ("--cluster-id", unknown, "CRATEDB_CLUSTER"),
        ("--cluster-url", "http://127.0.0.1:9", "CRATEDB_CLUSTER"),
    ] {
        named(world.cli(&["info", option, value]).done().expect(4), option, variable);
    }
    let done = world.cli(&["info"]).env("CRATEDB_CLUSTER_NAME", "none").done().expect(4);
    named(done, "CRATEDB_CLUSTER_NAME", "--cluster-name");
    let done = world.cli(&["test", "--cluster-id", unknown, "--", "true"]).done();
    named(done, "--cluster-id", "CRATEDB_CLUSTER");
}

#[test]
fn an_address_that_cannot_be_right_is_refused_and_its_password_not_shown() {
    let world = world();
    for command in [&["info"][..], &["query", "SELECT 1"], &["finish"], &["test", "--", "true"]] {
        let options = ["--output", "json", "--cluster-url", "http://admin:4200/hush-hush@host"];
        let done = world.cli(&[&options, command].concat()).done().expect(2).says(&["--cluster-url", "%2F"]);
        assert!(!format!("{}{}", done.stdout, done.stderr).contains("hush-hush"), "{done:?}");
    }
}

#[test]
fn a_password_of_the_environment_is_not_sent_where_only_a_file_says() {
    let world = world();
    let cluster = world.cloud().cluster("ci");
    world.write(".env", &format!("CRATEDB_CLUSTER_URL={}\n", cluster.url));
    let asked = world.simulator().requests().len();
    for command in [&["query", "SELECT 1"][..], &["finish"], &["test", "--", "true"]] {
        let run = world.stranger(command).env("CRATEDB_USERNAME", &cluster.username);
        let done = run.env("CRATEDB_PASSWORD", crate::support::PASSWORD).done().expect(2);
        done.says(&[".env", "CRATEDB_PASSWORD comes from elsewhere"]);
    }
    assert_eq!(world.simulator().requests().len(), asked);
    // The option is a choice.
    let run = world.stranger(&["query", "--cluster-url", &cluster.url, "SELECT 1"]);
    run.env("CRATEDB_USERNAME", &cluster.username).env("CRATEDB_PASSWORD", crate::support::PASSWORD).done().expect(0);
}
