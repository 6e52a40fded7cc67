//! What an exclusive attempt may change outside its schema: looked at before it is granted, put back after it and before
//! anybody else is granted anything.

use super::grants::Key;
use super::{Effect, LookId, Machine, State};
use crate::wire::Millis;

/// Where this is. At any time it concerns one attempt: nobody is granted anything before it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Aftermath {
    #[default]
    Nothing,
    /// The attempt at the front of the queue is next; what there is before it is being looked at.
    Looking { id: LookId, key: Key, until: Millis },
    /// It was seen; what the attempt changes has to be put back when it is over.
    Owed,
    /// It is being put back.
    Restoring { id: LookId, until: Millis },
}

impl Machine {
    /// A keeper that was killed had seen what there was before an exclusive attempt.
    pub(crate) fn owing_aftermath(mut self, owed: bool) -> Self {
        if owed {
            self.aftermath = Aftermath::Owed;
        }
        self
    }

    /// Whether something has to be put back that is not yet.
    pub(crate) fn owes_aftermath(&self) -> bool {
        matches!(self.aftermath, Aftermath::Owed | Aftermath::Restoring { .. })
    }

    /// Whether a test has the cluster for itself, or it is seen to before or after one.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.grants.has_exclusive() || self.aftermath != Aftermath::Nothing
    }

    /// Moves on as far as time and who holds the cluster allow.
    pub(super) fn settle_aftermath(&mut self, now: Millis) {
        self.grants.open_if(now);
        match self.aftermath {
            Aftermath::Looking { id, key, .. } if !self.grants.is_next(key) => {
                self.effects.push(Effect::Forget(id));
                self.aftermath = Aftermath::Nothing;
            }
            // Without a look nothing can be put back, which the loop says; that is no reason not to test.
            Aftermath::Looking { id, key, until } if now >= until => {
                self.effects.push(Effect::Forget(id));
                self.grant_exclusive(key, false);
            }
            Aftermath::Owed if !self.grants.is_closed() && !self.grants.has_exclusive() => self.restore(now),
            Aftermath::Restoring { id, until } if now >= until => {
                self.effects.push(Effect::Forget(id));
                self.aftermath = Aftermath::Nothing;
            }
            _ => {}
        }
    }

    /// Grants from the front of the queue while the front fits, and stops at an exclusive attempt to look first.
    pub(super) fn grant(&mut self, now: Millis) {
        while self.aftermath == Aftermath::Nothing {
            let Some((key, exclusive)) = self.grants.next() else { return };
            if exclusive {
                let id = self.next_look();
                self.effects.push(Effect::Look(id, key.0, key.1));
                self.aftermath = Aftermath::Looking { id, key, until: now.saturating_add(self.limits.look) };
            } else if self.holds_up() {
                return;
            } else {
                self.grants.take(key);
                self.effects.push(Effect::Granted(key.0, key.1));
            }
        }
    }

    /// The look before an exclusive attempt is over; if it failed, its loop said so.
    pub(super) fn looked(&mut self, looked: LookId, ok: bool) {
        let Aftermath::Looking { id, key, .. } = self.aftermath else { return };
        if id != looked {
            return;
        }
        if !self.grant_exclusive(key, ok) {
            self.effects.push(Effect::Forget(id));
        }
    }

    /// Whether it was: somebody may have come back meanwhile with an attempt that a killed keeper had granted.
    fn grant_exclusive(&mut self, key: Key, seen: bool) -> bool {
        let fits = self.state == State::Up && !self.term && self.grants.next() == Some((key, true));
        if fits {
            self.grants.take(key);
            self.effects.push(Effect::Granted(key.0, key.1));
        }
        self.aftermath = if fits && seen { Aftermath::Owed } else { Aftermath::Nothing };
        fits
    }

    /// It was put back, or could not be, which the loop says.
    pub(super) fn restored(&mut self, restored: LookId) {
        if matches!(self.aftermath, Aftermath::Restoring { id, .. } if id == restored) {
            self.aftermath = Aftermath::Nothing;
        }
    }

    fn restore(&mut self, now: Millis) {
        let id = self.next_look();
        self.effects.push(Effect::Restore(id));
        self.aftermath = Aftermath::Restoring { id, until: now.saturating_add(self.limits.restore) };
    }

    /// Before the cluster is let go of: what is owed is begun, and the loop decides how long that may take.
    pub(super) fn hurry_aftermath(&mut self, now: Millis) {
        match self.aftermath {
            Aftermath::Owed => self.restore(now),
            Aftermath::Looking { id, .. } => {
                self.effects.push(Effect::Forget(id));
                self.aftermath = Aftermath::Nothing;
            }
            Aftermath::Nothing | Aftermath::Restoring { .. } => {}
        }
    }

    /// The cluster is there again: what the end of the last time interrupted is begun again.
    pub(super) fn resume_aftermath(&mut self) {
        if matches!(self.aftermath, Aftermath::Restoring { .. }) {
            self.aftermath = Aftermath::Owed;
        }
    }

    pub(super) fn aftermath_deadline(&self) -> Option<Millis> {
        if !matches!(self.state, State::Up | State::Warm { .. }) {
            return None;
        }
        match self.aftermath {
            Aftermath::Looking { until, .. } | Aftermath::Restoring { until, .. } => Some(until),
            Aftermath::Owed if !self.grants.has_exclusive() => self.grants.opens_at(),
            Aftermath::Owed | Aftermath::Nothing => None,
        }
    }

    fn next_look(&mut self) -> LookId {
        self.last_look += 1;
        LookId(self.last_look)
    }
}
