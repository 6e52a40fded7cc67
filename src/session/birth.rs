//! Finds the keeper's socket, or starts a keeper.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::host::{DIR_VARIABLE, KeyFiles, Locks, initial_environment, own_loader, own_program};
use crate::wire::{Holder, VARIABLE, exit};

/// The pause while a keeper that ends still holds its lock.
const PAUSE: Duration = Duration::from_millis(5);
/// The variables that a keeper inherits. Settings reach it by its socket; a jobserver must not reach it at all.
const ALLOWED: &[&str] = &[
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "HOME",
    // The lease names the user to other machines.
    "USER",
    "LOGNAME",
    "PATH",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_RUNTIME_DIR",
    "XDG_CACHE_HOME",
    "CONTAINER_HOST",
];

/// The beginnings of further ones: of container engines, and of an emulator below which this program may run.
const FAMILIES: &[&str] = &["DOCKER_", "TESTCONTAINERS_", "QEMU_"];

/// Connects, if a keeper listens. It takes no lock and does not wait: the usual case.
pub(super) fn connect(files: &KeyFiles) -> Option<UnixStream> {
    UnixStream::connect(&files.socket).ok()
}

/// Connects to the keeper of a key, which is started if there is none. Blocks; ends by `deadline`.
pub(crate) fn reach(files: &KeyFiles, deadline: Instant) -> Result<UnixStream> {
    // Not `wait::until`: the locks are synchronous, and each look may start a keeper.
    loop {
        if let Some(stream) = connect(files) {
            return Ok(stream);
        }
        let mut locks = Locks::take();
        let birth = locks.lock(&files.birth, deadline)?;
        if let Some(stream) = connect(files) {
            return Ok(stream);
        }
        // Nobody binds while a keeper lives: it may have lost its socket's path, or it is about to end.
        if locks.try_lock(&files.lifetime)?.is_some() {
            let stream = bear(files)?;
            drop(birth);
            return Ok(stream);
        }
        let holder = locks.read(&files.lifetime)?;
        drop(birth);
        drop(locks);
        if let Some(stream) = of_holder(&holder) {
            return Ok(stream);
        }
        if Instant::now() >= deadline {
            let pid = serde_json::from_str::<Holder>(&holder).map_or(0, |holder| holder.pid);
            return Err(Error::new(Kind::Timeout, "cannot reach the keeper of this cluster")
                .because(format!("process {pid} holds {} and does not answer", files.lifetime.display()))
                .hint(format!(
                    "see what it does (its log is {}); if it is stopped, continue or end it",
                    files.log.display()
                )));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Connects to a keeper of other directories: its lock file says where it listens.
fn of_holder(holder: &str) -> Option<UnixStream> {
    let holder: Holder = serde_json::from_str(holder).ok()?;
    UnixStream::connect(holder.socket).ok()
}

/// Binds the socket and starts this program as its keeper. The connection is made before the keeper has run a single
/// instruction, so there is no readiness to wait for.
fn bear(files: &KeyFiles) -> Result<UnixStream> {
    let fail = |what: &str, error: io::Error| {
        Error::new(Kind::Session, format!("cannot {what} the keeper's socket {}", files.socket.display()))
            .because(error)
            .hint(format!("set {DIR_VARIABLE} to the absolute path of a directory of your own"))
    };
    match std::fs::remove_file(&files.socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail("remove", error)),
        _ => {}
    }
    let listener = UnixListener::bind(&files.socket).map_err(|error| fail("bind", error))?;
    let stream = UnixStream::connect(&files.socket).map_err(|error| fail("connect to", error))?;
    let mut command = own_program();
    command.arg0("cratedb-keeper").env_clear().envs(allowed());
    // As this process looks for it: a test may have changed the variable.
    command.envs(initial_environment(DIR_VARIABLE).map(|dir| (DIR_VARIABLE, dir)));
    command.env(VARIABLE, format!("1:{}", files.hash));
    command.env("LLVM_PROFILE_FILE", "/dev/null");
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener))).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command
        .spawn()
        .and_then(|mut child| match child.wait() {
            // The process ignores SIGCHLD or waits for all its children: the keeper's exit code is lost.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(ExitStatus::default()),
            status => status,
        })
        .map_err(|error| Error::new(Kind::Session, "cannot start a keeper").because(error))?;
    // The listener lives on in the keeper; what is left of it here would keep a dead keeper's socket open.
    drop(command);
    match status.code() {
        Some(exit::DONE) => Ok(stream),
        code => {
            let why = code.map_or("a signal ended it", exit::describe);
            let error = Error::new(Kind::Session, format!("cannot start a keeper ({status})")).because(why);
            Err(below(error, own_loader().as_deref()).hint(files.about_log()))
        }
    }
}

/// Adds the emulator or loader below which this program runs, and so its keeper should.
pub(super) fn below(error: Error, loader: Option<&Path>) -> Error {
    match loader {
        Some(loader) => error.hint(format!(
            "this program runs below {}; its keeper is the same program, started below it again",
            loader.display()
        )),
        None => error,
    }
}

/// Returns the variables that a keeper inherits.
fn allowed() -> impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        ALLOWED.contains(&name.as_ref()) || FAMILIES.iter().any(|family| name.starts_with(family))
    })
}
