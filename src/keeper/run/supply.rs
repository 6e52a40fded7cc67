//! The supply of the cluster: the calls of the provider, what they brought, and what the journal says of it.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;

use super::drops::Cleaner;
use super::{Input, Inputs, Keeper};
use crate::clock::{self, ServerClock};
use crate::error::{Error, Kind, Result};
use crate::keeper::machine::{ClientId, Event, MachineState, Word};
use crate::keeper::{Record, unix_millis};
use crate::provider::{Held, Intents, NodeLoss, NotAcquired, Ours, Progress, Provider, Released, Resource};
use crate::sharing::Member;
use crate::sql::{Credentials, Renewer, Wallet};
use crate::target::{OnExit, Target};
use crate::wire::{ClusterOutcome, FromKeeper, Policy, Ready, Spec};

/// The outcome of a call of the provider.
#[derive(Debug)]
pub(in crate::keeper) enum CallOutcome {
    Acquired(Result<Box<Resource>, NotAcquired>),
    Probed(Result<Option<Box<Resource>>>),
    Released(Result<Released>),
    Renewed(Result<Credentials>),
    /// The cluster was looked at. If it went away, that was heard before.
    Looked,
}

/// Starts calls of one provider, each a task whose outcome is an input of the loop.
struct Calls {
    provider: Arc<Provider>,
    inputs: Inputs,
    /// True while any client waits for the cluster.
    wanted: watch::Sender<bool>,
    /// The reason why the call that is under way can't go on for now.
    trouble: watch::Sender<Option<String>>,
}

impl Calls {
    fn new(provider: Provider, inputs: Inputs) -> Self {
        let (wanted, trouble) = (watch::Sender::new(true), watch::Sender::new(None));
        Self { provider: Arc::new(provider), inputs, wanted, trouble }
    }

    fn acquire(&self, deadline: Instant, intents: Intents) {
        let (provider, progress) = (self.provider.clone(), self.progress().while_wanted(self.wanted.subscribe()));
        self.inputs.spawn(async move {
            let outcome = provider.acquire(deadline, &progress, &intents).await;
            Input::Call(CallOutcome::Acquired(outcome.map(Box::new)))
        });
    }

    fn recover(&self, held: Held, on_exit: OnExit, deadline: Instant, intents: Intents) {
        let (provider, progress) = (self.provider.clone(), self.progress());
        self.inputs.spawn(async move {
            let outcome = provider.recover(&held, on_exit, deadline, &progress, &intents).await;
            Input::Call(CallOutcome::Probed(outcome.map(|found| found.map(Box::new))))
        });
    }

    fn release(&self, held: Held, on_exit: OnExit, cleaned: watch::Receiver<bool>) {
        let (provider, progress) = (self.provider.clone(), self.progress().once_cleaned(cleaned));
        self.inputs.spawn(async move {
            Input::Call(CallOutcome::Released(provider.release(&held, on_exit, &progress).await))
        });
    }

    fn renew(&self, resource: Resource) {
        let provider = self.provider.clone();
        self.inputs.spawn(async move { Input::Call(CallOutcome::Renewed(provider.credentials(&resource).await)) });
    }

    fn look(&self) {
        let provider = self.provider.clone();
        self.inputs.spawn(async move {
            provider.look().await;
            Input::Call(CallOutcome::Looked)
        });
    }

    /// Returns how the cleaner gets new credentials if its own are refused.
    fn renewer(&self, resource: Resource) -> Renewer {
        let provider = self.provider.clone();
        Arc::new(move || {
            let (provider, resource) = (provider.clone(), resource.clone());
            Box::pin(async move { provider.credentials(&resource).await })
        })
    }

    fn progress(&self) -> Progress {
        let (sender, mut receiver) = unbounded_channel();
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            while let Some(text) = receiver.recv().await {
                inputs.send(Input::Progress(text));
            }
        });
        self.trouble.send_replace(None);
        Progress::new(sender).with_trouble(self.trouble.clone())
    }
}

/// The loop's knowledge of the cluster and of the way to it.
#[derive(Default)]
pub(super) struct Supply {
    pub(super) spec: Option<Spec>,
    calls: Option<Calls>,
    pub(super) resource: Option<Resource>,
    /// The reason why there is no cluster, for every client that asks.
    pub(super) failure: Option<Error>,
    /// The intent could not be written: the call that follows must not be made.
    no_intent: Option<Error>,
    pub(super) renew_at: Option<Instant>,
    renewing: bool,
    /// Clients whose statements had no answer. They wait for a look at the cluster.
    unanswered: Vec<ClientId>,
    /// The number of the last news about the turns that other machines leave.
    pub(super) turns: u64,
    /// The number of the last wish to be alone, or not any more.
    pub(super) wishes: u64,
}

impl Supply {
    /// Takes over the settings of a client, as far as the state of the machine allows.
    pub(super) fn adopt(&mut self, spec: &Spec, state: MachineState, inputs: &Inputs, member: Member) {
        let changed = self.spec.as_ref().is_none_or(|known| known.target != spec.target);
        // While a cluster is there or under way, its provider stays: the credentials that got it can release it, those
        // of a later client may be mistyped.
        let free = match state {
            MachineState::Recovering { .. } | MachineState::Down | MachineState::Failed => true,
            MachineState::Owed { .. } => self.resource.is_none(),
            _ => false,
        };
        if self.calls.is_none() || changed && free {
            match Provider::chain(&spec.target) {
                Ok(provider) => self.calls = Some(Calls::new(provider.shared_by(member), inputs.clone())),
                Err(error) => (self.calls, self.failure) = (None, Some(error)),
            }
        }
        if free || self.spec.is_none() {
            self.spec = Some(spec.clone());
        }
    }

    /// Returns the name of the provider: of the cluster's, or of the first that will be asked.
    pub(super) fn provider(&self) -> Option<String> {
        let wanted = |spec: &Spec| match &spec.target {
            Target::Url(_) => "url",
            Target::Cloud(_) => "cloud",
            Target::Local(target) if target.home.is_some() => "process",
            Target::Local(_) => "container",
        };
        let provider = self.resource.as_ref().map(|resource| resource.provider.clone());
        provider.or_else(|| self.spec.as_ref().map(|spec| wanted(spec).to_owned()))
    }

    /// Returns whether the data of the cluster survives its release; `None` without a cluster, of whose data nothing is
    /// known.
    pub(super) fn lives_on(&self) -> Option<bool> {
        self.resource.as_ref().map(lives_on)
    }

    /// Tells a call that is under way whether any client waits for it.
    pub(super) fn is_wanted(&self, wanted: bool) {
        if let Some(calls) = &self.calls {
            calls.wanted.send_if_modified(|known| std::mem::replace(known, wanted) != wanted);
        }
    }

    /// Returns why the call that is under way can't go on for now.
    pub(super) fn trouble(&self) -> Option<String> {
        self.calls.as_ref().and_then(|calls| calls.trouble.borrow().clone())
    }

    /// Lets the provider do what is left for the time after the last release.
    pub(super) fn afterwards(&self) {
        if let Some(calls) = &self.calls {
            calls.provider.afterwards();
        }
    }

    /// Tells keepers of other machines whether this one wants to be alone on the cluster.
    pub(super) fn want_alone(&mut self, wants: bool) {
        self.wishes += 1;
        if let Some(calls) = &self.calls {
            calls.provider.want_alone(wants, self.wishes);
        }
    }

    /// Tells them that no attempt runs, and none begins before other turns are given.
    pub(super) fn quiet(&self) {
        if let Some(calls) = &self.calls {
            calls.provider.quiet(self.turns);
        }
    }

    /// Begins to renew the credentials.
    pub(super) fn renew(&mut self) {
        self.renew_at = None;
        let (Some(calls), Some(resource), false) = (&self.calls, &self.resource, self.renewing) else { return };
        self.renewing = true;
        calls.renew(resource.clone());
    }

    fn renewed(&mut self, outcome: Result<Credentials>) -> FromKeeper {
        self.renewing = false;
        match outcome {
            Ok(credentials) => {
                self.renew_at = renewal(&credentials, self.resource.as_ref().and_then(|resource| resource.clock));
                if let Some(resource) = &mut self.resource {
                    resource.credentials = credentials.clone();
                }
                FromKeeper::Credentials { credentials }
            }
            Err(error) => {
                tracing::warn!(%error, "the credentials were not renewed");
                self.renew_at = Some(Instant::now() + Duration::from_secs(10));
                FromKeeper::NotRenewed { error }
            }
        }
    }
}

impl Keeper {
    /// Writes a word of the machine into the journal, with what is known of the cluster.
    pub(super) fn write(&mut self, word: Word) {
        let (policy, runners) = (*self.machine.policy(), self.clients.runners());
        let key = self.supply.spec.as_ref().map(|spec| spec.key.clone());
        let held = self.supply.resource.as_ref().map(|resource| resource.held.clone());
        let debt = self.debts.follow(word);
        let written = self.journal.with(|journal| {
            let change = |record: &mut Record| {
                // What an earlier acquisition left stays named until it is released.
                match word {
                    Word::Clean => record.held = None,
                    Word::Up => record.held = held.or(record.held.take()),
                    Word::MaybeUp | Word::MaybeDown => {}
                }
                (record.word, record.policy, record.runners, record.debt) = (word, Some(policy), runners, debt);
                record.key = key.unwrap_or_else(|| std::mem::take(&mut record.key));
            };
            if word == Word::MaybeUp { journal.write_synced(change) } else { journal.write(change) }
        });
        if let Err(error) = written {
            tracing::error!(%error, ?word, "the journal was not written");
            if word == Word::MaybeUp {
                self.supply.no_intent = Some(error);
            }
        }
    }

    pub(super) fn held(&self) -> Option<Held> {
        let resource = self.supply.resource.as_ref().map(|resource| resource.held.clone());
        resource.or_else(|| self.journal.read(|record| record.held.clone()))
    }

    /// Looks for what a killed keeper left.
    pub(super) fn probe(&mut self) {
        let policy = self.journal.read(|record| record.policy).unwrap_or(*self.machine.policy());
        match (self.held(), &self.supply.calls) {
            (Some(held), Some(calls)) => calls.recover(held, policy.on_exit, self.deadline(), self.intents()),
            // No intent was written, so nothing was touched.
            (None, _) => self.events.push_back(Event::Probed { up: false }),
            (_, None) => self.events.push_back(Event::NotProbed),
        }
    }

    /// Returns the way in which a provider writes its intents.
    fn intents(&self) -> Intents {
        let journal = self.journal.clone();
        let write = move |held: Held| journal.with(|journal| journal.write_synced(|record| record.held = Some(held)));
        Intents::new(Arc::new(write)).kept_in(self.files.journal.clone())
    }

    fn deadline(&self) -> Instant {
        let limit = self.machine.policy().start_timeout;
        crate::wait::deadline_in(Duration::from_millis(limit))
    }

    pub(super) fn acquire(&mut self) {
        self.last_progress = None;
        // Without its intent in the journal, no call is made.
        let failure = match (self.supply.no_intent.take(), &self.supply.calls) {
            (None, Some(calls)) => {
                return calls.acquire(self.deadline(), self.intents());
            }
            (Some(error), _) => error,
            (None, None) => self
                .supply
                .failure
                .clone()
                .unwrap_or_else(|| Error::new(Kind::Session, "no client named a cluster to acquire")),
        };
        let event = self.not_acquired(NotAcquired { error: failure, maybe_up: false });
        self.events.push_back(event);
    }

    fn not_acquired(&mut self, failed: NotAcquired) -> Event {
        tracing::error!(error = %failed.error, maybe_up = failed.maybe_up, "no cluster");
        (self.supply.failure, self.supply.resource) = (Some(failed.error), None);
        Event::NotAcquired { maybe_up: failed.maybe_up }
    }

    /// A call of the provider ended.
    pub(super) fn called(&mut self, outcome: CallOutcome) {
        if !matches!(outcome, CallOutcome::Renewed(_) | CallOutcome::Looked) {
            self.note_trouble(None);
        }
        let event = match outcome {
            CallOutcome::Acquired(Ok(mut resource)) => {
                let ours = resource.ours != Ours::No;
                self.still_owed(&mut resource);
                let is_new = matches!(resource.ours, Ours::Started | Ours::Deployed);
                self.use_resource(*resource);
                self.feed(Event::Acquired { ours });
                // After clients have heard of the cluster on which setups are done again.
                if is_new {
                    self.start_setups_over();
                }
                return;
            }
            CallOutcome::Acquired(Err(failed)) => self.not_acquired(failed),
            CallOutcome::Probed(Ok(found)) => {
                let up = found.is_some();
                self.settle_debt();
                if let Some(resource) = found {
                    tracing::info!(resource = resource.name, "adopted what a killed keeper left");
                    self.use_resource(*resource);
                }
                Event::Probed { up }
            }
            CallOutcome::Probed(Err(error)) => {
                tracing::error!(%error, "what a killed keeper left can't be looked at");
                self.note_failure(&error.first_line());
                self.supply.failure = Some(error);
                Event::NotProbed
            }
            CallOutcome::Released(outcome) => self.released(outcome),
            CallOutcome::Looked => return self.explain(),
            CallOutcome::Renewed(outcome) => {
                let message = self.supply.renewed(outcome);
                return self.clients.broadcast(&message);
            }
        };
        self.feed(event);
    }

    /// A statement of a client had no answer.
    pub(super) fn unanswered(&mut self, id: ClientId) {
        self.supply.unanswered.push(id);
        match (&self.supply.calls, &self.supply.resource) {
            (Some(calls), Some(_)) if self.supply.unanswered.len() == 1 => calls.look(),
            (Some(_), Some(_)) => {}
            _ => self.explain(),
        }
    }

    /// Tells clients whose statements had no answer what became of the cluster.
    fn explain(&mut self) {
        let gone = self.supply.resource.is_none();
        let error = self.supply.failure.clone().filter(|_| gone);
        for id in std::mem::take(&mut self.supply.unanswered) {
            if let Some(client) = self.clients.get_mut(id) {
                client.outbox.send(&FromKeeper::Explained { error: error.clone() });
            }
        }
    }

    /// Corrects what is said of a cluster that runs only because an earlier release failed. It was found running, but
    /// it is ours: the journal has what is owed for it.
    fn still_owed(&self, resource: &mut Resource) {
        if resource.ours == Ours::No
            && self.machine.owes()
            && let Some(held) = self.held()
        {
            resource.ours = self.supply.resource.as_ref().map_or(Ours::Resumed, |before| before.ours);
            resource.held = held;
        }
    }

    /// The cluster is there.
    fn use_resource(&mut self, resource: Resource) {
        self.supply.renew_at = renewal(&resource.credentials, resource.clock);
        let mut wallet = Wallet::of_server(resource.credentials.clone(), resource.authority.clone());
        if let Some(calls) = &self.supply.calls {
            wallet = wallet.with_renewer(calls.renewer(resource.clone()));
        }
        let cleaner = Cleaner::new(&resource.http_url, resource.version, wallet, self.inputs.clone());
        let cleaner = cleaner.inspect_err(|error| tracing::warn!(%error, "schemas can't be dropped")).ok();
        let (lives_on, user) = (lives_on(&resource), resource.user.clone());
        tracing::info!(resource = resource.name, version = %resource.version, ours = ?resource.ours, "the cluster is there");
        self.watch_nodes(&resource);
        self.supply.resource = Some(resource);
        self.drops.begin(cleaner);
        self.open_premade();
        if lives_on {
            self.drop_left_overs(user);
        }
    }

    /// Hears of nodes that end by themselves, as long as anything watches them.
    fn watch_nodes(&self, resource: &Resource) {
        let (Some(mut nodes), Some(name)) = (resource.nodes.clone(), resource.held.name()) else { return };
        let (name, inputs) = (name.to_owned(), self.inputs.clone());
        tokio::spawn(async move {
            while let Some(loss) = nodes.next().await {
                inputs.send(Input::Lost { cluster: name.clone(), loss });
            }
        });
    }

    /// Looks for nodes that were killed, before an attempt may be granted on what is left of the cluster.
    pub(super) fn look_at_nodes(&mut self) {
        let resource = self.supply.resource.as_ref().filter(|_| !self.machine.lacks_nodes());
        let Some((nodes, name)) = resource.and_then(|one| Some((one.nodes.as_ref()?, one.held.name()?))) else {
            return;
        };
        if let Some(loss) = nodes.ending() {
            let name = name.to_owned();
            self.lost(&name, &loss);
        }
    }

    /// Nodes of a cluster ended. Those of one that is being released, or is gone, were ended.
    pub(super) fn lost(&mut self, cluster: &str, loss: &NodeLoss) {
        let here = matches!(self.machine.state(), MachineState::Up | MachineState::Warm { .. });
        let Some(resource) = self.supply.resource.as_ref().filter(|one| here && one.held.name() == Some(cluster))
        else {
            return;
        };
        let NodeLoss { what, all } = loss;
        tracing::error!(resource = resource.name, what, all, "the cluster lost nodes");
        let name = resource.name.clone();
        if !self.machine.lacks_nodes() {
            self.clients
                .notify_any(format!("{name}: {what}; another cluster takes its place before the next test begins"));
        }
        let lost = format!("{name} did not last until a test began");
        self.supply.failure = Some(Error::new(Kind::Provider, lost).because(what));
        // They are told of the next cluster, too.
        self.clients.reports.values_mut().for_each(|report| report.told = false);
        self.feed(Event::Lost { all: *all });
    }

    /// Gives the cluster to a client.
    pub(super) fn ready(&mut self, id: ClientId) {
        let Some(resource) = &self.supply.resource else { return };
        let Some(client) = self.clients.get_mut(id) else { return };
        client.ready = true;
        let (session, outbox) = (client.session, client.outbox.clone());
        if let Some(report) = self.clients.reports.get_mut(&session) {
            (report.provider, report.resource) = (resource.provider.clone(), resource.name.clone());
            report.ready_after_ms.get_or_insert(unix_millis().saturating_sub(report.began_at_ms));
            if !std::mem::replace(&mut report.told, true) {
                outbox.send(&FromKeeper::Notice { text: choice(resource, self.machine.policy()) });
            }
        }
        outbox.send(&FromKeeper::Ready(Box::new(Ready {
            provider: resource.provider.clone(),
            name: resource.name.clone(),
            http_url: resource.http_url.clone(),
            pg_url: resource.pg_url.clone(),
            pg_hint: resource.pg_hint.clone(),
            credentials: resource.credentials.clone(),
            authority: resource.authority.clone(),
            version: resource.version,
            clock: resource.clock,
            console: resource.console.clone(),
            lives_on: lives_on(resource) || stays(self.machine.policy()),
        })));
    }

    /// Releases the cluster. It is not stopped before it is cleaned, of which the channel tells.
    pub(super) fn release_now(&mut self, cleaned: watch::Receiver<bool>) {
        self.note_new_undropped();
        match (self.held(), &self.supply.calls) {
            (Some(held), Some(calls)) => calls.release(held, self.machine.policy().on_exit, cleaned),
            (None, _) => self.feed(Event::Released { ok: true }),
            (_, None) => self.feed(Event::Released { ok: false }),
        }
    }

    fn released(&mut self, outcome: Result<Released>) -> Event {
        let (word, detail) = match &outcome {
            Ok(Released::Suspended) => (ClusterOutcome::Suspended, String::new()),
            Ok(Released::Removed) => (ClusterOutcome::Removed, String::new()),
            Ok(Released::Deleted) => (ClusterOutcome::Deleted, String::new()),
            Ok(Released::Left(_)) if !self.machine.releasable() => (ClusterOutcome::FoundRunning, String::new()),
            Ok(Released::Left(line)) => (ClusterOutcome::Left, line.clone()),
            Err(error) => (ClusterOutcome::Owed, error.to_string()),
        };
        tracing::info!(outcome = word.to_string(), detail, "released");
        if let Err(error) = &outcome {
            self.note_failure(&error.first_line());
        }
        // The sessions go on with the cluster that takes its place.
        if !(self.machine.is_replacing() && self.machine.is_wanted()) {
            self.report_release(word, &detail, outcome.is_ok());
        }
        if outcome.is_ok() {
            // With what came since the request.
            self.note_undropped();
            self.drops.begin(None);
            (self.supply.resource, self.supply.renew_at) = (None, None);
        }
        Event::Released { ok: outcome.is_ok() }
    }
}

/// Returns when credentials are renewed: five minutes before they expire, or for short-lived ones when half of their
/// time is left. The server's clock ends them, if it told its time.
fn renewal(credentials: &Credentials, server: Option<ServerClock>) -> Option<Instant> {
    const BEFORE: Duration = Duration::from_secs(5 * 60);
    /// Never more often: a clock that is wrong must not become a flood of requests.
    const LEAST: Duration = Duration::from_secs(1);
    let Credentials::Jwt { expires: Some(expires), .. } = credentials else { return None };
    let now = clock::now(server).duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_secs(u64::try_from(*expires).unwrap_or_default()).saturating_sub(now);
    let wait = if left > 2 * BEFORE { left - BEFORE } else { left / 2 };
    Some(crate::wait::deadline_in(wait.max(LEAST)))
}

/// Says which cluster is used and what becomes of it: told once per session, since a wrong choice may cost money.
fn choice(resource: &Resource, policy: &Policy) -> String {
    let Policy { on_exit, keep_warm, .. } = *policy;
    let end = match keep_warm {
        0 => "at the end".to_owned(),
        _ => {
            let warm = humantime::format_duration(Duration::from_millis(keep_warm));
            format!("{warm} after the end (CRATEDB_TEST_KEEP_WARM)")
        }
    };
    let fate = match (resource.ours, on_exit) {
        (Ours::No, OnExit::Suspend) if resource.provider == "cloud" => format!("found running; suspended {end}"),
        (Ours::No, _) => "found running; left running".to_owned(),
        (Ours::Resumed, on_exit) if on_exit != OnExit::Keep && resource.held.is_shared() => {
            "other machines use it, too; the last one suspends it".to_owned()
        }
        (Ours::Resumed, OnExit::Keep) => "resumed; left running (CRATEDB_TEST_ON_EXIT=keep)".to_owned(),
        (Ours::Resumed, _) => format!("resumed; suspended {end}"),
        (Ours::Deployed, OnExit::Keep) => "deployed; left running (CRATEDB_TEST_ON_EXIT=keep)".to_owned(),
        (Ours::Deployed, OnExit::Delete) => format!("deployed; deleted {end}"),
        (Ours::Deployed, _) => format!("deployed; suspended {end}, if its product can be"),
        (Ours::Started, OnExit::Keep) => "started; left running (CRATEDB_TEST_ON_EXIT=keep)".to_owned(),
        (Ours::Started, _) => format!("started; removed {end}"),
    };
    // The name of a server that others manage is its address.
    let place = if resource.ours == Ours::Started { format!(" at {}", resource.http_url) } else { String::new() };
    format!("using {}, CrateDB {}{place}: {fate}", resource.name, resource.version)
}

/// Returns whether a local server is there for some time after the run, so that people can look at what is in it.
fn stays(policy: &Policy) -> bool {
    policy.keep_warm > 0 || policy.on_exit == OnExit::Keep
}

/// Returns whether the data survives a release.
fn lives_on(resource: &Resource) -> bool {
    resource.ours != Ours::Started
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn what_is_kept_warm_is_not_said_to_go_at_the_end() {
        let resource = |ours| Resource {
            provider: "cloud".into(),
            name: "c".into(),
            http_url: "http://h:4200".into(),
            pg_url: None,
            user: None,
            pg_hint: None,
            credentials: Credentials::None,
            authority: None,
            version: "6.4.3".parse().unwrap(),
            clock: None,
            ours,
            console: None,
            held: Held::Url { url: "http://h:4200".into() },
            nodes: None,
        };
        let said =
            |ours, keep_warm, on_exit| choice(&resource(ours), &Policy { keep_warm, on_exit, ..Policy::default() });
        let ends = |text: String, end: &str| assert!(text.ends_with(end), "{text}");
        ends(said(Ours::Started, 0, OnExit::Auto), "at http://h:4200: started; removed at the end");
        let warm = "started; removed 10m after the end (CRATEDB_TEST_KEEP_WARM)";
        ends(said(Ours::Started, 600_000, OnExit::Auto), warm);
        let warm = "resumed; suspended 1m 30s after the end (CRATEDB_TEST_KEEP_WARM)";
        ends(said(Ours::Resumed, 90_000, OnExit::Auto), warm);
        ends(said(Ours::No, 90_000, OnExit::Auto), "found running; left running");
        ends(said(Ours::Resumed, 90_000, OnExit::Keep), "resumed; left running (CRATEDB_TEST_ON_EXIT=keep)");
    }

    #[test]
    fn credentials_are_renewed_by_the_clock_that_ends_them() {
        // Days behind this machine's clock, days ahead of it, and the same.
        let here = i64::try_from(unix_millis() / 1000).unwrap();
        for now in [here - 3 * 86_400, here + 3 * 86_400, here] {
            for (lasts, expected) in [(3600, 3300), (600, 300), (60, 30), (-60, 1)] {
                let credentials = Credentials::Jwt { token: Secret::new("t"), expires: Some(now + lasts) };
                let at = renewal(&credentials, Some(ServerClock::showing(now * 1000))).unwrap();
                let left = at.saturating_duration_since(Instant::now()).as_secs_f64();
                assert!((f64::from(expected) - 3.0..=f64::from(expected)).contains(&left), "{now} {lasts}: {left}");
            }
        }
        let endless = Credentials::Jwt { token: Secret::new("t"), expires: None };
        assert_eq!(renewal(&endless, None), None);
    }
}
