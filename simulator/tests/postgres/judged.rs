//! Equal to the recorded answers, or refused; never wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};
use serde_json::{Value, json};

use super::conversation::{Conversation, all};

const REFUSAL: &str = "not supported by the embedded engine";
const ANSWERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/postgres/answers-6.4.3.ndjson");

/// Steps that are answered as recorded. Raise this number when the engine learns more.
const EQUAL: usize = 900;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Found {
    Equal,
    /// True for the same error at another message: errors in statements other than queries come when they run, and some
    /// errors in queries come earlier.
    Elsewhere,
    Refused,
    Wrong,
}

fn recorded() -> BTreeMap<String, Vec<Vec<Value>>> {
    let text = std::fs::read_to_string(ANSWERS).unwrap_or_default();
    let line = |line: &str| serde_json::from_str::<(String, Vec<Vec<Value>>)>(line).unwrap();
    text.lines().map(line).collect()
}

/// Returns the parts of an answer that count: of an error its severity and SQLSTATE.
fn judged(answers: &[Value]) -> Vec<Value> {
    let short = |answer: &Value| match answer[0].as_str() {
        Some("E") => json!(["E", answer[1], answer[2]]),
        _ => answer.clone(),
    };
    answers.iter().map(short).collect()
}

/// Returns severity and SQLSTATE of an error.
fn failure(answers: &[Value]) -> Option<Value> {
    answers.iter().find(|answer| answer[0] == "E").map(|answer| json!([answer[1], answer[2]]))
}

fn refuses(answers: &[Value]) -> bool {
    answers.iter().any(|answer| answer[0] == "E" && answer[3].as_str().is_some_and(|text| text.contains(REFUSAL)))
}

/// Judges each step. Returns the differences.
fn compare(conversation: &Conversation, got: &[Vec<Value>], expected: &[Vec<Value>], told: &mut String) -> Vec<Found> {
    let mut out = vec![];
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let found = match (judged(got) == judged(expected), refuses(got)) {
            (true, false) => Found::Equal,
            (_, true) => Found::Refused,
            _ if failure(got).is_some() && failure(got) == failure(expected) => Found::Elsewhere,
            _ => Found::Wrong,
        };
        if found != Found::Equal {
            let show = |all: &[Value]| all.iter().map(Value::to_string).collect::<Vec<_>>().join(" ");
            let step = conversation.shown(i);
            let _ = writeln!(
                told,
                "{found:?} {} #{i} {step}\n  got      {}\n  expected {}",
                conversation.name,
                show(got),
                show(expected)
            );
        }
        out.push(found);
    }
    out
}

fn total(address: &str, expected: &BTreeMap<String, Vec<Vec<Value>>>) -> (BTreeMap<Found, usize>, String) {
    let (mut count, mut told) = (BTreeMap::new(), String::new());
    for conversation in all() {
        let expected =
            expected.get(&conversation.name).unwrap_or_else(|| panic!("{} isn't recorded", conversation.name));
        for found in compare(&conversation, &conversation.hold(address), expected, &mut told) {
            *count.entry(found).or_default() += 1;
        }
    }
    (count, told)
}

#[test]
fn answers_as_a_real_server_did_or_refuses() {
    let simulator = Simulator::start_blocking(
        Options::default().cluster(ClusterOptions::running("judged").with("auth", "off").unwrap()),
    )
    .unwrap();
    let port = simulator.cloud().clusters()[0].psql_port.unwrap();
    let (count, told) = total(&format!("127.0.0.1:{port}"), &recorded());
    if let Some(file) = std::env::var_os("CRATEDB_PG_REPORT") {
        std::fs::write(file, format!("{told}\n{count:?}\n")).unwrap();
    }
    let wrong: Vec<&str> = told.split_inclusive('\n').filter(|line| line.starts_with("Wrong")).collect();
    assert!(wrong.is_empty(), "{told}\n{count:?}");
    assert!(count[&Found::Equal] >= EQUAL, "{count:?}");
}

/// Checks the recording against a real server, or makes it anew. Does nothing without one.
#[test]
fn a_real_server_answers_as_recorded() {
    let Ok(address) = std::env::var("CRATEDB_PG_ADDRESS") else {
        eprintln!("no real server: CRATEDB_PG_ADDRESS is not set");
        return;
    };
    if std::env::var_os("CRATEDB_PG_RECORD").is_some() {
        let line = |one: Conversation| format!("{}\n", json!([one.name, one.hold(&address)]));
        return std::fs::write(ANSWERS, all().into_iter().map(line).collect::<String>()).unwrap();
    }
    let (count, told) = total(&address, &recorded());
    assert_eq!(count.keys().copied().collect::<Vec<_>>(), [Found::Equal], "{told}\n{count:?}");
}
