//! Decides about setups that are done once per session: which client does one, which wait, and what became of it.
//!
//! A pure core, as [`machine`](super::machine) is. The first client that claims a setup does it, in a schema that it
//! chose. The others wait; if that client dies or gives up, the next of them does it, in a schema of its own. A setup
//! that fails has failed for every client, as long as the session lives.

use std::collections::{BTreeMap, VecDeque};

use super::machine::{ClientId, SessionId};
use crate::error::Error;
use crate::wire::{KnownSetup, SetupOutcome, Verdict};

/// The news of a setup for one client.
#[derive(Clone, Debug)]
pub(super) struct SetupNews {
    pub(super) client: ClientId,
    pub(super) name: String,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Debug)]
struct SetupClaim {
    client: ClientId,
    schema: String,
}

#[derive(Clone, Debug)]
enum SetupState {
    /// The first of these clients does it; the others wait.
    Claimed(VecDeque<SetupClaim>),
    /// It is done, or it failed.
    Ended(Verdict),
    /// A test has changed it. Others may still use the schema.
    Spoiled { error: Error, schema: String },
}

type SetupKey = (SessionId, String);

/// All setups of one keeper.
#[derive(Debug, Default)]
pub(super) struct Setups(BTreeMap<SetupKey, SetupState>);

impl Setups {
    /// A client needs a setup, and would do it in `schema`.
    pub(super) fn claim(
        &mut self,
        client: ClientId,
        session: SessionId,
        name: &str,
        schema: String,
    ) -> Option<SetupNews> {
        let setup = self.0.entry((session, name.to_owned())).or_insert_with(|| SetupState::Claimed(VecDeque::new()));
        let verdict = match setup {
            SetupState::Claimed(claims) => {
                claims.push_back(SetupClaim { client, schema });
                if claims.len() > 1 {
                    return None;
                }
                Verdict::Yours
            }
            SetupState::Ended(verdict) => verdict.clone(),
            SetupState::Spoiled { error, .. } => Verdict::Failed { error: error.clone() },
        };
        Some(SetupNews { client, name: name.to_owned(), verdict })
    }

    /// A client says what it knows from the time of a keeper that was killed. The first one is believed.
    pub(super) fn recall(&mut self, client: ClientId, session: SessionId, known: KnownSetup) {
        let KnownSetup { name, schema, done, digest } = known;
        self.0.entry((session, name)).or_insert(match done {
            true => SetupState::Ended(Verdict::Done { schema, digest }),
            false => SetupState::Claimed([SetupClaim { client, schema }].into()),
        });
    }

    /// A client has done its part. Returns what clients have to be told, and a schema that is not needed any more.
    ///
    /// A client that does not do the setup changes nothing: the setup was taken from it, with the cluster or by a
    /// recall.
    pub(super) fn ended(
        &mut self,
        client: ClientId,
        session: SessionId,
        name: &str,
        outcome: SetupOutcome,
        digest: Option<String>,
    ) -> (Vec<SetupNews>, Option<String>) {
        let key = (session, name.to_owned());
        let Some(setup) = self.0.get_mut(&key) else { return Default::default() };
        if let (SetupOutcome::Spoiled { error }, SetupState::Ended(Verdict::Done { schema, .. })) = (&outcome, &*setup)
        {
            *setup = SetupState::Spoiled { error: error.clone(), schema: schema.clone() };
        }
        let SetupState::Claimed(claims) = setup else { return Default::default() };
        let Some(SetupClaim { schema, .. }) = claims.pop_front_if(|first| first.client == client) else {
            // A client that only waited waits no more.
            if matches!(outcome, SetupOutcome::GivenUp) {
                claims.retain(|claim| claim.client != client);
            }
            return Default::default();
        };
        let (verdict, left) = match outcome {
            SetupOutcome::Done => (Verdict::Done { schema, digest }, None),
            SetupOutcome::Failed { error } | SetupOutcome::Spoiled { error } => {
                (Verdict::Failed { error }, Some(schema))
            }
            SetupOutcome::GivenUp => {
                let next = claims.front().map(|claim| claim.client);
                if next.is_none() {
                    self.0.remove(&key);
                }
                let news = |client| SetupNews { client, name: key.1, verdict: Verdict::Yours };
                return (next.map(news).into_iter().collect(), Some(schema));
            }
        };
        let news =
            |claim: SetupClaim| SetupNews { client: claim.client, name: name.to_owned(), verdict: verdict.clone() };
        let news = std::mem::take(claims).into_iter().map(news).collect();
        *setup = SetupState::Ended(verdict);
        (news, left)
    }

    /// A client is gone, and the next one does what it did. Returns what clients have to be told, and schemas that are
    /// not needed any more.
    pub(super) fn leave(&mut self, client: ClientId) -> (Vec<SetupNews>, Vec<String>) {
        let (mut own, mut news, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (key, setup) in &mut self.0 {
            if let SetupState::Claimed(claims) = setup {
                let mut first = true;
                claims.retain(|claim| std::mem::take(&mut first) || claim.client != client);
                own.extend(claims.front().filter(|first| first.client == client).map(|_| key.clone()));
            }
        }
        for (session, name) in own {
            let (told, schema) = self.ended(client, session, &name, SetupOutcome::GivenUp, None);
            news.extend(told);
            left.extend(schema);
        }
        (news, left)
    }

    /// Forgets the sessions for which `keep` is false. Returns their schemas.
    pub(super) fn retain(&mut self, keep: impl Fn(SessionId) -> bool) -> Vec<String> {
        let mut left = Vec::new();
        self.0.retain(|(session, _), setup| {
            let keeps = keep(*session);
            match setup {
                SetupState::Ended(Verdict::Done { schema, .. }) | SetupState::Spoiled { schema, .. } if !keeps => {
                    left.push(std::mem::take(schema));
                }
                SetupState::Claimed(claims) if !keeps => left.extend(claims.pop_front().map(|claim| claim.schema)),
                _ => {}
            }
            keeps
        });
        left
    }

    /// The cluster is new, so that nothing of what was done is there. The clients that wait are told to begin.
    pub(super) fn start_over(&mut self) -> Vec<SetupNews> {
        let mut news = Vec::new();
        self.0.retain(|(_, name), setup| {
            let SetupState::Claimed(claims) = setup else { return false };
            claims.pop_front();
            let next = claims.front().map(|claim| claim.client);
            let tell = |client| SetupNews { client, name: name.clone(), verdict: Verdict::Yours };
            news.extend(next.map(tell));
            next.is_some()
        });
        news
    }
}

#[cfg(test)]
mod tests;
