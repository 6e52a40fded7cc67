//! Records what sessions do, for `cargo cratedb report`: which lines, here; how they reach the disk, in `writer`.
//!
//! The loop makes a line and hands it to a thread, which is all that a test waits for. A keeper that is killed leaves
//! whole lines, all but those of the last tenth of a second.

mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;

use self::writer::Writer;
use super::clients::ClientAttempt;
use super::machine::{ClientId, Effect, Event, MachineState, RefuseReason, SessionId};
use super::unix_millis;
use crate::foreign;
use crate::host::process::Identity;
use crate::host::{KeyFiles, short_hash};
use crate::provider::{Ours, Resource};
use crate::recording::{self, Cluster, FORMAT, Head, Line, Name, RecycledCounts, State, Step, TEXT};
use crate::wire::{AttemptId, ClusterOutcome, Ended, Hello, Millis, Mode, Open};

/// The time between two lines that say only that the keeper lives, so that a killed one leaves how long it did.
const PULSE: Millis = 60_000;

/// The end of a session.
pub(super) struct Fate {
    pub(super) outcome: ClusterOutcome,
    pub(super) detail: String,
    pub(super) recycled: RecycledCounts,
}

/// The recording of one session.
struct Recorded {
    file: u64,
    since: Millis,
    /// The session is over. It is still to be recorded what becomes of the cluster.
    over: Option<RecycledCounts>,
}

/// Makes the lines of all sessions of a keeper.
pub(super) struct Recorder {
    directory: PathBuf,
    key: String,
    keeper: Identity,
    writer: Writer,
    last_file: u64,
    sessions: BTreeMap<SessionId, Recorded>,
    clients: BTreeMap<ClientId, SessionId>,
    /// Told first to a session that joins later.
    state: State,
    cluster: Option<Cluster>,
    cleaning: bool,
    pulsed: Millis,
}

impl Recorder {
    /// `tell` is told once if sessions can't be recorded, and why.
    pub(super) fn new(files: &KeyFiles, tell: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self {
            directory: files.recordings.clone(),
            key: files.hash.clone(),
            keeper: Identity::own().unwrap_or_default(),
            writer: Writer::new(tell),
            last_file: 0,
            sessions: BTreeMap::new(),
            clients: BTreeMap::new(),
            state: State::Looking,
            cluster: None,
            cleaning: false,
            pulsed: 0,
        }
    }

    /// A client joined a session.
    pub(super) fn joined(&mut self, now: Millis, session: SessionId, id: ClientId, hello: &Hello) {
        if hello.spec.project.is_empty() {
            return;
        }
        if !self.sessions.contains_key(&session) {
            self.begin_recording(now, session, hello);
        }
        self.clients.insert(id, session);
        let (c, pid, binary) = (id.0, hello.own.pid, program(&hello.binary));
        self.of_test(now, id, recording::Event::Joined { c, pid, binary });
        for open in &hello.open {
            self.begin(now, id, open, false);
            let (a, schema) = (open.id.0, open.schema.clone());
            self.of_test(now, id, recording::Event::Grant { c, a, schema, premade: false, again: true });
        }
    }

    fn begin_recording(&mut self, now: Millis, session: SessionId, hello: &Hello) {
        let name = hello.session.as_ref().map(|named| named.name.clone());
        let run = short_hash(&sign(hello));
        self.last_file += 1;
        let (file, project) = (self.last_file, &hello.spec.project);
        let head = Head {
            format: FORMAT,
            project: project.clone(),
            run: run.clone(),
            name,
            key: self.key.clone(),
            keeper: self.keeper.clone(),
            began: unix_millis(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let path = Name { project: short_hash(project), number: 0, run, key: self.key.clone() };
        self.writer.open(file, self.directory.clone(), path, line_of(&head));
        self.sessions.insert(session, Recorded { file, since: now, over: None });
        let known = self.cluster.clone().map(recording::Event::Cluster);
        let step = self.cleaning.then_some(recording::Event::Step { step: Step::Cleaning, on: true });
        for event in [Some(recording::Event::State { is: self.state }), known, step].into_iter().flatten() {
            self.of_session(now, session, &event);
        }
    }

    /// A client wants a turn.
    pub(super) fn begin(&mut self, now: Millis, id: ClientId, open: &Open, inside: bool) {
        let (c, a, test) = (id.0, open.id.0, short(&open.test));
        let exclusive = open.mode == Mode::Exclusive;
        self.of_test(now, id, recording::Event::Begin { c, a, test, exclusive, inside });
    }

    /// An attempt has its turn, and waits for a schema.
    pub(super) fn turn(&mut self, now: Millis, id: ClientId, attempt: AttemptId) {
        self.of_test(now, id, recording::Event::Turn { c: id.0, a: attempt.0 });
    }

    /// An attempt was granted.
    pub(super) fn grant(&mut self, now: Millis, id: ClientId, ClientAttempt { open, premade, .. }: &ClientAttempt) {
        let (c, a, schema) = (id.0, open.id.0, open.schema.clone());
        self.of_test(now, id, recording::Event::Grant { c, a, schema, premade: *premade, again: false });
    }

    /// An attempt ended.
    pub(super) fn end(&mut self, now: Millis, id: ClientId, attempt: AttemptId, ended: Ended) {
        let (passed, kept) = (ended.passed, ended.used && ended.keep);
        self.of_test(now, id, recording::Event::End { c: id.0, a: attempt.0, passed, kept });
    }

    /// The provider says what it waits for.
    pub(super) fn says(&mut self, now: Millis, text: &str) {
        self.of_all(now, &recording::Event::Says { text: short(text) });
    }

    /// Records from time to time that the keeper lives. To be called often.
    pub(super) fn pulse(&mut self, now: Millis) {
        if now.saturating_sub(self.pulsed) >= PULSE {
            self.pulsed = now;
            self.of_all(now, &recording::Event::Alive);
        }
    }

    /// Takes an event that the machine is about to take.
    pub(super) fn event(&mut self, now: Millis, event: &Event) {
        match event {
            Event::Leave(client) => self.left(now, *client),
            Event::Looked { .. } => self.step(now, Step::Look, false),
            Event::Restored(_) => self.step(now, Step::Restore, false),
            Event::Dropping(count) if (*count > 0) != self.cleaning => {
                self.cleaning = *count > 0;
                self.step(now, Step::Cleaning, self.cleaning);
            }
            Event::Lost { all } => self.of_all(now, &recording::Event::Lost { all: *all }),
            _ => {}
        }
    }

    /// Takes what the machine has decided.
    pub(super) fn effects(
        &mut self,
        now: Millis,
        effects: &[Effect],
        state: MachineState,
        resource: Option<&Resource>,
    ) {
        self.state_is(now, state, resource);
        for effect in effects {
            match effect {
                Effect::Ready(client) => self.of_test(now, *client, recording::Event::Ready { c: client.0 }),
                Effect::Fail(client, _) | Effect::Cut(client, _) => self.left(now, *client),
                Effect::Refused(client, attempt, reason) => {
                    let (c, a, why) = (client.0, attempt.0, why(*reason).to_owned());
                    self.of_test(now, *client, recording::Event::Refuse { c, a, why });
                }
                Effect::Look(..) => self.step(now, Step::Look, true),
                Effect::Restore(_) => self.step(now, Step::Restore, true),
                Effect::Forget(_) => {
                    self.step(now, Step::Look, false);
                    self.step(now, Step::Restore, false);
                }
                _ => {}
            }
        }
    }

    fn state_is(&mut self, now: Millis, state: MachineState, resource: Option<&Resource>) {
        let is = match state {
            MachineState::Recovering { .. } | MachineState::Probing => State::Looking,
            MachineState::Down => State::Down,
            MachineState::Acquiring => State::Acquiring,
            MachineState::Up => State::Up,
            MachineState::Warm { .. } => State::Warm,
            MachineState::Releasing { .. } => State::Releasing,
            MachineState::Owed { .. } => State::Owed,
            MachineState::Failed => State::Failed,
            MachineState::Gone => return,
        };
        if is == self.state {
            return;
        }
        let before = std::mem::replace(&mut self.state, is);
        self.cluster = resource.map(cluster).filter(|_| !matches!(is, State::Down | State::Failed | State::Looking));
        if let (State::Up, Some(cluster)) = (is, self.cluster.clone()) {
            self.of_all(now, &recording::Event::Cluster(cluster));
        }
        self.of_all(now, &recording::Event::State { is });
        // From now on the cluster is that of the session that came.
        if before == State::Warm && is == State::Up {
            self.close(now, ClusterOutcome::Warm, "");
        }
    }

    /// A session is over. Its recording is closed unless the cluster `stays` for the next one.
    pub(super) fn over(&mut self, now: Millis, session: SessionId, fate: &Fate, stays: bool) {
        let Some(recorded) = self.sessions.get_mut(&session) else { return };
        recorded.over = Some(fate.recycled.clone());
        match stays {
            true => self.of_session(now, session, &recording::Event::Over),
            false => self.closed(now, session, fate.outcome, &fate.detail),
        }
    }

    /// The cluster was released.
    pub(super) fn released(&mut self, now: Millis, outcome: ClusterOutcome, detail: &str) {
        self.close(now, outcome, detail);
    }

    /// Closes the recordings of sessions that are over.
    fn close(&mut self, now: Millis, outcome: ClusterOutcome, detail: &str) {
        let over = self.sessions.iter().filter(|(_, recorded)| recorded.over.is_some());
        let over: Vec<SessionId> = over.map(|(session, _)| *session).collect();
        over.into_iter().for_each(|session| self.closed(now, session, outcome, detail));
    }

    fn closed(&mut self, now: Millis, session: SessionId, outcome: ClusterOutcome, detail: &str) {
        let Some(recorded) = self.sessions.remove(&session) else { return };
        let recycled = recorded.over.unwrap_or_default();
        let event = recording::Event::Closed { outcome: outcome.to_string(), detail: short(detail), recycled };
        self.writer.line(recorded.file, now.saturating_sub(recorded.since), &event);
        self.writer.close(recorded.file);
        self.clients.retain(|_, of| *of != session);
    }

    /// Closes what is left, and waits until everything is written, or for a second.
    pub(super) fn end_all(&mut self, now: Millis) {
        let left: Vec<SessionId> = self.sessions.keys().copied().collect();
        left.into_iter().for_each(|session| self.closed(now, session, ClusterOutcome::Left, ""));
        self.writer.end();
    }

    fn left(&mut self, now: Millis, client: ClientId) {
        self.of_test(now, client, recording::Event::Left { c: client.0 });
        self.clients.remove(&client);
    }

    fn step(&mut self, now: Millis, step: Step, on: bool) {
        self.of_all(now, &recording::Event::Step { step, on });
    }

    fn of_test(&mut self, now: Millis, client: ClientId, event: recording::Event) {
        if let Some(session) = self.clients.get(&client) {
            self.of_session(now, *session, &event);
        }
    }

    fn of_session(&mut self, now: Millis, session: SessionId, event: &recording::Event) {
        if let Some(recorded) = self.sessions.get(&session) {
            self.writer.line(recorded.file, now.saturating_sub(recorded.since), event);
        }
    }

    fn of_all(&mut self, now: Millis, event: &recording::Event) {
        for recorded in self.sessions.values() {
            self.writer.line(recorded.file, now.saturating_sub(recorded.since), event);
        }
    }
}

/// Returns the sign by which keepers of one run recognise it.
fn sign(hello: &Hello) -> String {
    match &hello.session {
        Some(named) => format!("name {}", named.name),
        None => {
            let Identity { pid, start, namespace, boot, .. } = hello.runners.last().unwrap_or(&hello.own);
            format!("process {pid} {start} {namespace} {boot}")
        }
    }
}

/// Returns the name of a test's program without its directories.
fn program(path: &str) -> String {
    short(path.rsplit('/').next().unwrap_or(path))
}

fn short(text: &str) -> String {
    foreign::shortened(text, TEXT).into_owned()
}

fn why(reason: RefuseReason) -> &'static str {
    match reason {
        RefuseReason::RunOver => "its run was over",
        RefuseReason::NestedExclusive => "an exclusive test can't begin inside another one",
        RefuseReason::TimedOut => "it waited too long for its turn",
    }
}

fn cluster(resource: &Resource) -> Cluster {
    let how = match resource.ours {
        Ours::No => "found running",
        Ours::Resumed => "resumed",
        Ours::Deployed => "deployed",
        Ours::Started => "started",
    };
    Cluster {
        provider: resource.provider.clone(),
        name: short(&resource.name),
        version: resource.version.to_string(),
        how: how.to_owned(),
        id: resource.held.cloud_id().map(str::to_owned),
    }
}

fn line_of(value: &impl serde::Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

fn line(t: Millis, event: recording::Event) -> Vec<u8> {
    line_of(&Line { t, event })
}

#[cfg(test)]
mod tests;
