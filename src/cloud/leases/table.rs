//! The statements that read and write the row of leases, and the meaning of their answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::gate::{FORMAT, Lease, Row, RowState, RowVersion, Seen, ServerTime, Written};
use crate::error::{Error, Kind, Result};
use crate::foreign;
use crate::sql::connections::HttpLimits;
use crate::sql::{Answer, SqlClient, Statement, Wallet, bind_row, code};
use crate::wait::Millis;

/// A statement that is not answered for so long is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer that passes and has not after so long is a refusal: the row's shard finds no place, since every disk is
/// full for example. No other keeper can renew its lease meanwhile, so none is alive then.
const LASTING: Duration = Duration::from_secs(100);
/// A table that was just made, or a node that was just started, needs about a second.
const NOTEWORTHY: Duration = Duration::from_secs(3);
/// The row has some hundred bytes for each keeper.
const LIMITS: HttpLimits = HttpLimits { connect: PATIENCE, silence: PATIENCE, answer: 4 << 20 };

const MAKE: &str = "CREATE TABLE IF NOT EXISTS cratedb_test.lease (id INTEGER PRIMARY KEY, format INTEGER, state TEXT, \
    owner TEXT, since TIMESTAMP WITH TIME ZONE, ours BOOLEAN, written TIMESTAMP WITH TIME ZONE, \
    leases ARRAY(OBJECT(STRICT) AS (id TEXT, host TEXT, \"user\" TEXT, session TEXT, version TEXT, \
    joined TIMESTAMP WITH TIME ZONE, renewed TIMESTAMP WITH TIME ZONE, wish BIGINT, drained BOOLEAN))) \
    CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = '0-1')";
const READ: &str = "SELECT format, state, owner, since, ours, written, leases, _seq_no, _primary_term, \
    CURRENT_TIMESTAMP, pg_postmaster_start_time() FROM cratedb_test.lease WHERE id = 0";
const CLOCK: &str = "SELECT CURRENT_TIMESTAMP, pg_postmaster_start_time()";
const INSERT: &str = "INSERT INTO cratedb_test.lease (id, format, state, owner, since, ours, written, leases) \
    VALUES (0, ?, ?, ?, ?, ?, ?, ?) RETURNING _seq_no, _primary_term";
/// Any further condition would make it an update by query, which can't compare versions.
const WRITE: &str = "UPDATE cratedb_test.lease SET format = ?, state = ?, owner = ?, since = ?, ours = ?, written = ?, \
    leases = ? WHERE id = 0 AND _seq_no = ? AND _primary_term = ? RETURNING _seq_no, _primary_term";

/// CrateDB's codes for a schema without any table, for a key that is there, and for a table that another client made at
/// the same time.
const SCHEMA_UNKNOWN: i32 = 4045;
const DUPLICATE_KEY: i32 = 4091;
const RELATION_EXISTS: i32 = 4093;
const VERSION_CONFLICT: i32 = 4092;
/// CrateDB's codes for what passes: a generic "not found", such as a shard that is not ready just after its table was
/// made or its node started, a generic conflict, and too many requests (`HttpErrorStatus` of CrateDB's source).
const PASSING: [i32; 3] = [4040, 4090, 4290];

/// The table of leases of one cluster.
#[derive(Clone)]
pub(crate) struct LeaseTable {
    client: SqlClient,
    /// Since when the row is not ready, and the words of the server.
    unready: Arc<Mutex<Option<(Instant, String)>>>,
    lasting: Duration,
}

/// The most characters of the server's words.
const WORDS: usize = 300;

/// The reason why a statement has no result.
enum Failure {
    /// The server refuses it, with this code.
    Refused(i32, String),
    /// It was not sent.
    NotSent,
    /// The server did not answer, or not as a server that is ready does.
    Silent,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match (error.code(), error.status()) {
            (Some(code), _) if PASSING.contains(&code) => Self::Silent,
            (Some(code), Some(400..500)) => Self::Refused(code, words(&error)),
            _ if error.is_never_sent() => Self::NotSent,
            _ => Self::Silent,
        }
    }
}

/// Returns the server's words about a statement, without the statement: it is the same each time, and long.
fn words(error: &Error) -> String {
    match (error.message(), error.code()) {
        (Some(message), Some(code)) => foreign::line(&format!("{message} (code {code})"), WORDS),
        _ => error.first_line(),
    }
}

impl LeaseTable {
    pub(crate) fn of(url: &str, wallet: Wallet) -> Result<Self> {
        let client = SqlClient::with_limits(url, None, wallet, LIMITS)?;
        Ok(Self { client, unready: Arc::default(), lasting: LASTING })
    }

    /// Returns why the row can't be read or written, if that is worth saying.
    pub(crate) fn trouble(&self) -> Option<String> {
        let unready = self.unready.lock().unwrap_or_else(PoisonError::into_inner);
        unready.as_ref().filter(|(since, _)| since.elapsed() >= NOTEWORTHY).map(|(_, line)| line.clone())
    }

    /// Judges an answer. One that passes is none, until it has lasted.
    fn judged(&self, answer: Result<Answer>) -> Result<Answer, Failure> {
        let mut unready = self.unready.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((code, line)) = answer
            .as_ref()
            .err()
            .and_then(|error| error.code().filter(|code| PASSING.contains(code)).map(|code| (code, words(error))))
        else {
            *unready = None;
            return answer.map_err(Failure::from);
        };
        let (since, _) = unready.get_or_insert_with(|| (Instant::now(), line.clone()));
        match since.elapsed() >= self.lasting {
            true => Err(Failure::Refused(code, line)),
            false => answer.map_err(Failure::from),
        }
    }

    /// Reads the row. Without one, a second statement reads the clock.
    pub(crate) async fn read(&self) -> Seen {
        let outcome = match self.send(READ, &()).await {
            Ok(answer) => match first(READ, &answer) {
                Ok(Some(cells)) => Ok(decode(&cells)),
                Ok(None) => self.send(CLOCK, &()).await.and_then(|answer| {
                    Ok(first(CLOCK, &answer)?
                        .map_or(Seen::Unreachable, |cells| server_time(&cells).map_or(Seen::Unreachable, Seen::NoRow)))
                }),
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        outcome.unwrap_or_else(|failure| match failure {
            Failure::Refused(code::RELATION_UNKNOWN | SCHEMA_UNKNOWN, _) => Seen::NoTable,
            Failure::Refused(_, line) => Seen::Refused(line),
            Failure::NotSent | Failure::Silent => Seen::Unreachable,
        })
    }

    /// Makes the table. An error is the reason why there can't be one; without an answer, the next read tells.
    pub(crate) async fn make(&self) -> Result<(), String> {
        match self.send(MAKE, &()).await {
            Err(Failure::Refused(code, line)) if code != RELATION_EXISTS => Err(line),
            _ => Ok(()),
        }
    }

    /// Writes the row if there is none.
    pub(crate) async fn insert(&self, row: &Row) -> Written {
        let (state, by, since) = columns_of(&row.state);
        let Row { format, ours, written, leases, .. } = row;
        self.written(INSERT, &(format, state, by, since, ours, written, leases)).await
    }

    /// Writes the row if it has this version.
    pub(crate) async fn write(&self, row: &Row, version: RowVersion) -> Written {
        let (state, by, since) = columns_of(&row.state);
        let Row { format, ours, written, leases, .. } = row;
        let RowVersion { seq_no, primary_term } = version;
        self.written(WRITE, &(format, state, by, since, ours, written, leases, seq_no, primary_term)).await
    }

    async fn written(&self, stmt: &'static str, args: &impl serde::Serialize) -> Written {
        let version = self.send(stmt, args).await.and_then(|answer| first(stmt, &answer));
        match version {
            Ok(None) | Err(Failure::Refused(DUPLICATE_KEY | VERSION_CONFLICT, _) | Failure::NotSent) => Written::Lost,
            Ok(Some(cells)) => version_of(&cells).map_or(Written::Unknown, Written::Applied),
            Err(Failure::Refused(_, line)) => Written::Refused(line),
            Err(Failure::Silent) => Written::Unknown,
        }
    }

    async fn send(&self, stmt: &'static str, args: &impl serde::Serialize) -> Result<Answer, Failure> {
        let args = bind_row(args).map_err(|error| Error::new(Kind::Decode, "cannot write a lease").because(error))?;
        match tokio::time::timeout(PATIENCE, self.client.send(stmt, &args)).await {
            Ok(answer) => self.judged(answer.inspect_err(|error| tracing::debug!(%error, "about leases"))),
            Err(_) => Err(Failure::Silent),
        }
    }
}

/// Returns the cells of the first row, as they were written.
fn first(stmt: &'static str, answer: &Answer) -> Result<Option<Vec<Box<RawValue>>>, Failure> {
    Ok(answer.cells(Statement::new(stmt))?.into_iter().next())
}

fn columns_of(state: &RowState) -> (&'static str, Option<&str>, Option<Millis>) {
    match state {
        RowState::Open => ("open", None, None),
        RowState::Closing { by, since } => ("closing", Some(by), Some(*since)),
    }
}

/// Reads the columns of [`READ`].
fn decode(cells: &[Box<RawValue>]) -> Seen {
    let [row @ .., seq_no, primary_term, now, booted] = cells else { return Seen::Unreachable };
    let version = version_of(&[seq_no.clone(), primary_term.clone()]);
    let (Some(version), Some(server)) = (version, server_time(&[now.clone(), booted.clone()])) else {
        return Seen::Unreachable;
    };
    if row.first().and_then(|format| cell::<u32>(format)).is_some_and(|format| format > FORMAT) {
        return Seen::Newer;
    }
    row_of(row).map_or(Seen::Damaged(version, server), |row| Seen::Row(row, version, server))
}

fn row_of(cells: &[Box<RawValue>]) -> Option<Row> {
    let [format, state, owner, since, ours, written, leases] = cells else { return None };
    let state = match cell::<String>(state)?.as_str() {
        "open" => RowState::Open,
        "closing" => RowState::Closing { by: cell(owner)?, since: cell(since)? },
        _ => return None,
    };
    let leases: Vec<Lease> = cell(leases)?;
    let repeats = |at: usize, lease: &Lease| leases[..at].iter().any(|other| other.id == lease.id);
    if leases.iter().enumerate().any(|(at, lease)| repeats(at, lease)) {
        return None;
    }
    Some(Row { format: cell(format)?, state, ours: cell(ours)?, written: cell(written)?, leases })
}

fn version_of(cells: &[Box<RawValue>]) -> Option<RowVersion> {
    let [seq_no, primary_term] = cells else { return None };
    Some(RowVersion { seq_no: cell(seq_no)?, primary_term: cell(primary_term)? })
}

fn server_time(cells: &[Box<RawValue>]) -> Option<ServerTime> {
    let [now, booted] = cells else { return None };
    Some(ServerTime { now: cell(now)?, booted: cell(booted)? })
}

fn cell<T: DeserializeOwned>(cell: &RawValue) -> Option<T> {
    serde_json::from_str(cell.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Credentials;
    use crate::sql::test_server::{Reaction, TestServer};

    fn cells(json: &str) -> Vec<Box<RawValue>> {
        serde_json::from_str(json).unwrap()
    }

    fn open() -> Row {
        Row { format: FORMAT, state: RowState::Open, ours: true, written: 1, leases: Vec::new() }
    }

    fn table(status: u16, code: i32) -> (TestServer, LeaseTable) {
        let server = TestServer::start(move |_| Reaction::error(status, code, "no"));
        let table = LeaseTable::of(&server.url(), Wallet::new(Credentials::None)).unwrap();
        (server, table)
    }

    /// On a real 6.4.3, a shard that recovers answers 404 with 4040 (`IllegalIndexShardStateException`).
    #[tokio::test]
    async fn only_a_refusal_that_lasts_is_one() {
        let version = RowVersion { seq_no: 1, primary_term: 1 };
        for (status, code) in [(404, 4040), (409, 4090), (429, 4290), (503, 5030), (500, 5003)] {
            let (_server, table) = table(status, code);
            assert_eq!(table.read().await, Seen::Unreachable, "{code}");
            assert_eq!(table.write(&open(), version).await, Written::Unknown, "{code}");
            assert_eq!(table.make().await, Ok(()), "{code}");
        }
        for (status, code) in [(403, 4033), (401, 4011), (400, 4007), (404, 4043)] {
            let (_server, table) = table(status, code);
            assert!(matches!(table.read().await, Seen::Refused(_)), "{code}");
            assert!(matches!(table.write(&open(), version).await, Written::Refused(_)), "{code}");
            assert!(table.make().await.is_err(), "{code}");
        }
        for (status, code) in [(404, 4041), (404, 4045)] {
            let (_server, table) = table(status, code);
            assert_eq!(table.read().await, Seen::NoTable, "{code}");
        }
        for (status, code) in [(409, 4091), (409, 4092)] {
            let (_server, table) = table(status, code);
            assert_eq!(table.write(&open(), version).await, Written::Lost, "{code}");
        }
    }

    /// A real 6.4.3 whose disks are full answers so, for as long as they are.
    #[tokio::test]
    async fn a_row_that_does_not_become_ready_is_refused_at_last() {
        let ready = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_ready = ready.clone();
        let server = TestServer::start(move |_| match is_ready.load(std::sync::atomic::Ordering::SeqCst) {
            true => Reaction::rows(&[("a", 9.into())], "[]"),
            false => Reaction::error(404, 4040, "ShardNotFoundException[no such shard]"),
        });
        let mut table = LeaseTable::of(&server.url(), Wallet::new(Credentials::None)).unwrap();
        assert_eq!((table.read().await, table.trouble()), (Seen::Unreachable, None));
        table.lasting = Duration::ZERO;
        assert!(matches!(table.read().await, Seen::Refused(line) if line.contains("no such shard")));
        let long_ago = Instant::now().checked_sub(NOTEWORTHY).unwrap();
        table.unready.lock().unwrap().as_mut().unwrap().0 = long_ago;
        assert!(table.trouble().unwrap().contains("no such shard"));
        // Once it was ready, the time counts from the beginning.
        ready.store(true, std::sync::atomic::Ordering::SeqCst);
        table.read().await;
        assert_eq!(table.trouble(), None);
        ready.store(false, std::sync::atomic::Ordering::SeqCst);
        table.lasting = Duration::from_secs(100);
        assert_eq!(table.read().await, Seen::Unreachable);
    }

    const LEASE: &str = r#"{"id":"a","host":"h","user":"u","session":"s","version":"1","joined":5,"renewed":6,
        "wish":null,"drained":false}"#;

    #[test]
    fn a_row_is_read_and_what_is_no_row_counts_as_damaged() {
        let read = |row: &str| decode(&cells(&format!("[{row}, 7, 1, 100, 50]")));
        let Seen::Row(row, version, server) = read(&format!(r#"1, "closing", "a", 9, true, 10, [{LEASE}]"#)) else {
            panic!("it is not read")
        };
        assert_eq!(row.state, RowState::Closing { by: "a".into(), since: 9 });
        assert_eq!((row.leases[0].renewed, row.ours, row.written), (6, true, 10));
        assert_eq!((version.seq_no, version.primary_term, server.now, server.booted), (7, 1, 100, 50));
        for damaged in [
            r#"1, "ajar", null, null, true, 10, []"#,
            r#"1, "closing", null, 9, true, 10, []"#,
            r#"1, "open", null, null, null, 10, []"#,
            r#"1, "open", null, null, true, -10, []"#,
            r#"null, "open", null, null, true, 10, []"#,
            r#"1, "open", null, null, true, 10, null"#,
            r#"1, "open", null, null, true, 10, [null]"#,
            r#"1, "open", null, null, true, 10, [{"id":"a"}]"#,
            &format!(r#"1, "open", null, null, true, 10, [{LEASE},{LEASE}]"#),
        ] {
            assert!(matches!(read(damaged), Seen::Damaged(..)), "{damaged}");
        }
        assert_eq!(read(r#"2, "half open", null, null, 0, null, {}"#), Seen::Newer);
    }

    #[test]
    fn columns_and_fields_of_later_versions_are_no_reason_to_refuse_a_row() {
        let later = LEASE.replace("\"wish\"", "\"mood\":\"good\",\"wish\"");
        let row = format!(r#"[1, "open", null, null, false, 10, [{later}], 7, 1, 100, 50]"#);
        assert!(matches!(decode(&cells(&row)), Seen::Row(..)));
    }
}
