//! Which cluster is meant, and waiting for operations that are not ours.

use std::time::Instant;

use super::{Cloud, Run, named};
use crate::cloud::model::Cluster;
use crate::cloud::operation::{Which, passing};
use crate::error::{Error, Kind, Result};
use crate::provider::{ClusterAddress, Progress};
use crate::wait::{self, Look};

/// What is there under a name.
pub(super) enum Found {
    One(Box<Cluster>),
    None { others: Vec<Cluster> },
}

impl Cloud {
    /// The cluster as it is now. An id that is nobody's is an error, a name that is nobody's is not.
    pub(super) async fn find(&self, run: &Run<'_>) -> Result<Found> {
        let known = run.state().id.clone();
        let cluster = match (known, &self.target.cluster) {
            (Some(id), _) => self.client.cluster(&id).await?,
            (None, ClusterAddress::Id(id)) => self.by_id(id).await?,
            (None, ClusterAddress::Name(name)) => return self.by_name(name).await,
        };
        Ok(Found::One(Box::new(cluster)))
    }

    async fn by_id(&self, id: &str) -> Result<Cluster> {
        match self.client.cluster(id).await {
            Err(error) if error.status() == Some(404) => {
                let seen = match self.client.clusters().await {
                    Ok(all) => format!("; {}", which_exist(&all)),
                    Err(_) => String::new(),
                };
                Err(Error::new(Kind::Provider, format!("cluster {id} does not exist"))
                    .because(error)
                    .hint(format!("check CRATEDB_CLUSTER_ID{seen}"))
                    .hint("with CRATEDB_CLUSTER_NAME instead, a cluster that does not exist is deployed"))
            }
            found => found,
        }
    }

    /// Names need not be unique.
    pub(super) async fn by_name(&self, name: &str) -> Result<Found> {
        let (mut found, others): (Vec<_>, Vec<_>) =
            self.client.clusters().await?.into_iter().partition(|cluster| cluster.name == name);
        if found.len() > 1 {
            let ids: Vec<_> = found.iter().map(|cluster| cluster.id.as_str()).collect();
            return Err(Error::new(Kind::Provider, format!("cannot tell which cluster `{name}` is meant"))
                .because(format!("{} clusters have that name: {}", ids.len(), ids.join(", ")))
                .hint("set CRATEDB_CLUSTER_ID to one of them"));
        }
        Ok(match found.pop() {
            Some(cluster) => Found::One(Box::new(cluster)),
            None => Found::None { others },
        })
    }

    /// Waits for the end of an operation that somebody else started, whatever its end: it is the goal that counts.
    pub(super) async fn sit_out(
        &self,
        cluster: &Cluster,
        kind: &str,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<()> {
        let what = format!("operation {kind} on {}", named(cluster));
        progress.step(format!("waiting for {what}, which somebody else started"));
        let told = |status: &str| progress.step(format!("waiting for {what}: {status}"));
        match &cluster.last_async_operation {
            Some(operation) if !operation.id.is_empty() => {
                let which = Which::Id(operation.id.clone());
                self.client.follow(cluster, &which, &what, |_| true, deadline, told).await.map(drop)
            }
            // Nothing to follow by: the cluster itself must do.
            _ => self.until_idle(cluster, &what, deadline).await,
        }
    }

    async fn until_idle(&self, cluster: &Cluster, what: &str, deadline: Instant) -> Result<()> {
        self.until(cluster, what, deadline, |now| match now.busy() {
            Some(kind) => Look::NotYet(format!("{kind} is running")),
            None => Look::Ready(()),
        })
        .await
    }

    /// Looks at a cluster until it is as it should be. An API in trouble doesn't end the wait.
    pub(super) async fn until<T>(
        &self,
        cluster: &Cluster,
        awaited: &str,
        deadline: Instant,
        judge: impl Fn(Cluster) -> Look<T>,
    ) -> Result<T> {
        wait::until(
            awaited,
            wait::OPERATION,
            deadline,
            |_| (),
            || async {
                match self.client.cluster(&cluster.id).await {
                    Ok(now) => Ok(judge(now)),
                    Err(error) if passing(&error) => Ok(Look::not_yet(&error)),
                    Err(error) => Err(error),
                }
            },
        )
        .await
    }
}

/// For errors, and for the line that says what is deployed.
pub(super) fn which_exist(clusters: &[Cluster]) -> String {
    if clusters.is_empty() {
        return "the API key sees no cluster".to_owned();
    }
    let each: Vec<_> = clusters.iter().map(|cluster| format!("`{}` ({})", cluster.name, cluster.id)).collect();
    format!("the API key sees {}", each.join(", "))
}
