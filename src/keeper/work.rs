//! The provider's calls, each a task that reports back to the loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::run::Input;
use crate::error::{Error, Result};
use crate::provider::{Held, Intents, NotAcquired, Progress, Provider, Released, Resource};
use crate::sql::{Credentials, Renewer};
use crate::target::OnExit;

/// How a call ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Acquired(Result<Box<Resource>, NotAcquired>),
    Probed(Result<Option<Box<Resource>>>),
    Released(Result<Released>),
    Renewed(Result<Credentials>),
}

/// Starts calls of one provider.
#[derive(Clone)]
pub(super) struct Work {
    provider: Arc<Provider>,
    inputs: UnboundedSender<Input>,
    /// Whether anybody waits for the cluster.
    wanted: watch::Sender<bool>,
}

impl Work {
    pub(super) fn new(provider: Provider, inputs: UnboundedSender<Input>) -> Self {
        Self { provider: Arc::new(provider), inputs, wanted: watch::Sender::new(true) }
    }

    /// Tells what is under way whether anybody waits for it.
    pub(super) fn is_wanted(&self, wanted: bool) {
        self.wanted.send_if_modified(|known| std::mem::replace(known, wanted) != wanted);
    }

    pub(super) fn acquire(&self, deadline: Instant, intents: Intents) {
        let this = self.clone();
        tokio::spawn(async move {
            let progress = this.progress().while_wanted(this.wanted.subscribe());
            let outcome = this.provider.acquire(deadline, &progress, &intents).await;
            this.done(Outcome::Acquired(outcome.map(Box::new)));
        });
    }

    pub(super) fn recover(&self, held: Held, deadline: Instant) {
        let this = self.clone();
        tokio::spawn(async move {
            let progress = this.progress();
            let outcome = this.provider.recover(&held, deadline, &progress).await;
            this.done(Outcome::Probed(outcome.map(|found| found.map(Box::new))));
        });
    }

    /// The caller goes on to poll at once, so that the request leaves before anything else happens.
    pub(super) fn release(&self, held: Held, on_exit: OnExit) {
        let this = self.clone();
        tokio::spawn(async move {
            let progress = this.progress();
            let outcome = this.provider.release(&held, on_exit, &progress).await;
            this.done(Outcome::Released(outcome));
        });
    }

    /// How the cleaner gets new credentials if its own are refused.
    pub(super) fn renewer(&self, resource: Resource) -> Renewer {
        let provider = self.provider.clone();
        Arc::new(move || {
            let (provider, resource) = (provider.clone(), resource.clone());
            Box::pin(async move { provider.credentials(&resource).await })
        })
    }

    pub(super) fn renew(&self, resource: Resource) {
        let this = self.clone();
        tokio::spawn(async move {
            let outcome = this.provider.credentials(&resource).await;
            this.done(Outcome::Renewed(outcome));
        });
    }

    /// The keeper ends, and all is let go of.
    pub(super) fn afterwards(&self) {
        self.provider.afterwards();
    }

    fn progress(&self) -> Progress {
        let (sender, mut receiver) = unbounded_channel();
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            while let Some(text) = receiver.recv().await {
                let _ = inputs.send(Input::Progress(text));
            }
        });
        Progress::new(sender)
    }

    fn done(&self, outcome: Outcome) {
        let _ = self.inputs.send(Input::Work(outcome));
    }
}

/// When credentials that expire at `expires` (Unix seconds) are renewed: five minutes before, or for short-lived ones
/// when half of their time is left.
pub(super) fn renewal(expires: i64) -> Instant {
    const BEFORE: Duration = Duration::from_secs(5 * 60);
    /// Never more often: a clock that is wrong must not become a flood of requests.
    const LEAST: Duration = Duration::from_secs(1);
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let left = Duration::from_secs(u64::try_from(expires - now).unwrap_or(0));
    let wait = if left > 2 * BEFORE { left - BEFORE } else { left / 2 };
    crate::wait::deadline_in(wait.max(LEAST))
}

/// No call without its intent: what is answered if the journal could not be written.
pub(super) fn not_journaled(error: Error) -> NotAcquired {
    NotAcquired { error, maybe_up: false }
}
