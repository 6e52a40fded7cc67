//! `croud clusters`: list, get, deploy, suspend, resume, delete.

use super::support::cloud::{Cloud, text};
use super::support::program::{Home, Ran};
use super::support::python;

const CONFLICT: &str = "Another cluster operation is currently in progress, please try again later.";

/// Starts a simulator with these clusters, and makes a home whose profile names it.
fn start(clusters: &[&str]) -> Option<(Cloud, Home)> {
    let arguments: Vec<&str> = clusters.iter().flat_map(|cluster| ["--cluster", *cluster]).collect();
    start_with(&arguments)
}

fn start_with(arguments: &[&str]) -> Option<(Cloud, Home)> {
    let environment = python::clients()?;
    let cloud = Cloud::serve(arguments);
    let home = Home::new(environment, &cloud);
    Some((cloud, home))
}

fn clusters(home: &Home, arguments: &str) -> Ran {
    let arguments: Vec<&str> = ["clusters"].into_iter().chain(arguments.split(' ')).collect();
    home.run("croud", &arguments)
}

#[test]
fn all_of_them() {
    let Some((cloud, home)) = start(&["name=ci,state=suspended", "name=other,product=crfree"]) else { return };
    let list = clusters(&home, "list").exits(0).json();
    assert_eq!(cloud.asked(), ["GET clusters/"]);
    let found: Vec<_> =
        list.as_array().unwrap().iter().map(|one| (text(&one["name"]), one["suspended"].clone())).collect();
    assert_eq!(found, [("ci".into(), true.into()), ("other".into(), false.into())]);
    let table = clusters(&home, "list --format table").exits(0);
    let table = table.prints("| id ").prints("| crate_version ").prints("| fqdn ").prints("| TRUE ").prints("| FALSE ");
    assert!(!table.stdout.contains("hardware_specs"), "{table}");
}

#[test]
fn those_of_a_project() {
    let Some((cloud, home)) = start(&["name=ci"]) else { return };
    let (organization, project) = (cloud.organization.clone(), cloud.id("project").to_owned());
    let list = clusters(&home, &format!("list --org-id {organization} -p {project}")).exits(0).json();
    assert_eq!(list[0]["id"], cloud.id("ci"));
    let elsewhere = clusters(&home, &format!("list -p {organization}")).exits(0);
    assert_eq!(elsewhere.json().as_array().map(Vec::len), Some(0), "{elsewhere}");
    assert_eq!(
        cloud.asked(),
        ["GET organizations/{org}/clusters/?project_id={project}", "GET clusters/?project_id={org}"]
    );
}

#[test]
fn one() {
    let Some((cloud, home)) = start(&["name=ci"]) else { return };
    let one = clusters(&home, &format!("get {}", cloud.id("ci"))).exits(0).json();
    assert_eq!(cloud.asked(), ["GET clusters/{ci}/"]);
    assert_eq!((&one["name"], &one["url"]), (&"ci".into(), &cloud.id("ci.url").into()));
    clusters(&home, &format!("get {} --format wide", cloud.id("ci"))).exits(0).prints("| hardware_specs ");
}

#[test]
fn one_that_does_not_exist_is_told_and_no_failure() {
    let Some((cloud, home)) = start(&[]) else { return };
    let ran = clusters(&home, "get 00000000-0000-4000-8000-000000000000").exits(0);
    assert_eq!(cloud.asked(), ["GET clusters/{id}/ -> 404"]);
    assert_eq!((ran.said(), ran.stdout.as_str()), (vec!["Error: Resource not found.".into()], ""));
}

/// The request, one look at the operation, one at the cluster. Two documents: before and after.
#[track_caller]
fn suspend(home: &Home, cloud: &Cloud, value: &str) -> (bool, bool) {
    let id = cloud.id("ci");
    let ran = clusters(home, &format!("set-suspended-state --cluster-id {id} --value {value}")).exits(0);
    assert_eq!(ran.said().last().map(String::as_str), Some("Success: Operation completed."), "{ran}");
    let documents = ran.documents();
    assert_eq!(documents.len(), 2, "{ran}");
    let suspended = |at: usize| documents[at]["suspended"].as_bool().unwrap();
    (suspended(0), suspended(1))
}

#[test]
fn suspended_and_resumed() {
    let Some((cloud, home)) = start(&["name=ci"]) else { return };
    for (value, word, before) in [("true", "true", false), ("no", "false", true), ("on", "true", false)] {
        assert_eq!(suspend(&home, &cloud, value), (before, !before), "{value}");
        let asked = [
            format!("PUT clusters/{{ci}}/suspend/ {{\"suspended\":{word}}}"),
            "GET clusters/{ci}/operations/?type=SUSPEND&limit=1".into(),
            "GET clusters/{ci}/".into(),
        ];
        assert_eq!(cloud.asked(), asked, "{value}");
    }
}

#[test]
fn a_second_operation_is_refused_and_no_failure() {
    let Some((cloud, home)) = start_with(&["--cluster", "name=ci", "--operation-time", "1h"]) else { return };
    let id = cloud.id("ci");
    let (status, _) =
        cloud.api("PUT", &format!("/api/v2/clusters/{id}/suspend/"), Some(&serde_json::json!({ "suspended": true })));
    assert_eq!(status, 200);
    let ran = clusters(&home, &format!("set-suspended-state --cluster-id {id} --value true")).exits(0);
    assert_eq!(cloud.asked(), [r#"PUT clusters/{ci}/suspend/ {"suspended":true} -> 400"#]);
    assert_eq!(ran.said()[0], format!("Error: {CONFLICT}"));
}

#[test]
fn an_operation_of_somebody_else_is_in_the_way() {
    let Some((cloud, home)) = start_with(&["--cluster", "name=ci", "--fault", "cluster=ci,foreign=SCALE"]) else {
        return;
    };
    let ran = clusters(&home, &format!("set-suspended-state --cluster-id {} --value true", cloud.id("ci"))).exits(0);
    assert_eq!(ran.said(), [format!("Error: {CONFLICT}")]);
    assert_eq!(cloud.cluster("ci")["health"]["running_operation"], "SCALE");
}

#[test]
fn an_operation_that_nobody_hears_of_again_ends_the_waiting() {
    let Some((cloud, home)) = start_with(&["--cluster", "name=ci", "--fault", "cluster=ci,hide"]) else { return };
    let ran = clusters(&home, &format!("set-suspended-state --cluster-id {} --value true", cloud.id("ci"))).exits(0);
    assert_eq!(ran.said().last().map(String::as_str), Some("Error: Failed retrieving operation status."), "{ran}");
    assert_eq!(cloud.asked().len(), 3, "asked once");
}

#[test]
fn a_free_cluster_sleeps_after_four_days_and_can_be_woken() {
    let Some((cloud, home)) = start(&["name=ci,product=crfree"]) else { return };
    let later = serde_json::json!({ "advance": "5d" });
    assert!(cloud.api("POST", "/_simulator/clock/", Some(&later)).0 < 300);
    assert_eq!(clusters(&home, "list").exits(0).json()[0]["suspended"], true);
    cloud.asked();
    assert_eq!(suspend(&home, &cloud, "false"), (true, false));
}

#[test]
fn what_may_not_be_suspended_stays() {
    let Some((cloud, home)) = start(&["name=ci,product=crfree"]) else { return };
    let ran = clusters(&home, &format!("set-suspended-state --cluster-id {} --value true", cloud.id("ci"))).exits(0);
    assert_eq!(cloud.asked(), [r#"PUT clusters/{ci}/suspend/ {"suspended":true} -> 400"#]);
    assert!(ran.said()[0].starts_with("Error: "), "{ran}");
    assert_eq!(cloud.cluster("ci")["suspended"], false);
}

const DEPLOY: &str = "deploy --product-name cr1 --tier default --cluster-name fresh --version 6.4.3 --username admin \
                      --password at-least-24-characters-here";

#[test]
fn deployed_into_a_project() {
    let Some((cloud, home)) = start(&[]) else { return };
    let subscription = text(&cloud.get("/api/v2/subscriptions/")[0]["id"]);
    let project = cloud.id("project");
    let ran = clusters(&home, &format!("{DEPLOY} --subscription-id {subscription} -p {project} --unit 0")).exits(0);
    assert_eq!(ran.said().last().map(String::as_str), Some("Success: Operation completed."), "{ran}");
    // A unit of 0 is not sent.
    let body = format!(
        r#"{{"cluster":{{"channel":"stable","crate_version":"6.4.3","name":"fresh","password":"***","product_name":"cr1","product_tier":"default","username":"admin"}},"project_id":"{{project}}","subscription_id":"{}"}}"#,
        cloud.name(&subscription)
    );
    let asked = [
        "GET projects/{project}/".into(),
        format!("POST organizations/{{org}}/clusters/ {body}"),
        "GET clusters/{id}/operations/?type=CREATE&limit=1".into(),
        "GET clusters/{id}/".into(),
    ];
    assert_eq!(cloud.asked(), asked);
    let made = ran.json();
    assert_eq!((&made["name"], &made["num_nodes"]), (&"fresh".into(), &1.into()));
    assert_eq!(text(&made["fqdn"]).split('.').next(), Some("fresh"));
    assert!(!cloud.log().contains("at-least-24-characters-here"), "the log has the password");
}

#[test]
fn deployed_into_a_region_with_a_project_of_its_own() {
    let Some((cloud, home)) = start(&[]) else { return };
    let region = text(&cloud.get("/api/v2/regions/")[0]["name"]);
    let subscription = text(&cloud.get("/api/v2/subscriptions/")[0]["id"]);
    let arguments =
        format!("{DEPLOY} --subscription-id {subscription} --org-id {} --region {region}", cloud.organization);
    let made = clusters(&home, &arguments).exits(0).json();
    let asked = cloud.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[0].starts_with("POST organizations/{org}/clusters/ "), "{asked:?}");
    assert!(asked[0].contains(&format!(r#""project":{{"name":"fresh","region":"{region}"}}"#)), "{asked:?}");
    let project = cloud.get(&format!("/api/v2/projects/{}/", text(&made["project_id"])));
    assert_eq!((&project["name"], &project["region"]), (&"fresh".into(), &region.into()));
}

#[test]
fn a_free_cluster_is_there_once() {
    let Some((cloud, home)) = start(&[]) else { return };
    let deploy = DEPLOY.replace("cr1", "crfree");
    let arguments = format!("{deploy} --subscription-id free_tier -p {}", cloud.id("project"));
    assert_eq!(clusters(&home, &arguments).exits(0).json()["product_name"], "crfree");
    let second = clusters(&home, &arguments.replace("fresh", "second")).exits(0);
    assert!(second.said()[0].starts_with("Error: "), "{second}");
    assert_eq!(cloud.get("/api/v2/clusters/").as_array().map(Vec::len), Some(1));
}

#[test]
fn a_bad_deploy_is_told_field_by_field() {
    let Some((cloud, home)) = start(&[]) else { return };
    let subscription = text(&cloud.get("/api/v2/subscriptions/")[0]["id"]);
    let rest = format!("--subscription-id {subscription} -p {}", cloud.id("project"));
    for (from, to, field) in [
        ("at-least-24-characters-here", "too-short", "password"),
        ("--cluster-name fresh", "--cluster-name ab", "name"),
        ("--version 6.4.3", "--version 1.2.3", "crate_version"),
        ("--product-name cr1", "--product-name huge", "product_name"),
    ] {
        let ran = clusters(&home, &format!("{} {rest}", DEPLOY.replace(from, to))).exits(0);
        assert!(ran.said()[0].starts_with("Error: "), "{ran}");
        let errors = ran.json();
        assert!(errors["cluster"][field][0].is_string(), "{field}: {errors}");
    }
    let asked = cloud.asked();
    assert_eq!(asked.iter().filter(|line| line.ends_with(" -> 400")).count(), 4, "{asked:?}");
    assert_eq!(cloud.get("/api/v2/clusters/").as_array().map(Vec::len), Some(0));
}

#[test]
fn a_deploy_into_nowhere_ends_before_it_is_asked_for() {
    let Some((cloud, home)) = start(&[]) else { return };
    let arguments = format!("{DEPLOY} --subscription-id x -p 00000000-0000-4000-8000-000000000000");
    assert_eq!(clusters(&home, &arguments).exits(0).said(), ["Error: Resource not found."]);
    assert_eq!(cloud.asked(), ["GET projects/{id}/ -> 404"]);
}

#[test]
fn deleted() {
    let Some((cloud, home)) = start(&["name=ci"]) else { return };
    let id = cloud.id("ci");
    let ran = clusters(&home, &format!("delete --cluster-id {id} -y")).exits(0);
    assert_eq!(ran.said(), ["Success: Cluster deleted."]);
    let again = clusters(&home, &format!("delete --cluster-id {id} -y")).exits(0);
    assert_eq!(again.said(), ["Error: Resource not found."]);
    assert_eq!(cloud.asked(), ["DELETE clusters/{ci}/", "DELETE clusters/{ci}/ -> 404"]);
}

#[test]
fn who_says_no_deletes_nothing() {
    let Some((cloud, home)) = start(&["name=ci"]) else { return };
    let ran = home.run_with_input("croud", &["clusters", "delete", "--cluster-id", cloud.id("ci")], "n\n").exits(0);
    assert_eq!(ran.said(), ["Info: Cluster deletion cancelled."]);
    assert_eq!(cloud.asked(), Vec::<String>::new());
}

#[test]
fn a_protected_one_stays_until_it_is_not() {
    let Some((cloud, home)) = start(&["name=ci"]) else { return };
    let id = cloud.id("ci");
    let protect = |value: &str| {
        let ran = clusters(&home, &format!("set-deletion-protection --cluster-id {id} --value {value}")).exits(0);
        assert_eq!(ran.said(), ["Success: Cluster deletion protection status successfully updated"]);
        ran.json()["deletion_protected"].clone()
    };
    assert_eq!(protect("true"), true);
    let refused = clusters(&home, &format!("delete --cluster-id {id} -y")).exits(0);
    assert!(refused.said()[0].starts_with("Error: "), "{refused}");
    assert_eq!(protect("false"), false);
    assert_eq!(clusters(&home, &format!("delete --cluster-id {id} -y")).exits(0).said(), ["Success: Cluster deleted."]);
    let asked = cloud.asked();
    assert_eq!(asked[0], r#"PUT clusters/{ci}/deletion-protection/ {"deletion_protected":true}"#);
    assert!(asked[1].starts_with("DELETE clusters/{ci}/ -> 4"), "{asked:?}");
    assert_eq!(asked[3], "DELETE clusters/{ci}/");
}
