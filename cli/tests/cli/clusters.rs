//! `info`, `start`, `stop`, `deploy`, `delete`, `health`.

use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Options, Pace, Request};

use crate::support::{KEY, PASSWORD, World, eventually};

const UNKNOWN: &str = "11111111-1111-4111-8111-111111111111";

#[test]
fn info_finds_a_cluster_by_id_by_name_and_by_url() {
    let world = World::with([ClusterOptions::running("ci"), ClusterOptions::running("other")]);
    let cluster = world.cloud().cluster("ci");
    for address in [["--cluster-id", &cluster.id], ["--cluster-name", "ci"], ["--cluster-url", &cluster.url]] {
        let found = world.cli(&["info", address[0], address[1], "--output", "json"]).done().expect(0).json();
        assert_eq!(found["id"], cluster.id.as_str(), "{address:?}");
    }
    let shown = world.cli(&["info", "--cluster-name", "ci"]).done().expect(0).stdout;
    assert!(shown.contains("name ") && shown.contains(&cluster.url) && shown.contains("running"), "{shown}");
}

#[test]
fn an_unknown_cluster_is_an_error_that_lists_the_known_ones() {
    let world = World::with([ClusterOptions::running("ci")]);
    for command in ["info", "stop", "health", "query"] {
        let run = |address: &[&str]| world.cli(&[&[command], address].concat()).input("SELECT 1").done();
        run(&["--cluster-name", "nope"]).expect(4).says(&["nope", "`ci`"]);
        let done = run(&["--cluster-id", UNKNOWN]).expect(4).says(&[UNKNOWN, "`ci`"]);
        assert!(!done.stderr.contains("deployed"), "`{command}` deploys nothing: {}", done.stderr);
    }
    let started = world.cli(&["start", "--cluster-id", UNKNOWN]).done().expect(4);
    started.says(&["with --cluster-name instead"]);
    let forbidden = world.cli(&["start", "--no-deploy", "--cluster-id", UNKNOWN]).done().expect(4);
    assert!(!forbidden.stderr.contains("deployed"), "{}", forbidden.stderr);
    for command in ["delete", "start"] {
        let yes = if command == "delete" { "--yes" } else { "--no-deploy" };
        world.cli(&[command, yes, "--cluster-name", "nope"]).done().expect(4).says(&["nope", "`ci`"]);
    }
}

#[test]
fn no_cluster_at_all_is_a_mistake_that_names_options_and_variables() {
    let world = World::with([]);
    for command in [&["info"][..], &["start"], &["stop"], &["delete", "--yes"], &["health"], &["query", "SELECT 1"]] {
        let done = world.cli(command).done().expect(2).says(&["CRATEDB_CLUSTER_NAME", "--cluster-name"]);
        assert!(!done.stderr.contains("builder"), "no command has one: {}", done.stderr);
    }
}

#[test]
fn an_option_beats_the_variables_and_among_variables_the_ignored_one_is_named() {
    let world = World::with([ClusterOptions::running("ci"), ClusterOptions::running("other")]);
    let other = world.cloud().cluster("other").id;
    let named = |run: crate::support::Run| run.done().expect(0).json()["name"].as_str().unwrap().to_owned();
    let by_option = world.cli(&["info", "--cluster-name", "ci", "--output", "json"]).env("CRATEDB_CLUSTER_ID", &other);
    assert_eq!(named(by_option), "ci");
    let both =
        || world.cli(&["info", "--output", "json"]).env("CRATEDB_CLUSTER_ID", &other).env("CRATEDB_CLUSTER_NAME", "ci");
    assert_eq!(named(both()), "other");
    both().done().says(&["CRATEDB_CLUSTER_NAME is ignored"]);
}

#[test]
fn two_clusters_of_one_name_are_told_apart_by_id() {
    let world = World::with([ClusterOptions::running("ci"), ClusterOptions::running("ci")]);
    let ids: Vec<_> = world.cloud().clusters().into_iter().map(|cluster| cluster.id).collect();
    let done = world.cli(&["info", "--cluster-name", "ci"]).done().expect(2);
    done.says(&[&ids[0], &ids[1], "--cluster-id"]);
}

#[test]
fn start_resumes_and_stop_suspends_with_a_line_for_each_change() {
    let world = World::of(Options::default().cluster(ClusterOptions::suspended("ci")));
    let done = world.cli(&["start", "--cluster-name", "ci", "--output", "json"]).done().expect(0);
    let done = done.says(&["resuming cluster `ci`", "cluster `ci` answers at "]);
    assert_eq!(done.json()["suspended"], false);
    assert!(!done.stderr.contains('\u{1b}') && !done.stderr.contains('\r'), "{done:?}");
    assert!(!world.cloud().cluster("ci").suspended);
    // Nothing to do, and nothing done.
    world.cli(&["start", "--cluster-name", "ci", "--quiet"]).done().expect(0);
    let is_change = |one: &Request| one.method == "PUT" && one.path.ends_with("/suspend/");
    let suspends = || world.simulator().requests().iter().filter(|one| is_change(one)).count();
    assert_eq!(suspends(), 1);
    let done = world.cli(&["stop", "--cluster-name", "ci", "--output", "json"]).done().expect(0);
    assert_eq!(done.says(&["suspending cluster `ci`", "is suspended"]).json()["suspended"], true);
    world.cli(&["stop", "--cluster-name", "ci"]).done().expect(0);
    assert_eq!(suspends(), 2);
}

#[test]
fn quiet_says_nothing_but_the_result() {
    let world = World::with([ClusterOptions::suspended("ci")]);
    let done = world.cli(&["start", "--cluster-name", "ci", "--quiet"]).done().expect(0);
    assert_eq!(done.stderr, "");
    assert!(done.stdout.contains("running"), "{done:?}");
}

#[test]
fn an_operation_that_fails_is_a_failure_with_the_message_of_the_service() {
    let world = World::with([ClusterOptions::suspended("ci")]);
    // The first failure may be tried again.
    for _ in 0..3 {
        world.cloud().fail_next_operation("ci", "No capacity in this region.");
    }
    let done = world.cli(&["start", "--cluster-name", "ci", "--output", "json"]).done().expect(1);
    let done = done.says(&["No capacity in this region."]);
    assert!(done.json()["error"]["message"].as_str().unwrap().contains("No capacity"));
}

#[test]
fn a_start_that_takes_too_long_is_timed_out() {
    let world = World::with([ClusterOptions::suspended("ci")]);
    world.cloud().hold_next_operation("ci");
    let done = world.cli(&["start", "--cluster-name", "ci", "--timeout", "300ms", "--output", "json"]).done().expect(5);
    assert_eq!(done.json()["error"]["exit_code"], 5);
    done.says(&["ci"]);
}

#[test]
fn a_cloud_that_does_not_answer_is_timed_out() {
    let world = World::with([ClusterOptions::running("ci")]);
    world.cloud().fault(cratedb_cloud_simulator::Fault::on("GET", "/clusters/").hang().always());
    for command in ["info", "stop"] {
        let run = world.cli(&[command, "--cluster-name", "ci"]).env("CRATEDB_CLOUD_TIMEOUT", "100ms");
        run.done().expect(5).says(&["100ms"]);
    }
    // The limit of one answer does not matter: the command has its own.
    world.cli(&["info", "--cluster-name", "ci", "--timeout", "100ms"]).done().expect(5).says(&["100ms"]);
}

#[test]
fn stop_says_why_a_product_can_not_be_suspended() {
    let free = ClusterOptions::running("free").with("product", "crfree").unwrap();
    let world = World::with([free]);
    world.cli(&["stop", "--cluster-name", "free"]).done().expect(1).says(&["crfree", "can't be suspended"]);
}

#[test]
fn an_interruption_says_what_continues() {
    let world = World::with([ClusterOptions::suspended("ci")]);
    world.cloud().hold_next_operation("ci");
    for (signal, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let running = world.cli(&["start", "--cluster-name", "ci", "--output", "json"]).start();
        let path = "/operations/";
        let seen = world.simulator().requests().len();
        eventually("a poll", || {
            let requests = world.simulator().requests();
            requests[seen..].iter().any(|one| one.path.contains(path)).then_some(())
        });
        running.signal(signal);
        let done = running.done().expect(code);
        let done = done.says(&["interrupted while ", "continues", "cargo cratedb info --cluster-name ci"]);
        assert_eq!(done.json()["error"]["exit_code"], code);
    }
    world.cloud().release("ci");
}

#[test]
fn deploy_makes_a_cluster_with_what_was_said() {
    let world = World::with([]);
    let arguments = [
        "deploy",
        "--cluster-name",
        "made",
        "--product",
        "cr1",
        "--region",
        "eks1.eu-west-1.aws",
        "--username",
        "ada",
        "--version",
        "6.4.3",
        "--nodes",
        "2",
        "--output",
        "json",
    ];
    let done = world.cli(&arguments).env("CRATEDB_PASSWORD", PASSWORD).done();
    let done = done.expect(0).says(&["deploying", "answers at"]).json();
    assert_eq!(
        (done["name"].as_str(), done["username"].as_str(), done["num_nodes"].as_u64()),
        (Some("made"), Some("ada"), Some(2))
    );
    world.cli(&arguments).done().expect(2).says(&["made", "there is one"]);
    world.cli(&["query", "--cluster-name", "made", "SELECT 1"]).done().expect(0);
}

#[test]
fn a_deploy_that_is_not_clear_lists_the_choices() {
    let world = World::with([]);
    let done = world.cli(&["deploy", "--cluster-name", "made", "--product", "cr1"]).done();
    done.expect(2).says(&["eks1.eu-west-1.aws", "CRATEDB_CLOUD_REGION"]);
    let done = world
        .cli(&["deploy", "--cluster-name", "made", "--product", "nonsense", "--region", "eks1.eu-west-1.aws"])
        .done();
    assert!(matches!(done.code, Some(1 | 2)), "{done:?}");
    done.says(&["nonsense"]);
    world.cli(&["deploy", "--cluster-id", UNKNOWN]).done().expect(2);
    assert!(world.cloud().clusters().is_empty());
}

#[test]
fn a_password_that_is_too_short_is_refused_without_being_told() {
    let world = World::with([]);
    let arguments = ["deploy", "--cluster-name", "made", "--product", "cr1", "--region", "eks1.eu-west-1.aws"];
    let done = world.cli(&arguments).env("CRATEDB_PASSWORD", "hush-hush-4711").done();
    assert!(matches!(done.code, Some(1 | 2)), "{done:?}");
    assert!(!done.stderr.contains("hush-hush-4711"), "{done:?}");
    done.says(&["24"]);
}

#[test]
fn start_deploys_what_is_missing_unless_told_not_to() {
    let world = World::with([]);
    let start = |more: &[&str]| {
        let run = world.cli(&[&["start", "--cluster-name", "made", "--output", "json"], more].concat());
        run.env("CRATEDB_CLOUD_PRODUCT", "cr1").env("CRATEDB_CLOUD_REGION", "eks1.eu-west-1.aws").done()
    };
    let refused = start(&["--no-deploy"]).expect(4).says(&["--no-deploy keeps it", "leave out --no-deploy"]);
    assert!(!refused.stderr.contains("CRATEDB_CLOUD_DEPLOY"), "{}", refused.stderr);
    assert_eq!(start(&[]).expect(0).json()["name"], "made");
}

#[test]
fn delete_does_not_ask_without_a_terminal() {
    let world = World::with([ClusterOptions::running("ci")]);
    let done = world
        .cli(&["delete", "--cluster-name", "ci", "--output", "json"])
        .input("y\n")
        .done()
        .expect(2)
        .says(&["--yes"]);
    assert_eq!(done.json()["error"]["exit_code"], 2);
    assert_eq!(world.cloud().clusters().len(), 1);
    let done = world.cli(&["delete", "--cluster-name", "ci", "--yes", "--output", "json"]).done().expect(0);
    assert_eq!(done.json()["deleted"]["name"], "ci");
    assert!(world.cloud().clusters().is_empty());
}

#[test]
fn a_protected_cluster_is_not_deleted() {
    let world = World::with([ClusterOptions::running("ci").with("protected", "true").unwrap()]);
    world.cli(&["delete", "--cluster-name", "ci", "--yes"]).done().expect(1).says(&["protect"]);
    assert_eq!(world.cloud().clusters().len(), 1);
}

#[test]
fn health_is_an_exit_code_too() {
    let world = World::with([ClusterOptions::running("ci"), ClusterOptions::suspended("asleep")]);
    let done = world.cli(&["health", "--cluster-name", "ci", "--output", "json"]).done().expect(0).json();
    assert_eq!((done["suspended"].as_bool(), done["sql"]["status"].as_str()), (Some(false), Some("GREEN")));
    let shown = world.cli(&["health", "--cluster-name", "ci"]).done().expect(0).stdout;
    assert!(shown.contains("sql says"), "{shown}");
    let done = world.cli(&["health", "--cluster-name", "asleep", "--output", "json"]).done().expect(1).json();
    assert_eq!((done["suspended"].as_bool(), done["sql"].is_null()), (Some(true), true));
}

#[test]
fn an_operation_that_another_client_began_is_waited_for() {
    let world = World::with([ClusterOptions::suspended("ci")]);
    world.cloud().foreign_resume("ci", Pace::Auto(Duration::from_millis(300)));
    world.cli(&["start", "--cluster-name", "ci"]).done().expect(0).says(&["another client"]);
    assert!(!world.simulator().requests().iter().any(|one| one.method == "PUT"), "it was resumed once more");
}

#[test]
fn requests_name_the_program_and_the_key_is_sent_as_such() {
    let world = World::with([]);
    world.cli(&["list"]).done().expect(0);
    let requests = world.simulator().requests();
    assert!(requests.iter().all(|one| one.user_agent.starts_with("cratedb-test/")), "{requests:?}");
    assert!(!format!("{requests:?}").contains(crate::support::SECRET), "{KEY}");
}
