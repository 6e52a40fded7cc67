//! Ending a server and everything that it started, and deleting its data; now, or after the death of its keeper.

use std::io;
use std::path::Path;
use std::time::Instant;

use rustix::process::{Pid, Signal};

use super::place;
use crate::error::{Error, Kind, Result};
use crate::host::platform;
use crate::host::process::Identity;
use crate::wait::{self, Look};

/// Kills what belongs to the server of `dir`, then deletes `dir`. What is gone is no error.
///
/// SIGKILL at once: nothing of it is worth keeping, and a server that closes first takes time.
pub(super) async fn remove(dir: &Path, servers: &[Identity], deadline: Instant) -> Result<()> {
    let failed = |cause: String| {
        Error::new(Kind::Provider, format!("cannot remove the server in {}", dir.display())).because(cause)
    };
    if !place::is_ours(dir) {
        return Err(failed("this is no directory that a server was given".to_owned()));
    }
    let (end, deletion) =
        (format!("the end of the server in {}", dir.display()), format!("the deletion of {}", dir.display()));
    let gone = wait::until(
        &end,
        wait::LOCAL,
        deadline,
        |_| (),
        || async {
            let left = kill(dir, servers);
            Ok(if left.is_empty() { Look::Ready(()) } else { Look::NotYet(format!("processes {left:?} live")) })
        },
    );
    gone.await.map_err(|error| failed(error.to_string()))?;
    let deleted = wait::until(
        &deletion,
        wait::LOCAL,
        deadline,
        |_| (),
        || async {
            let target = dir.to_owned();
            let deleted = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(target)).await;
            Ok(match deleted.map_err(io::Error::other).flatten() {
                Ok(()) => Look::Ready(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !dir.exists() => Look::Ready(()),
                // The last thread of a killed process may still write; anything else is for people.
                Err(error) => Look::NotYet(error.to_string()),
            })
        },
    );
    deleted.await.map_err(|error| failed(error.to_string()).hint(format!("rm -rf {} removes it", dir.display())))
}

/// Kills what lives, and says what did.
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

/// Every process that carries the server's mark, whatever its group: also one of which the journal knows no number.
fn kill_marked(dir: &Path) -> Vec<u32> {
    let mark = format!("{}={}", super::command::MARK, dir.display()).into_bytes();
    let marked = |pid: u32| platform::environment(pid).split(|byte| *byte == 0).any(|entry| entry == mark);
    let others = platform::pids().into_iter().filter(|pid| *pid != std::process::id());
    others.filter(|pid| marked(*pid) && platform::kill_if(*pid, || marked(*pid))).collect()
}
