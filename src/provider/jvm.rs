//! The Java virtual machine of servers that live for minutes: its flags, and ahead-of-time caches, which halve its
//! start.
//!
//! A cache holds the classes of a server that has started. It fits one runtime, one class path and one set of flags. A
//! JVM that finds a cache unfit starts without it and says so in its log. A start without a cache only takes longer.

mod training;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(super) use self::training::{CacheLock, TrainingSlot, TrainingSubject, left_below, not_made, practise};
pub(crate) use self::training::{STEP, Training, run};
use crate::host::{closed_to_others, fnv64, make_with_mode, paths_in, private_file, user_cache};

/// The flags for a server that lives for minutes. The JVM spends no time on what pays off later, and leaves nothing
/// outside the server's directory.
pub(super) const FLAGS: &str =
    "-XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC -XX:-UsePerfData -XX:-HeapDumpOnOutOfMemoryError";

/// The initial heap, which grows up to [`heap`]. A small one saves 110 MiB a node and costs no measurable time. The
/// server logs a warning that the two differ.
pub(super) const FIRST_HEAP: &str = "-Xms64m";

/// Returns the maximum Java heap as a value of `CRATE_HEAP_SIZE`. It is smaller for several nodes, which share the work
/// and the memory of the machine.
pub(super) fn heap(nodes: u32) -> &'static str {
    if nodes == 1 { "512m" } else { "384m" }
}

/// Older versions have no cache, or make it in another way.
const FIRST_JDK: u32 = 25;
/// The file that a JVM reads.
const FILE: &str = "crate.aot";
const MANIFEST: &str = "about.json";

/// The place of one ahead-of-time cache, which may not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AotCache {
    /// Its name is the hash of all that the cache depends on.
    dir: PathBuf,
}

/// The description of what a cache was made from, for people and to find caches that a newer one replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CacheManifest {
    /// The installation's directory, or the image.
    pub(super) home: String,
    /// The runtime's `JAVA_RUNTIME_VERSION`.
    pub(super) jdk: String,
    pub(super) flags: String,
    /// The size of the file in bytes. A file of another size is not whole.
    pub(super) size: u64,
    /// Unix seconds.
    pub(super) made: i64,
}

/// Returns where caches of this user may be: `$XDG_CACHE_HOME/cratedb-test/jvm`, and for root a directory of the
/// system, since root's home is usually closed to the user that runs its servers.
pub(super) fn roots() -> Vec<PathBuf> {
    let of_system = rustix::process::geteuid().is_root().then(|| PathBuf::from("/var/cache"));
    user_cache().into_iter().chain(of_system).map(|dir| dir.join("cratedb-test/jvm")).collect()
}

/// Returns the first root, or with `for_others` the first one that other users can enter.
pub(super) fn root(for_others: bool) -> Option<PathBuf> {
    roots().into_iter().find(|root| !for_others || closed_to_others(root).is_none())
}

/// Marks a file as used now, since what was not used for long is removed first. It uses the path, because closing any
/// descriptor of a lock's file releases the lock.
pub(super) fn touch(path: &Path) {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
    // A cache that is read-only is never cleaned up.
    let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty());
}

impl CacheManifest {
    /// Returns the manifest of a cache that is not made yet.
    pub(super) fn of(home: String, jdk: String) -> Self {
        Self { home, jdk, flags: FLAGS.to_owned(), size: 0, made: 0 }
    }
}

impl AotCache {
    /// Marks the cache as used by a server.
    pub(super) fn used(&self) {
        touch(&self.dir.join(MANIFEST));
    }

    /// Returns the cache that depends on all of `parts`: an installation's path and files, its runtime, the flags.
    pub(super) fn of(root: &Path, parts: &[String]) -> Self {
        Self { dir: root.join(hash(parts)) }
    }

    /// Returns the flag that makes a JVM use the cache. Returns none if the cache does not exist or is not whole, or if
    /// a start script's shell would not keep its path.
    pub(super) fn flag(&self) -> Option<String> {
        let flag = format!("-XX:AOTCache={}", self.file()?.to_str()?);
        let keeps = |c: char| c.is_alphanumeric() || "/._-+,@%=:".contains(c);
        // The JVM takes a second colon for a separator of files.
        (flag.chars().all(keeps) && flag.matches(':').count() == 1).then_some(flag)
    }

    /// Returns the file for the JVM, or none if it does not exist or is not whole.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let about = self.about()?;
        let file = self.dir.join(FILE);
        (fs::metadata(&file).ok()?.len() == about.size).then_some(file)
    }

    fn about(&self) -> Option<CacheManifest> {
        serde_json::from_slice(&fs::read(self.dir.join(MANIFEST)).ok()?).ok()
    }

    /// Returns a file beside the cache's directory, which exists independently of it.
    fn beside(&self, extension: &str) -> PathBuf {
        self.dir.with_extension(extension)
    }

    /// Returns the directory in which the cache may be made. It belongs to the process that holds the [`CacheLock`].
    pub(super) fn work_dir(&self) -> PathBuf {
        self.beside("work")
    }

    /// Deletes a cache that did not fit, so that a new one can be made.
    pub(super) fn discard(&self) {
        // The manifest first: without it the file does not count as a cache.
        let _ = fs::remove_file(self.dir.join(MANIFEST));
        let _ = fs::remove_dir_all(&self.dir);
    }

    /// Copies `made`, a file that a JVM wrote, to the cache, and deletes older caches of the same installation and
    /// flags.
    ///
    /// With `for_others`, other users can read it.
    pub(super) fn publish(&self, made: &Path, about: CacheManifest, for_others: bool) -> io::Result<()> {
        let (dir_mode, file_mode) = if for_others { (0o755, 0o644) } else { (0o700, 0o600) };
        make_with_mode(&self.dir, dir_mode)?;
        let _ = fs::remove_file(self.beside("failed"));
        let part = self.dir.join(format!("{FILE}.part"));
        let size = copy(made, &part, file_mode)?;
        let about = CacheManifest { size, made: time::OffsetDateTime::now_utc().unix_timestamp(), ..about };
        fs::rename(&part, self.dir.join(FILE))?;
        let text = serde_json::to_vec_pretty(&about)?;
        let part = self.dir.join(format!("{MANIFEST}.part"));
        fs::write(&part, text)?;
        fs::rename(&part, self.dir.join(MANIFEST))?;
        self.discard_older(&about);
        Ok(())
    }

    fn discard_older(&self, about: &CacheManifest) {
        let all = self.dir.parent().into_iter().flat_map(paths_in);
        let others = all.map(|dir| Self { dir }).filter(|other| other != self);
        let same = |other: &CacheManifest| other.home == about.home && other.flags == about.flags;
        others.filter(|other| other.about().as_ref().is_some_and(same)).for_each(|other| other.discard());
    }
}

/// Returns the line of a log in which a JVM says why it does not use its cache. Returns none if it uses the cache or
/// has none.
pub(super) fn refusal(log: &str) -> Option<&str> {
    let said = |line: &&str| {
        // The JVM's own lines come before the server's and look like `[0.009s][warning][aot] …`.
        let mut parts = line.split(['[', ']']).map(str::trim).filter(|part| !part.is_empty());
        let is_own =
            parts.next().is_some_and(|time| time.ends_with('s') && time.starts_with(|c: char| c.is_ascii_digit()));
        is_own && matches!(parts.next(), Some("warning" | "error")) && matches!(parts.next(), Some("aot" | "cds"))
    };
    log.lines().find(said)
}

/// Returns the version of a runtime from its file `release`, or none if it cannot make and use caches.
pub(super) fn runtime_in(release: &str) -> Option<String> {
    let value = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(line.trim().trim_matches('"').to_owned())
    };
    let version = value("JAVA_VERSION")?;
    let major: u32 = version.split(['.', '-', '+']).next()?.parse().ok()?;
    (major >= FIRST_JDK).then(|| value("JAVA_RUNTIME_VERSION").unwrap_or(version))
}

/// Copies a file and syncs it before it gets its final name. Another user may have written `from`, so no link is
/// followed.
fn copy(from: &Path, to: &Path, mode: u32) -> io::Result<u64> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut source = private_file().read(true).open(from)?;
    if !source.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let _ = fs::remove_file(to);
    let mut target = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(to)?;
    let size = io::copy(&mut source, &mut target).inspect_err(|_| drop(fs::remove_file(to)))?;
    target.set_permissions(fs::Permissions::from_mode(mode))?;
    target.sync_all()?;
    Ok(size)
}

/// Returns the name of a cache. Each part ends with a byte that UTF-8 never has, so that no two lists of parts are
/// alike.
fn hash(parts: &[String]) -> String {
    format!("{:016x}", fnv64(parts.iter().flat_map(|part| part.bytes().chain([0xff]))))
}

#[cfg(test)]
mod tests;
