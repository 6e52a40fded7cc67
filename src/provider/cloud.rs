//! A cluster of CrateDB Cloud: resumed, deployed or found running, and suspended again.
//!
//! Everything here is goal-driven: each pass looks at the cluster, does at most one thing and looks again. So it makes no
//! difference whether an operation was ours, another machine's or one of a keeper that was killed.

mod adopt;
mod deploy;
mod find;
mod held;
mod plan;
mod release;
mod resume;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::find::Found;
use self::held::Held;
use self::plan::ADMIN;
use super::probe::{self, Patience};
use super::{Acquired, CloudTarget, Intents, NotAcquired, Ours, Progress, Resource};
use crate::cloud::model::{Cluster, Operation};
use crate::cloud::{self, Client};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::sql::{Credentials, Wallet};
use crate::wait::{self, Look};

/// The time that one step is given to say by itself that time is up, before it is cut off.
const GRACE: Duration = Duration::from_millis(100);

/// How often a write whose answer got lost is sent again, each time after a look at what became of it.
const WRITES: usize = 3;

pub(crate) struct Cloud {
    target: CloudTarget,
    /// Lives as long as the keeper, so that the suspension finds a connection that is open.
    client: Client,
}

/// One acquisition and what is known in the middle of it.
struct Run<'a> {
    deadline: Instant,
    progress: &'a Progress,
    intents: &'a Intents,
    /// Something was sent that may leave a cluster running.
    touched: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Once found or deployed; names are looked up only once.
    id: Option<String>,
    ours: Option<Ours>,
    lost_writes: usize,
    step: String,
}

impl Cloud {
    pub(super) fn new(target: CloudTarget) -> Result<Self> {
        let client = Client::new(cloud::Options {
            endpoint: target.endpoint.clone(),
            api_key: target.api_key.clone(),
            api_secret: target.api_secret.clone(),
            timeout: target.timeout,
        })?;
        Ok(Self { target, client })
    }

    pub(super) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        let run = Run { deadline, progress, intents, touched: AtomicBool::new(false), state: Mutex::default() };
        let work = tokio::time::timeout_at((deadline + GRACE).into(), self.make_available(&run));
        let error = match work.await {
            Ok(Ok(resource)) => return Ok(resource),
            Ok(Err(error)) => error,
            Err(_) => {
                let what = format!("{} of CrateDB Cloud was not available in time", self.target.cluster);
                Error::new(Kind::Timeout, what).because(format!("last step: {}", run.state().step))
            }
        };
        let error = match Instant::now() >= deadline {
            true => error.hint("CRATEDB_TEST_START_TIMEOUT is the time for all of it"),
            false => error,
        };
        let error = self.with_place(error);
        Err(NotAcquired { error, maybe_up: run.touched.load(Ordering::Relaxed) })
    }

    /// Whatever fails, people must know which CrateDB Cloud it was.
    fn with_place(&self, error: Error) -> Error {
        let place = self.client.endpoint();
        if error.to_string().contains(place) { error } else { error.hint(format!("CrateDB Cloud is {place}")) }
    }

    async fn make_available(&self, run: &Run<'_>) -> Result<Resource> {
        let cluster = wait::until(
            &format!("{} of CrateDB Cloud to run", self.target.cluster),
            wait::OPERATION,
            run.deadline,
            |_| (),
            || self.pass(run),
        )
        .await?;
        let ours = run.state().ours.unwrap_or(Ours::No);
        if ours == Ours::No {
            run.step(format!("{} is running already", named(&cluster)));
        }
        self.resource(cluster, ours, run.deadline, run.progress).await
    }

    /// Looks once and does the next thing.
    async fn pass(&self, run: &Run<'_>) -> Result<Look<Cluster>> {
        let cluster = match self.find(run).await? {
            Found::One(cluster) => *cluster,
            Found::None { others } => return self.deploy(&others, run).await,
        };
        run.state().id = Some(cluster.id.clone());
        if let Some(kind) = cluster.busy() {
            self.sit_out(&cluster, kind, run.deadline, run.progress).await?;
            return Ok(Look::NotYet(format!("operation {kind} of somebody else has ended")));
        }
        if let Some(failed) = cluster.never_deployed() {
            return Err(self.broken(&cluster, failed).await);
        }
        if cluster.suspended {
            return self.resume(&cluster, run).await;
        }
        Ok(Look::Ready(cluster))
    }

    /// A cluster whose deployment failed is listed like any other and never answers.
    async fn broken(&self, cluster: &Cluster, failed: &Operation) -> Error {
        // The cluster has the short form of the operation, without the service's words.
        let all = self.client.operations(&cluster.id, Some("CREATE")).await.unwrap_or_default();
        let full = all.iter().find(|operation| operation.id == failed.id).unwrap_or(failed);
        Error::new(Kind::Cloud, format!("{} can't be used", named(cluster)))
            .because(format!("its deployment failed: {}", full.told()))
            .hint(format!("delete it at {}, or name another", self.client.endpoint()))
    }

    /// Makes a resource of a cluster that runs.
    async fn resource(&self, cluster: Cluster, ours: Ours, deadline: Instant, progress: &Progress) -> Result<Resource> {
        if cluster.url.is_empty() {
            return Err(Error::new(Kind::Decode, format!("cannot connect to {}", named(&cluster)))
                .because("the API does not say at which URL it is"));
        }
        let http_url = cluster.url.trim_end_matches('/').to_owned();
        progress.step(format!("connecting to {}", named(&cluster)));
        let wallet = self.wallet(&cluster).await?;
        let patience = Patience::Starting;
        let version = probe::answers_sql(&http_url, &wallet, patience, deadline, progress)
            .await
            .map_err(|error| error.hint(format!("{} is running, says CrateDB Cloud", named(&cluster))))?;
        let pg_url = self.pg_url(&cluster, &http_url);
        Ok(Resource {
            provider: "cloud".to_owned(),
            name: named(&cluster),
            http_url,
            pg_hint: pg_url.is_none().then(|| self.pg_hint(&cluster)),
            pg_url,
            credentials: wallet.current(),
            version,
            ours,
            console: Some(self.client.endpoint().to_owned()),
            held: Held::of(&cluster, ours).to_json(),
        })
    }

    /// A JWT, and the way to the next one: the cluster may need longer to answer than a JWT lasts.
    async fn wallet(&self, cluster: &Cluster) -> Result<Wallet> {
        let (client, id) = (self.client.clone(), cluster.id.clone());
        let first = fresh(&client, &id).await?;
        Ok(Wallet::new(first).with_renewer(std::sync::Arc::new(move || {
            let (client, id) = (client.clone(), id.clone());
            Box::pin(async move { fresh(&client, &id).await })
        })))
    }

    pub(super) async fn credentials(&self, held: &serde_json::Value) -> Result<Credentials> {
        let held = Held::read(held)?;
        let Some(id) = held.id else {
            return Err(Error::new(Kind::Provider, format!("cannot get a JWT for cluster `{}`", held.name))
                .because("its id is not known yet"));
        };
        fresh(&self.client, &id).await
    }

    fn pg_url(&self, cluster: &Cluster, http_url: &str) -> Option<Secret> {
        /// CrateDB Cloud maps every cluster's PostgreSQL port to this one.
        const PORT: u16 = 5432;
        let password = self.target.password.as_ref()?;
        super::url::pg_url(http_url, PORT, Some(self.username(cluster)), Some(password))
    }

    fn pg_hint(&self, cluster: &Cluster) -> String {
        format!(
            "the JWT of {} is good for HTTP only: set CRATEDB_USERNAME and CRATEDB_PASSWORD for PostgreSQL connections",
            named(cluster)
        )
    }

    fn username<'a>(&'a self, cluster: &'a Cluster) -> &'a str {
        match &self.target.username {
            Some(username) => username,
            None if cluster.username.is_empty() => ADMIN,
            None => &cluster.username,
        }
    }
}

impl Run<'_> {
    fn step(&self, text: impl Into<String>) {
        let text = text.into();
        self.state().step.clone_from(&text);
        self.progress.step(text);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// No intent, no call.
    fn intend(&self, held: &Held) -> Result<()> {
        self.intents.write(held.to_json())?;
        self.touched.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// What is owed from now on. What was deployed stays so, whatever happens to it later.
    fn owe(&self, ours: Ours) -> Ours {
        *self.state().ours.get_or_insert(ours)
    }

    /// The call was refused, so nothing was done.
    fn undone(&self) {
        self.touched.store(false, Ordering::Relaxed);
    }

    /// A write without an answer: look what became of it, but not for ever.
    fn lost(&self, error: Error) -> Result<Look<Cluster>> {
        let mut state = self.state();
        state.lost_writes += 1;
        if state.lost_writes >= WRITES {
            return Err(error.hint(format!("tried {WRITES} times; the cluster may be running")));
        }
        Ok(Look::not_yet(&error))
    }
}

async fn fresh(client: &Client, id: &str) -> Result<Credentials> {
    let jwt = client.jwt(id).await?;
    Ok(Credentials::Jwt { expires: jwt.expires(), token: jwt.token })
}

/// For people: the name and the id.
fn named(cluster: &Cluster) -> String {
    format!("cluster `{}` ({})", cluster.name, cluster.id)
}

#[cfg(test)]
mod tests;
