//! A cluster of CrateDB Cloud: resumed, deployed or found running, and suspended again.
//!
//! What happens to the cluster is decided in [`crate::cloud`], which programs use too; here it gets a journal, and the
//! words that a keeper knows: resources, intents, releases.

mod adopt;
mod held;
mod postgres;
mod release;

use std::time::Instant;

use self::held::Held;
use super::{Acquired, CloudTarget, Intents, NotAcquired, Ours, Progress, Resource};
use crate::cloud::Client;
use crate::cloud::lifecycle::{Hooks, Intent, Lifecycle, May, Run, Touch, named};
use crate::cloud::model::ClusterInfo;
use crate::error::{Error, Kind, Result};
use crate::probe::{self, Readiness};
use crate::sql::{Credentials, Wallet};

pub(crate) struct Cloud {
    lifecycle: Lifecycle,
}

/// Steps go to people, intents to the journal.
struct Journalled<'a> {
    progress: &'a Progress,
    intents: &'a Intents,
}

/// Steps go to people; nothing is sent that could create or wake something.
struct Told<'a>(&'a Progress);

impl Hooks for Journalled<'_> {
    fn step(&self, text: String) {
        self.progress.step(text);
    }

    fn intend(&self, intent: &Intent<'_>) -> Result<()> {
        let held = match intent.cluster {
            Some(cluster) => Held::of(cluster, intent.touch.into()),
            None => Held::planned(intent.name),
        };
        self.intents.write(held.to_json())
    }
}

impl Hooks for Told<'_> {
    fn step(&self, text: String) {
        self.0.step(text);
    }

    fn intend(&self, _: &Intent<'_>) -> Result<()> {
        Ok(())
    }
}

impl From<Touch> for Ours {
    fn from(touch: Touch) -> Self {
        match touch {
            Touch::Resumed => Self::Resumed,
            Touch::Deployed => Self::Deployed,
        }
    }
}

impl Cloud {
    pub(super) fn new(target: CloudTarget) -> Result<Self> {
        // Lives as long as the keeper, so that the suspension finds a connection that is open.
        let client = target.login.client(&target.endpoint, target.timeout)?;
        Ok(Self { lifecycle: Lifecycle { target, client } })
    }

    fn client(&self) -> &Client {
        &self.lifecycle.client
    }

    fn target(&self) -> &CloudTarget {
        &self.lifecycle.target
    }

    pub(super) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        let hooks = Journalled { progress, intents };
        let run = Run::new(deadline, &hooks, May::DeployAndResume);
        let work = self.lifecycle.in_time(&run, self.make_available(&run, progress));
        work.await.map_err(|error| {
            let error = match Instant::now() >= deadline {
                true => error.hint("CRATEDB_TEST_START_TIMEOUT is the time for all of it"),
                false => error,
            };
            NotAcquired { error, maybe_up: run.may_have_touched() }
        })
    }

    async fn make_available(&self, run: &Run<'_>, progress: &Progress) -> Result<Resource> {
        let cluster = self.lifecycle.make_available(run).await?;
        let ours = run.touch().map_or(Ours::No, Ours::from);
        if ours == Ours::No {
            run.step(format!("{} is running already", named(&cluster)));
        }
        self.resource(cluster, ours, run.deadline, progress).await
    }

    /// Makes a resource of a cluster that runs.
    async fn resource(
        &self,
        cluster: ClusterInfo,
        ours: Ours,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Resource> {
        let http_url = self.lifecycle.http_url(&cluster)?.to_owned();
        progress.step(format!("connecting to {}", named(&cluster)));
        let wallet = self.wallet(&cluster).await?;
        let patience = Readiness::Starting;
        let version = probe::answers_sql(&http_url, &wallet, patience, deadline, |text| progress.step(text))
            .await
            .map_err(|error| error.hint(format!("{} is running, says CrateDB Cloud", named(&cluster))))?;
        let postgres = self.postgres(&cluster, &http_url, &wallet, deadline, progress).await;
        Ok(Resource {
            provider: "cloud".to_owned(),
            name: named(&cluster),
            http_url,
            pg_url: postgres.url,
            user: postgres.user,
            pg_hint: postgres.hint,
            credentials: wallet.current(),
            version,
            ours,
            console: Some(self.client().endpoint().to_owned()),
            held: Held::of(&cluster, ours).to_json(),
        })
    }

    /// A JWT, and the way to the next one: the cluster may need longer to answer than a JWT lasts.
    async fn wallet(&self, cluster: &ClusterInfo) -> Result<Wallet> {
        let (client, id) = (self.client().clone(), cluster.id.clone());
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
        fresh(self.client(), &id).await
    }
}

async fn fresh(client: &Client, id: &str) -> Result<Credentials> {
    let jwt = client.jwt(id).await?;
    Ok(Credentials::Jwt { expires: jwt.expires(), token: jwt.token })
}

#[cfg(test)]
mod tests;
