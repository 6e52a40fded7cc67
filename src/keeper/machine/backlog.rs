//! Dropping that falls behind, and whom that holds up.
//!
//! CrateDB puts `DROP SCHEMA` behind every `CREATE TABLE` that waits (priorities NORMAL and URGENT in its
//! `TransportDropSchema` and `TransportCreateTable`, 6.4). Tests that make tables without a pause keep it from dropping at
//! all, and every change takes it longer the more there is. So those who would make more wait for a while.

use super::Machine;
use crate::wire::Millis;

/// From so many schemas that wait to be dropped on, attempts are held up, until there are no more than a few.
pub(super) const MANY: usize = 12;
pub(super) const FEW: usize = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Backlog {
    #[default]
    Small,
    /// Attempts run one at a time, so that somebody always gets on.
    Large { until: Millis },
    /// It does not get smaller, or a test waits for one that is held up: nobody is, any more.
    GivenUp,
}

impl Machine {
    pub(super) fn dropping(&mut self, now: Millis, count: usize) {
        self.backlog = match self.backlog {
            Backlog::Small if count >= MANY => Backlog::Large { until: now.saturating_add(self.limits.backlog) },
            Backlog::Large { .. } | Backlog::GivenUp if count <= FEW => Backlog::Small,
            as_before => as_before,
        };
    }

    pub(super) fn settle_backlog(&mut self, now: Millis) {
        if matches!(self.backlog, Backlog::Large { until } if now >= until) {
            self.backlog = Backlog::GivenUp;
        }
    }

    /// Whether a shared attempt has to wait although it fits.
    pub(super) fn holds_up(&self) -> bool {
        matches!(self.backlog, Backlog::Large { .. }) && self.grants.has_holders()
    }

    pub(super) fn backlog_deadline(&self) -> Option<Millis> {
        match self.backlog {
            Backlog::Large { until } => Some(until),
            Backlog::Small | Backlog::GivenUp => None,
        }
    }
}
