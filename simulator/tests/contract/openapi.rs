//! schemathesis with the vendor's document against the paths that the simulator serves.
//!
//! If the document is known to lag behind the service, it is corrected before the run by `openapi-corrections.json`, so
//! that every failure is a new contradiction. Corrections are preferred to ignored failures: they hide nothing else.
//! The cases are the same in every run; `CRATEDB_TEST_OPENAPI_SEED=7` makes others, and ten times as many.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::cloud::{Cloud, KEY, SECRET, text};
use super::support::program::Home;
use super::support::web::Web;
use super::support::{python, skip};

const CORRECTIONS: &str = include_str!("openapi-corrections.json");
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
const PATHS: &str = "paths";

/// The operations of the document that the simulator serves. One that changes a cluster has a cluster of its own, named
/// at the end. The text is an example of an accepted body; [`Account::fill`] replaces `{…}` in it.
const SERVED: &[(&str, &str, &str)] = &[
    ("GET users/me/", "", ""),
    ("PATCH users/me/", "", r#"{"email":"grace@example.org"}"#),
    ("GET users/me/api-keys/", "", ""),
    ("POST users/me/api-keys/", "", ""),
    ("GET users/me/api-keys/{api_key}/", "", ""),
    ("PATCH users/me/api-keys/{api_key}/", "", r#"{"active":true}"#),
    ("DELETE users/me/api-keys/{api_key}/", "", ""),
    ("GET organizations/", "", ""),
    ("POST organizations/", "", r#"{"name":"another","plan_type":1}"#),
    ("GET organizations/{organization_id}/", "", ""),
    ("PUT organizations/{organization_id}/", "", r#"{"name":"renamed"}"#),
    ("DELETE organizations/{organization_id}/", "", ""),
    ("GET organizations/{organization_id}/quotas/", "", ""),
    ("GET organizations/{organization_id}/projects/", "", ""),
    ("GET organizations/{organization_id}/subscriptions/", "", ""),
    ("GET organizations/{organization_id}/regions/", "", ""),
    ("GET organizations/{organization_id}/clusters/", "", ""),
    ("POST organizations/{organization_id}/clusters/", "", DEPLOY),
    ("GET organizations/{organization_id}/files/", "", ""),
    ("POST organizations/{organization_id}/files/", "", r#"{"name":"weather.csv"}"#),
    ("GET organizations/{organization_id}/files/{file_id}/", "", ""),
    ("DELETE organizations/{organization_id}/files/{file_id}/", "", ""),
    ("GET organizations/{organization_id}/secrets/", "", ""),
    ("POST organizations/{organization_id}/secrets/", "", SECRET_OF_AWS),
    ("DELETE organizations/{organization_id}/secrets/{secret_id}/", "", ""),
    ("GET projects/", "", ""),
    ("POST projects/", "", r#"{"name":"p","organization_id":"{organization}"}"#),
    ("GET projects/{project_id}/", "", ""),
    ("PATCH projects/{project_id}/", "", r#"{"name":"renamed"}"#),
    ("DELETE projects/{project_id}/", "", ""),
    ("GET projects/{project_id}/clusters/", "", ""),
    ("GET subscriptions/", "", ""),
    ("POST subscriptions/", "", SUBSCRIPTION),
    ("GET subscriptions/{subscription_id}/", "", ""),
    ("DELETE subscriptions/{subscription_id}/", "", ""),
    ("GET products/", "", ""),
    ("GET products/{kind}/", "", ""),
    ("GET products/clusters/price", "", ""),
    ("GET regions/", "", ""),
    ("GET clusters/", "", ""),
    ("GET clusters/{cluster_id}/", "", ""),
    ("PATCH clusters/{cluster_id}/", "password", r#"{"password":"another-one-of-32-letters-or-so"}"#),
    ("DELETE clusters/{cluster_id}/", "delete", ""),
    ("GET clusters/{cluster_id}/available-products/", "", ""),
    ("GET clusters/{cluster_id}/available-upgrades/", "", ""),
    ("PUT clusters/{cluster_id}/suspend/", "suspend", r#"{"suspended":true}"#),
    ("PUT clusters/{cluster_id}/scale/", "scale", r#"{"product_unit":1}"#),
    ("PUT clusters/{cluster_id}/upgrade/", "upgrade", r#"{"crate_version":"6.4.3"}"#),
    ("PUT clusters/{cluster_id}/storage/", "storage", r#"{"disk_size_per_node_bytes":274877906944}"#),
    ("PUT clusters/{cluster_id}/product/", "product", r#"{"product_name":"cr2"}"#),
    ("PUT clusters/{cluster_id}/backup-schedule/", "backup", r#"{"backup_hours":"2,4,6"}"#),
    ("PUT clusters/{cluster_id}/ip-restrictions/", "networks", r#"{"ip_whitelist":[{"cidr":"10.0.0.0/8"}]}"#),
    ("PUT clusters/{cluster_id}/deletion-protection/", "protect", r#"{"deletion_protected":true}"#),
    ("DELETE clusters/{cluster_id}/nodes/{ordinal}", "node", ""),
    ("GET clusters/{cluster_id}/operations/", "", ""),
    ("GET clusters/{cluster_id}/jwt/", "", ""),
    ("GET clusters/{cluster_id}/metrics/{metric_id}/", "", ""),
    ("GET clusters/{cluster_id}/import-jobs/", "", ""),
    ("POST clusters/{cluster_id}/import-jobs/", "", IMPORT),
    ("GET clusters/{cluster_id}/import-jobs/{import_job_id}/", "", ""),
    ("DELETE clusters/{cluster_id}/import-jobs/{import_job_id}/", "", ""),
    ("GET clusters/{cluster_id}/import-jobs/{import_job_id}/progress/", "", ""),
    ("GET clusters/{cluster_id}/export-jobs/", "", ""),
    ("POST clusters/{cluster_id}/export-jobs/", "", EXPORT),
    ("GET clusters/{cluster_id}/export-jobs/{export_job_id}/", "", ""),
    ("DELETE clusters/{cluster_id}/export-jobs/{export_job_id}/", "", ""),
    ("GET clusters/{cluster_id}/snapshots/", "", ""),
    ("POST clusters/{cluster_id}/snapshots/restore/", "", RESTORE),
    ("GET meta/", "", ""),
    ("GET meta/cratedb-versions/", "", ""),
    ("GET meta/jwk/", "", ""),
    ("POST meta/jwt/refresh/", "", r#"{"refresh_token":"{refresh}"}"#),
];
const DEPLOY: &str = r#"{"cluster":{"name":"fresh","crate_version":"6.4.3","product_name":"cr1","product_tier":"default","username":"admin","password":"at-least-24-characters-here"},"subscription_id":"{subscription}","project_id":"{project}"}"#;
const SECRET_OF_AWS: &str =
    r#"{"name":"bucket","type":"AWS","data":{"aws_secret":{"access_key":"a-key","secret_key":"a-secret"}}}"#;
const SUBSCRIPTION: &str = r#"{"type":"contract","organization_id":"{organization}"}"#;
const IMPORT: &str =
    r#"{"type":"url","format":"csv","destination":{"table":"weather","create_table":true},"url":{"url":"{weather}"}}"#;
const EXPORT: &str = r#"{"source":{"table":"weather"},"destination":{"format":"csv"}}"#;
const RESTORE: &str = r#"{"repository":"{repository}","snapshot":"{snapshot}","type":"all"}"#;

/// Returns the vendor's document, or the reason why there is none.
fn document() -> Result<Value, String> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/cratedb-cloud-openapi-v1.json"));
    let path = std::env::var_os("CRATEDB_TEST_OPENAPI").map_or(beside, PathBuf::from);
    if !path.exists() {
        return Err(format!("no copy of the vendor's document at `{}`", path.display()));
    }
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Applies the corrections. Each has to change something: one that the document has adopted must be dropped.
fn correct(document: &mut Value) {
    for correction in serde_json::from_str::<Vec<Value>>(CORRECTIONS).unwrap() {
        let (at, value) = (text(&correction["at"]), correction["value"].clone());
        assert!(!text(&correction["why"]).is_empty() && !text(&correction["source"]).is_empty(), "{at}");
        let (parent, name) = at.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/");
        match document.pointer_mut(parent) {
            Some(Value::Array(list)) => {
                assert!(!list.contains(&value), "{at} is there already");
                list.push(value);
            }
            Some(Value::Object(map)) if value.is_null() => assert!(map.remove(&name).is_some(), "{at} is gone already"),
            Some(Value::Object(map)) => assert_ne!(map.insert(name, value.clone()), Some(value), "{at} is so already"),
            _ => panic!("{at} leads nowhere"),
        }
    }
}

/// Makes an account with at least one of every resource, and notes their ids.
struct Account {
    cloud: Cloud,
    known: BTreeMap<&'static str, String>,
}

impl Account {
    #[track_caller]
    fn new(web: &Web) -> Self {
        let clusters: BTreeSet<&str> = SERVED.iter().map(|(_, cluster, _)| *cluster).collect();
        let mut arguments = vec!["--cluster".to_owned(), "name=ci".into()];
        for name in clusters.into_iter().filter(|name| !name.is_empty()) {
            let version = if name == "upgrade" { ",version=5.10.16" } else { "" };
            arguments.extend(["--cluster".into(), format!("name={name}{version}")]);
        }
        let cloud = Cloud::serve(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let mut account = Self { cloud, known: BTreeMap::new() };
        account.know("organization", account.cloud.organization.clone());
        account.know("project", account.cloud.id("project").to_owned());
        account.know("weather", web.url("/weather.csv"));
        let subscription = text(&account.cloud.get("/api/v2/subscriptions/")[0]["id"]);
        account.know("subscription", subscription);
        let path = |rest: &str| format!("/api/v2/clusters/{}/{rest}", account.cloud.id("ci"));
        let (imports, exports, jwt) = (path("import-jobs/"), path("export-jobs/"), path("jwt/"));
        let (snapshots, made) = (path("snapshots/"), path("snapshots/").replace("/api/v2/", "/_simulator/"));
        account.make("import", &imports, IMPORT);
        account.make("import to delete", &imports, IMPORT);
        account.make("export", &exports, EXPORT);
        account.make("export to delete", &exports, EXPORT);
        for what in ["file", "file to delete"] {
            account.make(
                what,
                &format!("/api/v2/organizations/{}/files/", account.cloud.organization),
                r#"{"name":"f"}"#,
            );
        }
        let secrets = format!("/api/v2/organizations/{}/secrets/", account.cloud.organization);
        account.make("secret to delete", &secrets, SECRET_OF_AWS);
        account.make("subscription to delete", "/api/v2/subscriptions/", SUBSCRIPTION);
        account.make("organization to delete", "/api/v2/organizations/", r#"{"name":"o"}"#);
        account.make("project to delete", "/api/v2/projects/", r#"{"name":"q","organization_id":"{organization}"}"#);
        for what in ["key", "key to delete"] {
            let (status, key) = account.cloud.api("POST", "/api/v2/users/me/api-keys/", None);
            assert_eq!(status, 200, "{key}");
            account.know(what, text(&key["key"]));
        }
        let refresh = text(&account.cloud.get(&jwt)["refresh"]);
        account.know("refresh", refresh);
        assert!(account.cloud.api("POST", &made, None).0 < 300);
        let snapshot = account.cloud.get(&snapshots)[0].clone();
        account.know("repository", text(&snapshot["repository"]));
        account.know("snapshot", text(&snapshot["snapshot"]));
        account
    }

    fn know(&mut self, what: &'static str, id: String) {
        self.known.insert(what, id);
    }

    #[track_caller]
    fn make(&mut self, what: &'static str, path: &str, body: &str) {
        let body: Value = serde_json::from_str(&self.fill(body)).unwrap();
        let (status, made) = self.cloud.api("POST", path, Some(&body));
        assert_eq!(status, 201, "{what}: {made}");
        self.know(what, text(&made["id"]));
    }

    /// Replaces names by ids.
    fn fill(&self, text: &str) -> String {
        self.known.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
    }

    /// Returns the values for the parameters of a path.
    fn parameters(&self, operation: &str, cluster: &str) -> Vec<(&'static str, String)> {
        let deletes = operation.starts_with("DELETE ");
        let id = |what: &'static str, victim: &'static str| self.known[if deletes { victim } else { what }].clone();
        let cluster = self.cloud.id(if cluster.is_empty() { "ci" } else { cluster }).to_owned();
        let last_is = |name: &str| operation.ends_with(&format!("{{{name}}}/"));
        let organization = if last_is("organization_id") {
            id("organization", "organization to delete")
        } else {
            self.known["organization"].clone()
        };
        let all = [
            ("cluster_id", cluster),
            ("organization_id", organization),
            ("project_id", id("project", "project to delete")),
            ("subscription_id", id("subscription", "subscription to delete")),
            ("import_job_id", id("import", "import to delete")),
            ("export_job_id", id("export", "export to delete")),
            ("file_id", id("file", "file to delete")),
            ("secret_id", self.known["secret to delete"].clone()),
            ("api_key", id("key", "key to delete")),
            ("kind", "cluster".into()),
            ("metric_id", METRIC.into()),
            ("ordinal", "0".into()),
        ];
        all.into_iter().filter(|(name, _)| operation.contains(&format!("{{{name}}}"))).collect()
    }

    /// Returns the values for the parameters of a query that has an answer only if they fit one another.
    fn query(operation: &str) -> &'static [(&'static str, &'static str)] {
        match operation {
            "GET products/clusters/price" => &[
                ("product_name", "cr1"),
                ("product_tier", "default"),
                ("product_unit", "0"),
                ("region", "eks1.eu-west-1.aws"),
            ],
            _ => &[],
        }
    }

    /// Returns the configuration of the run: the ids in the paths, and what fits in queries.
    fn configuration(&self) -> String {
        // A method that the document doesn't list may exist, and end resources that other cases need.
        let mut text = "[phases.coverage]\nunexpected-methods = []\n\n".to_owned();
        for (operation, cluster, _) in SERVED {
            let parameters = self.parameters(operation, cluster);
            let paths = parameters.iter().map(|(name, id)| format!("\"path.{name}\" = \"{id}\""));
            let queries = Self::query(operation).iter().map(|(name, value)| format!("\"query.{name}\" = \"{value}\""));
            let list: Vec<String> = paths.chain(queries).collect();
            if !list.is_empty() {
                let (method, path) = operation.split_once(' ').unwrap();
                text += &format!("[[operations]]\ninclude-name = \"{method} /api/v2/{path}\"\n");
                text += &format!("parameters = {{ {} }}\n\n", list.join(", "));
            }
        }
        text
    }

    /// Returns the document with only the served operations, and with accepted bodies as examples.
    #[track_caller]
    fn reduced(&self, mut document: Value) -> Value {
        let all = document[PATHS].take();
        let mut paths = serde_json::Map::new();
        for (operation, _, example) in SERVED {
            let (method, path) = operation.split_once(' ').unwrap();
            let (method, path) = (method.to_lowercase(), format!("/api/v2/{path}"));
            let mut described = all[&path][&method].clone();
            assert!(described.is_object(), "the document has no {operation}");
            if !example.is_empty() {
                let example: Value = serde_json::from_str(&self.fill(example)).unwrap();
                described["requestBody"]["content"]["application/json"]["example"] = example;
            }
            paths.entry(path).or_insert_with(|| json!({}))[&method] = described;
        }
        document[PATHS] = paths.into();
        document
    }

    /// Returns the operations that never succeeded, so that their answers were not checked.
    fn never_succeeded(&self) -> Vec<&'static str> {
        let log: Vec<Value> = self.cloud.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let fits = |operation: &str, line: &Value| {
            let (method, path) = operation.split_once(' ').unwrap();
            let there = text(&line["path"]);
            let there: Vec<&str> = there.trim_start_matches("/api/v2/").split('/').collect();
            let here: Vec<&str> = path.split('/').collect();
            let alike = |(here, there): (&&str, &&str)| here.starts_with('{') || here == there;
            let seen_by_it = !text(&line["query"]).contains("contract-test=1");
            seen_by_it && line["method"] == method && here.len() == there.len() && here.iter().zip(&there).all(alike)
        };
        let ok = |line: &&Value| line["status"].as_u64().is_some_and(|status| (200..300).contains(&status));
        let succeeded = |operation: &&&str| log.iter().filter(ok).any(|line| fits(operation, line));
        SERVED.iter().map(|(operation, ..)| operation).filter(|operation| !succeeded(operation)).copied().collect()
    }
}

/// One of the metrics that the simulator has.
const METRIC: &str = "crate_cpu_seconds";

#[test]
fn no_answer_contradicts_the_vendors_document() {
    let mut document = match document() {
        Ok(document) => document,
        Err(why) => return skip("openapi", &why),
    };
    let Some(environment) = python::schemathesis() else { return };
    let web = Web::serve([("/weather.csv", "id,city\n1,Dornbirn\n")]);
    let account = Account::new(&web);
    let home = Home::empty(environment);
    correct(&mut document);
    fs::write(home.path().join("document.json"), account.reduced(document).to_string()).unwrap();
    fs::write(home.path().join("schemathesis.toml"), account.configuration()).unwrap();
    let credentials = format!("{KEY}:{SECRET}");
    let mut arguments = vec!["run", "document.json", "--url", &account.cloud.url, "--auth", &credentials];
    arguments.extend(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--continue-on-failure"]);
    arguments.extend(["--suppress-health-check", "all", "--warnings", "off", "--no-color"]);
    let seed = std::env::var("CRATEDB_TEST_OPENAPI_SEED");
    let (amount, limit) = match &seed {
        // By hand: other cases, and more of them.
        Ok(seed) => (vec!["--max-examples", "100", "--generation-database", "none", "--seed", seed], 1800),
        Err(_) => (vec!["--max-examples", "10", "--generation-deterministic"], 600),
    };
    let ran = home.run_for("st", &[arguments, amount].concat(), Duration::from_secs(limit));
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(account.never_succeeded(), Vec::<&str>::new(), "{ran}");
}
