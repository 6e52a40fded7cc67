//! Clusters that do not exist: deployed, or an error that lists the choices.

use cratedb_cloud_simulator::Fault;

use super::*;

const REGION: &str = "eks1.eu-west-1.aws";

/// Starts a simulator without a cluster, with all settings that a deployment needs.
async fn bench() -> Bench {
    let mut bench = Bench::new(Options::default().cluster(ClusterOptions::running("other"))).await;
    bench.target.product = "crfree".to_owned();
    bench.target.region = Some(REGION.to_owned());
    bench.target.cluster = ClusterAddress::Name("fresh".to_owned());
    bench
}

fn deployment(bench: &Bench) -> Value {
    let mut deployments = bench.writes().into_iter().filter(|write| write.is_deploy());
    let deployment = deployments.next().expect("a deployment was asked for").body;
    assert!(deployments.next().is_none(), "only one is");
    deployment
}

#[tokio::test]
async fn an_absent_cluster_is_deployed_and_the_line_names_those_that_exist() {
    let bench = bench().await;
    let resource = bench.acquire().await.unwrap();
    assert_eq!(resource.ours, Ours::Deployed);
    answers(&resource).await;
    let body = deployment(&bench);
    let cluster = &body["cluster"];
    assert_eq!((&cluster["name"], &cluster["product_name"]), (&"fresh".into(), &"crfree".into()));
    assert_eq!((&cluster["product_tier"], &cluster["channel"]), (&"default".into(), &"stable".into()));
    assert_eq!((&cluster["username"], &cluster["crate_version"]), (&"admin".into(), &"6.4.3".into()));
    assert_eq!(body["subscription_id"], "free_tier");
    assert_eq!(body["project"], serde_json::json!({ "name": "fresh", "region": REGION }));
    let other = format!("`other` ({})", bench.cloud().cluster("other").id);
    says(bench.steps(), &["no cluster is named `fresh`", &other, "deploying it with CrateDB 6.4.3 as product crfree"]);
    assert_eq!(bench.cloud().cluster("fresh").password.len(), 32);
}

#[tokio::test]
async fn what_was_deployed_is_suspended_deleted_or_left() {
    for (product, on_exit, expected) in [
        ("cr1", OnExit::Auto, Some(Released::Suspended)),
        ("cr1", OnExit::Delete, Some(Released::Deleted)),
        ("crfree", OnExit::Delete, Some(Released::Deleted)),
        ("crfree", OnExit::Auto, None),
    ] {
        let mut bench = bench().await;
        bench.target.product = product.to_owned();
        let held = bench.acquire().await.unwrap().held;
        match (bench.release(&held, on_exit).await.unwrap(), expected) {
            (Released::Left(line), None) => says(line, &["cluster `fresh` (", "allow_suspend"]),
            (released, expected) => assert_eq!(Some(released), expected, "{product} {on_exit:?}"),
        }
        if on_exit == OnExit::Delete {
            assert!(bench.cloud().clusters().iter().all(|cluster| cluster.name != "fresh"));
            assert_eq!(bench.release(&held, on_exit).await.unwrap(), Released::Deleted, "again");
        }
    }
}

#[tokio::test]
async fn settings_win_over_defaults() {
    let mut bench = bench().await;
    bench.target.version = Some("5.10.16".to_owned());
    bench.target.username = Some("grace".to_owned());
    bench.target.password = Some(Secret::new("a-password-of-more-than-24-letters"));
    bench.target.product = "cr2".to_owned();
    let resource = bench.acquire().await.unwrap();
    let body = deployment(&bench);
    let cluster = &body["cluster"];
    assert_eq!((&cluster["crate_version"], &cluster["username"]), (&"5.10.16".into(), &"grace".into()));
    assert_eq!((&cluster["product_name"], resource.version.to_string()), (&"cr2".into(), "5.10.16".to_owned()));
    assert_eq!(bench.cloud().cluster("fresh").password, "a-password-of-more-than-24-letters");
    assert!(resource.pg_url.unwrap().expose().starts_with("postgres://grace:a-password-of-more-than-24-letters@"));
}

#[tokio::test]
async fn the_intents_name_the_cluster_before_and_after_it_has_an_id() {
    let bench = bench().await;
    bench.acquire().await.unwrap();
    let intents = bench.intents.lock().unwrap().clone();
    let id = bench.cloud().cluster("fresh").id;
    let read: Vec<_> =
        intents.iter().map(|one| (one["name"].clone(), one["id"].clone(), one["ours"].clone())).collect();
    assert_eq!(
        read,
        [("fresh".into(), Value::Null, "deployed".into()), ("fresh".into(), id.into(), "deployed".into()),]
    );
}

#[tokio::test]
async fn deploying_can_be_forbidden() {
    let mut bench = bench().await;
    bench.target.deploy = DeployPolicy::Never;
    let (error, maybe_up) = bench.failure().await;
    assert!(!maybe_up && bench.writes().is_empty());
    says(error, &["no cluster is named `fresh`", "`other` (", "CRATEDB_CLOUD_DEPLOY=never", "CRATEDB_CLUSTER_NAME"]);
}

#[tokio::test]
async fn several_organizations_are_listed() {
    let bench = bench().await;
    let second = bench.cloud().add_organization("Team B");
    let (error, maybe_up) = bench.failure().await;
    assert!(!maybe_up && bench.writes().is_empty());
    says(
        error,
        &[
            "cannot deploy cluster `fresh`, which does not exist",
            "2 organizations to choose from",
            &format!("{second} (Team B)"),
            "CRATEDB_CLOUD_ORGANIZATION_ID",
        ],
    );
}

#[tokio::test]
async fn several_subscriptions_are_listed_and_the_free_product_needs_none() {
    let mut bench = bench().await;
    let second = bench.cloud().add_subscription();
    bench.target.product = "cr1".to_owned();
    let (error, maybe_up) = bench.failure().await;
    assert!(!maybe_up && bench.writes().is_empty());
    says(error, &["subscriptions to choose from", &second, "CRATEDB_CLOUD_SUBSCRIPTION_ID"]);
    bench.target.subscription_id = Some(second.clone());
    bench.acquire().await.unwrap();
    assert_eq!(deployment(&bench)["subscription_id"], second);
}

#[tokio::test]
async fn a_new_project_needs_a_region() {
    let mut bench = bench().await;
    bench.target.region = None;
    let (error, maybe_up) = bench.failure().await;
    assert!(!maybe_up && bench.writes().is_empty());
    says(error, &["regions to choose from", REGION, "CRATEDB_CLOUD_REGION", "no project is named `fresh`"]);
}

#[tokio::test]
async fn a_project_of_the_clusters_name_is_used() {
    let bench = bench().await;
    let organization = bench.client().organizations().await.unwrap().remove(0).id;
    let there = bench.client().create_project(&organization, "fresh", Some(REGION)).await.unwrap().id;
    let held = bench.acquire().await.unwrap().held;
    let body = deployment(&bench);
    assert!(body["project_id"] == there.as_str() && body["project"].is_null(), "{body}");
    assert_eq!(bench.release(&held, OnExit::Delete).await.unwrap(), Released::Deleted);
    assert!(projects(&bench).await.contains(&"fresh".to_owned()), "it was there before");
}

/// Returns the names of all projects.
async fn projects(bench: &Bench) -> Vec<String> {
    bench.client().projects().await.unwrap().into_iter().map(|project| project.name).collect()
}

#[tokio::test]
async fn the_project_that_was_made_is_deleted_with_its_cluster_and_else_stays() {
    for (on_exit, is_left) in [(OnExit::Delete, false), (OnExit::Auto, true), (OnExit::Keep, true)] {
        let bench = bench().await;
        let held = bench.acquire().await.unwrap().held;
        assert!(bench.last_intent().unwrap()["project"]["id"].is_string(), "{held}");
        bench.release(&held, on_exit).await.unwrap();
        assert_eq!(projects(&bench).await.contains(&"fresh".to_owned()), is_left, "{on_exit:?}");
    }
}

#[tokio::test]
async fn a_project_that_others_use_by_now_is_left() {
    let mut bench = bench().await;
    let held = bench.acquire().await.unwrap().held;
    bench.target.product = "cr1".to_owned();
    bench.target.project_id = Some(bench.last_intent().unwrap()["project"]["id"].as_str().unwrap().to_owned());
    bench.target.cluster = ClusterAddress::Name("second".to_owned());
    bench.acquire().await.unwrap();
    assert_eq!(bench.release(&held, OnExit::Delete).await.unwrap(), Released::Deleted);
    assert!(projects(&bench).await.contains(&"fresh".to_owned()));
    says(bench.steps(), &["project `fresh` is left: cluster `second` ("]);
}

#[tokio::test]
async fn a_project_that_can_not_be_deleted_is_owed_like_the_cluster() {
    let bench = bench().await;
    let held = bench.acquire().await.unwrap().held;
    bench.cloud().fault(Fault::on("DELETE", "/projects/").status(403));
    let error = bench.release(&held, OnExit::Delete).await.unwrap_err();
    says(error, &["403 Forbidden", "delete project ", bench.simulator.url()]);
    assert!(bench.cloud().clusters().iter().all(|cluster| cluster.name != "fresh"), "the cluster was deleted");
    for fault in
        [Fault::on("DELETE", "/projects/").drop_connection(), Fault::on("GET", "/projects/").status(503).times(4)]
    {
        bench.cloud().fault(fault);
    }
    assert_eq!(bench.release(&held, OnExit::Delete).await.unwrap(), Released::Deleted);
    assert!(!projects(&bench).await.contains(&"fresh".to_owned()));
}

#[tokio::test]
async fn the_project_of_a_killed_keeper_is_deleted_by_the_next_one_if_it_was_to_be() {
    for (on_exit, is_left) in [(OnExit::Auto, true), (OnExit::Delete, false)] {
        let bench = bench().await;
        let held = bench.acquire().await.unwrap().held;
        bench.client().delete_cluster(&bench.cloud().cluster("fresh").id).await.unwrap();
        assert!(bench.recover_with(&held, on_exit).await.unwrap().is_none());
        assert_eq!(projects(&bench).await.contains(&"fresh".to_owned()), is_left, "{on_exit:?}");
    }
    // Killed before it had the answer to the deployment.
    let bench = bench().await;
    bench.acquire().await.unwrap();
    let planned = bench.intents.lock().unwrap()[0].clone();
    assert_eq!(planned["project"], serde_json::json!({ "region": REGION }));
    let resource = bench.recover_with(&planned, OnExit::Delete).await.unwrap().unwrap();
    assert_eq!(bench.release(&resource.held, OnExit::Delete).await.unwrap(), Released::Deleted);
    assert!(!projects(&bench).await.contains(&"fresh".to_owned()));
}

#[tokio::test]
async fn a_password_that_is_too_short_is_found_before_anything_is_asked() {
    let mut bench = bench().await;
    bench.target.password = Some(Secret::new("short-hunter2"));
    let (error, _) = bench.failure().await;
    assert!(error.is_setting() && !error.to_string().contains("short-hunter2"));
    says(error, &["CRATEDB_PASSWORD has fewer than 24 characters"]);
}

#[tokio::test]
async fn what_the_service_refuses_is_told_field_by_field() {
    let mut bench = bench().await;
    bench.target.cluster = ClusterAddress::Name("x".to_owned());
    let (error, maybe_up) = bench.failure().await;
    assert!(!maybe_up);
    says(error, &["refused POST /api/v2/organizations/", "400 Bad Request", "name", "cluster `x` was not deployed"]);
}

#[tokio::test]
async fn a_refusal_that_repeats_the_password_is_not_shown() {
    let mut bench = bench().await;
    let password = "a-password-of-more-than-24-letters";
    bench.target.password = Some(Secret::new(password));
    let body = format!(r#"{{"message": "Bad request", "errors": {{"password": ["{password} is bad"]}}}}"#);
    bench.cloud().fault(Fault::on("POST", "/clusters/").answer(400, &body));
    let (error, _) = bench.failure().await;
    assert!(!error.to_string().contains(password) && !error.message().unwrap_or_default().contains(password));
    says(error, &["its answer holds the password and is not shown", "not shown"]);
}

#[tokio::test]
async fn a_failed_deployment_is_an_error_and_the_next_run_says_what_is_in_the_way() {
    let bench = bench().await;
    bench.cloud().fail_next_operation("fresh", "No capacity left.");
    let (error, maybe_up) = bench.failure().await;
    assert!(maybe_up, "there is a cluster, and it may cost something");
    says(error, &["deploying cluster `fresh` (", ") failed: No capacity left.", "delete it at", bench.simulator.url()]);
    let held = bench.last_intent().unwrap();
    let Released::Left(line) = bench.release(&held, OnExit::Auto).await.unwrap() else { panic!() };
    says(line, &["cluster `fresh` (", "is left"]);
    let (error, _) = bench.failure().await;
    says(error, &["can't be used", "its deployment failed: FAILED (No capacity left.)", "delete it at"]);
}

#[tokio::test]
async fn a_deployment_whose_answer_got_lost_is_found_by_its_name_and_ours() {
    let bench = bench().await;
    bench.cloud().fault(Fault::on("POST", "/clusters/").delay(Duration::from_secs(1)));
    let resource = bench.acquire().await.unwrap();
    assert_eq!(resource.ours, Ours::Deployed);
    deployment(&bench);
    let id = bench.cloud().cluster("fresh").id;
    assert_eq!(bench.last_intent().unwrap()["id"], id.as_str(), "its name may change before it is let go of");
}
