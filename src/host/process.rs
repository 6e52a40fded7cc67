//! Processes as a session sees them: who they are beyond a number that is used again, and which stand above which.
//!
//! Each is looked at by its number. Nothing here reads the whole process table.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};

use serde::{Deserialize, Serialize};

use super::platform::{self, Seen};
use crate::error::{Error, Kind, Result};

/// A process that is recognised even if its number is used again: for the journal and for display. A pidfd, where there
/// is one, tells more reliably whether the process lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// When it started, in the units of the system.
    pub(crate) start: u64,
    /// The process namespace that `pid` counts in; 0 where there is only one.
    pub(crate) namespace: u64,
    /// The boot that `start` counts from.
    pub(crate) boot: String,
    pub(crate) name: String,
}

impl Identity {
    /// Returns this process.
    pub(crate) fn own() -> Result<Self> {
        let pid = std::process::id();
        Self::of_pid(pid).ok_or_else(|| unseen(pid))
    }

    /// Returns a process of this namespace; none if it is gone.
    pub(crate) fn of_pid(pid: u32) -> Option<Self> {
        Some(Self::of(platform::look(pid)?))
    }

    fn of(seen: Seen) -> Self {
        let (namespace, boot) = (platform::namespace(), platform::boot());
        Self { pid: seen.pid, start: seen.start, namespace, boot, name: seen.name }
    }

    /// Returns true if its number still means this process, dead or alive.
    pub(crate) fn is_still_itself(&self) -> bool {
        platform::look(self.pid).is_some_and(|seen| seen.start == self.start)
    }

    /// Returns true if it still runs, as far as its number can tell.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_still_itself() && !platform::is_zombie(self.pid)
    }

    /// Returns a descriptor that becomes readable when the process ends; none if it is dead, or can't be watched.
    pub(crate) fn watch(&self) -> Option<OwnedFd> {
        // The start is compared afterwards: the descriptor may mean a process that got the number since.
        platform::watch(self.pid).ok().filter(|_| self.is_alive())
    }
}

/// The facts that tell to which run a process belongs.
#[derive(Clone, Debug)]
pub(crate) struct Ancestry {
    pub(crate) own: Identity,
    /// The processes whose life is the run, nearest first; the process itself if there is no runner above it.
    pub(crate) runners: Vec<Identity>,
    /// The run was killed before this process asked.
    pub(crate) orphan: bool,
    /// The keeper will die with the container in which the run takes place.
    pub(crate) doomed: bool,
}

/// Reads the ancestry of this process, up to the process `outer`. Takes some 10 µs an ancestor, so it is read once.
pub(crate) fn ancestry(outer: Option<u32>) -> Result<Ancestry> {
    let own = Identity::own()?;
    let above = ancestors_of(own.pid)?;
    let orphan = is_orphan();
    let inside: Vec<Seen> = above.iter().take_while(|seen| Some(seen.pid) != outer).cloned().collect();
    let mut runners: Vec<Identity> = inside.into_iter().filter(is_runner).map(Identity::of).collect();
    if runners.is_empty() {
        runners.push(own.clone());
    }
    // The first process of a container may be the test itself.
    let doomed = match above.last() {
        Some(top) => is_doom(top),
        None => platform::look(own.pid).is_some_and(|seen| is_doom(&seen)),
    };
    Ok(Ancestry { own, runners, orphan, doomed })
}

/// Returns the ancestry of a process of an explicit session. What stands above it does not matter, and may be out of
/// sight.
pub(crate) fn by_name(holds: bool) -> Ancestry {
    let own = Identity::own().unwrap_or_else(|_| Identity { pid: std::process::id(), ..Identity::default() });
    let runners = if holds { vec![own.clone()] } else { Vec::new() };
    // Only the holder's container counts: others may come from containers that the keeper is not in.
    let doomed = holds && own.pid == 1 && platform::look(1).is_some_and(|seen| is_doom(&seen));
    Ancestry { own, runners, orphan: false, doomed }
}

/// Returns true if the topmost process takes its namespace, and the keeper in it, with it when it ends.
fn is_doom(top: &Seen) -> bool {
    top.pid == 1 && !is_system_init(&top.name) && !platform::initial_namespace()
}

/// Returns true for every `cargo` and `cargo-nextest`. What stands between them (rustdoc, the merged doctest runner, a
/// shell) may end before the run does.
fn is_runner(seen: &Seen) -> bool {
    matches!(seen.name.as_str(), "cargo" | "cargo-nextest")
}

/// Returns true for the init of a whole system, which outlives a test run. Anything else as process 1 takes its
/// namespace with it.
fn is_system_init(name: &str) -> bool {
    matches!(name, "systemd" | "init" | "launchd" | "openrc-init" | "runit" | "s6-svscan")
}

fn ancestors_of(pid: u32) -> Result<Vec<Seen>> {
    let mut above = Vec::new();
    let mut next = platform::look(pid).ok_or_else(|| unseen(pid))?.parent;
    // A parent of 0 is the namespace's edge. If a process ends meanwhile, those above it can't be found.
    while next != 0 {
        let Some(seen) = platform::look(next) else {
            if above.is_empty() && next != 1 {
                return Err(unseen(next));
            }
            break;
        };
        next = seen.parent;
        above.push(seen);
    }
    Ok(above)
}

/// Returns true if one of these runners stands above this process, or a debugger traces it: then something between
/// waits for it.
pub(crate) fn is_tethered(runners: &[Identity]) -> bool {
    let above = ancestors_of(std::process::id()).unwrap_or_default();
    let is_above = |runner: &Identity| is_near(runner) && above.iter().any(|seen| seen.pid == runner.pid);
    runners.iter().any(is_above) || platform::is_traced()
}

/// Returns true if a process has its number in the process namespace of this one: the numbers of a container say
/// nothing here.
pub(crate) fn is_near(process: &Identity) -> bool {
    process.namespace == platform::namespace()
}

/// Returns the command of a process that still lives, for people: long ones are cut.
pub(crate) fn command_of(process: &Identity) -> Option<String> {
    const LONGEST: usize = 100;
    let command = process.is_still_itself().then(|| platform::command(process.pid)).flatten()?;
    match command.char_indices().nth(LONGEST) {
        Some((end, _)) => Some(format!("{}…", &command[..end])),
        None => Some(command),
    }
}

fn unseen(pid: u32) -> Error {
    Error::new(Kind::Session, format!("cannot see process {pid}"))
        .because(platform::UNSEEN.cause)
        .hint(format!("the end of a test run can't be noticed here; {}", platform::UNSEEN.remedy))
}

/// The parent that the constructor saw; 0 if it did not run.
static PARENT_AT_BIRTH: AtomicI32 = AtomicI32::new(0);

/// Stores this process's parent. The constructor calls it, before `main`.
pub(crate) fn remember_parent() {
    PARENT_AT_BIRTH.store(parent(), Ordering::Relaxed);
}

fn parent() -> i32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
}

/// Returns true if the parent died since the constructor ran.
fn is_orphan() -> bool {
    let at_birth = PARENT_AT_BIRTH.load(Ordering::Relaxed);
    at_birth != 0 && at_birth != parent()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_itself_and_not_a_namesake_that_started_later() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive() && own.watch().is_some());
        let namesake = Identity { start: own.start + 1, ..own };
        assert!(!namesake.is_alive() && namesake.watch().is_none());
    }

    #[test]
    fn a_dead_child_is_dead_although_nobody_has_waited_for_it() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of_pid(child.id()).unwrap();
        assert!(identity.is_alive());
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while identity.is_alive() {
            assert!(std::time::Instant::now() < deadline, "still alive");
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn runners_end_at_the_outer_process() {
        let all = ancestors_of(std::process::id()).unwrap();
        let outer = all.first().map(|seen| seen.pid);
        let inside = ancestry(outer).unwrap();
        assert_eq!(
            inside.runners,
            std::slice::from_ref(&inside.own),
            "everything above is outside, so the process is its own runner"
        );
    }
}
