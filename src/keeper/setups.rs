//! Set-ups that are done once per session: who does one, who waits for it, and what became of it. Decides only.
//!
//! The first who claims one does it, in a schema that it chose. The others wait; if whoever does it dies or gives it up, the
//! next of them does it, in a schema of its own. Its failure is everybody's as long as the session lives.

use std::collections::{BTreeMap, VecDeque};

use super::machine::{ClientId, SessionId};
use crate::error::Error;
use crate::wire::{KnownSetup, Verdict};

/// What to say to whom, in this order.
#[derive(Clone, Debug)]
pub(super) struct Tell {
    pub(super) client: ClientId,
    pub(super) name: String,
    pub(super) verdict: Verdict,
}

/// How a set-up that somebody did ended.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    Done,
    Failed(Error),
    /// Nobody knows whether it would have worked.
    GivenUp,
}

#[derive(Clone, Debug)]
struct Claim {
    client: ClientId,
    schema: String,
}

#[derive(Clone, Debug)]
enum State {
    /// By the first of them; the others wait.
    Claimed(VecDeque<Claim>),
    /// In this schema.
    Done(String),
    Failed(Error),
}

/// All of one keeper.
#[derive(Debug, Default)]
pub(super) struct SetUps(BTreeMap<(SessionId, String), State>);

impl SetUps {
    /// Somebody needs a set-up, and would do it in `schema`.
    pub(super) fn claim(&mut self, client: ClientId, session: SessionId, name: &str, schema: String) -> Option<Tell> {
        let state = self.0.entry((session, name.to_owned())).or_insert_with(|| State::Claimed(VecDeque::new()));
        let verdict = match state {
            State::Claimed(claims) => {
                claims.push_back(Claim { client, schema });
                if claims.len() > 1 {
                    return None;
                }
                Verdict::Yours
            }
            State::Done(schema) => Verdict::Done { schema: schema.clone() },
            State::Failed(error) => Verdict::Failed { error: error.clone() },
        };
        Some(Tell { client, name: name.to_owned(), verdict })
    }

    /// What a process knows of the time of a keeper that was killed. Whoever was first is believed.
    pub(super) fn recall(&mut self, client: ClientId, session: SessionId, known: KnownSetup) {
        let state = match known.done {
            true => State::Done(known.schema),
            false => State::Claimed([Claim { client, schema: known.schema }].into()),
        };
        self.0.entry((session, known.name)).or_insert(state);
    }

    /// Whoever does it is through. What others say means nothing: it was taken from them, with the cluster or by a recall.
    /// With what has to be said and a schema that nobody needs.
    pub(super) fn ended(
        &mut self,
        client: ClientId,
        session: SessionId,
        name: &str,
        ended: Ended,
    ) -> (Vec<Tell>, Option<String>) {
        let key = (session, name.to_owned());
        let Some(state) = self.0.get_mut(&key) else { return Default::default() };
        let State::Claimed(claims) = state else { return Default::default() };
        let Some(first) = claims.pop_front_if(|first| first.client == client) else {
            // Who only waited waits no more.
            if matches!(ended, Ended::GivenUp) {
                claims.retain(|claim| claim.client != client);
            }
            return Default::default();
        };
        let (verdict, left) = match ended {
            Ended::GivenUp => {
                let next = claims.front().map(|claim| claim.client);
                if next.is_none() {
                    self.0.remove(&key);
                }
                let tell = |client| Tell { client, name: key.1, verdict: Verdict::Yours };
                return (next.map(tell).into_iter().collect(), Some(first.schema));
            }
            Ended::Done => (Verdict::Done { schema: first.schema.clone() }, None),
            Ended::Failed(error) => (Verdict::Failed { error }, Some(first.schema.clone())),
        };
        let tell = |claim: Claim| Tell { client: claim.client, name: name.to_owned(), verdict: verdict.clone() };
        let tells = std::mem::take(claims).into_iter().map(tell).collect();
        *state = match verdict {
            Verdict::Failed { error } => State::Failed(error),
            _ => State::Done(first.schema),
        };
        (tells, left)
    }

    /// A process is gone: what it did passes to the next. With what has to be said and schemas that nobody needs.
    pub(super) fn leave(&mut self, client: ClientId) -> (Vec<Tell>, Vec<String>) {
        let (mut tells, mut left) = (Vec::new(), Vec::new());
        let claimed = |state: &State| matches!(state, State::Claimed(claims) if claims.front().is_some_and(|first| first.client == client));
        let own: Vec<(SessionId, String)> =
            self.0.iter().filter(|(_, state)| claimed(state)).map(|(key, _)| key.clone()).collect();
        for state in self.0.values_mut() {
            if let State::Claimed(claims) = state {
                let mut first = true;
                claims.retain(|claim| std::mem::take(&mut first) || claim.client != client);
            }
        }
        for (session, name) in own {
            let (told, schema) = self.ended(client, session, &name, Ended::GivenUp);
            tells.extend(told);
            left.extend(schema);
        }
        self.0.retain(|_, state| !matches!(state, State::Claimed(claims) if claims.is_empty()));
        (tells, left)
    }

    /// Forgets the sessions that `keep` does not name; their schemas.
    pub(super) fn retain(&mut self, keep: impl Fn(SessionId) -> bool) -> Vec<String> {
        let mut left = Vec::new();
        self.0.retain(|(session, _), state| {
            let keeps = keep(*session);
            match state {
                State::Done(schema) if !keeps => left.push(std::mem::take(schema)),
                State::Claimed(claims) if !keeps => left.extend(claims.pop_front().map(|claim| claim.schema)),
                _ => {}
            }
            keeps
        });
        left
    }

    /// The cluster is a new one: nothing of what was done is there. Those who wait are told to begin.
    pub(super) fn start_over(&mut self) -> Vec<Tell> {
        let all = std::mem::take(&mut self.0);
        let waiting = all.into_iter().filter_map(|(key, state)| match state {
            State::Claimed(claims) => Some((key, claims.into_iter().skip(1).collect::<VecDeque<_>>())),
            _ => None,
        });
        let waiting: Vec<_> = waiting.filter(|(_, claims)| !claims.is_empty()).collect();
        let tell = |((_, name), claims): &((SessionId, String), VecDeque<Claim>)| Tell {
            client: claims[0].client,
            name: name.clone(),
            verdict: Verdict::Yours,
        };
        let tells = waiting.iter().map(tell).collect();
        self.0 = waiting.into_iter().map(|(key, claims)| (key, State::Claimed(claims))).collect();
        tells
    }
}

#[cfg(test)]
mod tests;
