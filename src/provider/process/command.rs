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
use crate::provider::local;

/// Names the server's directory, in the environment of the server and of all that it starts.
pub(super) const MARK: &str = "CRATEDB_TEST_SERVER";

/// Beside those that containers have, too. Each port is a free one, and nobody outside gets in.
const SETTINGS: [&str; 7] = [
    "cluster.name=cratedb-test",
    "node.name=cratedb-test",
    "network.host=127.0.0.1",
    "http.port=0",
    "psql.port=0",
    "transport.tcp.port=0",
    "auth.host_based.enabled=false",
];

/// For a server that lives for minutes: no time is spent on what pays later, and nothing is left outside its directory.
const JVM: &str =
    "-XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC -XX:-UsePerfData -XX:-HeapDumpOnOutOfMemoryError";

/// Starts `bin/crate`, whose script becomes the server.
///
/// With `outlives` it may stay after this process's end. Otherwise the kernel kills it when the thread that called this
/// ends; the keeper has one thread that does, and it lives as long as the keeper.
pub(super) fn spawn(home: &Path, place: &Place, user: &User, outlives: bool) -> io::Result<Child> {
    let log = place.dir.join(FILE);
    let output =
        OpenOptions::new().create_new(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(log)?;
    let mut command = Command::new(home.join("bin/crate"));
    command.args(
        SETTINGS.iter().chain(&local::SETTINGS).chain([&local::SINGLE_NODE]).map(|setting| format!("-C{setting}")),
    );
    for name in ["data", "logs", "conf"] {
        command.arg(format!("-Cpath.{name}={}", place.dir.join(name).display()));
    }
    command
        .env_clear()
        .env(MARK, &place.dir)
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("HOME", &place.dir)
        .env("LANG", "C.UTF-8")
        .env("CRATE_HEAP_SIZE", "512m")
        // Log files of the garbage collector, 1 GiB at most, that nobody reads.
        .env("CRATE_DISABLE_GC_LOGGING", "1")
        .env("CRATE_JAVA_OPTS", JVM)
        .current_dir(&place.dir)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0);
    user.applied_to(&mut command);
    if !outlives {
        die_with_this_process(&mut command);
    }
    tokio::process::Command::from(command).spawn()
}

#[cfg(target_os = "linux")]
fn die_with_this_process(command: &mut Command) {
    let keeper = rustix::process::getpid();
    // SAFETY: two plain system calls, allowed between fork and exec. They come after the change of the user, which would
    // undo the first.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            // It may have died before the signal was asked for.
            if rustix::process::getppid() == Some(keeper) { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
        });
    }
}

/// Elsewhere the next run ends what a killed keeper leaves.
#[cfg(not(target_os = "linux"))]
fn die_with_this_process(_: &mut Command) {}
