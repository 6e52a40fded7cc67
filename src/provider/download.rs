//! An installation of CrateDB from the cache of this machine, downloaded if the cache lacks it.
//!
//! All projects of a user share the cache. A process makes an installation under a lock, and each process that uses one
//! shares that lock until it ends. An installation is complete or absent: it is unpacked beside its place and renamed.
//! The module `trust` decides whether an archive is the vendor's, and `pin` at each use whether the installation is
//! still the one that a setting asks for.

mod cache;
mod content;
mod fetch;
mod mirror;
mod pin;
mod tree;
mod trust;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub(crate) use self::cache::ArchiveRecord;
use self::cache::{Caches, InstallationFiles};
pub(crate) use self::content::{CacheEntry, EntryKind, Removal, entries, remove};
use self::fetch::{Fetch, FetchLimits, Transferred};
use self::mirror::{Location, Mirror, PatchSource, Platform};
use self::pin::Fitness;
use self::trust::{ExpectedDigests, Trust};
use self::unpack::UnpackError;
use super::Progress;
use super::process::installation;
use crate::error::{Error, Kind, Result};
use crate::host::{Lock, Locks, free_space};
use crate::target::Origin;
use crate::version::{RequestedVersion, Version};
use crate::wait::{self, Look};

const MIB: u64 = 1 << 20;
/// The maximum size of an installation, as a multiple of its archive's.
const UNPACKED: u64 = 3;

/// The caches of installations, and the limits for fetching them.
#[derive(Clone, Debug)]
pub(crate) struct Downloads {
    caches: Caches,
    limits: FetchLimits,
}

/// An installation that can be used as long as this process lives.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) dir: PathBuf,
    pub(crate) version: Version,
    /// The record of its archive, with the source that vouches for it now. None if the installation was put there
    /// without one.
    pub(crate) record: Option<ArchiveRecord>,
    /// Set if this process has made it.
    pub(crate) new: bool,
}

/// The result of waiting for the lock of an installation.
enum Claimed {
    /// The installation exists, and no process removes it as long as this process lives.
    Use,
    /// The installation is missing or must not be used, and no other process makes it while this lock is held.
    Make(Lock),
}

impl Downloads {
    pub(crate) fn of_this_machine() -> Self {
        Self { caches: Caches::of_this_machine(), limits: FetchLimits::USUAL }
    }

    /// Returns the installation, downloaded from `origin` if no cache has it. Ends early when no client waits for it
    /// any more. The part that was downloaded is kept, and the next download continues from there.
    pub(crate) async fn obtain(
        &self,
        wanted: RequestedVersion,
        origin: &Origin,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Installation> {
        let obtained = async {
            let platform = Platform::of_this_machine()?;
            let mirror = Mirror::of(origin)?;
            let version = self.version(wanted, &mirror, platform, progress).await?;
            let (files, unfit) = self.place(version, platform, &origin.digests, progress).await?;
            let (pinned, limits) = (&*origin.digests, self.limits);
            let claim = Claim { files: &files, version, pinned, limits, deadline, progress };
            let made = match claim.settle().await? {
                Claimed::Use => None,
                Claimed::Make(held) => {
                    let making =
                        InstallJob { version, files: &files, origin, held: Arc::new(held), deadline, progress };
                    let made = making.make(&mirror.archive(platform, version), self.limits).await;
                    made.map_err(|error| unfit.iter().fold(error, Error::hint))?;
                    Some(making.held.clone())
                }
            };
            let new = made.is_some();
            if let Some(held) = made {
                keep_using(&files, held);
            }
            files.touch();
            let mut record = files.known();
            if let (Some(record), false) = (&mut record, origin.digests.is_empty()) {
                record.trust = Trust::Pinned;
            }
            Ok::<_, Error>(Installation { dir: files.dir(), version, record, new })
        };
        tokio::select! {
            obtained = obtained => obtained,
            () = progress.unwanted() => {
                Err(Error::new(Kind::Session, format!("CrateDB {wanted} was not made available"))
                    .because("no client waits for it any more"))
            }
        }
    }

    /// Says which release [`Downloads::obtain`] would use, and where from. Makes no request and changes nothing, so it
    /// can't tell whether a server has the release, or whether the one in the cache is still what a setting asks for.
    pub(crate) fn foresee(&self, wanted: RequestedVersion, origin: &Origin) -> Result<String> {
        let platform = Platform::of_this_machine()?;
        let mirror = Mirror::of(origin)?;
        let found = mirror::newest(wanted, None, &self.caches.versions(platform));
        let Some((version, _)) = found else {
            return Ok(format!("a process of the newest CrateDB {wanted}, downloaded first"));
        };
        if let Some(files) = self.caches.installed(version, platform).next() {
            return Ok(format!("a process of CrateDB {version} of the cache, in {}", files.dir().display()));
        }
        match mirror.archive(platform, version) {
            // A newer patch may be there.
            Location::File(path) if wanted.patch.is_some() && !path.is_file() => {
                Err(Error::new(Kind::Setting, format!("cannot get CrateDB {version} from CRATEDB_TEST_MIRROR"))
                    .because(format!("there is no {}", path.display()))
                    .hint("accepted: a directory or an address that has <platform>/crate-<version>.tar.gz"))
            }
            archive => Ok(format!("a process of CrateDB {version}, which the first test downloads from {archive}")),
        }
    }

    /// Returns the first installation that may be used, else the place for a new one and why those that are there must
    /// not be used.
    async fn place(
        &self,
        version: Version,
        platform: Platform,
        pinned: &[String],
        progress: &Progress,
    ) -> Result<(InstallationFiles, Vec<String>)> {
        let mut unfit = Vec::new();
        for files in self.caches.installed(version, platform) {
            match judged(&files, pinned).await? {
                None => return Ok((files, Vec::new())),
                Some(why) => unfit.push(format!("the release in {} is not used: {why}", files.dir().display())),
            }
        }
        unfit.iter().for_each(|why| progress.step(why.clone()));
        let (files, refused) =
            self.caches.choose(version, platform).map_err(|error| unfit.iter().fold(error, Error::hint))?;
        refused.iter().for_each(|why| progress.step(format!("a cache can't be used: {why}")));
        Ok((files, unfit))
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
        let found = mirror::newest(wanted, index.as_deref(), &self.caches.versions(platform));
        let Some((version, said)) = found else {
            return Err(Error::new(Kind::Provider, format!("cannot tell which release CrateDB {wanted} is"))
                .because(match index {
                    Some(_) => format!("{} names none", mirror.index(platform)),
                    None => format!("{} can't be listed, and none is in the cache or known", mirror.index(platform)),
                })
                .hint("name all three numbers, as in 6.4.3"));
        };
        match said {
            PatchSource::Wanted => {}
            PatchSource::Mirror => progress.step(format!("CrateDB {wanted} is {version}, the newest at the mirror")),
            PatchSource::Cache => progress.step(format!("CrateDB {wanted} is {version}, the newest in the cache")),
            PatchSource::Table => progress.step(format!(
                "CrateDB {wanted} is {version}, the newest when cratedb-test {} was released",
                env!("CARGO_PKG_VERSION")
            )),
        }
        Ok(version)
    }

    /// Returns the versions that a mirror lists. Returns none if it does not answer soon, or if its answer could be
    /// forged on the way.
    async fn listed(&self, index: &Location) -> Option<Vec<Version>> {
        if !index.is_authentic() {
            return None;
        }
        let page = match index {
            Location::Http(url) => Fetch::new(url, self.limits).ok()?.index(url).await?,
            Location::File(dir) => {
                let names = fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                names.collect::<Vec<_>>().join("\n")
            }
        };
        Some(mirror::named_in(&page))
    }
}

/// Judges an installation on another thread. Returns why it must not be used.
async fn judged(files: &InstallationFiles, pinned: &[String]) -> Result<Option<String>> {
    if pinned.is_empty() {
        return Ok(None);
    }
    let stop = StopOnDrop::default();
    let (flag, files, pinned) = (stop.0.clone(), files.clone(), pinned.to_owned());
    let judged = tokio::task::spawn_blocking(move || pin::judge(&files, &pinned, &flag)).await;
    let failed = || Error::new(Kind::Provider, "cannot tell whether the release in the cache may be used");
    match judged.map_err(|error| failed().because(error))? {
        Fitness::Fit => Ok(None),
        Fitness::Unfit(why) => Ok(Some(why)),
        // Only dropping this future stops it.
        Fitness::Stopped => Err(failed().because("it was stopped")),
    }
}

/// The wait for an installation in the cache.
struct Claim<'a> {
    files: &'a InstallationFiles,
    version: Version,
    pinned: &'a [String],
    limits: FetchLimits,
    deadline: Instant,
    progress: &'a Progress,
}

impl Claim<'_> {
    /// Waits until an installation exists that may be used, or until no other process makes or uses it.
    async fn settle(&self) -> Result<Claimed> {
        let told = |status: &str| self.progress.step(status);
        let (files, began) = (self.files, Instant::now());
        let awaited = format!("CrateDB {} in {}", self.version, files.dir().display());
        wait::until(&awaited, wait::NEIGHBOUR, self.deadline, told, || self.look(began)).await
    }

    async fn look(&self, began: Instant) -> Result<Look<Claimed>> {
        let (files, version) = (self.files, self.version);
        let shared = Locks::take().try_share(&files.lock());
        let mut unfit = None;
        if files.is_installed() && !matches!(shared, Ok(None)) {
            unfit = judged(files, self.pinned).await?;
            if unfit.is_none() {
                // Kept until this process ends. In a read-only cache there is no lock, and no process removes anything.
                std::mem::forget(shared);
                return Ok(Look::Ready(Claimed::Use));
            }
        }
        drop(shared?);
        let mut locks = Locks::take();
        // A server may outlive its keeper, whose lock then protects it no more.
        let is_run = unfit.is_some() && content::runs_from(&files.dir());
        if !is_run && let Some(held) = locks.try_lock(&files.lock())? {
            held.write(&std::process::id().to_string());
            return Ok(Look::Ready(Claimed::Make(held)));
        }
        let holder = match locks.holder(&files.lock())? {
            Some(process) if process > 0 => format!("process {process}"),
            _ => "another process".to_owned(),
        };
        match unfit {
            None => Ok(Look::NotYet(format!("waiting for {holder}, which is making CrateDB {version} available"))),
            Some(why) if began.elapsed() < self.limits.in_use => Ok(Look::NotYet(format!(
                "waiting for {holder}, which uses a CrateDB {version} that is not wanted: {why}"
            ))),
            Some(why) => {
                Err(Error::new(Kind::Provider, format!("cannot use CrateDB {version} in {}", files.dir().display()))
                    .because(why)
                    .hint(format!("{holder} uses it, so it can't be replaced now; try again when that has ended")))
            }
        }
    }
}

/// Shares the lock from here on, so that waiting processes can use the installation and none can remove it.
fn keep_using(files: &InstallationFiles, held: Arc<Lock>) {
    // Kept until this process ends. Dropping it would release the shared lock, too.
    std::mem::forget(held);
    if let Ok(shared) = Locks::take().try_share(&files.lock()) {
        std::mem::forget(shared);
    }
}

/// An installation on its way into the cache.
struct InstallJob<'a> {
    version: Version,
    files: &'a InstallationFiles,
    origin: &'a Origin,
    /// Held until the last thread that writes to the cache has ended.
    held: Arc<Lock>,
    deadline: Instant,
    progress: &'a Progress,
}

impl InstallJob<'_> {
    async fn make(&self, at: &Location, limits: FetchLimits) -> Result<()> {
        let mut known = ExpectedDigests {
            pinned: self.origin.digests.clone(),
            remembered: self.files.known().map(|record| record.sha256),
            beside: None,
        };
        let by_hand = Location::File(self.files.archive());
        let at = if self.files.archive().is_file() { &by_hand } else { at };
        match at {
            Location::Http(url) => {
                if !at.is_authentic() && !known.is_enough() {
                    return Err(self.failed(at).because("what comes over plain http can be changed on the way").hint(
                        "set CRATEDB_TEST_SHA256 to the SHA-256 of the archive, or CRATEDB_TEST_MIRROR to an https address",
                    ));
                }
                let fetch = Fetch::new(url, limits)?;
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
                self.install(path, at, &known).await?
            }
        }
    }

    async fn download(&self, fetch: &Fetch, at: &Location, known: &mut ExpectedDigests) -> Result<()> {
        let (part, what) = (self.files.part(), format!("CrateDB {}", self.version));
        let room = |coming: Transferred| {
            self.room(coming.total.unwrap_or(0).saturating_sub(coming.at), coming.total.unwrap_or(0))
        };
        // Once only. Otherwise a mirror that has a wrong file and cuts connections would be asked for ever.
        let mut again = true;
        loop {
            let resumed = fetch.file(&part, &what, self.deadline, self.progress, room).await?;
            let beside = at.with_suffix(".sha256");
            if let (Location::Http(url), true) = (&beside, known.pinned.is_empty())
                && let Some(text) = fetch.small(url, self.deadline).await?
            {
                known.beside = Some(self.digest_at(&beside, &text)?);
            }
            // Its length may not have been known before.
            let length = fs::metadata(&part).map_or(0, |meta| meta.len());
            self.room(0, length)?;
            // If the machine fails, the archive stays: it may be usable once there is room.
            match self.install(&part, at, known).await? {
                Ok(()) => {
                    fetch::forget(&part);
                    return Ok(());
                }
                Err(why) => {
                    fetch::forget(&part);
                    if !(resumed && std::mem::take(&mut again)) {
                        return Err(why);
                    }
                    // The two parts may be of different files.
                    self.progress.step(format!("downloading {what} from the beginning, since {why}"));
                }
            }
        }
    }

    /// Checks an archive and makes it the installation. The inner error is that of an unusable archive.
    async fn install(&self, archive: &Path, from: &Location, known: &ExpectedDigests) -> Result<Result<()>> {
        let unusable = |why: String| self.failed(from).because(why);
        let machine = |error: std::io::Error| {
            let place = self.files.dir();
            Error::new(Kind::Provider, format!("cannot install CrateDB {} in {}", self.version, place.display()))
                .because(error)
        };
        self.progress.step(format!("checking and unpacking CrateDB {}", self.version));
        let path = archive.to_owned();
        let digest = self.blocking(move |stop| trust::digest_of(&path, stop)).await?.map_err(machine)?;
        let Some(digest) = digest else { return Err(self.stopped()) };
        let trust = match known.judge(&digest) {
            Ok(trust) => trust,
            Err(why) if known.pinned.is_empty() && known.remembered.is_some() => {
                let record = self.files.record();
                let hint =
                    format!("if the vendor replaced it, set CRATEDB_TEST_SHA256, or remove {}", record.display());
                return Ok(Err(unusable(why).hint(hint)));
            }
            Err(why) => return Ok(Err(unusable(why))),
        };
        let size = fs::metadata(archive).map_err(machine)?.len();
        let record = ArchiveRecord { from: from.to_string(), sha256: digest.clone(), trust, size, tree: None };
        let (path, files, version) = (archive.to_owned(), self.files.clone(), self.version);
        match self.blocking(move |stop| place(&path, &files, version, record, stop)).await? {
            Ok(()) => {}
            Err(UnpackError::Archive(why)) => return Ok(Err(unusable(why))),
            Err(UnpackError::Machine(error)) => return Err(machine(error)),
            Err(UnpackError::Stopped) => return Err(self.stopped()),
        }
        self.progress.step(format!("CrateDB {} is there: SHA-256 {digest}, {trust}", self.version));
        Ok(Ok(()))
    }

    /// Runs blocking work on another thread. The work stops soon after this future is dropped.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Result<T> {
        let stop = StopOnDrop::default();
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
        let free = free_space(base).map_err(|error| {
            Error::new(Kind::Provider, format!("cannot see what is free in {}", base.display())).because(error)
        })?;
        let needed = coming + UNPACKED * archive;
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

#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Unpacks beside the installation's place, syncs, and renames.
fn place(
    archive: &Path,
    files: &InstallationFiles,
    version: Version,
    mut record: ArchiveRecord,
    stop: &AtomicBool,
) -> Result<(), UnpackError> {
    let (unpacked, dir) = (files.unpacked(), files.dir());
    // Left by a killed process. No other one writes there while the lock is held.
    remove_all(&unpacked)?;
    let done = (|| {
        unpack::unpack(archive, &unpacked, stop)?;
        if !unpacked.join("bin/crate").is_file() {
            return Err(UnpackError::Archive("it has no bin/crate".to_owned()));
        }
        match installation::version(&unpacked) {
            Some(found) if found == version => {}
            Some(found) => return Err(UnpackError::Archive(format!("it holds CrateDB {found}"))),
            None => return Err(UnpackError::Archive("its lib/ does not tell which version it is".to_owned())),
        }
        record.tree = Some(tree::digest(&unpacked, stop)?.ok_or(UnpackError::Stopped)?);
        let new = files.record().with_extension("json.new");
        fs::write(&new, serde_json::to_vec_pretty(&record).unwrap_or_default())?;
        // This syncs the record, too, which might otherwise be empty after a crash.
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

/// Returns the path whose file name has `suffix` in addition.
fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn remove_all(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
