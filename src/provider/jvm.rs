//! The Java virtual machine of servers that live for minutes: its flags, and ahead-of-time caches, which halve its start.
//!
//! A cache holds classes as they are once a server has started. It fits one runtime, one class path and, in all that
//! matters, one set of flags; a JVM that finds that it does not fit starts without it and says so in its log. Nothing
//! ever depends on a cache: without one a start takes longer.

mod lessons;
mod training;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(super) use self::lessons::practise;
pub(super) use self::training::{Lease, left_below};
pub(crate) use self::training::{STEP, Training, run};

/// For a server that lives for minutes: no time is spent on what pays later, and nothing is left outside its directory.
pub(super) const FLAGS: &str =
    "-XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC -XX:-UsePerfData -XX:-HeapDumpOnOutOfMemoryError";

/// The heap begins small and grows up to those: it saves 110 MiB a node and costs no time that can be measured. The server
/// would rather have both the same, and says so in its log.
pub(super) const FIRST_HEAP: &str = "-Xms64m";

/// Of the Java heap, in words of `CRATE_HEAP_SIZE`. Several nodes share the work, and the memory of the machine.
pub(super) fn heap(nodes: u32) -> &'static str {
    if nodes == 1 { "512m" } else { "384m" }
}

/// Before that there was no cache, or one that is made in another way.
const FIRST_JDK: u32 = 25;
/// The file that a JVM reads.
const FILE: &str = "crate.aot";
const ABOUT: &str = "about.json";

/// The place of one cache, whether it is there or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cache {
    /// Named by the hash of all that it depends on.
    dir: PathBuf,
}

/// What a cache was made of: for people, and to know caches that have had their day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// The installation's directory, or the image.
    pub(super) home: String,
    /// The runtime's `JAVA_RUNTIME_VERSION`.
    pub(super) jdk: String,
    pub(super) flags: String,
    /// Of the file, in bytes: a file of another size is none.
    pub(super) size: u64,
    /// Unix seconds.
    pub(super) made: i64,
}

/// Where caches of this user may be: `$XDG_CACHE_HOME/cratedb-test/jvm`, and for root, whose home is usually closed to
/// the user that runs its servers, a directory of the system.
pub(super) fn roots() -> Vec<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let of_system = rustix::process::geteuid().is_root().then(|| PathBuf::from("/var/cache"));
    cache.into_iter().chain(of_system).map(|dir| dir.join("cratedb-test/jvm")).collect()
}

/// The first one that others can get into, if they have to.
pub(super) fn root(for_others: bool) -> Option<PathBuf> {
    let open = |dir: &Path| fs::metadata(dir).map_or(true, |meta| meta.permissions().mode() & 0o001 != 0);
    roots().into_iter().find(|root| !for_others || root.ancestors().all(open))
}

/// It was used now: what was not used for long is removed first. By its path, since closing any descriptor of a lock's file
/// lets go of the lock.
pub(super) fn touch(path: &Path) {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
    // A cache that can only be read is none that is cleaned up.
    let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty());
}

impl Cache {
    /// A server is given it.
    pub(super) fn used(&self) {
        touch(&self.dir.join(ABOUT));
    }

    /// The one that depends on all of `parts`: an installation's path and files, its runtime, the flags.
    pub(super) fn of(root: &Path, parts: &[String]) -> Self {
        Self { dir: root.join(hash(parts)) }
    }

    /// The flag that makes a JVM use it. None if it is not there, or not whole, or its path is not one that survives a
    /// start script's shell.
    pub(super) fn flag(&self) -> Option<String> {
        let flag = format!("-XX:AOTCache={}", self.file()?.to_str()?);
        let keeps = |c: char| c.is_alphanumeric() || "/._-+,@%=:".contains(c);
        // A second colon would separate two files.
        (flag.chars().all(keeps) && flag.matches(':').count() == 1).then_some(flag)
    }

    /// The file for the JVM. None if it is not there, or not whole.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let about = self.about()?;
        let file = self.dir.join(FILE);
        (fs::metadata(&file).ok()?.len() == about.size).then_some(file)
    }

    fn about(&self) -> Option<About> {
        serde_json::from_slice(&fs::read(self.dir.join(ABOUT)).ok()?).ok()
    }

    /// A file that is there whether the cache is or not.
    fn beside(&self, extension: &str) -> PathBuf {
        self.dir.with_extension(extension)
    }

    /// Where it is made, if it is made beside its place; nobody else's while the lease is held.
    pub(super) fn work_dir(&self) -> PathBuf {
        self.beside("work")
    }

    /// Throws it away: it did not fit. Nothing stands in the way of a new one.
    pub(super) fn discard(&self) {
        // The description first: without it the file counts for nothing.
        let _ = fs::remove_file(self.dir.join(ABOUT));
        let _ = fs::remove_dir_all(&self.dir);
    }

    /// Takes `made`, a file that a JVM wrote, as the cache, and throws away what it replaces: caches of the same
    /// installation and the same flags.
    ///
    /// With `for_others`, another user can read it, too.
    pub(super) fn publish(&self, made: &Path, about: About, for_others: bool) -> io::Result<()> {
        let (dir_mode, file_mode) = if for_others { (0o755, 0o644) } else { (0o700, 0o600) };
        make_dirs(&self.dir, dir_mode)?;
        let _ = fs::remove_file(self.beside("failed"));
        let part = self.dir.join(format!("{FILE}.part"));
        let size = copy(made, &part, file_mode)?;
        let about = About { size, ..about };
        fs::rename(&part, self.dir.join(FILE))?;
        let text = serde_json::to_vec_pretty(&about)?;
        let part = self.dir.join(format!("{ABOUT}.part"));
        fs::write(&part, text)?;
        fs::rename(&part, self.dir.join(ABOUT))?;
        self.discard_older(&about);
        Ok(())
    }

    fn discard_older(&self, about: &About) {
        let Some(all) = self.dir.parent().and_then(|root| fs::read_dir(root).ok()) else { return };
        let others = all.filter_map(|entry| Some(Self { dir: entry.ok()?.path() })).filter(|other| other != self);
        let same = |other: &About| other.home == about.home && other.flags == about.flags;
        others.filter(|other| other.about().as_ref().is_some_and(same)).for_each(|other| other.discard());
    }
}

/// What a JVM says in its log of a cache that it does not use; none if it took it, or was given none.
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

/// The version of a runtime that can make and use caches, from its file `release`; none for any other.
pub(super) fn runtime_in(release: &str) -> Option<String> {
    let value = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(line.trim().trim_matches('"').to_owned())
    };
    let version = value("JAVA_VERSION")?;
    let major: u32 = version.split(['.', '-', '+']).next()?.parse().ok()?;
    (major >= FIRST_JDK).then(|| value("JAVA_RUNTIME_VERSION").unwrap_or(version))
}

/// The file as it was written, on the disk before anybody can find it. Whoever wrote it may be another user.
fn copy(from: &Path, to: &Path, mode: u32) -> io::Result<u64> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut source = fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(from)?;
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

/// What is there keeps its mode.
fn make_dirs(dir: &Path, mode: u32) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    missing.iter().try_for_each(|dir| fs::set_permissions(dir, fs::Permissions::from_mode(mode)))
}

/// FNV-1a with 64 bits, the same in every build; each part ends, so that two don't look like another two.
fn hash(parts: &[String]) -> String {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests;
