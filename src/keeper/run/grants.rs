//! The answers to test processes: a turn on the cluster for an attempt, a setup, or the reason why there is none.

use std::time::Duration;

use super::Keeper;
use crate::error::{Error, Kind};
use crate::keeper::clients::ClientAttempt;
use crate::keeper::machine::{ClientId, Effect, Event, FailReason, MachineState, RefuseReason};
use crate::keeper::premade::Handout;
use crate::keeper::setups::SetupNews;
use crate::wire::{AttemptId, CutReason, Ended, FromClient, FromKeeper, Mode, Open, SetupOutcome};

impl Keeper {
    pub(super) fn message(&mut self, id: ClientId, message: FromClient) {
        match message {
            FromClient::Begin { attempt, parent } => self.begin(id, attempt, parent),
            FromClient::End { id: attempt, ended } => self.end(id, attempt, ended),
            FromClient::Migrations { checksum, files } => self.learn(checksum, files),
            FromClient::Setup { name, schema } => self.claim_setup(id, &name, schema),
            FromClient::SetupEnded { name, outcome, digest } => self.setup_ended(id, &name, outcome, digest),
            FromClient::Renew => self.supply.renew(),
            FromClient::Unanswered => self.unanswered(id),
            FromClient::Status { watch, .. } => self.status(id, watch),
            FromClient::Finish { session, holder, now, .. } => {
                self.finish(id, session.as_deref(), holder.as_ref(), now);
            }
            FromClient::Hello(_) => tracing::warn!(client = id.0, "a second hello"),
        }
    }

    fn begin(&mut self, id: ClientId, attempt: Open, parent: Option<AttemptId>) {
        let (number, mode) = (attempt.id, attempt.mode);
        self.recorder.begin(self.now(), id, &attempt, parent.is_some());
        let Some(client) = self.clients.get_mut(id) else { return };
        client.attempts.insert(number, ClientAttempt::new(attempt, false));
        let session = client.session;
        // What a test begins inside itself is a part of it.
        if parent.is_none()
            && let Some(report) = self.clients.reports.get_mut(&session)
        {
            report.tests += 1;
        }
        self.feed(Event::Begin { client: id, attempt: number, mode, parent });
    }

    /// Tells a client that it is an attempt's turn, with a premade schema if there is one. An attempt that waits for a
    /// schema is told later.
    pub(super) fn grant(&mut self, id: ClientId, attempt: AttemptId) {
        match self.hand_out(id, attempt) {
            Some(handout) => self.granted(id, attempt, handout),
            None => self.recorder.turn(self.now(), id, attempt),
        }
    }

    pub(super) fn granted(&mut self, id: ClientId, attempt: AttemptId, Handout { schema, wants }: Handout) {
        let now = self.now();
        let Some(client) = self.clients.get_mut(id) else { return };
        if let Some(granted) = client.attempts.get_mut(&attempt) {
            granted.grant(schema.clone());
        }
        client.outbox.send(&FromKeeper::Granted { id: attempt, schema, wants });
        if let Some(granted) = client.attempts.get(&attempt) {
            self.recorder.grant(now, id, granted);
        }
    }

    fn end(&mut self, id: ClientId, attempt: AttemptId, ended: Ended) {
        self.recorder.end(self.now(), id, attempt, ended);
        let Ended { passed, used, keep, .. } = ended;
        let known = self.clients.get_mut(id).and_then(|client| client.attempts.remove(&attempt));
        let alone = known.as_ref().is_some_and(|known| known.granted && known.open.mode == Mode::Exclusive);
        // A premade schema is there, used or not.
        if let Some(ClientAttempt { open, premade, .. }) = known.filter(|known| (used || known.premade) && !keep) {
            tracing::debug!(test = open.test, passed, "an attempt ended");
            // What an exclusive test did to the whole cluster may concern its schema.
            if alone || !self.take_back(id, &open, premade, ended) {
                self.remove(open.schema);
            }
        }
        if alone {
            self.aftermath_awaited(id, attempt);
        }
        self.premade_ended(id, attempt);
        self.feed(Event::End { client: id, attempt });
        self.tell_aftermath_if_none();
    }

    pub(super) fn refuse(&mut self, id: ClientId, attempt: AttemptId, reason: RefuseReason) {
        let holders = self.clients.describe(&self.machine.holders());
        let (run_over, others) = (self.run_over(id), self.machine.awaits_others());
        let Some(client) = self.clients.get_mut(id) else { return };
        let test = client.attempts.remove(&attempt).map_or_else(String::new, |known| known.open.test);
        let error = match reason {
            RefuseReason::RunOver => run_over,
            RefuseReason::NestedExclusive => {
                Error::new(Kind::Usage, format!("`{test}` can't be exclusive inside another attempt"))
                    .because("it would wait for itself")
            }
            RefuseReason::TimedOut => {
                let limit = humantime::format_duration(Duration::from_millis(self.machine.policy().start_timeout));
                let holders = match holders.is_empty() {
                    true if others => "tests of other machines that use this cluster".to_owned(),
                    true => "nobody: what an exclusive test had changed was being put back".to_owned(),
                    false => holders,
                };
                Error::new(Kind::Timeout, format!("`{test}` waited {limit} for its turn on the cluster"))
                    .because(format!("held by {holders}"))
                    .hint("an exclusive test runs alone: see whether one of these hangs, or set CRATEDB_TEST_START_TIMEOUT")
            }
        };
        client.outbox.send(&FromKeeper::Refused { id: attempt, error });
    }

    /// Tells a client that there will be no cluster.
    pub(super) fn fail(&mut self, id: ClientId, reason: FailReason) {
        let error = match (reason, &self.supply.failure) {
            (FailReason::NotAcquired, Some(error)) => error.clone(),
            (FailReason::NotAcquired, None) => Error::new(Kind::Session, "the cluster was not acquired"),
            (FailReason::RunOver, _) => self.run_over(id),
        };
        if let Some(client) = self.clients.remove(id) {
            client.outbox.send(&FromKeeper::Fail { error });
            self.events.push_back(Event::Leave(id));
        }
    }

    /// Sends a client away.
    pub(super) fn cut(&mut self, id: ClientId, reason: CutReason) {
        let text = match reason {
            CutReason::Terminated => "the keeper was told to stop and releases the cluster".to_owned(),
            CutReason::MaxLifetime => {
                let limit = humantime::format_duration(Duration::from_millis(self.machine.policy().max_lifetime));
                format!("no test began for {limit}, so the cluster is released (CRATEDB_TEST_MAX_LIFETIME)")
            }
            CutReason::RunOver => self.run_over(id).to_string(),
        };
        if let Some(client) = self.clients.remove(id) {
            client.outbox.send(&FromKeeper::Cut { reason, text });
        }
    }

    /// Returns why a client gets no turn and no cluster any more.
    fn run_over(&self, id: ClientId) -> Error {
        match self.clients.explicit(id) {
            Some(named) => Error::new(Kind::Session, format!("the session `{}` is over", named.name))
                .because("it was finished, or the process that held it ended"),
            None => Error::new(Kind::Session, "the test run that this process belongs to is over")
                .because("its runner was killed"),
        }
    }

    /// The process died or closed its socket. What it had begun is over.
    pub(super) fn gone(&mut self, id: ClientId) {
        self.observers.remove(&id);
        self.premade_left(id);
        if let Some(client) = self.clients.remove(id) {
            for attempt in client.attempts.into_values().filter(|attempt| !attempt.open.keep_if_lost) {
                self.remove(attempt.open.schema);
            }
        }
        let (news, schemas) = self.setups.leave(id);
        self.tell_of_setups(news, schemas);
        self.feed(Event::Leave(id));
    }

    fn claim_setup(&mut self, id: ClientId, name: &str, schema: String) {
        let Some(session) = self.clients.get_mut(id).map(|client| client.session) else { return };
        let news = self.setups.claim(id, session, name, schema);
        self.tell_of_setups(news, None);
    }

    fn setup_ended(&mut self, id: ClientId, name: &str, outcome: SetupOutcome, digest: Option<String>) {
        let Some(session) = self.clients.get_mut(id).map(|client| client.session) else { return };
        tracing::info!(name, ?outcome, "a setup ended");
        let (news, schema) = self.setups.ended(id, session, name, outcome, digest);
        self.tell_of_setups(news, schema);
    }

    /// The cluster is new: what setups made is not on it.
    pub(super) fn start_setups_over(&mut self) {
        let news = self.setups.start_over();
        self.tell_of_setups(news, None);
    }

    /// Drops the schemas of setups before the effects of an event that came in the state `before`: those of sessions
    /// that are over now, and all of them before a release, while the cluster is still up.
    pub(super) fn drop_setups(&mut self, before: MachineState, effects: &[Effect]) {
        use MachineState::{Down, Probing, Up, Warm};
        // Those of a cluster that another one follows are begun again there.
        let ends = |effect: &Effect| matches!(effect, Effect::Release | Effect::Exit) && !self.machine.is_replacing();
        let last = effects.iter().any(ends);
        let schemas = self.setups.retain(|session| !last && self.machine.has(session));
        let in_time = matches!(before, Up | Warm { .. } | Probing | Down);
        schemas.into_iter().for_each(|schema| self.remove_if(in_time, schema));
    }

    /// Drops the schemas of setups that no client needs any more, and tells clients what became of theirs.
    fn tell_of_setups(&mut self, news: impl IntoIterator<Item = SetupNews>, schemas: impl IntoIterator<Item = String>) {
        schemas.into_iter().for_each(|schema| self.remove(schema));
        for SetupNews { client, name, verdict } in news {
            tracing::debug!(client = client.0, name, ?verdict, "about a setup");
            self.clients.send(client, &FromKeeper::Setup { name, verdict });
        }
    }
}
