//! How a server is started as a process: the one place for its settings, its environment and its death with the keeper.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::process::Child;

use super::log::FILE;
use super::place::Place;
use super::user::User;
use crate::host::platform;
use crate::provider::{jvm, local};

/// Names the server's directory, in the environment of the server and of all that it starts.
pub(super) const MARK: &str = "CRATEDB_TEST_SERVER";

/// Beside those that containers have, too. Each port is a free one, and nobody outside gets in.
const SETTINGS: [&str; 5] =
    ["network.host=127.0.0.1", "http.port=0", "psql.port=0", "transport.tcp.port=0", "auth.host_based.enabled=false"];

/// One server as it is to be started.
#[derive(Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) home: &'a Path,
    /// The cluster's directory, by which all of it is found; that of one node is in it, or is it.
    pub(super) dir: &'a Path,
    pub(super) user: &'a User,
    /// It may stay after this process's end. Otherwise the kernel kills it when the thread that started it ends; the
    /// keeper has one thread that does, and it lives as long as the keeper.
    pub(super) outlives: bool,
    pub(super) nodes: u32,
    /// Flags for the JVM's cache.
    pub(super) jvm: &'a str,
}

/// What people see of a node, from 1 on.
pub(super) fn node_name(number: u32, nodes: u32) -> String {
    if nodes == 1 { "cratedb-test".to_owned() } else { format!("node-{number}") }
}

impl Start<'_> {
    /// Starts `bin/crate` as node `number`, from 1 on; the script becomes the server.
    pub(super) fn spawn(&self, number: u32, place: &Place) -> io::Result<Child> {
        let mut command = self.command(place)?;
        command.args(self.settings(number).iter().map(|setting| format!("-C{setting}")));
        for name in ["data", "logs", "conf"] {
            command.arg(format!("-Cpath.{name}={}", place.dir.join(name).display()));
        }
        tokio::process::Command::from(command).spawn()
    }

    /// Runs the start script with these flags alone: for what a JVM does before there is a server.
    pub(super) fn spawn_jvm(&self, place: &Place) -> io::Result<Child> {
        tokio::process::Command::from(self.command(place)?).spawn()
    }

    fn command(&self, place: &Place) -> io::Result<Command> {
        let log = place.dir.join(FILE);
        let output =
            OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(log)?;
        let mut command = Command::new(self.home.join("bin/crate"));
        command
            .env_clear()
            .env(MARK, self.dir)
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("HOME", &place.dir)
            .env("LANG", "C.UTF-8")
            .env("CRATE_HEAP_SIZE", jvm::heap(self.nodes))
            // Log files of the garbage collector, 1 GiB at most, that nobody reads.
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

    fn settings(&self, number: u32) -> Vec<String> {
        let name = node_name(number, self.nodes);
        let shared = SETTINGS.iter().chain(&local::SETTINGS).map(|setting| (*setting).to_owned());
        if self.nodes == 1 {
            let own = ["cluster.name=cratedb-test".to_owned(), format!("node.name={name}")];
            return own.into_iter().chain(shared).chain(local::SINGLE_NODE.map(str::to_owned)).collect();
        }
        // A name of its own, so that a stranger's node is never taken for one of these.
        let cluster = self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let own = [format!("cluster.name={cluster}"), format!("node.name={name}")];
        let discovery = [
            // The first one elects itself at once and the others join it, instead of all electing one.
            format!("cluster.initial_master_nodes={}", node_name(1, self.nodes)),
            // A file that is read again in each round: no port has to be known, or guessed, before the start.
            "discovery.seed_providers=file".to_owned(),
            "discovery.find_peers_interval=100ms".to_owned(),
        ];
        own.into_iter().chain(shared).chain(discovery).collect()
    }
}

fn die_with_this_process(command: &mut Command) {
    let keeper = rustix::process::getpid();
    // SAFETY: plain system calls, allowed between fork and exec. They come after the change of the user, which would undo
    // the first.
    unsafe { command.pre_exec(move || platform::die_with(keeper)) };
}
