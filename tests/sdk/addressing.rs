//! Selects a cluster by URL, id and name, from code, the environment and `.env`.

use cratedb_cloud_simulator::{ClusterOptions, Options};
use cratedb_test::ManagedCluster;
use cratedb_test::cloud::ManagedClusterBuilder;

use crate::child::Child;
use crate::support::{Bench, KEY, SECRET, answers, says};

fn builder() -> ManagedClusterBuilder {
    ManagedCluster::builder().env(false).api_key(KEY, SECRET)
}

#[test]
fn two_addresses_in_code_are_an_error_that_names_both() {
    for (builder, parts) in [
        (builder().cluster_id("e1e3").cluster_name("ci"), ["cluster_id", "cluster_name"]),
        (builder().cluster_url("http://127.0.0.1:4200").cluster_name("ci"), ["cluster_url", "cluster_name"]),
        (builder().cluster_url("http://127.0.0.1:4200").cluster_id("e1e3"), ["cluster_url", "cluster_id"]),
    ] {
        let error = builder.build().unwrap_err();
        assert!(error.is_setting());
        says(error, &[parts[0], parts[1], "both given in code"]);
    }
}

#[test]
fn an_empty_text_counts_as_not_given() {
    let cluster = builder().cluster_url("").cluster_id("  ").cluster_name("ci").build().unwrap();
    assert_eq!(cluster.address(), "cluster `ci`");
    let error = builder().cluster_name("").build().unwrap_err();
    assert!(error.is_setting());
    says(error, &["cannot tell which cluster is meant", "cluster_name"]);
}

#[test]
fn in_the_environment_url_beats_id_beats_name_and_the_ignored_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let child = || {
        Child::new("address", dir.path())
            .env("CRATEDB_CLOUD_API_KEY", KEY)
            .env("CRATEDB_CLOUD_API_SECRET", SECRET)
            .env("CRATEDB_CLUSTER_ID", "e1e3")
            .env("CRATEDB_CLUSTER_NAME", "ci")
    };
    let said = child().said();
    assert_eq!(said["address"], "cluster e1e3");
    assert_eq!(said["notes"], "CRATEDB_CLUSTER_NAME is ignored: CRATEDB_CLUSTER_ID is set too (environment)");
    let said = child().env("CRATEDB_CLUSTER_URL", "https://ada:geheim@ci.example:4200/").said();
    assert_eq!(said["address"], "cluster at https://ci.example:4200");
    says(&said["notes"], &["CRATEDB_CLUSTER_ID is ignored", "CRATEDB_CLUSTER_NAME is ignored"]);
    let said = child().env("CRATEDB_CLUSTER_ID", "").said();
    assert_eq!((said["address"].as_str(), said["notes"].as_str()), ("cluster `ci`", ""));
}

#[test]
fn code_beats_the_environment_beats_the_file_of_the_working_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = format!(
        "CRATEDB_CLUSTER_ID=of-the-file\nCRATEDB_CLOUD_API_KEY={KEY}\nCRATEDB_CLOUD_API_SECRET={SECRET}\n\
         CRATEDB_CLOUD_ENDPOINT=http://127.0.0.1:1\n"
    );
    std::fs::write(dir.path().join(".env"), file).unwrap();
    let said = Child::new("address", dir.path()).said();
    assert_eq!((said["address"].as_str(), said["endpoint"].as_str()), ("cluster of-the-file", "http://127.0.0.1:1"));
    let said = Child::new("address", dir.path()).env("CRATEDB_CLUSTER_NAME", "of-the-environment").said();
    assert_eq!(said["address"], "cluster `of-the-environment`");
    let said = Child::new("name in code", dir.path()).env("CRATEDB_CLUSTER_ID", "of-the-environment").said();
    assert_eq!((said["address"].as_str(), said["notes"].as_str()), ("cluster `code`", ""));
    // Without the environment there are no credentials either.
    let said = Child::new("nothing but code", dir.path()).said();
    says(&said["error"], &["cluster `code`", "CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are not set"]);
}

#[test]
fn nothing_given_names_the_three_variables() {
    let dir = tempfile::tempdir().unwrap();
    let said = Child::new("address", dir.path()).said();
    says(&said["error"], &["CRATEDB_CLUSTER_URL, CRATEDB_CLUSTER_ID and CRATEDB_CLUSTER_NAME"]);
}

#[tokio::test]
async fn two_clusters_of_one_name_are_an_error_that_lists_their_ids() {
    let options = Options::default().cluster(ClusterOptions::running("ci")).cluster(ClusterOptions::running("ci"));
    let bench = Bench::new(options).await;
    let error = bench.ci().start().await.unwrap_err();
    assert!(error.is_setting(), "{error}");
    let ids: Vec<String> = bench.cloud().clusters().into_iter().map(|cluster| cluster.id).collect();
    says(&error, &[&ids[0], &ids[1], "CRATEDB_CLUSTER_ID"]);
    let one = bench.builder().cluster_id(&ids[1]).build().unwrap();
    assert_eq!(one.info().await.unwrap().id, ids[1]);
}

#[tokio::test]
async fn a_url_is_found_among_the_clusters_of_the_account() {
    let options = Options::default().cluster(ClusterOptions::running("a")).cluster(ClusterOptions::running("ci"));
    let bench = Bench::new(options).await;
    let there = bench.cloud().cluster("ci");
    let cluster = bench.builder().cluster_url(format!("{}/", there.url)).build().unwrap();
    assert_eq!(cluster.info().await.unwrap().id, there.id);
    answers(&cluster).await;
    assert!(bench.asked("/jwt/") > 0);
    cluster.stop().await.unwrap();
    assert!(bench.cloud().cluster("ci").suspended && bench.cloud().cluster("a").running);
    cluster.start().await.unwrap();
    answers(&cluster).await;
}

#[tokio::test]
async fn a_url_that_is_not_of_the_account_takes_sql_only() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let elsewhere = Bench::with(ClusterOptions::running("other")).await;
    let other = elsewhere.cloud().cluster("other");
    let cluster = bench.builder().cluster_url(&other.url).username(&other.username).password(&other.password);
    let cluster = cluster.build().unwrap();
    answers(&cluster).await;
    assert_eq!((bench.asked("/jwt/"), elsewhere.asked("/jwt/")), (0, 0));
    let error = cluster.stop().await.unwrap_err();
    assert!(error.is_not_found());
    says(error, &["no cluster of CrateDB Cloud is at http://127.0.0.1:", "`ci` ("]);
}

#[tokio::test]
async fn a_url_without_cloud_credentials_takes_sql_with_user_and_password() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let there = bench.cloud().cluster("ci");
    let dir = tempfile::tempdir().unwrap();
    let child = || Child::new("select", dir.path()).env("CRATEDB_CLUSTER_URL", &there.url);
    let said = child().env("CRATEDB_USERNAME", &there.username).env("CRATEDB_PASSWORD", &there.password).said();
    assert_eq!(said["user"], there.username);
    let said = child().env("CRATEDB_USERNAME", &there.username).env("CRATEDB_PASSWORD", "wrong").said();
    says(&said["error"], &["CRATEDB_USERNAME and CRATEDB_PASSWORD"]);

    let cluster = ManagedCluster::builder().env(false).cluster_url(&there.url).build().unwrap();
    let error = cluster.stop().await.unwrap_err();
    assert!(error.is_not_allowed());
    says(error, &["CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are not set", "cargo cratedb login"]);
    let health = cluster.health().await.unwrap();
    assert!(health.cloud.is_none() && health.sql.is_none() && health.problem.is_some());
}

#[tokio::test]
async fn user_and_password_may_stand_in_the_url_or_beside_it() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let there = bench.cloud().cluster("ci");
    let (host, dir) = (there.url.strip_prefix("http://").unwrap(), tempfile::tempdir().unwrap());
    let child = |credentials: &str| {
        Child::new("select", dir.path()).env("CRATEDB_CLUSTER_URL", &format!("http://{credentials}@{host}"))
    };
    let said = child(&there.username).env("CRATEDB_PASSWORD", &there.password).said();
    assert_eq!(said["user"], there.username);
    let said = child(&format!(":{}", there.password)).env("CRATEDB_USERNAME", &there.username).said();
    assert_eq!(said["user"], there.username);
    // The hint tells what was sent, and not what to set that is set.
    let other = child(&there.username).env("CRATEDB_USERNAME", "grace").env("CRATEDB_PASSWORD", &there.password).said();
    says(&other["error"], &["no password was sent", "CRATEDB_CLUSTER_URL in the environment, without a password"]);
    let said = child(":wrong").said();
    says(&said["error"], &["401", "asked as user `crate`", "CRATEDB_USERNAME names another user"]);
}

#[test]
fn an_address_that_cannot_be_right_is_refused_wherever_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    for (address, help) in [
        ("http://admin:hunter2/x@host", "%2F"),
        ("http://admin:4200#hunter2@host", "%23"),
        ("http://host:4200/_sql", "leave `/_sql` out: http://host:4200"),
    ] {
        let error = builder().cluster_url(address).build().unwrap_err();
        assert!(error.is_setting() && !error.to_string().contains("hunter2"), "{error}");
        says(error, &["cannot read `cluster_url`", help]);
        let said = Child::new("address", dir.path()).env("CRATEDB_CLUSTER_URL", address).said();
        assert!(!said["error"].contains("hunter2"));
        says(&said["error"], &["cannot read CRATEDB_CLUSTER_URL", help]);
    }
    let error = builder().endpoint("https://admin:4/hunter2@host").cluster_name("ci").build().unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
    says(error, &["cannot read `endpoint`", "%2F"]);
}

#[test]
fn the_files_up_to_the_root_of_the_project_count_for_a_program_too() {
    let dir = tempfile::tempdir().unwrap();
    let member = dir.path().join("member");
    std::fs::create_dir_all(member.join("src")).unwrap();
    std::fs::write(dir.path().join("Cargo.toml"), "[workspace]\nmembers = [\"member\"]\n").unwrap();
    std::fs::write(member.join("Cargo.toml"), "[package]\nname = \"member\"\n").unwrap();
    std::fs::write(member.join("Cargo.lock"), "").unwrap();
    let key = format!("CRATEDB_CLOUD_API_KEY={KEY}\nCRATEDB_CLOUD_API_SECRET={SECRET}\nCRATEDB_CLUSTER_NAME=far\n");
    std::fs::write(dir.path().join(".env"), key).unwrap();
    assert_eq!(Child::new("address", &member.join("src")).said()["address"], "cluster `far`");
    std::fs::write(member.join(".env"), "CRATEDB_CLUSTER_NAME=near\n").unwrap();
    assert_eq!(Child::new("address", &member.join("src")).said()["address"], "cluster `near`");
    assert_eq!(Child::new("address", dir.path()).said()["address"], "cluster `far`");
    // What is looked for and not there is said.
    std::fs::remove_file(dir.path().join(".env")).unwrap();
    std::fs::remove_file(member.join(".env")).unwrap();
    let said = Child::new("address", &member).said();
    says(&said["error"], &["there is no .env in", &member.display().to_string()]);
}

#[cfg(unix)]
#[test]
fn a_file_that_is_there_and_unusable_is_an_error_and_a_pipe_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let env = dir.path().join(".env");
    std::fs::create_dir(&env).unwrap();
    says(&Child::new("address", dir.path()).said()["error"], &[&env.display().to_string(), "it is a directory"]);
    std::fs::remove_dir(&env).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&env).status().unwrap().success());
    let text = format!("CRATEDB_CLOUD_API_KEY={KEY}\nCRATEDB_CLOUD_API_SECRET={SECRET}\nCRATEDB_CLUSTER_NAME=piped\n");
    let served = std::thread::spawn(move || std::fs::write(&env, text).unwrap());
    assert_eq!(Child::new("address", dir.path()).said()["address"], "cluster `piped`");
    served.join().unwrap();
}
