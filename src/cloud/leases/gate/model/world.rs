//! The world of the model: the cluster, its row, the service, a person, and the keepers with their gates.

mod ends;
mod steps;
mod times;

use super::super::{Aim, Gate, Lease, Limits, Memory, Row, RowState, RowVersion, Rule, Turns, Written};
use crate::wait::Millis;

pub(super) const TICK: Millis = 1_000;
/// The local time, at every moment: all others are counted from it.
const NOW: Millis = 1_000_000;
/// The server's time, at every moment.
const SERVER: Millis = 5_000_000;
/// The version of the row as it is, and of all that it was before.
const CURRENT: RowVersion = RowVersion { seq_no: 1, primary_term: 1 };
const BEFORE_IT: RowVersion = RowVersion { seq_no: 0, primary_term: 1 };
/// A start of the server before all that is known.
const BEFORE: Millis = 1_000_000;
/// Times that are older than so many ticks matter only by their order.
const OLD: Millis = 5 * TICK;

/// The number of times that each thing may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounds {
    pub(super) crashes: u8,
    pub(super) stops: u8,
    /// Lost requests and answers, late writes, failed suspensions.
    pub(super) losses: u8,
    pub(super) person: u8,
    pub(super) deletions: u8,
    pub(super) wishes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    LiveLease,
    RunningTests,
    ResumedTwice,
    NotOurs,
    Dark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cluster {
    Running,
    Suspending {
        by_person: bool,
    },
    Suspended,
    Resuming {
        by_person: bool,
        /// A resumption takes at least a tick.
        ticked: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    Idle,
    Alive,
    Stopped,
    /// It crashed or left.
    Over,
}

/// A call of a keeper, on its way there or back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Outgoing {
    Read,
    MakeTable,
    Write(Row, Option<RowVersion>),
    Wrote(Written),
    /// `first`: before the gate is told to join. `woke`: the resumption was asked for.
    Available {
        first: bool,
        woke: bool,
    },
    Look {
        wait: bool,
    },
    /// `blind`: the row did not answer, and named no other keeper when it was last seen.
    Suspend {
        before: Millis,
        blind: bool,
    },
    /// The request to suspend is on its way. It takes a tick at most.
    Flight {
        ticked: bool,
        blind: bool,
    },
    /// The request was accepted.
    Following,
    /// The outcome of the request has to be looked at.
    Unclear,
    Suspended {
        done: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Keeper {
    gate: Gate,
    life: Life,
    call: Option<Outgoing>,
    /// Its tests may run.
    tests: bool,
    /// An exclusive test may run.
    exclusive: bool,
    /// A release failed, and has to be tried again.
    owes: bool,
    /// So many ticks its tests may have begun on a cluster that does not run.
    dark: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    cluster: Cluster,
    booted: Millis,
    table: bool,
    row: Option<(Row, RowVersion)>,
    /// A write whose sender has given up waiting.
    late: Option<(Row, Option<RowVersion>)>,
    keepers: Vec<Keeper>,
    /// Reads are answered at once. An answer that comes late is as one that is acted on late.
    quick: bool,
    left: Bounds,
    /// A person started the cluster, and no keeper used it at that time.
    of_person: bool,
    /// The row does not tell who started the cluster: a keeper woke it and has not joined, or it can't be known.
    unclaimed: bool,
    /// The number of resumptions since the row was last closed.
    pub(super) resumes: u8,
    pub(super) fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A test run starts.
    Start(usize),
    /// The call of a keeper takes its next step.
    Serve(usize),
    Due(usize),
    /// The test run is over.
    Leave(usize),
    Retry(usize),
    /// The last test ended after turns were taken away.
    Quiet(usize),
    WantAlone(usize, bool),
    /// A keeper asks for a resumption that has begun already.
    Conflict(usize),
    /// The operation on the cluster ends.
    End,
    FailSuspension,
    Tick,
    Crash(usize),
    Stop(usize),
    Continue(usize),
    /// The answer to a write is lost.
    LoseAnswer(usize),
    /// A write, or a request to suspend, is lost.
    LoseRequest(usize),
    /// A write is given up, and arrives later.
    Delay(usize),
    ArriveLate,
    PersonSuspends,
    PersonResumes,
    PersonDeletesRow,
}

impl World {
    /// Returns the states that a run may find: a suspended cluster without and with a row, and one that runs.
    pub(super) fn beginnings(keepers: usize, left: Bounds, limits: Limits, without: Option<Rule>) -> Vec<Self> {
        let keeper = |number: usize| {
            let me = Lease { id: char::from(b'a' + u8::try_from(number).unwrap()).to_string(), ..Lease::default() };
            let gate = Gate { without, ..Gate::new(me, Memory::default(), limits) };
            Keeper { gate, life: Life::Idle, call: None, tests: false, exclusive: false, owes: false, dark: 0 }
        };
        let suspended = Self {
            cluster: Cluster::Suspended,
            booted: SERVER - OLD,
            table: false,
            row: None,
            late: None,
            keepers: (0..keepers).map(keeper).collect(),
            quick: keepers > 2,
            left,
            of_person: false,
            unclaimed: false,
            resumes: 0,
            fault: None,
        };
        let closed = Some((Row::closing("z", SERVER - OLD), CURRENT));
        let again = Self { table: true, row: closed, ..suspended.clone() };
        let running = Self { cluster: Cluster::Running, of_person: true, ..suspended.clone() };
        let mut all = vec![suspended, again, running];
        all.iter_mut().for_each(Self::normalize);
        all
    }

    pub(super) fn limit_first(&mut self, limits: Limits) {
        self.keepers[0].gate.limits = limits;
    }

    /// Describes the state for people.
    pub(super) fn short(&self) -> String {
        let row = |row: &Row| {
            let leases: Vec<_> = row
                .leases
                .iter()
                .map(|lease| {
                    format!("{}-{}{}", lease.id, lease.age(SERVER), if lease.wish.is_some() { "!" } else { "" })
                })
                .collect();
            let state = match &row.state {
                RowState::Open => "open".to_owned(),
                RowState::Closing { by, since } => format!("closing by {by}-{}", SERVER.saturating_sub(*since)),
            };
            format!("[{state} ours={} {}]", row.ours, leases.join(" "))
        };
        let mut text = format!(
            "{:?} boot-{} {} late={} {:?}",
            self.cluster,
            SERVER - self.booted,
            self.row.as_ref().map_or("none".to_owned(), |(known, version)| format!(
                "v{}{}",
                version.seq_no,
                row(known)
            )),
            self.late.is_some(),
            self.fault,
        );
        for keeper in &self.keepers {
            let call = match &keeper.call {
                Some(Outgoing::Write(written, expected)) => {
                    format!("write{}{}", expected.map_or(-1, |version| version.seq_no), row(written))
                }
                call => format!("{call:?}"),
            };
            let gate = &keeper.gate;
            text += &format!(
                " | {:?} {:?} lease-{:?} {:?} ours={} woken={} held-{} {call}",
                keeper.life,
                gate.aim,
                gate.lease.map(|lease| NOW - lease),
                gate.turns,
                gate.ours,
                gate.woken,
                SERVER - gate.held,
            );
        }
        text
    }

    pub(super) fn actions(&self, actions: &mut Vec<Action>) {
        if self.fault.is_some() {
            return;
        }
        for (number, keeper) in self.keepers.iter().enumerate() {
            self.actions_of(number, keeper, actions);
        }
        match self.cluster {
            Cluster::Suspending { .. } => {
                actions.push(Action::End);
                if self.left.losses > 0 {
                    actions.push(Action::FailSuspension);
                }
            }
            // It takes longer than a request on its way to the service.
            Cluster::Resuming { ticked: true, .. } if !self.flies() => actions.push(Action::End),
            // The service takes a request of ours that is on its way before a person looks again.
            Cluster::Running if self.left.person > 0 && !self.any_flight() => actions.push(Action::PersonSuspends),
            Cluster::Suspended if self.left.person > 0 && !self.any_flight() => actions.push(Action::PersonResumes),
            _ => {}
        }
        if self.late.is_some() {
            actions.push(Action::ArriveLate);
        }
        if self.left.deletions > 0
            && self.row.is_some()
            && self.cluster == Cluster::Running
            && !self.any_flight()
            && !self.makes_first()
        {
            actions.push(Action::PersonDeletesRow);
        }
        if self.may_tick() {
            actions.push(Action::Tick);
        }
    }

    fn actions_of(&self, number: usize, keeper: &Keeper, actions: &mut Vec<Action>) {
        match keeper.life {
            // Those that have not started are alike.
            Life::Idle if self.keepers[..number].iter().any(|other| other.life == Life::Idle) => return,
            Life::Idle => return actions.push(Action::Start(number)),
            Life::Over => return,
            Life::Stopped => {
                actions.push(Action::Continue(number));
                if let Some(Outgoing::Flight { .. }) = keeper.call {
                    actions.push(Action::Serve(number));
                }
                return;
            }
            Life::Alive => {}
        }
        if self.left.crashes > 0 {
            actions.push(Action::Crash(number));
        }
        if self.left.stops > 0 {
            actions.push(Action::Stop(number));
        }
        self.faults_of(number, keeper, actions);
        if self.can_serve(keeper) {
            actions.push(Action::Serve(number));
        } else if self.conflicts(keeper) {
            actions.push(Action::Conflict(number));
        }
        if keeper.is_due() {
            // In time, before anything else.
            return actions.push(Action::Due(number));
        }
        if keeper.owes {
            actions.push(Action::Retry(number));
        }
        if keeper.is_joined() {
            actions.push(Action::Leave(number));
            if keeper.gate.wants_alone {
                actions.push(Action::WantAlone(number, false));
            } else if self.left.wishes > 0 {
                actions.push(Action::WantAlone(number, true));
            }
        }
        if keeper.tests && keeper.gate.turns() == Turns::None {
            actions.push(Action::Quiet(number));
        }
    }

    fn faults_of(&self, number: usize, keeper: &Keeper, actions: &mut Vec<Action>) {
        if self.left.losses == 0 {
            return;
        }
        match keeper.call {
            Some(Outgoing::Write(..)) => {
                actions.extend([Action::LoseAnswer(number), Action::LoseRequest(number)]);
                if self.late.is_none() {
                    actions.push(Action::Delay(number));
                }
            }
            Some(Outgoing::Flight { .. }) => actions.push(Action::LoseRequest(number)),
            _ => {}
        }
    }

    fn conflicts(&self, keeper: &Keeper) -> bool {
        let resuming = matches!(self.cluster, Cluster::Resuming { by_person: false, .. });
        resuming && matches!(keeper.call, Some(Outgoing::Available { woke: false, .. }))
    }

    fn flies(&self) -> bool {
        self.keepers.iter().any(|keeper| matches!(keeper.call, Some(Outgoing::Flight { .. })))
    }

    fn any_flight(&self) -> bool {
        let on_its_way = |keeper: &Keeper| match keeper.call {
            Some(Outgoing::Flight { .. }) => true,
            Some(Outgoing::Suspend { .. }) => keeper.life != Life::Over,
            _ => false,
        };
        self.keepers.iter().any(on_its_way)
    }

    /// Returns whether a keeper is about to write the first row of a table that it made.
    fn makes_first(&self) -> bool {
        self.keepers.iter().any(|keeper| keeper.gate.fresh_table)
    }

    fn is_busy(&self) -> bool {
        matches!(self.cluster, Cluster::Suspending { .. } | Cluster::Resuming { .. })
    }

    /// Returns whether the call of a keeper can go on now.
    fn can_serve(&self, keeper: &Keeper) -> bool {
        match &keeper.call {
            None | Some(Outgoing::Following) => false,
            Some(Outgoing::Available { .. } | Outgoing::Look { wait: true } | Outgoing::Unclear) => !self.is_busy(),
            Some(_) => true,
        }
    }

    fn may_tick(&self) -> bool {
        let idle = |keeper: &Keeper| match keeper.life {
            Life::Idle | Life::Over => true,
            Life::Stopped => !matches!(keeper.call, Some(Outgoing::Flight { ticked: true, .. })),
            Life::Alive => {
                let flies = matches!(keeper.call, Some(Outgoing::Flight { ticked: false, .. }));
                (flies || !self.can_serve(keeper)) && !keeper.is_due() && !keeper.owes
            }
        };
        self.keepers.iter().all(idle)
    }
}

const NOTHING: Bounds = Bounds { crashes: 0, stops: 0, losses: 0, person: 0, deletions: 0, wishes: 0 };

impl Keeper {
    fn is_due(&self) -> bool {
        self.life == Life::Alive && self.gate.deadline().is_some_and(|at| at <= NOW)
    }

    fn is_joined(&self) -> bool {
        self.gate.aim == Aim::In && self.gate.lease.is_some()
    }
}
