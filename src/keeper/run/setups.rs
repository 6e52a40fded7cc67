//! The loop's side of set-ups that are done once per session: messages in and out, and their schemas.

use super::{Keeper, State};
use crate::keeper::machine::{ClientId, Effect};
use crate::keeper::setups::{Ended, Tell};
use crate::wire::FromKeeper;
use crate::wire::SetupOutcome;

impl Keeper {
    pub(super) fn claim_set_up(&mut self, id: ClientId, name: &str, schema: String) {
        let Some(session) = self.clients.get_mut(id).map(|client| client.session) else { return };
        let tell = self.set_ups.claim(id, session, name, schema);
        self.tell_of_set_ups(tell.into_iter().collect());
    }

    pub(super) fn set_up_ended(&mut self, id: ClientId, name: &str, outcome: SetupOutcome) {
        let Some(session) = self.clients.get_mut(id).map(|client| client.session) else { return };
        let ended = match outcome {
            SetupOutcome::Done => Ended::Done,
            SetupOutcome::Failed { error } => Ended::Failed(error),
            SetupOutcome::GivenUp => Ended::GivenUp,
        };
        tracing::info!(name, ?ended, "a set-up ended");
        let (tells, left) = self.set_ups.ended(id, session, name, ended);
        left.into_iter().for_each(|schema| self.remove(schema));
        self.tell_of_set_ups(tells);
    }

    pub(super) fn leave_set_ups(&mut self, id: ClientId) {
        let (tells, left) = self.set_ups.leave(id);
        left.into_iter().for_each(|schema| self.remove(schema));
        self.tell_of_set_ups(tells);
    }

    /// The cluster is one that was just made.
    pub(super) fn start_set_ups_over(&mut self) {
        let tells = self.set_ups.start_over();
        self.tell_of_set_ups(tells);
    }

    /// Before these effects of an event that came in `before`: schemas of sessions that are over now, and all of them
    /// before a release, go while the cluster is up still.
    pub(super) fn drop_set_ups(&mut self, before: State, effects: &[Effect]) {
        let last = effects.iter().any(|effect| matches!(effect, Effect::Release | Effect::Exit));
        let machine = &self.machine;
        let left = self.set_ups.retain(|session| !last && machine.has(session));
        let in_time = matches!(before, State::Up | State::Warm { .. } | State::Probing | State::Down);
        left.into_iter().for_each(|schema| self.remove_if(in_time, schema));
    }

    fn tell_of_set_ups(&mut self, tells: Vec<Tell>) {
        for Tell { client, name, verdict } in tells {
            tracing::debug!(client = client.0, name, ?verdict, "about a set-up");
            self.clients.send(client, &FromKeeper::SetUp { name, verdict });
        }
    }
}
