//! Clusters of several nodes, of which nothing is left whatever happens to one of the nodes.

use super::*;
use crate::host::process::Identity;
use crate::provider::{NodeLoss, NodeWatch};

fn three(mut bench: Bench) -> Bench {
    bench.process.nodes = 3;
    bench
}

async fn names(resource: &Resource) -> Vec<String> {
    let client = SqlClient::new(&resource.http_url, None, Wallet::new(resource.credentials.clone())).unwrap();
    let rows = client.rows::<(String,)>("SELECT name FROM sys.nodes ORDER BY name").await.unwrap();
    rows.into_iter().map(|(name,)| name).collect()
}

#[tokio::test]
async fn three_nodes_are_one_cluster_and_are_removed_together() {
    let mut bench = three(Bench::with_stand_in());
    let resource = bench.acquire().await.unwrap();
    assert_eq!(names(&resource).await, ["node-1", "node-2", "node-3"]);
    let dir = bench.dir();
    assert_eq!(alive(&dir).len(), 3);
    let held = bench.intent(1);
    assert_eq!((held["others"].as_array().unwrap().len(), &json(&resource.held)), (2, &held));
    assert!(bench.intent(0)["server"].is_null(), "the directory is named before there is a process");
    assert_eq!(bench.release(&resource.held, OnExit::Auto).await, Released::Removed);
    is_gone(&dir);
    // It is chance whether the provider waited for them: they may have joined before its first look.
    says(bench.steps(), &["starting 3 nodes of CrateDB from ", "waiting for process "]);
}

/// Kills processes, and returns the losses up to the one after which no node is left.
async fn losses(watch: &mut NodeWatch, killed: &[Identity]) -> Vec<NodeLoss> {
    let mut losses = Vec::new();
    for process in killed {
        let pid = rustix::process::Pid::from_raw(i32::try_from(process.pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let told = tokio::time::timeout(Duration::from_secs(30), watch.next()).await;
        losses.push(told.expect("it is told").expect("it is watched"));
    }
    losses
}

#[tokio::test]
async fn nodes_that_end_while_the_cluster_is_used_are_told() {
    for count in [1, 3] {
        let mut bench = Bench::with_stand_in();
        bench.process.nodes = count;
        let mut resource = bench.acquire().await.unwrap();
        let mut watch = resource.nodes.take().unwrap();
        // The first one last, since the others may not live without it.
        let killed: Vec<Identity> = processes(&resource.held).servers().into_iter().rev().collect();
        let losses = losses(&mut watch, &killed).await;
        let all: Vec<bool> = losses.iter().map(|loss| loss.all).collect();
        assert_eq!(all, (1..=count).map(|number| number == count).collect::<Vec<_>>());
        says(&losses[0].what, &[if count == 1 { "the server ended (signal: 9" } else { "node-3 ended (signal: 9" }]);
        assert_eq!(bench.release(&resource.held, OnExit::Auto).await, Released::Removed);
        is_gone(&bench.dir());
    }
}

#[tokio::test]
async fn a_killed_node_is_seen_before_its_end_is_told() {
    let bench = three(Bench::with_stand_in());
    let mut resource = bench.acquire().await.unwrap();
    let mut watch = resource.nodes.take().unwrap();
    assert!(watch.ending().is_none());
    let servers = processes(&resource.held).servers();
    let pid = |index: usize| rustix::process::Pid::from_raw(i32::try_from(servers[index].pid).unwrap()).unwrap();
    // No task of this runtime ran in between.
    rustix::process::kill_process(pid(1), rustix::process::Signal::KILL).unwrap();
    let loss = watch.ending().unwrap();
    assert_eq!((loss.what.as_str(), loss.all), ("node-2 ended, or was killed", false));
    says(&watch.next().await.unwrap().what, &["node-2 ended (signal: 9"]);
    for index in [0, 2] {
        rustix::process::kill_process(pid(index), rustix::process::Signal::KILL).unwrap();
    }
    let loss = watch.ending().unwrap();
    assert_eq!((loss.what.as_str(), loss.all), ("node-1 and node-2 and node-3 ended, or was killed", true));
    bench.release(&resource.held, OnExit::Auto).await;
    is_gone(&bench.dir());
}

#[tokio::test]
async fn nodes_of_a_killed_keeper_are_removed_whatever_the_journal_knows_of_them() {
    for known in [0, 1] {
        let bench = three(Bench::with_stand_in());
        bench.acquire().await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        remove(&processes(&bench.intent(known)), deadline, &bench.progress).await.unwrap();
        is_gone(&bench.dir());
    }
}

#[tokio::test]
async fn a_kept_cluster_names_all_its_processes() {
    let mut bench = three(Bench::with_stand_in());
    bench.process.outlives = true;
    let resource = bench.acquire().await.unwrap();
    let Released::Left(line) = bench.release(&resource.held, OnExit::Keep).await else { panic!() };
    let held = json(&resource.held);
    for server in [&held["server"], &held["others"][0], &held["others"][1]] {
        says(&line, &[&server["pid"].to_string()]);
    }
    bench.release(&resource.held, OnExit::Auto).await;
    is_gone(&bench.dir());
}

/// Makes a stand-in whose node `node` does something else.
fn with_odd_node(node: &str, does: &str) -> Bench {
    let text = format!(
        "for word in \"$@\"; do [ \"$word\" = -Cnode.name={node} ] && {{ {does}; }}; done\n\
         exec \"$(dirname \"$0\")/../lib/simulator\" crate \"$@\""
    );
    let bench = Bench::with_script(&text);
    executable::copy(&standin::binary(), &bench.files.path().join("home/lib/simulator"));
    three(bench)
}

#[tokio::test]
async fn a_node_that_ends_at_start_is_an_error_with_its_own_log_and_takes_the_others_along() {
    for node in ["node-1", "node-3"] {
        let bench = with_odd_node(node, "echo no disk for me; exit 3");
        says(bench.fails().await, &[&format!("{node} ended (exit status: 3)"), "| no disk for me"]);
    }
}

#[tokio::test]
async fn a_node_that_never_joins_is_given_up_with_the_number_that_did() {
    let bench = with_odd_node("node-2", "echo thinking; sleep 1000");
    let failed = bench.acquire_within(Duration::from_secs(5)).await.err().unwrap();
    assert!(failed.error.is_timeout() && !failed.maybe_up, "{}", failed.error);
    says(&failed.error, &["gave up waiting for 3 nodes", "2 of 3 nodes are in the cluster", "| thinking"]);
    is_gone(&bench.dir());
}
