//! Processes as the session sees them: who they are beyond a number that is used again, and who stands above whom.
//!
//! On Linux everything is read from `/proc`, two small files a process; elsewhere `sysinfo` is asked for one process at
//! a time. Never a scan.

#[cfg(target_os = "linux")]
#[path = "process/linux.rs"]
mod os;
#[cfg(not(target_os = "linux"))]
#[path = "process/portable.rs"]
mod os;
#[cfg(all(test, target_os = "linux"))]
mod portable;

use std::sync::atomic::{AtomicI32, Ordering};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

/// A process, recognised again although its number may be used again: for the journal and for display. Whether it lives
/// is asked of its pidfd where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

/// One look at a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) start: u64,
    pub(crate) name: String,
}

impl Identity {
    pub(crate) fn own() -> Result<Self> {
        let pid = std::process::id();
        let seen = os::look(pid).ok_or_else(|| unseen(pid))?;
        Ok(Self::of(seen))
    }

    /// A process of this namespace; none if it is gone.
    #[cfg_attr(not(feature = "process"), allow(dead_code))]
    pub(crate) fn of_pid(pid: u32) -> Option<Self> {
        Some(Self::of(os::look(pid)?))
    }

    fn of(seen: Seen) -> Self {
        Self { pid: seen.pid, start: seen.start, namespace: os::namespace(), boot: os::boot(), name: seen.name }
    }

    /// Whether its number still means this process, dead or alive.
    pub(crate) fn is_still_itself(&self) -> bool {
        os::look(self.pid).is_some_and(|seen| seen.start == self.start)
    }

    /// Whether it still runs, as far as its number can tell.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_still_itself() && !os::is_zombie(self.pid)
    }
}

/// What a process has to say about the run that it belongs to.
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

/// Reads the ancestry of this process. Not cheap (some 10 µs an ancestor): found once per process.
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
        None => os::look(own.pid).is_some_and(|seen| is_doom(&seen)),
    };
    Ok(Ancestry { own, runners, orphan, doomed })
}

/// A process of an explicit session: what stands above it does not matter, it may even be out of sight.
pub(crate) fn by_name(holds: bool) -> Ancestry {
    let own = Identity::own().unwrap_or_else(|_| Identity {
        pid: std::process::id(),
        start: 0,
        namespace: 0,
        boot: String::new(),
        name: String::new(),
    });
    let runners = if holds { vec![own.clone()] } else { Vec::new() };
    // Of who holds it: others may come from containers of their own, and the keeper need not be in one of those.
    let doomed = holds && (own.pid == 1 && os::look(1).is_some_and(|seen| is_doom(&seen)));
    Ancestry { own, runners, orphan: false, doomed }
}

/// Whether this process takes its namespace, and the keeper in it, with it when it ends.
fn is_doom(top: &Seen) -> bool {
    top.pid == 1 && !is_system_init(&top.name) && !os::initial_namespace()
}

/// Every `cargo` and `cargo-nextest` counts. What stands between (rustdoc, the merged doctest runner, a shell) does not:
/// it may end before the run does.
fn is_runner(seen: &Seen) -> bool {
    matches!(seen.name.as_str(), "cargo" | "cargo-nextest")
}

/// An init of a whole system outlives a test run; anything else as process 1 takes its namespace with it.
fn is_system_init(name: &str) -> bool {
    matches!(name, "systemd" | "init" | "launchd" | "openrc-init" | "runit" | "s6-svscan")
}

fn ancestors_of(pid: u32) -> Result<Vec<Seen>> {
    let mut above = Vec::new();
    let mut next = os::look(pid).ok_or_else(|| unseen(pid))?.parent;
    // A parent of 0 is the namespace's edge. A process that ends while we look is followed by nobody we could find.
    while next != 0 {
        let Some(seen) = os::look(next) else {
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

/// Whether one of these runners stands above this process, or somebody traces it: then something between waits for it.
pub(crate) fn is_tethered(runners: &[Identity]) -> bool {
    let above = ancestors_of(std::process::id()).unwrap_or_default();
    let is_above = |runner: &Identity| is_near(runner) && above.iter().any(|seen| seen.pid == runner.pid);
    runners.iter().any(is_above) || os::is_traced()
}

/// Whether a process has its number in the process namespace of this one: the numbers of a container say nothing here.
pub(crate) fn is_near(process: &Identity) -> bool {
    process.namespace == os::namespace()
}

/// The command of a process that still lives, for people: short, since commands may be long.
pub(crate) fn command_of(process: &Identity) -> Option<String> {
    const LONGEST: usize = 100;
    let command = process.is_still_itself().then(|| os::command(process.pid)).flatten()?;
    match command.char_indices().nth(LONGEST) {
        Some((end, _)) => Some(format!("{}…", &command[..end])),
        None => Some(command),
    }
}

#[cfg(test)]
pub(crate) fn start_of(pid: u32) -> Option<u64> {
    Some(os::look(pid)?.start)
}

fn unseen(pid: u32) -> Error {
    Error::new(Kind::Session, format!("cannot see process {pid}"))
        .because("/proc is hidden or belongs to another process namespace")
        .hint("the end of a test run can't be noticed here; mount /proc without `hidepid`, for this namespace")
}

/// The parent that the constructor saw; 0 if it did not run.
static PARENT_AT_BIRTH: AtomicI32 = AtomicI32::new(0);

/// Called by the constructor, before `main`.
pub(crate) fn remember_parent() {
    PARENT_AT_BIRTH.store(parent(), Ordering::Relaxed);
}

fn parent() -> i32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
}

/// Whether the parent died since the constructor ran.
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
        assert!(own.is_alive());
        assert!(!Identity { start: own.start + 1, ..own }.is_alive());
    }

    #[test]
    fn a_dead_child_is_dead_although_nobody_has_waited_for_it() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let seen = os::look(child.id()).unwrap();
        assert_eq!(seen.parent, std::process::id());
        let child_identity = Identity::of(seen);
        assert!(child_identity.is_alive());
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while child_identity.is_alive() {
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

    #[test]
    #[cfg(target_os = "linux")]
    fn the_portable_way_sees_the_same() {
        let own = std::process::id();
        let (linux, portable) = (os::look(own).unwrap(), portable::look(own).unwrap());
        assert_eq!((linux.pid, linux.parent), (portable.pid, portable.parent));
        assert!(portable::command(own).is_some_and(|command| !command.is_empty()));
        assert!(portable::look(u32::MAX / 2).is_none());
        assert_eq!(portable::namespace(), 0);
        assert!(!portable::boot().is_empty() && !portable::is_zombie(own) && !portable::is_traced());
        assert!(portable::initial_namespace());
    }
}
