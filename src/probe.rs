//! Finds out whether a server answers SQL, its version, and whether a proxy in front of it mixes sessions.

use std::time::{Duration, Instant};

#[cfg(feature = "harness")]
use crate::clock::ServerClock;
use crate::error::{Error, Kind, Result};
use crate::foreign;
use crate::sql::connections::HttpLimits;
use crate::sql::{SqlClient, Wallet, code};
use crate::version::Version;
use crate::wait::{self, Look};

/// The state in which a server counts as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// A server that others run: it answers or it doesn't. If it says that it is starting, it is waited for; if it
    /// breaks connections, for [`BROKEN`].
    Answering,
    /// A server that was just resumed or started: a refused connection means "not yet".
    Starting,
    /// Like `Starting`, for a caller that needs no separate schemas.
    StartingForOne,
    /// Like `Starting`, for a server without data, which is certain to become green.
    Empty,
}

/// A server that is ready answers these small queries at once. One that doesn't is asked again on a new connection.
const LIMITS: HttpLimits =
    HttpLimits { connect: Duration::from_secs(5), silence: Duration::from_secs(10), answer: 1 << 20 };

/// The time for which a server that others run may break connections: it, or a proxy before it, is being restarted. A
/// program that does not speak HTTP breaks them for ever.
const BROKEN: Duration = Duration::from_secs(10);

/// Waits until `url` answers SQL, and returns its version.
///
/// The schema of a test comes from a header that CrateDB reads once for each connection. So this asks for the current
/// schema on two connections in turn: a proxy that shares its own connections between clients would give tests each
/// other's tables, and is refused here. A server that was just started on this machine has no proxy.
pub(crate) async fn answers_sql(
    url: &str,
    wallet: &Wallet,
    patience: Readiness,
    deadline: Instant,
    told: impl Fn(String),
) -> Result<Version> {
    let schedule = if patience == Readiness::Empty { wait::LOCAL } else { wait::SERVER };
    let restarted = Instant::now() + BROKEN;
    let look = || async {
        match look(url, wallet, patience).await {
            Err(error) if is_passing(&error, patience) || is_broken(&error) && Instant::now() < restarted => {
                Ok(Look::NotYet(in_words(&error)))
            }
            found => found,
        }
    };
    let told = |status: &str| told(format!("waiting for SQL at {url}: {status}"));
    wait::until(&format!("SQL at {url}"), schedule, deadline, told, look).await
}

async fn look(url: &str, wallet: &Wallet, patience: Readiness) -> Result<Look<Version>> {
    // With a schema from the start: a proxy that mixes sessions keeps that of the first request for all that follow.
    let client = SqlClient::with_limits(url, Some(SCHEMAS[0]), wallet.clone(), LIMITS)?;
    let version = client.version().await?;
    if let Some(why) = unfit(&client, patience).await? {
        return Ok(Look::NotYet(why));
    }
    if matches!(patience, Readiness::Answering | Readiness::Starting) {
        sessions_are_kept_apart(url, wallet).await?;
    }
    Ok(Look::Ready(version))
}

/// Returns why a server that answers can't be used yet. Since 6.2 a server answers before it has recovered its state.
async fn unfit(client: &SqlClient, patience: Readiness) -> Result<Option<String>> {
    /// Before 6.0 this table does not exist, but a server that has not recovered answers 503. Or the user may not read
    /// it.
    const NOTHING_TO_LEARN: [i32; 3] = [code::NOT_AUTHORISED, code::MISSING_PRIVILEGE, code::RELATION_UNKNOWN];
    let health: Result<Vec<(String, Option<String>)>> =
        client.rows("SELECT health, description FROM sys.cluster_health").await;
    let told = |(health, description): (String, Option<String>)| {
        let description = description.unwrap_or_default();
        // On a server that others use, data may be yellow or red for ever. Tests can run there all the same.
        let unfit = description.contains("not recovered") || patience == Readiness::Empty && health != "GREEN";
        unfit.then(|| format!("the cluster is {health} {description}").trim_end().to_owned())
    };
    match health {
        Ok(rows) => Ok(rows.into_iter().find_map(told)),
        Err(error) if error.code().is_some_and(|code| NOTHING_TO_LEARN.contains(&code)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reports whether an error may pass with time.
fn is_passing(error: &Error, patience: Readiness) -> bool {
    // Before 6.2 a server without a master answers 500. A load balancer answers 404 for a host that it doesn't know
    // yet.
    match error.status() {
        Some(429 | 502..=504) => true,
        Some(500 | 404) => patience != Readiness::Answering && error.code().is_none_or(|code| code == 5000),
        // Between opening its sockets and its first cluster state, a real 6.4.3 answers `GET /` with a Java exception.
        Some(400) => patience == Readiness::Empty && error.code().is_none(),
        Some(_) => false,
        None => patience != Readiness::Answering && (error.is_transport() || error.is_timeout()),
    }
}

/// Asks a server for its time, in milliseconds since the Unix epoch.
#[cfg(feature = "harness")]
pub(crate) async fn time(client: &SqlClient) -> Result<i64> {
    let rows: Vec<(i64,)> = client.rows("SELECT CURRENT_TIMESTAMP").await?;
    rows.first().map(|(millis,)| *millis).ok_or_else(|| Error::new(Kind::Decode, "the server does not tell its time"))
}

/// Returns the clock of the server at `url`; none if it does not tell its time, which the log says.
#[cfg(feature = "harness")]
pub(crate) async fn clock(url: &str, wallet: &Wallet) -> Option<ServerClock> {
    let told = async { time(&SqlClient::with_limits(url, None, wallet.clone(), LIMITS)?).await };
    let told = told.await.inspect_err(|error| tracing::warn!(%error, "names carry the time of this machine"));
    told.ok().map(ServerClock::showing)
}

/// Reports whether a connection broke that a server had accepted.
fn is_broken(error: &Error) -> bool {
    error.is_transport() && !error.is_never_sent()
}

/// Describes an error that may pass. The page or the JSON of a proxy, and of a server that starts, tells people nothing
/// that the status doesn't.
fn in_words(error: &Error) -> String {
    /// Enough for a sentence.
    const CHARS: usize = 200;
    let (Some(status), None) = (error.status(), error.code()) else { return error.first_line() };
    let body = error.message().unwrap_or_default().trim();
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let text = match &json {
        Some(json) => json["message"].as_str().unwrap_or_default(),
        None if body.starts_with(['{', '[', '<']) => "",
        None => body,
    };
    let text = foreign::line(text, CHARS);
    if text.is_empty() {
        format!("it answers with status {status}")
    } else {
        format!("it answers with status {status}: {text}")
    }
}

const SCHEMAS: [&str; 2] = ["cratedb_test_probe_a", "cratedb_test_probe_b"];

async fn sessions_are_kept_apart(url: &str, wallet: &Wallet) -> Result<()> {
    let clients = SCHEMAS.map(|schema| SqlClient::with_limits(url, Some(schema), wallet.clone(), LIMITS));
    // Three rounds, since a proxy with several upstream connections of its own may meet the right one by chance.
    for _ in 0..3 {
        for (client, asked) in clients.iter().zip(SCHEMAS) {
            let client = client.as_ref().map_err(Clone::clone)?;
            let rows: Vec<(String,)> = client.rows("SELECT current_schema").await?;
            let found = rows.first().map_or("nothing", |(found,)| found);
            if found != asked {
                return Err(mixed(url, asked, found));
            }
        }
    }
    Ok(())
}

fn mixed(url: &str, asked: &str, found: &str) -> Error {
    let error = Error::new(Kind::Provider, format!("cannot give each test a schema of its own at {url}"));
    if SCHEMAS.contains(&found) {
        error
            .because(format!(
                "a proxy before the server mixes sessions: a connection that asked for schema `{asked}` got `{found}`, \
                 which another connection had asked for"
            ))
            .hint("connect to CrateDB without that proxy, or let it keep one connection to the server for each client")
    } else {
        error
            .because(format!("a connection that asked for schema `{asked}` got `{found}`"))
            .hint("a search_path that is stored with the user wins over a connection's schema: ALTER USER … RESET search_path")
            .hint("or a proxy before the server drops the header Default-Schema, or shares its own connections among clients")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refusal;

    fn answered(status: u16, code: Option<i32>) -> Error {
        let (message, request) = ("java.lang.NullPointerException".into(), "GET /".into());
        Error::new(Kind::Server, "x").refused(Refusal { status, code, message, request, errors: None })
    }

    #[test]
    fn the_words_of_a_server_that_starts_are_told_without_its_json_or_its_page() {
        let told = |message: &str, code| {
            let refusal = Refusal { status: 503, code, message: message.into(), request: "GET /".into(), errors: None };
            in_words(&Error::new(Kind::Server, "cannot ask").because("blocked").refused(refusal))
        };
        let starting = r#"{ "ok" : false, "status" : 503, "name" : "Rax", "version" : { "number" : "6.4.3" } }"#;
        for silent in [starting, "<html><body>503 Service Unavailable</body>", "{ \"ok\" : fal…", "[1", "", " \n"] {
            assert_eq!(told(silent, None), "it answers with status 503", "{silent}");
        }
        assert_eq!(told("no healthy\n upstream", None), "it answers with status 503: no healthy upstream");
        assert_eq!(told(r#"{"message": "suspended"}"#, None), "it answers with status 503: suspended");
        assert_eq!(told("master not discovered", Some(5030)), "cannot ask: blocked");
        assert!(told(&"x".repeat(5000), None).chars().count() < 250);
        assert_eq!(in_words(&Error::new(Kind::Transport, "cannot ask").because("refused")), "cannot ask: refused");
    }

    #[test]
    fn what_a_server_says_while_it_starts_passes_and_a_refusal_does_not() {
        for (status, code) in [(503, None), (500, Some(5000)), (400, None)] {
            assert!(is_passing(&answered(status, code), Readiness::Empty), "{status} {code:?}");
        }
        assert!(!is_passing(&answered(400, Some(4000)), Readiness::Empty));
        assert!(!is_passing(&answered(401, None), Readiness::Empty));
        assert!(!is_passing(&answered(400, None), Readiness::Starting));
    }
}
