//! The directory of a server: chosen in memory or on disk, made, and removed with all processes that belong to it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::{Pid, Signal};

use super::command::{MARK, ServerUser};
use crate::error::{Error, Kind, Result};
use crate::host::platform;
use crate::host::platform::free_in_memory;
use crate::host::process::Identity;
use crate::host::{closed_to_others, free_space, make_with_mode, private_file, user_cache, writable};
use crate::provider::guard::{CA, Guard};
use crate::provider::memory;
use crate::wait::{self, Look};

/// The harness's directories, which may be removed, have a name of this prefix and sixteen hexadecimal digits.
const PREFIX: &str = "cratedb-test-";
/// The key of a guarded node, in its directory.
const KEYSTORE: &str = "conf/keystore";
const MIB: u64 = 1 << 20;
/// The bytes that must be free in a file system in memory, and in the machine's memory, for the data, one server and
/// the tests.
const MEMORY_FREE: u64 = 1024 * MIB;
const MACHINE_FREE: u64 = 3 * 1024 * MIB;
/// The bytes that must be free on disk. An empty server needs a few MiB, but with less than this it fails at the first
/// tests.
const DISK_FREE: u64 = 256 * MIB;

/// Logs to standard output only, where the keeper finds the lines. A log file would double them.
const LOGGING: &str = "status = error
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %marker%m%n
";

/// The directories in which a server's own directory may be made.
#[derive(Clone, Debug)]
pub(super) struct DataDirs {
    pub(super) memory: PathBuf,
    /// Directories on disk, in the order in which they are tried.
    pub(super) disk: Vec<PathBuf>,
}

/// The directory of one node.
#[derive(Debug)]
pub(super) struct NodeDir {
    pub(super) dir: PathBuf,
    /// The file in which the node reads the addresses of other nodes, again and again. It is opened before the other
    /// user owns the directory, so that this process never writes through a path of that user.
    seeds: fs::File,
}

impl DataDirs {
    pub(super) fn of_this_machine() -> Self {
        let cache = user_cache().map(|cache| cache.join("cratedb-test"));
        Self {
            memory: "/dev/shm".into(),
            disk: cache.into_iter().chain(["/var/tmp".into(), std::env::temp_dir()]).collect(),
        }
    }

    /// Chooses a new directory where there is room for it. Makes nothing but the cache's own directory.
    pub(super) fn choose(&self, user: &ServerUser, nodes: u32) -> Result<PathBuf> {
        let name = format!("{PREFIX}{:016x}", fastrand::u64(..));
        let memory = memory::available();
        enough(memory, nodes)?;
        if free_in_memory(&self.memory).is_some_and(|free| free >= MEMORY_FREE)
            && memory.is_none_or(|free| free >= MACHINE_FREE + memory::need(nodes) - memory::need(1))
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
        Err(error.hints(refused).hint("XDG_CACHE_HOME names another place"))
    }

    pub(super) fn is_memory(&self, dir: &Path) -> bool {
        dir.starts_with(&self.memory)
    }
}

impl NodeDir {
    /// Makes the directory of a cluster with the files that its nodes expect, keys of a guarded one among them. Several
    /// nodes have a directory each in it.
    pub(super) fn make(dir: &Path, user: &ServerUser, nodes: u32, guard: Option<&Guard>) -> Result<Vec<Self>> {
        let made = || match nodes {
            1 => Ok(vec![Self::make_one(dir, user, guard)?]),
            _ => {
                make_dir(dir)?;
                let places = (1..=nodes).map(|number| Self::make_one(&dir.join(number.to_string()), user, guard));
                let places = places.collect::<io::Result<_>>()?;
                user.own(dir).map(|()| places)
            }
        };
        made().map_err(|error| {
            Error::new(Kind::Provider, format!("cannot make the directory {} for CrateDB", dir.display()))
                .because(error)
        })
    }

    fn make_one(dir: &Path, user: &ServerUser, guard: Option<&Guard>) -> io::Result<Self> {
        let write = |path: PathBuf, content: &[u8]| {
            let mut file = private_file().write(true).create_new(true).open(&path)?;
            file.write_all(content)?;
            user.own(&path).map(|()| file)
        };
        make_dir(dir)?;
        for name in ["data", "logs", "conf", "tmp"] {
            make_dir(&dir.join(name))?;
            user.own(&dir.join(name))?;
        }
        write(dir.join("conf/crate.yml"), b"")?;
        write(dir.join("conf/log4j2.properties"), LOGGING.as_bytes())?;
        let seeds = write(dir.join("conf/unicast_hosts.txt"), b"")?;
        if let Some(guard) = guard {
            write(dir.join(KEYSTORE), guard.keystore())?;
            write(dir.join(CA), guard.ca_pem().as_bytes())?;
        }
        // Last, since from here on the other user may change what is in it.
        user.own(dir)?;
        Ok(Self { dir: dir.to_owned(), seeds })
    }

    /// Returns the file with the key of a guarded node.
    pub(super) fn keystore(&self) -> PathBuf {
        self.dir.join(KEYSTORE)
    }

    /// Tells the node the address of another one. It is one write, so that no node reads half an address.
    pub(super) fn introduce(&self, address: &str) -> io::Result<()> {
        (&self.seeds).write_all(format!("{address}\n").as_bytes())
    }
}

/// Adds to an error that there is no room left in `dir`, if so. The server's own message may not have fitted into its
/// log.
pub(super) fn full(dir: &Path, error: Error) -> Error {
    match free_space(dir) {
        Ok(..MIB) => error.hint(format!("no space is left where its data is, in {}", dir.display())),
        _ => error,
    }
}

/// Returns whether a directory that a journal names has the name of one that the harness makes.
pub(super) fn is_ours(dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = name.strip_prefix(PREFIX).unwrap_or_default();
    dir.is_absolute() && digits.len() == 16 && digits.chars().all(|c| c.is_ascii_hexdigit())
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(dir)
}

/// Refuses several nodes that do not fit in memory, since the kernel would choose which process to kill. A single node
/// is always tried.
fn enough(available: Option<u64>, nodes: u32) -> Result<()> {
    let needed = memory::need(nodes);
    // Some MiB may be gone again since the wait for memory ended.
    let least = needed - needed / 16;
    match available {
        Some(free) if nodes > 1 && free < least => {
            Err(Error::new(Kind::Provider, format!("cannot start {nodes} nodes of CrateDB"))
                .because(format!("they need {} MiB of memory, and {} MiB are available", needed / MIB, free / MIB))
                .hint("fewer nodes need less: nodes = 2"))
        }
        _ => Ok(()),
    }
}

/// Checks that the server's user can have a directory in `base`. The error says why not.
fn usable(base: &Path, user: &ServerUser) -> Result<(), String> {
    // The start script passes settings through a shell once more.
    let text = base.to_str().ok_or("its path is not UTF-8")?;
    if let Some(odd) = text.chars().find(|c| matches!(c, '$' | '`' | '"' | '\\' | '\n')) {
        return Err(format!("its path has a {odd:?}, which the start script of CrateDB would not keep"));
    }
    if !base.exists() {
        // Another user has to pass through the new directories.
        let mode = if user.is_other() { 0o711 } else { 0o700 };
        make_with_mode(base, mode).map_err(|error| error.to_string())?;
    }
    let free = free_space(base).map_err(|error| error.to_string())?;
    if free < DISK_FREE {
        return Err(format!("only {} MiB are free, {} MiB are needed", free / MIB, DISK_FREE / MIB));
    }
    writable(base).map_err(|error| error.to_string())?;
    match closed_to_others(base) {
        Some(closed) if user.is_other() => Err(format!("{} is closed to others{}", closed.display(), user.as_whom())),
        _ => Ok(()),
    }
}

/// Kills all processes of the server in `dir`, then deletes `dir`. It is no error if they are gone.
///
/// It sends SIGKILL at once, since nothing of the server is worth keeping and an orderly shutdown takes time.
pub(super) async fn remove(dir: &Path, servers: &[Identity], deadline: Instant) -> Result<()> {
    let failed = |cause: String| {
        Error::new(Kind::Provider, format!("cannot remove the server in {}", dir.display())).because(cause)
    };
    if !is_ours(dir) {
        return Err(failed("this is no directory that a server was given".to_owned()));
    }
    let ended = || async {
        let left = kill(dir, servers);
        Ok(if left.is_empty() { Look::Ready(()) } else { Look::NotYet(format!("processes {left:?} live")) })
    };
    let end = format!("the end of the server in {}", dir.display());
    let gone = wait::until(&end, wait::LOCAL, deadline, |_| (), ended).await;
    gone.map_err(|error| failed(error.to_string()))?;
    let deleted = || async {
        let target = dir.to_owned();
        let deleted = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(target)).await;
        Ok(match deleted.map_err(io::Error::other).flatten() {
            Ok(()) => Look::Ready(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !dir.exists() => Look::Ready(()),
            // The last thread of a killed process may still write. People have to see to anything else.
            Err(error) => Look::NotYet(error.to_string()),
        })
    };
    let deletion = format!("the deletion of {}", dir.display());
    let deleted = wait::until(&deletion, wait::LOCAL, deadline, |_| (), deleted).await;
    deleted.map_err(|error| failed(error.to_string()).hint(format!("rm -rf {} removes it", dir.display())))
}

/// Kills the processes that are alive, and returns their ids.
fn kill(dir: &Path, servers: &[Identity]) -> Vec<u32> {
    let mut left = Vec::new();
    for server in servers.iter().filter(|server| server.is_alive()) {
        if let Some(pid) = Pid::from_raw(i32::try_from(server.pid).unwrap_or_default()) {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
            left.push(server.pid);
        }
    }
    left.extend(kill_marked(dir));
    left
}

/// Kills every process that carries the server's mark, whatever its group, also if the journal does not know its id.
fn kill_marked(dir: &Path) -> Vec<u32> {
    let mark = format!("{MARK}={}", dir.display()).into_bytes();
    let marked = |pid: u32| platform::environment(pid).split(|byte| *byte == 0).any(|entry| entry == mark);
    let others = platform::pids().into_iter().filter(|pid| *pid != std::process::id());
    others.filter(|pid| marked(*pid) && platform::kill_if(*pid, || marked(*pid))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::tests::open_dir;

    #[test]
    fn without_room_in_memory_the_first_usable_place_on_disk_is_taken() {
        let (dir, user) = (open_dir(), ServerUser::find());
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let bases = DataDirs {
            memory: "/nowhere".into(),
            disk: vec![file.join("x"), "/odd/$HOME".into(), dir.path().join("c")],
        };
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
            DataDirs { memory: "/nowhere".into(), disk: vec![file.join("x"), "/odd/$HOME".into(), "/proc".into()] };
        let text = bases.choose(&ServerUser::find(), 1).unwrap_err().to_string();
        for part in ["cannot make a data directory", "Not a directory", "'$'", "only 0 MiB are free", "XDG_CACHE_HOME"]
        {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }

    #[test]
    fn several_nodes_are_refused_where_memory_is_short_and_one_never_is() {
        let text = enough(Some(1000 * MIB), 3).unwrap_err().to_string();
        for part in ["cannot start 3 nodes", "need 2052 MiB", "1000 MiB are available"] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        assert!(enough(Some(0), 1).is_ok() && enough(Some(2052 * MIB), 3).is_ok() && enough(None, 9).is_ok());
        // The reservation waits for 2052 MiB, and less may be left a moment later.
        assert!(enough(Some(1924 * MIB), 3).is_ok() && enough(Some(1923 * MIB), 3).is_err());
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
