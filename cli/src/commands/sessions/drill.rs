//! `doctor --drill`: kills runs in a simulated CrateDB Cloud, and measures how long their cluster is held.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::Serialize;

use super::process;
use crate::failure::{Code, Failure};

/// The cluster of the simulated Cloud. Its key and secret are as much of a secret as its name.
const CLUSTER: &str = "drill";
/// A keeper needs milliseconds. One that needs so long does not do what it is for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time between two looks at a condition.
const LOOK: Duration = Duration::from_millis(2);

/// A death of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Death {
    Interrupted,
    Killed,
    KilledWithItsKeeper,
}

/// The fate of the cluster of one run.
#[derive(Debug, Serialize)]
pub(super) struct Drilled {
    death: Death,
    /// The time from the death of the run, or from the beginning of the sweep, to the request to suspend the cluster.
    suspended_after_ms: Option<f64>,
    problem: Option<String>,
}

impl Drilled {
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.as_ref().map(|why| format!("the drill failed, {}: {why}", self.death))
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "a run that Ctrl-C ends",
            Self::Killed => "a run that is killed with all its processes (SIGKILL)",
            Self::KilledWithItsKeeper => "a run that is killed together with its keeper",
        })
    }
}

impl fmt::Display for Drilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.death == Death::KilledWithItsKeeper { "a sweep's beginning" } else { "that" };
        match self.suspended_after_ms {
            Some(millis) => write!(f, "{}: its cluster was suspended {millis:.1} ms after {by}", self.death),
            None => write!(f, "{}: its cluster runs on", self.death),
        }
    }
}

/// Lets a run die in each way, one after another.
pub(super) fn run() -> Result<Vec<Drilled>, Failure> {
    let stopped = Arc::new(AtomicBool::new(false));
    let told = stopped.clone();
    // A signal must not end this process before the processes of the drill.
    process::catch(move |_| told.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::failed(format!("cannot catch signals: {error}")))?;
    let all = [Death::Interrupted, Death::Killed, Death::KilledWithItsKeeper];
    let drill = |death| {
        let outcome = Drill::start(stopped.clone()).and_then(|mut drill| drill.die(death))?;
        Ok(match outcome {
            Ok(millis) => Drilled { death, suspended_after_ms: Some(millis), problem: None },
            Err(why) => Drilled { death, suspended_after_ms: None, problem: Some(why) },
        })
    };
    all.into_iter().map(drill).collect()
}

/// A run in a world of its own.
struct Drill {
    simulator: Simulator,
    run: Child,
    place: Place,
    /// A signal asked for the end of the drill.
    stopped: Arc<AtomicBool>,
}

/// The directory of a run and of its keeper, removed with this.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drill {
    /// Starts a run, and waits until it has its cluster.
    fn start(stopped: Arc<AtomicBool>) -> Result<Self, Failure> {
        let simulator = Simulator::start_blocking(Options::default().cluster(ClusterOptions::suspended(CLUSTER)))
            .map_err(|error| Failure::failed(format!("cannot simulate CrateDB Cloud: {error}")))?;
        let place = Place::make()?;
        let mut command = place.program(&simulator)?;
        // The shell tells that it runs, which is when the cluster is there, and ends with this process.
        command.args(["test", "--", "sh", "-c", "echo runs; exec cat"]);
        // Ctrl-C goes to all of them, and to none of the others.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A program that a shell starts in the background ignores Ctrl-C, and so would its runs.
        // SAFETY: a plain system call, allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_DFL);
                Ok(())
            });
        }
        let run = command.spawn().map_err(|error| Failure::failed(format!("cannot start a run: {error}")))?;
        let mut drill = Self { simulator, run, place, stopped };
        let mut told = String::new();
        let stdout = drill.run.stdout.take();
        let read = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut told));
        match (read, told.trim()) {
            (Some(Ok(_)), "runs") => Ok(drill),
            _ => Err(drill.never_ran()),
        }
    }

    fn never_ran(&mut self) -> Failure {
        let _ = self.run.kill();
        let mut said = String::new();
        if let Some(stderr) = self.run.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut BufReader::new(stderr), &mut said);
        }
        Failure::failed(format!("a run in a simulated CrateDB Cloud did not start: {}", said.trim()))
    }

    /// Lets the run die. Returns the milliseconds until its cluster was let go of, or why it was not.
    fn die(&mut self, death: Death) -> Result<Result<f64, String>, Failure> {
        let group = Pid::from_child(&self.run);
        let keeper = self.place.keeper(&self.simulator)?;
        let mut from = now();
        match death {
            Death::Interrupted => {
                let _ = kill_process_group(group, Signal::INT);
            }
            Death::Killed => {
                let _ = kill_process_group(group, Signal::KILL);
            }
            Death::KilledWithItsKeeper => {
                // A keeper that lives would release the cluster, and a run that lives would start another keeper.
                let _ = kill_process(keeper, Signal::STOP);
                let _ = kill_process_group(group, Signal::KILL);
                let _ = kill_process(keeper, Signal::KILL);
            }
        }
        if death != Death::Interrupted {
            let _ = self.run.wait();
            from = now();
        }
        if death == Death::KilledWithItsKeeper {
            if let Some(at) = self.suspension() {
                return Ok(Err(format!("it was suspended {:.1} ms before any sweep", from - at)));
            }
            from = now();
            let swept = self.place.program(&self.simulator)?.arg("sweep").output();
            match swept {
                Err(why) => return Ok(Err(format!("cannot sweep: {why}"))),
                Ok(done) if !done.status.success() => {
                    let said = [done.stdout, done.stderr].concat();
                    return Ok(Err(format!("the sweep failed: {}", String::from_utf8_lossy(&said).trim())));
                }
                Ok(_) => {}
            }
        }
        let suspended = self.suspended_at(Instant::now() + PATIENCE)?;
        let _ = self.run.wait();
        let late = || format!("no request to suspend it came within {PATIENCE:?}");
        Ok(suspended.map(|at| at - from).ok_or_else(late))
    }

    /// Waits until the cluster is asked to be suspended, and returns when. None if that is not before the deadline.
    fn suspended_at(&self, deadline: Instant) -> Result<Option<f64>, Failure> {
        while !self.stopped.load(Ordering::Relaxed) {
            let suspension = self.suspension();
            if suspension.is_some() || Instant::now() >= deadline {
                return Ok(suspension);
            }
            std::thread::sleep(LOOK);
        }
        Err(Failure::new(Code::Interrupted, "the drill was interrupted"))
    }

    fn suspension(&self) -> Option<f64> {
        let requests = self.simulator.requests();
        requests.iter().find(|one| one.method == "PUT" && one.body["suspended"] == true).map(|request| request.at_ms)
    }
}

impl Drop for Drill {
    /// Ends what a failed drill left.
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.run), Signal::KILL);
        let _ = self.run.wait();
        // A keeper whose Cloud is gone would try for minutes to release the cluster.
        let deadline = Instant::now() + PATIENCE;
        while let Ok(keeper) = self.place.keeper(&self.simulator) {
            if self.suspension().is_none() || Instant::now() >= deadline {
                let _ = kill_process(keeper, Signal::KILL);
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Place {
    fn make() -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| Failure::failed(format!("cannot make a directory for the drill: {error}"));
        let place = Self(std::env::temp_dir().join(format!("cratedb-drill-{}-{}", std::process::id(), now() as u64)));
        std::fs::create_dir(&place.0).and_then(|()| std::fs::create_dir(place.0.join("empty"))).map_err(cannot)?;
        Ok(place)
    }

    /// Returns this program in the world of the drill: no setting of the user counts there.
    fn program(&self, simulator: &Simulator) -> Result<Command, Failure> {
        let program =
            std::env::current_exe().map_err(|error| Failure::failed(format!("cannot find itself: {error}")))?;
        let mut command = Command::new(program);
        let own = std::env::vars_os().map(|(name, _)| name);
        own.filter(|name| name.to_string_lossy().starts_with("CRATEDB_")).for_each(|name| {
            command.env_remove(name);
        });
        command
            .current_dir(self.0.join("empty"))
            .env("CRATEDB_CLOUD_ENDPOINT", simulator.url())
            .envs([("CRATEDB_CLOUD_API_KEY", CLUSTER), ("CRATEDB_CLOUD_API_SECRET", CLUSTER)])
            .env("CRATEDB_CLUSTER_NAME", CLUSTER)
            .env("CRATEDB_TEST_DIR", self.0.join("state"));
        Ok(command)
    }

    /// Returns the keeper of the run.
    fn keeper(&self, simulator: &Simulator) -> Result<Pid, Failure> {
        let output = self.program(simulator)?.args(["status", "--output", "json"]).output();
        let output = output.map_err(|error| Failure::failed(format!("cannot ask for the keeper: {error}")))?;
        let keys: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let pid = keys.as_array().and_then(|keys| keys.iter().find_map(|key| key["keeper"].as_i64()));
        pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
            .ok_or_else(|| Failure::failed("the run of the drill has no keeper"))
    }
}

/// Returns the time in milliseconds since the Unix epoch, as the simulator tells it.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}
