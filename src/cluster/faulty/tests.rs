//! Tests the same cluster behind a proxy, before a small HTTP server.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::*;
use crate::background::tests::foreign_block_on;
use crate::cluster::tests::{cluster, counting};
use crate::sql::test_server::TestServer;

#[test]
fn addresses_are_those_of_the_proxy_without_encryption() {
    let (four, six) = ("127.0.0.1:9".parse().unwrap(), "[::1]:9".parse().unwrap());
    for (url, proxy, expected) in [
        ("http://db:4200", four, "http://127.0.0.1:9/"),
        ("https://db.example.org/crate", four, "http://127.0.0.1:9/crate"),
        ("http://[::1]:4200", six, "http://[::1]:9/"),
        ("postgres://crate@db/s", four, "postgres://crate@127.0.0.1:9/s"),
        ("postgres://a:p%2F@db:1/s?x=y", four, "postgres://a:p%2F@127.0.0.1:9/s?x=y"),
        ("postgres://a@db/s?sslmode=require&x=y", six, "postgres://a@[::1]:9/s?x=y&sslmode=disable"),
    ] {
        assert_eq!(behind(Url::parse(url).unwrap(), proxy), expected);
    }
}

#[test]
fn targets_are_the_servers_with_the_encryption_that_they_want() {
    for (protocol, url, shown, encrypted) in [
        (Protocol::Http, "http://db", "db:80", false),
        (Protocol::Http, "http://[::1]:4200", "[::1]:4200", false),
        (Protocol::Http, "https://db", "db:443", true),
        (Protocol::Postgres, "postgres://crate@db/s", "db:5432", false),
        (Protocol::Postgres, "postgres://crate:secret@db:5/s?sslmode=require", "db:5", true),
    ] {
        let target = target(protocol, &Url::parse(url).unwrap(), None).unwrap();
        assert_eq!((&*target.to_string(), target.tls.is_some()), (shown, encrypted), "{url}");
    }
}

#[tokio::test]
async fn statements_go_through_the_proxy_and_those_of_the_first_handle_do_not() {
    let server = TestServer::start(counting);
    let straight = cluster(&server);
    let (faulty, faults) = straight.with_faults().unwrap();
    assert_eq!(faulty.schema(), straight.schema());
    assert_ne!(faulty.http_url(), straight.http_url());
    assert!(format!("{faulty:?}").contains(faulty.http_url()));
    assert_eq!(faulty.query("SELECT 1").scalar::<i32>().await.unwrap(), 1);
    faults.latency(Duration::from_millis(100)).unwrap();
    let began = Instant::now();
    assert_eq!(faulty.query("SELECT 1").scalar::<i32>().await.unwrap(), 1);
    assert!(began.elapsed() >= Duration::from_millis(200));
    faults.refuse().unwrap().reset_after(0).unwrap();
    assert!(faulty.execute("DELETE FROM t").await.unwrap_err().is_transport());
    assert_eq!(straight.execute("DELETE FROM t").await.unwrap(), 3);
    faults.clear().unwrap();
    assert_eq!(faulty.execute("DELETE FROM t").await.unwrap(), 3);
    let report = straight.grant().trace.report().unwrap();
    for part in
        ["network: latency of 100 ms", "held 1 chunk from the server (", "new connections are refused", "no faults"]
    {
        assert!(report.contains(part), "{report}");
    }
    assert!(server.requests().iter().all(|request| request.header("Default-Schema") == Some("test_schema")));
}

#[test]
fn a_lost_answer_leaves_open_whether_something_still_writes() {
    let server = TestServer::start(counting);
    let straight = cluster(&server);
    let (faulty, faults) = straight.with_faults().unwrap();
    foreign_block_on(faulty.execute("DELETE FROM t")).unwrap();
    assert!(straight.grant().writers.settled().is_some());
    faults.from_server().reset_after(10).unwrap();
    foreign_block_on(faulty.execute("INSERT INTO t VALUES (1)")).unwrap_err();
    assert_eq!(straight.grant().writers.settled(), None);
    assert!(server.stmts().contains(&"INSERT INTO t VALUES (1)".to_owned()));
}

#[tokio::test]
async fn two_proxies_may_stand_one_before_the_other() {
    let server = TestServer::start(counting);
    let (nearer, _) = cluster(&server).with_faults().unwrap();
    let (farther, faults) = nearer.with_faults().unwrap();
    faults.refuse().unwrap();
    assert!(farther.execute("DELETE FROM t").await.unwrap_err().is_transport());
    assert_eq!(nearer.execute("DELETE FROM t").await.unwrap(), 3);
}

#[test]
fn a_proxy_ends_with_the_grant_of_its_test_and_a_test_that_is_over_gets_none() {
    let server = TestServer::start(counting);
    let straight = cluster(&server);
    let (faulty, faults) = straight.with_faults().unwrap();
    let address = faulty.http_url().trim_start_matches("http://").to_owned();
    TcpStream::connect(&*address).unwrap();
    drop(faulty);
    TcpStream::connect(&*address).expect("it stays to the end of the test");
    straight.grant().over.store(true, std::sync::atomic::Ordering::SeqCst);
    straight.grant().proxies.close();
    TcpStream::connect(&*address).unwrap_err();
    faults.clear().unwrap_err();
    assert!(straight.with_faults().unwrap_err().to_string().contains("is over and its schema is gone"));
    drop(straight);

    let (faulty, _faults) = cluster(&server).with_faults().unwrap();
    let address = faulty.http_url().trim_start_matches("http://").to_owned();
    let kept = faulty.clone();
    drop(faulty);
    assert_eq!(foreign_block_on(kept.execute("DELETE FROM t")).unwrap(), 3);
    drop((kept, _faults));
    TcpStream::connect(&*address).unwrap_err();
}
