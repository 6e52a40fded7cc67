//! Turns a test binary into a keeper: the constructor that runs before `main`, and the two steps of a keeper's start.
//!
//! Cargo builds no binary of a dependency, so the one program that is surely there is the test binary itself. It is
//! started again with a variable and with a listening socket as its standard input. The first process only starts the
//! second and exits. So the keeper is a child of init alone, and a start that fails has an exit status.

use std::env;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::run;
use crate::host::platform::{is_unix_listener, name_thread};
use crate::host::{Places, open_regular, own_program, private_file};
use crate::wire::{VARIABLE, exit};

/// The name that `ps` shows.
const PROCESS_NAME: &str = "cratedb-keeper";

// SAFETY: runs before `main` with priority `early`, where the C runtime is up. Without the variable it reads one id and
// stores it. With it, it never returns, so that nothing of the program's own start-up is missing later.
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
    // Tried here, where a failure still has an exit status for which the client waits.
    if !Places::find().is_ok_and(|places| open_log(&places.hashed(hash).log).is_ok()) {
        return exit::NO_FILES;
    }
    let started = own_program()
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
    raise_limits();
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

/// Runs the keeper's child that outlives it. The provider says what it does.
fn trainer(words: &str) -> i32 {
    let _ = rustix::process::setsid();
    let Ok(null) = File::open("/dev/null") else { return exit::NOT_STARTED };
    // The keeper's descriptors are closed on exec, but for this one, to which no client is to connect.
    if rustix::stdio::dup2_stdin(&null).is_err() || rustix::process::chdir("/").is_err() {
        return exit::NOT_STARTED;
    }
    reset_signals();
    name_thread(c"cratedb-trainer");
    // SAFETY: no other thread is there yet that could read the environment.
    unsafe { env::remove_var(VARIABLE) };
    super::log::start();
    let code = crate::provider::run_training(words);
    super::log::end();
    code
}

/// Waits for the end of the first step. As long as it lives, the test and its runner stand above this process, and a
/// client that came early would be told that they wait for it.
fn outlive(parent: u32) {
    const LIMIT: Duration = Duration::from_secs(5);
    // Not `wait::until`: no runtime is there yet.
    let began = Instant::now();
    while std::os::unix::process::parent_id() == parent && began.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn open_log(log: &Path) -> std::io::Result<File> {
    // A log that has grown is begun again: people look for the last run.
    const LARGEST: u64 = 1 << 20;
    let grown = std::fs::metadata(log).is_ok_and(|meta| meta.len() > LARGEST);
    open_regular(private_file().create(true).append(!grown).write(true).truncate(grown), log)
}

/// Connects standard input to nothing, output and errors to the log.
fn redirect_output(log: &Path) -> std::io::Result<()> {
    let file = open_log(log)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&file)?;
    rustix::stdio::dup2_stderr(&file)?;
    Ok(())
}

/// Closes what was inherited, such as the runner's jobserver and pipes for whose end other processes wait, but for the
/// listener.
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

/// The signals that would end or stop a keeper without a reason: writing to a closed pipe or beyond the limit of a
/// file's size is an error that is handled, and the others mean nothing to it. Those that tell it to stop are watched.
const IGNORED: [libc::c_int; 11] = [
    libc::SIGPIPE,
    libc::SIGXFSZ,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// Resets what a runner may have ignored or blocked, and ignores what must not end a keeper.
fn reset_signals() {
    // SAFETY: plain system calls on signal dispositions of a process with one thread and no handlers of its own.
    unsafe {
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_DFL);
        }
        for signal in IGNORED {
            libc::signal(signal, libc::SIG_IGN);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Raises soft limits: that of descriptors, of which a test process takes three, so that the usual 1024 would be enough
/// for some 300, and that of a file's size, which was meant for the tests and not for the journal.
fn raise_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    for resource in [Resource::Nofile, Resource::Fsize] {
        let limit = getrlimit(resource);
        let _ = setrlimit(resource, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}
