//! Messages in and out, over an engine without a network.

use pgwire::messages::extendedquery::{Describe, Sync};
use pgwire::messages::simplequery::Query;

use super::*;
use crate::engine::{Engine, EngineOptions};

fn session() -> Conversation {
    let mut engine = Engine::new(EngineOptions {
        version: "6.4.3".into(),
        cluster_name: "c".into(),
        cluster_id: "i".into(),
        node_name: "n".into(),
        http_address: "127.0.0.1:4200".into(),
        psql_port: None,
    })
    .connect();
    engine.open("crate", Some("s"));
    Conversation::new(engine)
}

fn say(session: &mut Conversation, messages: Vec<Message>) -> String {
    let mut out = vec![];
    for message in messages {
        assert_eq!(session.handle(message, &mut out), Next::Message);
    }
    out.iter().map(letter).collect()
}

/// Shows messages as their letters, with the tag of a completed command and the letter of a state.
fn letter(answer: &Answer) -> String {
    match answer {
        Answer::ParseComplete(_) => "1".into(),
        Answer::BindComplete(_) => "2".into(),
        Answer::CloseComplete(_) => "3".into(),
        Answer::DataRow(_) => "D".into(),
        Answer::RowDescription(_) => "T".into(),
        Answer::ParameterDescription(_) => "t".into(),
        Answer::NoData(_) => "n".into(),
        Answer::PortalSuspended(_) => "s".into(),
        Answer::EmptyQueryResponse(_) => "I".into(),
        Answer::ErrorResponse(_) => "E".into(),
        Answer::CommandComplete(complete) => format!("({})", complete.tag),
        Answer::ReadyForQuery(ready) => format!("Z{}", char::from(ready.status as u8)),
        other => format!("{other:?}"),
    }
}

fn query(text: &str) -> Message {
    Message::Query(Query::new(text.into()))
}

fn parse(name: &str, text: &str) -> Message {
    Message::Parse(Parse::new(Some(name.into()), text.into(), vec![]))
}

fn bind(statement: &str, values: &[&'static str]) -> Message {
    let values = values.iter().map(|value| Some(Bytes::from_static(value.as_bytes()))).collect();
    Message::Bind(Bind::new(None, Some(statement.into()), vec![], values, vec![]))
}

fn run() -> Message {
    Message::Execute(Execute::new(None, 0))
}

fn sync() -> Message {
    Message::Sync(Sync::new())
}

#[test]
fn after_a_mistake_nothing_is_done_before_the_client_synchronises() {
    let mut session = session();
    let said = say(
        &mut session,
        vec![parse("a", "SELEC 1"), parse("b", "SELECT 1"), bind("b", &[]), run(), query("SELECT 2"), sync()],
    );
    assert_eq!(said, "EZE");
    assert_eq!(say(&mut session, vec![bind("b", &[]), sync()]), "EZE");
    assert_eq!(say(&mut session, vec![parse("b", "SELECT 1"), bind("b", &[]), run(), sync()]), "12D(SELECT 1)ZI");
}

#[test]
fn writes_wait_for_the_end_of_their_batch_and_answers_keep_their_order() {
    let mut session = session();
    say(&mut session, vec![query("CREATE TABLE t (a INT PRIMARY KEY) CLUSTERED INTO 1 SHARDS")]);
    let batch = vec![parse("i", "INSERT INTO t (a) VALUES ($1)"), bind("i", &["1"]), run(), bind("i", &["1"]), run()];
    assert_eq!(say(&mut session, batch), "12");
    assert_eq!(say(&mut session, vec![sync()]), "(INSERT 0 1)2(INSERT 0 -3)ZI");
    // Waiting writes are dropped when the batch has an error.
    assert_eq!(say(&mut session, vec![bind("i", &["2"]), run(), parse("x", "SELEC"), sync()]), "2EZE");
    assert_eq!(say(&mut session, vec![query("REFRESH TABLE t; SELECT a FROM t")]), "(REFRESH 1)TD(REFRESH 1)ZI");
}

#[test]
fn a_statement_that_is_closed_takes_its_portals_along() {
    let mut session = session();
    let close = Message::Close(pgwire::messages::extendedquery::Close::new(b'S', Some("a".into())));
    assert_eq!(say(&mut session, vec![parse("a", "SELECT 1"), bind("a", &[]), close, run(), sync()]), "123EZE");
}

#[test]
fn a_value_that_does_not_fit_ends_its_batch_and_not_the_session() {
    let mut session = session();
    let describe = Message::Describe(Describe::new(b'S', Some("a".into())));
    assert_eq!(
        say(&mut session, vec![parse("a", "SELECT $1::int + 1"), describe, bind("a", &["x"]), run(), sync()]),
        "1tTEZE"
    );
    assert_eq!(say(&mut session, vec![bind("a", &["41"]), run(), sync()]), "2D(SELECT 1)ZI");
    assert_eq!(say(&mut session, vec![bind("a", &["1", "2"]), sync()]), "EZE");
}

#[test]
fn terminate_ends() {
    let mut out = vec![];
    let terminate = Message::Terminate(pgwire::messages::terminate::Terminate::new());
    assert_eq!((session().handle(terminate, &mut out), out.len()), (Next::End, 0));
}
