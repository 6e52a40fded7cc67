//! The cache of an image's JVM: whether this engine can use one, which one it is, and making it in a container of its own.
//!
//! It is mounted from this machine's disk, so the engine has to see that, and it fits one image, by its id and not its name.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::command::{self, CACHE, Cache};
use super::engine::{Engine, State};
use super::find::Address;
use super::{Container, Held, REMOVAL, labels};
use crate::error::{Error, Kind, Result};
use crate::host::process::Identity;
use crate::provider::Progress;
use crate::provider::jvm::{self, About, Lease, Training};
use crate::target::{JvmCache, LocalTarget};
use crate::wait::{self, Look};

/// Out of everybody's way, on a machine that is busy. Half a minute is usual.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// Where images have their runtime's description.
const RELEASE: &str = "/crate/jdk/release";

/// What a trainer needs to know.
#[derive(serde::Serialize, serde::Deserialize)]
struct With {
    provider: String,
    /// The image's id.
    image: String,
    engine: Address,
}

impl Container {
    /// The cache of an image, there or not; none where it is switched off or can't be mounted.
    pub(super) fn cache(&self, engine: &Engine, image: &str) -> Option<Training> {
        // An engine of another machine, or of the machine around this container, has other files than these.
        if self.target.jvm_cache == JvmCache::Off || !engine.is_beside() || is_labelled() {
            return None;
        }
        let root = self.caches.clone().or_else(|| jvm::root(false))?;
        let name = self.target.image.clone();
        let cache = jvm::Cache::of(&root, &[name.clone(), image.to_owned(), jvm::FLAGS.to_owned()]);
        let about = About { home: name, jdk: String::new(), flags: jvm::FLAGS.to_owned(), size: 0, made: 0 };
        let with = With { provider: "container".to_owned(), image: image.to_owned(), engine: engine.address.clone() };
        Some(Training { cache, about, with: serde_json::to_value(with).ok()? })
    }

    /// The same, if it is worth making: its runtime, which `container` has, can use one.
    pub(super) async fn due(&self, engine: &Engine, container: &str, training: Option<Training>) -> Option<Training> {
        let wanted = self.target.jvm_cache == JvmCache::Make;
        let training = training.filter(|training| wanted && training.is_due())?;
        let jdk = jvm::runtime_in(&engine.read(container, RELEASE).await?)?;
        Some(Training { about: About { jdk, ..training.about }, ..training })
    }
}

/// SELinux keeps containers from files that were not labelled for them, and labels are not changed for a cache.
fn is_labelled() -> bool {
    fs::read_to_string("/sys/fs/selinux/enforce").is_ok_and(|text| text.trim() == "1")
}

/// Makes the cache that `training` names, under `lease`.
pub(in crate::provider) async fn make(training: &Training, lease: &mut Lease) -> Result<()> {
    let with: With = serde_json::from_value(training.with.clone()).map_err(|error| failed().because(error))?;
    let engine = Engine::at(&with.engine).await.map_err(|lacks| failed().because(lacks))?;
    let held = Held::new(1, &engine);
    lease.intends(&serde_json::to_value(&held).expect("plain data is JSON"));
    tracing::info!(image = with.image, name = held.name, "a server learns for the cache of its JVM");
    let dir = training.cache.work_dir();
    let made = async {
        open_dir(&dir).map_err(|error| failed().because(error))?;
        write(&engine, &held, &with.image, &dir, Instant::now() + LIMIT).await?;
        let about = About { made: time::OffsetDateTime::now_utc().unix_timestamp(), ..training.about.clone() };
        training.cache.publish(&dir.join(CACHE), about, true).map_err(|error| failed().because(error))
    };
    let made = made.await;
    let removed = held.remove_at(&engine, Instant::now() + REMOVAL).await;
    let _ = fs::remove_dir_all(&dir);
    removed?;
    lease.settle();
    made
}

/// Removes what a trainer that was killed had started.
pub(in crate::provider) async fn remove_left(held: &serde_json::Value) -> Result<()> {
    let none = Progress::new(tokio::sync::mpsc::unbounded_channel().0);
    Container::remove_held(&Held::read(held)?, Instant::now() + REMOVAL, &none).await
}

/// For the server's user, whatever number that has here.
fn open_dir(dir: &Path) -> io::Result<()> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777))
}

async fn write(engine: &Engine, held: &Held, image: &str, dir: &Path, deadline: Instant) -> Result<()> {
    let (address, host) = engine.reachable().await;
    let names = held.containers();
    let cluster = command::Cluster {
        image,
        names: &names,
        labels: labels::of(&LocalTarget::for_training(image), Identity::own().ok().as_ref(), None),
        address,
        memory: engine.memory().await,
        cache: &Cache::Make(dir.to_owned()),
    };
    let written = async {
        cluster.start(engine).await?;
        let (port, _) = Container::ports(held, engine).await?;
        let url = format!("http://{host}:{port}");
        tokio::select! {
            used = jvm::practise(&url, deadline) => used?,
            _ = super::ended(held, engine, deadline) => return Err(failed().because("the server ended")),
        }
        engine.stop(&held.name).await?;
        // The JVM writes it as its last deed.
        let looked = || async {
            Ok(match engine.look(&held.name).await? {
                State::Running(_) => Look::NotYet("it still runs".to_owned()),
                State::Ended(_) | State::Gone => Look::Ready(()),
            })
        };
        wait::until("the end of the server", wait::SERVER, deadline, |_| (), looked).await?;
        if dir.join(CACHE).is_file() { Ok(()) } else { Err(failed().because("the JVM wrote none")) }
    };
    match written.await {
        Ok(()) => Ok(()),
        Err(error) => Err(super::with_log(error, held, engine).await),
    }
}

fn failed() -> Error {
    Error::new(Kind::Provider, "cannot make a cache for the JVM")
}
