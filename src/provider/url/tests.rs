//! A server of somebody else: there or not, and what is said if not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};

use super::*;
use crate::provider::{Intents, Provider};
use crate::target::{OnExit, Target};

/// A simulated cluster is as good a server as any.
async fn server(options: &[(&str, &str)]) -> (Simulator, String) {
    let cluster = options
        .iter()
        .fold(ClusterOptions::running("any"), |cluster, (option, value)| cluster.with(option, value).unwrap());
    let simulator = Simulator::start(Options::default().cluster(cluster)).await.unwrap();
    let url = simulator.cloud().cluster("any").url;
    (simulator, url)
}

async fn acquire(url: &str, user: Option<(&str, &str)>) -> Acquired {
    let target = UrlTarget {
        url: url.to_owned(),
        username: user.map(|(name, _)| name.to_owned()),
        password: user.map(|(_, password)| Secret::new(password)),
    };
    let provider = Provider::chain(&Target::Url(target)).unwrap();
    let progress = Progress::new(tokio::sync::mpsc::unbounded_channel().0);
    let intents = Intents::new(Arc::new(|_| panic!("nothing is made or woken")));
    let acquired = provider.acquire(Instant::now() + Duration::from_secs(10), &progress, &intents).await;
    if let Ok(resource) = &acquired {
        for on_exit in [OnExit::Auto, OnExit::Suspend, OnExit::Delete] {
            let released = provider.release(&resource.held, on_exit, &progress).await.unwrap();
            assert_eq!(released, Released::Left(format!("{url} is left as it was found")));
        }
        assert!(provider.recover(&resource.held, Instant::now(), &progress).await.unwrap().is_none());
        assert_eq!(provider.credentials(resource).await.unwrap(), resource.credentials);
    }
    acquired
}

async fn failure(url: &str, user: Option<(&str, &str)>) -> String {
    let failed = acquire(url, user).await.expect_err("this must fail");
    assert!(!failed.maybe_up);
    let text = failed.error.to_string();
    assert!(text.contains(url) && text.contains("CRATEDB_CLUSTER_URL"), "{text}");
    assert!(!user.is_some_and(|(_, password)| text.contains(password)), "{text}");
    text
}

#[tokio::test]
async fn a_server_that_answers_is_used_and_left_alone() {
    let (_simulator, url) = server(&[("auth", "off"), ("version", "5.10.16")]).await;
    let resource = acquire(&url, None).await.unwrap();
    assert_eq!((resource.http_url, resource.version.to_string()), (url, "5.10.16".to_owned()));
    assert_eq!((resource.ours, resource.credentials), (Ours::No, Credentials::None));
}

#[tokio::test]
async fn a_user_of_the_settings_is_used() {
    let (_simulator, url) = server(&[("username", "ada"), ("password", "hunter2")]).await;
    let resource = acquire(&url, Some(("ada", "hunter2"))).await.unwrap();
    assert_eq!(resource.credentials, Credentials::Basic { username: "ada".into(), password: Secret::new("hunter2") });
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    let (_simulator, url) = server(&[("username", "ada")]).await;
    let text = failure(&url, Some(("ada", "hunter2"))).await;
    assert!(text.contains("CRATEDB_PASSWORD"), "{text}");
}

#[tokio::test]
async fn nobody_listening_is_told_at_once() {
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let begun = Instant::now();
    let text = failure(&url, None).await;
    assert!(text.contains("no connection to") && text.contains("refused"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(2), "it is not waited for");
}

#[tokio::test]
async fn a_server_that_says_that_it_starts_is_waited_for() {
    let (simulator, url) = server(&[("auth", "off")]).await;
    simulator.cloud().sql_not_ready_requests("any", 4);
    acquire(&url, None).await.unwrap();
}

#[tokio::test]
async fn what_is_no_cratedb_is_told() {
    let (simulator, _) = server(&[]).await;
    let text = failure(simulator.url(), None).await;
    assert!(text.contains("GET /"), "{text}");
}

#[test]
fn a_postgresql_address_has_the_servers_host_and_quoted_credentials() {
    let pg = pg_url("https://db.example.org:4200", 5432, Some("ada"), Some(&Secret::new("a/b@c"))).unwrap();
    assert_eq!(pg.expose(), "postgres://ada:a%2Fb%40c@db.example.org:5432?sslmode=require");
    let pg = pg_url("http://[::1]:4200", 5433, None, None).unwrap();
    assert_eq!(pg.expose(), "postgres://crate@[::1]:5433");
}
