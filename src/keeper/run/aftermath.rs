//! Looks before exclusive attempts and repairs after them: the calls, what is written down of them, and who is told.

use tokio::task::AbortHandle;

use super::{Event, Input, Keeper};
use crate::error::Result;
use crate::keeper::globals::{self, Globals};
use crate::keeper::journal::Exclusive;
use crate::keeper::machine::{ClientId, LookId};
use crate::keeper::restorer::{self, Restored};
use crate::wire::AttemptId;
use crate::wire::FromKeeper;

/// Of a record of what there was before. A larger one, of a cluster with very many users, stays in memory: the journal's
/// next intent has to fit beside it.
const NOTED: usize = 12 * 1024;

/// What the loop knows of the exclusive attempt that runs, or ran last.
#[derive(Default)]
pub(super) struct Aftermath {
    /// What is looked at or put back now.
    task: Option<(LookId, AbortHandle)>,
    /// Which attempt is being looked at for.
    next: Option<String>,
    /// What there was before the attempt that was granted.
    exclusive: Option<Exclusive>,
    /// Who ended it and waits to hear of it.
    awaited: Option<(ClientId, AttemptId)>,
}

impl Aftermath {
    /// What a keeper that was killed had noted.
    pub(super) fn of_a_predecessor(exclusive: Option<Exclusive>) -> Self {
        Self { exclusive, ..Self::default() }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.task.is_some()
    }

    fn end(&mut self) {
        if let Some((_, task)) = self.task.take() {
            task.abort();
        }
    }

    /// Whether this is the answer that is waited for.
    fn took(&mut self, id: LookId) -> bool {
        self.task.take_if(|(known, _)| *known == id).is_some()
    }
}

impl Keeper {
    pub(super) fn look(&mut self, id: LookId, client: ClientId, attempt: AttemptId) {
        self.aftermath.end();
        let test = self.clients.get_mut(client).and_then(|client| client.attempts.get(&attempt));
        self.aftermath.next = Some(test.map_or_else(String::new, |asked| asked.open.test.clone()));
        let Some(sql) = self.cleaner.as_ref().map(|cleaner| cleaner.client().clone()) else {
            return self.events.push_back(Event::Looked { id, ok: false });
        };
        let inputs = self.inputs.clone();
        let task = tokio::spawn(async move {
            let outcome = restorer::look(&sql).await.map(Box::new);
            let _ = inputs.send(Input::Looked { id, outcome });
        });
        self.aftermath.task = Some((id, task.abort_handle()));
    }

    pub(super) fn looked(&mut self, id: LookId, outcome: Result<Box<Globals>>) {
        if !self.aftermath.took(id) {
            return;
        }
        let test = self.aftermath.next.take().unwrap_or_default();
        let ok = outcome.is_ok();
        match outcome {
            Ok(before) => self.note_exclusive(Some(Exclusive { test, before: *before })),
            Err(error) => self.warn_unseen(&test, &error.to_string()),
        }
        self.feed(Event::Looked { id, ok });
    }

    pub(super) fn restore(&mut self, id: LookId) {
        self.aftermath.end();
        let sql = self.cleaner.as_ref().map(|cleaner| cleaner.client().clone());
        let (Some(sql), Some(exclusive)) = (sql, self.aftermath.exclusive.clone()) else {
            self.tell_aftermath(None);
            return self.events.push_back(Event::Restored(id));
        };
        let inputs = self.inputs.clone();
        let task = tokio::spawn(async move {
            let outcome = restorer::restore(&sql, &exclusive.before).await;
            let _ = inputs.send(Input::Restored { id, outcome });
        });
        self.aftermath.task = Some((id, task.abort_handle()));
    }

    pub(super) fn restored(&mut self, id: LookId, outcome: Result<Restored>) {
        if !self.aftermath.took(id) {
            return;
        }
        let test = self.aftermath.exclusive.take().map_or_else(String::new, |exclusive| exclusive.test);
        self.note_exclusive(None);
        let text = match outcome {
            Ok(Restored { set_back, dropped, not }) => globals::sentence(&test, &set_back, &dropped, &not),
            Err(error) => Some(format!("what `{test}` changed outside its schema was not put back: {error}")),
        };
        self.tell_aftermath(text);
        self.feed(Event::Restored(id));
        self.drops_done_if_all();
    }

    /// It took too long, or is not needed any more.
    pub(super) fn forget_look(&mut self, id: LookId) {
        let under_way = self.aftermath.task.take_if(|(known, _)| *known == id);
        if let Some((_, task)) = &under_way {
            task.abort();
        }
        match (self.aftermath.next.take(), self.aftermath.exclusive.take()) {
            (Some(test), _) if under_way.is_some() => self.warn_unseen(&test, "the server did not answer in time"),
            (None, Some(Exclusive { test, .. })) if under_way.is_some() => {
                let text = format!(
                    "what `{test}` changed outside its schema was not put back: the server did not answer in time"
                );
                self.tell_aftermath(Some(text));
            }
            _ => {}
        }
        self.note_exclusive(None);
    }

    /// The cluster goes, and what is not put back by now stays noted if the cluster lives on.
    pub(super) fn leave_aftermath(&mut self) {
        self.aftermath.end();
        let (Some(exclusive), Some(lives_on)) = (&self.aftermath.exclusive, self.fate()) else { return };
        if lives_on {
            let text = format!(
                "what `{}` changed outside its schema was not put back in time; the next session on this cluster does it",
                exclusive.test
            );
            self.tell_aftermath(Some(text));
        } else {
            self.aftermath.exclusive = None;
            self.note_exclusive(None);
            self.tell_aftermath(None);
        }
    }

    /// Before an attempt ends: who hears what became of it.
    pub(super) fn aftermath_awaited(&mut self, client: ClientId, attempt: AttemptId) {
        self.aftermath.awaited = Some((client, attempt));
    }

    /// After an attempt ended of which nothing has to be put back.
    pub(super) fn tell_aftermath_if_none(&mut self) {
        if self.aftermath.awaited.is_some() && !self.machine.owes_aftermath() {
            self.tell_aftermath(None);
        }
    }

    /// To the process whose test it was; if that is gone, to anybody.
    fn tell_aftermath(&mut self, text: Option<String>) {
        if let Some(text) = &text {
            tracing::warn!(text, "aftermath");
        }
        let awaited = self.aftermath.awaited.take();
        match awaited.and_then(|(client, id)| Some((self.clients.get_mut(client)?, id))) {
            Some((client, id)) => client.outbox.send(&FromKeeper::Aftermath { id, text }),
            None => text.into_iter().for_each(|text| self.tell_anybody(text)),
        }
    }

    fn warn_unseen(&mut self, test: &str, why: &str) {
        let text = format!("what `{test}` changes outside its schema will not be put back: {why}");
        tracing::warn!(text, "no look");
        self.tell_anybody(text);
    }

    fn tell_anybody(&self, text: String) {
        if let Some(client) = self.clients.anybody() {
            client.outbox.send(&FromKeeper::Notice { text });
        }
    }

    /// Written down too, for a keeper that comes after a killed one.
    fn note_exclusive(&mut self, exclusive: Option<Exclusive>) {
        let size = serde_json::to_vec(&exclusive).map_or(usize::MAX, |json| json.len());
        let noted = exclusive.clone().filter(|_| size <= NOTED);
        if noted.is_none() && exclusive.is_some() {
            tracing::warn!(size, "too much to note: a killed keeper's successor will put nothing back");
        }
        self.aftermath.exclusive = exclusive;
        let written = self.with_journal(|journal| match journal.record.exclusive == noted {
            true => Ok(()),
            false => journal.write(|record| record.exclusive = noted),
        });
        if let Err(error) = written {
            tracing::warn!(%error, "what there was before an exclusive test was not noted");
        }
    }
}
