//! Which cluster is meant, and waiting for operations that are not ours.

use std::time::Instant;

use url::Url;

use super::{Hooks, Lifecycle, Run, named};
use crate::cloud::model::Cluster;
use crate::cloud::operation::{LISTED, Which, passing};
use crate::error::{Error, Kind, Result};
use crate::target::ClusterAddress;
use crate::wait::{self, Look};

/// What is there under a name.
pub(crate) enum Found {
    One(Box<Cluster>),
    None { others: Vec<Cluster> },
}

impl Lifecycle {
    /// The cluster as it is now. An id that is nobody's is an error, a name that is nobody's is not.
    pub(crate) async fn find(&self, run: &Run<'_>) -> Result<Found> {
        let known = run.state().id.clone();
        let cluster = match (known, &self.target.cluster) {
            (Some(id), _) => self.client.cluster(&id).await?,
            (None, ClusterAddress::Id(id)) => self.by_id(id).await?,
            (None, ClusterAddress::Name(name)) => return self.by_name(name).await,
            (None, ClusterAddress::Url(url)) => self.by_url(url).await?,
        };
        Ok(Found::One(Box::new(cluster)))
    }

    /// The cluster as it is now, which has to exist.
    pub(crate) async fn look(&self) -> Result<Cluster> {
        match &self.target.cluster {
            ClusterAddress::Id(id) => self.by_id(id).await,
            ClusterAddress::Url(url) => self.by_url(url).await,
            ClusterAddress::Name(name) => match self.by_name(name).await? {
                Found::One(cluster) => Ok(*cluster),
                Found::None { others } => Err(Error::new(Kind::Missing, format!("no cluster is named `{name}`"))
                    .because(which_exist(&others))
                    .hint("check CRATEDB_CLUSTER_NAME")),
            },
        }
    }

    /// The cluster that a URL leads to: the host is the cluster's own, whatever scheme and port are written before and
    /// behind it. Where a host is no name, as in the simulator, the port counts too.
    async fn by_url(&self, url: &str) -> Result<Cluster> {
        let all = self.client.clusters().await?;
        let found: Vec<&Cluster> = all.iter().filter(|cluster| same_place(&cluster.url, url)).collect();
        match found[..] {
            [one] => Ok(one.clone()),
            _ => Err(Error::new(Kind::Missing, format!("no cluster of CrateDB Cloud is at {url}"))
                .because(which_exist(&all))
                .hint("check CRATEDB_CLUSTER_URL; a server that is no cluster of CrateDB Cloud takes SQL only")),
        }
    }

    async fn by_id(&self, id: &str) -> Result<Cluster> {
        match self.client.cluster(id).await {
            Err(error) if error.status() == Some(404) => {
                let seen = match self.client.clusters().await {
                    Ok(all) => format!("; {}", which_exist(&all)),
                    Err(_) => String::new(),
                };
                Err(Error::new(Kind::Missing, format!("cluster {id} does not exist"))
                    .because(error)
                    .hint(format!("check CRATEDB_CLUSTER_ID{seen}"))
                    .hint("with CRATEDB_CLUSTER_NAME instead, a cluster that does not exist is deployed"))
            }
            found => found,
        }
    }

    /// Names need not be unique.
    pub(crate) async fn by_name(&self, name: &str) -> Result<Found> {
        let (mut found, others): (Vec<_>, Vec<_>) =
            self.client.clusters().await?.into_iter().partition(|cluster| cluster.name == name);
        if found.len() > 1 {
            let ids: Vec<_> = found.iter().map(|cluster| cluster.id.as_str()).collect();
            return Err(Error::new(Kind::Setting, format!("cannot tell which cluster `{name}` is meant"))
                .because(format!("{} clusters have that name: {}", ids.len(), ids.join(", ")))
                .hint("set CRATEDB_CLUSTER_ID to one of them"));
        }
        Ok(match found.pop() {
            Some(cluster) => Found::One(Box::new(cluster)),
            None => Found::None { others },
        })
    }

    /// Like [`by_name`](Self::by_name), where a deployment may have been asked for a moment ago: nobody has the name only
    /// once such a cluster had the time to be listed. An API in trouble doesn't end the wait.
    pub(crate) async fn by_name_at_last(&self, name: &str, deadline: Instant) -> Result<Found> {
        let listed = Instant::now() + LISTED;
        let awaited = format!("cluster `{name}` to be listed, if it was deployed");
        wait::until(
            &awaited,
            wait::OPERATION,
            deadline,
            |_| (),
            || async {
                match self.by_name(name).await {
                    Err(error) if passing(&error) => Ok(Look::not_yet(&error)),
                    Ok(Found::None { .. }) if Instant::now() < listed => Ok(Look::NotYet("not listed yet".to_owned())),
                    found => found.map(Look::Ready),
                }
            },
        )
        .await
    }

    /// Waits for the end of an operation that somebody else started, whatever its end: it is the goal that counts.
    pub(crate) async fn sit_out(
        &self,
        cluster: &Cluster,
        kind: &str,
        deadline: Instant,
        hooks: &dyn Hooks,
    ) -> Result<()> {
        let what = format!("operation {kind} on {}", named(cluster));
        hooks.step(format!("waiting for {what}, which somebody else started"));
        let told = |status: &str| hooks.step(format!("waiting for {what}: {status}"));
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
    pub(crate) async fn until<T>(
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
pub(crate) fn which_exist(clusters: &[Cluster]) -> String {
    if clusters.is_empty() {
        return "the account has no cluster".to_owned();
    }
    let each: Vec<_> = clusters.iter().map(|cluster| format!("`{}` ({})", cluster.name, cluster.id)).collect();
    format!("the account has {}", each.join(", "))
}

fn same_place(one: &str, other: &str) -> bool {
    let (Ok(one), Ok(other)) = (Url::parse(one), Url::parse(other)) else { return false };
    let name = |url: &Url| url.host_str().map(|host| host.trim_end_matches('.').to_ascii_lowercase());
    let is_shared = matches!(one.host(), Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)))
        || one.host_str().is_some_and(|host| host == "localhost" || host.ends_with(".localhost"));
    name(&one).is_some()
        && name(&one) == name(&other)
        && (!is_shared || one.port_or_known_default() == other.port_or_known_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_known_by_its_host_and_where_hosts_are_shared_by_its_port() {
        let cluster = "https://ci.eks1.eu-west-1.aws.cratedb.net:4200";
        for same in ["https://CI.eks1.eu-west-1.aws.cratedb.net", "http://ci.eks1.eu-west-1.aws.cratedb.net.:4200/"] {
            assert!(same_place(cluster, same), "{same}");
        }
        assert!(!same_place(cluster, "https://cd.eks1.eu-west-1.aws.cratedb.net:4200"));
        assert!(same_place("http://127.0.0.1:1234", "http://127.0.0.1:1234/"));
        assert!(!same_place("http://127.0.0.1:1234", "http://127.0.0.1:1235"));
        assert!(!same_place("http://localhost:1234", "http://localhost"));
        assert!(!same_place("", ""));
    }
}
