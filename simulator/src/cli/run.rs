//! `run`: a simulator while a command runs, and until nothing uses it any more.
//!
//! After the command, `run` waits for the keepers of test sessions, for operations, and, while a cluster runs, for
//! other processes that the command left. If none of these is left, a cluster that still runs will not be suspended: a
//! plain command that leaves one is told so at once.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::environment::{KeeperDir, ReportFile};
use super::keepers::{Keeper, Keepers};
use super::timeline::{Span, Story, tell};
use super::{FAILURE, complain, environment, runtime};
use crate::clock::now;
use crate::cloud::Cloud;
use crate::options::Options;
use crate::simulator::Simulator;
use crate::state::{Event, Happening, Micros};

/// As shells have it.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;
const SIGNALLED: i32 = 128;
/// Interval at which `run` looks for keepers.
const INTERVAL: Duration = Duration::from_millis(20);
/// The time after which `run` says for what it waits.
const SILENCE: Duration = Duration::from_secs(3);

pub(super) fn run(options: Options, wait: Duration, command: &[OsString]) -> ExitCode {
    match runtime().and_then(|runtime| runtime.block_on(watch(options, wait, command))) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(FAILURE)
        }
    }
}

/// The signals that must not end this process before its clusters are suspended. They stay caught: dropping these does
/// not restore the default.
struct Signals {
    interrupt: Stream,
    terminate: Stream,
    _hang_up: Stream,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            _hang_up: signal(SignalKind::hangup())?,
        })
    }
}

async fn watch(options: Options, wait: Duration, command: &[OsString]) -> io::Result<u8> {
    let signals = Signals::catch()?;
    let (report, dir) = (ReportFile::create()?, KeeperDir::create()?);
    let simulator = Simulator::start(options.clone()).await?;
    let keepers = Keepers::of(dir.as_ref(), simulator.url());
    let (offspring, inherited) = offspring()?;
    let mut child = match start(&options, &simulator, &report, dir.as_ref(), command) {
        Ok(child) => child,
        Err(error) => return Ok(not_started(command, &error)),
    };
    drop(inherited);
    let status = survive(&mut child, signals).await?;
    let end = now();
    let cloud = simulator.cloud();
    let alive = settled(&cloud, &keepers, &offspring, wait).await;
    let stories = stories(&cloud);
    let still_up = stories.iter().any(|story| story.up && story.may_be_suspended);
    tell_all(&simulator, &stories, end, &report);
    if let Some(users) = std::env::var_os(environment::REPORT).filter(|path| !path.is_empty())
        && let Err(error) = report.pass_on(Path::new(&users))
    {
        let users = users.display();
        complain(&format!("{}=`{users}` was not written: {error}", environment::REPORT));
    }
    alive.iter().for_each(|keeper| complain(&keeper.outlives(wait)));
    if (still_up || !alive.is_empty())
        && let Some(dir) = dir.and_then(KeeperDir::keep)
    {
        complain(&format!("the logs of the run's keepers are in {}", dir.display()));
    }
    Ok(match code(status) {
        0 if still_up || !alive.is_empty() => FAILURE,
        code => code,
    })
}

/// Returns a task that ends with the last process of the command, and what the command has to inherit for that: one end
/// of a pipe. Keepers close what they inherit.
fn offspring() -> io::Result<(JoinHandle<()>, io::PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    fcntl_setfd(&writer, FdFlags::empty())?;
    let mut reader = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    let ended = async move { while reader.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} };
    Ok((tokio::spawn(ended), writer))
}

fn start(
    options: &Options,
    simulator: &Simulator,
    report: &ReportFile,
    keepers: Option<&KeeperDir>,
    command: &[OsString],
) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program);
    child.args(arguments);
    for (name, _) in std::env::vars_os().filter(|(name, _)| environment::is_stale(name)) {
        child.env_remove(name);
    }
    child.envs(environment::variables(options, simulator.url(), report.path()));
    child.envs(keepers.map(KeeperDir::variable));
    child.spawn()
}

fn not_started(command: &[OsString], error: &io::Error) -> u8 {
    let program = command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    complain(&format!("error: cannot run `{program}`: {error}"));
    if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE }
}

/// Waits for the command. The terminal sends it Ctrl-C; SIGTERM is passed on.
async fn survive(child: &mut Child, mut signals: Signals) -> io::Result<ExitStatus> {
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    loop {
        tokio::select! {
            status = child.wait() => return status,
            _ = signals.interrupt.recv() => {}
            _ = signals.terminate.recv() => if let Some(pid) = pid {
                // It may have ended already.
                let _ = kill_process(pid, Signal::TERM);
            },
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILURE)
}

/// Waits until nothing goes on that may still change a cluster, for this time at most. Returns the keepers that live.
async fn settled(cloud: &Cloud, keepers: &Keepers, offspring: &JoinHandle<()>, wait: Duration) -> Vec<Keeper> {
    let mut changes = cloud.store().changes();
    let (began, mut silent) = (Instant::now(), true);
    loop {
        let (alive, stories) = (keepers.alive(), stories(cloud));
        let busy: Vec<_> = stories.iter().filter(|story| story.goes_on(!offspring.is_finished())).collect();
        if alive.is_empty() && busy.is_empty() || began.elapsed() >= wait {
            return alive;
        }
        if silent && began.elapsed() >= SILENCE {
            silent = false;
            let names = busy.iter().map(|story| format!("cluster \"{}\"", story.name));
            let all: Vec<_> = alive.iter().map(ToString::to_string).chain(names).collect();
            complain(&format!("waiting for {}, {} s in all at most", all.join(" and "), wait.as_secs()));
        }
        let _ = tokio::time::timeout(INTERVAL, changes.changed()).await;
    }
}

fn stories(cloud: &Cloud) -> Vec<Story> {
    cloud.store().look(|state| {
        let asked = |event: &&Event| matches!(event.what, Happening::DeployRequested | Happening::ResumeRequested);
        let ids: BTreeSet<_> = state.events().iter().filter(asked).map(|event| &event.cluster).collect();
        let clusters = state.clusters().iter().filter(|cluster| ids.contains(&cluster.id));
        clusters
            .map(|cluster| Story {
                id: cluster.id.clone(),
                name: cluster.name.clone(),
                may_be_suspended: cluster.allow_suspend,
                up: cluster.is_running() || cluster.pending().is_some(),
                busy: cluster.pending().is_some(),
            })
            .collect()
    })
}

fn tell_all(simulator: &Simulator, stories: &[Story], end: Micros, report: &ReportFile) {
    let requests = simulator.requests();
    let first_request = requests.iter().map(|request| (request.at_ms * 1000.0) as Micros).min();
    let events = simulator.cloud().store().look(|state| state.events().to_vec());
    for story in stories {
        let totals = report.totals(&story.id);
        tell(story, &events, Span { first_request, end }, &totals).iter().for_each(|line| complain(line));
    }
}
