//! Sends statements and receives answers. Renews a refused token once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{self, Answer};
use super::bind::bind;
use super::body::Body;
use super::connections::{self, HttpLimits};
use super::failure::{self, BANNER, Statement, code};
use super::wallet::{Credentials, Wallet};
use crate::error::{Error, Kind, Result};
use crate::version::Version;

/// The tables of a schema that can be refreshed: no views and no closed tables. A partitioned table stands for all its
/// partitions.
const REFRESHABLE: &str = "SELECT table_name FROM information_schema.tables \
                           WHERE table_schema = ? AND table_type = 'BASE TABLE' AND closed = false";

/// A table may be dropped after it is listed and before it is refreshed. If that happens this often, it is an error.
const REFRESHES: usize = 3;

/// A client of one server with connections of its own. A clone shares them.
///
/// Its futures have to be awaited on a runtime that lives as long as the client: in a test process that of
/// [`background`](crate::background), in the keeper its own.
///
/// If the server closed an idle connection before anything was written to it, hyper sends the request on another one.
/// If something was written, only statements that read are sent again: any other statement may have been executed.
#[derive(Clone)]
pub(crate) struct SqlClient(Arc<SqlClientInner>);

struct SqlClientInner {
    /// Without credentials, since it appears in errors.
    address: String,
    sql: Url,
    root: Url,
    schema: Option<String>,
    wallet: Wallet,
    limits: HttpLimits,
    connections: Mutex<reqwest::Client>,
}

/// An answer of any kind.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    /// The body is longer than the limit, and the rest was not read.
    is_cut: bool,
}

#[derive(Serialize)]
struct SqlRequest<'a> {
    stmt: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    args: &'a [Box<RawValue>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    bulk_args: &'a [Vec<Box<RawValue>>],
}

enum Ask {
    Sql(Vec<u8>),
    Root,
}

impl SqlClient {
    /// Makes a client for the statements of the harness at `url`, whose connections begin in `schema`. Nothing is sent
    /// yet.
    pub(crate) fn new(url: &str, schema: Option<&str>, wallet: Wallet) -> Result<Self> {
        Self::with_limits(url, schema, wallet, HttpLimits::SQL)
    }

    /// Does the same for the statements of tests and programs, whose answers may be long.
    pub(crate) fn for_statements(url: &str, schema: Option<&str>, wallet: Wallet) -> Result<Self> {
        Self::with_limits(url, schema, wallet, HttpLimits::STATEMENTS)
    }

    pub(crate) fn with_limits(url: &str, schema: Option<&str>, wallet: Wallet, limits: HttpLimits) -> Result<Self> {
        let root = base(url)?;
        let mut sql = root.join("_sql").map_err(|error| bad_address(url).because_of(&error))?;
        sql.set_query(Some("types"));
        let connections = Mutex::new(connections::open(&root, schema, wallet.authority().as_ref(), limits)?);
        let address = root.as_str().trim_end_matches('/').to_owned();
        let schema = schema.map(String::from);
        Ok(Self(Arc::new(SqlClientInner { address, sql, root, schema, wallet, limits, connections })))
    }

    /// Executes one statement.
    pub(crate) async fn send(&self, stmt: &str, args: &[Box<RawValue>]) -> Result<Answer> {
        self.send_one(Statement::new(stmt), args).await
    }

    /// Executes a statement whose errors may name its number among others.
    pub(crate) async fn send_one(&self, statement: Statement<'_>, args: &[Box<RawValue>]) -> Result<Answer> {
        let reply = self.ask(&sql_request(statement, args, &[])?, statement).await?;
        Answer::read(&reply.body).map_err(|error| self.unreadable(&reply, statement, &error))
    }

    /// Executes one statement once for each row of arguments and returns the row count of each. Rows that failed make
    /// an error that names them. The other rows, if there are any, are written all the same.
    pub(crate) async fn bulk(&self, stmt: &str, rows: &[Vec<Box<RawValue>>]) -> Result<Vec<u64>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let statement = Statement::new(stmt);
        let reply = match self.ask(&sql_request(statement, &[], rows)?, statement).await {
            Err(error) if error.code() == Some(code::NOT_SUPPORTED) => {
                // The server leaves its session broken: it would execute the next bulk request on this connection and
                // answer it with 500. It is not known which connection that is, so all of them are closed.
                self.reconnect()?;
                return Err(error);
            }
            reply => reply?,
        };
        let answer = serde_json::from_slice(&reply.body).map_err(|error| self.unreadable(&reply, statement, &error))?;
        answer::counts(answer, statement, rows.len(), reply.status)
    }

    /// Asks for the version of the server without SQL, which it also answers while it starts, if with an error.
    pub(crate) async fn version(&self) -> Result<Version> {
        #[derive(Deserialize)]
        struct Banner {
            version: VersionNumber,
        }
        #[derive(Deserialize)]
        struct VersionNumber {
            number: String,
        }
        let statement = Statement::new(BANNER);
        let reply = self.ask(&Ask::Root, statement).await?;
        serde_json::from_slice::<Banner>(&reply.body)
            .map_err(|error| self.unreadable(&reply, statement, &error))?
            .version
            .number
            .parse()
    }

    /// Returns the rows of a statement without arguments.
    pub(crate) async fn rows<T: DeserializeOwned>(&self, stmt: &str) -> Result<Vec<T>> {
        self.send(stmt, &[]).await?.rows(Statement::new(stmt))
    }

    fn unreadable(&self, reply: &Reply, statement: Statement<'_>, error: &serde_json::Error) -> Error {
        failure::unreadable(reply, statement, &self.0.address, &error.to_string())
    }

    async fn ask(&self, ask: &Ask, statement: Statement<'_>) -> Result<Reply> {
        let mut credentials = self.0.wallet.current();
        let mut reply = self.exchange(ask, &credentials, statement).await?;
        if reply.is_unauthenticated() && matches!(credentials, Credentials::Jwt { .. }) {
            // The server refused it before it was executed, so it may be sent again.
            let refused =
                |error: Error| statement.failed(error.kind()).because("the token was refused").because_of(&error);
            credentials = self.0.wallet.renew(&credentials).await.map_err(refused)?;
            reply = self.exchange(ask, &credentials, statement).await?;
        }
        if (200..300).contains(&reply.status) {
            return match reply.is_cut {
                true => Err(failure::too_long(statement, &self.0.address, self.0.limits)),
                false => Ok(reply),
            };
        }
        Err(failure::refused(&reply, statement, &self.0.address, self.0.schema.as_deref(), &credentials))
    }

    async fn exchange(&self, ask: &Ask, credentials: &Credentials, statement: Statement<'_>) -> Result<Reply> {
        let mut outcome = self.exchange_once(ask, credentials).await;
        let repeatable = matches!(ask, Ask::Root) || statement.only_reads();
        if repeatable && outcome.as_ref().is_err_and(|error| !error.is_timeout() && !error.is_connect()) {
            outcome = self.exchange_once(ask, credentials).await;
        }
        outcome.map_err(|error| failure::no_answer(error.without_url(), statement, &self.0.address, self.0.limits))
    }

    async fn exchange_once(&self, ask: &Ask, credentials: &Credentials) -> Result<Reply, reqwest::Error> {
        let connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Lets the runtime learn of connections that were closed meanwhile, before one of them is chosen: a yielding
        // task continues only after the I/O driver was polled, which is one look at epoll. Without it, on a busy
        // machine one in a hundred statements after the closing of a connection failed.
        tokio::task::yield_now().await;
        let request = match ask {
            Ask::Root => connections.get(self.0.root.clone()),
            Ask::Sql(body) => connections
                .post(self.0.sql.clone())
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone()),
        };
        let request = match credentials {
            Credentials::None => request,
            Credentials::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
            Credentials::Jwt { token, .. } => request.bearer_auth(token.expose()),
        };
        let response = request.send().await?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or("no content type").to_owned();
        let Body { bytes, is_cut } = Body::read(response, self.0.limits.answer).await?;
        Ok(Reply { status, content_type, body: bytes, is_cut })
    }

    /// Replaces all connections; requests under way keep theirs to the end.
    fn reconnect(&self) -> Result<()> {
        let SqlClientInner { root, schema, wallet, limits, .. } = &*self.0;
        let fresh = connections::open(root, schema.as_deref(), wallet.authority().as_ref(), *limits)?;
        *self.0.connections.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl fmt::Debug for SqlClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlClient")
            .field("address", &self.0.address)
            .field("schema", &self.0.schema)
            .finish_non_exhaustive()
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reports whether the server rejected the credentials. CrateDB also answers 401 to a known user without the
    /// privilege for the statement; then the body is an error with a code of its own.
    fn is_unauthenticated(&self) -> bool {
        let known = |code| [code::NOT_AUTHORISED, code::MISSING_PRIVILEGE].contains(&code);
        self.status == 401 && !failure::error_object(&self.body).is_some_and(|error| known(error.code))
    }
}

fn sql_request(statement: Statement<'_>, args: &[Box<RawValue>], bulk_args: &[Vec<Box<RawValue>>]) -> Result<Ask> {
    serde_json::to_vec(&SqlRequest { stmt: statement.text, args, bulk_args })
        .map(Ask::Sql)
        .map_err(|error| statement.failed(Kind::Usage).because("it can't be written as JSON").because_of(&error))
}

/// Returns the address with a slash at its end, so that paths can be joined to it.
fn base(url: &str) -> Result<Url> {
    let mut base = Url::parse(url).map_err(|error| bad_address(url).because_of(&error))?;
    if !base.username().is_empty() || base.password().is_some() {
        return Err(Error::new(Kind::Setting, "cannot use an address of CrateDB that holds credentials")
            .hint("set CRATEDB_USERNAME and CRATEDB_PASSWORD instead"));
    }
    if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
        return Err(bad_address(url).because("it has to begin with http:// or https://"));
    }
    base.set_query(None);
    base.set_fragment(None);
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    Ok(base)
}

fn bad_address(url: &str) -> Error {
    // An address that can't be parsed may still hold a password.
    let shown = if url.contains('@') { "…" } else { url };
    Error::new(Kind::Setting, format!("cannot use `{shown}` as the HTTP address of CrateDB"))
}

/// Makes what was written to any table of `schema` visible, with one statement.
pub(crate) async fn refresh(client: &SqlClient, schema: &str) -> Result<()> {
    let listing = Statement::new(REFRESHABLE);
    let name = bind(schema).map_err(|error| listing.failed(Kind::Usage).because(error))?;
    let mut tries = 1;
    // Not `wait::until`: it waits for nothing, and repeats only with a new list.
    loop {
        let tables: Vec<String> = client.send_one(listing, std::slice::from_ref(&name)).await?.rows(listing)?;
        let Some(stmt) = refresh_of(schema, &tables) else { return Ok(()) };
        match client.send(&stmt, &[]).await {
            Err(error) if error.code() == Some(code::RELATION_UNKNOWN) && tries < REFRESHES => tries += 1,
            outcome => return outcome.map(drop),
        }
    }
}

fn refresh_of(schema: &str, tables: &[String]) -> Option<String> {
    let names: Vec<String> = tables.iter().map(|table| format!("{}.{}", quoted(schema), quoted(table))).collect();
    (!names.is_empty()).then(|| format!("REFRESH TABLE {}", names.join(", ")))
}

/// Quotes a name for a statement, whatever characters it has.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests;
