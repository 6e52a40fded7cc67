//! Set-ups that are done once per session, as this process asks for them and does them.

use tokio::sync::oneshot;

use super::{Link, MARGIN, speaker};
use crate::error::{Error, Kind, Result};
use crate::host::say;
use crate::wire::{FromClient, KnownSetup, SetupOutcome, Verdict};

/// A question that is not answered yet.
pub(super) struct Claim {
    schema: String,
    answer: oneshot::Sender<Verdict>,
}

impl Link {
    /// Asks for a set-up, and waits while another process does it. One question for a name at a time.
    pub(in crate::session) async fn claim(&self, name: &str, schema: &str) -> Result<Verdict> {
        let (answer, mut answered) = oneshot::channel();
        {
            let mut state = self.state();
            if let Some(error) = &state.over {
                return Err(error.clone());
            }
            state.claims.insert(name.to_owned(), Claim { schema: schema.to_owned(), answer });
            state.write(&FromClient::Setup { name: name.to_owned(), schema: schema.to_owned() });
        }
        let mut asked = Asked { link: self, name, answered: false };
        let limit = self.0.settings.start_timeout.saturating_add(MARGIN);
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        let mut shown = tokio::time::interval_at(tokio::time::Instant::now() + speaker::AGAIN, speaker::AGAIN);
        let verdict = loop {
            tokio::select! {
                answer = &mut answered => break answer.map_err(|_| match &self.state().over {
                    Some(error) => error.clone(),
                    None => Error::new(Kind::Session, "the connection to the keeper is over"),
                })?,
                _ = shown.tick() => say(&format!("waiting for the set-up `{name}`, which another test does")),
                () = &mut deadline => return Err(self.too_long(name)),
            }
        };
        asked.answered = true;
        let known = match &verdict {
            Verdict::Yours => Some((schema.to_owned(), false)),
            Verdict::Done { schema } => Some((schema.clone(), true)),
            Verdict::Failed { .. } => None,
        };
        if let Some((schema, done)) = known {
            self.state().set_ups.insert(name.to_owned(), KnownSetup { name: name.to_owned(), schema, done });
        }
        Ok(verdict)
    }

    /// Says how the set-up ended that this process was given.
    pub(in crate::session) fn set_up_ended(&self, name: &str, outcome: SetupOutcome) {
        let mut state = self.state();
        match outcome {
            SetupOutcome::Done => {
                if let Some(known) = state.set_ups.get_mut(name) {
                    known.done = true;
                }
            }
            _ => drop(state.set_ups.remove(name)),
        }
        // Without a connection the next keeper learns by the hello that it is done, or knows nothing of it.
        state.write(&FromClient::SetupEnded { name: name.to_owned(), outcome });
    }

    fn too_long(&self, name: &str) -> Error {
        let limit = humantime::format_duration(self.0.settings.start_timeout);
        Error::new(Kind::Timeout, format!("waited {limit} for the set-up `{name}`"))
            .because("another process of this session does it, and did not end")
            .hint("see whether it hangs, or set CRATEDB_TEST_START_TIMEOUT")
    }
}

impl super::State {
    /// The answer to a question of this process.
    pub(super) fn set_up(&mut self, name: &str, verdict: Verdict) {
        if let Some(claim) = self.claims.remove(name) {
            let _ = claim.answer.send(verdict);
        }
    }

    /// Questions that a keeper that is dead did not answer.
    pub(super) fn claim_again(&mut self) {
        let ask =
            |(name, claim): (&String, &Claim)| FromClient::Setup { name: name.clone(), schema: claim.schema.clone() };
        let again: Vec<FromClient> = self.claims.iter().map(ask).collect();
        again.iter().for_each(|frame| self.write(frame));
    }
}

/// Somebody waits for an answer. Dropped before it comes, it takes the question back: a set-up that was given to nobody
/// would be waited for as long as this process lives.
struct Asked<'a> {
    link: &'a Link,
    name: &'a str,
    answered: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.link.state().claims.remove(self.name);
            self.link.set_up_ended(self.name, SetupOutcome::GivenUp);
        }
    }
}
