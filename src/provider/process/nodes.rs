//! The nodes of a cluster on their way up: who has ended, who is where, and when all of them are one.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Instant;

use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::command::{Start, node_name};
use super::log::{Addresses, Log};
use super::place::Place;
use crate::error::{Error, Result};
use crate::host::process::Identity;
use crate::probe::{self, Readiness};
use crate::provider::Progress;
use crate::sql::{Credentials, SqlClient, Wallet};
use crate::version::Version;
use crate::wait::{self, Look};

/// Processes of one cluster. Each one's end is awaited and said, also after this is gone.
pub(super) struct Nodes {
    places: Vec<Place>,
    logs: Vec<Log>,
    pids: Vec<u32>,
    ends: UnboundedReceiver<End>,
}

/// A node that ended.
pub(super) struct End {
    index: usize,
    status: io::Result<ExitStatus>,
}

/// A cluster that answers.
pub(super) struct Answering {
    pub(super) http_url: String,
    pub(super) psql: Option<u16>,
    pub(super) version: Version,
}

/// Why there is none.
pub(super) enum Trouble {
    /// A node ended by itself: which, how, and whether the JVM crashed.
    Ended {
        node: String,
        how: String,
        crashed: bool,
        index: usize,
    },
    Failed(Error),
}

impl Nodes {
    /// Starts all of them at once.
    pub(super) fn spawn(start: &Start<'_>, places: Vec<Place>, name: &str) -> io::Result<Self> {
        let (sender, ends) = unbounded_channel();
        let logs = places.iter().map(Log::of).collect();
        let mut pids = Vec::new();
        for (index, (number, place)) in (1..).zip(&places).enumerate() {
            let child = start.spawn(number, place)?;
            pids.push(child.id().unwrap_or_default());
            let name = if places.len() == 1 { name.to_owned() } else { format!("{} of {name}", node_name(number, 2)) };
            watch(child, index, Log::of(place), format!("process {name}"), sender.clone());
        }
        Ok(Self { places, logs, pids, ends })
    }

    pub(super) fn identities(&self) -> Vec<Identity> {
        self.pids.iter().filter_map(|pid| Identity::of_pid(*pid)).collect()
    }

    /// Numbers of the processes, for people.
    pub(super) fn pids(&self) -> String {
        let list: Vec<String> = self.pids.iter().map(u32::to_string).collect();
        list.join(", ")
    }

    /// Until all of them are one cluster that answers SQL.
    pub(super) async fn until_ready(
        &mut self,
        name: &str,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Answering, Trouble> {
        let Self { places, logs, ends, .. } = self;
        tokio::select! {
            ready = ready(places, logs, name, deadline, progress) => ready.map_err(Trouble::Failed),
            Some(end) = ends.recv() => Err(end.trouble(places.len())),
        }
    }

    /// The log that tells most about a failure: of the node that ended, else of the first that has not come up, else of
    /// the first.
    pub(super) fn log_of(&self, trouble: &Trouble) -> &Log {
        let late = || self.logs.iter().find(|log| log.addresses().is_none());
        match trouble {
            Trouble::Ended { index, .. } => &self.logs[*index],
            Trouble::Failed(_) => late().unwrap_or(&self.logs[0]),
        }
    }

    /// What a JVM said of a cache that it did not use.
    pub(super) fn refusal(&self) -> Option<String> {
        self.logs.iter().find_map(Log::refusal)
    }
}

impl End {
    fn trouble(self, nodes: usize) -> Trouble {
        let node = match nodes {
            1 => "the server".to_owned(),
            _ => node_name(self.index as u32 + 1, nodes as u32),
        };
        let crashed =
            self.status.as_ref().is_ok_and(|status| status.signal().is_some_and(|signal| signal != libc::SIGKILL));
        let how = self.status.map_or_else(|error| error.to_string(), |status| status.to_string());
        Trouble::Ended { node, how, crashed, index: self.index }
    }
}

async fn ready(
    places: &[Place],
    logs: &[Log],
    name: &str,
    deadline: Instant,
    progress: &Progress,
) -> Result<Answering> {
    let Addresses { http, psql, transport } = addresses(&logs[0], places.len() > 1, name, deadline).await?;
    for place in &places[1..] {
        let Some(address) = &transport else { break };
        place.introduce(address).map_err(|error| {
            Error::new(crate::error::Kind::Provider, format!("cannot write into {}", place.dir.display()))
                .because(error)
        })?;
    }
    progress.step(format!("waiting for process {name} to answer"));
    let http_url = format!("http://{http}");
    let wallet = Wallet::new(Credentials::None);
    let told = |text| progress.step(text);
    let version = probe::answers_sql(&http_url, &wallet, Readiness::Empty, deadline, told).await?;
    if places.len() > 1 {
        all_joined(&http_url, wallet, places.len(), deadline, progress).await?;
    }
    Ok(Answering { http_url, psql, version })
}

async fn addresses(log: &Log, with_transport: bool, name: &str, deadline: Instant) -> Result<Addresses> {
    let awaited = format!("the address in the log of process {name}");
    let look = || async {
        let found = log.addresses().filter(|found| !with_transport || found.transport.is_some());
        Ok(found.map_or(Look::NotYet("it did not log one".to_owned()), Look::Ready))
    };
    wait::until(&awaited, wait::LOCAL, deadline, |_| (), look).await
}

async fn all_joined(url: &str, wallet: Wallet, nodes: usize, deadline: Instant, progress: &Progress) -> Result<()> {
    let client = SqlClient::new(url, None, wallet)?;
    let look = || async {
        let counted = client.rows::<(i64,)>("SELECT count(*) FROM sys.nodes").await;
        let here = match counted {
            Ok(rows) => rows.first().map_or(0, |(count,)| *count),
            Err(error) => return Ok(Look::not_yet(&error)),
        };
        if here != nodes as i64 {
            return Ok(Look::NotYet(format!("{here} of {nodes} nodes are in the cluster")));
        }
        // Every version that knows several nodes' health says so here; before 6.0 there is nothing to ask.
        match client.rows::<(String,)>("SELECT health FROM sys.cluster_health").await {
            Ok(rows) if rows.iter().any(|(health,)| health != "GREEN") => {
                Ok(Look::NotYet(format!("all {nodes} nodes are in the cluster, which is {}", rows[0].0)))
            }
            Err(error) if error.code() != Some(4041) => Ok(Look::not_yet(&error)),
            _ => Ok(Look::Ready(())),
        }
    };
    let changed = |status: &str| progress.step(format!("waiting for {nodes} nodes: {status}"));
    wait::until(&format!("{nodes} nodes at {url}"), wait::LOCAL, deadline, changed, look).await
}

/// Waits for a server's end, which nobody else does; a server that ends while tests use it is worth a line.
fn watch(mut child: Child, index: usize, log: Log, name: String, ends: UnboundedSender<End>) {
    tokio::spawn(async move {
        let status = child.wait().await;
        match &status {
            // How it is ended here; also what the kernel does if memory is short.
            Ok(status) if status.signal() == Some(libc::SIGKILL) => tracing::info!("{name} was killed"),
            Ok(status) => tracing::error!("{name} ended by itself ({status}): {}", log.tail().join(" | ")),
            Err(error) => tracing::warn!(%error, "{name} can't be watched"),
        }
        let _ = ends.send(End { index, status });
    });
}
