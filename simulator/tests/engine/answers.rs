//! The embedded engine answers as a real CrateDB 6.4.3 did, or refuses, and is never wrong.

use std::sync::Arc;

use cratedb_cloud_simulator::engine::{Connection, Engine, Request};

use crate::recorded::{Call, Names, Server, replay};
use crate::support::engine;

/// Steps that the engine answers as recorded. Raise these numbers when it learns more.
const EQUAL: usize = 1229;
const EQUAL_MORE: usize = 34;
const EQUAL_RULES: usize = 60;
const EQUAL_DEFINITIONS: usize = 793;
const EQUAL_UNSEEN: usize = 1509;

/// A new engine for each scenario.
struct Embedded(Arc<Engine>);

impl Server for Embedded {
    type Connection = Connection;

    fn begin(&mut self) -> Names {
        self.0 = engine("6.4.3");
        Names(["cqtestschema", "crtestschemb", "cutestuserxy"].map(str::to_owned))
    }

    fn connect(&mut self) -> Connection {
        self.0.connect()
    }

    fn send(&mut self, connection: &mut Connection, call: &Call<'_>) -> (u16, String) {
        let Call { method, path, user, default_schema, body } = *call;
        let answer = connection.handle(&Request { method, path, user, default_schema, body: body.as_bytes() });
        (answer.status, String::from_utf8(answer.body).expect("answers are UTF-8"))
    }
}

#[test]
fn every_recorded_answer_is_equal_or_refused() {
    none_is_wrong("cratedb-6.4.3-answers.ndjson", EQUAL);
}

/// Replays answers that were recorded later, for statements that tools send.
#[test]
fn every_answer_recorded_later_is_equal_or_refused() {
    none_is_wrong("cratedb-6.4.3-more-answers.ndjson", EQUAL_MORE);
}

/// Replays answers about rules that hold for every statement of a kind: names of RETURNING, comparisons of versions,
/// replicas that find no node, privileges of roles, and subscripts of parameters.
#[test]
fn every_answer_about_a_rule_is_equal_or_refused() {
    none_is_wrong("cratedb-6.4.3-rules-answers.ndjson", EQUAL_RULES);
}

/// Replays answers about definitions: texts of views and of generated columns, settings, details of columns, and
/// numbers of the shards after a series of writes.
#[test]
fn every_answer_about_a_definition_is_equal_or_refused() {
    none_is_wrong("cratedb-6.4.3-definitions-answers.ndjson", EQUAL_DEFINITIONS);
}

/// Replays answers to statements that were written from CrateDB's documentation before the engine had seen any of them.
#[test]
fn every_answer_to_an_unseen_statement_is_equal_or_refused() {
    none_is_wrong("cratedb-6.4.3-unseen-answers.ndjson", EQUAL_UNSEEN);
}

/// Replays a recording that is not kept here. `ENGINE_REFUSED=1` also shows what is refused.
#[test]
#[ignore = "needs a recording, whose path is in ENGINE_ANSWERS"]
fn every_answer_of_another_recording_is_equal_or_refused() {
    let file = std::env::var("ENGINE_ANSWERS").expect("ENGINE_ANSWERS has the path of a recording");
    let tally = replay(&mut Embedded(engine("6.4.3")), &file);
    assert!(tally.wrong.is_empty(), "{} answers are wrong:\n{}", tally.wrong.len(), tally.wrong.join("\n"));
}

fn none_is_wrong(file: &str, least: usize) {
    let file = format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    let tally = replay(&mut Embedded(engine("6.4.3")), &file);
    assert!(tally.wrong.is_empty(), "{} answers are wrong:\n{}", tally.wrong.len(), tally.wrong.join("\n"));
    assert!(tally.equal >= least, "{} of {} answers are equal, {least} were", tally.equal, tally.all);
}
