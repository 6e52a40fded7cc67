//! Answers that say too little to end a debt: of proxies, about other clusters, and single ones that contradict others.

use std::sync::atomic::AtomicUsize;

use cratedb_cloud_simulator::Fault;

use super::super::{CloudProvider, Told};
use super::*;
use crate::cloud::lifecycle::{StopRequest, Stopped};

const PAGE: &str = "<html><body>404 Not Found: nginx</body></html>";
const ABSENT: &str = r#"{"success": false, "message": "Resource not found."}"#;
const OTHER: &str = r#"{"id": "e1e38d92-0000-4000-8000-00000000ffff", "name": "other", "suspended": true}"#;

/// Starts a simulator with a cluster that was resumed, and returns the record of it.
async fn resumed() -> (Bench, Held) {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let held = bench.acquire().await.unwrap().held;
    (bench, held)
}

/// Makes a fault for reads of the cluster, but not of the list.
fn on_look(bench: &Bench) -> Fault {
    Fault::on("GET", &format!("/clusters/{}/", bench.cloud().cluster("ci").id))
}

/// Suspends or deletes the cluster, by the deadline of the bench.
async fn stop(bench: &Bench, delete: bool) -> Result<Stopped> {
    let cloud = CloudProvider::new(bench.target.clone()).unwrap();
    let request = StopRequest {
        id: bench.cloud().cluster("ci").id,
        named: "cluster `ci`".to_owned(),
        delete,
        known: None,
        at_once: true,
        once: None,
        deadline: Instant::now() + bench.deadline,
        hooks: &Told(bench.progress.clone()),
        writes: AtomicUsize::new(0),
    };
    cloud.lifecycle.suspend_or_delete(&request).await
}

#[tokio::test]
async fn no_single_answer_to_the_suspension_ends_the_debt() {
    for (status, body) in [(404, ABSENT), (404, PAGE), (410, ABSENT), (403, PAGE), (400, ""), (200, PAGE), (200, OTHER)]
    {
        let (bench, held) = resumed().await;
        bench.cloud().fault(Fault::on("PUT", "/suspend/").answer(status, body));
        assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended, "{status} {body}");
        assert!(!bench.cloud().cluster("ci").running && bench.suspends() == 2, "{status} {body}");
    }
}

#[tokio::test]
async fn no_single_look_ends_the_debt() {
    for (status, body) in [(404, ABSENT), (404, PAGE), (410, ABSENT), (200, PAGE), (200, OTHER), (200, "{}")] {
        let (bench, held) = resumed().await;
        bench.cloud().fault(Fault::on("PUT", "/suspend/").drop_connection());
        bench.cloud().fault(on_look(&bench).answer(status, body).times(2));
        assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended, "{status} {body}");
        assert!(!bench.cloud().cluster("ci").running, "{status} {body}");
    }
}

#[tokio::test]
async fn a_suspension_that_is_always_answered_with_404_stays_owed() {
    for body in [ABSENT, PAGE] {
        let (bench, held) = resumed().await;
        bench.cloud().fault(Fault::on("PUT", "/suspend/").answer(404, body).always());
        let error = bench.release(&held, OnExit::Auto).await.unwrap_err();
        says(error, &["refused PUT /api/v2/clusters/", "404 Not Found"]);
        bench.cloud().clear_faults();
        assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended);
    }
}

#[tokio::test]
async fn a_cluster_that_is_listed_is_not_gone_whatever_is_said_of_it() {
    let (mut bench, held) = resumed().await;
    bench.deadline = Duration::from_millis(600);
    bench.cloud().fault(Fault::on("PUT", "/suspend/").answer(404, ABSENT).always());
    bench.cloud().fault(on_look(&bench).answer(404, ABSENT).always());
    for error in [bench.recover(&held).await.unwrap_err(), stop(&bench, false).await.unwrap_err()] {
        says(
            error,
            &["gave up waiting for", "CrateDB Cloud contradicts itself about cluster", "its list has the cluster"],
        );
    }
    bench.cloud().clear_faults();
    assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended);
}

#[tokio::test]
async fn a_cluster_that_is_gone_is_owed_until_the_list_says_so_too() {
    let (mut bench, held) = resumed().await;
    bench.deadline = Duration::from_millis(600);
    bench.client().delete_cluster(&bench.cloud().cluster("ci").id).await.unwrap();
    for (status, body) in [(404, ABSENT), (500, ""), (200, PAGE), (200, r#"[{"name": "without an id"}]"#)] {
        // The first one is the look, then comes the list.
        bench.cloud().fault(Fault::on("GET", "/api/v2/clusters/").answer(status, body).after(1).always());
        let found = bench.recover(&held).await;
        assert!(found.is_err(), "{status} {body}: {found:?}");
        bench.cloud().clear_faults();
    }
    assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Deleted);
}

#[tokio::test]
async fn what_a_killed_keeper_left_is_found_in_spite_of_a_wrong_answer() {
    for (status, body) in [(404, ABSENT), (404, PAGE), (200, OTHER)] {
        let (bench, held) = resumed().await;
        bench.cloud().fault(on_look(&bench).answer(status, body));
        let resource = bench.recover(&held).await.unwrap();
        assert_eq!(resource.map(|resource| resource.ours), Some(Ours::Resumed), "{status} {body}");
    }
}

#[tokio::test]
async fn a_resumption_with_a_strange_answer_is_owed() {
    for (status, body) in [(200, PAGE), (200, OTHER), (403, PAGE), (404, PAGE)] {
        let bench = Bench::with(ClusterOptions::suspended("ci")).await;
        bench.cloud().fault(Fault::on("PUT", "/suspend/").answer(status, body).always());
        let (error, maybe_up) = bench.failure().await;
        assert!(maybe_up && bench.resumes() == 3, "{status} {body}: {error}");
        says(error, &["the cluster may be running"]);
    }
    // What the service itself refuses is not.
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("PUT", "/suspend/").status(403).always());
    let (error, maybe_up) = bench.failure().await;
    assert!(!maybe_up && bench.resumes() == 1, "{error}");
}

#[tokio::test]
async fn a_deletion_is_believed_when_the_cluster_is_gone() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let intent = intent_of_a_killed_keeper(&bench, "ci", Ours::Deployed).await;
    for (status, body) in [(404, ABSENT), (404, PAGE)] {
        bench.cloud().fault(Fault::on("DELETE", "/clusters/").answer(status, body));
    }
    assert_eq!(bench.release(&intent, OnExit::Delete).await.unwrap(), Released::Deleted);
    assert!(bench.cloud().clusters().is_empty());

    // A proxy says "done", and nothing was.
    let mut bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.deadline = Duration::from_millis(600);
    bench.cloud().fault(Fault::on("DELETE", "/clusters/").answer(200, PAGE).always());
    let error = stop(&bench, true).await.unwrap_err();
    says(error, &["gave up waiting for deleting cluster `ci` after", "the cluster is still there"]);
}
