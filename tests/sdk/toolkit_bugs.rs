//! Repeats the mistakes of the Python toolkit, by their numbers in the project's notes on the Cloud API, and shows that
//! this crate does not make them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cratedb_cloud_simulator::{ClusterOptions, Fault, Options};
use cratedb_test::ManagedCluster;
use cratedb_test::cloud::model::NewImportJob;
use serde_json::json;

use crate::child::Child;
use crate::script::{Asked, Say, Server};
use crate::support::{Bench, KEY, SECRET, answers, says};

const REGION: &str = "eks1.eu-west-1.aws";

/// Starts a server with one running cluster `ci` whose SQL nothing answers. `more` answers other paths.
fn cluster_server(more: impl Fn(&Asked) -> Option<Say> + Send + 'static) -> Server {
    Server::new(move |asked| {
        if let Some(say) = more(asked) {
            return say;
        }
        let cluster = json!({ "id": "c1", "name": "ci", "url": "http://127.0.0.1:1", "suspended": true });
        match (asked.method.as_str(), asked.path.split('?').next().unwrap()) {
            ("GET", "/api/v2/clusters/") => Say::ok(json!([cluster])),
            ("GET", path) if path.ends_with("/operations/") => Say::ok(json!({ "operations": [] })),
            _ => Say::ok(cluster),
        }
    })
}

fn of(server: &Server, time: Duration) -> ManagedCluster {
    let builder = ManagedCluster::builder().env(false).endpoint(&server.url).api_key(KEY, SECRET);
    builder.cluster_name("ci").start_timeout(time).build().unwrap()
}

#[tokio::test]
async fn bug_01_a_missing_cluster_is_deployed_by_start() {
    let bench = Bench::new(Options::default()).await;
    let cluster = bench.builder().cluster_name("fresh").region(REGION).build().unwrap();
    assert_eq!(cluster.start().await.unwrap().name, "fresh");
    answers(&cluster).await;
}

#[tokio::test]
async fn bug_02_deploy_itself_brings_a_cluster_that_answers() {
    let bench = Bench::new(Options::default()).await;
    let cluster = bench.builder().cluster_name("fresh").region(REGION).build().unwrap();
    assert!(!cluster.deploy().await.unwrap().id.is_empty());
    answers(&cluster).await;
    assert_eq!(bench.writes().len(), 1);
}

#[tokio::test]
async fn bug_03_information_is_never_stale() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let cluster = bench.ci();
    assert!(cluster.info().await.unwrap().suspended);
    assert!(!cluster.start().await.unwrap().suspended);
    assert!(!cluster.info().await.unwrap().suspended);
    assert!(cluster.stop().await.unwrap().suspended);
    assert!(cluster.info().await.unwrap().suspended);
}

#[tokio::test]
async fn bug_04_a_failed_or_a_missing_operation_is_no_success() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().fail_next_operation("ci", "A snapshot runs.");
    says(bench.ci().stop().await.unwrap_err(), &["failed: A snapshot runs."]);
    // Accepted, and never listed.
    let server = cluster_server(|_| None);
    let error = of(&server, Duration::from_millis(600)).start().await.unwrap_err();
    assert!(error.is_timeout());
    says(error, &["its operation is not listed yet"]);
    assert!(server.count("GET", "/operations/") > 1);
}

#[tokio::test]
async fn bug_05_waiting_ends_and_does_not_sleep_ten_seconds() {
    let options = Options::default().operation_time(Duration::from_millis(100));
    let bench = Bench::new(options.cluster(ClusterOptions::suspended("ci"))).await;
    let begun = Instant::now();
    bench.ci().start().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(9));
    let bench = Bench::new(Options::default().explicit().cluster(ClusterOptions::suspended("ci"))).await;
    let quick = bench.builder().cluster_name("ci").start_timeout(Duration::from_millis(300)).build().unwrap();
    assert!(quick.start().await.unwrap_err().is_timeout());
}

#[test]
fn bug_06_a_key_of_the_environment_is_used_with_another_endpoint() {
    let server = Server::new(|_| Say::ok(json!({ "email": "ada@example.org" })));
    let dir = tempfile::tempdir().unwrap();
    let child = Child::new("me", dir.path()).env("CRATEDB_CLOUD_ENDPOINT", &server.url);
    let said = child.env("CRATEDB_CLOUD_API_KEY", KEY).env("CRATEDB_CLOUD_API_SECRET", SECRET).said();
    assert_eq!(said["me"], "ada@example.org");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn bug_07_no_key_is_written_anywhere_whatever_cookie_is_set() {
    let server = Server::new(|_| Say::ok(json!({})).with("set-cookie", "session=a-token-for-a-key"));
    let dir = tempfile::tempdir().unwrap();
    let temporary = dir.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    Child::new("me", dir.path())
        .env("TMPDIR", temporary.to_str().unwrap())
        .env("CRATEDB_CLOUD_ENDPOINT", &server.url)
        .env("CRATEDB_CLOUD_API_KEY", KEY)
        .env("CRATEDB_CLOUD_API_SECRET", SECRET)
        .said();
    assert_eq!(server.asked().len(), 1);
    assert!(files_below(dir.path()).is_empty(), "{:?}", files_below(dir.path()));
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn bug_08_a_token_is_renewed_before_it_ends_not_after() {
    let options = Options { token_lifetime: Duration::from_secs(20), ..Options::default() };
    let bench = Bench::new(options.cluster(ClusterOptions::running("ci"))).await;
    let cluster = bench.ci();
    let first = cluster.jwt().await.unwrap();
    let began = std::time::Instant::now();
    while cluster.jwt().await.unwrap().token() == first.token() {
        assert!(began.elapsed() < Duration::from_secs(18), "not renewed before it ends");
    }
}

#[tokio::test]
async fn bug_09_a_token_belongs_to_an_endpoint_and_a_user_and_is_on_no_disk() {
    let server = || {
        Server::new(|asked| match asked.path.as_str() {
            path if path.ends_with("/jwt/") => {
                let who = asked.header("authorization").unwrap();
                let token = format!("token-of-{who}").replace(' ', "-");
                Say::ok(json!({ "token": token, "expiry": "2999-01-01T00:00:00Z" }))
            }
            _ => Say::ok(json!({ "id": "c1", "name": "ci", "url": "http://127.0.0.1:1" })),
        })
    };
    let (here, there) = (server(), server());
    let cluster = |server: &Server, key: &str| {
        let builder = ManagedCluster::builder().env(false).endpoint(&server.url).api_key(key, SECRET);
        builder.cluster_id("c1").build().unwrap()
    };
    let ada = cluster(&here, "ada").jwt().await.unwrap();
    let bob = cluster(&here, "bob").jwt().await.unwrap();
    assert_ne!(ada.token(), bob.token());
    assert_eq!(cluster(&here, "ada").jwt().await.unwrap(), ada);
    cluster(&there, "ada").jwt().await.unwrap();
    assert_eq!((here.count("GET", "/jwt/"), there.count("GET", "/jwt/")), (2, 1));
}

#[tokio::test]
async fn bug_10_more_or_less_in_a_tokens_answer_does_no_harm() {
    for (answer, good) in [
        (json!({ "token": "t", "refresh": "r", "expiry": "2999-01-01T00:00:00Z", "new": [1] }), true),
        (json!({ "token": "t" }), true),
        (json!({ "token": "t", "refresh": null, "expiry": "" }), true),
        (json!({ "refresh": "r" }), false),
    ] {
        let server = cluster_server(move |asked| asked.path.ends_with("/jwt/").then(|| Say::ok(&answer)));
        let jwt = of(&server, Duration::from_secs(5)).jwt().await;
        match good {
            true => assert_eq!(jwt.unwrap().token(), "t"),
            false => says(jwt.unwrap_err(), &["/jwt/ without a token"]),
        }
    }
}

#[tokio::test]
async fn bug_11_health_of_a_cluster_that_does_not_answer_is_told_and_no_error() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().fault(Fault::on("POST", "/_sql").status(500).always());
    let health = bench.ci().health().await.unwrap();
    assert!(health.problem.is_some() && health.cloud.is_some() && !health.is_good());
}

#[tokio::test]
async fn bug_12_a_second_import_in_one_process_works() {
    let server = Server::new(|_| Say::text("200 OK", "id,name\n1,Lyon\n"));
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let cluster = bench.ci();
    for table in ["one", "two"] {
        let job = NewImportJob::from_url(format!("{}/towns.csv", server.url), "csv", table).create_table(true);
        assert_eq!(cluster.import(&job).await.unwrap().destination.table, table);
    }
}

#[tokio::test]
async fn bug_13_no_project_is_made_because_a_listing_failed() {
    let bench = Bench::new(Options::default()).await;
    bench.cloud().fault(Fault::on("GET", "/projects/").status(403).always());
    let cluster = bench.builder().cluster_name("fresh").region(REGION).build().unwrap();
    assert_eq!(cluster.start().await.unwrap_err().status(), Some(403));
    assert!(bench.writes().is_empty());

    // A project without `backup_location` is no reason to fail either.
    let server = Server::new(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/api/v2/organizations/") => Say::ok(json!([{ "id": "o1" }])),
        ("GET", path) if path.ends_with("/projects/") => Say::ok(json!([{ "id": "p1", "name": "ci" }])),
        ("GET", path) if path.ends_with("/subscriptions/") => Say::ok(json!([{ "id": "s1" }])),
        ("GET", path) if path.contains("versions") => {
            Say::ok(json!({ "crate_versions": { "stable": { "version": "6.4.3" } } }))
        }
        ("GET", "/api/v2/clusters/") => Say::ok("[]"),
        _ => Say::json("400 Bad Request", json!({ "message": "Enough seen." })),
    });
    let builder = ManagedCluster::builder().env(false).endpoint(&server.url).api_key(KEY, SECRET).product("cr1");
    says(builder.cluster_name("ci").build().unwrap().start().await.unwrap_err(), &["Enough seen."]);
    let sent = server.asked().pop().unwrap();
    assert!(sent.method == "POST" && sent.path == "/api/v2/organizations/o1/clusters/", "{sent:?}");
    assert!(sent.body.contains(r#""project_id":"p1""#) && sent.body.contains(r#""subscription_id":"s1""#), "{sent:?}");
}

#[tokio::test]
async fn bug_14_region_organization_and_size_of_a_deployment_can_be_chosen() {
    let bench = Bench::new(Options::default().organization("Team A").organization("Team B")).await;
    let client = bench.client();
    let teams = client.organizations().await.unwrap();
    let team = &teams.iter().find(|team| team.name == "Team B").unwrap().id;
    let builder = bench.builder().cluster_name("fresh").organization_id(team).region(REGION).nodes(3);
    let made = builder.build().unwrap().start().await.unwrap();
    assert_eq!((made.num_nodes, made.product_unit), (3, 2));
    let project = client.project(&made.project_id).await.unwrap();
    assert_eq!((&project.organization_id, project.region.as_str()), (team, REGION));
    let paid_by = client.subscription(&made.subscription_id).await.unwrap();
    assert_eq!(&paid_by.organization_id, team);
}

#[tokio::test]
async fn bug_15_a_redirection_is_an_error_and_not_the_end_of_the_process() {
    let server = Server::new(|_| Say::text("302 Found", "").with("location", "/?rd=/api/v2/clusters/"));
    let error = of(&server, Duration::from_secs(5)).start().await.unwrap_err();
    assert_eq!(error.status(), Some(302));
    says(error, &["302 Found", "CRATEDB_CLOUD_ENDPOINT"]);
}

#[tokio::test]
async fn bug_16_clusters_of_several_accounts_are_used_at_once() {
    let benches = [Bench::with(ClusterOptions::running("ci")).await, Bench::with(ClusterOptions::running("ci")).await];
    let mut tasks = Vec::new();
    for round in 0..20 {
        let cluster = benches[round % 2].ci();
        let expected = benches[round % 2].cloud().cluster("ci").id;
        tasks.push(tokio::spawn(async move {
            assert_eq!(cluster.info().await.unwrap().id, expected);
            answers(&cluster).await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(benches.iter().all(|bench| bench.asked("/jwt/") == 1));
}

#[tokio::test]
async fn bug_17_a_cluster_can_be_deleted_and_a_failed_deployment_has_a_reason() {
    let bench = Bench::new(Options::default()).await;
    bench.cloud().fail_next_operation("fresh", "No capacity left.");
    let cluster = bench.builder().cluster_name("fresh").region(REGION).build().unwrap();
    says(cluster.deploy().await.unwrap_err(), &["No capacity left."]);
    cluster.delete().await.unwrap();
    assert!(bench.cloud().clusters().is_empty());
}

#[test]
fn bug_18_nothing_is_printed_that_the_program_did_not_print() {
    let server = Server::new(|_| Say::ok(json!({ "email": "ada@example.org" })));
    let dir = tempfile::tempdir().unwrap();
    let child = Child::new("me", dir.path()).env("CRATEDB_CLOUD_ENDPOINT", &server.url);
    let child = child.env("CRATEDB_CLOUD_API_KEY", KEY).env("CRATEDB_CLOUD_API_SECRET", SECRET);
    let strange: Vec<String> = child.lines().into_iter().filter(|line| !is_of_the_test_program(line)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

fn is_of_the_test_program(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("@ ")
        || line == "ok"
        || line.starts_with("running ")
        || line.starts_with("test ")
}
