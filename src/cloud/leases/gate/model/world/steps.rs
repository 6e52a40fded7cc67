//! The steps of the world.

use super::super::super::{AtEnd, Effect, Event, Left, Row, RowState, RowVersion, Seen, ServerTime, Turns, Written};
use super::super::super::{Gate, Lease, Memory};
use super::*;

impl World {
    pub(in super::super) fn take(&mut self, action: Action) {
        match action {
            Action::Start(number) => self.start(number),
            Action::Serve(number) => self.serve(number),
            Action::Due(number) => self.feed(number, Event::Due),
            Action::Leave(number) => {
                (self.keepers[number].tests, self.keepers[number].exclusive) = (false, false);
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
                self.keepers[number].exclusive &= wants;
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
                let dead = super::super::LIMITS.dead;
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
                self.outdate();
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

    pub(super) fn crash(&mut self, number: usize) {
        let keeper = &mut self.keepers[number];
        // A request that was sent arrives all the same.
        let flight = keeper.call.take().filter(|call| matches!(call, Outgoing::Flight { .. }));
        if let Some(Outgoing::Flight { blind, .. }) = flight {
            self.land(number, blind);
        }
        let keeper = &mut self.keepers[number];
        (keeper.life, keeper.call, keeper.owes) = (Life::Over, None, false);
        (keeper.tests, keeper.exclusive) = (false, false);
        let limits = keeper.gate.limits;
        keeper.gate = Gate::new(Lease { id: keeper.gate.me.id.clone(), ..Lease::default() }, Memory::default(), limits);
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
    pub(super) fn land(&mut self, number: usize, blind: bool) {
        if self.cluster != Cluster::Running {
            self.keepers[number].call = Some(Outgoing::Unclear);
            return;
        }
        let dead = super::super::LIMITS.dead;
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
        let begins =
            |keeper: &Keeper| keeper.life == Life::Alive && !keeper.is_due() && keeper.gate.turns() != Turns::None;
        self.keepers.iter().any(begins)
    }

    pub(super) fn end_operation(&mut self) {
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
        self.outdate();
        match row.state {
            RowState::Closing { .. } => self.resumes = 0,
            RowState::Open => {
                self.unclaimed &= !row.ours || row.leases.is_empty() || row.written < self.booted;
            }
        }
        self.row = Some((row, CURRENT));
        Written::Applied(CURRENT)
    }

    /// Makes every version that is known one that the row had before. Which one, makes no difference.
    fn outdate(&mut self) {
        let before = |version: &mut RowVersion| *version = BEFORE_IT;
        self.late.iter_mut().filter_map(|(_, version)| version.as_mut()).for_each(before);
        for keeper in &mut self.keepers {
            keeper.gate.view.iter_mut().filter_map(|view| view.version.as_mut()).for_each(before);
            match &mut keeper.call {
                Some(Outgoing::Write(_, expected)) => expected.iter_mut().for_each(before),
                Some(Outgoing::Wrote(Written::Applied(version))) => before(version),
                _ => {}
            }
        }
    }

    /// Tells a gate, and does what it says.
    pub(super) fn feed(&mut self, number: usize, event: Event) {
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
                Effect::Turns(turns) => {
                    keeper.tests |= turns != Turns::None;
                    keeper.exclusive |= turns == Turns::Alone && keeper.gate.wants_alone;
                }
                Effect::Cut(_) => {
                    // Its tests fail, so the run ends.
                    (keeper.tests, keeper.exclusive) = (false, false);
                    keeper.owes = true;
                }
                Effect::Left(Left::Owed) => keeper.owes = true,
                Effect::Left(_) => (keeper.life, keeper.tests, keeper.exclusive) = (Life::Over, false, false),
            }
        }
        if reads && self.quick {
            self.serve(number);
        }
        // So are renewals: what may come between is left to the model of two keepers.
        let keeper = &self.keepers[number];
        if self.quick && keeper.is_joined() && matches!(keeper.call, Some(Outgoing::Write(..))) {
            self.serve(number);
        }
    }
}
