//! The JVM's cache of an installation: which one belongs to it, and making it with a server that notes what it loads.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::process::Child;

use super::command::{ServerCommand, ServerUser};
use super::directory::{self, DataDirs, NodeDir};
use super::log::Log;
use super::{ProcessProvider, REMOVAL};
use crate::error::{Error, Kind, Result};
use crate::host::paths_in;
use crate::provider::held::{Held, HeldProcesses};
use crate::provider::jvm::{self, AotCache, CacheLock, CacheManifest, Training, TrainingSubject, not_made as failed};
use crate::target::{JvmCache, ServerSettings};
use crate::wait::{self, Look};

/// The limit for a process of the lowest priority on a busy machine. Half a minute is usual.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// A file in the server's directory, which is its working directory, so that the start script need not keep a path.
const NOTES: &str = "train.conf";
const CACHE: &str = "crate.aot";

impl ProcessProvider {
    /// Returns the cache, which may not exist yet. Returns none if it is switched off or the installation's JVM cannot
    /// use one.
    pub(super) fn cache(&self, user: &ServerUser) -> Option<Training> {
        if self.jvm_cache == JvmCache::Off {
            return None;
        }
        let root = self.caches.clone().or_else(|| jvm::root(user.is_other()))?;
        let home = fs::canonicalize(&self.home).ok()?;
        let jdk = jvm::runtime_in(&fs::read_to_string(home.join("jdk/release")).ok()?)?;
        let parts = [home.display().to_string(), jdk.clone(), jvm::FLAGS.to_owned()];
        let cache = AotCache::of(&root, &[parts.to_vec(), files_of(&home)].concat());
        let about = CacheManifest::of(home.display().to_string(), jdk);
        Some(Training { cache, about, subject: TrainingSubject::Process { home: self.home.clone() } })
    }
}

/// Identifies the files of the class path, each of which a JVM compares with its cache, and the script that sets flags.
fn files_of(home: &Path) -> Vec<String> {
    let jars = paths_in(&home.join("lib")).filter(|path| path.extension().is_some_and(|kind| kind == "jar"));
    let mut all: Vec<String> = jars.chain([home.join("bin/crate")]).filter_map(|path| identity_of(&path)).collect();
    all.sort();
    all
}

fn identity_of(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    Some(format!("{} {} {}.{}", path.display(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

/// Makes the cache that `training` names, under its `lock`.
pub(in crate::provider) async fn train(training: &Training, home: &Path, lock: &mut CacheLock) -> Result<()> {
    let user = ServerUser::find();
    let dir = DataDirs::of_this_machine().choose(&user, 1)?;
    lock.intends(&Held::Process(HeldProcesses::planned(&dir, false)));
    tracing::info!(home = %home.display(), dir = %dir.display(), "a server learns for the cache of its JVM");
    let settings = &ServerSettings::default();
    let start =
        ServerCommand { home, dir: &dir, user: &user, outlives: false, nodes: 1, settings, guard: None, jvm: "" };
    let made = write(start, Instant::now() + LIMIT).await.and_then(|place| {
        training.cache.publish(&place.dir.join(CACHE), training.about.clone(), user.is_other()).map_err(failed)
    });
    directory::remove(&dir, &[], Instant::now() + REMOVAL).await?;
    lock.settle();
    made
}

/// Writes the cache into the directory of a server that runs for this alone, and returns that directory.
async fn write(start: ServerCommand<'_>, deadline: Instant) -> Result<NodeDir> {
    let place = NodeDir::make(start.dir, start.user, 1, None)?.remove(0);
    let log = Log::of(&place);
    let written = async {
        let jvm = format!("-XX:AOTMode=record -XX:AOTConfiguration={NOTES}");
        let mut server = ServerCommand { jvm: &jvm, ..start }.spawn(1, &place).map_err(failed)?;
        tokio::select! {
            used = use_it(&log, deadline) => used?,
            ended = server.wait() => {
                let status = ended.map_err(failed)?;
                return Err(failed(format_args!("the server ended ({status})")));
            }
        }
        stop(&server);
        // The JVM writes its notes when it ends.
        ended(&mut server, deadline).await?;
        let jvm = format!("-XX:AOTMode=create -XX:AOTConfiguration={NOTES} -XX:AOTCache={CACHE}");
        let mut writer = ServerCommand { jvm: &jvm, ..start }.spawn_jvm(&place).map_err(failed)?;
        let status = ended(&mut writer, deadline).await?;
        match status.success() && place.dir.join(CACHE).is_file() {
            true => Ok(()),
            false => Err(failed(format_args!("the JVM wrote none ({status})"))),
        }
    };
    match written.await {
        Ok(()) => Ok(place),
        Err(error) => Err(log.at_the_end_of(directory::full(start.dir, error))),
    }
}

async fn use_it(log: &Log, deadline: Instant) -> Result<()> {
    let look = || async { Ok(log.addresses().map_or(Look::NotYet("it did not log one".to_owned()), Look::Ready)) };
    let addresses = wait::until("the server's address", wait::SERVER, deadline, |_| (), look).await?;
    let url = format!("http://{}", addresses.http);
    jvm::practise(&url, deadline).await
}

fn stop(server: &Child) {
    if let Some(pid) = server.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
}

async fn ended(child: &mut Child, deadline: Instant) -> Result<ExitStatus> {
    let late = || Error::new(Kind::Timeout, format!("the JVM's cache was not done after {} s", LIMIT.as_secs()));
    let ended = tokio::time::timeout_at(deadline.into(), child.wait()).await;
    ended.map_err(|_| late())?.map_err(failed)
}
