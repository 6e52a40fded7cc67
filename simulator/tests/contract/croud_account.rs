//! `croud` about the account: the user, organizations, projects, products, API keys, and refusals.

use serde_json::json;

use super::support::cloud::{Cloud, text};
use super::support::program::{Home, Ran};
use super::support::python;

/// Starts a simulator with one running cluster, and makes a home whose profile names it.
fn start() -> Option<(Cloud, Home)> {
    let environment = python::clients()?;
    let cloud = Cloud::serve(&["--cluster", "name=ci"]);
    let home = Home::new(environment, &cloud);
    Some((cloud, home))
}

fn croud(home: &Home, arguments: &str) -> Ran {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    home.run("croud", &arguments)
}

#[test]
fn me() {
    let Some((cloud, home)) = start() else { return };
    let me = croud(&home, "me").exits(0).json();
    assert_eq!(cloud.asked(), ["GET users/me/"]);
    assert_eq!(me["organization_id"], cloud.organization.as_str());
    assert!(text(&me["email"]).contains('@'), "{me}");
}

#[test]
fn an_email_is_changed() {
    let Some((cloud, home)) = start() else { return };
    croud(&home, "me edit --email grace@example.org").exits(0);
    assert_eq!(cloud.asked(), [r#"PATCH users/me/ {"email":"grace@example.org"}"#]);
}

#[test]
fn me_without_credentials_is_told_and_no_failure() {
    let Some((cloud, home)) = start() else { return };
    home.write_profile(&cloud.url, &[]);
    let ran = croud(&home, "me").exits(0);
    assert_eq!(cloud.asked(), ["GET users/me/ -> 401"]);
    assert_eq!((ran.said(), ran.stdout.as_str()), (vec!["Error: 401 - Unauthorized".into()], ""));
}

#[test]
fn a_wrong_secret_is_told_and_no_failure() {
    let Some((cloud, home)) = start() else { return };
    home.write_profile(&cloud.url, &[("key", "some-key"), ("secret", "not-the-secret")]);
    let ran = croud(&home, "clusters list").exits(0);
    assert_eq!(cloud.asked(), ["GET clusters/ -> 401"]);
    assert_eq!(ran.said(), ["Error: 401 - Unauthorized"]);
}

#[test]
fn a_cloud_that_is_not_there_is_told_and_no_failure() {
    let Some(environment) = python::clients() else { return };
    let home = Home::empty(environment);
    // Nothing listens on the discard port.
    home.write_profile("http://127.0.0.1:9", &[("key", "a"), ("secret", "b")]);
    let ran = croud(&home, "me").exits(0);
    assert!(
        ran.said()[0].starts_with("Error: Failed to perform request on 'http://127.0.0.1:9/api/v2/users/me/'."),
        "{ran}"
    );
}

#[test]
fn every_kind_of_list() {
    let Some((cloud, home)) = start() else { return };
    for (kind, first) in [
        ("organizations", "plan_type"),
        ("regions", "is_edge_region"),
        ("subscriptions", "provider"),
        ("projects", "backup_location"),
    ] {
        let list = croud(&home, &format!("{kind} list")).exits(0).json();
        assert_eq!(cloud.asked(), [format!("GET {kind}/")]);
        assert!(list[0].get(first).is_some(), "{kind}: {list}");
    }
}

#[test]
fn lists_of_one_organization() {
    let Some((cloud, home)) = start() else { return };
    for kind in ["regions", "subscriptions", "projects", "clusters"] {
        let list = croud(&home, &format!("{kind} list --org-id {}", cloud.organization)).exits(0).json();
        assert_eq!(cloud.asked(), [format!("GET organizations/{{org}}/{kind}/")]);
        assert_eq!(list.as_array().map(Vec::is_empty), Some(false), "{kind}");
    }
}

#[test]
fn tables_for_people() {
    let Some((_cloud, home)) = start() else { return };
    let table = croud(&home, "projects list --format table").exits(0);
    let table = table.prints("| region").prints("| backup_location").prints("| default");
    assert!(table.stdout.starts_with("+-"), "{table}");
    croud(&home, "subscriptions list --format wide").exits(0).prints("| billing_model").prints("| active");
    croud(&home, "organizations list --format yaml").exits(0).prints("- dc:").prints("  plan_type: ");
}

#[test]
fn one_organization_one_project_one_subscription() {
    let Some((cloud, home)) = start() else { return };
    let project = cloud.id("project");
    assert_eq!(croud(&home, &format!("projects get {project}")).exits(0).json()["id"], project);
    let organization = cloud.organization.as_str();
    assert_eq!(croud(&home, &format!("organizations get {organization}")).exits(0).json()["id"], organization);
    assert_eq!(cloud.asked(), ["GET projects/{project}/", "GET organizations/{org}/"]);
    let subscription = text(&cloud.get("/api/v2/subscriptions/")[0]["id"]);
    assert_eq!(croud(&home, &format!("subscriptions get {subscription}")).exits(0).json()["id"], subscription.as_str());
}

#[test]
fn products_of_one_kind() {
    let Some((cloud, home)) = start() else { return };
    let products = croud(&home, "products list --kind cluster").exits(0).json();
    assert_eq!(cloud.asked(), ["GET products/?kind=cluster"]);
    let products = products.as_array().unwrap();
    assert!(products.iter().all(|product| product["kind"] == "cluster"), "{products:?}");
    // A product without a price would be hidden.
    for name in ["crfree", "cr1"] {
        assert!(products.iter().any(|product| product["name"] == name), "{name} is missing");
    }
}

#[test]
fn a_project_from_its_creation_to_its_end() {
    let Some((cloud, home)) = start() else { return };
    let made = croud(&home, "projects create --name p1").exits(0);
    assert_eq!(made.said(), ["Success: Project created."]);
    assert_eq!(cloud.asked(), [r#"POST projects/ {"name":"p1","organization_id":"{org}"}"#]);
    let id = text(&made.json()["id"]);
    let edited = croud(&home, &format!("projects edit -p {id} --name p2")).exits(0).json();
    assert_eq!(edited["name"], "p2");
    assert_eq!(croud(&home, &format!("projects delete -p {id} -y")).exits(0).said(), ["Success: Project deleted."]);
    assert_eq!(cloud.asked(), [r#"PATCH projects/{id}/ {"name":"p2"}"#, "DELETE projects/{id}/"]);
    let gone = croud(&home, &format!("projects get {id}")).exits(0);
    assert_eq!(gone.said(), ["Error: Resource not found."]);
}

#[test]
fn a_project_that_has_clusters_stays() {
    let Some((cloud, home)) = start() else { return };
    let ran = croud(&home, &format!("projects delete -p {} -y", cloud.id("project"))).exits(0);
    assert!(ran.said()[0].starts_with("Error: "), "{ran}");
    assert_eq!(cloud.get("/api/v2/projects/").as_array().unwrap().len(), 1);
}

#[test]
fn an_organization_from_its_creation_to_its_end() {
    let Some((cloud, home)) = start() else { return };
    let made = croud(&home, "organizations create --name other --plan-type 1").exits(0).json();
    let id = text(&made["id"]);
    assert_eq!(cloud.asked(), [r#"POST organizations/ {"name":"other","plan_type":1}"#]);
    let edited = croud(&home, &format!("organizations edit --org-id {id} --name renamed")).exits(0).json();
    assert_eq!(edited["name"], "renamed");
    let gone = croud(&home, &format!("organizations delete --org-id {id} -y")).exits(0);
    assert_eq!(gone.said(), ["Success: Organization deleted."]);
    assert_eq!(cloud.asked(), [r#"PUT organizations/{id}/ {"name":"renamed"}"#, "DELETE organizations/{id}/"]);
}

#[test]
fn an_api_key_from_its_creation_to_its_end() {
    let Some((cloud, home)) = start() else { return };
    let made = croud(&home, "api-keys create").exits(0).json();
    assert_eq!(cloud.asked(), ["POST users/me/api-keys/"]);
    let (key, secret) = (text(&made["key"]), text(&made["secret"]));
    let listed = croud(&home, "api-keys list").exits(0);
    assert!(!listed.stdout.contains(&secret), "a secret is told only once");
    assert!(listed.json().as_array().unwrap().iter().any(|known| known["key"] == key.as_str()), "{listed}");
    let edited = croud(&home, &format!("api-keys edit --api-key {key} --active false")).exits(0).json();
    assert_eq!(edited["active"], false);
    let gone = croud(&home, &format!("api-keys delete --api-key {key}")).exits(0);
    assert_eq!(gone.said(), ["Success: API key deleted."]);
    let asked = cloud.asked();
    assert_eq!(asked[0], "GET users/me/api-keys/");
    assert!(
        asked[1].starts_with("PATCH users/me/api-keys/") && asked[1].ends_with(r#" {"active":false}"#),
        "{asked:?}"
    );
    assert!(asked[2].starts_with("DELETE users/me/api-keys/"), "{asked:?}");
}

#[test]
fn a_made_api_key_opens_the_door_until_it_is_switched_off() {
    let Some((cloud, home)) = start() else { return };
    let made = croud(&home, "api-keys create").exits(0).json();
    let (key, secret) = (text(&made["key"]), text(&made["secret"]));
    home.write_profile(&cloud.url, &[("key", &key), ("secret", &secret)]);
    assert!(croud(&home, "me").exits(0).json()["email"].is_string());
    let (status, _) =
        cloud.api("PATCH", &format!("/api/v2/users/me/api-keys/{key}/"), Some(&json!({ "active": false })));
    assert_eq!(status, 200);
    assert_eq!(croud(&home, "me").exits(0).said(), ["Error: 401 - Unauthorized"]);
}

#[test]
fn a_profile_is_added_by_command_and_shown_without_its_secret() {
    let Some((cloud, home)) = start() else { return };
    let add = format!("config profiles add second --endpoint {} --region _any_ --format json", cloud.url);
    croud(&home, &add).exits(0);
    croud(&home, "config profiles use second").exits(0);
    // It has no credentials.
    assert_eq!(croud(&home, "me").exits(0).said(), ["Error: 401 - Unauthorized"]);
    croud(&home, "config profiles use local").exits(0);
    croud(&home, "me").exits(0).json();
    let shown = croud(&home, "config show").exits(0);
    assert!(!shown.stdout.contains("some-secret-of-the-tests"), "{shown}");
    assert_eq!(cloud.asked(), ["GET users/me/ -> 401", "GET users/me/"]);
}

#[test]
fn each_request_names_a_region() {
    let Some((cloud, home)) = start() else { return };
    croud(&home, "me").exits(0);
    croud(&home, "clusters list --region eks1.eu-west-1.aws").exits(0);
    assert_eq!(cloud.heard(), ["basic _any_", "basic eks1.eu-west-1.aws"]);
}

#[test]
fn a_proxy_that_answers_for_the_service_is_told_and_no_failure() {
    let Some(environment) = python::clients() else { return };
    let fault = "method=GET,path=/users/me/,after=1,status=502,body=<html>the proxy speaks</html>";
    let cloud = Cloud::serve(&["--fault", fault]);
    let home = Home::new(environment, &cloud);
    assert_eq!(croud(&home, "me").exits(0).said(), ["Error: 502 - Bad Gateway"]);
    assert_eq!(cloud.asked(), ["GET users/me/ -> 502"]);
}
