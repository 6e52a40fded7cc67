//! The nodes of a starting cluster: their addresses, their ends, and the wait until they are one cluster.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Instant;

use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::command::{ServerCommand, node_name};
use super::directory::NodeDir;
use super::log::{Addresses, Log};
use crate::error::{Error, Kind, Result};
use crate::host::process::Identity;
use crate::probe::{self, Readiness};
use crate::provider::guard::{CA, Entrance, Guard};
use crate::provider::{NodeWatch, Progress, local};
use crate::version::Version;
use crate::wait::{self, Look};

/// The processes of one cluster. A task of its own awaits the end of each and logs it, also after this is dropped.
pub(super) struct Nodes {
    places: Vec<NodeDir>,
    logs: Vec<Log>,
    pids: Vec<u32>,
    ends: UnboundedReceiver<End>,
}

/// The end of a node.
pub(super) struct End {
    index: usize,
    status: io::Result<ExitStatus>,
}

/// A cluster that answers.
pub(super) struct Answering {
    pub(super) http_url: String,
    pub(super) psql: Option<u16>,
    pub(super) entrance: Entrance,
    pub(super) version: Version,
}

/// The reason that a cluster did not start.
pub(super) enum Trouble {
    /// A node ended by itself.
    Ended(End),
    Failed(Error),
}

impl Nodes {
    /// Starts all nodes at once.
    pub(super) fn spawn(start: &ServerCommand<'_>, places: Vec<NodeDir>, name: &str) -> io::Result<Self> {
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

    /// Returns the process ids for people.
    pub(super) fn pids(&self) -> String {
        let list: Vec<String> = self.pids.iter().map(u32::to_string).collect();
        list.join(", ")
    }

    /// Waits until all nodes are one cluster that answers SQL.
    pub(super) async fn until_ready(
        &mut self,
        name: &str,
        guard: Option<&Guard>,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Answering, Trouble> {
        let Self { places, logs, ends, .. } = self;
        tokio::select! {
            ready = ready(places, logs, name, guard, deadline, progress) => ready.map_err(Trouble::Failed),
            Some(end) = ends.recv() => Err(Trouble::Ended(end)),
        }
    }

    /// Returns the log that tells most about a failure: that of the node that ended, else of the first node that has no
    /// address yet, else of the first node.
    pub(super) fn log_of(&self, trouble: &Trouble) -> &Log {
        let late = || self.logs.iter().find(|log| log.addresses().is_none());
        match trouble {
            Trouble::Ended(end) => &self.logs[end.index],
            Trouble::Failed(_) => late().unwrap_or(&self.logs[0]),
        }
    }

    /// Tells of nodes that end from now on, or have ended since they were ready.
    pub(super) fn watched(self) -> NodeWatch {
        let nodes = self.places.len() as u32;
        let (told, watch) = NodeWatch::of(self.places.len());
        let identities =
            (0..).zip(&self.pids).filter_map(|(index, pid)| Some((called(index, nodes), Identity::of_pid(*pid)?)));
        let watch = watch.with(identities.collect());
        let mut ends = self.ends;
        tokio::spawn(async move {
            while let Some(end) = ends.recv().await {
                let text = end.told(nodes);
                told.send_modify(|ended| ended.push(text));
            }
        });
        watch
    }

    /// Returns the reason that a JVM logged for not using its cache.
    pub(super) fn refusal(&self) -> Option<String> {
        self.logs.iter().find_map(Log::refusal)
    }
}

/// Names a node for people.
fn called(index: u32, nodes: u32) -> String {
    if nodes == 1 { "the server".to_owned() } else { node_name(index + 1, nodes) }
}

impl End {
    /// Says which node of how many ended, and how.
    pub(super) fn told(&self, nodes: u32) -> String {
        let node = called(self.index as u32, nodes);
        let how = self.status.as_ref().map_or_else(ToString::to_string, ToString::to_string);
        format!("{node} ended ({how})")
    }

    /// Reports whether the JVM crashed.
    pub(super) fn crashed(&self) -> bool {
        let signal = self.status.as_ref().ok().and_then(|status| status.signal());
        signal.is_some_and(|signal| signal != libc::SIGKILL)
    }
}

async fn ready(
    places: &[NodeDir],
    logs: &[Log],
    name: &str,
    guard: Option<&Guard>,
    deadline: Instant,
    progress: &Progress,
) -> Result<Answering> {
    let Addresses { http, psql, transport } = addresses(&logs[0], places.len() > 1, name, deadline).await?;
    for place in &places[1..] {
        let Some(address) = &transport else { break };
        place.introduce(address).map_err(|error| {
            Error::new(Kind::Provider, format!("cannot write into {}", place.dir.display())).because(error)
        })?;
    }
    progress.step(format!("waiting for process {name} to answer"));
    let entrance = match guard {
        Some(guard) => {
            let port = psql.ok_or_else(|| Error::new(Kind::Provider, "the server does not speak PostgreSQL"))?;
            let file = places[0].dir.join(CA);
            guard.entrance(&http, ("127.0.0.1", port), file, deadline, progress).await?
        }
        None => Entrance::default(),
    };
    let (http_url, wallet) = (format!("{}://{http}", entrance.scheme()), entrance.wallet());
    let told = |text| progress.step(text);
    let version = probe::answers_sql(&http_url, &wallet, Readiness::Empty, deadline, told).await?;
    if places.len() > 1 {
        local::nodes_joined(&http_url, &wallet, places.len() as u32, deadline, progress).await?;
    }
    Ok(Answering { http_url, psql, entrance, version })
}

async fn addresses(log: &Log, with_transport: bool, name: &str, deadline: Instant) -> Result<Addresses> {
    let awaited = format!("the address in the log of process {name}");
    let look = || async {
        let found = log.addresses().filter(|found| !with_transport || found.transport.is_some());
        Ok(found.map_or(Look::NotYet("it did not log one".to_owned()), Look::Ready))
    };
    wait::until(&awaited, wait::LOCAL, deadline, |_| (), look).await
}

/// Awaits the end of a server and logs it, since a server may end while tests use it.
fn watch(mut child: Child, index: usize, log: Log, name: String, ends: UnboundedSender<End>) {
    tokio::spawn(async move {
        let status = child.wait().await;
        match &status {
            // The harness ends servers so, and the kernel if memory is short.
            Ok(status) if status.signal() == Some(libc::SIGKILL) => tracing::info!("{name} was killed"),
            Ok(status) => tracing::error!("{name} ended by itself ({status}): {}", log.tail().join(" | ")),
            Err(error) => tracing::warn!(%error, "{name} can't be watched"),
        }
        let _ = ends.send(End { index, status });
    });
}
