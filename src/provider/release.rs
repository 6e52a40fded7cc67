//! A release of CrateDB from the cache of this machine, which is downloaded if it is not there.
//!
//! All projects of a user share the cache, so a release is made under a lock, and whoever uses one shares that lock until
//! its process ends. An installation is complete or not there: it is unpacked beside its place and renamed. How it is
//! believed to be the vendor's is the business of `trust`.

mod cache;
mod fetch;
mod keep;
mod mirror;
mod newest;
mod platform;
mod trust;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub(crate) use self::cache::Record;
use self::cache::{Caches, Files};
use self::fetch::{Coming, Fetch, Patience};
pub(crate) use self::keep::{Entry, EntryKind, Removal, entries, remove};
use self::mirror::{Location, Mirror};
use self::newest::Said;
use self::platform::Platform;
use self::trust::Known;
use self::unpack::Failed;
use super::process::home;
use super::{Origin, Progress};
use crate::error::{Error, Kind, Result};
use crate::host::{Lock, Locks};
use crate::version::{RequestedVersion, Version};
use crate::wait::{self, Look};

const MIB: u64 = 1 << 20;
/// What an installation takes, in sizes of its archive, at most.
const UNPACKED: u64 = 3;

/// Where releases are looked for, and how patiently.
#[derive(Clone, Debug)]
pub(crate) struct Releases {
    caches: Caches,
    patience: Patience,
}

/// A release that can be used as long as this process lives.
#[derive(Clone, Debug)]
pub(crate) struct Obtained {
    pub(crate) dir: PathBuf,
    pub(crate) version: Version,
    /// What is known of its archive; nothing if the installation was put there as it is.
    pub(crate) record: Option<Record>,
    /// It was not there before.
    pub(crate) new: bool,
}

/// What somebody may do with a release.
enum Claim {
    /// It is there, and nobody removes it as long as this process lives.
    Use,
    /// It is not there, and nobody else makes it meanwhile.
    Make(Lock),
}

/// Why an archive did not become an installation.
enum Unusable {
    /// Another archive may.
    Archive(Error),
    Machine(Error),
}

impl Releases {
    pub(crate) fn of_this_machine() -> Self {
        Self { caches: Caches::of_this_machine(), patience: Patience::USUAL }
    }

    /// The release, downloaded from `origin` if it is not in a cache. Ends early if nobody waits for it any more; what was
    /// downloaded by then is kept, and the next one goes on from there.
    pub(crate) async fn obtain(
        &self,
        wanted: RequestedVersion,
        origin: &Origin,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Obtained> {
        tokio::select! {
            obtained = self.obtain_wanted(wanted, origin, deadline, progress) => obtained,
            () = progress.unwanted() => {
                Err(Error::new(Kind::Session, format!("CrateDB {wanted} was not made available"))
                    .because("nobody waits for it any more"))
            }
        }
    }

    async fn obtain_wanted(
        &self,
        wanted: RequestedVersion,
        origin: &Origin,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Obtained> {
        let platform = Platform::of_this_machine()?;
        let mirror = Mirror::of(origin)?;
        let version = self.version(wanted, &mirror, platform, progress).await?;
        let files = match self.caches.installed(version, platform) {
            Some(files) => files,
            None => {
                let (files, refused) = self.caches.choose(version, platform)?;
                refused.iter().for_each(|why| progress.step(format!("a cache can't be used: {why}")));
                files
            }
        };
        let new = match claim(&files, version, deadline, progress).await? {
            Claim::Use => false,
            Claim::Make(held) => {
                let making = Making { version, files: &files, origin, held: Arc::new(held), deadline, progress };
                making.make(&mirror.archive(platform, version), self.patience).await?;
                keep_using(&files, making.held.clone());
                true
            }
        };
        files.touch();
        Ok(Obtained { dir: files.dir(), version, record: files.known(), new })
    }

    async fn version(
        &self,
        wanted: RequestedVersion,
        mirror: &Mirror,
        platform: Platform,
        progress: &Progress,
    ) -> Result<Version> {
        let index = match wanted.patch {
            Some(_) => None,
            None => self.listed(&mirror.index(platform)).await,
        };
        let found = newest::newest(wanted, index.as_deref(), &self.caches.versions(platform));
        let Some((version, said)) = found else {
            return Err(Error::new(Kind::Provider, format!("cannot tell which release CrateDB {wanted} is"))
                .because(match index {
                    Some(_) => format!("{} names none", mirror.index(platform)),
                    None => format!("{} can't be listed, and none is in the cache or known", mirror.index(platform)),
                })
                .hint("name all three numbers, as in 6.4.3"));
        };
        match said {
            Said::Wanted => {}
            Said::Mirror => progress.step(format!("CrateDB {wanted} is {version}, the newest at the mirror")),
            Said::Cache => progress.step(format!("CrateDB {wanted} is {version}, the newest in the cache")),
            Said::Table => progress.step(format!(
                "CrateDB {wanted} is {version}, the newest when cratedb-test {} was released",
                env!("CARGO_PKG_VERSION")
            )),
        }
        Ok(version)
    }

    /// What a mirror has, if it says so soon and nobody on the way could say it in its place.
    async fn listed(&self, index: &Location) -> Option<Vec<Version>> {
        if !index.is_authentic() {
            return None;
        }
        let page = match index {
            Location::Http(url) => Fetch::new(url, self.patience).ok()?.index(url).await?,
            Location::File(dir) => {
                let names = fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                names.collect::<Vec<_>>().join("\n")
            }
        };
        Some(newest::named_in(&page))
    }
}

/// Waits until a release is there, or until nobody else makes it.
async fn claim(files: &Files, version: Version, deadline: Instant, progress: &Progress) -> Result<Claim> {
    let look = || async {
        let mut locks = Locks::take();
        match locks.try_share(&files.lock()) {
            Ok(Some(held)) if files.is_installed() => {
                // Until this process ends.
                std::mem::forget(held);
                return Ok(Look::Ready(Claim::Use));
            }
            Ok(_) => {}
            // A cache that can only be read is one from which nobody removes anything.
            Err(_) if files.is_installed() => return Ok(Look::Ready(Claim::Use)),
            Err(error) => return Err(error),
        }
        if let Some(held) = locks.try_lock(&files.lock())? {
            held.write(&std::process::id().to_string());
            return Ok(Look::Ready(Claim::Make(held)));
        }
        Ok(Look::NotYet(match locks.holder(&files.lock())? {
            Some(process) if process > 0 => {
                format!("waiting for process {process}, which is making CrateDB {version} available")
            }
            _ => format!("waiting for another process, which is making CrateDB {version} available"),
        }))
    };
    let told = |status: &str| progress.step(status);
    wait::until(&format!("CrateDB {version} in {}", files.dir().display()), wait::NEIGHBOUR, deadline, told, look).await
}

/// Shares the lock from here on: who waits for the release may use it, and nobody may remove it.
fn keep_using(files: &Files, held: Arc<Lock>) {
    // Until this process ends: dropped, it would let go of what is shared, too.
    std::mem::forget(held);
    if let Ok(shared) = Locks::take().try_share(&files.lock()) {
        std::mem::forget(shared);
    }
}

/// A release on its way into the cache.
struct Making<'a> {
    version: Version,
    files: &'a Files,
    origin: &'a Origin,
    /// Until the last thread that writes there has ended.
    held: Arc<Lock>,
    deadline: Instant,
    progress: &'a Progress,
}

impl Making<'_> {
    async fn make(&self, at: &Location, patience: Patience) -> Result<()> {
        let mut known = Known {
            pinned: self.origin.digests.clone(),
            remembered: self.files.known().map(|record| record.sha256),
            beside: None,
        };
        let by_hand = Location::File(self.files.archive());
        let at = if self.files.archive().is_file() { &by_hand } else { at };
        match at {
            Location::Http(url) => {
                if !at.is_authentic() && !known.is_enough() {
                    return Err(self.failed(at).because("whoever is on the way can change what comes over plain http").hint(
                        "set CRATEDB_TEST_SHA256 to the SHA-256 of the archive, or CRATEDB_TEST_MIRROR to an https address",
                    ));
                }
                let fetch = Fetch::new(url, patience)?;
                self.download(&fetch, at, &mut known).await.map_err(|error| self.with_other_ways(error))
            }
            Location::File(path) => {
                let size = fs::metadata(path).map_err(|error| {
                    self.failed(at)
                        .because(error)
                        .hint("CRATEDB_TEST_MIRROR is a directory, which has to have it there")
                });
                self.room(0, size?.len())?;
                if let (Location::File(beside), true) = (at.with_suffix(".sha256"), known.pinned.is_empty())
                    && let Ok(text) = fs::read_to_string(&beside)
                {
                    known.beside = Some(self.digest_at(&Location::File(beside), &text)?);
                }
                self.install(path, at, &known).await.map_err(|unusable| match unusable {
                    Unusable::Archive(error) | Unusable::Machine(error) => error,
                })
            }
        }
    }

    async fn download(&self, fetch: &Fetch, at: &Location, known: &mut Known) -> Result<()> {
        let (part, what) = (self.files.part(), format!("CrateDB {}", self.version));
        let room =
            |coming: Coming| self.room(coming.total.unwrap_or(0).saturating_sub(coming.at), coming.total.unwrap_or(0));
        // Once: a mirror that has a wrong file and cuts connections would be asked for it for ever.
        let mut again = true;
        loop {
            let resumed = fetch.file(&part, &what, self.deadline, self.progress, room).await?;
            let beside = at.with_suffix(".sha256");
            if let (Location::Http(url), true) = (&beside, known.pinned.is_empty())
                && let Some(text) = fetch.small(url, self.deadline).await?
            {
                known.beside = Some(self.digest_at(&beside, &text)?);
            }
            match self.install(&part, at, known).await {
                Ok(()) => {
                    fetch::forget(&part);
                    return Ok(());
                }
                Err(Unusable::Archive(why)) => {
                    fetch::forget(&part);
                    if !(resumed && std::mem::take(&mut again)) {
                        return Err(why);
                    }
                    // The two parts may have been of different files.
                    self.progress.step(format!("downloading {what} from the beginning, since {why}"));
                }
                // It may be used once there is room.
                Err(Unusable::Machine(error)) => return Err(error),
            }
        }
    }

    /// From an archive that is there to an installation in its place.
    async fn install(&self, archive: &Path, from: &Location, known: &Known) -> Result<(), Unusable> {
        let archive_of = |why: String| Unusable::Archive(self.failed(from).because(why));
        let machine = |error: std::io::Error| {
            let place = self.files.dir();
            Unusable::Machine(
                Error::new(Kind::Provider, format!("cannot install CrateDB {} in {}", self.version, place.display()))
                    .because(error),
            )
        };
        self.progress.step(format!("checking and unpacking CrateDB {}", self.version));
        let path = archive.to_owned();
        let digest = self.blocking(move |stop| trust::digest_of(&path, stop)).await.map_err(Unusable::Machine)?;
        let Some(digest) = digest.map_err(machine)? else { return Err(Unusable::Machine(self.stopped())) };
        let trust = known.judge(&digest).map_err(|why| match &known.remembered {
            Some(_) if known.pinned.is_empty() => Unusable::Archive(self.failed(from).because(why).hint(format!(
                "if the vendor replaced it, set CRATEDB_TEST_SHA256, or remove {}",
                self.files.record().display()
            ))),
            _ => archive_of(why),
        })?;
        let size = fs::metadata(archive).map_err(machine)?.len();
        let record = Record { from: from.to_string(), sha256: digest.clone(), trust, size };
        let (path, files, version) = (archive.to_owned(), self.files.clone(), self.version);
        let placed = self.blocking(move |stop| place(&path, &files, version, &record, stop));
        match placed.await.map_err(Unusable::Machine)? {
            Ok(()) => {}
            Err(Failed::Archive(why)) => return Err(archive_of(why)),
            Err(Failed::Machine(error)) => return Err(machine(error)),
            Err(Failed::Stopped) => return Err(Unusable::Machine(self.stopped())),
        }
        self.progress.step(format!("CrateDB {} is there: SHA-256 {digest}, {trust}", self.version));
        Ok(())
    }

    /// Work that would keep this thread from everything else. It ends soon after nobody waits for it.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Result<T> {
        let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
        let (flag, held) = (stop.0.clone(), self.held.clone());
        let task = tokio::task::spawn_blocking(move || {
            let done = work(&flag);
            drop(held);
            done
        });
        match tokio::time::timeout_at(self.deadline.into(), task).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                Err(Error::new(Kind::Provider, format!("cannot install CrateDB {}", self.version)).because(error))
            }
            Err(_) => Err(self.stopped()),
        }
    }

    fn stopped(&self) -> Error {
        Error::new(Kind::Timeout, format!("CrateDB {} was not unpacked in time", self.version))
            .hint("CRATEDB_TEST_START_TIMEOUT allows for more")
    }

    fn digest_at(&self, at: &Location, text: &str) -> Result<String> {
        trust::digest_in(text).ok_or_else(|| {
            self.failed(at)
                .because("it does not begin with a SHA-256 digest")
                .hint("CRATEDB_TEST_SHA256 is used in its place")
        })
    }

    fn room(&self, coming: u64, archive: u64) -> Result<()> {
        let base = self.files.lock();
        let base = base.parent().unwrap_or(&base);
        let stat = rustix::fs::statvfs(base).map_err(|error| {
            Error::new(Kind::Provider, format!("cannot see what is free in {}", base.display())).because(error)
        })?;
        let (free, needed) = (stat.f_bavail.saturating_mul(stat.f_frsize), coming + UNPACKED * archive);
        if free >= needed {
            return Ok(());
        }
        Err(Error::new(Kind::Provider, format!("there is no room for CrateDB {} in {}", self.version, base.display()))
            .because(format!("{} MiB are free, {} MiB are needed", free / MIB, needed.div_ceil(MIB)))
            .hint("`cargo cratedb cache prune` removes what was not used for long; XDG_CACHE_HOME names another place"))
    }

    fn failed(&self, at: &Location) -> Error {
        Error::new(Kind::Provider, format!("cannot use {at} as CrateDB {}", self.version))
    }

    fn with_other_ways(&self, error: Error) -> Error {
        error
            .hint(format!("it can be put there by hand, as {}", self.files.archive().display()))
            .hint("CRATEDB_TEST_MIRROR names another server or a directory, CRATEDB_HOME an installation")
    }
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Unpacks beside the place and renames, once all of it is on the disk.
fn place(archive: &Path, files: &Files, version: Version, record: &Record, stop: &AtomicBool) -> Result<(), Failed> {
    let (unpacked, dir) = (files.unpacked(), files.dir());
    // What a killed process left: nobody else is at it while the lock is held.
    remove_all(&unpacked)?;
    let done = (|| {
        unpack::unpack(archive, &unpacked, stop)?;
        if !unpacked.join("bin/crate").is_file() {
            return Err(Failed::Archive("it has no bin/crate".to_owned()));
        }
        match home::version(&unpacked) {
            Some(found) if found == version => {}
            Some(found) => return Err(Failed::Archive(format!("it holds CrateDB {found}"))),
            None => return Err(Failed::Archive("its lib/ does not tell which version it is".to_owned())),
        }
        let new = files.record().with_extension("json.new");
        fs::write(&new, serde_json::to_vec_pretty(record).unwrap_or_default())?;
        // With the record, which an empty file would not be.
        crate::host::platform::sync(&unpacked)?;
        remove_all(&dir)?;
        fs::rename(new, files.record())?;
        fs::rename(&unpacked, &dir)?;
        Ok(fs::File::open(dir.parent().unwrap_or(&dir))?.sync_all()?)
    })();
    if done.is_err() {
        let _ = remove_all(&unpacked);
    }
    done
}

fn remove_all(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
