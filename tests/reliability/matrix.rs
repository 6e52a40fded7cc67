//! The cells of the crash matrix: who dies, how, at which moment, under which runner.

use std::fmt;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::project::{Meet, runners};
use crate::support::processes;
use crate::support::run::{Run, Runner};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Test,
    Runner,
    /// The runner and all below it.
    Group,
    Keeper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    Sent(Signal),
    Panic,
    Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Acquiring,
    Running,
    Between,
    /// After the request to suspend. Nothing of the run lives then, but for the keeper.
    Releasing,
}

#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub victim: Victim,
    pub death: Death,
    pub phase: Phase,
    pub runner: Runner,
}

pub const VICTIMS: [Victim; 4] = [Victim::Test, Victim::Runner, Victim::Group, Victim::Keeper];
pub const PHASES: [Phase; 4] = [Phase::Acquiring, Phase::Running, Phase::Between, Phase::Releasing];
const SIGNALS: [Signal; 5] = [Signal::KILL, Signal::TERM, Signal::INT, Signal::SEGV, Signal::ABORT];

impl Victim {
    /// Another process can only be sent signals.
    pub fn deaths(self) -> Vec<Death> {
        let own = if self == Self::Test { vec![Death::Panic, Death::Exit] } else { vec![] };
        SIGNALS.map(Death::Sent).into_iter().chain(own).collect()
    }

    pub fn phases(self) -> &'static [Phase] {
        if self == Self::Keeper { &PHASES } else { &PHASES[..3] }
    }
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Acquiring => "acquiring",
            Self::Running => "running",
            Self::Between => "between",
            Self::Releasing => "releasing",
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(Signal::KILL) => f.write_str("SIGKILL"),
            Self::Sent(Signal::TERM) => f.write_str("SIGTERM"),
            Self::Sent(Signal::INT) => f.write_str("SIGINT"),
            Self::Sent(Signal::SEGV) => f.write_str("SIGSEGV"),
            Self::Sent(_) => f.write_str("SIGABRT"),
            Self::Panic => f.write_str("panic"),
            Self::Exit => f.write_str("exit"),
        }
    }
}

impl Cell {
    /// The row of a table.
    pub fn row(&self) -> String {
        format!("{:?}, {}", self.victim, self.death)
    }

    /// The column of a table.
    pub fn column(&self) -> String {
        format!("{}, {:?}", self.phase.name(), self.runner)
    }
}

/// The columns of both runners.
pub fn columns() -> Vec<String> {
    let name = |phase: Phase, runner: Runner| format!("{}, {runner:?}", phase.name());
    runners().iter().flat_map(|runner| PHASES.map(|phase| name(phase, *runner))).collect()
}

/// All cells with these victims.
pub fn cells(victims: &[Victim]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for victim in victims.iter().copied() {
        for death in victim.deaths() {
            for phase in victim.phases().iter().copied() {
                cells.extend(runners().iter().map(|runner| Cell { victim, death, phase, runner: *runner }));
            }
        }
    }
    cells
}

/// One cell for each victim and death, each at another moment, under the runners in turn.
pub fn some_cells(victims: &[Victim]) -> Vec<Cell> {
    let all = cells(victims);
    let mut chosen: Vec<Cell> = Vec::new();
    for victim in victims.iter().copied() {
        for (number, death) in victim.deaths().into_iter().enumerate() {
            let fits: Vec<&Cell> = all.iter().filter(|cell| cell.victim == victim && cell.death == death).collect();
            chosen.push(*fits[(number * 5 + 1) % fits.len()]);
        }
    }
    chosen
}

/// The processes of a run that may die.
pub struct Actors {
    pub runner: Pid,
    /// The test that stands still.
    pub test: Pid,
    pub keeper: Option<Pid>,
}

impl Actors {
    pub fn of(run: &Run, test: Pid, keeper: Option<u32>) -> Self {
        Self { runner: pid(run.id()), test, keeper: keeper.map(pid) }
    }

    fn victims(&self, victim: Victim) -> Vec<OwnedFd> {
        let victims = match victim {
            Victim::Test => vec![self.test],
            Victim::Runner => vec![self.runner],
            Victim::Keeper => vec![self.keeper.expect("a keeper")],
            Victim::Group => vec![self.runner, self.test],
        };
        victims.into_iter().map(processes::watch).collect()
    }

    fn send(&self, victim: Victim, signal: Signal) -> rustix::io::Result<()> {
        match victim {
            Victim::Test => kill_process(self.test, signal),
            Victim::Runner => kill_process(self.runner, signal),
            Victim::Keeper => kill_process(self.keeper.expect("a keeper"), signal),
            Victim::Group => {
                // nextest gives every test a process group of its own.
                let group = kill_process_group(self.runner, signal);
                let _ = kill_process(self.test, signal);
                group
            }
        }
    }

    /// Lets the victims die. `meanwhile` is what happens once those that die at once are dead: a keeper that is told
    /// to end waits for the operation that is under way, and nextest for its tests.
    pub fn die(&self, cell: Cell, meet: &Meet, meanwhile: impl FnOnce()) {
        let victims = self.victims(cell.victim);
        match cell.death {
            Death::Sent(signal) => {
                self.send(cell.victim, signal).unwrap();
                if signal == Signal::SEGV {
                    // A fault comes again when Rust's handler returns to it; a signal that was sent does not.
                    let _ = victims.iter().all(|victim| ends_within(Duration::from_millis(50), victim));
                    let _ = self.send(cell.victim, signal);
                }
            }
            Death::Panic => meet.order("panic"),
            Death::Exit => meet.order("exit"),
        }
        for victim in &victims {
            ends_within(Duration::from_millis(200), victim);
        }
        meanwhile();
        // A panic ends a thread, and under `cargo test` not the process.
        let limit = if cell.death == Death::Panic { Duration::ZERO } else { Duration::from_secs(30) };
        let dead = victims.iter().all(|victim| ends_within(limit, victim));
        assert!(dead || cell.death == Death::Panic, "the victim did not die: {cell:?}");
    }
}

pub fn pid(raw: u32) -> Pid {
    Pid::from_raw(i32::try_from(raw).unwrap()).unwrap()
}

/// The milliseconds since the Unix epoch, as the simulator counts them.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

/// Waits for the end of a process, and returns whether it came in time.
pub fn ends_within(limit: Duration, process: &OwnedFd) -> bool {
    let limit = Timespec::try_from(limit).unwrap();
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)).unwrap() > 0
}
