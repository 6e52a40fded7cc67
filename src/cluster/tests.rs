//! Checks the handles of a cluster against a server whose every answer is written here, on all kinds of executors.

use std::sync::atomic::AtomicUsize;
use std::thread;

use serde_json::{Value, json};

use super::*;
use crate::background::tests::foreign_block_on;
use crate::sql::Credentials;
use crate::sql::test_server::{Reaction, Request, TestServer};

pub(crate) fn grant(url: &str) -> Grant {
    Grant {
        explain: None,
        writers: Default::default(),
        trace: Trace::default(),
        proxies: Default::default(),
        http_url: url.into(),
        pg_url: Err(
            Error::new(Kind::Provider, "cannot connect with the PostgreSQL protocol").because("no password is known")
        ),
        wallet: Wallet::new(Credentials::None),
        version: "6.4.3".parse().unwrap(),
        schema: "test_schema".into(),
        test: "module::inserts".into(),
        used: AtomicBool::default(),
        over: AtomicBool::default(),
        readonly: false,
        attempt: None,
    }
}

pub(crate) fn cluster(server: &TestServer) -> Cluster {
    Cluster::new(grant(&server.url())).unwrap()
}

pub(crate) fn numbers(count: usize) -> Reaction {
    let rows: Vec<[usize; 1]> = (1..=count).map(|number| [number]).collect();
    Reaction::rows(&[("n", json!(9))], &json!(rows).to_string())
}

/// Answers `SELECT <count>` with so many rows, and anything else with a count of 3; there are no tables.
pub(crate) fn counting(request: &Request) -> Reaction {
    match request.stmt().strip_prefix("SELECT ") {
        Some(count) => numbers(count.parse().unwrap_or(0)),
        None => Reaction::count(3),
    }
}

#[tokio::test]
async fn queries_bind_execute_and_fetch() {
    let server = TestServer::start(counting);
    let cluster = cluster(&server);
    assert_eq!(cluster.query("DELETE FROM t WHERE a = ? AND b = ?").bind(1).bind(["x"]).execute().await.unwrap(), 3);
    assert_eq!(cluster.execute("DELETE FROM t").await.unwrap(), 3);
    assert_eq!(cluster.query("SELECT 2").fetch_all::<(i32,)>().await.unwrap(), [(1,), (2,)]);
    assert_eq!(cluster.query("SELECT 1").fetch_one::<(i32,)>().await.unwrap(), (1,));
    assert_eq!(cluster.query("SELECT 1").fetch_optional::<i32>().await.unwrap(), Some(1));
    assert_eq!(cluster.query("SELECT 0").fetch_optional::<i32>().await.unwrap(), None);
    assert_eq!(cluster.query("SELECT 1").scalar::<i64>().await.unwrap(), 1);
    let first = server.requests().remove(0);
    assert_eq!(first.body, json!({"stmt": "DELETE FROM t WHERE a = ? AND b = ?", "args": [1, ["x"]]}));
    assert!(server.requests().iter().all(|request| request.connection == 0));
}

#[tokio::test]
async fn one_row_is_neither_none_nor_several() {
    let server = TestServer::start(counting);
    let cluster = cluster(&server);
    let none = cluster.query("SELECT 0").fetch_one::<i32>().await.unwrap_err().to_string();
    assert!(none.starts_with("cannot take the only row of `SELECT 0`: it returned no row\n"), "{none}");
    let none = cluster.query("SELECT 0").scalar::<i32>().await.unwrap_err().to_string();
    assert!(none.contains("it returned no row"), "{none}");
    for several in [
        cluster.query("SELECT 7").fetch_one::<i32>().await.unwrap_err(),
        cluster.query("SELECT 7").fetch_optional::<i32>().await.unwrap_err(),
        cluster.query("SELECT 7").scalar::<i32>().await.unwrap_err(),
    ] {
        assert!(several.to_string().contains("it returned 7 rows"), "{several}");
    }
}

#[tokio::test]
async fn an_unknown_count_is_none() {
    let server = TestServer::start(|_| Reaction::count(-1));
    assert_eq!(cluster(&server).execute("ALTER TABLE t ADD COLUMN c INT").await.unwrap(), 0);
}

#[tokio::test]
async fn an_argument_that_cant_be_bound_fails_when_it_is_sent() {
    #[derive(Serialize)]
    enum Unbindable {
        Circle(f64),
    }
    let server = TestServer::start(counting);
    let cluster = cluster(&server);
    let query = cluster
        .query("INSERT INTO t VALUES (?, ?, ?)")
        .bind(1)
        .bind(Unbindable::Circle(1.0))
        .bind(Unbindable::Circle(2.0));
    let error = query.execute().await.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot bind parameter 2 of `INSERT INTO t VALUES (?, ?, ?)`: `Unbindable::Circle`"),
        "{error}"
    );
    let error = cluster.bulk("INSERT …", [Some(Unbindable::Circle(1.0))]).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot bind row 1 of `INSERT …`"), "{error}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn batches_run_in_order_and_stop_at_the_first_failure() {
    let server = TestServer::start(|request| match request.stmt() {
        stmt if stmt.contains("nope") => Reaction::error(404, 4041, "RelationUnknown[Relation 'nope' unknown]"),
        _ => Reaction::count(1),
    });
    let cluster = cluster(&server);
    cluster.execute_batch("-- a; b\nSELECT 'a;b'; ; SELECT 2;").await.unwrap();
    assert_eq!(server.stmts(), ["SELECT 'a;b'", "SELECT 2"]);
    let error = cluster.execute_batch("SELECT 1; DELETE FROM nope; SELECT 3").await.unwrap_err();
    assert!(
        error.to_string().starts_with("cannot execute statement 2 of 3, `DELETE FROM nope`: RelationUnknown"),
        "{error}"
    );
    assert_eq!((error.code(), error.statement()), (Some(4041), Some("DELETE FROM nope")));
    assert_eq!(server.stmts()[2..], ["SELECT 1", "DELETE FROM nope"]);
    cluster.execute_batch("").await.unwrap();
}

#[tokio::test]
async fn bulk_takes_tuples_sequences_and_single_values() {
    let server = TestServer::start(|request| {
        let count = request.body["bulk_args"].as_array().unwrap().len();
        Reaction::json(200, &json!({"cols": [], "results": vec![json!({"rowcount": 1}); count]}))
    });
    let cluster = cluster(&server);
    assert_eq!(cluster.bulk("INSERT …", [(1, "a"), (2, "b")]).await.unwrap(), [1, 1]);
    assert_eq!(cluster.bulk("INSERT …", vec![vec![1, 2]]).await.unwrap(), [1]);
    assert_eq!(cluster.bulk("INSERT …", 1..=3).await.unwrap(), [1, 1, 1]);
    assert_eq!(cluster.bulk("INSERT …", [0; 0]).await.unwrap(), [0; 0]);
    let sent: Vec<Value> = server.requests().iter().map(|request| request.body["bulk_args"].clone()).collect();
    assert_eq!(sent, [json!([[1, "a"], [2, "b"]]), json!([[1, 2]]), json!([[1], [2], [3]])]);
}

#[tokio::test]
async fn refresh_names_all_tables_in_one_statement() {
    let server = TestServer::start(|request| match request.stmt() {
        stmt if stmt.starts_with("SELECT table_name") => {
            Reaction::rows(&[("table_name", json!(4))], r#"[["a"], ["B c"]]"#)
        }
        _ => Reaction::count(2),
    });
    cluster(&server).refresh().await.unwrap();
    assert_eq!(server.requests()[0].body["args"], json!(["test_schema"]));
    assert_eq!(server.stmts()[1], r#"REFRESH TABLE "test_schema"."a", "test_schema"."B c""#);
}

#[tokio::test]
async fn refresh_without_tables_has_nothing_to_do() {
    let server = TestServer::start(|_| numbers(0));
    cluster(&server).refresh().await.unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn refresh_begins_again_when_a_table_is_dropped_meanwhile() {
    let server = TestServer::start(|request| match request.number {
        0 | 2 => Reaction::rows(&[("table_name", json!(4))], r#"[["a"]]"#),
        1 => Reaction::error(404, 4041, "RelationUnknown[Relation 'test_schema.a' unknown]"),
        _ => Reaction::count(1),
    });
    cluster(&server).refresh().await.unwrap();
    assert_eq!(server.requests().len(), 4);
    let server = TestServer::start(|request| match request.number % 2 {
        0 => Reaction::rows(&[("table_name", json!(4))], r#"[["a"]]"#),
        _ => Reaction::error(404, 4041, "RelationUnknown[Relation 'test_schema.a' unknown]"),
    });
    assert_eq!(cluster(&server).refresh().await.unwrap_err().code(), Some(4041));
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn a_handle_sends_nothing_by_itself_and_tells_whether_it_was_used() {
    let server = TestServer::start(counting);
    let used = |cluster: &Cluster| cluster.grant().used.load(Ordering::Relaxed);
    let unused = cluster(&server);
    let _ = (unused.schema(), unused.server_version(), format!("{unused:?}"), unused.query("SELECT 1").bind(1));
    assert!(!used(&unused));
    assert_eq!(server.requests().len(), 0);
    let asked = cluster(&server);
    assert_eq!(asked.http_url(), server.url());
    assert!(used(&asked));
    let asked = cluster(&server);
    assert!(asked.pg_url().unwrap_err().to_string().contains("no password is known"));
    assert!(used(&asked));
    let queried = cluster(&server);
    queried.execute("SELECT 1").await.unwrap();
    assert!(used(&queried));
}

#[tokio::test]
async fn after_the_test_every_call_says_so() {
    let server = TestServer::start(counting);
    let cluster = cluster(&server);
    cluster.execute("SELECT 1").await.unwrap();
    let made_before = cluster.query("SELECT 1");
    cluster.grant().over.store(true, Ordering::Release);
    for error in [
        made_before.fetch_one::<i32>().await.unwrap_err(),
        cluster.execute("SELECT 1").await.unwrap_err(),
        cluster.execute_batch("SELECT 1").await.unwrap_err(),
        cluster.bulk("INSERT …", [1]).await.unwrap_err(),
        cluster.refresh().await.unwrap_err(),
        cluster.pg_url().unwrap_err(),
    ] {
        assert!(
            error.to_string().starts_with("the test `module::inserts` is over and its schema is gone\n"),
            "{error}"
        );
    }
    assert_eq!(server.requests().len(), 1);
}

/// Counts how often an attempt was ended.
struct Hook(Arc<AtomicUsize>);

impl Drop for Hook {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_statement_in_flight_does_not_keep_the_attempt_open() {
    let server = TestServer::start(|_| Reaction::Hang);
    let cluster = cluster(&server);
    let runs = Arc::new(AtomicUsize::new(0));
    cluster.end_with_last_handle(Hook(runs.clone()));
    let batch = cluster.clone();
    let hanging = [
        tokio::spawn(cluster.query("SELECT 1").execute()),
        tokio::spawn(async move { batch.execute_batch("SELECT 2").await.map(|()| 0) }),
    ];
    while server.requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    for task in hanging {
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    drop(cluster);
    assert_eq!(runs.load(Ordering::Relaxed), 1, "the background thread still has the handle");
}

#[test]
fn the_last_handle_runs_the_hook() {
    let runs = Arc::new(AtomicUsize::new(0));
    let cluster = Cluster::new(grant("http://127.0.0.1:1")).unwrap();
    cluster.end_with_last_handle(Hook(runs.clone()));
    let (query, other) = (cluster.query("SELECT 1"), cluster.clone());
    drop((cluster, other));
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    drop(query);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[test]
fn a_handle_outlives_the_runtimes_that_used_it() {
    let server = TestServer::start(counting);
    let cluster = cluster(&server);
    let succeeded = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..60 {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(async {
                        // In flight when its runtime dies.
                        let doomed = cluster.clone();
                        tokio::spawn(async move { doomed.execute("SELECT 1").await });
                        tokio::task::yield_now().await;
                        cluster.query("SELECT 1").scalar::<i32>().await.unwrap();
                        succeeded.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
        }
    });
    assert_eq!(succeeded.into_inner(), 360);
}

#[test]
fn a_handle_works_on_an_executor_that_is_not_tokios() {
    let server = TestServer::start(counting);
    let cluster = cluster(&server);
    foreign_block_on(async {
        assert_eq!(cluster.query("SELECT 1").scalar::<i32>().await.unwrap(), 1);
        assert_eq!(cluster.execute("DELETE FROM t").await.unwrap(), 3);
    });
}

#[test]
fn futures_can_be_sent_to_other_threads() {
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    /// Rows themselves need not be.
    #[derive(serde::Deserialize)]
    struct NotSend(std::marker::PhantomData<*const ()>);
    let cluster = Cluster::new(grant("http://127.0.0.1:1")).unwrap();
    drop(sendable(cluster.query("SELECT 1").fetch_all::<NotSend>()));
    drop(sendable(cluster.execute("SELECT 1")));
    drop(sendable(cluster.execute_batch("SELECT 1")));
    drop(sendable(cluster.bulk("INSERT …", [1])));
    drop(sendable(cluster.refresh()));
}

#[tokio::test]
async fn a_dropped_query_is_given_up() {
    let server = TestServer::start(|request| if request.number == 0 { Reaction::Hang } else { numbers(1) });
    let cluster = cluster(&server);
    let hanging = tokio::spawn(cluster.query("SELECT 1").scalar::<i32>());
    tokio::task::yield_now().await;
    server.wait_for_requests(1);
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());
    assert_eq!(cluster.query("SELECT 1").scalar::<i32>().await.unwrap(), 1);
}

#[test]
fn there_is_no_current_cluster_outside_of_a_test() {
    assert!(Cluster::current().is_none());
}
