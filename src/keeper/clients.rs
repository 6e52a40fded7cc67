//! The clients that are connected, and the numbers under which the machine knows their sessions and runners.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;

use super::connection::Outbox;
use super::machine::{ClientId, Join, Machine, RunnerId, SessionId};
use super::run::Report;
use super::{unix_seconds, watch};
use crate::host::process::Identity;
use crate::wire::{AttemptId, FromKeeper, Hello, Named, Open};

/// The number of sessions that are over whose names are remembered: a client that asks for one wants to know what
/// became of its cluster.
const REMEMBERED: usize = 64;

#[derive(Debug)]
pub(super) struct ConnectedClient {
    pub(super) outbox: Outbox,
    pub(super) session: SessionId,
    pub(super) process: Identity,
    pub(super) ready: bool,
    /// Granted or waiting.
    pub(super) attempts: BTreeMap<AttemptId, ClientAttempt>,
}

/// An attempt for which a client wants, or has, a turn.
#[derive(Debug)]
pub(super) struct ClientAttempt {
    pub(super) open: Open,
    pub(super) granted: bool,
    /// Its schema is a premade one, so that there is something to drop.
    pub(super) premade: bool,
    /// When the client asked, or when the attempt was granted; Unix seconds.
    pub(super) since: i64,
}

impl ClientAttempt {
    pub(super) fn new(open: Open, granted: bool) -> Self {
        Self { open, granted, premade: false, since: unix_seconds() }
    }

    /// Notes the grant, with a premade schema that takes the place of the client's own.
    pub(super) fn grant(&mut self, premade: Option<String>) {
        (self.granted, self.since) = (true, unix_seconds());
        if let Some(schema) = premade {
            (self.open.schema, self.premade) = (schema, true);
        }
    }
}

/// A process whose death the keeper waits for.
pub(super) struct Watch<T> {
    pub(super) of: T,
    pub(super) process: Identity,
    pub(super) descriptor: Option<OwnedFd>,
}

/// The facts of a session that people want to know.
#[derive(Debug, Default)]
pub(super) struct SessionFacts {
    pub(super) explicit: Option<Named>,
    pub(super) runners: BTreeMap<RunnerId, Identity>,
    /// Unix seconds.
    pub(super) since: i64,
}

/// The sign by which a session is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sign {
    /// Its outermost runner: a test that runs `cargo test` is part of its own run.
    Runner(Identity),
    Name(String),
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    connected: BTreeMap<ClientId, ConnectedClient>,
    runners: HashMap<Identity, RunnerId>,
    numbers: HashMap<Sign, SessionId>,
    last_session: u64,
    sessions: BTreeMap<SessionId, SessionFacts>,
    pub(super) reports: BTreeMap<SessionId, Report>,
    /// Names of explicit sessions that are over.
    ended: Vec<String>,
}

/// The consequences of a hello.
pub(super) struct Joined {
    pub(super) join: Join,
    pub(super) own: Watch<ClientId>,
    /// Runners that are watched from now on.
    pub(super) runners: Vec<Watch<RunnerId>>,
    /// The client is the first of its session.
    pub(super) first: bool,
}

impl Clients {
    /// Takes a client in. Returns what the machine has to know, and which processes are watched from now on.
    pub(super) fn join(
        &mut self,
        id: ClientId,
        hello: &Hello,
        descriptors: Vec<OwnedFd>,
        outbox: Outbox,
        machine: &Machine,
    ) -> Joined {
        // Unless there is one for each process, the system has none.
        let complete = descriptors.len() == hello.runners.len() + 1;
        let mut descriptors = if complete { descriptors } else { Vec::new() }.into_iter();
        let own = Watch { of: id, process: hello.own.clone(), descriptor: descriptors.next() };
        let (mut runners, mut watches) = (Vec::new(), Vec::new());
        for process in &hello.runners {
            let descriptor = descriptors.next();
            let next = RunnerId(self.runners.len() as u64 + 1);
            let alive = !watch::is_dead(process, descriptor.as_ref());
            let known = self.runners.contains_key(process);
            let runner = *self.runners.entry(process.clone()).or_insert(next);
            runners.push((runner, alive));
            if !known {
                watches.push(Watch { of: runner, process: process.clone(), descriptor });
            }
        }
        let session = self.session_of(hello, machine);
        let first = self.enter(session, hello, &runners);
        let open = hello.open.iter().map(|open| (open.id, open.mode)).collect();
        let attempts = hello.open.iter().map(|open| (open.id, ClientAttempt::new(open.clone(), true))).collect();
        let client = ConnectedClient { outbox, session, process: hello.own.clone(), ready: false, attempts };
        self.connected.insert(id, client);
        let explicit = hello.session.as_ref().map(|named| named.idle);
        let join = Join { session, runners, policy: hello.spec.policy, orphan: hello.orphan, open, explicit };
        Joined { join, own, runners: watches, first }
    }

    fn session_of(&mut self, hello: &Hello, machine: &Machine) -> SessionId {
        let sign = match &hello.session {
            Some(named) => Sign::Name(named.name.clone()),
            None => Sign::Runner(hello.runners.last().unwrap_or(&hello.own).clone()),
        };
        let known = self.numbers.get(&sign).copied();
        // A name means another session after the end of the one before.
        let known = known.filter(|id| hello.session.is_none() || machine.takes(*id, !hello.runners.is_empty()));
        known.unwrap_or_else(|| {
            self.last_session += 1;
            let id = SessionId(self.last_session);
            self.numbers.insert(sign, id);
            id
        })
    }

    /// Notes what a client says of its session. Returns true if it is the first one.
    fn enter(&mut self, session: SessionId, hello: &Hello, runners: &[(RunnerId, bool)]) -> bool {
        let first = !self.sessions.contains_key(&session);
        let new = || SessionFacts { since: unix_seconds(), ..SessionFacts::default() };
        let facts = self.sessions.entry(session).or_insert_with(new);
        facts.explicit.clone_from(&hello.session);
        facts.runners.extend(runners.iter().map(|(id, _)| *id).zip(hello.runners.iter().cloned()));
        let name = hello.session.as_ref().map(|named| named.name.clone());
        let path = hello.spec.report.clone();
        let report = self.reports.entry(session).or_insert_with(|| Report::new(session.0, name, path));
        report.joined(&hello.binary);
        first
    }

    pub(super) fn get_mut(&mut self, id: ClientId) -> Option<&mut ConnectedClient> {
        self.connected.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: ClientId) -> Option<ConnectedClient> {
        self.connected.remove(&id)
    }

    pub(super) fn clear(&mut self) {
        self.connected.clear();
    }

    pub(super) fn send(&self, id: ClientId, message: &FromKeeper) {
        if let Some(client) = self.connected.get(&id) {
            client.outbox.send(message);
        }
    }

    /// Tells people something through one client.
    pub(super) fn notify(&self, id: ClientId, text: impl Into<String>) {
        self.send(id, &FromKeeper::Notice { text: text.into() });
    }

    /// Tells people something that concerns all clients, through any one of them. Returns false if there is none.
    pub(super) fn notify_any(&self, text: String) -> bool {
        let any = self.connected.values().next();
        any.inspect(|client| client.outbox.send(&FromKeeper::Notice { text })).is_some()
    }

    /// Sends a message to every client that has the cluster.
    pub(super) fn broadcast(&self, message: &FromKeeper) {
        for client in self.connected.values().filter(|client| client.ready) {
            client.outbox.send(message);
        }
    }

    pub(super) fn of_session(&self, session: SessionId) -> impl Iterator<Item = &ConnectedClient> {
        self.connected.values().filter(move |client| client.session == session)
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = (SessionId, &SessionFacts)> {
        self.sessions.iter().map(|(id, facts)| (*id, facts))
    }

    /// Forgets that a process holds an explicit session. Returns the number of the process, if it held it.
    pub(super) fn let_go(&mut self, session: SessionId, holder: &Identity) -> Option<RunnerId> {
        let runner = *self.runners.get(holder)?;
        self.sessions.get_mut(&session)?.runners.remove(&runner).map(|_| runner)
    }

    /// Returns whether any process ever held an explicit session, as far as is known.
    pub(super) fn had_holders(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|facts| !facts.runners.is_empty())
    }

    /// Returns the explicit session to which a client belongs.
    pub(super) fn explicit(&self, client: ClientId) -> Option<&Named> {
        self.sessions.get(&self.connected.get(&client)?.session)?.explicit.as_ref()
    }

    /// Returns the session that a name means now.
    pub(super) fn named(&self, name: &str) -> Option<SessionId> {
        self.numbers.get(&Sign::Name(name.to_owned())).copied()
    }

    /// Forgets the sessions that are over, and returns them.
    pub(super) fn forget_ended(&mut self, machine: &Machine) -> Vec<SessionId> {
        let ended: Vec<SessionId> = self.sessions.keys().filter(|id| !machine.has(**id)).copied().collect();
        for named in ended.iter().filter_map(|id| self.sessions.remove(id)?.explicit) {
            self.ended.retain(|name| *name != named.name);
            self.ended.push(named.name);
        }
        self.ended.drain(..self.ended.len().saturating_sub(REMEMBERED));
        ended
    }

    pub(super) fn ended(&self) -> &[String] {
        &self.ended
    }

    /// Returns whether one of these processes is a runner that lives.
    pub(super) fn runs_under(&self, processes: &[Identity], machine: &Machine) -> bool {
        let mut known = processes.iter().filter_map(|process| self.runners.get(process));
        known.any(|runner| machine.runs(*runner))
    }

    /// Describes the tests that hold the cluster, for an error.
    pub(super) fn describe(&self, holders: &[(ClientId, AttemptId)]) -> String {
        let one = |(client, attempt): &(ClientId, AttemptId)| {
            let client = self.connected.get(client)?;
            Some(format!("`{}` in process {}", client.attempts.get(attempt)?.open.test, client.process.pid))
        };
        let names: Vec<String> = holders.iter().filter_map(one).take(5).collect();
        let more = holders.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", names.join(", "))
    }

    /// Returns the runners, for the journal.
    pub(super) fn runners(&self) -> Vec<Identity> {
        // They are for display only, so a few suffice.
        self.runners.keys().take(16).cloned().collect()
    }
}
