//! Processes as a session sees them: who they are beyond a number that is used again, and which stand above which.
//!
//! Each is looked at by its number. Nothing here reads the whole process table.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
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

    /// Returns a process of the container of this id; none if its number means nothing here, since the engine counts
    /// in another namespace or on another machine.
    #[cfg(feature = "container")]
    pub(crate) fn in_container(pid: u32, id: &str) -> Option<Self> {
        // The start is read first: the number may mean another process by the time its container is asked for.
        Self::of_pid(pid).filter(|_| platform::is_in_container(pid, id))
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

    /// Returns true if it ended, or can't but end. It may still show that it does, and answer, for some milliseconds.
    pub(crate) fn is_ending(&self) -> bool {
        !self.is_still_itself() || platform::is_ending(self.pid)
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
    let inside: Vec<&Seen> = above.iter().take_while(|seen| Some(seen.pid) != outer).collect();
    let mut runners = runners_among(&inside);
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

/// Returns every `cargo` and `cargo-nextest` among the processes above this one, the nearest first. What stands between
/// them (rustdoc, the merged doctest runner, a shell) may end before the run does.
fn runners_among(above: &[&Seen]) -> Vec<Identity> {
    let all = || above.iter().copied();
    let named = identities(all().filter(|seen| is_runners_name(seen.name.as_bytes())));
    if !named.is_empty() {
        return named;
    }
    // A wrapper, a version in the name or an emulator hides the name of a process, but not everything. Seeing more
    // takes two more looks at each process, so it comes last.
    let variable = |name| platform::initial_environment(name).filter(|value| !value.is_empty());
    // Cargo tells what it starts which program it is.
    let cargo = variable("CARGO").and_then(|cargo| PathBuf::from(cargo).canonicalize().ok());
    let disguised = identities(all().filter(|seen| is_runner_in_disguise(seen, cargo.as_deref())));
    match variable("NEXTEST_RUN_ID") {
        Some(run) if disguised.is_empty() => identities(above_those_with(above, "NEXTEST_RUN_ID", &run).into_iter()),
        _ => disguised,
    }
}

fn identities<'a>(seen: impl Iterator<Item = &'a Seen>) -> Vec<Identity> {
    seen.cloned().map(Identity::of).collect()
}

/// Returns true for a `cargo` or `cargo-nextest` by its program and by what it was called when it was started.
fn is_runner_in_disguise(seen: &Seen, cargo: Option<&Path>) -> bool {
    let program = platform::program(seen.pid).unwrap_or_default();
    let arguments = platform::arguments(seen.pid);
    let (called, rest) =
        arguments.split_first().map_or((Path::new(""), &[][..]), |(first, rest)| (first.as_ref(), rest));
    cargo == Some(program.as_path())
        || is_runners_path(&program)
        || is_runners_path(called)
        || platform::is_emulator(&program) && runs_a_runner(rest)
}

fn is_runners_path(path: &Path) -> bool {
    path.file_name().is_some_and(|name| is_runners_name(name.as_bytes()))
}

/// Returns true for `cargo` and `cargo-nextest`, also as wrappers call what they wrap (`.cargo-wrapped`), and with a
/// version (`cargo-1.94`).
fn is_runners_name(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let mut name = name.trim_start_matches('.').trim_end_matches('_');
    while let Some(inner) = name.strip_suffix("-wrapped") {
        name = inner.trim_end_matches('_');
    }
    let Some(rest) = name.strip_prefix("cargo") else { return false };
    let rest = rest.strip_prefix("-nextest").unwrap_or(rest);
    let version = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    rest.is_empty() || rest.strip_prefix('-').is_some_and(version)
}

/// Returns true for a process whose name is that of a runner or of another program that stands for a run, as far as a
/// name can tell.
pub(crate) fn has_runners_name(process: &Identity) -> bool {
    process.name.trim_start_matches('.').starts_with("cargo")
}

/// Returns true if an emulator with these arguments runs a runner: the first of them that is a file.
fn runs_a_runner(arguments: &[OsString]) -> bool {
    arguments.iter().map(Path::new).find(|path| path.is_file()).is_some_and(is_runners_path)
}

/// Returns the process that gave the others a variable: the nearest one that does not have it itself.
fn above_those_with<'a>(above: &[&'a Seen], name: &str, value: &OsStr) -> Option<&'a Seen> {
    let entry = [name.as_bytes(), b"=", value.as_bytes()].concat();
    let lacks = |seen: &&&Seen| !platform::environment(seen.pid).split(|byte| *byte == 0).any(|own| own == entry);
    // One whose environment can't be seen has none, and may have got the variable, too.
    above.iter().find(lacks).filter(|seen| !platform::environment(seen.pid).is_empty()).copied()
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
    let words = process.is_still_itself().then(|| platform::arguments(process.pid))?;
    let words: Vec<_> = words.iter().filter(|word| !word.is_empty()).map(|word| word.to_string_lossy()).collect();
    if words.is_empty() {
        return None;
    }
    let command = words.join(" ");
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
    use crate::host::executable;

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
    fn a_runner_is_known_by_the_name_that_wrappers_and_versions_give_it() {
        for name in [
            "cargo",
            "cargo-nextest",
            ".cargo-wrapped",
            "..cargo-wrapped-wrapped",
            ".cargo-wrapped_",
            "cargo-1.94",
            "cargo-nextest-0.9.143",
        ] {
            assert!(is_runners_name(name.as_bytes()), "{name}");
        }
        for name in
            ["", "cargo-watch", "cargo-cratedb", "mycargo", "cargo-nextest-runner", "cargo.toml", "-cargo", "rustdoc"]
        {
            assert!(!is_runners_name(name.as_bytes()), "{name}");
        }
        assert!(!is_runners_name(b"cargo\xff"));
    }

    /// Ends and reaps its process when dropped.
    struct Child(std::process::Child);

    impl Drop for Child {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Starts `sleep 60` and returns it as it is seen once it is executed.
    fn seen(command: &mut std::process::Command) -> (Child, Seen) {
        let child = Child(command.spawn().unwrap());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while platform::arguments(child.0.id()).last().is_none_or(|last| last != "60") {
            assert!(std::time::Instant::now() < deadline, "it is not executed");
        }
        let seen = platform::look(child.0.id()).unwrap();
        (child, seen)
    }

    fn sleep() -> PathBuf {
        ["/bin/sleep", "/usr/bin/sleep"].iter().map(PathBuf::from).find(|path| path.is_file()).unwrap()
    }

    #[test]
    fn a_runner_is_known_by_its_program_its_first_argument_or_the_variable_that_it_sets() {
        use std::os::unix::process::CommandExt as _;
        use std::process::Command;
        let dir = tempfile::tempdir().unwrap();
        let copy = |name: &str| {
            let path = dir.path().join(name);
            executable::copy(&sleep(), &path);
            path
        };
        let renamed = copy("package-manager").canonicalize().unwrap();
        let (_child, other) = seen(Command::new(&renamed).arg("60"));
        assert!(!is_runner_in_disguise(&other, None));
        assert!(!is_runner_in_disguise(&other, Some(Path::new("/usr/bin/cargo"))));
        assert!(is_runner_in_disguise(&other, Some(&renamed)), "it is the program that CARGO names");
        assert!(runners_among(&[&other]).is_empty());
        let (_child, wrapped) = seen(Command::new(copy(".cargo-wrapped")).arg("60"));
        assert_eq!(runners_among(&[&other, &wrapped]), [Identity::of(wrapped.clone())]);
        let (_child, called) = seen(Command::new(sleep()).arg0("/nix/store/x/bin/cargo").arg("60"));
        assert_eq!(runners_among(&[&other, &called]), [Identity::of(called.clone())]);
        // The name of the process is that of the link.
        let link = dir.path().join("build");
        std::os::unix::fs::symlink(copy("cargo-1.94"), &link).unwrap();
        let (_child, linked) = seen(Command::new(&link).arg0("build").arg("60"));
        assert_eq!(runners_among(&[&linked, &other]), [Identity::of(linked.clone())]);
    }

    #[test]
    fn a_runner_below_an_emulator_is_the_first_file_among_its_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, "").unwrap();
            path.into_os_string()
        };
        let (cargo, test) = (file("cargo"), file("it-0123"));
        let words = |words: &[&OsString]| words.iter().map(|word| (*word).clone()).collect::<Vec<_>>();
        let (option, sysroot, verb) = ("-L".into(), dir.path().into(), "test".into());
        let runs = |arguments: &[&OsString]| runs_a_runner(&words(arguments));
        assert!(runs(&[&cargo, &verb]) && runs(&[&option, &sysroot, &cargo]));
        assert!(!runs(&[&test, &cargo]) && !runs(&[]) && !runs(&[&verb, &"cargo".into()]));
        for (program, emulates) in [
            ("/usr/bin/qemu-aarch64-static", true),
            ("/lib64/ld-linux-x86-64.so.2", true),
            ("/lib/ld-musl-x86_64.so.1", true),
            ("/usr/bin/box64", true),
            ("/bin/sh", false),
            ("/usr/bin/ld", false),
            ("", false),
        ] {
            assert_eq!(platform::is_emulator(Path::new(program)), emulates, "{program}");
        }
    }

    #[test]
    fn the_giver_of_a_variable_is_the_nearest_process_without_it() {
        use std::process::Command;
        let (_inner, inner) = seen(Command::new(sleep()).arg("60").env("CRATEDB_TEST_GIVEN", "1"));
        let (_giver, giver) = seen(Command::new(sleep()).arg("60").env("CRATEDB_TEST_GIVEN", "2"));
        let given =
            |above: &[&Seen]| above_those_with(above, "CRATEDB_TEST_GIVEN", OsStr::new("1")).map(|seen| seen.pid);
        assert_eq!(given(&[&inner, &giver]), Some(giver.pid));
        assert_eq!(given(&[&inner]), None);
        let gone = Seen { pid: u32::MAX / 2, ..giver };
        assert_eq!(given(&[&inner, &gone]), None, "what can't be seen gives nothing");
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
