//! What is dropped while a cluster is used and before it is let go of: schemas of attempts, users of acquisitions.

use std::time::Instant;

use super::effects::lives_on;
use super::{DROPS, Event, Keeper, Last};
use crate::error::Result;
use crate::keeper::machine::State;
use crate::user;
use crate::wire::FromKeeper;
use crate::wire::exit;

/// So many names are remembered for the next acquisition; the others are dropped once they are old.
const UNDROPPED: usize = 200;

impl Keeper {
    /// Noted before anybody is told of it: whoever comes after a killed keeper drops it.
    pub(super) fn note_user(&mut self, user: Option<String>) {
        let Some(user) = user else { return };
        self.users.push(user);
        let users = self.users.clone();
        let noted = self.with_journal(|journal| {
            journal.write(|record| {
                record.undropped.retain(|name| !users.contains(name));
                record.undropped.splice(0..0, users);
            })
        });
        if let Err(error) = noted {
            tracing::warn!(%error, "the user for PostgreSQL drivers was not written down");
        }
    }

    /// Whether what is on the cluster survives a release; none if there is none, of whose data nobody knows anything.
    pub(super) fn fate(&self) -> Option<bool> {
        self.resource.as_ref().map(lives_on)
    }

    /// Begins to drop a schema or a user. Where there is no time for it any more, it is noted for the next session.
    pub(super) fn remove(&mut self, name: String) {
        let in_time =
            matches!(self.machine.state(), State::Up | State::Warm { .. } | State::Acquiring | State::Probing);
        self.remove_if(in_time, name);
    }

    pub(super) fn remove_if(&mut self, in_time: bool, name: String) {
        match &self.cleaner {
            Some(cleaner) if in_time => {
                cleaner.remove(name.clone());
                self.drops_in_flight.push(name);
            }
            _ if self.fate() == Some(true) => self.not_dropped.push(name),
            _ => {}
        }
    }

    /// A cluster is there, maybe another one than before.
    pub(super) fn forget_drops(&mut self) {
        self.drops_in_flight.clear();
        self.not_dropped.clear();
    }

    pub(super) fn cleaned(&mut self, name: &str, outcome: Result<()>) {
        self.drops_in_flight.retain(|known| known != name);
        if outcome.is_ok() {
            self.unmake(name);
        }
        if let Err(error) = outcome {
            // The next session tries again.
            self.not_dropped.push(name.to_owned());
            let what = if user::is_ours(name) { "user" } else { "schema" };
            tracing::warn!(%error, name, "a {what} was not dropped");
            if !self.drop_warned
                && let Some(client) = self.clients.anybody()
            {
                self.drop_warned = true;
                let text = format!("{what} {name} was not dropped: {error}");
                client.outbox.send(&FromKeeper::Notice { text });
            }
        }
        self.feed(Event::Due);
        self.drops_done_if_all();
    }

    pub(super) fn drops_done_if_all(&mut self) {
        if self.after_drops.is_some() && self.drops_in_flight.is_empty() && !self.aftermath.is_under_way() {
            self.drops_done();
        }
    }

    /// A cluster that lives on should not keep the schemas of this run; a local server takes them with it.
    pub(super) fn finish_drops(&mut self, last: Last) {
        let fate = self.fate();
        // Users first: they may do everything, and wait for nothing.
        if let Some(cleaner) = &self.cleaner {
            self.users.iter().for_each(|user| cleaner.remove(user.clone()));
            self.drops_in_flight.append(&mut self.users);
        }
        self.close_stock(fate);
        self.after_drops = Some((Instant::now() + DROPS, last));
        if fate == Some(true) {
            self.drops_done_if_all();
        } else {
            self.drops_done();
        }
    }

    pub(super) fn drops_done(&mut self) {
        self.leave_aftermath();
        match self.after_drops.take() {
            Some((_, Last::Release)) => self.release_now(),
            Some((_, Last::Exit)) => {
                self.note_undropped();
                self.write_reports();
                self.exit = Some(exit::DONE);
            }
            None => {}
        }
    }

    fn release_now(&mut self) {
        match (self.held(), &self.work) {
            // The request leaves before anything is written.
            (Some(held), Some(work)) => work.release(held, self.machine.policy().on_exit),
            (None, _) => self.feed(Event::Released { ok: true }),
            (_, None) => self.feed(Event::Released { ok: false }),
        }
        self.note_undropped();
    }

    /// What could not be dropped in time is dropped by the next acquisition. Without a cluster that was here, what others
    /// noted stays.
    pub(super) fn note_undropped(&mut self) {
        let Some(lives_on) = self.fate() else { return };
        let all = self.users.iter().chain(&self.not_dropped).chain(&self.drops_in_flight);
        let mut rest: Vec<String> = all.filter(|_| lives_on).cloned().collect();
        // A record that grows beyond its slot could not be written any more, the next intent neither.
        rest.sort_by_key(|name| !user::is_ours(name));
        rest.truncate(UNDROPPED);
        let noted = self.with_journal(|journal| match journal.record.undropped == rest {
            true => Ok(()),
            false => journal.write(|record| record.undropped = rest),
        });
        if let Err(error) = noted {
            tracing::warn!(%error, "schemas that are left were not written down");
        }
    }
}
