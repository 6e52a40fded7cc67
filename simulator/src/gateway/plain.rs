//! A plain CrateDB behind the gateways. It knows no tokens of the Cloud, so the gateways check the clients' credentials
//! and use the server with an account of their own.
//!
//! If that is a superuser's, each connection acts as the user whose credentials were checked, by `SET SESSION
//! AUTHORIZATION`. CrateDB keeps a session per connection, so one request per connection is enough, and the server
//! need not verify a password with each statement. Users that were made by SQL log in with their own passwords, which
//! the server judges.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::upstream::{Upstream, headers};
use super::{basic, refuse, unreachable};
use crate::http::{Exchange, Reply};
use crate::options::CrateServer;
use crate::store::engines::Facts;

const DEFAULT_SCHEMA: HeaderName = HeaderName::from_static("default-schema");
/// The pause between two questions to a server that starts.
const PAUSE: Duration = Duration::from_millis(50);
/// The limit for the answer to such a question.
const LIMIT: Duration = Duration::from_secs(10);
/// The only superuser of CrateDB.
const SUPERUSER: &str = "crate";
const OK: u16 = 200;
const UNAUTHORIZED: u16 = 401;
const NOT_FOUND: u16 = 404;

/// The server, as all gateways use it.
#[derive(Debug)]
pub(crate) struct Plain {
    server: CrateServer,
    /// The gateways' own credentials.
    authorization: Option<HeaderValue>,
    /// The user of the gateways' own account.
    account: String,
    /// Users of clusters that were made, or were there already.
    made: Mutex<HashSet<String>>,
}

/// The user as whom the requests of a connection run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    /// The user of the gateways' own account.
    Account,
    /// The cluster's own user, who is made if missing.
    Owner,
    /// Another user, who is let in by name.
    Named(String),
    /// A user whose credentials the server checks: those of this header.
    Client(HeaderValue),
}

/// A connection to the server for one client connection.
#[derive(Debug)]
pub(crate) struct Line {
    upstream: Upstream,
    actor: Actor,
    /// The credentials of its requests.
    authorization: Option<HeaderValue>,
    address: String,
    /// The client's schema, which CrateDB takes from a connection's first request.
    schema: Option<HeaderValue>,
}

impl Plain {
    /// Looks whether the server is there and lets the gateways in. `patience` is the time that it may take to start.
    pub(crate) async fn reach(server: CrateServer, patience: Duration) -> Result<Self, String> {
        let authorization = server.account().and_then(|(user, password)| basic(user, password));
        let mut plain = Self { server, authorization, account: String::new(), made: Mutex::default() };
        let deadline = Instant::now() + patience;
        let starts = !patience.is_zero();
        loop {
            let silent = || Err(Trouble::NotYet(format!("it has not answered for {} s", LIMIT.as_secs())));
            match timeout(LIMIT, plain.look(starts)).await.unwrap_or_else(|_| silent()) {
                Ok(account) => {
                    plain.account = account;
                    return Ok(plain);
                }
                Err(Trouble::NotYet(_)) if Instant::now() < deadline => sleep(PAUSE).await,
                Err(Trouble::NotYet(why) | Trouble::Refused(why)) => return Err(why),
            }
        }
    }

    /// Returns the user of the account. A server that `starts` has to be healthy, too.
    async fn look(&self, starts: bool) -> Result<String, Trouble> {
        let mut line = self.open(Actor::Account, None).await.map_err(|error| Trouble::NotYet(error.to_string()))?;
        let answer = line.ask(&json!({ "stmt": "SELECT current_user" })).await;
        let account = match answer.map_err(|error| Trouble::NotYet(error.to_string()))? {
            (OK, answer) => answer["rows"][0][0].as_str().map(str::to_owned).ok_or_else(|| no_crate(&answer))?,
            (UNAUTHORIZED, answer) => return Err(Trouble::Refused(format!("it refuses the user: {}", text(&answer)))),
            (status, answer) => return Err(Trouble::NotYet(format!("it answers {status}: {}", text(&answer)))),
        };
        if starts {
            // Servers before 6.0 have no such table.
            match line.ask(&json!({ "stmt": "SELECT health FROM sys.cluster_health" })).await {
                Ok((NOT_FOUND, _)) => {}
                Ok((OK, answer)) if answer["rows"][0][0] == "GREEN" => {}
                Ok((_, answer)) => return Err(Trouble::NotYet(format!("it is not healthy yet: {}", text(&answer)))),
                Err(error) => return Err(Trouble::NotYet(error.to_string())),
            }
        }
        Ok(account)
    }

    /// Returns whether a user may log in with credentials that only the server can check. The superuser and the
    /// gateways' own account are not open to clients, as in the Cloud: the server may let them in without a password.
    pub(super) fn is_open_to(&self, user: &str) -> bool {
        user != self.account && user != SUPERUSER
    }

    /// Opens a connection that acts as a user of this cluster. The error is the reply to the client.
    pub(super) async fn connect(
        &self,
        actor: Actor,
        facts: &Facts,
        schema: Option<&HeaderValue>,
    ) -> Result<Line, Reply> {
        let lost = |error: io::Error| unreachable(&format!("http://{}", self.server.address()), &error);
        let mut line = self.open(actor.clone(), schema).await.map_err(lost)?;
        match &actor {
            Actor::Owner if facts.username != self.account => {
                self.make(&mut line, facts).await.map_err(lost)?;
                // An account that is not a superuser's can't act as another user: requests run as itself.
                line.act_as(&facts.username).await.map_err(lost)?;
            }
            Actor::Named(name) if *name != self.account => {
                if line.act_as(name).await.map_err(lost)? == NOT_FOUND {
                    return Err(refuse(&format!("trust authentication failed for user \"{name}\"")));
                }
            }
            Actor::Account | Actor::Owner | Actor::Named(_) | Actor::Client(_) => {}
        }
        Ok(line)
    }

    async fn open(&self, actor: Actor, schema: Option<&HeaderValue>) -> io::Result<Line> {
        let address = self.server.address().to_owned();
        let authorization = match &actor {
            Actor::Client(own) => Some(own.clone()),
            Actor::Account | Actor::Owner | Actor::Named(_) => self.authorization.clone(),
        };
        let upstream = Upstream::connect(&address).await?;
        Ok(Line { upstream, actor, authorization, address, schema: schema.cloned() })
    }

    /// Makes a cluster's user with all privileges, as the service does. One that is there already is left as it is.
    async fn make(&self, line: &mut Line, facts: &Facts) -> io::Result<()> {
        // Locked until it has its privileges: other connections of the user must not begin before.
        let mut made = self.made.lock().await;
        if made.contains(&facts.username) {
            return Ok(());
        }
        let user = quoted(&facts.username);
        // As an argument, since `sys.jobs_log` shows statements and not their arguments.
        let stmt = format!("CREATE USER {user} WITH (password = ?)");
        let (status, _) = line.ask(&json!({ "stmt": stmt, "args": [facts.password] })).await?;
        if status == OK {
            line.ask(&json!({ "stmt": format!("GRANT ALL PRIVILEGES TO {user}") })).await?;
        }
        made.insert(facts.username.clone());
        Ok(())
    }
}

/// The reason why the server can't be used.
enum Trouble {
    /// This may pass while it starts.
    NotYet(String),
    /// This stays as it is.
    Refused(String),
}

fn no_crate(answer: &Value) -> Trouble {
    Trouble::Refused(format!("it does not answer as CrateDB does: {}", text(answer)))
}

/// Returns the message of an answer, and no more of it than fits into a line.
fn text(answer: &Value) -> String {
    const LONGEST: usize = 200;
    let message =
        answer["error"]["message"].as_str().or(answer.as_str()).map_or_else(|| answer.to_string(), str::to_owned);
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Line {
    pub(super) fn acts_as(&self, actor: &Actor) -> bool {
        self.actor == *actor
    }

    pub(super) async fn forward(&mut self, exchange: &Exchange) -> io::Result<Reply> {
        self.upstream.forward_as(exchange, self.authorization.as_ref()).await
    }

    pub(super) async fn ask(&mut self, body: &Value) -> io::Result<(u16, Value)> {
        let mut headers = headers(&self.address, self.authorization.as_ref());
        headers.extend(self.schema.clone().map(|schema| (DEFAULT_SCHEMA, schema)));
        self.upstream.ask(&headers, body).await
    }

    async fn act_as(&mut self, user: &str) -> io::Result<u16> {
        let stmt = format!("SET SESSION AUTHORIZATION {}", quoted(user));
        self.ask(&json!({ "stmt": stmt })).await.map(|(status, _)| status)
    }
}
