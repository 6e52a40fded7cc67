//! The command of a server's process: its settings, its environment, its user, and its death with the keeper.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::process::Child;

use super::directory::NodeDir;
use super::log::FILE;
use crate::host::{platform, private_file};
use crate::provider::guard::Guard;
use crate::provider::{jvm, local};
use crate::target::ServerSettings;

/// The variable that names the server's directory to the server and to all processes that it starts.
pub(super) const MARK: &str = "CRATEDB_TEST_SERVER";

/// Settings beside those of all local servers. Ports are free ones, and only this machine can connect.
const SETTINGS: [&str; 4] = ["network.host=127.0.0.1", "http.port=0", "psql.port=0", "transport.tcp.port=0"];

/// The parameters by which the nodes of one cluster are started.
#[derive(Clone, Copy)]
pub(super) struct ServerCommand<'a> {
    pub(super) home: &'a Path,
    /// The cluster's directory, by which all of it is found. It contains those of its nodes, or is that of the only
    /// one.
    pub(super) dir: &'a Path,
    pub(super) user: &'a ServerUser,
    /// Set if it may outlive this process. Otherwise the kernel kills it when the thread that started it ends. In a
    /// keeper that thread lives as long as the keeper.
    pub(super) outlives: bool,
    pub(super) nodes: u32,
    /// The settings that tests ask for.
    pub(super) settings: &'a ServerSettings,
    /// None lets every client in.
    pub(super) guard: Option<&'a Guard>,
    /// Flags for the JVM's cache.
    pub(super) jvm: &'a str,
}

/// Returns the name of a node, whose numbers begin with 1.
pub(super) fn node_name(number: u32, nodes: u32) -> String {
    if nodes == 1 { "cratedb-test".to_owned() } else { format!("node-{number}") }
}

impl ServerCommand<'_> {
    /// Starts `bin/crate` as node `number`, counted from 1. The script becomes the server.
    pub(super) fn spawn(&self, number: u32, place: &NodeDir) -> io::Result<Child> {
        let mut command = self.command(place)?;
        let paths = ["data", "logs", "conf"].map(|name| format!("path.{name}={}", place.dir.join(name).display()));
        let guarded = match self.guard {
            Some(guard) => guard.settings(&place.keystore().display().to_string()),
            None => vec!["auth.host_based.enabled=false".to_owned()],
        };
        command.args(self.settings.arguments([self.own_settings(number), paths.into(), guarded].concat()));
        tokio::process::Command::from(command).spawn()
    }

    /// Runs the start script with the JVM's flags alone, for what a JVM does before there is a server.
    pub(super) fn spawn_jvm(&self, place: &NodeDir) -> io::Result<Child> {
        tokio::process::Command::from(self.command(place)?).spawn()
    }

    fn command(&self, place: &NodeDir) -> io::Result<Command> {
        let output = private_file().create(true).append(true).open(place.dir.join(FILE))?;
        let mut command = Command::new(self.home.join("bin/crate"));
        command
            .env_clear()
            .env(MARK, self.dir)
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("HOME", &place.dir)
            .env("LANG", "C.UTF-8")
            .env("CRATE_HEAP_SIZE", jvm::heap(self.nodes))
            // No log files of the garbage collector, which take up to 1 GiB.
            .env("CRATE_DISABLE_GC_LOGGING", "1")
            .env("CRATE_JAVA_OPTS", format!("{} {} {}", jvm::FLAGS, jvm::FIRST_HEAP, self.jvm))
            .current_dir(&place.dir)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        self.user.applied_to(&mut command);
        if !self.outlives {
            die_with_this_process(&mut command);
        }
        Ok(command)
    }

    /// Returns the settings that the harness chooses.
    fn own_settings(&self, number: u32) -> Vec<String> {
        let name = node_name(number, self.nodes);
        let shared = SETTINGS.iter().chain(&local::SETTINGS).map(|setting| (*setting).to_owned());
        if self.nodes == 1 {
            let own = ["cluster.name=cratedb-test".to_owned(), format!("node.name={name}")];
            return own.into_iter().chain(shared).chain(local::SINGLE_NODE.map(str::to_owned)).collect();
        }
        // A unique name, so that nodes of other clusters never join.
        let cluster = self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let own = [format!("cluster.name={cluster}"), format!("node.name={name}")];
        let discovery = [
            // The first node elects itself at once and the others join it, which saves an election.
            format!("cluster.initial_master_nodes={}", node_name(1, self.nodes)),
            // Nodes read this file again in each round, so no port has to be known before the start.
            "discovery.seed_providers=file".to_owned(),
            "discovery.find_peers_interval=100ms".to_owned(),
        ];
        own.into_iter().chain(shared).chain(discovery).collect()
    }
}

/// User and group of `nobody` on a system whose user database has none.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// The user that runs the server: the keeper's, or `nobody` if that is root, since CrateDB refuses to run as root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerUser {
    /// User and group. None for the keeper's own.
    other: Option<(u32, u32)>,
}

fn nobody_in(users: &str) -> Option<(u32, u32)> {
    let fields: Vec<&str> = users.lines().find(|line| line.starts_with("nobody:"))?.split(':').collect();
    let (user, group): (u32, u32) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
    (user != 0).then_some((user, group))
}

impl ServerUser {
    /// Returns the user that runs servers for the user of this process.
    pub(super) fn find() -> Self {
        let nobody = || nobody_in(&fs::read_to_string("/etc/passwd").unwrap_or_default()).unwrap_or(NOBODY);
        Self { other: rustix::process::geteuid().is_root().then(nobody) }
    }

    pub(super) fn is_other(&self) -> bool {
        self.other.is_some()
    }

    /// Makes a command run as this user, without root's groups.
    pub(super) fn applied_to(&self, command: &mut Command) {
        if let Some((user, group)) = self.other {
            command.uid(user).gid(group);
        }
    }

    /// Makes this user the owner of a new file.
    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        match self.other {
            Some((user, group)) => std::os::unix::fs::lchown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// Returns ` as user nobody (65534)` for messages, or an empty text for the keeper's own user.
    pub(super) fn as_whom(&self) -> String {
        self.other.map_or(String::new(), |(user, _)| format!(" as user nobody ({user})"))
    }
}

/// Asks the kernel to kill the server with the keeper, where it can.
fn die_with_this_process(command: &mut Command) {
    let keeper = rustix::process::getpid();
    // SAFETY: plain system calls, allowed between fork and exec. They follow the change of the user, which would undo
    // the first.
    unsafe { command.pre_exec(move || platform::die_with(keeper)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_found_in_the_user_database_and_is_never_root() {
        assert_eq!(nobody_in("root:x:0:0::/:/bin/sh\nnobody:x:99:98:n:/:/bin/false\n"), Some((99, 98)));
        assert_eq!(nobody_in("nobody:x:0:0:n:/:/bin/false"), None);
        assert_eq!(nobody_in("nobody"), None);
        assert_eq!(nobody_in(""), None);
    }
}
