//! `run`: a simulator while a command runs, and until its clusters are suspended.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::Instant;

use super::environment::{KeeperDir, ReportFile, Totals};
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
/// Interval at which the report is read while `run` waits for it.
const REPORT_INTERVAL: Duration = Duration::from_millis(20);
/// Time that a keeper may take from the end of the suspension to its report. Its polls are at most 5 s apart.
const REPORT_LIMIT: Duration = Duration::from_secs(8);
/// The name of the harness in its `User-Agent`.
const HARNESS: &str = "cratedb-test";

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
    let (report, keepers) = (ReportFile::create()?, KeeperDir::create()?);
    let simulator = Simulator::start(options.clone()).await?;
    let mut child = match start(&options, &simulator, &report, keepers.as_ref(), command) {
        Ok(child) => child,
        Err(error) => return Ok(not_started(command, &error)),
    };
    let status = survive(&mut child, signals).await?;
    let end = now();
    let deadline = Instant::now() + wait;
    let stories = suspended(&simulator.cloud(), deadline).await;
    let totals = reported(&simulator, &report, deadline).await;
    let still_up = stories.iter().any(|story| story.up && story.may_be_suspended);
    tell_all(&simulator, &stories, end, &totals);
    if still_up && let Some(dir) = keepers.and_then(KeeperDir::keep) {
        complain(&format!("the logs of the run's keepers are in {}", dir.display()));
    }
    Ok(match code(status) {
        0 if still_up => FAILURE,
        code => code,
    })
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

/// Waits until the clusters that were resumed or deployed, and may be suspended, are suspended. Returns their stories.
async fn suspended(cloud: &Cloud, deadline: Instant) -> Vec<Story> {
    let mut changes = cloud.store().changes();
    loop {
        let stories = stories(cloud);
        if !stories.iter().any(|story| story.up && story.may_be_suspended) {
            return stories;
        }
        if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
            return stories;
        }
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
            })
            .collect()
    })
}

/// Waits for the report of a keeper, which still has to see that its suspension succeeded. Other clients don't write
/// one.
async fn reported(simulator: &Simulator, report: &ReportFile, deadline: Instant) -> Totals {
    let from_harness = |agent: &str| agent.starts_with(HARNESS);
    let expected = simulator.requests().iter().any(|one| one.is_suspend() && from_harness(&one.user_agent));
    let deadline = deadline.min(Instant::now() + REPORT_LIMIT);
    loop {
        let totals = report.totals();
        if totals.sessions > 0 || !expected || Instant::now() >= deadline {
            return totals;
        }
        tokio::time::sleep(REPORT_INTERVAL).await;
    }
}

fn tell_all(simulator: &Simulator, stories: &[Story], end: Micros, totals: &Totals) {
    let requests = simulator.requests();
    let first_request = requests.iter().map(|request| (request.at_ms * 1000.0) as Micros).min();
    let events = simulator.cloud().store().look(|state| state.events().to_vec());
    for story in stories {
        tell(story, &events, Span { first_request, end }, totals).iter().for_each(|line| complain(line));
    }
}
