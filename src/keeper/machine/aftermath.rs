//! The aftermath of an exclusive attempt: a look at what it may change outside its schema before it is granted, and a
//! repair after it, before anything else is granted.

use super::grants::AttemptKey;
use super::{Effect, LookId, Machine, MachineState};
use crate::wire::Millis;

/// The step of it that is due. At any time it concerns one attempt: nothing is granted before it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(super) enum Aftermath {
    #[default]
    Nothing,
    /// The attempt at the front of the queue is next, and the state before it is being looked at.
    Looking { id: LookId, key: AttemptKey, until: Millis },
    /// The look succeeded: what the attempt changes has to be restored when it is over.
    Owed,
    /// The repair is under way.
    Restoring { id: LookId, until: Millis },
}

impl Machine {
    /// Takes over from a killed keeper, which may have looked at the state before an exclusive attempt.
    pub(crate) fn owing_aftermath(mut self, owed: bool) -> Self {
        if owed {
            self.aftermath = Aftermath::Owed;
        }
        self
    }

    /// Returns whether something still has to be restored.
    pub(crate) fn owes_aftermath(&self) -> bool {
        matches!(self.aftermath, Aftermath::Owed | Aftermath::Restoring { .. })
    }

    /// Returns whether a test has the cluster for itself, or a look before or a repair after one is due.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.grants.has_exclusive() || self.aftermath != Aftermath::Nothing
    }

    /// Moves on as far as the time and the holders of the cluster allow.
    pub(super) fn settle_aftermath(&mut self, now: Millis) {
        self.grants.open_if(now);
        match self.aftermath {
            Aftermath::Looking { id, key, .. } if !self.grants.is_next(key) => {
                self.effects.push(Effect::Forget(id));
                self.aftermath = Aftermath::Nothing;
            }
            // Without a look nothing can be restored. The loop says so; it is no reason not to test.
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

    /// The look before an exclusive attempt is over. If it failed, the loop has said so.
    pub(super) fn looked(&mut self, looked: LookId, ok: bool) {
        let Aftermath::Looking { id, key, .. } = self.aftermath else { return };
        if id != looked {
            return;
        }
        if !self.grant_exclusive(key, ok) {
            self.effects.push(Effect::Forget(id));
        }
    }

    /// The repair is over. If it failed, the loop has said so.
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

    /// Begins a repair that is owed before the cluster is released. The loop decides how long it may take.
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

    /// Begins a repair again that the last release interrupted, now that the cluster is there.
    pub(super) fn resume_aftermath(&mut self) {
        if matches!(self.aftermath, Aftermath::Restoring { .. }) {
            self.aftermath = Aftermath::Owed;
        }
    }

    pub(super) fn aftermath_deadline(&self) -> Option<Millis> {
        if !matches!(self.state, MachineState::Up | MachineState::Warm { .. }) {
            return None;
        }
        match self.aftermath {
            Aftermath::Looking { until, .. } | Aftermath::Restoring { until, .. } => Some(until),
            Aftermath::Owed if !self.grants.has_exclusive() => self.grants.opens_at(),
            Aftermath::Owed | Aftermath::Nothing => None,
        }
    }

    pub(super) fn next_look(&mut self) -> LookId {
        self.last_look += 1;
        LookId(self.last_look)
    }
}
