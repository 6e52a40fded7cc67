//! Drops schemas of attempts and users of acquisitions, while a cluster is used and before it is released.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{Event, Input, Inputs, Keeper};
use crate::error::Result;
use crate::keeper::machine::{MachineState, Word};
use crate::sql::{SqlClient, Wallet, code, quoted};
use crate::version::{Capabilities, Version};
use crate::wire::exit;
use crate::{clock, probe, schema, user};

/// The time that a release waits for schemas that are being dropped.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many names are remembered for the next acquisition; the others are dropped once they are old.
const UNDROPPED: usize = 200;
/// Their name in the log, if the journal can't be written.
const LEFT: &str = "schemas that are left";
/// Statements under way at a time. CrateDB executes drops that wait together in one batch, so more at once is cheaper;
/// connections are what they cost.
const AT_ONCE: usize = 16;

/// The last thing a keeper does with a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Release,
    Exit,
}

/// The loop's knowledge of names that are being dropped, or could not be.
#[derive(Default)]
pub(super) struct Drops {
    pub(super) cleaner: Option<Cleaner>,
    pub(super) in_flight: Vec<String>,
    /// The machine knows of so many of them.
    told: usize,
    /// Names that could not be dropped, and will not be in this session.
    failed: Vec<String>,
    /// People were told that something was not dropped.
    warned: bool,
    /// Users for PostgreSQL drivers, of this keeper or of killed ones. They are dropped at the end.
    users: Vec<String>,
    /// The step that waits for drops, and until when at most.
    pub(super) then: Option<(Instant, Last)>,
    /// Tells a release that has begun when the last user is dropped.
    cleaned: Option<watch::Sender<bool>>,
}

impl Drops {
    /// Begins afresh: another cluster is there, or none any more.
    pub(super) fn begin(&mut self, cleaner: Option<Cleaner>) {
        self.cleaner = cleaner;
        self.in_flight.clear();
        self.failed.clear();
    }

    /// Returns how many names wait to be dropped, if that is another number than the last time.
    pub(super) fn news(&mut self) -> Option<usize> {
        let count = self.in_flight.len();
        (std::mem::replace(&mut self.told, count) != count).then_some(count)
    }

    /// Notes that a name is not being dropped any more.
    pub(super) fn end(&mut self, name: &str) {
        self.in_flight.retain(|known| known != name);
    }
}

impl Keeper {
    /// Begins to drop a schema or a user. Where there is no time for it any more, it is noted for the next session.
    pub(super) fn remove(&mut self, name: String) {
        use MachineState::{Acquiring, Probing, Up, Warm};
        self.remove_if(matches!(self.machine.state(), Up | Warm { .. } | Acquiring | Probing), name);
    }

    pub(super) fn remove_if(&mut self, in_time: bool, name: String) {
        match &self.drops.cleaner {
            Some(cleaner) if in_time => {
                cleaner.remove(name.clone());
                self.drops.in_flight.push(name);
            }
            _ if self.supply.lives_on() == Some(true) => self.drops.failed.push(name),
            _ => {}
        }
    }

    /// Drops what earlier keepers left on a cluster that lives on, and looks for more. `user` was made with the
    /// cluster.
    pub(super) fn drop_left_overs(&mut self, user: Option<String>) {
        // Tests of a killed keeper may go on, connected as the user that it had made.
        let rest = self.journal.read(|record| record.undropped.clone());
        let (users, schemas): (Vec<String>, _) = rest.into_iter().partition(|name| user::is_ours(name));
        self.drops.users.extend(users);
        if let Some(user) = user {
            self.drops.users.push(user);
            let users = self.drops.users.clone();
            // Noted before any client is told of it: the successor of a killed keeper drops it.
            self.journal.note("the user for PostgreSQL drivers", |record| {
                record.undropped.retain(|name| !users.contains(name));
                record.undropped.splice(0..0, users);
            });
        }
        schemas.into_iter().for_each(|schema| self.remove(schema));
        if let Some(cleaner) = &self.drops.cleaner {
            cleaner.find_left_overs();
        }
    }

    pub(super) fn cleaned(&mut self, name: &str, outcome: Result<()>) {
        self.drops.end(name);
        match outcome {
            Ok(()) => self.forget_premade(name),
            Err(error) => {
                // The next session tries again.
                self.drops.failed.push(name.to_owned());
                let what = if user::is_ours(name) { "user" } else { "schema" };
                tracing::warn!(%error, name, "a {what} was not dropped");
                if !self.drops.warned {
                    self.drops.warned = self.clients.notify_any(format!("{what} {name} was not dropped: {error}"));
                }
            }
        }
        self.feed(Event::Due);
        self.drops_done_if_all();
    }

    pub(super) fn drops_done_if_all(&mut self) {
        if self.drops.then.is_some() && self.drops.in_flight.is_empty() && !self.aftermath.is_under_way() {
            self.drops_done();
        }
    }

    /// Waits for drops before the cluster is released or the keeper ends: a cluster that lives on should not keep the
    /// schemas of this run. A local server takes them with it.
    pub(super) fn finish_drops(&mut self, last: Last) {
        // Users first: they may do everything, and wait for nothing.
        if let Some(cleaner) = &self.drops.cleaner {
            self.drops.users.iter().for_each(|user| cleaner.remove(user.clone()));
            self.drops.in_flight.append(&mut self.drops.users);
        }
        self.close_premade();
        // A release that is tried again waits for these drops, and not the one before it.
        self.drops.cleaned = None;
        self.drops.then = Some((Instant::now() + PATIENCE, last));
        match self.supply.lives_on() {
            Some(true) if last == Last::Release && self.drops_users_only() => self.release_beside_drops(),
            Some(true) => self.drops_done_if_all(),
            _ => self.drops_done(),
        }
    }

    /// Returns true if users are dropped, which takes a moment, and nothing else is waited for.
    fn drops_users_only(&self) -> bool {
        let names = &self.drops.in_flight;
        !names.is_empty() && names.iter().all(|name| user::is_ours(name)) && !self.aftermath.is_pending()
    }

    /// Lets the keeper of a shared cluster ask the others while its users are dropped.
    fn release_beside_drops(&mut self) {
        let (sender, cleaned) = watch::channel(false);
        self.drops.cleaned = Some(sender);
        self.release_now(cleaned);
    }

    /// Goes on with what waited for drops.
    pub(super) fn drops_done(&mut self) {
        self.leave_aftermath();
        match self.drops.then.take() {
            Some((_, Last::Release)) => match self.drops.cleaned.take() {
                Some(cleaned) => drop(cleaned.send_replace(true)),
                None => self.release_now(watch::channel(true).1),
            },
            Some((_, Last::Exit)) => {
                self.note_undropped();
                self.leave_debt();
                // Without a client it has tried nothing, and what the journal says of its predecessor stays.
                if self.supply.spec.is_some() {
                    self.journal.note("that it gave up", |record| record.gave_up = record.word != Word::Clean);
                }
                self.write_reports();
                self.exit = Some(exit::DONE);
            }
            None => {}
        }
    }

    /// Notes what could not be dropped in time, for the next acquisition. If this keeper had no cluster, what others
    /// noted stays.
    pub(super) fn note_undropped(&mut self) {
        let Some(rest) = self.undropped() else { return };
        self.journal.note(LEFT, |record| record.undropped = rest);
    }

    /// Notes before a release what the journal does not name yet. A name too many is only dropped twice, if this
    /// process is killed before the next note; the cluster costs money while the journal is written.
    pub(super) fn note_new_undropped(&mut self) {
        let rest = self.undropped().unwrap_or_default();
        if self.journal.read(|record| rest.iter().any(|name| !record.undropped.contains(name))) {
            self.journal.note(LEFT, |record| record.undropped = rest);
        }
    }

    /// Returns what is not dropped, as far as it outlives this keeper; none without a cluster.
    fn undropped(&self) -> Option<Vec<String>> {
        let lives_on = self.supply.lives_on()?;
        let Drops { users, failed, in_flight, .. } = &self.drops;
        let all = users.iter().chain(failed).chain(in_flight);
        let mut rest: Vec<String> = all.filter(|_| lives_on).cloned().collect();
        // A record that outgrows its slot could not be written any more, and neither could the next intent.
        rest.sort_by_key(|name| !user::is_ours(name));
        rest.truncate(UNDROPPED);
        Some(rest)
    }
}

/// Drops names on one cluster, in the background and many at once.
#[derive(Clone)]
pub(super) struct Cleaner {
    client: SqlClient,
    /// For statements that are sent by the background thread: a connection belongs to the runtime that opens it.
    beside: SqlClient,
    url: String,
    wallet: Wallet,
    able: Capabilities,
    permits: Arc<Semaphore>,
    inputs: Inputs,
}

impl Cleaner {
    pub(super) fn new(url: &str, version: Version, wallet: Wallet, inputs: Inputs) -> Result<Self> {
        let [client, beside] = [SqlClient::new(url, None, wallet.clone())?, SqlClient::new(url, None, wallet.clone())?];
        let (able, permits) = (Capabilities::of(version), Arc::new(Semaphore::new(AT_ONCE)));
        Ok(Self { client, beside, url: url.to_owned(), wallet, able, permits, inputs })
    }

    /// Returns the client for statements of the keeper that concern no schema.
    pub(super) fn client(&self) -> &SqlClient {
        &self.client
    }

    /// Returns a client for statements whose names mean what is in `schema`.
    pub(super) fn within(&self, schema: &str) -> Result<SqlClient> {
        SqlClient::new(&self.url, Some(schema), self.wallet.clone())
    }

    /// Begins to drop the schema or user of this name. [`Input::Cleaned`] says how it went.
    pub(super) fn remove(&self, name: String) {
        let this = self.clone();
        self.inputs.spawn_beside(async move {
            // A user is dropped in a moment, and there are few.
            let permit = if user::is_ours(&name) { None } else { Some(this.permits.acquire().await) };
            let outcome = this.dropped(&name).await;
            drop(permit);
            Input::Cleaned { name, outcome }
        });
    }

    async fn dropped(&self, name: &str) -> Result<()> {
        loop {
            let outcome = match user::is_ours(name) {
                true => self.beside.send(&format!("DROP USER IF EXISTS {}", quoted(name)), &[]).await.map(drop),
                false => drop_schema(&self.beside, self.able, name).await,
            };
            match outcome {
                Err(error) if error.code() == Some(code::NOT_ITS_TURN) => tracing::info!(%error, name, "trying again"),
                outcome => return outcome,
            }
        }
    }

    /// Begins to look for what dead runs left behind. [`Input::LeftOvers`] says what there is.
    fn find_left_overs(&self) {
        let this = self.clone();
        self.inputs.spawn_beside(async move {
            // By the server's clock: another machine made what is there, and its own may be wrong by days.
            let (schemas, users, now) = tokio::join!(
                this.names("SELECT schema_name FROM information_schema.schemata"),
                this.names("SELECT name FROM sys.users"),
                probe::time(&this.beside),
            );
            let Ok(now) = now.map(clock::time_of).inspect_err(|error| {
                tracing::warn!(%error, "left-overs are left: nothing tells how old they are");
            }) else {
                return Input::LeftOvers(Vec::new());
            };
            let schemas = schemas.into_iter().filter(|name| schema::is_left_over(name, now));
            let users = users.into_iter().filter(|name| user::is_left_over(name, now));
            Input::LeftOvers(schemas.chain(users).collect())
        });
    }

    async fn names(&self, list: &str) -> Vec<String> {
        let found = self.beside.rows::<(String,)>(list).await;
        let rows = found.unwrap_or_else(|error| {
            tracing::warn!(%error, list, "left-overs were not looked for");
            Vec::new()
        });
        rows.into_iter().map(|(name,)| name).collect()
    }
}

/// Drops a schema with all that is in it. A schema that was never made is no error.
pub(crate) async fn drop_schema(client: &SqlClient, able: Capabilities, schema: &str) -> Result<()> {
    let own = quoted(schema);
    if able.drop_schema_cascade {
        client.send(&format!("DROP SCHEMA IF EXISTS {own} CASCADE"), &[]).await?;
        return Ok(());
    }
    // Object by object: views first, since tables that they use can't be dropped under them.
    for (types, statement) in
        [("'VIEW'", "DROP VIEW"), ("'FOREIGN'", "DROP FOREIGN TABLE"), ("'BASE TABLE'", "DROP TABLE")]
    {
        let list = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND table_type = {types}",
            literal(schema)
        );
        let mut drops = JoinSet::new();
        for (name,) in client.rows::<(String,)>(&list).await? {
            let (client, table) = (client.clone(), format!("{own}.{}", quoted(&name)));
            drops.spawn(async move {
                let stmt = format!("{statement} IF EXISTS {table}");
                match client.send(&stmt, &[]).await {
                    Err(error) if error.code() == Some(code::NOT_POSSIBLE) => {
                        unblock(&client, &table).await;
                        client.send(&stmt, &[]).await.map(drop)
                    }
                    outcome => outcome.map(drop),
                }
            });
        }
        for outcome in drops.join_all().await {
            outcome?;
        }
    }
    drop_functions(client, schema).await?;
    if able.drop_schema {
        client.send(&format!("DROP SCHEMA IF EXISTS {own}"), &[]).await?;
    }
    Ok(())
}

/// Takes away the blocks of a table, by which a test, or the harness, keeps it as it is. While there is one, a
/// statement may not set more than that one.
async fn unblock(client: &SqlClient, table: &str) {
    for block in ["read_only", "read_only_allow_delete", "metadata", "write", "read"] {
        // The last word has the DROP that follows.
        let _ = client.send(&format!("ALTER TABLE {table} SET (\"blocks.{block}\" = false)"), &[]).await;
    }
}

/// Drops the functions of a schema. `specific_name` is the name with its types in parentheses, as `DROP FUNCTION` wants
/// them.
async fn drop_functions(client: &SqlClient, schema: &str) -> Result<()> {
    let list = format!(
        "SELECT routine_name, specific_name FROM information_schema.routines WHERE routine_schema = {} AND routine_type = 'FUNCTION'",
        literal(schema)
    );
    for (name, specific) in client.rows::<(String, String)>(&list).await? {
        let types = specific.split_once('(').map_or(")", |(_, types)| types);
        client.send(&format!("DROP FUNCTION IF EXISTS {}.{}({types}", quoted(schema), quoted(&name)), &[]).await?;
    }
    Ok(())
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::sql::Credentials;
    use crate::sql::test_server::{Reaction, TestServer};

    async fn dropped(server: &TestServer, name: &str) -> Result<()> {
        let (inputs, mut received) = Inputs::channel();
        let version = Version { major: 6, minor: 4, patch: 3 };
        let cleaner = Cleaner::new(&server.url(), version, Wallet::new(Credentials::None), inputs).unwrap();
        cleaner.remove(name.to_owned());
        let Some(Input::Cleaned { name: cleaned, outcome }) = received.recv().await else { panic!() };
        assert_eq!(cleaned, name);
        outcome
    }

    #[tokio::test]
    async fn what_a_busy_server_did_not_get_to_is_tried_again() {
        let tries = AtomicU32::new(0);
        let server = TestServer::start(move |_| match tries.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Reaction::error(503, 5034, "ProcessClusterEventTimeoutException[failed to process cluster event]"),
            _ => Reaction::count(1),
        });
        dropped(&server, "cratedb_test_hrfjq_abcdefgh_t").await.unwrap();
        assert_eq!(server.stmts(), [r#"DROP SCHEMA IF EXISTS "cratedb_test_hrfjq_abcdefgh_t" CASCADE"#; 3]);
    }

    /// Returns what is taken for a left-over on a server whose clock shows this, and that has such names.
    async fn left_overs(clock: Reaction, names: &[String]) -> Vec<String> {
        let rows = serde_json::json!(names.iter().map(|name| [name]).collect::<Vec<_>>()).to_string();
        let server = TestServer::start(move |request| match request.stmt() {
            "SELECT CURRENT_TIMESTAMP" => clock.clone(),
            "SELECT name FROM sys.users" if rows.contains("_user_") => Reaction::rows(&[("n", 4.into())], &rows),
            "SELECT schema_name FROM information_schema.schemata" => Reaction::rows(&[("n", 4.into())], &rows),
            _ => Reaction::rows(&[("n", 4.into())], "[]"),
        });
        let (inputs, mut received) = Inputs::channel();
        let version = Version { major: 6, minor: 4, patch: 3 };
        let cleaner = Cleaner::new(&server.url(), version, Wallet::new(Credentials::None), inputs).unwrap();
        cleaner.find_left_overs();
        let Some(Input::LeftOvers(names)) = received.recv().await else { panic!() };
        names
    }

    fn showing(millis: i64) -> Reaction {
        Reaction::rows(&[("t", 12.into())], &format!("[[{millis}]]"))
    }

    #[tokio::test]
    async fn ages_are_judged_by_the_servers_clock_whatever_this_machine_says() {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        // Neither the date of this machine: it is long past, or to come.
        for today in [1_790_000_040_000, 4_102_444_800_000] {
            let schema = |days: i64| schema::name("t", clock::time_of(today - days * DAY));
            let (old, new, ahead) = (schema(2), schema(0), schema(-3));
            let names = [old.clone(), new, ahead, "doc".to_owned()];
            assert_eq!(left_overs(showing(today), &names).await, [old]);
            let user = |days: i64| user::name(clock::time_of(today - days * DAY));
            let (old, new) = (user(8), user(6));
            assert_eq!(left_overs(showing(today), &[old.clone(), new]).await, [old]);
        }
    }

    #[tokio::test]
    async fn nothing_is_a_left_over_if_the_server_does_not_tell_its_time() {
        let names = [schema::name("t", std::time::UNIX_EPOCH), user::name(std::time::UNIX_EPOCH)];
        for clock in [Reaction::error(400, 4000, "no"), Reaction::rows(&[("t", 12.into())], "[]"), Reaction::Reset] {
            assert_eq!(left_overs(clock, &names).await, [""; 0]);
        }
    }

    /// As a real 6.4.3 answers: with `blocks.read_only`, only a statement that takes away just that is possible.
    #[tokio::test]
    async fn a_table_that_is_blocked_is_unblocked_and_dropped() {
        let blocked = AtomicU32::new(1);
        let server = TestServer::start(move |request| match request.stmt() {
            stmt if stmt.contains("'BASE TABLE'") => Reaction::rows(&[("n", 4.into())], r#"[["t"], ["u"]]"#),
            stmt if stmt.starts_with("SELECT") => Reaction::rows(&[("n", 4.into()), ("s", 4.into())], "[]"),
            r#"ALTER TABLE "s"."t" SET ("blocks.read_only" = false)"# => {
                blocked.store(0, Ordering::SeqCst);
                Reaction::count(1)
            }
            stmt if stmt.contains(r#""s"."t""#) && blocked.load(Ordering::SeqCst) > 0 => {
                Reaction::error(400, 4007, "OperationOnInaccessibleRelationException[no]")
            }
            _ => Reaction::count(1),
        });
        let client = SqlClient::new(&server.url(), None, Wallet::new(Credentials::None)).unwrap();
        let able = Capabilities { drop_schema: false, drop_schema_cascade: false };
        drop_schema(&client, able, "s").await.unwrap();
        let of = |table: &str| server.stmts().iter().filter(|stmt| stmt.contains(&format!(r#""s"."{table}""#))).count();
        assert_eq!((of("t"), of("u")), (7, 1), "{:?}", server.stmts());
    }

    #[tokio::test]
    async fn what_is_refused_is_not() {
        let server = TestServer::start(|_| Reaction::error(400, 4004, "UnsupportedFeatureException[no]"));
        assert!(dropped(&server, "cratedb_test_user_hrfjq_abcdefgh").await.is_err());
        assert_eq!(server.stmts(), [r#"DROP USER IF EXISTS "cratedb_test_user_hrfjq_abcdefgh""#]);
    }
}
