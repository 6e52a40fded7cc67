//! Prepares the command of `test`: waits for the cluster, and builds the tests meanwhile.

use std::ffi::OsString;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use cratedb_test::private::control::{Acquisition, HeldSession};
use signal_hook::consts::SIGINT;

use super::overlap::{News, Overlap, Step, told};
use super::test::{Event, Events, code_of, lost, started};
use super::{build, process};
use crate::arguments::Test;
use crate::context::Context;
use crate::failure::{Code, Failure};

/// The end of the preparation.
pub(super) enum Prepared {
    /// The cluster is there, and so is what was built.
    Ready(HeldSession),
    /// The build failed or was interrupted: the command is not run, and this is the exit code. The cluster may be
    /// there, and may still be on its way.
    Over(Option<HeldSession>, u8),
}

/// The work that [`Overlap`] decides about.
struct Preparation<'a> {
    context: &'a Context,
    acquisition: &'a Acquisition,
    events: &'a Events,
    began: Instant,
    build: Vec<OsString>,
    /// The process of the build, and when it was started.
    runs: Option<(u32, Duration)>,
    /// When the build ended.
    built: Option<Duration>,
    /// A signal came while the build ran.
    interrupted: bool,
    /// The cluster, and when it was there.
    held: Option<(HeldSession, Duration)>,
    refused: Option<cratedb_test::Error>,
}

/// Waits for the cluster, and builds what the command tests meanwhile. A signal ends the wait, and the keeper notices
/// when this process is gone.
pub(super) fn prepared(
    context: &Context,
    test: &Test,
    acquisition: &Arc<Acquisition>,
    events: &Events,
) -> Result<Prepared, Failure> {
    let build = build::of(&test.command).filter(|_| !test.no_overlap);
    let mut overlap = Overlap::new(build.is_some());
    if build.is_some() {
        // The terminal is the build's until it ends.
        context.progress.hold_back();
    }
    acquire(context, acquisition.clone(), events);
    let build = build.unwrap_or_default();
    let mut preparation = Preparation {
        context,
        acquisition,
        events,
        began: Instant::now(),
        build,
        runs: None,
        built: None,
        interrupted: false,
        held: None,
        refused: None,
    };
    loop {
        let news = preparation.news()?;
        let mut step = overlap.on(news);
        if step == Step::StartBuild {
            step = preparation.start_build().map_or_else(|code| overlap.on(News::Built(code)), |()| Step::Wait);
        }
        if let Some(end) = preparation.take(step) {
            return end;
        }
    }
}

/// Begins the acquisition. Its first step and its end are events.
fn acquire(context: &Context, acquisition: Arc<Acquisition>, events: &Events) {
    let (progress, sender, first) = (context.progress.clone(), events.sender(), Once::new());
    let on_progress = move |text: &str| {
        progress.say(text);
        first.call_once(|| drop(sender.send(Event::Waits)));
    };
    events.when_done(move || Event::Acquired(acquisition.wait(on_progress)));
}

impl Preparation<'_> {
    /// Waits for the next event and keeps what it brought.
    fn news(&mut self) -> Result<News, Failure> {
        Ok(match self.events.next() {
            Event::Signal(arrived) => {
                self.interrupted |= self.runs.is_some() && self.built.is_none();
                News::Signal(arrived)
            }
            Event::Waits => News::Waits,
            Event::Acquired(Ok(held)) => {
                self.held = Some((held, self.began.elapsed()));
                News::Acquired
            }
            Event::Acquired(Err(error)) => {
                self.refused = Some(error);
                News::NotAcquired
            }
            Event::Ended(ended) => {
                self.built = Some(self.began.elapsed());
                News::Built(code_of(ended)?)
            }
            Event::Lost => return Err(lost("waiting for the cluster")),
            Event::Stands(_) | Event::Released(_) => unreachable!("no such work goes on"),
        })
    }

    /// Starts the build. One that can't be started has an exit code.
    fn start_build(&mut self) -> Result<(), u8> {
        let began = self.began.elapsed();
        let pid = started(self.context, &self.build, self.acquisition.environment(), self.events)?;
        self.runs = Some((pid, began));
        Ok(())
    }

    /// Takes a step. Returns the end, if it is the last one.
    fn take(&mut self, step: Step) -> Option<Result<Prepared, Failure>> {
        match step {
            Step::Wait | Step::StartBuild => return None,
            Step::PassOn(signal) => {
                self.runs.inspect(|(pid, _)| process::signal(*pid, signal));
                return None;
            }
            Step::Warn => {
                self.warn();
                return None;
            }
            Step::Show => {
                self.context.progress.go_on();
                return None;
            }
            _ => {}
        }
        // A build that a signal ends may leave its line of progress.
        if self.interrupted || matches!(step, Step::End(129..)) {
            self.context.terminal.leave_line();
        }
        self.context.progress.clear();
        Some(self.end(step))
    }

    fn end(&mut self, step: Step) -> Result<Prepared, Failure> {
        match (step, self.held.take()) {
            (Step::Run, Some((held, cluster))) => {
                let session = held.session();
                match self.runs.zip(self.built) {
                    Some(((_, began), built)) => {
                        let waited = told(cluster, began, built);
                        self.context.terminal.note(&format!("session {session} {waited}"));
                    }
                    None => self.context.note_done(&format!("session {session} is ready")),
                }
                Ok(Prepared::Ready(held))
            }
            (Step::End(code), held) => {
                let ended = match self.interrupted {
                    true => "was interrupted".to_owned(),
                    false => format!("ended with exit code {code}"),
                };
                self.context.terminal.note(&format!("the build {ended}; the command was not started"));
                Ok(Prepared::Over(held.map(|(held, _)| held), code))
            }
            (Step::Interrupt(signal), _) => Err(self.interruption(signal)),
            _ => Err(self.refused.take().map_or_else(|| lost("waiting for the cluster"), Failure::from)),
        }
    }

    fn interruption(&self, signal: i32) -> Failure {
        let code = if signal == SIGINT { Code::Interrupted } else { Code::Terminated };
        let doing = self.context.doing();
        Failure::new(code, format!("interrupted{doing}; the command was not started"))
            .hint("an operation that has begun in CrateDB Cloud continues, and is undone after that")
            .hint("`cargo cratedb status` shows its progress")
    }

    fn warn(&self) {
        let why = self.refused.as_ref().map(ToString::to_string).unwrap_or_default();
        let why = why.lines().next().unwrap_or_default();
        self.context.terminal.break_in(&format!("{why}; the build goes on, and Ctrl-C ends it"));
    }
}
