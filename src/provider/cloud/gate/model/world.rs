//! The world of the model: the cluster, its row, the service, a person, and the keepers with their gates.

use super::super::{
    Aim, AtEnd, Call, Effect, Event, Gate, Lease, Left, Limits, Row, RowState, RowVersion, Rule, Seen, ServerTime, Turns,
    Written,
};
use crate::wire::Millis;

pub(super) const TICK: Millis = 1_000;
/// The local time, at every moment: all others are counted from it.
const NOW: Millis = 1_000_000;
/// The server's time, at every moment.
const SERVER: Millis = 5_000_000;
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
    Available { first: bool, woke: bool },
    Look { wait: bool },
    /// `blind`: the row did not answer, and named no other keeper when it was last seen.
    Suspend { before: Millis, blind: bool },
    /// The request to suspend is on its way. It takes a tick at most.
    Flight { ticked: bool, blind: bool },
    /// The request was accepted.
    Following,
    /// What became of the request has to be looked at.
    Unclear,
    Suspended { done: bool },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Keeper {
    gate: Gate,
    life: Life,
    call: Option<Outgoing>,
    /// Its tests may run.
    tests: bool,
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
            let gate = Gate { without, ..Gate::new(me, false, limits) };
            Keeper { gate, life: Life::Idle, call: None, tests: false, owes: false, dark: 0 }
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
        let closed = Some((Row::closing("z", SERVER - OLD), version(0)));
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
                .map(|lease| format!("{}-{}{}", lease.id, lease.age(SERVER), if lease.wish.is_some() { "!" } else { "" }))
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
            self.row.as_ref().map_or("none".to_owned(), |(known, version)| format!("v{}{}", version.seq_no, row(known))),
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
        if self.left.deletions > 0 && self.row.is_some() && self.cluster == Cluster::Running && !self.any_flight() && !self.makes_first()
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
        self.keepers.iter().any(|keeper| keeper.gate.woken && keeper.gate.fresh_table)
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

    pub(super) fn take(&mut self, action: Action) {
        match action {
            Action::Start(number) => self.start(number),
            Action::Serve(number) => self.serve(number),
            Action::Due(number) => self.feed(number, Event::Due),
            Action::Leave(number) => {
                self.keepers[number].tests = false;
                self.feed(number, Event::Leave(AtEnd::Auto));
            }
            Action::Retry(number) => {
                self.keepers[number].owes = false;
                self.feed(number, Event::Leave(AtEnd::Auto));
            }
            Action::Quiet(number) => {
                self.keepers[number].tests = false;
                self.feed(number, Event::Quiet);
            }
            Action::WantAlone(number, wants) => {
                self.left.wishes -= u8::from(wants);
                self.feed(number, Event::WantAlone(wants));
            }
            Action::Conflict(number) => {
                if let Some(Outgoing::Available { woke, .. }) = &mut self.keepers[number].call {
                    *woke = true;
                }
            }
            Action::End => self.end_operation(),
            Action::FailSuspension => {
                self.left.losses -= 1;
                self.cluster = Cluster::Running;
                self.answer_followers(false);
            }
            Action::Tick => self.tick(),
            Action::Crash(number) => {
                self.left.crashes -= 1;
                self.crash(number);
            }
            Action::Stop(number) => {
                self.left.stops -= 1;
                self.keepers[number].life = Life::Stopped;
            }
            Action::Continue(number) => self.keepers[number].life = Life::Alive,
            Action::LoseAnswer(number) => {
                self.left.losses -= 1;
                if let Some(Outgoing::Write(row, expected)) = self.keepers[number].call.take() {
                    self.write(row, expected);
                }
                self.feed(number, Event::Wrote(Written::Unknown));
            }
            Action::LoseRequest(number) => {
                self.left.losses -= 1;
                match self.keepers[number].call.take() {
                    Some(Outgoing::Write(..)) => self.feed(number, Event::Wrote(Written::Unknown)),
                    _ => self.keepers[number].call = Some(Outgoing::Unclear),
                }
            }
            Action::Delay(number) => {
                self.left.losses -= 1;
                if let Some(Outgoing::Write(row, expected)) = self.keepers[number].call.take() {
                    self.late = Some((row, expected));
                }
                self.feed(number, Event::Wrote(Written::Unknown));
            }
            Action::ArriveLate => {
                if let Some((row, expected)) = self.late.take() {
                    self.write(row, expected);
                }
            }
            Action::PersonSuspends => {
                self.left.person -= 1;
                self.cluster = Cluster::Suspending { by_person: true };
                self.resumes = 0;
            }
            Action::PersonResumes => {
                self.left.person -= 1;
                self.cluster = Cluster::Resuming { by_person: true, ticked: false };
                let dead = super::LIMITS.dead;
                // A keeper that has asked for a resumption can't tell that another one took its place, and a lease that
                // lives can't tell that its keeper has left a suspended cluster.
                let asked = |keeper: &Keeper| {
                    keeper.gate.woken || matches!(keeper.call, Some(Outgoing::Available { woke: true, .. }))
                };
                let lives = self.row.as_ref().is_some_and(|(row, _)| row.others("", SERVER, dead).next().is_some());
                self.unclaimed = lives || self.keepers.iter().any(asked);
                self.of_person = !self.unclaimed;
            }
            Action::PersonDeletesRow => {
                self.left.deletions -= 1;
                self.row = None;
                // A keeper that joined after the last look of the others may have been the only one that knew.
                self.unclaimed = true;
            }
        }
        self.normalize();
    }

    fn start(&mut self, number: usize) {
        let keeper = &mut self.keepers[number];
        keeper.life = Life::Alive;
        keeper.call = Some(Outgoing::Available { first: true, woke: false });
    }

    fn crash(&mut self, number: usize) {
        let keeper = &mut self.keepers[number];
        // A request that was sent arrives all the same.
        let flight = keeper.call.take().filter(|call| matches!(call, Outgoing::Flight { .. }));
        if let Some(Outgoing::Flight { blind, .. }) = flight {
            self.land(number, blind);
        }
        let keeper = &mut self.keepers[number];
        (keeper.life, keeper.call, keeper.tests, keeper.owes) = (Life::Over, None, false, false);
        let limits = keeper.gate.limits;
        keeper.gate = Gate::new(Lease { id: keeper.gate.me.id.clone(), ..Lease::default() }, false, limits);
        keeper.dark = 0;
    }

    fn serve(&mut self, number: usize) {
        let Some(call) = self.keepers[number].call.take() else { return };
        match call {
            Outgoing::Read => self.feed(number, Event::Read(self.seen())),
            Outgoing::MakeTable => {
                self.table = true;
                self.feed(number, Event::TableMade(Ok(())));
            }
            Outgoing::Write(row, expected) => {
                let written = self.write(row, expected);
                // Only a keeper that may be stopped takes the answer later.
                match self.left.stops {
                    0 => self.feed(number, Event::Wrote(written)),
                    _ => self.keepers[number].call = Some(Outgoing::Wrote(written)),
                }
            }
            Outgoing::Wrote(written) => self.feed(number, Event::Wrote(written)),
            Outgoing::Available { first, .. } if self.cluster == Cluster::Suspended => {
                self.cluster = Cluster::Resuming { by_person: false, ticked: false };
                (self.of_person, self.unclaimed) = (false, true);
                self.resumes += 1;
                if self.resumes > 1 {
                    self.fault = self.fault.or(Some(Fault::ResumedTwice));
                }
                self.keepers[number].call = Some(Outgoing::Available { first, woke: true });
            }
            Outgoing::Available { first: true, woke } => self.feed(number, Event::Join { woken: woke }),
            Outgoing::Available { first: false, woke } => self.feed(number, Event::Available { woken: woke }),
            Outgoing::Look { .. } => {
                let suspended = self.cluster != Cluster::Running;
                self.feed(number, Event::Found { suspended });
            }
            Outgoing::Suspend { before, blind } if NOW < before => {
                self.keepers[number].call = Some(Outgoing::Flight { ticked: false, blind });
            }
            Outgoing::Suspend { .. } => self.keepers[number].call = Some(Outgoing::Unclear),
            Outgoing::Flight { blind, .. } => self.land(number, blind),
            Outgoing::Unclear => {
                let done = self.cluster == Cluster::Suspended;
                self.feed(number, Event::Suspended { done });
            }
            Outgoing::Suspended { done } => self.feed(number, Event::Suspended { done }),
            Outgoing::Following => {}
        }
    }

    /// A request to suspend reaches the service.
    fn land(&mut self, number: usize, blind: bool) {
        if self.cluster != Cluster::Running {
            self.keepers[number].call = Some(Outgoing::Unclear);
            return;
        }
        let dead = super::LIMITS.dead;
        let id = &self.keepers[number].gate.me.id;
        let named = |lease: &Lease| lease.id.len() == 1;
        let live = self.row.as_ref().is_some_and(|(row, _)| row.others(id, SERVER, dead).any(named));
        let tests = self.any_begins();
        if blind {
            // The one request that can meet others, as the gate's documentation says.
            self.resumes = 0;
        }
        self.fault = self.fault.or(match (live, tests) {
            _ if blind => None,
            (true, _) => Some(Fault::LiveLease),
            (_, true) => Some(Fault::RunningTests),
            _ if self.of_person => Some(Fault::NotOurs),
            _ => None,
        });
        self.cluster = Cluster::Suspending { by_person: blind };
        self.keepers[number].call = Some(Outgoing::Following);
    }

    /// Returns whether a test may begin somewhere.
    fn any_begins(&self) -> bool {
        let begins = |keeper: &Keeper| {
            keeper.life == Life::Alive && !keeper.is_due() && keeper.gate.turns() != Turns::None
        };
        self.keepers.iter().any(begins)
    }

    fn end_operation(&mut self) {
        match self.cluster {
            Cluster::Suspending { by_person } => {
                if !by_person && self.any_begins() {
                    self.fault = self.fault.or(Some(Fault::RunningTests));
                }
                self.cluster = Cluster::Suspended;
                self.answer_followers(true);
            }
            _ => (self.cluster, self.booted) = (Cluster::Running, SERVER),
        }
    }

    fn answer_followers(&mut self, done: bool) {
        for keeper in &mut self.keepers {
            if keeper.call == Some(Outgoing::Following) {
                keeper.call = Some(Outgoing::Suspended { done });
            }
        }
    }

    fn seen(&self) -> Seen {
        let time = ServerTime { now: SERVER, booted: self.booted };
        match &self.row {
            _ if !matches!(self.cluster, Cluster::Running | Cluster::Suspending { .. }) => Seen::Unreachable,
            _ if !self.table => Seen::NoTable,
            None => Seen::NoRow(time),
            Some((row, version)) => Seen::Row(row.clone(), *version, time),
        }
    }

    fn write(&mut self, row: Row, expected: Option<RowVersion>) -> Written {
        if !matches!(self.cluster, Cluster::Running | Cluster::Suspending { .. }) {
            return Written::Unknown;
        }
        if self.row.as_ref().map(|(_, version)| *version) != expected {
            return Written::Lost;
        }
        let used = self.versions();
        let next = (0..).map(version).find(|next| !used.contains(next)).unwrap();
        match row.state {
            RowState::Closing { .. } => self.resumes = 0,
            RowState::Open => self.unclaimed &= !row.ours || row.leases.is_empty(),
        }
        self.row = Some((row, next));
        Written::Applied(next)
    }

    /// Returns the versions of the row that anybody knows.
    fn versions(&self) -> Vec<RowVersion> {
        let mut used: Vec<_> = self.row.iter().map(|(_, version)| *version).collect();
        used.extend(self.late.iter().filter_map(|(_, version)| *version));
        for keeper in &self.keepers {
            used.extend(keeper.gate.view.as_ref().and_then(|view| view.version));
            match &keeper.call {
                Some(Outgoing::Write(_, expected)) => used.extend(expected),
                Some(Outgoing::Wrote(Written::Applied(version))) => used.push(*version),
                _ => {}
            }
        }
        used
    }

    /// Tells a gate, and does what it says.
    fn feed(&mut self, number: usize, event: Event) {
        let mut reads = false;
        let keeper = &mut self.keepers[number];
        for effect in keeper.gate.on(NOW, event) {
            match effect {
                Effect::Read => {
                    reads = true;
                    keeper.call = Some(Outgoing::Read);
                }
                Effect::MakeTable => keeper.call = Some(Outgoing::MakeTable),
                Effect::Insert(row) => keeper.call = Some(Outgoing::Write(row, None)),
                Effect::Write(row, version) => keeper.call = Some(Outgoing::Write(row, Some(version))),
                Effect::MakeAvailable => keeper.call = Some(Outgoing::Available { first: false, woke: false }),
                Effect::Look { wait } => keeper.call = Some(Outgoing::Look { wait }),
                Effect::Suspend { before } => {
                    let blind = keeper.gate.view.is_none();
                    keeper.call = Some(Outgoing::Suspend { before, blind });
                }
                Effect::Report(_) | Effect::Joined { .. } => {}
                Effect::Turns(turns) => keeper.tests |= turns != Turns::None,
                Effect::Cut(_) => {
                    // Its tests fail, so the run ends.
                    keeper.tests = false;
                    keeper.owes = true;
                }
                Effect::Left(Left::Owed) => keeper.owes = true,
                Effect::Left(_) => (keeper.life, keeper.tests) = (Life::Over, false),
            }
        }
        if reads && self.quick {
            self.serve(number);
        }
    }

    fn tick(&mut self) {
        let runs = matches!(self.cluster, Cluster::Running | Cluster::Suspending { .. });
        if let Cluster::Resuming { ticked, .. } = &mut self.cluster {
            *ticked = true;
        }
        for keeper in &mut self.keepers {
            if let Some(Outgoing::Flight { ticked, .. }) = &mut keeper.call {
                *ticked = true;
            }
            let begins = keeper.life == Life::Alive && keeper.gate.turns() != Turns::None;
            keeper.dark = if begins && !runs { keeper.dark + 1 } else { 0 };
            if keeper.dark > 2 {
                self.fault = self.fault.or(Some(Fault::Dark));
            }
        }
        self.local_times(&mut |time| *time = time.saturating_sub(TICK).max(NOW - OLD));
        self.server_times(true, &mut |time| *time -= TICK);
        let mut old = Vec::new();
        self.server_times(true, &mut |time| old.extend((*time < SERVER - OLD).then_some(*time)));
        old.sort_unstable();
        old.dedup();
        let rank = |time: &Millis| old.iter().rev().position(|other| other == time);
        self.server_times(true, &mut |time| {
            if let Some(rank) = rank(time) {
                *time = SERVER - OLD - 1 - Millis::try_from(rank).unwrap();
            }
        });
    }

    /// Makes states equal that differ in nothing that matters.
    fn normalize(&mut self) {
        let booted = self.booted;
        for keeper in &mut self.keepers {
            let gate = &mut keeper.gate;
            if keeper.life == Life::Over {
                let me = Lease { id: gate.me.id.clone(), ..Lease::default() };
                *gate = Gate { without: gate.without, ..Gate::new(me, false, gate.limits) };
                keeper.call = None;
            }
            gate.wake = gate.wake.max(NOW);
            gate.held = if gate.held >= booted { booted } else { 0 };
            gate.fresh_table &= gate.woken;
            gate.closing = gate.closing.filter(|(_, before)| NOW < *before);
            if gate.view.is_none() && !matches!(gate.call, Some(Call::Write { .. })) {
                gate.clock = None;
            }
            // Giving up has tests of its own.
            if let Aim::Leave { since, .. } = &mut gate.aim {
                *since = NOW;
            }
        }
        self.rows(&mut |row| row.leases.sort_unstable_by(|one, other| one.id.cmp(&other.id)));
        // The time of a start matters by its order only.
        let mut times = Vec::new();
        self.server_times(false, &mut |time| times.push(*time));
        let earliest = |booted: Millis| times.iter().filter(|time| **time < booted).max().map_or(BEFORE, |time| time + 1);
        let new = earliest(booted);
        self.booted = new;
        for keeper in &mut self.keepers {
            let gate = &mut keeper.gate;
            if gate.held > 0 {
                gate.held = new;
            }
            if let Some(clock) = &mut gate.clock {
                clock.server.booted = earliest(clock.server.booted);
            }
        }
    }

    fn local_times(&mut self, visit: &mut dyn FnMut(&mut Millis)) {
        for keeper in &mut self.keepers {
            if let Some(Outgoing::Suspend { before, .. }) = &mut keeper.call {
                visit(before);
            }
            let gate = &mut keeper.gate;
            if let Aim::Leave { since, .. } = &mut gate.aim {
                visit(since);
            }
            match &mut gate.call {
                Some(Call::Read { sent }) => visit(sent),
                Some(Call::Write { lease, before, .. }) => {
                    lease.iter_mut().for_each(&mut *visit);
                    visit(before);
                }
                _ => {}
            }
            if let Some(clock) = &mut gate.clock {
                visit(&mut clock.sent);
                visit(&mut clock.received);
            }
            visit(&mut gate.wake);
            gate.lease.iter_mut().for_each(&mut *visit);
            if let Some((_, before)) = &mut gate.closing {
                visit(before);
            }
        }
    }

    /// Visits all copies of the row.
    fn rows(&mut self, visit: &mut dyn FnMut(&mut Row)) {
        self.row.iter_mut().for_each(|(row, _)| visit(row));
        self.late.iter_mut().for_each(|(row, _)| visit(row));
        for keeper in &mut self.keepers {
            if let Some(Outgoing::Write(row, _)) = &mut keeper.call {
                visit(row);
            }
            if let Some(Call::Write { row, .. }) = &mut keeper.gate.call {
                visit(row);
            }
            if let Some(view) = &mut keeper.gate.view {
                visit(&mut view.row);
            }
        }
    }

    fn server_times(&mut self, starts: bool, visit: &mut dyn FnMut(&mut Millis)) {
        if starts {
            visit(&mut self.booted);
        }
        self.rows(&mut |row| {
            if let RowState::Closing { since, .. } = &mut row.state {
                visit(since);
            }
            visit(&mut row.written);
            for lease in &mut row.leases {
                // When it joined is for people.
                lease.joined = 0;
                visit(&mut lease.renewed);
            }
        });
        for keeper in &mut self.keepers {
            let gate = &mut keeper.gate;
            if let Some(clock) = &mut gate.clock {
                visit(&mut clock.server.now);
                if starts {
                    visit(&mut clock.server.booted);
                }
            }
            if let Some((since, _)) = &mut gate.closing {
                visit(since);
            }
            if let Some((_, since)) = &mut gate.stale {
                visit(since);
            }
            if starts && gate.held > 0 {
                visit(&mut gate.held);
            }
        }
    }

    /// Returns whether an exclusive test has begun while tests of another keeper, which the row names, may run.
    pub(super) fn shares_exclusive(&self) -> bool {
        let live = |keeper: &Keeper| {
            let lease = self.row.as_ref().and_then(|(row, _)| row.lease(&keeper.gate.me.id));
            keeper.life == Life::Alive
                && !keeper.is_due()
                && lease.is_some_and(|lease| lease.age(SERVER) <= super::LIMITS.dead)
        };
        let alone = |(at, keeper): (usize, &Keeper)| {
            keeper.gate.turns() == Turns::Alone
                && live(keeper)
                && self.keepers.iter().enumerate().any(|(other, keeper)| other != at && keeper.tests && live(keeper))
        };
        self.keepers.iter().enumerate().any(alone)
    }

    /// Returns whether the cluster ends suspended if nothing fails from now on: if all keepers are dead, by a sweep; if
    /// those that joined leave once the leases of the dead are overdue, by them.
    pub(super) fn settles(&self) -> bool {
        if self.fault.is_some() || self.of_person || self.unclaimed {
            return true;
        }
        // Without a row, a sweep knows nothing.
        (self.row.is_none() || self.settles_by_sweep()) && self.settles_by_itself()
    }

    fn settles_by_sweep(&self) -> bool {
        let mut world = Self { left: NOTHING, ..self.clone() };
        (0..world.keepers.len()).for_each(|number| world.crash(number));
        let limits = world.keepers[0].gate.limits;
        let me = Lease { id: "s".to_owned(), ..Lease::default() };
        let gate = Gate { without: self.keepers[0].gate.without, ..Gate::new(me, false, limits) };
        world.keepers.push(Keeper { gate, life: Life::Alive, call: None, tests: false, owes: false, dark: 0 });
        for _ in 0..4 {
            world.rest();
        }
        let sweep = world.keepers.len() - 1;
        world.feed(sweep, Event::Leave(AtEnd::Auto));
        world.runs_out()
    }

    fn settles_by_itself(&self) -> bool {
        let in_or_over = |keeper: &Keeper| match keeper.life {
            Life::Idle | Life::Over => true,
            _ => keeper.is_joined(),
        };
        if !self.keepers.iter().any(Keeper::is_joined) || !self.keepers.iter().all(in_or_over) {
            return true;
        }
        let mut world = Self { left: NOTHING, ..self.clone() };
        for keeper in &mut world.keepers {
            match keeper.life {
                Life::Idle => keeper.life = Life::Over,
                Life::Stopped => keeper.life = Life::Alive,
                _ => {}
            }
        }
        for _ in 0..3 {
            world.rest();
        }
        for number in 0..world.keepers.len() {
            if world.keepers[number].life == Life::Alive {
                world.take(Action::Leave(number));
            }
        }
        world.runs_out()
    }

    /// Lets everything happen that is to happen now, and then a tick.
    fn rest(&mut self) {
        for _ in 0..200 {
            let mut actions = Vec::new();
            self.actions(&mut actions);
            let next = actions.into_iter().find(|action| {
                matches!(
                    action,
                    Action::Serve(_) | Action::Due(_) | Action::Retry(_) | Action::Quiet(_) | Action::End | Action::ArriveLate
                )
            });
            match next {
                Some(action) => self.take(action),
                None => break,
            }
        }
        if self.may_tick() {
            self.take(Action::Tick);
        }
    }

    fn runs_out(&mut self) -> bool {
        for _ in 0..20 {
            if self.keepers.iter().all(|keeper| matches!(keeper.life, Life::Over)) && !self.is_busy() {
                break;
            }
            self.rest();
        }
        let over = self.keepers.iter().all(|keeper| keeper.life == Life::Over);
        over && (self.cluster == Cluster::Suspended || self.of_person)
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

fn version(seq_no: i64) -> RowVersion {
    RowVersion { seq_no, primary_term: 1 }
}
