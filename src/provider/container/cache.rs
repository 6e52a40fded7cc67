//! The cache of an image's JVM: whether an engine can use one, which one it is, and making it in a container of its
//! own.
//!
//! It is mounted from this machine's disk, which the engine has to see. It fits one image, by the image's id and not
//! its name.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::command::{CACHE, CacheMount};
use super::engine::Engine;
use super::{Asked, ContainerProvider, REMOVAL, labels};
use crate::error::{Error, Kind, Result};
use crate::host::process::Identity;
use crate::provider::held::{EngineAddress, Held, HeldContainers};
use crate::provider::jvm::{self, CacheLock, CacheManifest, Training, TrainingSubject, not_made as failed};
use crate::target::{JvmCache, Security, ServerSettings};

/// The limit for a process of the lowest priority on a busy machine. Half a minute is usual.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// The file of an image that describes its runtime.
const RELEASE: &str = "/crate/jdk/release";

impl ContainerProvider {
    /// Returns the cache of an image, which may not exist yet. Returns none if it is switched off or can't be mounted.
    pub(super) fn cache(&self, engine: &Engine, image: &str) -> Option<Training> {
        // An engine on another machine, or outside of the container in which this process runs, has other files.
        if self.target.jvm_cache == JvmCache::Off || !engine.is_beside() || is_labelled() {
            return None;
        }
        let root = self.caches.clone().or_else(|| jvm::root(false))?;
        let name = self.target.image.clone();
        let cache = jvm::AotCache::of(&root, &[name.clone(), image.to_owned(), jvm::FLAGS.to_owned()]);
        let about = CacheManifest::of(name, String::new());
        let subject = TrainingSubject::Container { image: image.to_owned(), engine: engine.address.clone() };
        Some(Training { cache, about, subject })
    }

    /// Returns `training` if it is due and the runtime in `container` can use a cache.
    pub(super) async fn due(&self, engine: &Engine, container: &str, training: Option<Training>) -> Option<Training> {
        let wanted = self.target.jvm_cache == JvmCache::Make;
        let training = training.filter(|training| wanted && training.is_due())?;
        let jdk = jvm::runtime_in(&engine.read(container, RELEASE).await?)?;
        Some(Training { about: CacheManifest { jdk, ..training.about }, ..training })
    }
}

/// Returns whether SELinux keeps containers from files that were not labelled for them. Labels are not changed for a
/// cache.
fn is_labelled() -> bool {
    fs::read_to_string("/sys/fs/selinux/enforce").is_ok_and(|text| text.trim() == "1")
}

/// Makes the cache that `training` names, under its `lock`.
pub(in crate::provider) async fn train(
    training: &Training,
    image: &str,
    engine: &EngineAddress,
    lock: &mut CacheLock,
) -> Result<()> {
    let engine = Engine::at(engine).await.map_err(failed)?;
    let held = HeldContainers::new(1, &engine);
    lock.intends(&Held::Container(held.clone()));
    tracing::info!(image, name = held.name, "a server learns for the cache of its JVM");
    let dir = training.cache.work_dir();
    let made = async {
        open_dir(&dir).map_err(failed)?;
        write(&engine, &held, image, &dir, Instant::now() + LIMIT).await?;
        training.cache.publish(&dir.join(CACHE), training.about.clone(), true).map_err(failed)
    };
    let made = made.await;
    let removed = held.remove_at(&engine, Instant::now() + REMOVAL).await;
    let _ = fs::remove_dir_all(&dir);
    removed?;
    lock.settle();
    made
}

/// Makes an empty directory into which the server's user can write, whatever its id is on this machine.
fn open_dir(dir: &Path) -> io::Result<()> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777))
}

async fn write(engine: &Engine, held: &HeldContainers, image: &str, dir: &Path, deadline: Instant) -> Result<()> {
    let written = async {
        let labels = labels::of(None, Identity::own().ok().as_ref(), None);
        let (settings, cache) = (ServerSettings::default(), CacheMount::Make(dir.to_owned()));
        let asked = Asked { image, settings: &settings, security: Security::default() };
        let (host, _) = held.start(engine, asked, labels, &cache).await?;
        let (port, _) = held.ports(engine).await?;
        let url = format!("http://{host}:{port}");
        tokio::select! {
            used = jvm::practise(&url, deadline) => used?,
            _ = super::ended(held, engine, deadline) => return Err(failed("the server ended")),
        }
        engine.stop(&held.name).await?;
        // The JVM writes the cache when it ends.
        let ended = tokio::time::timeout_at(deadline.into(), super::ended(held, engine, deadline)).await;
        ended.map_err(|_| Error::new(Kind::Timeout, "gave up waiting for the end of the server"))?;
        if dir.join(CACHE).is_file() { Ok(()) } else { Err(failed("the JVM wrote none")) }
    };
    match written.await {
        Err(error) => Err(super::with_log(error, held, engine).await),
        written => written,
    }
}
