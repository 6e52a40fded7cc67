//! `test`: a session around any command.

use std::io;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};

use cratedb_test::private::control::{self, Held};
use serde_json::json;

use super::child;
use super::signals::{self, Arrived};
use crate::arguments::{Output, Test};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Document, People};

const SESSION: &str = "CRATEDB_TEST_SESSION";

/// What `test` waits for.
enum Event {
    Signal(Arrived),
    Acquired(cratedb_test::Result<Held>),
    Ended(io::Result<ExitStatus>),
    Released(cratedb_test::Result<()>),
}

pub(super) fn run(context: &Context, test: Test) -> Result<u8, Failure> {
    let session = name(&test);
    let (tell, events) = channel();
    let told = tell.clone();
    signals::catch(move |arrived| drop(told.send(Event::Signal(arrived))))
        .map_err(|error| Failure::failed(format!("cannot catch signals: {error}")))?;
    let held = acquired(context, &session, &tell, &events)?;
    let ran = run_command(context, &test, &held, &tell, &events);
    released(context, held, &tell, &events);
    let code = ran?;
    let document = json!({ "session": session, "command": words(&test), "exit_code": code });
    Document::new(&document, People::Text(String::new()))?.print(&context.terminal)?;
    Ok(code)
}

/// The option's, the variable's, or a new one.
fn name(test: &Test) -> String {
    let given = test.session.clone();
    let set = || std::env::var(SESSION).ok().filter(|name| !name.is_empty());
    given.or_else(set).unwrap_or_else(|| format!("cargo-cratedb-{}", std::process::id()))
}

fn words(test: &Test) -> Vec<String> {
    test.command.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}
