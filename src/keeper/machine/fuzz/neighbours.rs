//! Keepers of other machines on the cluster, and clients that suspend it.

use super::*;

impl World {
    /// Takes a lease among theirs, with the cluster.
    pub(super) fn joins_others(&mut self, up: bool) {
        if self.shared && up {
            self.turns = Some(Turns::Shared);
            self.feed(Event::Turns(Turns::Shared));
        }
    }

    /// Lets other keepers make room, or take it.
    pub(super) fn room_changes(&mut self) {
        if self.turns.is_none() || !self.is_up() {
            return;
        }
        let turns = match self.random.u8(..3) {
            0 => Turns::None,
            1 if self.wants_alone => Turns::Alone,
            _ => Turns::Shared,
        };
        self.turns = Some(turns);
        self.feed(Event::Turns(turns));
    }

    pub(super) fn has_room(&self, exclusive: bool) -> bool {
        match self.turns {
            None | Some(Turns::Alone) => true,
            Some(Turns::Shared) => !exclusive,
            Some(Turns::None) => false,
        }
    }

    /// Hears that this keeper wants to be alone. If it does no more, others may begin at once.
    pub(super) fn wishes(&mut self, wants: bool) {
        self.wants_alone = wants;
        if !wants && self.turns == Some(Turns::Alone) {
            self.turns = Some(Turns::Shared);
        }
    }

    pub(super) fn check_quiet(&self) {
        assert_eq!(self.turns, Some(Turns::None));
        assert!(!self.machine.grants.has_holders(), "quiet while attempts run");
    }

    pub(super) fn check_room(&self, mode: Mode) {
        assert!(self.has_room(mode == Mode::Exclusive), "{mode:?} granted although others leave {:?}", self.turns);
    }

    /// Lets another client suspend the cluster. Its clients are answered once more.
    pub(super) fn suspended_from_outside(&mut self) {
        if self.turns.is_none() || !self.is_up() {
            return;
        }
        (self.turns, self.running) = (None, false);
        self.clients.values_mut().for_each(|client| client.answered = false);
        self.feed(Event::CutOff);
        assert!(!self.is_up(), "a cluster that is suspended stays");
    }
}
