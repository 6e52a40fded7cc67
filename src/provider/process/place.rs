//! Where a server's data is while it lives: in memory if there is room, else on disk.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::user::User;
use crate::error::{Error, Kind, Result};
use crate::host::platform::free_in_memory;
use crate::provider::memory;

/// Directories of ours, which may be removed, are recognised by this and sixteen hexadecimal digits.
const PREFIX: &str = "cratedb-test-";
const MIB: u64 = 1 << 20;
/// Of a file system in memory, and of the machine's memory: for the data, the server itself and the tests.
const MEMORY_FREE: u64 = 1024 * MIB;
const MACHINE_FREE: u64 = 3 * 1024 * MIB;
/// What each further node takes of the machine's memory: its heap, and what a JVM needs beside it.
const NODE: u64 = 640 * MIB;
/// An empty server needs a few; with less than this it fails at the first tests.
const DISK_FREE: u64 = 256 * MIB;

/// Log lines to standard output only, where the keeper finds them; a file beside it would double them.
const LOGGING: &str = "status = error
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %marker%m%n
";

/// Directories in which a server's own directory may be made.
#[derive(Clone, Debug)]
pub(super) struct Bases {
    pub(super) memory: PathBuf,
    /// In the order in which they are tried.
    pub(super) disk: Vec<PathBuf>,
}

/// The directory of one node.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    /// Where a node of several reads the addresses of others, again and again. Opened before the other user owns the
    /// directory, so that nothing is ever written by a path that is that user's.
    seeds: fs::File,
}

impl Bases {
    pub(super) fn of_this_machine() -> Self {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        let cache = cache.map(|cache| cache.join("cratedb-test"));
        Self {
            memory: "/dev/shm".into(),
            disk: cache.into_iter().chain(["/var/tmp".into(), std::env::temp_dir()]).collect(),
        }
    }

    /// A name for a new directory, where there is room for it. Nothing is made but the cache's own directory.
    pub(super) fn choose(&self, user: &User, nodes: u32) -> Result<PathBuf> {
        let name = format!("{PREFIX}{:016x}", fastrand::u64(..));
        let memory = memory::available();
        enough(memory, nodes)?;
        let others = u64::from(nodes.saturating_sub(1)) * NODE;
        if free_in_memory(&self.memory).is_some_and(|free| free >= MEMORY_FREE)
            && memory.is_none_or(|free| free >= MACHINE_FREE + others)
            && usable(&self.memory, user).is_ok()
        {
            return Ok(self.memory.join(name));
        }
        let mut refused = Vec::new();
        for base in &self.disk {
            match usable(base, user) {
                Ok(()) => return Ok(base.join(name)),
                Err(why) => refused.push(format!("{}: {why}", base.display())),
            }
        }
        let error = Error::new(Kind::Provider, "cannot make a data directory for CrateDB")
            .because("there is no room for it in memory, and no place on disk can be used");
        let error = refused.into_iter().fold(error, Error::hint);
        Err(error.hint("XDG_CACHE_HOME names another place"))
    }

    pub(super) fn is_memory(&self, dir: &Path) -> bool {
        dir.starts_with(&self.memory)
    }
}

impl Place {
    /// Makes the directory of a cluster, and in it what each of its nodes wants to find. One node has it for itself.
    pub(super) fn make(dir: &Path, user: &User, nodes: u32) -> Result<Vec<Self>> {
        let made = || match nodes {
            1 => Ok(vec![Self::make_one(dir, user)?]),
            _ => {
                make_dir(dir)?;
                let places = (1..=nodes).map(|number| Self::make_one(&dir.join(number.to_string()), user));
                let places = places.collect::<io::Result<_>>()?;
                user.own(dir).map(|()| places)
            }
        };
        made().map_err(|error| {
            Error::new(Kind::Provider, format!("cannot make the directory {} for CrateDB", dir.display()))
                .because(error)
        })
    }

    fn make_one(dir: &Path, user: &User) -> io::Result<Self> {
        let write = |path: PathBuf, text: &str| {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())?;
            user.own(&path).map(|()| file)
        };
        make_dir(dir)?;
        for name in ["data", "logs", "conf", "tmp"] {
            make_dir(&dir.join(name))?;
            user.own(&dir.join(name))?;
        }
        write(dir.join("conf/crate.yml"), "")?;
        write(dir.join("conf/log4j2.properties"), LOGGING)?;
        let seeds = write(dir.join("conf/unicast_hosts.txt"), "")?;
        // Last: from here on the other user may change what is in it.
        user.own(dir)?;
        Ok(Self { dir: dir.to_owned(), seeds })
    }

    /// Tells the node where another one is. One write, so nobody reads half an address.
    pub(super) fn introduce(&self, address: &str) -> io::Result<()> {
        (&self.seeds).write_all(format!("{address}\n").as_bytes())
    }
}

/// Says so if there is no room left in `dir`: the server's own words about it may not have fitted into its log.
pub(super) fn full(dir: &Path, error: Error) -> Error {
    match rustix::fs::statvfs(dir) {
        Ok(stat) if stat.f_bavail.saturating_mul(stat.f_frsize) < MIB => {
            error.hint(format!("no space is left where its data is, in {}", dir.display()))
        }
        _ => error,
    }
}

/// Whether a directory, from a journal, is one that was made here.
pub(super) fn is_ours(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = name.strip_prefix(PREFIX).unwrap_or_default();
    dir.is_absolute() && digits.len() == 16 && digits.chars().all(|c| c.is_ascii_hexdigit())
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(dir)
}

/// One node is tried in any case; several at once would make the kernel choose whom to kill.
fn enough(available: Option<u64>, nodes: u32) -> Result<()> {
    let needed = u64::from(nodes) * NODE;
    match available {
        Some(free) if nodes > 1 && free < needed => {
            Err(Error::new(Kind::Provider, format!("cannot start {nodes} nodes of CrateDB"))
                .because(format!("they need {} MiB of memory, and {} MiB are available", needed / MIB, free / MIB))
                .hint("fewer nodes need less: nodes = 2"))
        }
        _ => Ok(()),
    }
}

/// Whether the server's user can have a directory in `base`, or why not.
fn usable(base: &Path, user: &User) -> Result<(), String> {
    // The start script hands settings to a shell once more.
    let text = base.to_str().ok_or("its path is not UTF-8")?;
    if let Some(odd) = text.chars().find(|c| matches!(c, '$' | '`' | '"' | '\\' | '\n')) {
        return Err(format!("its path has a {odd:?}, which the start script of CrateDB would not keep"));
    }
    if !base.exists() {
        make_base(base, user).map_err(|error| error.to_string())?;
    }
    let stat = rustix::fs::statvfs(base).map_err(|error| error.to_string())?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < DISK_FREE {
        return Err(format!("only {} MiB are free, {} MiB are needed", free / MIB, DISK_FREE / MIB));
    }
    rustix::fs::access(base, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).map_err(|e| e.to_string())?;
    let closed = |dir: &&Path| fs::metadata(dir).is_ok_and(|meta| meta.mode() & 0o001 == 0);
    match base.ancestors().find(closed) {
        Some(closed) if user.is_other() => Err(format!("{} is closed to others{}", closed.display(), user.as_whom())),
        _ => Ok(()),
    }
}

/// Another user has to get through what is made; whatever was there keeps its mode.
fn make_base(base: &Path, user: &User) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let missing: Vec<&Path> = base.ancestors().take_while(|dir| !dir.exists()).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(base)?;
    match user.is_other() {
        true => missing.iter().try_for_each(|dir| fs::set_permissions(dir, fs::Permissions::from_mode(0o711))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::process::user;

    /// Open to everybody, since these tests may run as root and servers never do.
    fn open_dir() -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[test]
    fn without_room_in_memory_the_first_usable_place_on_disk_is_taken() {
        let (dir, user) = (open_dir(), user::find());
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let bases =
            Bases { memory: "/nowhere".into(), disk: vec![file.join("x"), "/odd/$HOME".into(), dir.path().join("c")] };
        let chosen = bases.choose(&user, 1).unwrap();
        assert_eq!(chosen.parent().unwrap(), dir.path().join("c"));
        assert!(is_ours(&chosen) && !chosen.exists() && !bases.is_memory(&chosen), "{}", chosen.display());
    }

    #[test]
    fn without_any_place_each_one_says_what_it_lacks() {
        let dir = open_dir();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let bases =
            Bases { memory: "/nowhere".into(), disk: vec![file.join("x"), "/odd/$HOME".into(), "/proc".into()] };
        let text = bases.choose(&user::find(), 1).unwrap_err().to_string();
        for part in ["cannot make a data directory", "Not a directory", "'$'", "only 0 MiB are free", "XDG_CACHE_HOME"]
        {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }

    #[test]
    fn several_nodes_are_refused_where_memory_is_short_and_one_never_is() {
        let text = enough(Some(1000 * MIB), 3).unwrap_err().to_string();
        for part in ["cannot start 3 nodes", "need 1920 MiB", "1000 MiB are available"] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        assert!(enough(Some(0), 1).is_ok() && enough(Some(1920 * MIB), 3).is_ok() && enough(None, 9).is_ok());
    }

    #[test]
    fn only_directories_of_this_kind_are_ours() {
        assert!(is_ours(Path::new("/dev/shm/cratedb-test-0123456789abcdef")));
        for other in
            ["/", "/dev/shm", "/dev/shm/cratedb-test-", "/tmp/cratedb-test-1000", "cratedb-test-0123456789abcdef"]
        {
            assert!(!is_ours(Path::new(other)), "{other}");
        }
    }
}
