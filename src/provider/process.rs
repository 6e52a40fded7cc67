//! A server as a process of this machine, from `CRATEDB_HOME`: started, and ended with its data.
//!
//! Its directory has a name that the journal knows before there is one, and the process carries that name in its
//! environment. So whatever is left of it is found by its directory alone, also if the keeper was killed before it knew
//! the process's number.

mod command;
pub(super) mod home;
mod left;
mod log;
mod place;
mod user;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::process::Child;

use self::log::Log;
use self::place::{Bases, Place};
use self::user::User;
use super::{Acquired, Intents, NotAcquired, OnExit, Ours, Progress, Released, Resource};
use crate::error::{Error, Kind, Result};
use crate::probe::{self, Patience};
use crate::session::process::Identity;
use crate::sql::{Credentials, Wallet};
use crate::wait::{self, Look};

/// Killing a server and deleting its data takes milliseconds; a machine that needs longer is in trouble.
const REMOVAL: Duration = Duration::from_secs(60);

pub(super) struct Process {
    home: PathBuf,
    bases: Bases,
    /// `CRATEDB_TEST_ON_EXIT=keep`: the server is not to die with its keeper.
    outlives: bool,
}

/// What the journal says of a process.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    provider: String,
    /// For people who look into journals: the last part of the directory.
    name: String,
    dir: PathBuf,
    /// The server, once it was started.
    server: Option<Identity>,
    /// It was started so that it may stay after its keeper's end.
    #[serde(default)]
    outlives: bool,
}

impl Process {
    pub(super) fn new(home: &str, outlives: bool) -> Self {
        Self { home: home.into(), bases: Bases::of_this_machine(), outlives }
    }

    pub(super) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        let user = user::find();
        home::check(&self.home, &user).await.map_err(NotAcquired::nothing)?;
        let dir = self.bases.choose(&user).map_err(NotAcquired::nothing)?;
        let mut held = Held {
            provider: "process".to_owned(),
            name: name(&dir),
            dir: dir.clone(),
            server: None,
            outlives: self.outlives,
        };
        intents.write(json(&held)).map_err(NotAcquired::nothing)?;
        tracing::info!(dir = %dir.display(), "a server gets this directory");
        match self.start(&mut held, &user, deadline, progress, intents).await {
            Ok(resource) => Ok(resource),
            // Ended here and not by a release, since nothing of it can be used; its log is in the error.
            Err(error) => Err(match left::remove(&dir, held.server.as_ref(), Instant::now() + REMOVAL).await {
                Ok(()) => NotAcquired::nothing(error),
                Err(kept) => NotAcquired::maybe_up(error.hint(kept.to_string())),
            }),
        }
    }

    async fn start(
        &self,
        held: &mut Held,
        user: &User,
        deadline: Instant,
        progress: &Progress,
        intents: &Intents,
    ) -> Result<Resource> {
        let place = Place::make(&held.dir, user)?;
        let data = if self.bases.is_memory(&held.dir) { "in memory" } else { "on disk" };
        progress.step(format!("starting CrateDB from {}, with its data {data}", self.home.display()));
        let log = Log::of(&place);
        let mut child =
            command::spawn(&self.home, &place, user, self.outlives).map_err(|e| self.not_spawned(user, &e))?;
        held.server = child.id().and_then(Identity::of_pid);
        intents.write(json(held))?;
        match self.until_ready(held, &log, &mut child, deadline, progress).await {
            Ok(resource) => {
                watch(child, log, resource.name.clone());
                Ok(resource)
            }
            Err(error) => Err(log.at_the_end_of(place.full(error))),
        }
    }

    async fn until_ready(
        &self,
        held: &Held,
        log: &Log,
        child: &mut Child,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Resource> {
        let name = name(&held.dir);
        let id = child.id().unwrap_or_default();
        let awaited = format!("the address in the log of process {name}");
        let ready = async {
            let addresses = wait::until(
                &awaited,
                wait::LOCAL,
                deadline,
                |_| (),
                || async { Ok(log.addresses().map_or(Look::NotYet("it did not log one".to_owned()), Look::Ready)) },
            );
            let addresses = addresses.await?;
            progress.step(format!("waiting for process {name} to answer"));
            let http_url = format!("http://{}", addresses.http);
            let wallet = Wallet::new(Credentials::None);
            let told = |text| progress.step(text);
            let version = probe::answers_sql(&http_url, &wallet, Patience::Empty, deadline, told).await?;
            Ok::<_, Error>((http_url, addresses.psql, version))
        };
        let (http_url, psql, version) = tokio::select! {
            ready = ready => ready?,
            ended = child.wait() => return Err(self.ended(&ended.map_or_else(|e| e.to_string(), |s| s.to_string()), log)),
        };
        let pg_url = psql.and_then(|port| super::url::pg_url(&http_url, port, None, None));
        Ok(Resource {
            provider: "process".to_owned(),
            name: format!("process {name} (pid {id})"),
            pg_hint: pg_url.is_none().then(|| format!("the server at {http_url} does not speak PostgreSQL")),
            pg_url,
            http_url,
            credentials: Credentials::None,
            version,
            ours: Ours::Started,
            console: None,
            held: json(held),
        })
    }

    /// Ends what the journal names. What is gone is no error.
    pub(super) async fn remove(&self, held: &serde_json::Value, deadline: Instant, progress: &Progress) -> Result<()> {
        let held = read(held)?;
        progress.step(format!("ending process {}", name(&held.dir)));
        left::remove(&held.dir, held.server.as_ref(), deadline).await
    }

    pub(super) async fn release(
        &self,
        held: &serde_json::Value,
        on_exit: OnExit,
        progress: &Progress,
    ) -> Result<Released> {
        let Held { dir, server, outlives, .. } = read(held)?;
        match server {
            Some(server) if on_exit == OnExit::Keep && outlives => Ok(Released::Left(format!(
                "process {} is left running (CRATEDB_TEST_ON_EXIT=keep); kill -9 {} and rm -rf {} remove it",
                name(&dir),
                server.pid,
                dir.display()
            ))),
            _ => self.remove(held, Instant::now() + REMOVAL, progress).await.map(|()| Released::Removed),
        }
    }

    fn failed(&self) -> Error {
        Error::new(Kind::Provider, format!("cannot start CrateDB from {}", self.home.display()))
    }

    fn not_spawned(&self, user: &User, error: &std::io::Error) -> Error {
        let failed = self.failed().because(format!("bin/crate can't be run{}", user.as_whom())).because(error);
        match user.is_other() {
            true => {
                failed.hint("CrateDB refuses to run as root, so it is started as another user; run the tests as one")
            }
            false => failed,
        }
    }

    fn ended(&self, how: &str, log: &Log) -> Error {
        let ended = self.failed().because(format!("the server ended ({how})"));
        match log.lacks_java() {
            true => ended.hint("a release has its own Java runtime in jdk/, which is missing or can't be run here"),
            false => ended,
        }
    }
}

/// Waits for the server's end, which nobody else does; a server that ends while tests use it is worth a line.
fn watch(mut child: Child, log: Log, name: String) {
    use std::os::unix::process::ExitStatusExt as _;
    tokio::spawn(async move {
        match child.wait().await {
            // How it is ended here; also what the kernel does if memory is short.
            Ok(status) if status.signal() == Some(9) => tracing::info!("{name} was killed"),
            Ok(status) => tracing::error!("{name} ended by itself ({status}): {}", log.tail().join(" | ")),
            Err(error) => tracing::warn!(%error, "{name} can't be watched"),
        }
    });
}

fn json(held: &Held) -> serde_json::Value {
    serde_json::to_value(held).expect("plain data is JSON")
}

fn read(held: &serde_json::Value) -> Result<Held> {
    Held::deserialize(held)
        .map_err(|error| Error::new(Kind::Provider, "cannot read what the journal says of a process").because(error))
}

/// The last part of its directory: what people see, as the name of a container is.
fn name(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(all(test, feature = "container", target_os = "linux"))]
mod tests;
