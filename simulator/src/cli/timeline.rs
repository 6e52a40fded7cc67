//! The summary that `run` prints: when clusters were resumed, which tests shared them, and when they were suspended.

use std::time::Duration;

use super::environment::Totals;
use crate::state::{Event, Happening, Micros};

/// Time that it may take, on a busy machine, to notice that the command has ended.
const NOTICING: Micros = 50_000;

/// One cluster that was resumed or deployed during the run.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) may_be_suspended: bool,
    /// True if it runs, or will run when an operation ends.
    pub(super) up: bool,
    /// True while an operation is in progress.
    pub(super) busy: bool,
}

impl Story {
    /// Returns whether its state may still change, if no keeper holds it: by its operation, or by processes that the
    /// command left.
    pub(super) fn goes_on(&self, processes_live: bool) -> bool {
        self.busy || self.up && self.may_be_suspended && processes_live
    }
}

/// The times of the run's first request and of its command's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first_request: Option<Micros>,
    pub(super) end: Micros,
}

/// The lines about one cluster.
pub(super) fn tell(story: &Story, events: &[Event], span: Span, totals: &Totals) -> Vec<String> {
    let mine: Vec<_> = events.iter().filter(|event| event.cluster == story.id).collect();
    let times = |what: Happening| mine.iter().filter(move |event| event.what == what).map(|event| event.at);
    let mut lines = Vec::new();
    for (what, verb) in [(Happening::Deployed, "deployed"), (Happening::Resumed, "resumed")] {
        let Some(first) = times(what).next() else { continue };
        let after = elapsed(span.first_request.unwrap_or(first), first);
        let again = match times(what).count() {
            1 => String::new(),
            n => format!(", {n} times in all"),
        };
        lines.push(format!("cluster \"{}\" {verb} {after} after the first request{again}", story.name));
    }
    if lines.is_empty() {
        lines.push(format!("cluster \"{}\" was asked to run and never did", story.name));
    }
    if totals.sessions > 0 {
        let (tests, binaries) = (count(totals.tests, "test"), count(totals.binaries, "binary"));
        lines.push(format!("{tests} in {binaries} shared it"));
    }
    // A suspension that was requested before the cluster last began to run doesn't count.
    let began = times(Happening::Deployed).chain(times(Happening::Resumed)).max();
    lines.extend(ending(
        story,
        times(Happening::SuspendRequested).next_back().filter(|at| began.is_none_or(|began| *at > began)),
        times(Happening::Suspended).next_back(),
        span,
    ));
    lines
}

fn ending(story: &Story, requested: Option<Micros>, suspended: Option<Micros>, span: Span) -> Option<String> {
    if !story.may_be_suspended && story.up {
        return Some("left running: its product cannot be suspended".into());
    }
    if story.up {
        return Some(match requested {
            Some(_) => "still runs: it was asked to be suspended, and the operation did not succeed".into(),
            None => "still runs: no suspension was requested".into(),
        });
    }
    let requested = requested.filter(|_| suspended.is_some())?;
    Some(match requested >= span.end {
        true => format!("suspended {} after the end", elapsed(span.end, requested)),
        // The keeper sees the runner end before its parent has waited for it. If it was longer, the command itself
        // asked.
        false if requested + NOTICING >= span.end => "suspended 0 ms after the end".into(),
        false => format!("suspended {} before the end", elapsed(requested, span.end)),
    })
}

fn elapsed(from: Micros, to: Micros) -> String {
    show(Duration::from_micros(u64::try_from(to - from).unwrap_or(0)))
}

/// Formats a duration with three digits.
fn show(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds => format!("{:.1} ms", seconds * 1000.0),
    }
}

fn count(n: u64, noun: &str) -> String {
    match (n, noun) {
        (1, noun) => format!("1 {noun}"),
        (n, "binary") => format!("{n} binaries"),
        (n, noun) => format!("{n} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn story(may_be_suspended: bool, up: bool) -> Story {
        Story { id: "c".into(), name: "demo".into(), may_be_suspended, up, busy: false }
    }

    fn event(at: Micros, what: Happening) -> Event {
        Event { at, cluster: "c".into(), what }
    }

    fn told(story: &Story, events: &[Event], totals: &Totals) -> Vec<String> {
        tell(story, events, Span { first_request: Some(0), end: 10 * SECOND }, totals)
    }

    #[test]
    fn tells_when_a_cluster_was_resumed_who_shared_it_and_when_it_was_suspended() {
        let events = [
            event(10_000, Happening::ResumeRequested),
            event(2_010_000, Happening::Resumed),
            event(10 * SECOND + 1_240, Happening::SuspendRequested),
            event(12 * SECOND, Happening::Suspended),
        ];
        let totals = Totals { sessions: 1, tests: 12, binaries: 3 };
        assert_eq!(
            told(&story(true, false), &events, &totals),
            [
                "cluster \"demo\" resumed 2.01 s after the first request",
                "12 tests in 3 binaries shared it",
                "suspended 1.2 ms after the end"
            ]
        );
    }

    #[test]
    fn tells_that_a_cluster_still_runs_and_why() {
        let resumed = [event(5, Happening::ResumeRequested), event(9, Happening::Resumed)];
        let last = |story: &Story| told(story, &resumed, &Totals::default()).pop().unwrap();
        assert_eq!(last(&story(true, true)), "still runs: no suspension was requested");
        let between = [
            event(1, Happening::SuspendRequested),
            event(2, Happening::Suspended),
            resumed[0].clone(),
            resumed[1].clone(),
        ];
        let again = told(&story(true, true), &between, &Totals::default()).pop().unwrap();
        assert_eq!(again, "still runs: no suspension was requested");
        assert_eq!(last(&story(false, true)), "left running: its product cannot be suspended");
    }

    #[test]
    fn only_an_operation_or_a_process_changes_a_cluster() {
        let running = story(true, true);
        assert!(running.goes_on(true) && !running.goes_on(false));
        assert!(!story(true, false).goes_on(true), "it is suspended");
        assert!(!story(false, true).goes_on(true), "it can't be suspended");
        assert!(Story { busy: true, ..story(false, true) }.goes_on(false));
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(
            (count(1, "test"), count(1, "binary"), count(2, "binary")),
            ("1 test".into(), "1 binary".into(), "2 binaries".into())
        );
    }
}
