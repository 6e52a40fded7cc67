//! What the loop does about each event and each effect.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::{Event, Keeper, Last};
use crate::error::{Error, Kind, Result};
use crate::keeper::machine::{ClientId, Effect, FailReason, RefuseReason, Word};
use crate::keeper::report::unix_millis;
use crate::keeper::work::Outcome;
use crate::keeper::{cleaner::Cleaner, clients::Asked, work};
use crate::provider::{Held, Intents, NotAcquired, Ours, Released, Resource};
use crate::sql::{Credentials, Wallet};
use crate::target::OnExit;
use crate::user;
use crate::wire::FromKeeper;
use crate::wire::{AttemptId, ClusterOutcome, CutReason, Mode};
use crate::wire::{FromClient, Ready};

impl Keeper {
    /// Gives the machine an event, and does what it says until nothing more follows.
    pub(super) fn feed(&mut self, event: Event) {
        let dropping = self.drops_in_flight.len();
        if std::mem::replace(&mut self.dropping, dropping) != dropping {
            self.events.push_back(Event::Dropping(dropping));
        }
        self.events.push_back(event);
        while let Some(event) = self.events.pop_front() {
            tracing::debug!(?event, state = ?self.machine.state(), "event");
            let before = self.machine.state();
            let effects = self.machine.on(self.now(), event);
            self.drop_set_ups(before, &effects);
            for effect in effects {
                tracing::debug!(?effect, "effect");
                self.apply(effect);
            }
        }
        if let Some(work) = &self.work {
            work.is_wanted(self.machine.is_wanted());
        }
        self.prepare();
        self.report_ended();
        self.tell_observers();
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Write(word) => self.write(word),
            Effect::Probe => self.probe(),
            Effect::Acquire => self.acquire(),
            Effect::Release => self.finish_drops(Last::Release),
            Effect::Ready(client) => self.ready(client),
            Effect::Fail(client, reason) => self.fail(client, reason),
            Effect::Cut(client, reason) => self.cut(client, reason),
            Effect::Granted(client, id) => self.granted(client, id),
            Effect::Refused(client, id, reason) => self.refuse(client, id, reason),
            Effect::Look(id, client, attempt) => self.look(id, client, attempt),
            Effect::Restore(id) => self.restore(id),
            Effect::Forget(id) => self.forget_look(id),
            Effect::Exit => self.finish_drops(Last::Exit),
        }
    }

    fn write(&mut self, word: Word) {
        let policy = *self.machine.policy();
        let (key, runners) = (self.spec.as_ref().map(|spec| spec.key.clone()), self.clients.runners());
        let held = self.resource.as_ref().map(|resource| resource.held.clone());
        let change = move |record: &mut crate::keeper::journal::Record| {
            // What an earlier acquisition left stays named until it is released.
            match word {
                Word::Clean => record.held = None,
                Word::Up => record.held = held.or(record.held.take()),
                Word::MaybeUp | Word::MaybeDown => {}
            }
            record.word = word;
            record.policy = Some(policy);
            record.runners = runners;
            record.key = key.unwrap_or_else(|| std::mem::take(&mut record.key));
        };
        let written = self.with_journal(|journal| match word {
            Word::MaybeUp => journal.write_synced(change),
            _ => journal.write(change),
        });
        if let Err(error) = written {
            tracing::error!(%error, ?word, "the journal was not written");
            if word == Word::MaybeUp {
                self.no_intent = Some(error);
            }
        }
    }

    pub(super) fn held(&self) -> Option<Held> {
        let resource = self.resource.as_ref().map(|resource| resource.held.clone());
        resource.or_else(|| self.with_journal(|journal| Ok(journal.record.held.clone())).ok().flatten())
    }

    fn probe(&mut self) {
        match (self.held(), &self.work) {
            (Some(held), Some(work)) => work.recover(held, self.deadline()),
            // No intent was written, so nothing was touched.
            (None, _) => self.events.push_back(Event::Probed { up: false }),
            (_, None) => self.events.push_back(Event::NotProbed),
        }
    }

    fn deadline(&self) -> Instant {
        let limit = self.machine.policy().start_timeout;
        crate::wait::deadline_in(Duration::from_millis(limit))
    }

    fn acquire(&mut self) {
        self.last_progress = None;
        if let Some(error) = self.no_intent.take() {
            return self.not_acquired(work::not_journaled(error));
        }
        let Some(work) = self.work.clone() else {
            let error =
                self.failure.clone().unwrap_or_else(|| Error::new(Kind::Session, "nobody said what to acquire"));
            return self.not_acquired(work::not_journaled(error));
        };
        let journal = self.journal.clone();
        let intents =
            Intents::new(Arc::new(move |held| match &mut *journal.lock().unwrap_or_else(PoisonError::into_inner) {
                Ok(journal) => journal.write_synced(|record| record.held = Some(held.clone())),
                Err(error) => Err(error.clone()),
            }));
        work.acquire(self.deadline(), intents.kept_in(self.files.journal.clone()));
    }

    fn not_acquired(&mut self, failed: NotAcquired) {
        tracing::error!(error = %failed.error, maybe_up = failed.maybe_up, "no cluster");
        self.failure = Some(failed.error);
        self.resource = None;
        self.events.push_back(Event::NotAcquired { maybe_up: failed.maybe_up });
    }

    pub(super) fn worked(&mut self, outcome: Outcome) {
        let event = match outcome {
            Outcome::Acquired(Ok(mut resource)) => {
                let ours = resource.ours != Ours::No;
                self.still_owed(&mut resource);
                if matches!(resource.ours, Ours::Started | Ours::Deployed) {
                    self.start_set_ups_over();
                }
                self.has(*resource);
                Event::Acquired { ours }
            }
            Outcome::Acquired(Err(failed)) => {
                self.not_acquired(failed);
                let Some(event) = self.events.pop_back() else { return };
                event
            }
            Outcome::Probed(Ok(found)) => {
                let up = found.is_some();
                if let Some(resource) = found {
                    tracing::info!(resource = resource.name, "adopted what a killed keeper left");
                    self.has(*resource);
                }
                Event::Probed { up }
            }
            Outcome::Probed(Err(error)) => {
                tracing::error!(%error, "what a killed keeper left can't be looked at");
                self.failure = Some(error);
                Event::NotProbed
            }
            Outcome::Released(outcome) => Event::Released { ok: self.released(outcome) },
            Outcome::Renewed(outcome) => return self.renewed(outcome),
        };
        self.feed(event);
    }

    /// What runs only because an earlier release failed was found running, but it is not somebody else's: what is owed
    /// for it stands in the journal.
    fn still_owed(&self, resource: &mut Resource) {
        if resource.ours == Ours::No
            && self.machine.owes()
            && let Some(held) = self.held()
        {
            resource.ours = self.resource.as_ref().map_or(Ours::Resumed, |before| before.ours);
            resource.held = held;
        }
    }

    /// The cluster is there.
    fn has(&mut self, resource: Resource) {
        self.plan_renewal(&resource.credentials);
        let mut wallet = Wallet::new(resource.credentials.clone());
        if let Some(work) = &self.work {
            wallet = wallet.with_renewer(work.renewer(resource.clone()));
        }
        let cleaner = Cleaner::new(&resource.http_url, resource.version, wallet, self.inputs.clone());
        self.cleaner = cleaner.inspect_err(|error| tracing::warn!(%error, "schemas can't be dropped")).ok();
        let (lives_on, user) = (lives_on(&resource), resource.user.clone());
        tracing::info!(resource = resource.name, version = %resource.version, ours = ?resource.ours, "the cluster is there");
        self.resource = Some(resource);
        self.forget_drops();
        self.open_stock();
        if lives_on {
            let rest = self.with_journal(|journal| Ok(journal.record.undropped.clone())).unwrap_or_default();
            // Tests of a killed keeper may go on and are connected as the user that it had made.
            let (users, schemas): (Vec<String>, _) = rest.into_iter().partition(|name| user::is_ours(name));
            self.users.extend(users);
            self.note_user(user);
            schemas.into_iter().for_each(|schema| self.remove(schema));
            if let Some(cleaner) = &self.cleaner {
                cleaner.find_left_overs();
            }
        }
    }

    fn ready(&mut self, id: ClientId) {
        let Some(resource) = &self.resource else { return };
        let message = FromKeeper::Ready(Box::new(Ready {
            provider: resource.provider.clone(),
            name: resource.name.clone(),
            http_url: resource.http_url.clone(),
            pg_url: resource.pg_url.clone(),
            pg_hint: resource.pg_hint.clone(),
            credentials: resource.credentials.clone(),
            version: resource.version,
            console: resource.console.clone(),
            lives_on: lives_on(resource),
        }));
        let choice = choice(resource, self.machine.policy().on_exit);
        let (provider, name) = (resource.provider.clone(), resource.name.clone());
        let Some(client) = self.clients.get_mut(id) else { return };
        client.ready = true;
        let (session, outbox) = (client.session, client.outbox.clone());
        if let Some(report) = self.clients.reports.get_mut(&session) {
            (report.provider, report.resource) = (provider, name);
            report.ready_after_ms.get_or_insert(unix_millis().saturating_sub(report.began_at_ms));
            if !std::mem::replace(&mut report.told, true) {
                outbox.send(&FromKeeper::Notice { text: choice });
            }
        }
        outbox.send(&message);
    }

    fn fail(&mut self, id: ClientId, reason: FailReason) {
        let error = match (reason, &self.failure) {
            (FailReason::NotAcquired, Some(error)) => error.clone(),
            (FailReason::NotAcquired, None) => Error::new(Kind::Session, "the cluster was not acquired"),
            (FailReason::RunOver, _) => self.run_over(id),
        };
        if let Some(client) = self.clients.remove(id) {
            client.outbox.send(&FromKeeper::Fail { error });
            self.events.push_back(Event::Leave(id));
        }
    }

    fn cut(&mut self, id: ClientId, reason: CutReason) {
        let text = match reason {
            CutReason::Terminated => "the keeper was told to stop and releases the cluster".to_owned(),
            CutReason::MaxLifetime => {
                let limit = Duration::from_millis(self.machine.policy().max_lifetime);
                format!(
                    "no test began for {}, so the cluster is released (CRATEDB_TEST_MAX_LIFETIME)",
                    humantime::format_duration(limit)
                )
            }
            CutReason::RunOver => self.run_over(id).to_string(),
        };
        if let Some(client) = self.clients.remove(id) {
            client.outbox.send(&FromKeeper::Cut { reason, text });
        }
    }

    fn refuse(&mut self, id: ClientId, attempt: AttemptId, reason: RefuseReason) {
        let holders = self.clients.describe(&self.machine.holders());
        let run_over = self.run_over(id);
        let Some(client) = self.clients.get_mut(id) else { return };
        let test = client.attempts.remove(&attempt).map_or_else(String::new, |asked| asked.open.test);
        let error = match reason {
            RefuseReason::RunOver => run_over,
            RefuseReason::NestedExclusive => {
                Error::new(Kind::Usage, format!("`{test}` can't be exclusive inside another attempt"))
                    .because("it would wait for itself")
            }
            RefuseReason::TimedOut => {
                let limit = humantime::format_duration(Duration::from_millis(self.machine.policy().start_timeout));
                let holders = match holders.is_empty() {
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

    pub(super) fn message(&mut self, id: ClientId, message: FromClient) {
        match message {
            FromClient::Begin { attempt, parent } => {
                let (number, mode) = (attempt.id, attempt.mode);
                let Some(client) = self.clients.get_mut(id) else { return };
                client.attempts.insert(number, Asked::new(attempt, false));
                let session = client.session;
                // What a test begins inside itself is a part of it.
                if parent.is_none()
                    && let Some(report) = self.clients.reports.get_mut(&session)
                {
                    report.tests += 1;
                }
                self.feed(Event::Begin { client: id, attempt: number, mode, parent });
            }
            FromClient::End { id: attempt, passed, used, keep } => {
                let asked = self.clients.get_mut(id).and_then(|client| client.attempts.remove(&attempt));
                let alone = asked.as_ref().is_some_and(|asked| asked.granted && asked.open.mode == Mode::Exclusive);
                // What was made ahead is there, used or not.
                if let Some(Asked { open, .. }) = asked.filter(|asked| (used || asked.prepared) && !keep) {
                    tracing::debug!(test = open.test, passed, "an attempt ended");
                    self.remove(open.schema);
                }
                if alone {
                    self.aftermath_awaited(id, attempt);
                }
                self.ended(id, attempt);
                self.feed(Event::End { client: id, attempt });
                self.tell_aftermath_if_none();
            }
            FromClient::Migrations { checksum, files } => self.learn(checksum, files),
            FromClient::SetUp { name, schema } => self.claim_set_up(id, &name, schema),
            FromClient::SetUpEnded { name, outcome } => self.set_up_ended(id, &name, outcome),
            FromClient::Renew => self.renew(),
            FromClient::Status { watch, .. } => self.status(id, watch),
            FromClient::Finish { session, holder, now, .. } => {
                self.finish(id, session.as_deref(), holder.as_ref(), now);
            }
            FromClient::Hello(_) => tracing::warn!(client = id.0, "a second hello"),
        }
    }

    /// The process died or closed its socket; what it had begun is over.
    pub(super) fn gone(&mut self, id: ClientId) {
        self.observers.remove(&id);
        self.left(id);
        if let Some(client) = self.clients.remove(id) {
            for asked in client.attempts.into_values().filter(|asked| !asked.open.keep_if_lost) {
                self.remove(asked.open.schema);
            }
        }
        self.leave_set_ups(id);
        self.feed(Event::Leave(id));
    }

    pub(super) fn progress(&mut self, text: String) {
        tracing::info!(text, "progress");
        for (client, speak) in self.machine.waiting() {
            self.clients.send(client, &FromKeeper::Progress { text: text.clone(), speak });
        }
        self.tell_progress(&text);
        self.last_progress = Some(text);
    }

    fn released(&mut self, outcome: Result<Released>) -> bool {
        let (word, detail) = match &outcome {
            Ok(Released::Suspended) => (ClusterOutcome::Suspended, String::new()),
            Ok(Released::Removed) => (ClusterOutcome::Removed, String::new()),
            Ok(Released::Deleted) => (ClusterOutcome::Deleted, String::new()),
            Ok(Released::Left(line)) => (ClusterOutcome::Left, line.clone()),
            Err(error) => (ClusterOutcome::Owed, error.to_string()),
        };
        tracing::info!(outcome = %word, detail, "released");
        self.report_release(word, &detail, outcome.is_ok());
        if outcome.is_ok() {
            // With what came since the request.
            self.note_undropped();
            self.forget_drops();
            (self.resource, self.cleaner, self.renew_at) = (None, None, None);
        }
        outcome.is_ok()
    }

    fn plan_renewal(&mut self, credentials: &Credentials) {
        self.renew_at = match credentials {
            Credentials::Jwt { expires: Some(expires), .. } => Some(work::renewal(*expires)),
            _ => None,
        };
    }

    pub(super) fn renew(&mut self) {
        self.renew_at = None;
        let (Some(work), Some(resource), false) = (&self.work, &self.resource, self.renewing) else { return };
        self.renewing = true;
        work.renew(resource.clone());
    }

    fn renewed(&mut self, outcome: Result<Credentials>) {
        self.renewing = false;
        match outcome {
            Ok(credentials) => {
                self.plan_renewal(&credentials);
                if let Some(resource) = &mut self.resource {
                    resource.credentials = credentials.clone();
                }
                self.clients.broadcast(&FromKeeper::Credentials { credentials });
            }
            Err(error) => {
                tracing::warn!(%error, "the credentials were not renewed");
                self.renew_at = Some(Instant::now() + Duration::from_secs(10));
                self.clients.broadcast(&FromKeeper::NotRenewed { error });
            }
        }
    }
}

/// Which cluster it is and what becomes of it: told once per session, since a wrong choice may cost money.
fn choice(resource: &Resource, on_exit: OnExit) -> String {
    let fate = match (resource.ours, on_exit) {
        (Ours::No, OnExit::Suspend) if resource.provider == "cloud" => "found running; suspended at the end",
        (Ours::No, _) => "found running; left running",
        (Ours::Resumed, OnExit::Keep) => "resumed; left running (CRATEDB_TEST_ON_EXIT=keep)",
        (Ours::Resumed, _) => "resumed; suspended at the end",
        (Ours::Deployed, OnExit::Keep) => "deployed; left running (CRATEDB_TEST_ON_EXIT=keep)",
        (Ours::Deployed, OnExit::Delete) => "deployed; deleted at the end",
        (Ours::Deployed, _) => "deployed; suspended at the end, if its product can be",
        (Ours::Started, OnExit::Keep) => "started; left running (CRATEDB_TEST_ON_EXIT=keep)",
        (Ours::Started, _) => "started; removed at the end",
    };
    format!("using {}, CrateDB {}: {fate}", resource.name, resource.version)
}

/// Whether the data survives a release.
pub(super) fn lives_on(resource: &Resource) -> bool {
    resource.ours != Ours::Started
}
