//! Who is connected, and under which numbers the machine knows runs and runners.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;

use super::connection::Outbox;
use super::machine::{ClientId, Join, Machine, RunnerId, SessionId};
use super::report::Report;
use super::watch;
use crate::host::process::Identity;
use crate::wire::{AttemptId, Mode};
use crate::wire::{FromKeeper, Hello, Named, Open};

/// Names of sessions that are over: whoever asks for one wants to know what became of its cluster.
const REMEMBERED: usize = 64;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) outbox: Outbox,
    pub(super) session: SessionId,
    pub(super) process: Identity,
    pub(super) ready: bool,
    /// Granted or waiting.
    pub(super) attempts: BTreeMap<AttemptId, Asked>,
}

/// An attempt that somebody asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) open: Open,
    pub(super) granted: bool,
    /// Its schema was made ahead, so that there is something to drop.
    pub(super) prepared: bool,
    /// Unix seconds, of the question or of the grant.
    pub(super) since: i64,
}

impl Asked {
    pub(super) fn new(open: Open, granted: bool) -> Self {
        Self { open, granted, prepared: false, since: now() }
    }

    pub(super) fn grant(&mut self) {
        (self.granted, self.since) = (true, now());
    }
}

/// A process whose death somebody has to wait for.
pub(super) struct Watch<T> {
    pub(super) of: T,
    pub(super) process: Identity,
    pub(super) descriptor: Option<OwnedFd>,
}

/// What people want to know of a session.
#[derive(Debug)]
pub(super) struct About {
    pub(super) explicit: Option<Named>,
    pub(super) runners: BTreeMap<RunnerId, Identity>,
    /// Unix seconds.
    pub(super) since: i64,
}

/// What a session is recognised by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sign {
    /// Its outermost runner: a test that runs `cargo test` is part of its own run.
    Runner(Identity),
    Name(String),
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    connected: BTreeMap<ClientId, Client>,
    runners: HashMap<Identity, RunnerId>,
    sessions: HashMap<Sign, SessionId>,
    last_session: u64,
    about: BTreeMap<SessionId, About>,
    pub(super) reports: BTreeMap<SessionId, Report>,
    /// Names of explicit sessions that are over.
    ended: Vec<String>,
}

/// What a hello comes to.
pub(super) struct Joined {
    pub(super) join: Join,
    pub(super) own: Watch<ClientId>,
    /// Processes that are watched from now on.
    pub(super) runners: Vec<Watch<RunnerId>>,
    /// The first of its session.
    pub(super) first: bool,
}

impl Clients {
    /// Takes a client in. What the machine has to know, and which processes are watched from now on.
    pub(super) fn join(
        &mut self,
        id: ClientId,
        hello: &Hello,
        descriptors: Vec<OwnedFd>,
        outbox: Outbox,
        machine: &Machine,
    ) -> Joined {
        // Without one for each, the system has none.
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
        let open: Vec<(AttemptId, Mode)> = hello.open.iter().map(|open| (open.id, open.mode)).collect();
        let attempts = hello.open.iter().map(|open| (open.id, Asked::new(open.clone(), true))).collect();
        self.connected.insert(id, Client { outbox, session, process: hello.own.clone(), ready: false, attempts });
        let explicit = hello.session.as_ref().map(|named| named.idle);
        let join = Join { session, runners, policy: hello.spec.policy, orphan: hello.orphan, open, explicit };
        Joined { join, own, runners: watches, first }
    }

    fn session_of(&mut self, hello: &Hello, machine: &Machine) -> SessionId {
        let sign = match &hello.session {
            Some(named) => Sign::Name(named.name.clone()),
            None => Sign::Runner(hello.runners.last().unwrap_or(&hello.own).clone()),
        };
        let known = self.sessions.get(&sign).copied();
        // A name means another session after the end of the one before.
        let known = known.filter(|id| hello.session.is_none() || machine.takes(*id, !hello.runners.is_empty()));
        known.unwrap_or_else(|| {
            self.last_session += 1;
            let id = SessionId(self.last_session);
            self.sessions.insert(sign, id);
            id
        })
    }

    /// Notes what a newcomer says of its session; whether it is the first one.
    fn enter(&mut self, session: SessionId, hello: &Hello, runners: &[(RunnerId, bool)]) -> bool {
        let first = !self.about.contains_key(&session);
        let about = self.about.entry(session).or_insert_with(|| About {
            explicit: None,
            runners: BTreeMap::new(),
            since: now(),
        });
        about.explicit.clone_from(&hello.session);
        about.runners.extend(runners.iter().map(|(id, _)| *id).zip(hello.runners.iter().cloned()));
        let name = hello.session.as_ref().map(|named| named.name.clone());
        let path = hello.spec.report.clone();
        let report = self.reports.entry(session).or_insert_with(|| Report::new(session.0, name, path));
        report.joined(&hello.binary);
        first
    }

    pub(super) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.connected.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: ClientId) -> Option<Client> {
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

    /// To everybody who has the cluster.
    pub(super) fn broadcast(&self, message: &FromKeeper) {
        for client in self.connected.values().filter(|client| client.ready) {
            client.outbox.send(message);
        }
    }

    /// Any client, for what concerns all.
    pub(super) fn anybody(&self) -> Option<&Client> {
        self.connected.values().next()
    }

    pub(super) fn of_session(&self, session: SessionId) -> impl Iterator<Item = &Client> {
        self.connected.values().filter(move |client| client.session == session)
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = (SessionId, &About)> {
        self.about.iter().map(|(id, about)| (*id, about))
    }

    /// Forgets that a process holds an explicit session; its number.
    pub(super) fn let_go(&mut self, session: SessionId, holder: &Identity) -> Option<RunnerId> {
        let runner = *self.runners.get(holder)?;
        self.about.get_mut(&session)?.runners.remove(&runner).map(|_| runner)
    }

    /// Whether anybody ever held an explicit session, as far as is known.
    pub(super) fn had_holders(&self, session: SessionId) -> bool {
        self.about.get(&session).is_some_and(|about| !about.runners.is_empty())
    }

    /// The explicit session to which a client belongs.
    pub(super) fn explicit(&self, client: ClientId) -> Option<&Named> {
        self.about.get(&self.connected.get(&client)?.session)?.explicit.as_ref()
    }

    /// What a name means now.
    pub(super) fn named(&self, name: &str) -> Option<SessionId> {
        self.sessions.get(&Sign::Name(name.to_owned())).copied()
    }

    /// Forgets what is over; whose numbers these were.
    pub(super) fn forget_ended(&mut self, machine: &Machine) -> Vec<SessionId> {
        let ended: Vec<SessionId> = self.about.keys().filter(|id| !machine.has(**id)).copied().collect();
        for id in &ended {
            let about = self.about.remove(id);
            if let Some(named) = about.and_then(|about| about.explicit) {
                self.ended.retain(|name| *name != named.name);
                self.ended.push(named.name);
            }
        }
        self.ended.drain(..self.ended.len().saturating_sub(REMEMBERED));
        ended
    }

    pub(super) fn ended(&self) -> &[String] {
        &self.ended
    }

    /// Whether one of these processes is a runner that lives.
    pub(super) fn runs_under(&self, processes: &[Identity], machine: &Machine) -> bool {
        let known = processes.iter().filter_map(|process| self.runners.get(process));
        known.into_iter().any(|runner| machine.runs(*runner))
    }

    /// Who runs: the tests that hold the cluster, for an error.
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

    /// The runners, for the journal.
    pub(super) fn runners(&self) -> Vec<Identity> {
        // More than a few are for display only.
        self.runners.keys().take(16).cloned().collect()
    }
}

fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}
