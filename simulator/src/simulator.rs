//! A running simulator: its thread, its listeners and its end.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::api::{Api, bind_gateway, bind_gateway_at};
use crate::cloud::Cloud;
use crate::http;
use crate::options::Options;
use crate::requests::Request;
use crate::shared::Shared;
use crate::state::cluster::Cluster;

/// Enough for the tests of one machine, and it leaves cores to them.
const THREADS: usize = 2;

/// A CrateDB Cloud that runs in this process, on threads of its own: it goes on answering while a test blocks.
///
/// It ends when it is dropped: listeners and connections are closed.
pub struct Simulator {
    shared: Arc<Shared>,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl Simulator {
    /// Starts one; it answers when this returns.
    pub async fn start(options: Options) -> io::Result<Self> {
        Self::start_blocking(options)
    }

    /// The same for code without a runtime. Binding local ports is all there is to wait for.
    pub fn start_blocking(options: Options) -> io::Result<Self> {
        Self::start_with(options, true)
    }

    /// The same with a record of the last requests only: for one that runs for weeks.
    pub(crate) fn start_forgetful(options: Options) -> io::Result<Self> {
        Self::start_with(options, false)
    }

    fn start_with(options: Options, keep: bool) -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("simulator").enable_all().build()?;
        let (told, started) = std::sync::mpsc::channel();
        // Spawned and not blocked on: the caller may be inside another runtime.
        runtime.spawn(async move { told.send(open(options, keep).await) });
        let ended = || io::Error::other("the simulator's thread ended while it started");
        match started.recv().map_err(|_| ended()).flatten() {
            Ok(shared) => Ok(Self { shared, runtime: Some(runtime) }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Address of the control plane, without a path: what `CRATEDB_CLOUD_ENDPOINT` takes.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// Every request of both planes so far, in the order in which they were answered.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.record.kept()
    }

    /// Its clusters: to look at and to interfere with.
    pub fn cloud(&self) -> Cloud {
        Cloud::new(self.shared.clone())
    }
}

/// Where it is; what it knows is nobody's business in a log.
impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // An ordinary drop of a runtime waits, which is forbidden inside of another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
            self.shared.keep_now();
        }
    }
}

async fn open(options: Options, keep: bool) -> io::Result<Arc<Shared>> {
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {}: {error}", options.listen)))?;
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        // Nobody can connect to 0.0.0.0 by that name everywhere.
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let (shared, works) = Shared::new(&options, format!("http://{address}"), keep)?;
    let shared = Arc::new(shared);
    let kept = open_kept(&shared).await?;
    for cluster in options.clusters.iter().filter(|cluster| !kept.iter().any(|name| name == cluster.name())) {
        let (gateway, url) = bind_gateway().await?;
        let given = cluster.given(url);
        shared.record.hide(&given.password);
        if !shared.look(|state| state.has_place(&given)) {
            return Err(io::Error::other(cluster.nowhere()));
        }
        let id = shared.change(|state, now| state.give(now, given));
        shared.open_gateway(&id, gateway);
    }
    shared.change(|state, _| state.resume_work());
    for fault in &options.faults {
        fault.apply(&shared).map_err(io::Error::other)?;
    }
    tokio::spawn(crate::work::labour(shared.clone(), works));
    tokio::spawn(shared.clone().tick());
    tokio::spawn(shared.clone().keep());
    // So that it is there even if nothing happens.
    shared.data_changed();
    tokio::spawn(http::serve(shared.clone(), listener, Arc::new(Api::new(shared.clone()))));
    Ok(shared)
}

/// Opens the data planes of clusters of an earlier run, where they were if nobody is there now; their names.
async fn open_kept(shared: &Arc<Shared>) -> io::Result<Vec<String>> {
    // Nothing may be due before there is somebody to do it.
    let clusters = shared.quietly(|state, _| {
        let shown = |one: &Cluster| (one.id.clone(), one.name.clone(), one.url.clone());
        state.clusters().iter().map(shown).collect::<Vec<_>>()
    });
    for (id, name, url) in &clusters {
        let address = url.strip_prefix("http://").unwrap_or(url);
        let gateway = match bind_gateway_at(address).await {
            Ok((gateway, _)) => gateway,
            Err(error) => {
                let (gateway, now) = bind_gateway().await?;
                let told =
                    format!("cluster `{name}` was at {url}, which cannot be used again ({error}): it is at {now} now");
                let _ = writeln!(io::stderr(), "{told}");
                shared.change(|state, _| state.set_url(id, now));
                gateway
            }
        };
        shared.open_gateway(id, gateway);
    }
    Ok(clusters.into_iter().map(|(_, name, _)| name).collect())
}
