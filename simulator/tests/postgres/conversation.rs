//! Conversations: simple queries, extended queries, and single messages.

use bytes::Bytes;
use pgwire::messages::PgWireFrontendMessage as Said;
use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Flush, Parse, Sync};
use pgwire::messages::simplequery::Query;
use serde::Deserialize;
use serde_json::Value;

use super::client::Client;

/// A connection's steps, in a schema of its own.
#[derive(Deserialize)]
pub struct Conversation {
    pub name: String,
    #[serde(default)]
    options: Option<String>,
    #[serde(default)]
    no_database: bool,
    pub steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Step {
    Simple {
        simple: String,
    },
    /// Returns the messages to parse, describe both ways, bind, execute and synchronise.
    Extended {
        extended: String,
        #[serde(default)]
        args: Vec<Value>,
        #[serde(default)]
        oids: Vec<u32>,
        #[serde(default)]
        formats: Vec<i16>,
        #[serde(default)]
        results: Vec<i16>,
        #[serde(default)]
        rows: i32,
    },
    Raw {
        raw: Vec<Value>,
    },
}

pub fn all() -> Vec<Conversation> {
    let lines = include_str!("conversations.ndjson").lines();
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

impl Conversation {
    fn schema(&self) -> String {
        format!("cv_{}", self.name)
    }

    /// Returns a step in readable form.
    pub fn shown(&self, step: usize) -> String {
        match &self.steps[step] {
            Step::Simple { simple } => format!("simple {simple:?}"),
            Step::Extended { extended, args, oids, .. } => format!("extended {extended:?} {args:?} {oids:?}"),
            Step::Raw { raw } => format!("raw {raw:?}"),
        }
    }

    /// Holds the conversation with a server. Returns the answers to each step.
    pub fn hold(&self, address: &str) -> Vec<Vec<Value>> {
        let schema = self.schema();
        let mut tidy = Client::connect(address);
        tidy.greet(&[("user", "crate")], None);
        tidy.say(&[query(&format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE"))], 1);
        let mut client = Client::connect(address);
        let mut parameters = vec![("user", "crate")];
        if !self.no_database {
            parameters.push(("database", &schema));
        }
        parameters.extend(self.options.as_deref().map(|options| ("options", options)));
        client.greet(&parameters, None);
        let heard = self.steps.iter().map(|step| step.take(&mut client)).collect();
        tidy.say(&[query(&format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE"))], 1);
        heard
    }
}

fn query(text: &str) -> Said {
    Said::Query(Query::new(text.to_owned()))
}

fn bytes(value: &Value) -> Option<Bytes> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
        other => {
            let hex = other["hex"].as_str().unwrap_or_else(|| panic!("no value: {other}"));
            let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
            Some((0..hex.len()).step_by(2).map(byte).collect())
        }
    }
}

fn numbers(value: &Value) -> Vec<i64> {
    value.as_array().map(|all| all.iter().filter_map(Value::as_i64).collect()).unwrap_or_default()
}

impl Step {
    fn take(&self, client: &mut Client) -> Vec<Value> {
        match self {
            Step::Simple { simple } => client.say(&[query(simple)], 1),
            Step::Extended { extended, args, oids, formats, results, rows } => {
                let messages = [
                    Said::Parse(Parse::new(None, extended.clone(), oids.clone())),
                    Said::Describe(Describe::new(b'S', None)),
                    Said::Bind(Bind::new(
                        None,
                        None,
                        formats.clone(),
                        args.iter().map(bytes).collect(),
                        results.clone(),
                    )),
                    Said::Describe(Describe::new(b'P', None)),
                    Said::Execute(Execute::new(None, *rows)),
                    Said::Sync(Sync::new()),
                ];
                client.say(&messages, 1)
            }
            Step::Raw { raw } => {
                let messages: Vec<Said> = raw.iter().map(message).collect();
                let times = messages.iter().filter(|message| matches!(message, Said::Sync(_))).count();
                client.say(&messages, times)
            }
        }
    }
}

fn message(told: &Value) -> Said {
    let text = |i: usize| told[i].as_str().unwrap_or_default().to_owned();
    let name = |i: usize| Some(text(i)).filter(|name| !name.is_empty());
    let shorts = |i: usize| numbers(&told[i]).into_iter().map(|n| n as i16).collect::<Vec<_>>();
    match text(0).as_str() {
        "P" => Said::Parse(Parse::new(name(1), text(2), numbers(&told[3]).into_iter().map(|n| n as u32).collect())),
        "B" => {
            let args = told[4].as_array().unwrap().iter().map(bytes).collect();
            Said::Bind(Bind::new(name(1), name(2), shorts(3), args, shorts(5)))
        }
        "D" => Said::Describe(Describe::new(text(1).as_bytes()[0], name(2))),
        "E" => Said::Execute(Execute::new(name(1), told[2].as_i64().unwrap_or(0) as i32)),
        "C" => Said::Close(Close::new(text(1).as_bytes()[0], name(2))),
        "H" => Said::Flush(Flush::new()),
        "S" => Said::Sync(Sync::new()),
        other => panic!("no message is called {other}"),
    }
}
