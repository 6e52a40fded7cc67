//! `report`: sessions as keepers recorded them, and recordings that are damaged, foreign, or cut off by a kill.

use std::fs;
use std::path::PathBuf;

use cratedb_cloud_simulator::{ClusterOptions, Fault};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::sessions::{test, test_process, until_no_keeper, until_suspended};
use crate::support::{Done, World, eventually};

fn world() -> World {
    World::with([ClusterOptions::suspended("ci")])
}

/// Runs two test processes in a session, one after the other.
fn session(world: &World, arguments: &[&str]) -> Done {
    let process = test_process().join(" ");
    let command = format!("{process} && {process}");
    test(world, &[arguments, &["--", "sh", "-c", &command]].concat()).done().expect(0)
}

fn report(world: &World, arguments: &[&str]) -> Done {
    world.cli(&[&["report"], arguments].concat()).done()
}

fn json(world: &World, arguments: &[&str]) -> Value {
    report(world, &[arguments, &["--output", "json"]].concat()).expect(0).json()
}

fn recordings(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.home().join("state/recordings")).into_iter().flatten();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "not there: {part}\n{text}");
    }
}

#[test]
fn a_session_is_shown_with_its_tests_its_phases_and_what_it_cost() {
    let world = world();
    session(&world, &["--session", "nightly"]);
    let told = json(&world, &[]);
    assert_eq!((&told["end"], &told["name"]), (&"over".into(), &"nightly".into()), "{told:#}");
    let used = &told["clusters"][0];
    assert_eq!(
        (&used["provider"], &used["how"], &used["outcome"]),
        (&"cloud".into(), &"resumed".into(), &"suspended".into())
    );
    let phases: Vec<&str> =
        used["phases"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    let [.., "starting", "up", "releasing"] = phases[..] else { panic!("{phases:?}") };
    let says = used["phases"].to_string();
    assert!(says.contains("resuming cluster `ci`"), "{says}");
    let attempts = used["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{told:#}");
    for one in attempts {
        assert_eq!((&one["test"], &one["result"]), (&"cli::sessions::joins_the_session".into(), &"passed".into()));
        assert!(one["schema"].as_str().unwrap().ends_with("joins_the_session"), "{one}");
        let [asked, began, ended] = ["asked", "began", "ended"].map(|name| one[name].as_u64().unwrap());
        assert!(asked <= began && began <= ended && ended <= told["length"].as_u64().unwrap(), "{told:#}");
    }
    assert_ne!(attempts[0]["process"], attempts[1]["process"]);
    let bill = &told["bill"];
    let [running, tests, idle] = ["running_ms", "in_tests_ms", "idle_ms"].map(|name| bill[name].as_u64().unwrap());
    assert!(running == tests + idle && running > 0, "{bill}");
    // What the simulator's products cost.
    let price = bill["cost"]["per_hour"].as_f64().unwrap();
    assert!((0.12..0.14).contains(&price) && bill["cost"]["currency"] == "USD", "{bill}");
    assert!((bill["cost"]["amount"].as_f64().unwrap() - price * running as f64 / 3_600_000.0).abs() < 1e-9);

    let text = report(&world, &[]).expect(0).stdout;
    has(
        &text,
        &[
            "nightly",
            "cluster `ci`",
            "resumed; suspended",
            "2 passed in 2 processes",
            "USD",
            "CrateDB Cloud's price of cr1",
        ],
    );
    assert!(report(&world, &["--price", "2 EUR"]).expect(0).stdout.contains("at 2 EUR an hour (--price)"));
    let run = world.cli(&["report"]).env("CRATEDB_TEST_PRICE", "3").done().expect(0);
    assert!(run.stdout.contains("at 3 an hour (CRATEDB_TEST_PRICE)"), "{run:?}");
}

#[test]
fn sessions_are_listed_the_last_first_and_selected_by_id_or_name() {
    let world = world();
    for name in ["one", "two", "one"] {
        session(&world, &["--session", name]);
        until_no_keeper(&world);
    }
    let list = json(&world, &["--list"]);
    let all = list["sessions"].as_array().unwrap();
    let names: Vec<&str> = all.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two", "one"]);
    let running = |one: &Value| one["running_ms"].as_u64().unwrap();
    let sum: u64 = all.iter().map(|one| running(&one["bill"])).sum();
    assert_eq!(running(&list["total"]), sum, "{list:#}");
    let ids: Vec<&str> = all.iter().map(|one| one["id"].as_str().unwrap()).collect();
    for id in &ids {
        assert_eq!(json(&world, &["--session", &id[..6]])["id"], **id);
    }
    assert_eq!(json(&world, &["--session", "two"])["id"], ids[1]);
    assert_eq!(json(&world, &["--session", "one"])["id"], ids[0], "the last one of the name");
    assert_eq!(json(&world, &["--last"])["id"], ids[0]);
    let table = report(&world, &["--list", "--price", "1"]).expect(0).says(&["together: ", "at 1 an hour (--price)"]);
    assert_eq!(table.stdout.lines().count(), 2 + 3, "{table:?}");
    assert_eq!(report(&world, &["--list", "--output", "csv"]).expect(0).stdout.lines().count(), 1 + 3);
    report(&world, &["--session", "three"]).expect(4).says(&["no recorded session is called `three`", "report --list"]);
    // Of another project, they are among all.
    fs::create_dir(world.home().join("other")).unwrap();
    fs::write(world.home().join("other/Cargo.lock"), "").unwrap();
    world.cli(&["report"]).within("other").done().expect(4).says(&["no session of", "--list --all"]);
    let all = world.cli(&["report", "--list", "--all", "--output", "json"]).within("other").done().expect(0).json();
    assert_eq!(all["sessions"].as_array().unwrap().len(), 3);
}

#[test]
fn nothing_that_is_recorded_is_no_error_of_a_list() {
    let world = World::without_cloud();
    report(&world, &[]).expect(4).says(&["is recorded", "run its tests"]);
    report(&world, &["--all"]).expect(4).says(&["no session is recorded"]);
    assert_eq!(json(&world, &["--list"])["sessions"], Value::Array(Vec::new()));
    for bad in
        [&["--price", "cheap"][..], &["--list", "--markdown"], &["--last", "--session", "x"], &["--output", "csv"]]
    {
        report(&world, bad).expect(2);
    }
}

#[test]
fn a_page_a_trace_and_markdown_are_written() {
    let world = world();
    session(&world, &["--session", "a-b"]);
    report(&world, &["--html", "r.html", "--chrome-trace", "r.json", "--quiet"]).expect(0);
    let read = |name: &str| fs::read_to_string(world.home().join(name)).unwrap();
    let page = read("r.html");
    has(
        &page,
        &["<!doctype html>", "cli::sessions::joins_the_session", "prefers-color-scheme: dark", "default-src 'none'"],
    );
    assert!(!page.contains("http://") && !page.contains("https://"), "a page needs no network");
    let trace: Value = serde_json::from_str(&read("r.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    for one in events {
        let phase = one["ph"].as_str().unwrap();
        assert!(one["pid"].is_u64() && one["tid"].is_u64() && one["name"].is_string(), "{one}");
        assert!(phase == "M" || phase == "X" && one["ts"].is_u64() && one["dur"].is_u64(), "{one}");
    }
    let tests = events.iter().filter(|one| one["cat"] == "test").count();
    assert_eq!(tests, 2, "{trace:#}");
    let markdown = report(&world, &["--markdown"]).expect(0).stdout;
    has(&markdown, &["### CrateDB session `a-b`\n", "| tests | 2 passed in ", "| bill | "]);
    report(&world, &["--html", "nowhere/r.html"]).expect(1).says(&["cannot write the report to nowhere/r.html"]);
}

/// The keeper that is killed leaves what it had recorded, and the next one of the same session goes on with it.
#[test]
fn a_killed_keeper_leaves_a_report_whose_end_is_unknown() {
    let world = world();
    let running = test(&world, &["--session", "killed", "--", "sh", "-c", "echo > mark; exec sleep 600"]).start();
    eventually("the command", || world.home().join("mark").exists().then_some(()));
    let alive = eventually("the recording", || {
        let told = report(&world, &["--output", "json"]);
        let told = (told.code == Some(0)).then(|| told.json())?;
        (told["clusters"][0]["provider"] == "cloud").then_some(told)
    });
    assert_eq!((&alive["end"], &alive["bill"]["at_least"]), (&"running".into(), &true.into()), "{alive:#}");
    let status = world.cli(&["status", "--output", "json"]).done().expect(0).json();
    let keeper = Pid::from_raw(status[0]["keeper"].as_i64().unwrap() as i32).unwrap();
    // Both at once, so that nothing starts the next keeper.
    running.signal(Signal::STOP);
    kill_process(keeper, Signal::KILL).unwrap();
    let told = eventually("the end of the keeper", || {
        let told = json(&world, &[]);
        (told["end"] == "unknown").then_some(told)
    });
    has(&told["notes"].to_string(), &["the end is not recorded", "cargo cratedb status"]);
    assert!(told["bill"]["at_least"] == true && told["clusters"][0]["outcome"].is_null(), "{told:#}");
    has(&report(&world, &[]).expect(0).stdout, &["end unknown", "at least"]);
    running.signal(Signal::CONT);
    running.signal(Signal::TERM);
    drop(running.done());
    world.cli(&["sweep"]).done();
    until_suspended(&world);
    assert_eq!(json(&world, &["--list"])["sessions"].as_array().unwrap().len(), 1, "a sweep is no session");
}

#[test]
fn a_recording_that_can_not_be_read_is_named_and_the_others_are_shown() {
    let world = world();
    session(&world, &[]);
    let [good] = &recordings(&world)[..] else { panic!("{:?}", recordings(&world)) };
    let text = fs::read_to_string(good).unwrap();
    let beside = |number: &str, content: &str| {
        let name = good.file_name().unwrap().to_str().unwrap().replacen(".0000000000000000.", number, 1);
        fs::write(good.with_file_name(name), content).unwrap();
    };
    beside(".0000000000000001.", "");
    beside(".0000000000000002.", &text.replacen("\"format\":1", "\"format\":9", 1));
    fs::write(good.with_file_name("notes.txt"), "not a recording").unwrap();
    let done = report(&world, &[]).expect(0).says(&["not read: ", "it is damaged", "newer version of cratedb-test"]);
    has(&done.stdout, &["2 passed"]);
    // Cut in the middle of a line.
    fs::write(good, &text[..text.len() * 2 / 3]).unwrap();
    assert_eq!(json(&world, &[])["end"], "unknown");
}

#[test]
fn a_keeper_that_can_not_record_goes_on_and_says_so_once() {
    let world = world();
    fs::create_dir(world.home().join("state")).unwrap();
    world.write("state/recordings", "a file is in the way");
    let process = test_process().join(" ");
    let done =
        test(&world, &["--", "sh", "-c", &format!("{process} --nocapture && {process} --nocapture")]).done().expect(0);
    assert_eq!(done.stdout.matches("1 passed").count(), 2, "{done:?}");
    assert_eq!(done.stderr.matches("will have nothing, or not all, of this session").count(), 1, "{done:?}");
    until_suspended(&world);
}

#[test]
fn a_price_that_can_not_be_read_is_a_note_and_no_error() {
    let world = world();
    session(&world, &[]);
    let unknown = |done: Done| {
        let done = done.expect(0).says(&["no price is known: ", "CRATEDB_TEST_PRICE gives one"]);
        assert!(!done.stdout.contains("USD"), "{done:?}");
    };
    unknown(world.stranger(&["report"]).done());
    for fault in [
        Fault::on("GET", "/products/clusters/price").status(404),
        Fault::on("GET", "/products/clusters/price").answer(200, "{\"total_price\": {\"price_per_hour\": -1}}"),
        Fault::on("GET", "/clusters/").status(403),
    ] {
        world.cloud().fault(fault.always());
        unknown(report(&world, &[]));
        assert!(json(&world, &["--quiet"])["bill"]["cost"].is_null());
        world.cloud().clear_faults();
    }
}

/// The disk is not filled: a project keeps its last 20 sessions.
#[test]
fn the_last_sessions_of_a_project_are_kept() {
    let world = world();
    session(&world, &[]);
    until_no_keeper(&world);
    let [first] = &recordings(&world)[..] else { panic!("{:?}", recordings(&world)) };
    let name = first.file_name().unwrap().to_str().unwrap().to_owned();
    let text = fs::read_to_string(first).unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    for number in 1..30 {
        let run = format!("{number:016x}");
        let name = [parts[0], &run, &run, parts[3], parts[4]].join(".");
        let head = text.replacen(&format!("\"run\":\"{}\"", parts[2]), &format!("\"run\":\"{run}\""), 1);
        fs::write(first.with_file_name(name), head).unwrap();
    }
    session(&world, &[]);
    until_no_keeper(&world);
    assert_eq!(recordings(&world).len(), 20);
    let list = json(&world, &["--list"]);
    assert_eq!(list["sessions"].as_array().unwrap().len(), 20);
    assert!(recordings(&world)[19].to_str().unwrap().contains(".000000000000001e."), "numbers rise");
}
