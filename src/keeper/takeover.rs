//! How a test binary becomes a keeper: the constructor that runs before `main`, and the two steps of a birth.
//!
//! Cargo builds no binary of a dependency, so the one program that is surely there is the test binary itself. It is
//! started again with a variable and with a listening socket as its standard input. The first process only starts the
//! second and exits: so the keeper is nobody's child, and a birth that fails has an exit status.

use std::env;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::run;
use crate::host::platform::{is_unix_listener, name_thread};
use crate::host::{Places, own_program};
use crate::wire::{VARIABLE, exit};

/// What `ps` shows.
const PROCESS_NAME: &str = "cratedb-keeper";

// SAFETY: runs before `main` with priority `early`, where the C runtime is up; without the variable it reads one id and
// stores it. With it, it never returns, so nothing of the program's own start-up is missing later.
#[ctor::ctor(unsafe, priority = early)]
fn take_over() {
    crate::host::process::remember_parent();
    // A variable that leaked into an ordinary environment must not swallow a test run.
    if let Some(value) = env::var_os(VARIABLE)
        && is_unix_listener(std::io::stdin())
        && let Some((step, hash)) = value.to_str().and_then(|value| value.split_once(':'))
    {
        let code = catch_unwind(|| match step {
            "1" => first_step(hash),
            crate::provider::TRAINING_STEP => trainer(hash),
            _ => second_step(hash),
        });
        leave(code.unwrap_or(exit::PANICKED));
    }
}

fn leave(code: i32) -> ! {
    // SAFETY: ends the process without the exit handlers of a program whose `main` never ran.
    unsafe { libc::_exit(code) }
}

/// Starts the keeper and ends, which leaves the keeper to init.
fn first_step(hash: &str) -> i32 {
    if rustix::process::setsid().is_err() {
        return exit::NOT_STARTED;
    }
    // Tried here, where a failure still has an exit status that somebody waits for.
    if !Places::find().is_ok_and(|places| open_log(&places.hashed(hash).log).is_ok()) {
        return exit::NO_FILES;
    }
    let started = Command::new(own_program())
        .arg0(PROCESS_NAME)
        .env(VARIABLE, format!("2:{hash}:{}", std::process::id()))
        .stdin(Stdio::inherit())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if started.is_ok() { exit::DONE } else { exit::NOT_STARTED }
}

fn second_step(words: &str) -> i32 {
    let (hash, parent) = words.split_once(':').unwrap_or((words, ""));
    let Ok(listener) = std::io::stdin().as_fd().try_clone_to_owned() else { return exit::NOT_STARTED };
    let listener = close_all_but(listener);
    reset_signals();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    name_thread(c"cratedb-keeper");
    raise_descriptor_limit();
    // SAFETY: no other thread is there yet that could read the environment.
    unsafe { env::remove_var(VARIABLE) };
    let Ok(places) = Places::find() else { return exit::NO_FILES };
    let files = places.hashed(hash);
    if rustix::process::chdir("/").is_err() || redirect_output(&files.log).is_err() {
        return exit::NO_FILES;
    }
    outlive(parent.parse().unwrap_or(0));
    run::run(listener, &files)
}

/// The keeper's child that outlives it; what it does is the provider's business.
fn trainer(words: &str) -> i32 {
    let _ = rustix::process::setsid();
    let Ok(null) = File::open("/dev/null") else { return exit::NOT_STARTED };
    // The keeper's descriptors are closed on exec; nobody is to connect to this one.
    if rustix::stdio::dup2_stdin(&null).is_err() || rustix::process::chdir("/").is_err() {
        return exit::NOT_STARTED;
    }
    reset_signals();
    name_thread(c"cratedb-trainer");
    // SAFETY: no other thread is there yet that could read the environment.
    unsafe { env::remove_var(VARIABLE) };
    super::log::start();
    crate::provider::run_training(words)
}

/// Waits for the end of the first step. As long as that lives, the test and its runner stand above this process, and a
/// client that came early would be told that they wait for it.
fn outlive(parent: u32) {
    const LIMIT: Duration = Duration::from_secs(5);
    let began = Instant::now();
    while std::os::unix::process::parent_id() == parent && began.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn open_log(log: &Path) -> std::io::Result<File> {
    // A log that grew is begun again; the last run is what people look for.
    const LARGEST: u64 = 1 << 20;
    let grown = std::fs::metadata(log).is_ok_and(|meta| meta.len() > LARGEST);
    OpenOptions::new()
        .create(true)
        .append(!grown)
        .write(true)
        .truncate(grown)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(log)
}

/// Standard input becomes nothing, output and errors become the log.
fn redirect_output(log: &Path) -> std::io::Result<()> {
    let file = open_log(log)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&file)?;
    rustix::stdio::dup2_stderr(&file)?;
    Ok(())
}

/// Closes what was inherited (the runner's jobserver, pipes that somebody waits for) and gives the listener back under a
/// descriptor of its own.
fn close_all_but(listener: std::os::fd::OwnedFd) -> std::os::fd::OwnedFd {
    let keep = listener.as_raw_fd();
    for descriptor in open_descriptors() {
        if descriptor > 2 && descriptor != keep {
            // SAFETY: nothing of this process owns a descriptor above 2 but `listener`: no code of the program has run.
            unsafe { libc::close(descriptor) };
        }
    }
    listener
}

fn open_descriptors() -> Vec<i32> {
    let listed = |dir: &str| -> Option<Vec<i32>> {
        let names = std::fs::read_dir(dir).ok()?.flatten();
        Some(names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    };
    listed("/proc/self/fd").or_else(|| listed("/dev/fd")).unwrap_or_else(|| (3..1024).collect())
}

/// A runner may have ignored or blocked signals; a program's own start-up would have ignored SIGPIPE.
fn reset_signals() {
    // SAFETY: plain system calls on signal dispositions of a process with one thread and no handlers of its own.
    unsafe {
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Three descriptors a test process: the usual soft limit of 1024 ends at 300 of them.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
