//! Decides about the lease row: when this machine joins the others on a cluster, and which of them suspends it.
//!
//! A plain state machine without I/O, clock or thread, as the keeper's is. One row in the cluster names a lease for
//! each keeper. It is changed by compare-and-set only, and all its times are the server's. The model checker in
//! `gate/model.rs` drives exactly this code.
//!
//! # What the caller does
//!
//! - It carries effects out in their order and answers each call (`Read` to `Suspend`) with one event. There is one
//!   call at a time, but for a [`Event::Found`] that may come unasked.
//! - It wakes the gate with [`Event::Due`] at [`Gate::deadline`].
//! - Its local time goes on while the process is stopped and the machine sleeps (`CLOCK_BOOTTIME`, not `Instant`).
//! - A statement or request that has no answer within 5 s is given up as [`Written::Unknown`] or [`Seen::Unreachable`].
//! - Just before it sends a suspend request it compares the time with `before`. After an answer that leaves open what
//!   happened it looks, waits for operations, and reports what there is; it does not repeat the request.
//! - The id of a lease is unique. A keeper that continues a killed one's journal may use its id.
//! - While [`Turns::None`] holds, no attempt begins. Attempts that run may end; [`Event::Quiet`] tells when none is
//!   left.
//!
//! # What is guaranteed, and what is not
//!
//! A suspend request leaves only within [`Limits::guard`] after the row was changed from "no live lease but mine" to
//! "closing", in one compare-and-set. Others leave a row in "closing" alone for [`Limits::takeover`], and ask CrateDB
//! Cloud once more before they take it over. So a request that reaches the service within the difference (15 s) meets
//! no lease of another keeper. The service knows no conditional suspension, so these cases stay open:
//!
//! - The process is stopped between its last look at the clock and the system call that sends, for more than 15 s.
//! - The request stays longer than that on its way, in a proxy or a queue of the service, or longer than a resumption
//!   takes that a person's suspension made necessary at the same moment.
//! - A person changes or deletes the row, or suspends and resumes the cluster, while a request is on its way.
//! - SQL does not answer a keeper at its end although it answers others, one of which joined after that keeper last saw
//!   the row ([`Limits::renew`]). It counts as alone, as every machine did before there was a row.
//! - The row can't be made or written: then machines don't know of each other.
//! - The server loses an acknowledged write (documented for isolated primaries), or clocks of its nodes differ by more
//!   than 15 s.
//! - A keeper wakes the cluster and its machine dies before it has joined: the row can't tell this from a person, so a
//!   sweep leaves the cluster running. The journal of that machine has it.
//!
//! A keeper that finds the cluster taken away says so ([`Effect::Cut`]) with its next look: at the latest one renewal
//! after it runs again. Tests that run at that moment, in processes that were not stopped with their keeper, can't be
//! kept from it.

mod decide;
mod event;
#[cfg(test)]
mod model;
mod row;
#[cfg(test)]
mod tests;

pub(crate) use event::{AtEnd, Effect, Event, Left, Seen, ServerTime, Turns, Written};
pub(crate) use row::{FORMAT, Lease, Row, RowState, RowVersion};

use crate::wait::Millis;

/// Waits and limits of the gate, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Limits {
    /// A lease is renewed this often.
    pub(crate) renew: Millis,
    /// A lease that is older missed a renewal. So old is the lease that stands for those of a lost row.
    pub(crate) overdue: Millis,
    /// A lease that is older counts as dead.
    pub(crate) dead: Millis,
    /// Tests begin until this long before the own lease is dead.
    pub(crate) margin: Millis,
    /// A suspend request leaves at most this long after the change to "closing".
    pub(crate) guard: Millis,
    /// After so long without a word of its owner, a closing is taken over.
    pub(crate) takeover: Millis,
    /// The row is looked at this often while it names others, or while anything is waited for.
    pub(crate) poll: Millis,
    /// The pause after a statement that the server did not answer.
    pub(crate) retry: Millis,
    /// After so long a keeper that can't leave gives up.
    pub(crate) owed: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            renew: 20_000,
            overdue: 30_000,
            dead: 90_000,
            margin: 10_000,
            guard: 15_000,
            takeover: 30_000,
            poll: 1_000,
            retry: 5_000,
            owed: 600_000,
        }
    }
}

/// A rule whose need the model checker shows by leaving it out. Further rules are in [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rule {
    /// A write that was lost did not happen.
    Compare,
    /// A write without an answer may not have happened.
    Reread,
    /// A suspend request that failed is not sent again before "closing" is confirmed.
    Confirm,
    /// A closing is taken over only after another look at the cluster.
    LookFirst,
    /// The word of a row from before the server's start says nothing about the cluster's owner.
    Boot,
    /// A row that is lost may have named others.
    Vacant,
    /// A keeper that leaves others behind stays until one of them shows that it lives.
    AwaitSign,
    /// No test begins once the own lease may be dead.
    Lapse,
    /// A drained keeper begins tests only after the row says that it is drained no more.
    Undrain,
    /// A keeper that takes its wish to be alone back is not alone before it has another one in the row.
    Withdraw,
    /// A keeper that leaves decides by a row that it has read lately.
    Fresh,
    /// A row that was written tells of the time when it was sent, not of the time when the answer is taken.
    Written,
    /// A keeper that was thrown out joins again, or tells its tests.
    Rejoin,
}

/// The keeper's aim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
enum Aim {
    Out,
    In,
    Leave { at_end: AtEnd, since: Millis },
}

/// A call that is not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
enum Call {
    Read {
        sent: Millis,
    },
    MakeTable,
    /// `lease` is the local time from which the lease in the row counts at least.
    Write {
        row: Row,
        lease: Option<Millis>,
        before: Millis,
    },
    MakeAvailable,
    Look,
    Suspend,
}

/// The extent to which the row can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
enum Mode {
    Row,
    /// There is none: this machine counts as the only one.
    Lone,
    /// It can't be read by this version: the cluster is used and never suspended.
    Newer,
}

/// The row as it was last read or written. Whether it still is that, the next compare-and-set tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
struct View {
    row: Row,
    /// None if there is no row.
    version: Option<RowVersion>,
    /// The row is missing or damaged.
    vacant: bool,
}

/// A reading of the server's clock, with the local times between which it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
struct Clock {
    server: ServerTime,
    sent: Millis,
    received: Millis,
}

impl Clock {
    /// Returns a time that the server's clock has reached.
    fn at_least(&self, now: Millis) -> Millis {
        self.server.now + now.saturating_sub(self.received)
    }

    /// Returns a local time that was not after the moment when the server's clock showed [`Clock::at_least`].
    fn local(&self, now: Millis) -> Millis {
        now.saturating_sub(self.received - self.sent)
    }
}

/// The facts that the journal of a killed keeper has for its successor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// It may have woken the cluster, and did not join.
    pub(crate) woken: bool,
    /// It had joined, and was to suspend the cluster in the end.
    pub(crate) ours: bool,
    /// It saw no other lease when it last saw the row: [`Gate::is_alone`].
    pub(crate) alone: bool,
}

/// The gate of one keeper. Feed it with [`Gate::on`].
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
pub(crate) struct Gate {
    limits: Limits,
    #[cfg(test)]
    without: Option<Rule>,
    /// The lease as it is at first.
    me: Lease,
    aim: Aim,
    mode: Mode,
    call: Option<Call>,
    view: Option<View>,
    clock: Option<Clock>,
    /// While `view` is none, nothing is asked before this local time.
    wake: Millis,
    /// The cluster is looked at before the row is read again.
    look_first: bool,
    /// The server did not answer when it was last asked.
    silent: bool,
    /// After that, CrateDB Cloud said that the cluster runs.
    looked: bool,
    /// The lease is in the row and counts from this local time at least.
    lease: Option<Millis>,
    /// This keeper woke the cluster and has not told the row.
    woken: bool,
    /// The row said so when it last named this keeper, at this time of the server.
    ours: bool,
    held: Millis,
    /// No other lease was seen when the row was last seen.
    alone: bool,
    /// No table was there, so there can't have been a lease.
    fresh_table: bool,
    /// The own closing, and the local time before which the request may leave.
    closing: Option<(Millis, Millis)>,
    /// A closing without a word of its owner, after which the cluster was looked at.
    stale: Option<(String, Millis)>,
    /// Another keeper has left, and waits for a sign of life.
    greets: bool,
    wants_alone: bool,
    quiet: bool,
    turns: Turns,
    reported: bool,
    effects: Vec<Effect>,
}

impl Gate {
    /// Creates the gate of a keeper with this lease, of which only the texts count.
    pub(crate) fn new(me: Lease, memory: Memory, limits: Limits) -> Self {
        Self {
            limits,
            #[cfg(test)]
            without: None,
            me,
            aim: Aim::Out,
            mode: Mode::Row,
            call: None,
            view: None,
            clock: None,
            wake: 0,
            look_first: false,
            silent: false,
            looked: false,
            lease: None,
            woken: memory.woken,
            ours: memory.ours,
            held: 0,
            alone: memory.alone || memory.woken,
            fresh_table: false,
            closing: None,
            stale: None,
            greets: false,
            wants_alone: false,
            quiet: true,
            turns: Turns::None,
            reported: false,
            effects: Vec::new(),
        }
    }

    /// Returns the row as it was last seen, for people.
    pub(crate) fn row(&self) -> Option<&Row> {
        self.view.as_ref().filter(|view| !view.vacant).map(|view| &view.row)
    }

    /// Returns the least that the server's clock shows, once it was read.
    pub(crate) fn server_now(&self, now: Millis) -> Option<Millis> {
        self.clock.map(|clock| clock.at_least(now))
    }

    /// Returns whether no other lease was seen when the row was last seen, for the journal.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Returns the tests that may begin.
    #[cfg(test)]
    fn turns(&self) -> Turns {
        self.turns
    }

    /// Takes one event. Returns what to do about it, in this order.
    pub(crate) fn on(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        match event {
            Event::Join { woken } => self.want_in(now, woken),
            Event::Leave(at_end) => self.want_out(now, at_end),
            Event::WantAlone(wants) => self.wants_alone = wants,
            Event::Quiet => self.quiet = self.turns == Turns::None,
            Event::Read(seen) => {
                if let Some(Call::Read { sent }) = self.call.take_if(|call| matches!(call, Call::Read { .. })) {
                    self.read(now, sent, seen);
                }
            }
            Event::TableMade(made) => self.table_made(now, made),
            Event::Wrote(written) => {
                if let Some(Call::Write { row, lease, before }) =
                    self.call.take_if(|call| matches!(call, Call::Write { .. }))
                {
                    self.wrote(now, row, lease, before, written);
                }
            }
            Event::Available { woken } => self.available(now, woken),
            Event::Found { suspended } => self.found(now, suspended),
            Event::Suspended { done } => self.suspended(now, done),
            Event::Due => {}
        }
        self.settle(now);
        std::mem::take(&mut self.effects)
    }

    /// Returns when the gate wants [`Event::Due`] next, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        let lapse = self.lapses_at().filter(|_| self.turns != Turns::None && self.keeps(Rule::Lapse));
        let idle = self.call.is_none() && self.aim != Aim::Out && self.mode == Mode::Row;
        let look = idle.then(|| match &self.view {
            None => self.wake,
            Some(_) => self.next_look(),
        });
        lapse.into_iter().chain(look).min()
    }

    fn keeps(&self, rule: Rule) -> bool {
        #[cfg(test)]
        return self.without != Some(rule);
        #[cfg(not(test))]
        {
            let _ = rule;
            true
        }
    }
}
