//! Looks at what a schema does not isolate, and puts it back: the I/O around `globals`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::globals::{self, Globals, Plan, Step, Thing};
use crate::error::{Error, Kind, Result};
use crate::sql::SqlClient;
use crate::user;

/// What became of what a test had changed outside its schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Restored {
    /// Settings that have their value again.
    pub(super) set_back: Vec<String>,
    pub(super) dropped: Vec<String>,
    /// What can't be undone or was refused, each with the reason.
    pub(super) not: Vec<String>,
}

/// Everything that can be listed, in as many statements at once.
pub(super) async fn look(client: &SqlClient) -> Result<Globals> {
    let (own, listed, granted) = tokio::join!(cluster(client), things(client), granted(client));
    let (cluster, settings) = own?;
    Ok(Globals { cluster, settings, things: listed?, granted: granted? })
}

/// Puts back what differs from `before`.
pub(super) async fn restore(client: &SqlClient, before: &Globals) -> Result<Restored> {
    let after = look(client).await?;
    let Plan { reset, revokes, drops, lost } = globals::diff(before, &after);
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

async fn set_back(client: &SqlClient, before: &Globals, reset: &Step, restored: &mut Restored) -> Result<()> {
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

/// All at once, or one by one if the server refuses that: twice, since settings that watch each other may have to change
/// in another order.
async fn settings_step(client: &SqlClient, step: &Step, refusals: &mut BTreeMap<String, String>) {
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

async fn execute(client: &SqlClient, step: &Step) -> Result<()> {
    let outcome = client.send(&step.statement, &[]).await.map(drop);
    match &outcome {
        Ok(()) => tracing::info!(statement = step.statement, "put back"),
        Err(error) => tracing::warn!(statement = step.statement, %error, "not put back"),
    }
    outcome
}

fn refused(step: &Step, error: &Error) -> String {
    format!("{} ({})", step.what, told(error))
}

/// The server's word, in one line.
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

async fn things(client: &SqlClient) -> Result<BTreeMap<Thing, std::collections::BTreeSet<String>>> {
    let mut lists = tokio::task::JoinSet::new();
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

/// None where the server has no such list, or not for us; it says so by a code of its own.
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
    use std::collections::BTreeSet;
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
