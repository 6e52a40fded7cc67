//! Tests the client against a server whose answers are written here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::background;
use crate::secret::Secret;
use crate::sql::bind::bind;
use crate::sql::test_server::{Reaction, Request, TestServer};

fn one() -> Reaction {
    Reaction::rows(&[("1", json!(9))], "[[1]]")
}

fn client(server: &TestServer, credentials: Credentials) -> SqlClient {
    SqlClient::new(&server.url(), Some("test_schema"), Wallet::new(credentials)).unwrap()
}

fn jwt(token: &str) -> Credentials {
    Credentials::Jwt { token: Secret::new(token), expires: None }
}

/// Returns the error of executing `stmt`.
async fn failure(script: impl Fn(&Request) -> Reaction + Send + Sync + 'static, stmt: &str) -> Error {
    let server = TestServer::start(script);
    client(&server, Credentials::None).send(stmt, &[]).await.unwrap_err()
}

#[tokio::test]
async fn sends_statement_arguments_and_schema_and_asks_for_types() {
    let server = TestServer::start(|_| one());
    let args = [bind(&1).unwrap(), bind("two").unwrap()];
    client(&server, Credentials::None).send("SELECT ?, ?", &args).await.unwrap();
    let request = server.requests().remove(0);
    assert_eq!(request.path, "/_sql?types");
    assert_eq!(request.body, json!({"stmt": "SELECT ?, ?", "args": [1, "two"]}));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("default-schema"), Some("test_schema"));
    assert_eq!(request.header("authorization"), None);
}

#[tokio::test]
async fn proves_who_is_asking() {
    let server = TestServer::start(|_| one());
    let basic = Credentials::Basic { username: "admin".into(), password: Secret::new("hunter2") };
    client(&server, basic).send("SELECT 1", &[]).await.unwrap();
    client(&server, jwt("token")).send("SELECT 1", &[]).await.unwrap();
    let sent: Vec<_> =
        server.requests().iter().map(|request| request.header("authorization").map(String::from)).collect();
    assert_eq!(sent, [Some("Basic YWRtaW46aHVudGVyMg==".into()), Some("Bearer token".into())]);
}

#[tokio::test]
async fn keeps_a_connection_and_sends_the_schema_with_each_request() {
    let server = TestServer::start(|_| one());
    let client = client(&server, Credentials::None);
    for _ in 0..10 {
        client.clone().send("SELECT 1", &[]).await.unwrap();
    }
    for request in server.requests() {
        assert_eq!((request.connection, request.header("default-schema")), (0, Some("test_schema")));
    }
}

#[tokio::test]
async fn has_connections_of_its_own_for_each_schema() {
    let server = TestServer::start(|_| one());
    let wallet = Wallet::new(Credentials::None);
    let clients: Vec<SqlClient> =
        ["a", "b", "c"].map(|schema| SqlClient::new(&server.url(), Some(schema), wallet.clone()).unwrap()).into();
    for _ in 0..5 {
        for client in &clients {
            client.send("SELECT 1", &[]).await.unwrap();
        }
    }
    let mut schemas = [const { Vec::new() }; 3];
    for request in server.requests() {
        schemas[request.connection].push(request.header("default-schema").unwrap().to_owned());
    }
    for (connection, schema) in schemas.iter().zip(["a", "b", "c"]) {
        assert_eq!(connection, &vec![schema; 5]);
    }
}

#[test]
fn is_cheap_to_make() {
    let wallet = Wallet::new(Credentials::None);
    let make = || SqlClient::new("http://127.0.0.1:4200", Some("schema"), wallet.clone()).unwrap();
    make();
    let times = (0..200).map(|_| {
        let start = Instant::now();
        drop(make());
        start.elapsed()
    });
    let fastest = times.min().unwrap();
    assert!(fastest < Duration::from_micros(100), "{fastest:?}");
}

#[tokio::test]
async fn server_errors_keep_code_message_and_statement() {
    let error =
        failure(|_| Reaction::error(404, 4041, "RelationUnknown[Relation 'nope' unknown]"), "SELECT *\n FROM nope")
            .await;
    assert_eq!(
        error.to_string(),
        "cannot execute `SELECT * FROM nope`: RelationUnknown[Relation 'nope' unknown] (code 4041)\n  \
         names without a schema are looked for in `test_schema`, the schema of this test"
    );
    assert_eq!(
        (error.code(), error.status(), error.message(), error.statement()),
        (Some(4041), Some(404), Some("RelationUnknown[Relation 'nope' unknown]"), Some("SELECT *\n FROM nope"))
    );
}

#[tokio::test]
async fn long_statements_are_shortened_in_the_text_only() {
    let stmt = format!("INSERT INTO t VALUES {}", vec!["(1)"; 1000].join(", "));
    let error = failure(|_| Reaction::error(400, 4000, "no"), &stmt).await;
    assert!(error.to_string().len() < 300, "{error}");
    assert_eq!(error.statement(), Some(stmt.as_str()));
}

#[tokio::test]
async fn plain_text_errors_are_understood() {
    let error = failure(|_| Reaction::text(500, "java.lang.IllegalStateException\n"), "SELECT 1").await;
    assert!(error.to_string().ends_with("answered with status 500: java.lang.IllegalStateException"), "{error}");
    assert_eq!((error.status(), error.code()), (Some(500), None));

    let error = failure(|_| Reaction::text(429, ""), "SELECT 1").await;
    assert!(error.to_string().ends_with("answered with status 429"), "{error}");

    let error = failure(|_| Reaction::text(401, "trust authentication failed for user \"crate\"\n"), "SELECT 1").await;
    assert!(error.to_string().contains("trust authentication failed"), "{error}");
    assert!(error.to_string().contains("set CRATEDB_USERNAME and CRATEDB_PASSWORD"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_not_cratedbs_is_an_error_that_shows_it() {
    let error = failure(|_| Reaction::text(200, "<html>\n Welcome to nginx!"), "SELECT 1").await;
    let text = error.to_string();
    assert!(text.contains("status 200, text/plain") && text.contains("`<html> Welcome to nginx!`"), "{text}");
    assert!(text.contains("is this the HTTP address of a CrateDB server?"), "{text}");

    let error = failure(|_| Reaction::json(200, &json!({"ok": true})), "SELECT 1").await;
    assert!(error.to_string().contains("missing field `cols`"), "{error}");

    let error = failure(|_| Reaction::text(302, ""), "SELECT 1").await;
    assert!(error.to_string().contains("status 302"), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let server = TestServer::start(|_| Reaction::Hang);
    let limits = HttpLimits { silence: Duration::from_millis(150), ..HttpLimits::SQL };
    let client = SqlClient::with_limits(&server.url(), None, Wallet::new(Credentials::None), limits).unwrap();
    let error = client.send("SELECT 1", &[]).await.unwrap_err();
    assert!(error.is_timeout());
    assert!(
        error.to_string().starts_with(&format!("cannot execute `SELECT 1`: {} said nothing for 150ms", server.url())),
        "{error}"
    );
    assert_eq!(server.requests().len(), 1, "what may still run is not sent again");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_and_not_asked_for_again() {
    let server = TestServer::start(|_| Reaction::rows(&[("a", json!(4))], &format!("[[\"{}\"]]", "x".repeat(1 << 20))));
    let wallet = Wallet::new(Credentials::None);
    let limits = HttpLimits { answer: 1 << 20, ..HttpLimits::SQL };
    let client = SqlClient::with_limits(&server.url(), None, wallet.clone(), limits).unwrap();
    let error = client.send("SELECT a FROM t", &[]).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("the answer of {} is longer than 1 MiB", server.url())), "{text}");
    assert!(text.contains("the statement was executed; read fewer rows"), "{text}");
    assert_eq!(server.requests().len(), 1);
    let patient = SqlClient::with_limits(&server.url(), None, wallet, HttpLimits::STATEMENTS).unwrap();
    assert_eq!(patient.rows::<(String,)>("SELECT a FROM t").await.unwrap()[0].0.len(), 1 << 20);
}

#[tokio::test]
async fn a_long_refusal_is_shown_short_and_keeps_its_code() {
    let long = format!("no\u{1b}[2J\n::error::{}", "x".repeat(1_200_000));
    let script = long.clone();
    let error = failure(move |_| Reaction::error(400, 4000, &script), "SELECT 1").await;
    let text = error.to_string();
    assert!(text.contains("no\\u{1b}[2J ::error::xxx") && text.ends_with("… (code 4000)"), "{}", &text[..200]);
    assert!(text.len() < 3000 && text.lines().count() == 1, "{} bytes", text.len());
    assert_eq!((error.code(), error.message()), (Some(4000), Some(&*long)));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_that_names_it() {
    let url = TestServer::start(|_| one()).url();
    let client = SqlClient::new(&url, None, Wallet::new(Credentials::None)).unwrap();
    let error = client.send("SELECT 1", &[]).await.unwrap_err();
    assert!(error.is_transport());
    assert!(error.to_string().contains(&format!("no connection to {url}: Connection refused")), "{error}");
}

#[tokio::test]
async fn https_to_a_server_without_tls_is_an_error_that_names_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    std::thread::spawn(move || std::io::Write::write_all(&mut listener.accept().unwrap().0, answer));
    let client = SqlClient::new(&url, None, Wallet::new(Credentials::None)).unwrap();
    let error = client.send("SELECT 1", &[]).await.unwrap_err();
    assert!(error.is_transport(), "{error}");
    assert!(error.to_string().contains(&format!("no connection to {url}: ")), "{error}");
}

#[test]
fn a_connection_that_was_closed_while_idle_fails_no_statement() {
    let body = json!({"cols": [], "rows": [[]], "rowcount": 1}).to_string();
    let server = TestServer::start(move |_| Reaction::AnswerAndClose { body: body.clone() });
    let client = client(&server, Credentials::None);
    for number in 1..=50 {
        let client = client.clone();
        // On the thread that tests use, since it matters when its runtime learns that the connection was closed.
        background::wait(async move { client.send("INSERT INTO t VALUES (1)", &[]).await }).unwrap();
        server.wait_for_closed(number);
    }
    assert_eq!(server.requests().len(), 50, "none is sent twice");
}

#[tokio::test]
async fn what_only_reads_is_sent_again_when_a_connection_breaks() {
    for broken in [|| Reaction::Reset, || Reaction::HalfAnAnswer] {
        let server = TestServer::start(move |request| if request.number == 1 { broken() } else { one() });
        let client = client(&server, Credentials::None);
        client.send("SELECT 1", &[]).await.unwrap();
        client.send("SELECT 2", &[]).await.unwrap();
        assert_eq!(server.stmts(), ["SELECT 1", "SELECT 2", "SELECT 2"]);
    }
}

#[tokio::test]
async fn what_may_have_been_executed_is_never_sent_again() {
    for broken in [|| Reaction::Reset, || Reaction::HalfAnAnswer] {
        let server = TestServer::start(move |_| broken());
        let client = client(&server, Credentials::None);
        let error = client.send("INSERT INTO t VALUES (1)", &[]).await.unwrap_err();
        assert!(error.is_transport() && error.to_string().contains("it was not sent again"), "{error}");
        let error = client.bulk("INSERT INTO t VALUES (?)", &[vec![bind(&1).unwrap()]]).await.unwrap_err();
        assert!(error.to_string().contains("the statement may have been executed"), "{error}");
        assert_eq!(server.requests().len(), 2);
        // The request for the version executes none.
        let error = client.version().await.unwrap_err().to_string();
        assert!(error.contains("is this the HTTP address") && !error.contains("the statement"), "{error}");
        assert_eq!(server.requests().len(), 4);
    }
}

/// Accepts only the token `new`.
fn with_authentication(request: &Request) -> Reaction {
    match request.header("authorization") {
        Some("Bearer new") => one(),
        _ => Reaction::text(401, "jwt authentication failed for user admin. Reason: The Token has expired on …\n"),
    }
}

fn wallet_that_renews(outcome: Result<Credentials>) -> (Wallet, Arc<AtomicUsize>) {
    let renewals = Arc::new(AtomicUsize::new(0));
    let counter = renewals.clone();
    let wallet = Wallet::new(jwt("old")).with_renewer(Arc::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let outcome = outcome.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            outcome
        })
    }));
    (wallet, renewals)
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_all_requests() {
    let server = TestServer::start(with_authentication);
    let (wallet, renewals) = wallet_that_renews(Ok(jwt("new")));
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let client = SqlClient::new(&server.url(), Some(&format!("s{number}")), wallet.clone()).unwrap();
            tokio::spawn(async move { client.send("INSERT INTO t VALUES (1)", &[]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!((wallet.current(), renewals.load(Ordering::Relaxed)), (jwt("new"), 1));
}

#[tokio::test]
async fn a_renewed_token_that_is_refused_too_is_an_error() {
    let server = TestServer::start(with_authentication);
    let (wallet, renewals) = wallet_that_renews(Ok(jwt("wrong")));
    let client = SqlClient::new(&server.url(), None, wallet).unwrap();
    let error = client.send("SELECT 1", &[]).await.unwrap_err();
    assert!(
        error.to_string().contains("The Token has expired") && error.to_string().contains("refused again"),
        "{error}"
    );
    assert_eq!((renewals.load(Ordering::Relaxed), server.requests().len()), (1, 2));
}

#[tokio::test]
async fn a_token_that_cant_be_renewed_is_an_error_that_says_why() {
    let server = TestServer::start(with_authentication);
    let (wallet, _) = wallet_that_renews(Err(Error::new(Kind::Cloud, "cannot get a token for cluster `ci`")));
    let client = SqlClient::new(&server.url(), None, wallet).unwrap();
    let error = client.send("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot execute `SELECT 1`: the token was refused: cannot get a token for cluster `ci`"
    );
}

#[tokio::test]
async fn a_missing_privilege_and_a_wrong_password_renew_nothing() {
    let server = TestServer::start(|_| Reaction::error(401, 4011, "MissingPrivilegeException[Missing 'DQL']"));
    let (wallet, renewals) = wallet_that_renews(Ok(jwt("new")));
    let error = SqlClient::new(&server.url(), None, wallet).unwrap().send("SELECT 1", &[]).await.unwrap_err();
    assert_eq!((error.code(), renewals.load(Ordering::Relaxed), server.requests().len()), (Some(4011), 0, 1));

    let server = TestServer::start(with_authentication);
    let basic = Credentials::Basic { username: "admin".into(), password: Secret::new("hunter2") };
    let error = client(&server, basic).send("SELECT 1", &[]).await.unwrap_err();
    assert!(error.to_string().contains("CRATEDB_PASSWORD, or those in the address"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn bulk_requests_send_all_rows_and_name_those_that_failed() {
    let server = TestServer::start(|_| {
        Reaction::json(
            200,
            &json!({"cols": [], "results": [{"rowcount": 1}, {"rowcount": -2, "error": {"code": 4091, "message": "DuplicateKeyException[x]"}}]}),
        )
    });
    let rows = [vec![bind(&1).unwrap()], vec![bind(&f64::NAN).unwrap()]];
    let error = client(&server, Credentials::None).bulk("INSERT INTO t VALUES (?)", &rows).await.unwrap_err();
    assert!(error.to_string().contains("for 1 of 2 rows: row 2: DuplicateKeyException[x] (code 4091)"), "{error}");
    assert_eq!(server.requests()[0].body, json!({"stmt": "INSERT INTO t VALUES (?)", "bulk_args": [[1], ["NaN"]]}));
}

#[tokio::test]
async fn a_bulk_request_without_rows_sends_nothing() {
    let server = TestServer::start(|_| one());
    assert_eq!(client(&server, Credentials::None).bulk("INSERT INTO t VALUES (?)", &[]).await.unwrap(), [0; 0]);
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_connection_poisoned_by_a_bulk_select_is_not_used_again() {
    let server = TestServer::start(|request| match request.stmt() {
        "SELECT ?" => Reaction::error(
            400,
            4004,
            "UnsupportedFeatureException[Bulk operations for statements that return result sets is not supported]",
        ),
        _ => Reaction::json(200, &json!({"cols": [], "results": [{"rowcount": 1}]})),
    });
    let client = client(&server, Credentials::None);
    let rows = [vec![bind(&1).unwrap()]];
    assert_eq!(client.bulk("SELECT ?", &rows).await.unwrap_err().code(), Some(4004));
    assert_eq!(client.bulk("INSERT INTO t VALUES (?)", &rows).await.unwrap(), [1]);
    let connections: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 1]);
}

#[tokio::test]
async fn the_version_is_read_without_sql() {
    let server =
        TestServer::start(|_| Reaction::json(200, &json!({"ok": true, "version": {"number": "6.5.0-SNAPSHOT"}})));
    assert_eq!(client(&server, Credentials::None).version().await.unwrap().to_string(), "6.5.0");
    assert_eq!(server.requests()[0].path, "/");

    let server = TestServer::start(|_| Reaction::json(503, &json!({"ok": false, "version": {"number": "6.4.3"}})));
    let error = client(&server, Credentials::None).version().await.unwrap_err();
    assert_eq!(error.status(), Some(503));
}

#[tokio::test]
async fn rows_are_read_into_types() {
    let server = TestServer::start(|_| Reaction::rows(&[("schema_name", json!(4))], r#"[["a"], ["b"]]"#));
    let names: Vec<String> = client(&server, Credentials::None).rows("SELECT schema_name FROM …").await.unwrap();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn addresses_are_checked_and_their_secrets_are_not_shown() {
    let new = |url| SqlClient::new(url, None, Wallet::new(Credentials::None));
    for url in ["http://localhost:4200", "http://localhost:4200/", "https://ci.cratedb.net", "http://proxy/crate"] {
        new(url).unwrap();
    }
    for url in
        ["localhost:4200", "postgres://localhost", "", "http://", "http://admin:hunter2@localhost", "ftp://a:hunter2@x"]
    {
        let error = new(url).unwrap_err();
        assert!(error.is_setting() && !error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_path_in_the_address_is_kept() {
    let server = TestServer::start(|_| one());
    let url = format!("{}/crate?x#y", server.url());
    SqlClient::new(&url, None, Wallet::new(Credentials::None)).unwrap().send("SELECT 1", &[]).await.unwrap();
    assert_eq!(server.requests()[0].path, "/crate/_sql?types");
}

#[test]
fn a_refresh_is_one_statement_for_all_tables_and_none_for_none() {
    assert_eq!(refresh_of("s", &[]), None);
    assert_eq!(refresh_of("s", &["a".into(), "B\"c".into()]).unwrap(), r#"REFRESH TABLE "s"."a", "s"."B""c""#);
}
