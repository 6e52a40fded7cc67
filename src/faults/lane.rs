//! Decides when the bytes of one direction of one connection go on. Bytes are numbers here, and the time is given.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::Duration;

/// The time since the proxy began.
pub(super) type Moment = Duration;

/// The most bytes that are on their way at a time; the sender has to wait with more, as for a TCP window. A limit keeps
/// the memory bounded, and this one allows 20 MB/s at a latency of 200 ms.
const WINDOW: usize = 4 << 20;

/// The most chunks of them, since each takes memory of its own.
const CHUNKS: usize = 1 << 14;

/// A slow line delivers in pieces that take this long, as one does that carries packets.
const PIECE: Duration = Duration::from_millis(50);

/// The delay of timers that costs no bandwidth. What a receiver did not take for longer is no credit.
const SLACK: Duration = Duration::from_millis(50);

/// The faults of one direction of one protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    /// Bytes per second.
    pub(super) bandwidth: Option<NonZeroU64>,
    pub(super) reset: Option<ResetAfter>,
    pub(super) black_hole: bool,
    /// Counts the resets of all connections that were open then. It only grows.
    pub(super) severed: u64,
}

impl Conditions {
    /// Returns those of a network without faults, which does not mend what is broken.
    pub(super) fn cleared(self) -> Self {
        Self { severed: self.severed, ..Self::default() }
    }
}

/// Resets a connection after so many more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResetAfter {
    pub(super) bytes: u64,
    /// Differs each time that it is set: every connection counts anew.
    pub(super) number: u64,
}

/// The end of what a sender sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It has nothing more to send.
    Close,
    /// Its connection broke.
    Reset,
}

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Deliver so many bytes. If they complete a chunk that a fault held, it is told.
    Deliver { bytes: usize, held: Option<Held> },
    /// Tell the receiver how the sender ended.
    End(End),
    /// Reset the connection, as a fault wants after so many bytes.
    Reset { after: u64 },
    /// Look again at that time, or earlier if the conditions change.
    WaitUntil(Moment),
    /// Look again when something has come or the conditions have changed.
    Wait,
}

/// A chunk that came later because of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

/// One direction of one connection.
pub(super) struct Lane {
    on_the_way: VecDeque<Chunk>,
    bytes_on_the_way: usize,
    end: Option<(End, Moment)>,
    /// The end of the last piece on a line of limited bandwidth; the next one begins after it.
    line_free: Moment,
    /// The last time that something had to wait.
    waited: Option<Moment>,
    delivered: u64,
    /// The number of a reset that was set, and the bytes that were delivered before.
    counted_from: Option<(u64, u64)>,
    /// The resets of all open connections before this one was made.
    made_at: u64,
    seen: Conditions,
    chance: fastrand::Rng,
}

/// Bytes that were read at once.
struct Chunk {
    bytes: usize,
    /// Not delivered yet.
    left: usize,
    entered: Moment,
    /// The part of the jitter that it takes, from 0 to 1. Drawn also while there is none, so that the same chunk draws
    /// the same number whenever jitter is set.
    part: f64,
}

impl Lane {
    /// Makes a lane that draws its jitter from `seed`, of a connection that is made under these conditions.
    pub(super) fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            on_the_way: VecDeque::new(),
            bytes_on_the_way: 0,
            end: None,
            line_free: Moment::ZERO,
            waited: None,
            delivered: 0,
            counted_from: None,
            made_at: conditions.severed,
            seen: conditions,
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    /// Returns how many bytes may be taken from the sender now.
    pub(super) fn room(&self) -> usize {
        let open = self.end.is_none() && self.on_the_way.len() < CHUNKS;
        if open { WINDOW.saturating_sub(self.bytes_on_the_way) } else { 0 }
    }

    /// Takes a chunk from the sender.
    pub(super) fn push(&mut self, bytes: usize, now: Moment) {
        self.bytes_on_the_way += bytes;
        self.on_the_way.push_back(Chunk { bytes, left: bytes, entered: now, part: self.chance.f64() });
    }

    /// Notes that nothing more comes.
    pub(super) fn finish(&mut self, end: End, now: Moment) {
        self.end.get_or_insert((end, now));
    }

    /// Decides the next step. What it says to deliver counts as delivered.
    pub(super) fn next(&mut self, now: Moment, conditions: &Conditions) -> Step {
        if *conditions != self.seen {
            // A line does not carry anything in the past.
            self.line_free = self.line_free.max(now);
            self.seen = *conditions;
        }
        if conditions.severed != self.made_at {
            return Step::Reset { after: 0 };
        }
        if conditions.black_hole {
            self.waited = Some(now);
            return Step::Wait;
        }
        let allowed = conditions.reset.map(|reset| (reset.bytes, self.left_before(reset)));
        if let Some((after, 0)) = allowed {
            return Step::Reset { after };
        }
        let Some(chunk) = self.on_the_way.front() else { return self.next_at_the_end(now, conditions) };
        let arrives = later(chunk.entered, later(conditions.latency, conditions.jitter.mul_f64(chunk.part)));
        let (piece, due) = match conditions.bandwidth {
            None => (chunk.left, arrives),
            Some(bandwidth) => {
                let piece = chunk.left.min(carried_in(PIECE, bandwidth));
                (piece, later(self.line_free.max(arrives), time_for(piece, bandwidth)))
            }
        };
        if now < due {
            self.waited = Some(now);
            return Step::WaitUntil(due);
        }
        if conditions.bandwidth.is_some() {
            self.line_free = due.max(now.saturating_sub(SLACK));
        }
        let allowed = allowed.map_or(usize::MAX, |(_, left)| usize::try_from(left).unwrap_or(usize::MAX));
        self.deliver(piece.min(allowed), now)
    }

    fn next_at_the_end(&mut self, now: Moment, conditions: &Conditions) -> Step {
        let Some((end, entered)) = self.end else { return Step::Wait };
        let due = later(entered, conditions.latency);
        if now < due { Step::WaitUntil(due) } else { Step::End(end) }
    }

    fn left_before(&mut self, reset: ResetAfter) -> u64 {
        let (number, before) = *self.counted_from.get_or_insert((reset.number, self.delivered));
        let before = if number == reset.number { before } else { self.delivered };
        self.counted_from = Some((reset.number, before));
        reset.bytes.saturating_sub(self.delivered - before)
    }

    fn deliver(&mut self, bytes: usize, now: Moment) -> Step {
        let mut held = None;
        if let Some(chunk) = self.on_the_way.front_mut() {
            chunk.left -= bytes;
            if chunk.left == 0 {
                let waited = self.waited.is_some_and(|waited| waited >= chunk.entered);
                held = waited.then(|| Held { bytes: chunk.bytes, time: now.saturating_sub(chunk.entered) });
                self.on_the_way.pop_front();
            }
        }
        self.bytes_on_the_way -= bytes;
        self.delivered += bytes as u64;
        Step::Deliver { bytes, held }
    }
}

fn later(moment: Moment, by: Duration) -> Moment {
    moment.saturating_add(by)
}

/// Returns how many bytes a line carries in that time: at least one.
fn carried_in(time: Duration, bandwidth: NonZeroU64) -> usize {
    let bytes = u128::from(bandwidth.get()) * time.as_nanos() / Duration::from_secs(1).as_nanos();
    usize::try_from(bytes).unwrap_or(usize::MAX).max(1)
}

fn time_for(bytes: usize, bandwidth: NonZeroU64) -> Duration {
    let nanos = bytes as u128 * Duration::from_secs(1).as_nanos() / u128::from(bandwidth.get());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
