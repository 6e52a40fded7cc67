//! The loss of nodes: a cluster that is not what was asked for any more is replaced before anything is granted on it.

use super::aftermath::Aftermath;
use super::{Effect, FailReason, Machine, MachineState, Rule};
use crate::wire::Millis;

/// So many clusters in a row that lost nodes before any attempt was granted are no accident.
const FRUITLESS: u32 = 3;

/// The extent to which the nodes of a cluster that is up have ended by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(Hash))]
pub(super) enum Loss {
    #[default]
    None,
    /// Attempts that run may go on with the others, and may even have ended this one.
    Some,
    /// Nothing can go on with it.
    All,
}

/// The state that the machine keeps about lost nodes.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
pub(super) struct Losses {
    loss: Loss,
    /// The release under way is that of a cluster that another one follows.
    replacing: bool,
    /// An attempt was granted on the cluster that is up.
    pub(super) fruitful: bool,
    /// The number of clusters in a row that were replaced before an attempt was granted.
    fruitless: u32,
}

impl Losses {
    /// Forgets what is true of one cluster only, which is being released.
    pub(super) fn end_of_cluster(&mut self) {
        (self.loss, self.replacing) = (Loss::None, false);
    }
}

impl Machine {
    /// Nodes of the cluster ended although it was not released.
    pub(super) fn lost(&mut self, all: bool) {
        if self.ours && matches!(self.state, MachineState::Up | MachineState::Warm { .. }) {
            self.losses.loss = self.losses.loss.max(if all { Loss::All } else { Loss::Some });
        }
    }

    /// Returns whether the release under way is that of a cluster that another one follows.
    pub(crate) fn is_replacing(&self) -> bool {
        self.losses.replacing && matches!(self.state, MachineState::Releasing { .. })
    }

    /// Returns whether nodes are missing.
    pub(crate) fn lacks_nodes(&self) -> bool {
        self.losses.loss != Loss::None
    }

    /// Returns whether the cluster can be replaced without disturbing what still runs on it.
    pub(super) fn is_broken(&self) -> bool {
        match self.losses.loss {
            Loss::None => false,
            Loss::Some => !self.grants.has_holders(),
            Loss::All => true,
        }
    }

    /// Releases a cluster that lost nodes. All clients wait for the next one.
    pub(super) fn replace(&mut self, now: Millis) {
        match std::mem::take(&mut self.aftermath) {
            Aftermath::Looking { id, .. } | Aftermath::Restoring { id, .. } => self.effects.push(Effect::Forget(id)),
            // What was changed goes with the cluster.
            Aftermath::Nothing | Aftermath::Owed => {}
        }
        self.await_another();
        let fruitless = if self.losses.fruitful { 1 } else { self.losses.fruitless + 1 };
        if fruitless >= FRUITLESS {
            self.fail_waiting();
        }
        self.release(now, 0);
        self.losses = Losses { replacing: true, fruitless, ..Losses::default() };
    }

    /// Lets all clients wait for another cluster than the one that they have.
    pub(super) fn await_another(&mut self) {
        // What clients of a killed keeper had on it is gone, too: nothing is left to be repeated first.
        self.grants.open_if(Millis::MAX);
        if !self.keeps(Rule::AwaitAnother) {
            return;
        }
        for (client, lease) in self.leases.iter_mut().filter(|(_, lease)| lease.ready) {
            lease.ready = false;
            self.waiting.insert(*client);
        }
    }

    /// Tells all clients that wait that there will be no cluster, and remembers their sessions.
    pub(super) fn fail_waiting(&mut self) {
        for client in std::mem::take(&mut self.waiting) {
            self.told.extend(self.leases.get(&client).map(|lease| lease.session));
            self.effects.push(Effect::Fail(client, FailReason::NotAcquired));
        }
    }
}
