//! Looks before exclusive attempts and repairs after them: the statements, what is written down, and who is told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};

use super::{Event, Input, Keeper};
use crate::error::{Error, Kind, Result};
use crate::keeper::globals::{self, Globals, RestorePlan, RestoreStep, Restored, Thing};
use crate::keeper::journal::Exclusive;
use crate::keeper::machine::{ClientId, LookId};
use crate::sql::SqlClient;
use crate::user;
use crate::wire::{AttemptId, FromKeeper};

/// The longest record of a look that is written down, in bytes. A larger one, of a cluster with very many users, stays
/// in memory: the journal's next intent has to fit beside it.
const NOTED: usize = 12 * 1024;

/// The loop's knowledge of the exclusive attempt that runs, or ran last.
#[derive(Default)]
pub(super) struct AftermathTasks {
    /// The look or repair that is under way.
    task: Option<(LookId, AbortHandle)>,
    /// The test for whose attempt the look is.
    next: Option<String>,
    /// The state before the attempt that was granted.
    exclusive: Option<Exclusive>,
    /// The attempt that ended and whose client waits to hear of it.
    awaited: Option<(ClientId, AttemptId)>,
}

impl AftermathTasks {
    /// Begins with what a killed keeper had noted.
    pub(super) fn of_a_predecessor(exclusive: Option<Exclusive>) -> Self {
        Self { exclusive, ..Self::default() }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.task.is_some()
    }

    /// Returns true if a look or a repair is under way, or an exclusive attempt has left something to repair.
    pub(super) fn is_pending(&self) -> bool {
        self.task.is_some() || self.exclusive.is_some()
    }

    fn end(&mut self) {
        if let Some((_, task)) = self.task.take() {
            task.abort();
        }
    }

    /// Takes the task of this number, if it is the one that is under way.
    fn take(&mut self, id: LookId) -> Option<AbortHandle> {
        self.task.take_if(|(known, _)| *known == id).map(|(_, task)| task)
    }
}

impl Keeper {
    pub(super) fn look(&mut self, id: LookId, client: ClientId, attempt: AttemptId) {
        self.aftermath.end();
        let test = self.clients.get_mut(client).and_then(|client| client.attempts.get(&attempt));
        self.aftermath.next = Some(test.map_or_else(String::new, |known| known.open.test.clone()));
        let Some(sql) = self.drops.cleaner.as_ref().map(|cleaner| cleaner.client().clone()) else {
            return self.events.push_back(Event::Looked { id, ok: false });
        };
        let look = async move { Input::Looked { id, outcome: look(&sql).await.map(Box::new) } };
        self.aftermath.task = Some((id, self.inputs.spawn(look)));
    }

    pub(super) fn looked(&mut self, id: LookId, outcome: Result<Box<Globals>>) {
        if self.aftermath.take(id).is_none() {
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
        let sql = self.drops.cleaner.as_ref().map(|cleaner| cleaner.client().clone());
        let (Some(sql), Some(exclusive)) = (sql, self.aftermath.exclusive.clone()) else {
            self.tell_aftermath(None);
            return self.events.push_back(Event::Restored(id));
        };
        let restore = async move { Input::Restored { id, outcome: restore(&sql, &exclusive.before).await } };
        self.aftermath.task = Some((id, self.inputs.spawn(restore)));
    }

    pub(super) fn restored(&mut self, id: LookId, outcome: Result<Restored>) {
        if self.aftermath.take(id).is_none() {
            return;
        }
        let test = self.aftermath.exclusive.take().map_or_else(String::new, |exclusive| exclusive.test);
        self.note_exclusive(None);
        let text = match outcome {
            Ok(restored) => globals::sentence(&test, &restored),
            Err(error) => Some(format!("what `{test}` changed outside its schema was not put back: {error}")),
        };
        self.tell_aftermath(text);
        self.feed(Event::Restored(id));
        self.drops_done_if_all();
    }

    /// Ends a look or a repair that took too long, or is not needed any more.
    pub(super) fn forget_look(&mut self, id: LookId) {
        let under_way = self.aftermath.take(id).inspect(AbortHandle::abort).is_some();
        match (self.aftermath.next.take(), self.aftermath.exclusive.take()) {
            (Some(test), _) if under_way => self.warn_unseen(&test, "the server did not answer in time"),
            (None, Some(Exclusive { test, .. })) if under_way => self.tell_aftermath(Some(format!(
                "what `{test}` changed outside its schema was not put back: the server did not answer in time"
            ))),
            _ => {}
        }
        self.note_exclusive(None);
    }

    /// The cluster goes. What is not restored by now stays noted if the cluster's data survives.
    pub(super) fn leave_aftermath(&mut self) {
        self.aftermath.end();
        let (Some(exclusive), Some(lives_on)) = (&self.aftermath.exclusive, self.supply.lives_on()) else { return };
        if lives_on {
            let text = format!(
                "what `{}` changed outside its schema was not put back in time; the next session on this cluster does it",
                exclusive.test
            );
            self.tell_aftermath(Some(text));
        } else {
            self.note_exclusive(None);
            self.tell_aftermath(None);
        }
    }

    /// Remembers, before an attempt ends, that its client must hear what became of it.
    pub(super) fn aftermath_awaited(&mut self, client: ClientId, attempt: AttemptId) {
        self.aftermath.awaited = Some((client, attempt));
    }

    /// Answers the client after an attempt of which nothing has to be restored.
    pub(super) fn tell_aftermath_if_none(&mut self) {
        if self.aftermath.awaited.is_some() && !self.machine.owes_aftermath() {
            self.tell_aftermath(None);
        }
    }

    /// Tells the process whose test it was; if that is gone, any other.
    fn tell_aftermath(&mut self, text: Option<String>) {
        if let Some(text) = &text {
            tracing::warn!(text, "aftermath");
        }
        let awaited = self.aftermath.awaited.take();
        if let Some((client, id)) = awaited.and_then(|(client, id)| Some((self.clients.get_mut(client)?, id))) {
            client.outbox.send(&FromKeeper::Aftermath { id, text });
        } else if let Some(text) = text {
            self.clients.notify_any(text);
        }
    }

    fn warn_unseen(&mut self, test: &str, why: &str) {
        let text = format!("what `{test}` changes outside its schema will not be put back: {why}");
        tracing::warn!(text, "no look");
        self.clients.notify_any(text);
    }

    /// Keeps what a look found, and writes it down for a keeper that comes after a killed one.
    fn note_exclusive(&mut self, exclusive: Option<Exclusive>) {
        let size = serde_json::to_vec(&exclusive).map_or(usize::MAX, |json| json.len());
        let noted = exclusive.clone().filter(|_| size <= NOTED);
        if noted.is_none() && exclusive.is_some() {
            tracing::warn!(size, "too much to note: a killed keeper's successor will put nothing back");
        }
        self.aftermath.exclusive = exclusive;
        self.journal.note("the state before an exclusive test", |record| record.exclusive = noted);
    }
}

/// Looks at everything that a schema does not isolate and that can be listed, in as many statements at once.
async fn look(client: &SqlClient) -> Result<Globals> {
    let (own, listed, granted) = tokio::join!(cluster(client), things(client), granted(client));
    let (cluster, settings) = own?;
    Ok(Globals { cluster, settings, things: listed?, granted: granted? })
}

/// Restores what differs from `before`.
async fn restore(client: &SqlClient, before: &Globals) -> Result<Restored> {
    let after = look(client).await?;
    let RestorePlan { reset, revokes, drops, lost } = globals::diff(before, &after);
    let mut restored = Restored::default();
    if let Some(reset) = &reset {
        set_back(client, before, reset, &mut restored).await?;
    }
    for step in &revokes {
        if let Err(error) = execute(client, step).await {
            restored.not.push(refused(step, &error));
        }
    }
    for step in drops {
        match execute(client, &step).await {
            Ok(()) => restored.dropped.push(step.what),
            Err(error) => restored.not.push(refused(&step, &error)),
        }
    }
    restored.not.extend(lost.iter().map(|what| format!("{what} (it was dropped, which can't be undone)")));
    Ok(restored)
}

async fn set_back(client: &SqlClient, before: &Globals, reset: &RestoreStep, restored: &mut Restored) -> Result<()> {
    let mut refusals: BTreeMap<String, String> = BTreeMap::new();
    settings_step(client, reset, &mut refusals).await;
    let left = globals::settings_left(before, &now(client).await?);
    if let Some(set) = &left {
        settings_step(client, set, &mut refusals).await;
    }
    let end = now(client).await?;
    for part in &reset.parts {
        if globals::is_back(before, &end, &part.what) {
            restored.set_back.push(part.what.clone());
        } else {
            let why = refusals.remove(&part.what).unwrap_or_else(|| "the server shows another value".to_owned());
            restored.not.push(format!("{} ({why})", part.what));
        }
    }
    Ok(())
}

/// Changes all settings at once, or one by one if the server refuses that. It does so twice, since settings that depend
/// on each other may have to change in another order.
async fn settings_step(client: &SqlClient, step: &RestoreStep, refusals: &mut BTreeMap<String, String>) {
    if execute(client, step).await.is_ok() {
        return;
    }
    for _ in 0..2 {
        for part in &step.parts {
            match execute(client, part).await {
                Ok(()) => drop(refusals.remove(&part.what)),
                Err(error) => drop(refusals.insert(part.what.clone(), told(&error))),
            }
        }
        if refusals.is_empty() {
            return;
        }
    }
}

async fn execute(client: &SqlClient, step: &RestoreStep) -> Result<()> {
    let outcome = client.send(&step.statement, &[]).await.map(drop);
    match &outcome {
        Ok(()) => tracing::info!(statement = step.statement, "put back"),
        Err(error) => tracing::warn!(statement = step.statement, %error, "not put back"),
    }
    outcome
}

fn refused(step: &RestoreStep, error: &Error) -> String {
    format!("{} ({})", step.what, told(error))
}

/// Returns the server's words, in one line.
fn told(error: &Error) -> String {
    let text = error.message().map_or_else(|| error.to_string(), str::to_owned);
    text.lines().next().unwrap_or_default().to_owned()
}

async fn now(client: &SqlClient) -> Result<Globals> {
    let (cluster, settings) = cluster(client).await?;
    Ok(Globals { cluster, settings, ..Globals::default() })
}

async fn cluster(client: &SqlClient) -> Result<(String, BTreeMap<String, Value>)> {
    let rows = client.rows::<(String, Value)>("SELECT id, settings FROM sys.cluster").await?;
    let (id, settings) = rows.into_iter().next().ok_or_else(|| Error::new(Kind::Session, "`sys.cluster` is empty"))?;
    Ok((id, globals::flatten(&settings)))
}

async fn things(client: &SqlClient) -> Result<BTreeMap<Thing, BTreeSet<String>>> {
    let mut lists = JoinSet::new();
    for kind in Thing::ALL {
        let client = client.clone();
        lists.spawn(async move { (kind, listed(client.rows::<(String,)>(kind.list()).await)) });
    }
    let mut all = BTreeMap::new();
    for (kind, names) in lists.join_all().await {
        if let Some(names) = names? {
            // The keeper's own users come and go by themselves.
            let others = names.into_iter().map(|(name,)| name).filter(|name| !user::is_ours(name));
            all.insert(kind, others.collect());
        }
    }
    Ok(all)
}

async fn granted(client: &SqlClient) -> Result<Vec<(String, String)>> {
    const LIST: &str =
        "SELECT name, granted_roles['role'] FROM sys.users UNION ALL SELECT name, granted_roles['role'] FROM sys.roles";
    let rows = listed(client.rows::<(String, Option<Vec<String>>)>(LIST).await)?.unwrap_or_default();
    let pairs = |(who, roles): (String, Option<Vec<String>>)| {
        roles.unwrap_or_default().into_iter().map(move |role| (role, who.clone()))
    };
    Ok(rows.into_iter().flat_map(pairs).collect())
}

/// Returns `None` where the server has no such list, or not for the keeper's user. Such an answer has an error code.
fn listed<T>(rows: Result<Vec<T>>) -> Result<Option<Vec<T>>> {
    match rows {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if error.code().is_some() => {
            tracing::debug!(%error, "not listed");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::sql::test_server::{Reaction, TestServer};
    use crate::sql::{Credentials, Wallet};

    /// A server with one setting and some users, which refuses what `refuses` says.
    fn server(refuses: &'static str, enabled: bool, users: &[&str]) -> TestServer {
        let users: Vec<String> = users.iter().map(|name| (*name).to_owned()).collect();
        let state = Arc::new(Mutex::new((enabled, users)));
        TestServer::start(move |request| {
            let (stmt, mut state) = (request.stmt().to_owned(), state.lock().unwrap());
            if !refuses.is_empty() && stmt.contains(refuses) {
                return Reaction::error(400, 4004, "UnsupportedFeatureException[not here]\nand more");
            }
            match &*stmt {
                "SELECT id, settings FROM sys.cluster" => {
                    let settings = json!({"stats": {"enabled": state.0}});
                    Reaction::rows(&[("id", json!(4)), ("settings", json!(12))], &json!([["c1", settings]]).to_string())
                }
                "SELECT name FROM sys.users" => {
                    let rows: Vec<[&String; 1]> = state.1.iter().map(|name| [name]).collect();
                    Reaction::rows(&[("name", json!(4))], &json!(rows).to_string())
                }
                list if list.starts_with("SELECT") => Reaction::error(404, 4041, "RelationUnknown[no such list]"),
                r#"RESET GLOBAL "stats.enabled""# => {
                    state.0 = true;
                    Reaction::count(1)
                }
                r#"SET GLOBAL "stats.enabled" = FALSE"# => {
                    state.0 = false;
                    Reaction::count(1)
                }
                drop => {
                    state.1.retain(|name| !drop.contains(name.as_str()));
                    Reaction::count(1)
                }
            }
        })
    }

    fn client(server: &TestServer) -> SqlClient {
        SqlClient::new(&server.url(), None, Wallet::new(Credentials::None)).unwrap()
    }

    fn before(enabled: bool, users: &[&str]) -> Globals {
        let users: BTreeSet<String> = users.iter().map(|name| (*name).to_owned()).collect();
        Globals {
            cluster: "c1".into(),
            settings: BTreeMap::from([("stats.enabled".to_owned(), enabled.into())]),
            things: BTreeMap::from([(Thing::User, users)]),
            granted: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_is_no_default_is_set_again_after_the_reset() {
        let server = server("", true, &["crate"]);
        let restored = restore(&client(&server), &before(false, &["crate"])).await.unwrap();
        assert_eq!(restored.set_back, ["stats.enabled"]);
        assert_eq!(restored.not, Vec::<String>::new());
    }

    #[tokio::test]
    async fn what_is_refused_is_named_with_the_reason_and_keeps_nothing_else() {
        let server = server("RESET", false, &["crate", "made"]);
        let restored = restore(&client(&server), &before(true, &["crate", "lost"])).await.unwrap();
        assert_eq!(restored.set_back, Vec::<String>::new());
        assert_eq!(restored.dropped, [r#"user "made""#]);
        assert_eq!(
            restored.not,
            [
                "stats.enabled (UnsupportedFeatureException[not here])",
                r#"user "lost" (it was dropped, which can't be undone)"#
            ]
        );
    }

    #[tokio::test]
    async fn kinds_that_are_not_listed_are_left_out_and_the_settings_are_not() {
        let seen = look(&client(&server("", true, &["crate"]))).await.unwrap();
        assert_eq!(seen, before(true, &["crate"]));
        let seen = look(&client(&server("sys.users", true, &[]))).await.unwrap();
        assert_eq!(seen.things, BTreeMap::new());
        assert!(
            look(&client(&server("sys.cluster", true, &[]))).await.is_err(),
            "nothing can be put back without them"
        );
    }

    #[tokio::test]
    async fn a_server_that_goes_away_is_an_error_and_no_list_without_entries() {
        let gone = TestServer::start(|_| Reaction::Reset);
        assert!(look(&client(&gone)).await.is_err());
        let halfway = TestServer::start(|request| match request.stmt().contains("sys.users") {
            true => Reaction::Reset,
            false => Reaction::rows(&[("id", json!(4)), ("settings", json!(12))], r#"[["c1", {}]]"#),
        });
        assert!(look(&client(&halfway)).await.is_err());
    }
}
