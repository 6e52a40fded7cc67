//! Brings a cluster into the state that a caller wants: found, deployed, resumed, changed, suspended, deleted.
//!
//! Everything here is driven by the goal: each pass looks at the cluster, does at most one thing and looks again. It
//! makes no difference whether an operation was started by this process, by another machine or by a process that was
//! killed. [`ManagedCluster`](crate::ManagedCluster) and the tests' provider share this code; the provider writes a
//! journal through [`Hooks`].

mod change;
mod plan;
mod project;
mod start;

use std::pin::Pin;
use std::time::Instant;

pub(crate) use change::{Change, StopRequest, Stopped};
pub(crate) use plan::ADMIN;
pub(crate) use project::MadeProject;
pub(crate) use start::{Intent, May, Run, Touch, is_taken};
use url::Url;

use super::client::Client;
use super::model::ClusterInfo;
use super::operation::{LISTED, Which, is_absence, is_foreign, passing};
use crate::environment::is_private;
use crate::error::{Error, Kind, Result};
use crate::target::{CloudTarget, ClusterAddress, DeployPolicy};
use crate::wait::{self, Hear, Look};

/// A write whose answer was lost is sent this often, each time after a look at the cluster.
const WRITES: usize = 3;

/// A cluster of CrateDB Cloud and the client that manages it.
pub(crate) struct Lifecycle {
    pub(crate) target: CloudTarget,
    pub(crate) client: Client,
}

/// Hears about each step, and may have to write it down first.
pub(crate) trait Hooks: Send + Sync {
    /// Reports a step to the user.
    fn step(&self, text: String);

    /// Reports what keeps the work from going on, though it may pass.
    fn trouble(&self, text: String) {
        self.step(text);
    }

    /// Called before every request that can create or wake something; no request is sent if this fails.
    fn intend(&self, intent: &Intent<'_>) -> Result<()>;

    /// Waits, before a request that stops the cluster, until nothing needs it any more.
    fn may_stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// Passes the statuses of a wait on as steps.
pub(crate) struct Tell<'a> {
    pub(crate) hooks: &'a dyn Hooks,
    /// The action under way, which precedes each status.
    pub(crate) doing: &'a str,
    /// False where each status is a step already.
    pub(crate) statuses: bool,
}

impl<'a> Tell<'a> {
    pub(crate) fn all(hooks: &'a dyn Hooks, doing: &'a str) -> Self {
        Self { hooks, doing, statuses: true }
    }

    pub(crate) fn only_trouble(hooks: &'a dyn Hooks, doing: &'a str) -> Self {
        Self { hooks, doing, statuses: false }
    }
}

impl Hear for Tell<'_> {
    fn status(&mut self, status: &str) {
        if self.statuses {
            self.hooks.step(format!("{}: {status}", self.doing));
        }
    }

    fn trouble(&mut self, text: &str) {
        self.hooks.trouble(format!("{}: {text}", self.doing));
    }
}

/// The result of looking up a name.
pub(crate) enum NameLookup {
    One(Box<ClusterInfo>),
    None { others: Vec<ClusterInfo> },
}

impl Lifecycle {
    /// Adds the endpoint to an error that does not name it yet.
    pub(crate) fn with_place(&self, error: Error) -> Error {
        let place = self.client.endpoint();
        if error.to_string().contains(place) { error } else { error.hint(format!("CrateDB Cloud is {place}")) }
    }

    /// Returns the HTTP address of a cluster, without a slash at the end.
    pub(crate) fn http_url<'a>(&self, cluster: &'a ClusterInfo) -> Result<&'a str> {
        match cluster.url.trim_end_matches('/') {
            "" => Err(Error::new(Kind::Decode, format!("cannot connect to {}", named(cluster)))
                .because("the API does not say at which URL it is")),
            url => {
                let parsed = Url::parse(url).map_err(|error| {
                    Error::new(Kind::Decode, format!("cannot connect to {}", named(cluster)))
                        .because(format!("its URL can't be read: {error}"))
                })?;
                is_private(&parsed, "the cluster's token", self.target.plain_http).map(|()| url)
            }
        }
    }

    /// Finds the cluster as it is now. An unknown id is an error, an unknown name is not.
    pub(crate) async fn find(&self, run: &Run<'_>) -> Result<NameLookup> {
        let known = run.id();
        let cluster = match (known, &self.target.cluster) {
            (Some(id), _) => self.client.cluster(&id).await?,
            (None, ClusterAddress::Id(id)) => self.by_id(id).await.map_err(|error| self.or_deployed(error, run))?,
            (None, ClusterAddress::Name(name)) => return self.by_name(name).await,
            (None, ClusterAddress::Url(url)) => self.by_url(url).await?,
        };
        Ok(NameLookup::One(Box::new(cluster)))
    }

    /// Returns the cluster as it is now. It has to exist.
    pub(crate) async fn look(&self) -> Result<ClusterInfo> {
        match &self.target.cluster {
            ClusterAddress::Id(id) => self.by_id(id).await,
            ClusterAddress::Url(url) => self.by_url(url).await,
            ClusterAddress::Name(name) => match self.by_name(name).await? {
                NameLookup::One(cluster) => Ok(*cluster),
                NameLookup::None { others } => Err(Error::new(Kind::Missing, format!("no cluster is named `{name}`"))
                    .because(which_exist(&others))
                    .hint("check CRATEDB_CLUSTER_NAME")),
            },
        }
    }

    /// Finds the cluster that a URL leads to by its host alone, whatever its scheme and port. The port counts only
    /// where several clusters share a host, as in the simulator.
    async fn by_url(&self, url: &str) -> Result<ClusterInfo> {
        let all = self.client.clusters().await?;
        let found: Vec<&ClusterInfo> = all.iter().filter(|cluster| same_place(&cluster.url, url)).collect();
        match found[..] {
            [one] => Ok(one.clone()),
            _ => Err(Error::new(Kind::Missing, format!("no cluster of CrateDB Cloud is at {url}"))
                .because(which_exist(&all))
                .hint("check CRATEDB_CLUSTER_URL; a server that is no cluster of CrateDB Cloud takes SQL only")),
        }
    }

    async fn by_id(&self, id: &str) -> Result<ClusterInfo> {
        match self.client.cluster(id).await {
            Err(error) if error.status() == Some(404) => {
                let seen = match self.client.clusters().await {
                    Ok(all) => format!("; {}", which_exist(&all)),
                    Err(_) => String::new(),
                };
                Err(Error::new(Kind::Missing, format!("cluster {id} does not exist"))
                    .because(error)
                    .hint(format!("check CRATEDB_CLUSTER_ID{seen}")))
            }
            found => found,
        }
    }

    /// Adds to the error of an unknown id how a cluster is deployed, if this call might deploy one.
    fn or_deployed(&self, error: Error, run: &Run<'_>) -> Error {
        let deploys = run.may_deploy() && self.target.deploy != DeployPolicy::Never;
        match error.kind() == Kind::Missing && deploys {
            true => error.hint("with CRATEDB_CLUSTER_NAME instead, a cluster that does not exist is deployed"),
            false => error,
        }
    }

    /// Returns the cluster as it is now, or none if it is gone. One answer is not enough to believe that: it is gone if
    /// the service says so of the cluster itself and lists others only.
    pub(crate) async fn presence(&self, id: &str) -> Result<Option<ClusterInfo>> {
        let absent = match self.client.cluster(id).await {
            Err(error) if is_absence(&error) && error.is_in_own_form() => error,
            found => return found.map(Some),
        };
        let all = self.client.clusters().await?;
        if all.iter().all(|other| !other.id.is_empty() && !other.id.eq_ignore_ascii_case(id)) {
            return Ok(None);
        }
        Err(Error::new(Kind::Decode, format!("CrateDB Cloud contradicts itself about cluster {id}"))
            .because("its list has the cluster")
            .because(absent.first_line()))
    }

    /// Finds the only cluster with a name. Names need not be unique.
    pub(crate) async fn by_name(&self, name: &str) -> Result<NameLookup> {
        let (mut found, others): (Vec<_>, Vec<_>) =
            self.client.clusters().await?.into_iter().partition(|cluster| cluster.name == name);
        if found.len() > 1 {
            let ids: Vec<_> = found.iter().map(|cluster| cluster.id.as_str()).collect();
            return Err(Error::new(Kind::Setting, format!("cannot tell which cluster `{name}` is meant"))
                .because(format!("{} clusters have that name: {}", ids.len(), ids.join(", ")))
                .hint("set CRATEDB_CLUSTER_ID to one of them"));
        }
        Ok(match found.pop() {
            Some(cluster) => NameLookup::One(Box::new(cluster)),
            None => NameLookup::None { others },
        })
    }

    /// Like [`by_name`](Self::by_name) where a deployment may just have been requested: an unknown name is believed
    /// only after such a cluster had the time to be listed. Trouble with the API doesn't end the wait.
    pub(crate) async fn by_name_at_last(&self, name: &str, deadline: Instant, hooks: &dyn Hooks) -> Result<NameLookup> {
        let listed = Instant::now() + LISTED;
        let awaited = format!("cluster `{name}` to be listed, if it was deployed");
        let look = || async {
            let found = self.by_name(name).await.map(|found| match found {
                NameLookup::None { .. } if Instant::now() < listed => Look::NotYet("not listed yet".to_owned()),
                found => Look::Ready(found),
            });
            wait::tolerate(is_unclear, found)
        };
        let tell = Tell::only_trouble(hooks, &awaited);
        wait::until_told(&awaited, wait::OPERATION, deadline, tell, look).await
    }

    /// Waits for the end of an operation that another client started. It may fail: only the goal counts.
    pub(crate) async fn sit_out(
        &self,
        cluster: &ClusterInfo,
        kind: &str,
        deadline: Instant,
        hooks: &dyn Hooks,
    ) -> Result<()> {
        let what = format!("operation {kind} on {}", named(cluster));
        hooks.step(format!("waiting for {what}, which another client started"));
        match &cluster.last_async_operation {
            Some(operation) if !operation.id.is_empty() => {
                let (which, doing) = (Which::Id(operation.id.clone()), format!("waiting for {what}"));
                let tell = Tell::all(hooks, &doing);
                self.client.follow(cluster, &which, &what, |_| true, deadline, tell).await.map(drop)
            }
            // Without an id to follow, the cluster itself has to do.
            _ => {
                let lacks = |now: &ClusterInfo| now.busy().map(|kind| format!("{kind} is running"));
                self.until(cluster, &what, deadline, hooks, lacks).await.map(drop)
            }
        }
    }

    /// Looks at a cluster until `lacks` names nothing that it waits for. Trouble with the API doesn't end the wait.
    pub(crate) async fn until<S: Into<String>>(
        &self,
        cluster: &ClusterInfo,
        awaited: &str,
        deadline: Instant,
        hooks: &dyn Hooks,
        lacks: impl Fn(&ClusterInfo) -> Option<S>,
    ) -> Result<ClusterInfo> {
        let judge = |now: ClusterInfo| lacks(&now).map_or(Look::Ready(now), |status| Look::NotYet(status.into()));
        let look = || async { wait::tolerate(passing, self.client.cluster(&cluster.id).await.map(judge)) };
        let tell = Tell::only_trouble(hooks, awaited);
        wait::until_told(awaited, wait::OPERATION, deadline, tell, look).await
    }
}

/// Reports whether an answer leaves open what there is, so that only another look can tell.
pub(crate) fn is_unclear(error: &Error) -> bool {
    passing(error) || is_foreign(error) || is_absence(error)
}

/// Names a cluster to the user: its name and its id.
pub(crate) fn named(cluster: &ClusterInfo) -> String {
    format!("cluster `{}` ({})", cluster.name, cluster.id)
}

/// Lists the clusters of the account, for errors and for the line that announces a deployment.
fn which_exist(clusters: &[ClusterInfo]) -> String {
    if clusters.is_empty() {
        return "the account has no cluster".to_owned();
    }
    let each: Vec<_> = clusters.iter().map(|cluster| format!("`{}` ({})", cluster.name, cluster.id)).collect();
    format!("the account has {}", each.join(", "))
}

/// Reports whether two URLs lead to the same cluster.
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
