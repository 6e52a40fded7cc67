//! A running simulator: its threads, its listeners and its end.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::api::Api;
use crate::cloud::Cloud;
use crate::gateway::plain::Plain;
use crate::gateway::{self, Gateways};
use crate::http;
use crate::jwt::Tokens;
use crate::options::{EngineKind, Options};
use crate::requests::Request;
use crate::server::LocalServer;
use crate::state::cluster::Cluster;
use crate::store::Store;

/// Enough for the tests of one machine, and leaves cores for them.
const THREADS: usize = 2;
/// The time that a server which was started may take until it is healthy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A CrateDB Cloud that runs in this process, on threads of its own, so that it answers while a test blocks.
///
/// It ends when it is dropped: listeners and connections are closed.
pub struct Simulator {
    url: String,
    cloud: Cloud,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
    /// The server that was started for it, which ends with it.
    _server: Option<LocalServer>,
}

impl Simulator {
    /// Starts a simulator, which answers when this returns.
    pub async fn start(options: Options) -> io::Result<Self> {
        Self::start_blocking(options)
    }

    /// Starts a simulator from code without a runtime. It only waits for local ports to be bound, and for the server if
    /// [`Options::engine`] names one.
    pub fn start_blocking(options: Options) -> io::Result<Self> {
        Self::start_with(options, true)
    }

    /// Starts a simulator that keeps only the last requests in memory, for one that runs for weeks.
    pub(crate) fn start_forgetful(options: Options) -> io::Result<Self> {
        Self::start_with(options, false)
    }

    fn start_with(options: Options, keep: bool) -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("simulator").enable_all().build()?;
        let (told, started) = std::sync::mpsc::channel();
        // Spawned instead of blocked on: the caller may be inside another runtime.
        runtime.spawn(async move { told.send(open(options, keep).await) });
        let ended = || io::Error::other("the simulator's thread ended while it started");
        match started.recv().map_err(|_| ended()).flatten() {
            Ok(opened) => {
                let Opened { url, cloud, server } = opened;
                Ok(Self { url, cloud, runtime: Some(runtime), _server: server })
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Returns the address of the control plane, without a path, as `CRATEDB_CLOUD_ENDPOINT` takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns every request of both planes so far, in the order in which they were answered.
    pub fn requests(&self) -> Vec<Request> {
        self.cloud.store().traffic.record.kept()
    }

    /// Returns the handle of its clusters.
    pub fn cloud(&self) -> Cloud {
        self.cloud.clone()
    }
}

/// Only the address: the state has secrets.
impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Dropping a runtime waits, which is forbidden inside another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
            self.cloud.store().keep_now();
        }
    }
}

/// The address of the control plane, the handle, and the server that was started.
struct Opened {
    url: String,
    cloud: Cloud,
    server: Option<LocalServer>,
}

/// Opens both planes.
async fn open(options: Options, keep: bool) -> io::Result<Opened> {
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {}: {error}", options.listen)))?;
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        // Not every system connects to 0.0.0.0.
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let url = format!("http://{address}");
    let (plain, server) = real(&options.engine).await?;
    let (store, works) = Store::open(&options, &url, keep)?;
    let gateways = Arc::new(Gateways::new(store.clone(), Tokens::new(options.token_lifetime, &url)?, plain));
    let cloud = Cloud::new(gateways.clone());
    let kept = open_kept(&gateways).await?;
    for cluster in options.clusters.iter().filter(|cluster| !kept.iter().any(|name| name == cluster.name())) {
        let (listener, url) = gateway::bind().await?;
        let given = cluster.given(url);
        store.traffic.record.hide(&given.password);
        if !store.look(|state| state.has_place(&given)) {
            return Err(io::Error::other(cluster.nowhere()));
        }
        let id = store.change(|state, now| state.give(now, given));
        gateways.open(&id, listener);
    }
    store.change(|state, _| state.resume_work());
    options.faults.iter().try_for_each(|fault| cloud.apply(fault)).map_err(io::Error::other)?;
    tokio::spawn(crate::work::labour(gateways, works));
    tokio::spawn(store.clone().tick());
    tokio::spawn(store.clone().keep());
    // So that the file is there even if nothing happens.
    store.data_changed();
    let api = Arc::new(Api::new(cloud.clone(), &options));
    tokio::spawn(http::serve(store.traffic.clone(), listener, api, store.changes()));
    Ok(Opened { url, cloud, server })
}

/// Finds the plain server behind the gateways, or starts it.
async fn real(engine: &EngineKind) -> io::Result<(Option<Plain>, Option<LocalServer>)> {
    let cannot = |engine: String, why: String| io::Error::other(format!("cannot use --engine {engine}: {why}"));
    match engine {
        EngineKind::Embedded | EngineKind::Real(_) => Ok((None, None)),
        EngineKind::Server(server) => {
            let found = Plain::reach(server.clone(), Duration::ZERO).await;
            found.map(|plain| (Some(plain), None)).map_err(|why| cannot(server.to_string(), why))
        }
        EngineKind::Home(home) => {
            let place = home.clone();
            let started = tokio::task::spawn_blocking(move || LocalServer::start(&place));
            let server = started.await.map_err(io::Error::other)??;
            let plain = Plain::reach(server.server(), PATIENCE).await;
            let plain = plain.map_err(|why| cannot(home.display().to_string(), why))?;
            Ok((Some(plain), Some(server)))
        }
    }
}

/// Opens the data planes of clusters of an earlier run, at their old ports if these are free. Returns their names.
async fn open_kept(gateways: &Gateways) -> io::Result<Vec<String>> {
    // Nothing may be due before the gateways are open.
    let clusters = gateways.store.quietly(|state, _| {
        let shown = |one: &Cluster| (one.id.clone(), one.name.clone(), one.url.clone());
        state.clusters().iter().map(shown).collect::<Vec<_>>()
    });
    for (id, name, url) in &clusters {
        let address = url.strip_prefix("http://").unwrap_or(url);
        let listener = match gateway::bind_at(address).await {
            Ok((listener, _)) => listener,
            Err(error) => {
                let (listener, now) = gateway::bind().await?;
                let told =
                    format!("cluster `{name}` was at {url}, which cannot be used again ({error}): it is at {now} now");
                let _ = writeln!(io::stderr(), "{told}");
                gateways.store.change(|state, _| state.set_url(id, now));
                listener
            }
        };
        gateways.open(id, listener);
    }
    Ok(clusters.into_iter().map(|(_, name, _)| name).collect())
}
