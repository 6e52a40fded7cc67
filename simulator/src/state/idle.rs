//! Idle clusters of the free tier, which the service suspends and deletes by itself.

use super::cluster::{Cluster, Presence};
use super::operation::Effect;
use super::{Event, Happening, Micros, State};

const DAY: Micros = 24 * 3_600_000_000;
/// Idle time after which a free cluster is suspended.
const IDLE_UNTIL_SUSPENDED: Micros = 4 * DAY;
/// Time of suspension after which it is deleted.
const SUSPENDED_UNTIL_DELETED: Micros = 10 * DAY;

/// Returns the time of the next such event.
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
    /// Does the events that are due. Returns whether there were any.
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

    /// Notes a use of the database of a cluster.
    pub(crate) fn touch(&mut self, now: Micros, cluster: &str) {
        if let Some(cluster) = self.by_id_mut(cluster) {
            cluster.used = cluster.used.max(now);
        }
    }
}
