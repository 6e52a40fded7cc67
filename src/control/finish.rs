//! Ends explicit sessions, and the time for which a cluster is kept warm.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::status::{Lying, is_stuck, lying, of_settings, unknown};
use crate::error::{Error, Kind, Result};
use crate::host::KeyFiles;
use crate::host::process::Identity;
use crate::keeper::{Journal, Left, Word};
use crate::provider::Held;
use crate::session::{Heard, Inquiry};
use crate::wait::deadline_in;
use crate::wire::{ClusterOutcome, FromKeeper, KeeperSnapshot, Phase};

/// The result of ending the sessions of one key.
#[derive(Clone, Debug, Serialize)]
pub struct Finished {
    /// The key as text.
    pub key: String,
    /// The hash of the key, which names its files and selects it.
    pub hash: String,
    /// The explicit sessions that were ended.
    pub sessions: Vec<String>,
    /// The processes and sessions that still hold the cluster.
    pub held_by: Vec<String>,
    /// The state of the cluster: `suspended`, `removed`, `deleted`, `left`, `owed` (the release failed), `held` (by
    /// others), `warm` (kept for the next run), `releasing` (not waited for), `nothing` (there was no cluster) or
    /// `unknown`.
    pub outcome: ClusterOutcome,
    /// Details of the outcome, for display.
    pub detail: String,
}

/// Ends explicit sessions, and the time for which a cluster is kept warm. `selector` is the name of a session, a key or
/// its hash. By default it is the session that the settings of the working directory name, else their key.
///
/// A session that a live process holds ends only if it is named. Runs have no names, so the run of a live `cargo` is
/// never ended. The result is empty if there was nothing to end. With `wait`, the function returns once each cluster is
/// released, kept warm or held by others. Until then, `on_trouble` hears why a release can't go on for now.
///
/// # Errors
///
/// When the selector names nothing, when only live processes hold the key (the error names them), and when the release
/// takes longer than `wait`.
pub fn finish(selector: Option<&str>, wait: Option<Duration>, on_trouble: &dyn Fn(&str)) -> Result<Vec<Finished>> {
    let (named, on): (Option<String>, Vec<Lying>) = match selector {
        None => {
            let (settings, files) = of_settings()?;
            let own = lying()?.into_iter().filter(|key| key.files.hash == files.hash).collect();
            (settings.session.map(|named| named.name), own)
        }
        Some(selector) => {
            let all = lying()?;
            let key = all.iter().any(|lying| lying.is(selector));
            let here = |lying: &Lying| if key { lying.is(selector) } else { lying.has_session(selector) };
            let found: Vec<Lying> = all.into_iter().filter(here).collect();
            if found.is_empty() {
                return Err(unknown(selector));
            }
            ((!key).then(|| selector.to_owned()), found)
        }
    };
    let mut all = Vec::new();
    for lying in on {
        let done = finish_key(&lying.files, &lying.key, named.as_deref(), None, wait, on_trouble)?;
        if done.outcome != ClusterOutcome::Nothing {
            all.push(done);
        }
    }
    Ok(all)
}

/// Ends the sessions of one key. With a `holder`, only that process leaves the session.
pub(super) fn finish_key(
    files: &KeyFiles,
    key: &str,
    session: Option<&str>,
    holder: Option<&Identity>,
    wait: Option<Duration>,
    on_trouble: &dyn Fn(&str),
) -> Result<Finished> {
    let mut finished = Finished {
        key: key.to_owned(),
        hash: files.hash.clone(),
        sessions: Vec::new(),
        held_by: Vec::new(),
        outcome: ClusterOutcome::Nothing,
        detail: "no keeper lives".to_owned(),
    };
    let Some(mut observer) = Inquiry::of(files)? else { return Ok(finished.without_keeper(files)) };
    // Subscribes before anything ends, or the last message could be missed.
    let Some(before) = observer.status(true)? else { return Ok(finished.without_keeper(files)) };
    let Some((sessions, held_by)) = observer.finish(session, holder)? else {
        return Ok(finished.without_keeper(files));
    };
    // A holder may leave while others stay, and after another process has ended the session.
    let was_over = session.is_some_and(|name| before.ended.iter().any(|ended| ended == name));
    if holder.is_none() && !was_over && sessions.is_empty() && !held_by.is_empty() {
        let what = session.map_or_else(|| "this key".to_owned(), |name| format!("the session `{name}`"));
        return Err(Error::new(Kind::Session, format!("cannot let go of the cluster of {what}"))
            .because(format!("it is held by {}", held_by.join(" and ")))
            .hint("end them, or name the session that is to end: `cargo cratedb finish NAME`"));
    }
    (finished.sessions, finished.held_by) = (sessions, held_by);
    let (outcome, detail) = match wait {
        _ if !finished.held_by.is_empty() => (ClusterOutcome::Held, finished.held_by.join(" and ")),
        None if before.phase == Phase::Owed => {
            (ClusterOutcome::Owed, "the release failed; the keeper tries again, for ten minutes".to_owned())
        }
        // A release that failed before is tried again, and the result of that is returned.
        None => (ClusterOutcome::Releasing, String::new()),
        Some(wait) => {
            tell_trouble(&before, on_trouble);
            await_end(&mut observer, files, None, wait, None, on_trouble)?
        }
    };
    (finished.outcome, finished.detail) = (outcome, detail);
    Ok(finished)
}

impl Finished {
    /// Completes the result for a key without a live keeper. If the last one was killed, the cluster may be running.
    fn without_keeper(mut self, files: &KeyFiles) -> Self {
        match Journal::look(&files.journal) {
            Ok(Left::Nothing) => {}
            Ok(Left::Record(record)) if record.word == Word::Clean => {}
            _ => (self.outcome, self.detail) = end_of(files, None),
        }
        self
    }
}

/// Waits until the cluster is released, or the keeper decides not to release it. `left` is what an earlier keeper has
/// left for this one. With `patience`, a keeper that is stuck for so long is not waited for. Until then, `on_trouble`
/// hears what it is stuck on. Returns the outcome and its details.
pub(super) fn await_end(
    observer: &mut Inquiry,
    files: &KeyFiles,
    left: Option<&Held>,
    wait: Duration,
    patience: Option<Duration>,
    on_trouble: &dyn Fn(&str),
) -> Result<(ClusterOutcome, String)> {
    let deadline = deadline_in(wait);
    let (mut released, mut step) = (None, String::new());
    // The reason why the keeper is stuck, and until when that is borne.
    let mut stuck: Option<(Instant, String)> = None;
    loop {
        let until = stuck.as_ref().map_or(deadline, |(until, _)| deadline.min(*until));
        match observer.next(until)? {
            Heard::Message(message) => match *message {
                FromKeeper::Released { outcome: owed @ ClusterOutcome::Owed, detail } => return Ok((owed, detail)),
                FromKeeper::Released { outcome, detail } => released = Some((outcome, detail)),
                FromKeeper::Progress { text, .. } => step = text,
                FromKeeper::State(snapshot) => {
                    tell_trouble(&snapshot, on_trouble);
                    stuck = patience.filter(|_| is_stuck(&snapshot)).map(|patience| {
                        let until = stuck.map_or_else(|| deadline_in(patience), |(until, _)| until);
                        (until, snapshot.trouble.clone().unwrap_or_default())
                    });
                    if let Some(end) = settled(&snapshot) {
                        return Ok(released.unwrap_or(end));
                    }
                }
                _ => {}
            },
            Heard::End => return Ok(released.unwrap_or_else(|| end_of(files, left))),
            Heard::Nothing if stuck.is_some() && Instant::now() < deadline => {
                let why = stuck.map(|(_, why)| why).unwrap_or_default();
                let log = files.log.display();
                return Ok((ClusterOutcome::Owed, format!("{why}; its keeper goes on trying, its log is {log}")));
            }
            Heard::Nothing => {
                let error = Error::new(Kind::Timeout, "the cluster was not let go of in time")
                    .because(format!("waited {}", humantime::format_duration(wait)));
                let error = if step.is_empty() { error } else { error.because(format!("last step: {step}")) };
                return Err(error.hint(format!("the keeper goes on; its log is {}", files.log.display())));
            }
        }
    }
}

fn tell_trouble(snapshot: &KeeperSnapshot, on_trouble: &dyn Fn(&str)) {
    if let Some(why) = snapshot.trouble.as_deref().filter(|_| is_stuck(snapshot)) {
        on_trouble(why);
    }
}

/// Returns the outcome for a keeper that does not release the cluster: it is kept warm, or held by others.
fn settled(snapshot: &KeeperSnapshot) -> Option<(ClusterOutcome, String)> {
    let alive = snapshot.sessions.iter().any(|session| !session.over);
    match snapshot.phase {
        Phase::Warm => Some((ClusterOutcome::Warm, "kept for the next run (CRATEDB_TEST_KEEP_WARM)".to_owned())),
        Phase::Up | Phase::Acquiring if alive => Some((ClusterOutcome::Held, "another session uses it".to_owned())),
        _ => None,
    }
}

/// Reads the outcome from the journal of a keeper that ended without reporting it.
fn end_of(files: &KeyFiles, left: Option<&Held>) -> (ClusterOutcome, String) {
    match Journal::look(&files.journal) {
        Ok(Left::Record(record)) if record.word == Word::Clean => match left {
            // A keeper removes it at its start.
            Some(Held::Process(_) | Held::Container(_)) => (ClusterOutcome::Removed, String::new()),
            Some(held) if !matches!(held, Held::Url { .. }) => {
                (ClusterOutcome::Nothing, "it was not up any more".to_owned())
            }
            _ => (ClusterOutcome::Left, "it was found running, or nothing was up".to_owned()),
        },
        Ok(Left::Record(_)) => {
            (ClusterOutcome::Owed, "the keeper ended before it could let go; `cargo cratedb sweep` does".to_owned())
        }
        _ => (ClusterOutcome::Unknown, format!("{} can't be read", files.journal.display())),
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.key)?;
        if !self.sessions.is_empty() {
            write!(f, "finished {}; ", self.sessions.join(", "))?;
        }
        write!(f, "{}", self.outcome)?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::host::Places;
    use crate::wire::{Policy, encode};

    fn snapshot(phase: Phase, trouble: Option<&str>) -> KeeperSnapshot {
        KeeperSnapshot {
            pid: 1,
            key: String::new(),
            phase,
            owes: true,
            until: None,
            provider: None,
            resource: None,
            http_url: None,
            pg_url: None,
            step: None,
            trouble: trouble.map(str::to_owned),
            owed_since: None,
            policy: Policy::default(),
            sessions: Vec::new(),
            ended: Vec::new(),
        }
    }

    #[test]
    fn a_wait_tells_each_reason_why_the_release_is_owed_still() {
        let dir = tempfile::tempdir().unwrap();
        let files = Places { runtime: dir.path().to_owned(), state: dir.path().to_owned() }.key("k");
        let (mut keeper, observer) = UnixStream::pair().unwrap();
        for (phase, trouble) in [
            (Phase::Up, Some("of the start")),
            (Phase::Releasing, None),
            (Phase::Releasing, Some("no answer")),
            (Phase::Releasing, Some("503")),
            (Phase::Owed, Some("403")),
        ] {
            let state = FromKeeper::State(Box::new(snapshot(phase, trouble)));
            keeper.write_all(&encode(&state).unwrap()).unwrap();
        }
        let released = FromKeeper::Released { outcome: ClusterOutcome::Suspended, detail: String::new() };
        keeper.write_all(&encode(&released).unwrap()).unwrap();
        drop(keeper);
        let (told, mut observer) = (RefCell::new(Vec::new()), Inquiry::over(observer).unwrap());
        let on_trouble = |why: &str| told.borrow_mut().push(why.to_owned());
        let end = await_end(&mut observer, &files, None, Duration::from_secs(20), None, &on_trouble).unwrap();
        assert_eq!(end, (ClusterOutcome::Suspended, String::new()));
        assert_eq!(*told.borrow(), ["no answer", "503", "403"]);
    }
}
