//! The world of the model: the cluster and its provider, the journal, a run, an explicit session, and their clients.

mod actions;
mod effects;
mod ends;
mod steps;
mod times;

use super::super::aftermath::Aftermath;
use super::super::{
    ClientId, Effect, Event, FailReason, Join, LookId, Machine, MachineState, Rule, RunnerId, SessionId,
};
use super::super::{MachineLimits, Word};
use crate::sharing::Turns;
use crate::target::OnExit;
use crate::wire::{AttemptId, CutReason, Millis, Mode, Policy};

pub(super) const TICK: Millis = 1_000;
/// The time, at every moment: all others are counted from it.
const NOW: Millis = 1_000_000_000;
/// Limits of more ticks than that are never reached.
const LONG: Millis = 4 * TICK;
/// A client whose run is over is left so many ticks.
pub(super) const ORPHAN_LEASE: u64 = 1;
pub(super) const FOREVER: Millis = 1_000 * TICK;

const RUN: SessionId = SessionId(1);
/// The first session of the name. Later ones have larger numbers.
const NAMED: SessionId = SessionId(2);
const CARGO: RunnerId = RunnerId(1);
const HOLDER: RunnerId = RunnerId(2);
/// The attempt of each client. There is one at a time.
const ATTEMPT: AttemptId = AttemptId(1);

/// The number of times that each thing may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounds {
    /// Calls that fail.
    pub(super) failures: u8,
    pub(super) crashes: u8,
    /// Signals that end the keeper.
    pub(super) signals: u8,
    pub(super) tethers: u8,
    /// Losses of nodes.
    pub(super) losses: u8,
    /// Clusters that go away under their tests.
    pub(super) cuts: u8,
    /// Changes of what the keepers of other machines leave room for. Without any, there are no others.
    pub(super) turns: u8,
    /// Sessions of the same name after the first.
    pub(super) again: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    Held,
    SentAway,
    NotUp,
    Unrestored,
    Broken,
    Room,
    Intent,
    Unnamed,
    Answer,
    TwoCalls,
    OverRun,
}

/// The origin of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    Run,
    /// It holds the explicit session.
    Holder,
    /// It knows the name of the explicit session.
    Named,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cluster {
    Absent,
    /// It runs because of us.
    Ours,
    /// It was found running.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Link {
    Away,
    /// It waits for the cluster; `again`: for another one than the one that it had.
    Waiting {
        again: bool,
    },
    Ready,
    /// Its keeper was killed, and it has not reached the next one.
    Adrift,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Client {
    origin: Origin,
    link: Link,
    session: SessionId,
    /// The attempt that it waits for.
    asked: Option<Mode>,
    /// The attempt that runs.
    granted: Option<Mode>,
    /// So many ticks ago its run ended, or it came after that.
    doomed: Option<u64>,
}

impl Client {
    fn new(origin: Origin) -> Self {
        Self { origin, link: Link::Away, session: RUN, asked: None, granted: None, doomed: None }
    }

    fn is_linked(&self) -> bool {
        matches!(self.link, Link::Waiting { .. } | Link::Ready)
    }

    fn is_waiting(&self) -> bool {
        matches!(self.link, Link::Waiting { .. })
    }

    /// Ends its connection, and what it had on it.
    fn close(&mut self) {
        *self = Self::new(self.origin);
    }
}

/// The process that holds the explicit session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    New,
    Alive,
    /// It gave up its part.
    Free,
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    Probe,
    Acquire,
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Look {
    Before,
    After,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    machine: Machine,
    policy: Policy,
    /// The time that an explicit session lives without a lease.
    idle: Millis,
    journal: Word,
    /// The journal names an exclusive attempt with a look before it: what it changes has to be restored.
    noted: bool,
    /// An exclusive attempt was granted after a look, and what it changed is not restored or given up yet.
    changed: bool,
    cluster: Cluster,
    call: Option<Call>,
    look: Option<Look>,
    run_lives: bool,
    holder: Holder,
    /// The session that the name means now.
    name: Option<SessionId>,
    /// The session that the holder joined.
    held: Option<SessionId>,
    /// The sessions of the name that are over.
    ended: Vec<SessionId>,
    clients: Vec<Client>,
    /// Nodes of the cluster ended; true if all of them did.
    lost: Option<bool>,
    /// The attempts that keepers of other machines leave room for, while a lease is held.
    turns: Option<Turns>,
    wants_alone: bool,
    shared: bool,
    /// The provider could not look at what the killed keeper left.
    unseen: bool,
    signalled: bool,
    tethered: bool,
    /// The number of ticks since an attempt began, up to the maximum lifetime.
    since_begin: u64,
    left: Bounds,
    /// The keeper is killed when so many effects of the next event are carried out.
    kill_after: Option<usize>,
    pub(super) fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Action {
    step: Step,
    /// The keeper is killed when so many effects of the step are carried out, and others are not.
    killed_after: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Join(usize),
    /// The holder dies before its greeting is read.
    JoinDead(usize),
    Leave(usize),
    Begin(usize, Mode),
    /// An attempt ends, or is not waited for any more.
    End(usize),
    EndRun,
    KillHolder,
    LetGo,
    Finish,
    Serve(Outcome),
    Looked {
        ok: bool,
    },
    Due,
    Tick,
    Signal,
    Tether,
    Cool,
    Lose {
        all: bool,
    },
    /// The cluster goes away; `gone`: it is suspended.
    CutOff {
        gone: bool,
    },
    Turns(Turns),
    /// The keeper is killed; `done`: its call has its effect.
    Kill {
        done: bool,
    },
}

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Outcome {
    Done,
    /// It failed, and had no effect.
    Failed,
    /// It failed, and had its effect, or none: that is not known.
    Unknown {
        done: bool,
    },
}

/// The facts that differ between the checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) clients: &'static [Origin],
    pub(super) policy: Policy,
    pub(super) idle: Millis,
}

impl World {
    /// Returns the states that the first client may find: without a cluster, and with one that runs.
    pub(super) fn beginnings(
        setting: &Setting,
        left: Bounds,
        limits: &MachineLimits,
        without: Option<Rule>,
    ) -> Vec<Self> {
        let machine = Machine { without, ..Machine::new(NOW, Word::Clean, limits.clone()) };
        let absent = Self {
            machine,
            policy: setting.policy,
            idle: setting.idle,
            journal: Word::Clean,
            noted: false,
            changed: false,
            cluster: Cluster::Absent,
            call: None,
            look: None,
            run_lives: true,
            holder: Holder::New,
            name: None,
            held: None,
            ended: Vec::new(),
            clients: setting.clients.iter().map(|origin| Client::new(*origin)).collect(),
            lost: None,
            turns: None,
            wants_alone: false,
            shared: left.turns > 0,
            unseen: false,
            signalled: false,
            tethered: false,
            since_begin: 0,
            left,
            kill_after: None,
            fault: None,
        };
        let found = Self { cluster: Cluster::Foreign, ..absent.clone() };
        let mut all = vec![absent, found];
        all.iter_mut().for_each(Self::normalize);
        all
    }

    /// Describes the state for people.
    pub(super) fn short(&self) -> String {
        let clients: Vec<String> = self
            .clients
            .iter()
            .map(|client| {
                format!(
                    "{:?} {:?} asked={:?} has={:?} doomed={:?}",
                    client.origin, client.link, client.asked, client.granted, client.doomed
                )
            })
            .collect();
        format!(
            "{:?} journal={:?} {:?} call={:?} look={:?} noted={} changed={} ours={} run={} {:?} turns={:?} lost={:?} {:?} | {}",
            self.machine.state(),
            self.journal,
            self.cluster,
            self.call,
            self.look,
            self.noted,
            self.changed,
            self.machine.ours,
            self.run_lives,
            self.holder,
            self.turns,
            self.lost,
            self.fault,
            clients.join(" | "),
        )
    }

    fn is_gone(&self) -> bool {
        self.machine.state() == MachineState::Gone
    }

    fn is_up(&self) -> bool {
        matches!(self.machine.state(), MachineState::Up | MachineState::Warm { .. })
    }

    fn is_due(&self) -> bool {
        self.machine.deadline().is_some_and(|at| at <= NOW)
    }

    fn client(number: usize) -> ClientId {
        ClientId(u64::try_from(number).unwrap())
    }

    fn fail(&mut self, fault: Fault) {
        self.fault = self.fault.or(Some(fault));
    }

    fn expect(&mut self, holds: bool, fault: Fault) {
        if !holds {
            self.fail(fault);
        }
    }
}
