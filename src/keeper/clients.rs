//! Who is connected, and under which numbers the machine knows runs and runners.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;

use super::connection::Outbox;
use super::machine::{AttemptId, ClientId, Join, Mode, RunnerId, SessionId};
use super::protocol::{FromKeeper, Hello, Open};
use super::report::Report;
use super::watch;
use crate::session::process::Identity;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) outbox: Outbox,
    pub(super) session: SessionId,
    pub(super) name: String,
    pub(super) ready: bool,
    /// Granted or waiting.
    pub(super) attempts: BTreeMap<AttemptId, Open>,
}

/// A process whose death somebody has to wait for.
pub(super) struct Watch<T> {
    pub(super) of: T,
    pub(super) process: Identity,
    pub(super) descriptor: Option<OwnedFd>,
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    connected: BTreeMap<ClientId, Client>,
    runners: HashMap<Identity, RunnerId>,
    sessions: HashMap<Identity, SessionId>,
    pub(super) reports: BTreeMap<SessionId, Report>,
}

impl Clients {
    /// Takes a client in. What the machine has to know, and which processes are watched from now on.
    pub(super) fn join(
        &mut self,
        id: ClientId,
        hello: &Hello,
        descriptors: Vec<OwnedFd>,
        outbox: Outbox,
    ) -> (Join, Watch<ClientId>, Vec<Watch<RunnerId>>, bool) {
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
        // The outermost runner is the run: a test that runs `cargo test` is part of its own run.
        let run = hello.runners.last().unwrap_or(&hello.own).clone();
        let next = SessionId(self.sessions.len() as u64 + 1);
        let session = *self.sessions.entry(run).or_insert(next);
        let first = !self.reports.contains_key(&session);
        let report = self.reports.entry(session).or_insert_with(|| Report::new(session.0, hello.spec.report.clone()));
        report.joined(&hello.binary);
        let open: Vec<(AttemptId, Mode)> = hello.open.iter().map(|open| (open.id, open.mode)).collect();
        let attempts = hello.open.iter().map(|open| (open.id, open.clone())).collect();
        let name = format!("process {}", hello.own.pid);
        self.connected.insert(id, Client { outbox, session, name, ready: false, attempts });
        let join = Join { session, runners, policy: hello.spec.policy, orphan: hello.orphan, open, explicit: None };
        (join, own, watches, first)
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

    /// Who runs: the tests that hold the cluster, for an error.
    pub(super) fn describe(&self, holders: &[(ClientId, AttemptId)]) -> String {
        let one = |(client, attempt): &(ClientId, AttemptId)| {
            let client = self.connected.get(client)?;
            Some(format!("`{}` in {}", client.attempts.get(attempt)?.test, client.name))
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
