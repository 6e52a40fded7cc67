//! The decisions of the gate: each looks at what is known of the row and makes the next call, or waits.

use super::event::{AtEnd, CutOff, Effect, Left, Seen, ServerTime, Turns, Written};
use super::row::{Lease, Row, RowState, RowVersion};
use super::{Aim, Call, Clock, Gate, Mode, Rule, View};
use crate::wait::Millis;

impl Gate {
    pub(super) fn want_in(&mut self, now: Millis, woken: bool) {
        self.woken |= woken;
        if self.aim == Aim::In && self.lease.is_some() {
            return;
        }
        (self.aim, self.mode, self.lease, self.stale) = (Aim::In, Mode::Row, None, None);
        self.reported = false;
        self.ask_again(now);
    }

    pub(super) fn want_out(&mut self, now: Millis, at_end: AtEnd) {
        self.aim = Aim::Leave { at_end, since: now };
        self.wants_alone = false;
        if self.view.is_none() || self.lease.is_none() {
            self.ask_again(now);
        }
    }

    fn ask_again(&mut self, at: Millis) {
        (self.view, self.wake, self.look_first) = (None, at, false);
    }

    /// Takes the next step, if no call is under way.
    pub(super) fn settle(&mut self, now: Millis) {
        if self.call.is_none() {
            match self.aim {
                Aim::Out => {}
                Aim::In => self.stay(now),
                Aim::Leave { at_end, since } => self.leave(now, at_end, since),
            }
        }
        if self.call.is_none() && self.view.is_none() && self.aim != Aim::Out && self.mode == Mode::Row {
            self.ask(now);
        }
        let turns = self.turns_at(now);
        if turns != Turns::None {
            self.quiet = false;
        }
        // A keeper that has just joined is told in any case: without a word of turns it heeds none.
        let joined = self.effects.iter().any(|effect| matches!(effect, Effect::Joined { .. }));
        if std::mem::replace(&mut self.turns, turns) != turns || joined {
            self.effects.push(Effect::Turns(turns));
        }
    }

    fn call(&mut self, call: Call, effect: Effect) {
        self.call = Some(call);
        self.effects.push(effect);
    }

    /// Asks for what is not known, once the pause is over.
    fn ask(&mut self, now: Millis) {
        if now < self.wake {
            return;
        }
        if !std::mem::take(&mut self.look_first) {
            self.call(Call::Read { sent: now }, Effect::Read);
        } else if self.aim == Aim::In && self.lease.is_none() {
            self.call(Call::MakeAvailable, Effect::MakeAvailable);
        } else {
            self.call(Call::Look, Effect::Look { wait: self.aim != Aim::In });
        }
    }

    /// Writes a row, if the row still is what it was when it was seen.
    fn write(&mut self, now: Millis, mut row: Row) {
        let (Some(clock), Some(view)) = (self.clock, &self.view) else { return };
        row.written = clock.at_least(now);
        let renewed = row.lease(&self.me.id).map(|lease| lease.renewed);
        let lease = match renewed {
            Some(renewed) if renewed == clock.at_least(now) => Some(clock.local(now)),
            Some(_) => self.lease,
            None => None,
        };
        let before = clock.local(now) + self.limits.guard;
        let effect = match view.version {
            Some(version) => Effect::Write(row.clone(), version),
            None => Effect::Insert(row.clone()),
        };
        self.call(Call::Write { row, lease, before }, effect);
    }

    pub(super) fn read(&mut self, now: Millis, sent: Millis, seen: Seen) {
        match seen {
            Seen::Row(row, version, server) => self.saw(now, sent, server, row, Some(version), false),
            Seen::NoRow(server) => self.saw(now, sent, server, self.vacant(server), None, true),
            Seen::Damaged(version, server) => self.saw(now, sent, server, self.vacant(server), Some(version), true),
            Seen::NoTable => self.saw_no_table(),
            Seen::Newer => {
                self.mode = Mode::Newer;
                self.report(
                    "a newer version of cratedb-test shares this cluster in a way that this one can't read: this run \
                     does not suspend it",
                );
            }
            Seen::Refused(line) => self.refused(now, line),
            Seen::Unreachable => self.unreachable(now),
        }
    }

    fn vacant(&self, server: ServerTime) -> Row {
        // Without a table there was no lease: a person who drops it under others is not reckoned with.
        if self.fresh_table || !self.keeps(Rule::Vacant) {
            return Row::empty(server.now);
        }
        // Its keepers come back within a renewal. So it is overdue already, and waited for by a keeper that leaves.
        Row::vacant(server.now, server.now.saturating_sub(self.limits.overdue + 1))
    }

    fn saw_no_table(&mut self) {
        let (joined, leaves) = (self.lease.is_some(), self.aim != Aim::In);
        if leaves && !joined {
            // There never was a lease.
            self.mode = Mode::Lone;
            return;
        }
        self.fresh_table = !joined;
        self.call(Call::MakeTable, Effect::MakeTable);
    }

    pub(super) fn table_made(&mut self, now: Millis, made: Result<(), String>) {
        if self.call.take_if(|call| *call == Call::MakeTable).is_none() {
            return;
        }
        match made {
            Ok(()) => self.ask_again(now),
            Err(line) => self.refused(now, line),
        }
    }

    fn saw(
        &mut self,
        now: Millis,
        sent: Millis,
        server: ServerTime,
        row: Row,
        version: Option<RowVersion>,
        vacant: bool,
    ) {
        let dead = self.limits.dead;
        let age = row.lease(&self.me.id).map(|lease| lease.age(server.now)).filter(|age| *age <= dead);
        if let (Some(age), Some(lease)) = (age, self.lease) {
            (self.ours, self.held) = (row.ours, server.now);
            // A renewal whose answer was lost is recognised here.
            self.lease = Some(lease.max(sent.saturating_sub(age)));
        } else if self.lease.is_some() && !self.keeps(Rule::Rejoin) {
            self.lease = Some(now);
        } else if self.lease.is_some() {
            self.lease = None;
            let closing = matches!(row.state, RowState::Closing { .. });
            if self.aim == Aim::In && (closing || self.held < server.booted) {
                self.cut(CutOff::Expired);
            }
        }
        self.alone = row.others(&self.me.id, server.now, dead).next().is_none();
        let gone = |lease: &Lease| row.lease(&lease.id).is_none();
        self.greets |= self.lease.is_some() && self.view.iter().any(|view| view.row.leases.iter().any(gone));
        self.clock = Some(Clock { server, sent, received: now });
        self.view = Some(View { row, version, vacant });
        (self.silent, self.looked) = (false, false);
    }

    /// The server does not answer: most likely the cluster is suspended, which CrateDB Cloud knows.
    fn unreachable(&mut self, now: Millis) {
        if let (Aim::Leave { at_end, since }, true) = (self.aim, std::mem::take(&mut self.looked)) {
            return self.leave_blindly(now, at_end, since);
        }
        let joining = self.aim == Aim::In && self.lease.is_none();
        self.ask_again(if joining { now + self.limits.poll } else { now });
        (self.look_first, self.silent) = (true, true);
    }

    /// The server refuses to have the row.
    fn refused(&mut self, now: Millis, line: String) {
        let only = self.lease.is_none() || self.alone;
        self.ask_again(now + self.limits.retry);
        if let Aim::Leave { at_end, since } = self.aim {
            return self.leave_blindly(now, at_end, since);
        }
        if only {
            self.mode = Mode::Lone;
        }
        self.report(&format!(
            "the lease of this run can't be written, so other machines do not see that it uses the cluster: {line}"
        ));
    }

    fn report(&mut self, line: &str) {
        if !std::mem::replace(&mut self.reported, true) {
            self.effects.push(Effect::Report(line.to_owned()));
        }
    }

    pub(super) fn wrote(&mut self, now: Millis, row: Row, lease: Option<Millis>, before: Millis, written: Written) {
        match written {
            Written::Applied(version) => self.applied(now, row, lease, before, version),
            Written::Lost if self.keeps(Rule::Compare) => self.ask_again(now),
            // Whether it was applied or not, the row tells, and the next compare-and-set excludes that it still is.
            Written::Unknown if self.keeps(Rule::Reread) => self.ask_again(now),
            Written::Lost | Written::Unknown => {
                self.applied(now, row, lease, before, RowVersion { seq_no: -1, primary_term: -1 });
            }
            Written::Refused(line) => self.refused(now, line),
        }
    }

    fn applied(&mut self, now: Millis, row: Row, lease: Option<Millis>, before: Millis, version: RowVersion) {
        let joins = self.lease.is_none() && lease.is_some();
        // The answer may be taken long after it was given, if the process was stopped.
        let server = match self.keeps(Rule::Written) {
            true => row.written,
            false => self.clock.map_or(0, |clock| clock.at_least(now)),
        };
        self.greets &= lease == self.lease;
        self.lease = lease;
        if lease.is_some() {
            (self.ours, self.held) = (row.ours, server);
            (self.woken, self.stale) = (false, None);
        }
        self.alone = row.others(&self.me.id, server, self.limits.dead).next().is_none();
        if let RowState::Closing { since, .. } = row.state {
            self.closing = Some((since, before));
        }
        self.view = Some(View { row, version: Some(version), vacant: false });
        (self.silent, self.looked) = (false, false);
        if joins && self.aim == Aim::In {
            self.effects.push(Effect::Joined { ours: self.ours });
        }
    }

    pub(super) fn available(&mut self, now: Millis, woken: bool) {
        if self.call.take_if(|call| *call == Call::MakeAvailable).is_some() {
            self.woken |= woken;
            self.ask_again(now);
        }
    }

    pub(super) fn found(&mut self, now: Millis, suspended: bool) {
        let asked = self.call.take_if(|call| *call == Call::Look).is_some();
        match self.aim {
            Aim::In if suspended && self.lease.is_some() => self.cut(CutOff::Suspended),
            Aim::Leave { .. } if suspended && self.call.is_none() => self.left(Left::Suspended),
            Aim::Leave { .. } if asked => {
                // It may have been suspended and resumed meanwhile, so the row has another chance.
                self.looked = self.silent;
                self.ask_again(now);
            }
            _ if asked => self.ask_again(now + self.limits.retry),
            _ => {}
        }
    }

    pub(super) fn suspended(&mut self, now: Millis, done: bool) {
        if self.call.take_if(|call| *call == Call::Suspend).is_none() {
            return;
        }
        if done {
            return self.left(Left::Suspended);
        }
        if let (Some(RowState::Closing { since, .. }), false) =
            (self.row().map(|row| &row.state), self.keeps(Rule::Confirm))
        {
            self.closing = Some((*since, now + self.limits.guard));
        }
        self.left(Left::Owed);
    }

    /// Ends the use of a cluster that went away.
    fn cut(&mut self, cut: CutOff) {
        (self.aim, self.lease, self.view) = (Aim::Out, None, None);
        (self.wants_alone, self.quiet) = (false, true);
        self.effects.push(Effect::Cut(cut));
    }

    fn left(&mut self, left: Left) {
        self.aim = Aim::Out;
        if left != Left::Owed {
            (self.view, self.lease, self.closing, self.stale) = (None, None, None, None);
            (self.woken, self.ours) = (false, false);
        }
        self.quiet = true;
        self.effects.push(Effect::Left(left));
    }

    // Being in.

    fn stay(&mut self, now: Millis) {
        let clock = match self.clock {
            _ if self.mode != Mode::Row => return self.stay_without_row(now),
            Some(clock) if self.view.is_some() => clock,
            _ => return,
        };
        let Some(lease) = self.lease else { return self.join(now, clock) };
        let renew = clock.received == now && (now >= lease + self.limits.renew || self.greets);
        let Some(view) = &self.view else { return };
        let row = self.with_me(&view.row, now, clock, renew);
        if row != view.row && (self.keeps(Rule::Rejoin) || view.row.lease(&self.me.id).is_some()) {
            self.write(now, row);
        } else if now >= self.next_look() {
            self.call(Call::Read { sent: now }, Effect::Read);
        }
    }

    fn stay_without_row(&mut self, now: Millis) {
        if self.lease.is_none() {
            let lone = self.mode == Mode::Lone;
            (self.lease, self.ours) = (Some(now), self.woken && lone);
            // As far as anybody can tell, which is what a successor has to know.
            self.alone |= lone;
            self.woken = false;
            self.effects.push(Effect::Joined { ours: self.ours });
        }
    }

    /// Adds the lease, unless a closing has to be waited for.
    fn join(&mut self, now: Millis, clock: Clock) {
        let Some(view) = &self.view else { return };
        let mut row = view.row.clone();
        if let Some((by, since)) = self.closing_under_way(&row, clock)
            && !self.is_taken_over(now, clock, by, since)
        {
            return;
        }
        row.ours = self.owns(&row, clock);
        row.state = RowState::Open;
        self.write(now, self.with_me(&row, now, clock, true));
    }

    /// Returns by whom and since when the cluster is about to be suspended. If the server was started after that, it
    /// has been.
    fn closing_under_way<'a>(&self, row: &'a Row, clock: Clock) -> Option<(&'a str, Millis)> {
        match &row.state {
            RowState::Closing { by, since } if *since >= clock.server.booted || !self.keeps(Rule::Boot) => {
                Some((by, *since))
            }
            _ => None,
        }
    }

    /// Returns whether the closing of another keeper may be taken over. If not, waits for its end.
    fn is_taken_over(&mut self, now: Millis, clock: Clock, by: &str, since: Millis) -> bool {
        // After that, no request of an own closing can leave any more.
        let limit = if by == self.me.id { self.limits.guard } else { self.limits.takeover };
        let silent = clock.at_least(now).saturating_sub(since) >= limit;
        let looked = self.stale.as_ref().is_some_and(|(known, at)| known == by && *at == since);
        if silent && (looked || !self.keeps(Rule::LookFirst)) {
            return true;
        }
        self.stale = silent.then(|| (by.to_owned(), since));
        self.ask_again(if silent { now } else { now + self.limits.poll });
        self.look_first = true;
        false
    }

    /// Returns whether the harness is to suspend the cluster, as the row says and as this keeper knows. What was said
    /// before the server was started says nothing, unless a lease lives on: then a node was only started again.
    fn owns(&self, row: &Row, clock: Clock) -> bool {
        let ServerTime { now, booted } = clock.server;
        let lives = |lease: &Lease| lease.age(now) <= self.limits.dead;
        let row_holds = row.leases.iter().any(lives) || row.written >= booted || !self.keeps(Rule::Boot);
        let own_holds = row.lease(&self.me.id).is_some_and(lives) || self.held >= booted || !self.keeps(Rule::Boot);
        self.woken || row.ours && row_holds || self.ours && own_holds
    }

    /// Returns the row with this keeper's lease as it should be. `renew` also removes leases of the dead.
    fn with_me(&self, row: &Row, now: Millis, clock: Clock, renew: bool) -> Row {
        let (id, server, mut row) = (&self.me.id, clock.at_least(now), row.clone());
        let others = || row.others(id, server, self.limits.dead);
        let last = others().filter_map(|lease| lease.wish).max();
        let known = row.lease(id);
        let mut me = known.cloned().unwrap_or_else(|| Lease { joined: server, renewed: server, ..self.me.clone() });
        me.drained = self.quiet && last.is_some();
        me.wish = self.wants_alone.then(|| me.wish.unwrap_or(last.unwrap_or(0) + 1));
        if renew {
            me.renewed = server;
            row.leases.retain(|lease| lease.id == *id || lease.age(server) <= self.limits.dead);
        }
        match row.leases.iter_mut().find(|lease| lease.id == *id) {
            Some(lease) => *lease = me,
            None => row.leases.push(me),
        }
        row
    }

    pub(super) fn next_look(&self) -> Millis {
        let shared = self.view.as_ref().is_some_and(|view| view.row.leases.iter().any(|lease| lease.id != self.me.id));
        let poll = self.clock.filter(|_| shared).map(|clock| clock.received + self.limits.poll);
        let renew = self.lease.map(|lease| lease + self.limits.renew);
        poll.into_iter().chain(renew).min().unwrap_or(self.wake)
    }

    /// Returns the local time from which the own lease may be dead for others.
    pub(super) fn lapses_at(&self) -> Option<Millis> {
        let limits = &self.limits;
        self.lease.filter(|_| self.mode == Mode::Row).map(|lease| lease + limits.dead - limits.margin)
    }

    fn turns_at(&self, now: Millis) -> Turns {
        if self.aim != Aim::In || self.lease.is_none() {
            return Turns::None;
        }
        if self.mode != Mode::Row {
            return if self.wants_alone { Turns::Alone } else { Turns::Shared };
        }
        if self.keeps(Rule::Lapse) && self.lapses_at().is_some_and(|at| now >= at) {
            return Turns::None;
        }
        // While the row is read anew, what was last known of it holds.
        let (Some(clock), Some(view)) = (self.clock, &self.view) else { return self.turns };
        let others = || view.row.others(&self.me.id, clock.at_least(now), self.limits.dead);
        let first = others().filter_map(|lease| lease.wish).min();
        let me = view.row.lease(&self.me.id);
        // A wish that is being taken back is none any more: the others may know that already.
        let kept = match &self.call {
            Some(Call::Write { row, .. }) if self.keeps(Rule::Withdraw) => {
                row.lease(&self.me.id).is_some_and(|lease| lease.wish.is_some())
            }
            _ => true,
        };
        let wish = me.and_then(|lease| lease.wish).filter(|_| self.wants_alone && kept);
        match (wish, first) {
            (Some(wish), first) if first.is_none_or(|first| wish < first) => {
                if others().all(|lease| lease.drained) {
                    Turns::Alone
                } else {
                    Turns::Shared
                }
            }
            (_, Some(_)) => Turns::None,
            _ if me.is_some_and(|lease| lease.drained) && self.keeps(Rule::Undrain) => Turns::None,
            _ => Turns::Shared,
        }
    }

    // Leaving.

    fn leave(&mut self, now: Millis, at_end: AtEnd, since: Millis) {
        match self.mode {
            Mode::Newer => return self.left(Left::Newer),
            Mode::Lone if self.wants_suspension(at_end) => return self.suspend(now + self.limits.guard),
            Mode::Lone => return self.left(Left::Running),
            Mode::Row => {}
        }
        let (Some(clock), Some(view)) = (self.clock, self.view.clone()) else { return };
        // The process was stopped, so this may be of another life of the cluster. A closing that counts from before the
        // server's start keeps no one from joining.
        if now.saturating_sub(clock.received) >= self.limits.overdue && self.keeps(Rule::Fresh) {
            return self.ask_again(now);
        }
        match self.closing_under_way(&view.row, clock) {
            Some((by, since)) if by == self.me.id => self.close(now, clock, since),
            Some(_) if at_end == AtEnd::Keep || at_end == AtEnd::Auto && !view.row.ours => self.left(Left::Running),
            Some((by, since)) => {
                if self.is_taken_over(now, clock, by, since) {
                    self.write_closing(now, clock);
                }
            }
            None => self.leave_open(now, clock, &view, at_end, since),
        }
    }

    /// Asks for the suspension if "closing" was written just now, and else writes it again.
    fn close(&mut self, now: Millis, clock: Clock, since: Millis) {
        let confirmed = self.closing.filter(|(own, before)| *own == since && now < *before);
        match confirmed {
            Some((_, before)) => self.suspend(before),
            None if clock.received == now => self.write_closing(now, clock),
            // The process was stopped meanwhile, and the cluster may have been started again.
            None => self.ask_again(now),
        }
    }

    fn suspend(&mut self, before: Millis) {
        self.closing = None;
        self.call(Call::Suspend, Effect::Suspend { before });
    }

    fn write_closing(&mut self, now: Millis, clock: Clock) {
        self.write(now, Row::closing(&self.me.id, clock.at_least(now)));
    }

    fn leave_open(&mut self, now: Millis, clock: Clock, view: &View, at_end: AtEnd, since: Millis) {
        let (id, server, row) = (&self.me.id, clock.at_least(now), &view.row);
        let others = || row.others(id, server, self.limits.dead);
        let in_use = others().next().is_some();
        let suspends = at_end == AtEnd::Suspend || at_end == AtEnd::Auto && self.owns(row, clock);
        if suspends && !in_use {
            return self.write_closing(now, clock);
        }
        let mut rest = row.clone();
        rest.leases.retain(|lease| lease.id != *id);
        // The others take over what is owed. Without others, what is left running is for nobody to suspend.
        rest.ours = in_use && (row.ours || at_end != AtEnd::Keep && self.owns(row, clock));
        let changes = rest.leases.len() != row.leases.len() || rest.ours && !row.ours;
        if changes && !view.vacant || view.vacant && suspends {
            return self.write(now, rest);
        }
        // One that renews its lease from now on lives, and does what is owed. The others may be dead.
        let began = server.saturating_sub(now.saturating_sub(since));
        if suspends && self.keeps(Rule::AwaitSign) && others().all(|lease| lease.renewed <= began) {
            return self.ask_again(now + self.limits.poll);
        }
        self.left(if in_use { Left::InUse } else { Left::Running });
    }

    fn wants_suspension(&self, at_end: AtEnd) -> bool {
        at_end == AtEnd::Suspend || at_end == AtEnd::Auto && (self.ours || self.woken)
    }

    /// Leaves although the row can't be asked or written.
    fn leave_blindly(&mut self, now: Millis, at_end: AtEnd, since: Millis) {
        if !self.wants_suspension(at_end) {
            self.left(Left::Running);
        } else if self.alone {
            self.suspend(now + self.limits.guard);
        } else if now >= since + self.limits.owed {
            self.left(Left::Owed);
        } else {
            self.ask_again(now + self.limits.retry);
        }
    }
}
