//! What the service does by itself to clusters of the free tier that nobody uses.

use super::cluster::{Cluster, Presence};
use super::operation::Effect;
use super::{Event, Happening, Micros, State};

const DAY: Micros = 24 * 3_600_000_000;
/// A free cluster whose database nobody used for so long is suspended.
const IDLE_UNTIL_SUSPENDED: Micros = 4 * DAY;
/// And deleted if it was suspended for so long.
const SUSPENDED_UNTIL_DELETED: Micros = 10 * DAY;

/// What is due next.
enum Due {
    Suspend(Micros),
    Delete(Micros),
}

impl Cluster {
    fn idle(&self) -> Option<Due> {
        if !self.product.is_free() || self.pending().is_some() {
            return None;
        }
        match self.presence {
            Presence::Running => {
                let settled = self.operations.last().map_or(0, |last| last.modified);
                Some(Due::Suspend(self.used.saturating_add(IDLE_UNTIL_SUSPENDED).max(settled)))
            }
            Presence::Suspended => Some(Due::Delete(self.modified.saturating_add(SUSPENDED_UNTIL_DELETED))),
            Presence::Unborn => None,
        }
    }

    pub(super) fn idle_due(&self) -> Option<Micros> {
        match self.idle()? {
            Due::Suspend(at) | Due::Delete(at) => Some(at),
        }
    }
}

impl State {
    /// Does what is due; whether anything was.
    pub(super) fn tidy(&mut self, now: Micros) -> bool {
        let due = self.clusters.iter().find_map(|cluster| {
            let due = cluster.idle()?;
            let (Due::Suspend(at) | Due::Delete(at)) = due;
            (at <= now).then(|| (cluster.id.clone(), due))
        });
        match due {
            None => return false,
            Some((id, Due::Suspend(at))) => {
                self.outbox.events.push(Event { at, cluster: id.clone(), what: Happening::SuspendRequested });
                self.begin_own(at, &id, Effect::Suspend);
            }
            Some((id, Due::Delete(at))) => {
                self.clusters.retain(|cluster| cluster.id != id);
                self.forget(&id);
                self.outbox.events.push(Event { at, cluster: id, what: Happening::Deleted });
            }
        }
        true
    }

    /// Somebody used the database of a cluster.
    pub(crate) fn touch(&mut self, now: Micros, cluster: &str) {
        if let Some(cluster) = self.by_id_mut(cluster) {
            cluster.used = cluster.used.max(now);
        }
    }
}
