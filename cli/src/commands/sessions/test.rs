//! `test`: runs any command in a session.

use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use cratedb_test::private::control::{Acquisition, ClusterOutcome, Finished, HeldSession, Standing};
use serde_json::json;

use super::preparation::{Prepared, prepared};
use super::process::{self, Arrived};
use super::{RELEASE_TIMEOUT, is_owed, working_directory};
use crate::arguments::{Output, Test};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Document, People};

const SESSION: &str = "CRATEDB_TEST_SESSION";

/// An event that `test` waits for.
pub(super) enum Event {
    Signal(Arrived),
    /// The acquisition told its first step.
    Waits,
    Acquired(cratedb_test::Result<HeldSession>),
    /// The server that `up` wants is there, or can't be.
    Stands(cratedb_test::Result<Standing>),
    /// The command or the build ended.
    Ended(io::Result<ExitStatus>),
    Released(cratedb_test::Result<Finished>),
    /// The event that was waited for will not come: its thread panicked.
    Lost,
}

/// The queue of events.
pub(super) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

/// The outcome of releasing the cluster, in the words of [`Finished`].
pub(super) struct Released {
    outcome: ClusterOutcome,
    detail: String,
    /// The cluster may still be running although it should not.
    pub(super) is_owed: bool,
}

pub(super) fn run(context: &Context, test: Test) -> Result<Document, Failure> {
    let session = name(&test);
    // Until signals are caught, one ends this process at once.
    let acquisition = Arc::new(Acquisition::new(&working_directory()?, &session)?);
    let events = Events::with_signals()?;
    // The session ends after the command, however that ended.
    let (held, ran) = match prepared(context, &test, &acquisition, &events)? {
        Prepared::Ready(held) => {
            let ran = ran(context, &test.command, held.environment(), &events);
            (Some(held), ran)
        }
        Prepared::Over(held, code) => (held, Ok(code)),
    };
    let cluster = held.as_ref().map(HeldSession::describe);
    let released = released(context, &events, move |on_trouble| match held {
        Some(held) => held.release(Some(RELEASE_TIMEOUT), on_trouble),
        None => acquisition.give_up(Some(RELEASE_TIMEOUT), on_trouble),
    });
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
    Ok(Document::new(&document, People::Text(String::new()))?.exit_code(code))
}

/// Returns the name of the session: the option's, else the variable's, else a new one.
fn name(test: &Test) -> String {
    let set = || std::env::var(SESSION).ok().filter(|name| !name.is_empty());
    test.session.clone().or_else(set).unwrap_or_else(|| format!("cargo-cratedb-{}", std::process::id()))
}

impl Events {
    pub(super) fn with_signals() -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        let told = sender.clone();
        process::catch(move |arrived| drop(told.send(Event::Signal(arrived))))
            .map_err(|error| Failure::failed(format!("cannot catch signals: {error}")))?;
        Ok(Self { sender, receiver })
    }

    /// Returns a sender of events, for another thread.
    pub(super) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// Does work on a thread of its own, so that signals are handled meanwhile.
    pub(super) fn when_done(&self, work: impl FnOnce() -> Event + Send + 'static) {
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            // After a panic, nothing that the work touched is used again.
            let event = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Event::Lost);
            drop(sender.send(event));
        });
    }

    pub(super) fn next(&self) -> Event {
        self.receiver.recv().expect("this struct has a sender itself")
    }
}

/// Reports a panic of this program, which must not turn into an endless wait.
pub(super) fn lost(doing: &str) -> Failure {
    Failure::failed(format!("a panic, shown above, ended {doing}"))
        .hint("`cargo cratedb status` shows what is left; `cargo cratedb sweep` releases it")
}

/// Starts a command whose end is an event, and returns its process. One that can't be started is the error of the user
/// and has an exit code.
pub(super) fn started(
    context: &Context,
    command: &[OsString],
    environment: Vec<(String, String)>,
    events: &Events,
) -> Result<u32, u8> {
    let aside = context.terminal.output == Output::Json;
    match process::start(command, environment, aside) {
        Ok(mut child) => {
            let pid = child.id();
            events.when_done(move || Event::Ended(child.wait()));
            Ok(pid)
        }
        Err(error) => {
            let program = command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
            context.terminal.complain(&format!("cannot run `{program}`: {error}"));
            Err(process::not_started(&error))
        }
    }
}

/// Returns the exit code of a command that [`started`] started.
pub(super) fn code_of(ended: io::Result<ExitStatus>) -> Result<u8, Failure> {
    let status = ended.map_err(|error| Failure::failed(format!("cannot wait for the command: {error}")))?;
    Ok(process::code(status))
}

/// Runs the command to its end and returns its exit code.
pub(super) fn ran(
    context: &Context,
    command: &[OsString],
    environment: Vec<(String, String)>,
    events: &Events,
) -> Result<u8, Failure> {
    let pid = match started(context, command, environment, events) {
        Ok(pid) => pid,
        Err(code) => return Ok(code),
    };
    loop {
        match events.next() {
            // The terminal has sent it to the command too.
            Event::Signal(Arrived { from_terminal: true, .. }) => {}
            Event::Signal(Arrived { signal, .. }) => process::signal(pid, signal),
            Event::Ended(ended) => return code_of(ended),
            Event::Lost => return Err(lost("waiting for the command")),
            // What the keeper has to say may come at any time.
            Event::Waits => {}
            Event::Acquired(_) | Event::Stands(_) | Event::Released(_) => unreachable!("no other work goes on"),
        }
    }
}

/// Ends the session and waits for the release of the cluster. The second signal ends the wait, and the keeper continues
/// alone. The first one may be the signal that ended the command, seen late.
pub(super) fn released(
    context: &Context,
    events: &Events,
    release: impl FnOnce(&dyn Fn(&str)) -> cratedb_test::Result<Finished> + Send + 'static,
) -> Released {
    let progress = context.terminal.progress();
    progress.say("releasing the cluster");
    let shown = progress.clone();
    events.when_done(move || Event::Released(release(&|why| shown.say(why))));
    let mut impatient = false;
    let done = loop {
        match events.next() {
            Event::Released(done) => break Some(done.map_err(Failure::from)),
            Event::Lost => break Some(Err(lost("releasing the cluster"))),
            // Those of an acquisition that was given up come late.
            Event::Waits | Event::Acquired(_) | Event::Stands(_) | Event::Ended(_) => {}
            Event::Signal(_) if impatient => break None,
            Event::Signal(_) => {
                impatient = true;
                progress.say("releasing the cluster; Ctrl-C once more leaves it to the keeper");
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
            let detail = "interrupted: the keeper releases the cluster; `cargo cratedb status` shows its progress";
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
