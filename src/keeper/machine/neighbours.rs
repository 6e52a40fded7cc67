//! Keepers of other machines on the same cluster: the attempts that may begin beside theirs, and the end of a cluster
//! that goes away under this one's.

use super::aftermath::Aftermath;
use super::{Effect, Machine, MachineState, Rule, Word};
use crate::sharing::Turns;
use crate::target::OnSuspended;

/// The state that the machine keeps about them.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
pub(super) struct Neighbours {
    /// The attempts that may begin. None: there is no lease among theirs, and nothing to heed.
    turns: Option<Turns>,
    /// They were told that this keeper wants to be alone.
    wants_alone: bool,
    /// They were told that nothing runs here, since nothing may begin.
    quiet: bool,
}

impl Machine {
    pub(super) fn turns(&mut self, turns: Turns) {
        self.neighbours.turns = Some(turns);
    }

    /// Returns whether a lease is held, which has to be given back even if the cluster is not ours.
    pub(super) fn is_leased(&self) -> bool {
        self.neighbours.turns.is_some()
    }

    /// Returns whether an attempt may begin as far as other keepers are concerned.
    pub(super) fn fits_neighbours(&self, exclusive: bool) -> bool {
        match self.neighbours.turns {
            None | Some(Turns::Alone) => true,
            Some(Turns::Shared) => !exclusive,
            Some(Turns::None) => false,
        }
    }

    /// Returns whether an attempt may be waiting for those of other machines.
    pub(crate) fn awaits_others(&self) -> bool {
        !self.fits_neighbours(true)
    }

    /// Tells the other keepers what they have to know: that this one wants to be alone, or that it runs nothing.
    pub(super) fn settle_neighbours(&mut self) {
        let idle = self.aftermath == Aftermath::Nothing;
        let up = self.state == MachineState::Up && self.is_leased();
        let wants_alone = up && (self.grants.wants_exclusive() || !idle);
        if std::mem::replace(&mut self.neighbours.wants_alone, wants_alone) != wants_alone {
            // From now on others may begin, before that is heard here.
            self.neighbours.turns = match self.neighbours.turns {
                Some(Turns::Alone) if !wants_alone && self.keeps(Rule::Withdraw) => Some(Turns::Shared),
                turns => turns,
            };
            self.effects.push(Effect::WantAlone(wants_alone));
        }
        let quiet = self.neighbours.turns == Some(Turns::None) && idle && !self.grants.has_holders();
        if !std::mem::replace(&mut self.neighbours.quiet, quiet) && quiet {
            self.effects.push(Effect::Quiet);
        }
    }

    /// Forgets the lease, which was given back or lost.
    pub(super) fn unleased(&mut self) {
        self.neighbours = Neighbours::default();
    }

    /// The cluster went away under the attempts, and nothing of it is held any more.
    pub(super) fn cut_off(&mut self) {
        if !matches!(self.state, MachineState::Up | MachineState::Warm { .. }) {
            return;
        }
        // What an exclusive attempt has changed stays on the cluster, and so does the debt.
        if let Aftermath::Looking { id, .. } = self.aftermath {
            self.effects.push(Effect::Forget(id));
            self.aftermath = Aftermath::Nothing;
        }
        self.await_another();
        self.unleased();
        self.ours = false;
        if self.policy.on_suspended == OnSuspended::Fail {
            self.fail_waiting();
        }
        self.write(Word::Clean);
        self.state = if self.told.is_empty() { MachineState::Down } else { MachineState::Failed };
    }
}
