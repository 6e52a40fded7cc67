//! `test`: a session around any command.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};

use cratedb_test::private::control::{self, ClusterOutcome, Finished, HeldSession};
use serde_json::json;
use signal_hook::consts::SIGINT;

use super::child;
use super::signals::{self, Arrived};
use super::{PATIENCE, is_owed};
use crate::arguments::{Output, Test};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Document, People};

const SESSION: &str = "CRATEDB_TEST_SESSION";

/// What `test` waits for.
enum Event {
    Signal(Arrived),
    Acquired(cratedb_test::Result<HeldSession>),
    Ended(io::Result<ExitStatus>),
    Released(cratedb_test::Result<Finished>),
    /// What was waited for will not come: its thread panicked, and said so.
    Lost,
}

/// What happens, in the order in which it does, and who tells of it.
struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

/// What became of the cluster, in the words of [`Finished`].
struct Released {
    outcome: ClusterOutcome,
    detail: String,
    /// It may run on although nobody needs it.
    is_owed: bool,
}

pub(super) fn run(context: &Context, test: Test) -> Result<u8, Failure> {
    let session = name(&test);
    let events = Events::with_signals()?;
    let held = acquired(context, &session, &events)?;
    // Whatever comes of the command, the session ends after it.
    let cluster = held.describe();
    let ran = ran(context, &test, &held, &events);
    let released = released(context, held, &events);
    // A command that failed says more by its own code.
    let code = match ran? {
        0 if released.is_owed => Code::Failed as u8,
        code => code,
    };
    let command: Vec<_> = test.command.iter().map(|word| word.to_string_lossy()).collect();
    let document = json!({
        "session": session, "cluster": cluster, "command": command, "exit_code": code,
        "cluster_outcome": released.outcome, "cluster_detail": released.detail,
    });
    Document::new(&document, People::Text(String::new()))?.print(&context.terminal)?;
    Ok(code)
}

/// The option's, the variable's, or a new one.
fn name(test: &Test) -> String {
    let set = || std::env::var(SESSION).ok().filter(|name| !name.is_empty());
    test.session.clone().or_else(set).unwrap_or_else(|| format!("cargo-cratedb-{}", std::process::id()))
}

impl Events {
    fn with_signals() -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        let told = sender.clone();
        signals::catch(move |arrived| drop(told.send(Event::Signal(arrived))))
            .map_err(|error| Failure::failed(format!("cannot catch signals: {error}")))?;
        Ok(Self { sender, receiver })
    }

    /// Does something on a thread of its own, so that signals are heard meanwhile.
    fn when_done(&self, work: impl FnOnce() -> Event + Send + 'static) {
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            // Nothing of the work is used after a panic.
            let event = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Event::Lost);
            drop(sender.send(event));
        });
    }

    fn next(&self) -> Event {
        self.receiver.recv().expect("this struct has a sender itself")
    }
}

/// Waits for the cluster. A signal ends the wait; the keeper sees that this process is gone.
fn acquired(context: &Context, session: &str, events: &Events) -> Result<HeldSession, Failure> {
    let directory = std::env::current_dir()
        .map_err(|error| Failure::failed(format!("cannot tell the working directory: {error}")))?;
    let (name, progress) = (session.to_owned(), context.progress.clone());
    events.when_done(move || Event::Acquired(control::hold_with(&directory, &name, move |text| progress.say(text))));
    let event = events.next();
    context.progress.clear();
    match event {
        Event::Acquired(held) => {
            let held = held?;
            context.note_done(&format!("session {session} is ready"));
            Ok(held)
        }
        Event::Signal(Arrived { signal, .. }) => {
            let code = if signal == SIGINT { Code::Interrupted } else { Code::Terminated };
            let doing = context.progress.last().map(|last| format!(" while {last}")).unwrap_or_default();
            Err(Failure::new(code, format!("interrupted{doing}; the command was not started"))
                .hint("what has begun in CrateDB Cloud goes on, and is undone when it is done; `cargo cratedb status` tells how far it is"))
        }
        Event::Lost => Err(lost("waiting for the cluster")),
        Event::Ended(_) | Event::Released(_) => unreachable!("nothing else was begun"),
    }
}

/// A defect of this program, which must not become a wait without an end.
fn lost(doing: &str) -> Failure {
    Failure::failed(format!("a panic, shown above, ended {doing}"))
        .hint("`cargo cratedb status` tells what is left; `cargo cratedb sweep` releases it")
}

/// Runs the command to its end; gives its exit code.
fn ran(context: &Context, test: &Test, held: &HeldSession, events: &Events) -> Result<u8, Failure> {
    let aside = context.terminal.output == Output::Json;
    let mut child = match child::start(&test.command, held.environment(), aside) {
        Ok(child) => child,
        Err(error) => {
            let program = test.command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
            context.terminal.complain(&format!("cannot run `{program}`: {error}"));
            return Ok(child::not_started(&error));
        }
    };
    let pid = child.id();
    events.when_done(move || Event::Ended(child.wait()));
    loop {
        match events.next() {
            // What the terminal sends it sends to all in its foreground: the command has it.
            Event::Signal(Arrived { from_terminal: true, .. }) => {}
            Event::Signal(Arrived { signal, .. }) => child::signal(pid, signal),
            Event::Ended(status) => {
                let status =
                    status.map_err(|error| Failure::failed(format!("cannot wait for the command: {error}")))?;
                return Ok(child::code(status));
            }
            Event::Lost => return Err(lost("waiting for the command")),
            Event::Acquired(_) | Event::Released(_) => unreachable!("nothing else was begun"),
        }
    }
}

/// Ends the session and waits for what comes of it. The second signal ends the wait, and the keeper goes on without it;
/// the first may be the one that ended the command, seen late.
fn released(context: &Context, held: HeldSession, events: &Events) -> Released {
    let progress = context.terminal.progress();
    progress.say("letting go of the cluster");
    events.when_done(move || Event::Released(held.release(Some(PATIENCE))));
    let mut impatient = false;
    let done = loop {
        match events.next() {
            Event::Released(done) => break Some(done.map_err(Failure::from)),
            Event::Lost => break Some(Err(lost("letting go of the cluster"))),
            _ if impatient => break None,
            _ => {
                impatient = true;
                progress.say("letting go of the cluster; Ctrl-C once more leaves it to the keeper");
            }
        }
    };
    progress.clear();
    match done {
        Some(Ok(finished)) => {
            let is_owed = is_owed(&finished);
            match is_owed {
                true => context.terminal.complain(&finished.to_string()),
                false => context.terminal.note(&format!("{finished} after {:.1} s", progress.seconds())),
            }
            Released { outcome: finished.outcome, detail: finished.detail, is_owed }
        }
        Some(Err(error)) => {
            let detail = error.to_string();
            context.terminal.complain(&detail);
            Released { outcome: ClusterOutcome::Unknown, detail, is_owed: true }
        }
        None => {
            let detail = "interrupted: the cluster is let go of without anybody watching; `cargo cratedb status` tells how far it is";
            context.terminal.note(detail);
            Released { outcome: ClusterOutcome::Releasing, detail: detail.to_owned(), is_owed: false }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn work_that_panics_is_not_waited_for() {
        let (sender, receiver) = channel();
        let events = Events { sender, receiver };
        events.when_done(|| panic!("on purpose"));
        assert!(matches!(events.receiver.recv_timeout(Duration::from_secs(30)), Ok(Event::Lost)));
    }
}
