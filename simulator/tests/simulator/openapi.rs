//! Our answers against the vendor's OpenAPI document, where a copy of it is at hand.

use std::io::Write;
use std::path::PathBuf;

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};
use serde_json::{Value, json};

use super::support::{Connection, api, start};

/// Contradictions of the document with itself: it describes an empty string and lists only the others.
const EXCEPTIONS: [(&str, &str); 1] = [("/health/running_operation", "")];

/// Differences between the document and the programs that work with the service. We follow the programs.
const LAGS: [(&str, &str); 2] = [
    // Described as a list, but its schema is one product.
    ("get /api/v2/clusters/{cluster_id}/available-products/:", "is no \"object\""),
    // `croud` reads the key flat (its `apikeys/commands.py`); the document nests it.
    ("post /api/v2/users/me/api-keys//key:", "is no \"object\""),
];

/// Returns the document, or the reason why there is none.
fn document() -> Result<Value, String> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/cratedb-cloud-openapi-v1.json"));
    let named = std::env::var_os("CRATEDB_TEST_OPENAPI").map(PathBuf::from);
    let path = named.unwrap_or(beside);
    if !path.exists() {
        return Err(format!("no copy of the vendor's document at `{}`", path.display()));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns the contradictions to a schema, as lines with a path.
fn check(root: &Value, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).expect("a reference that leads somewhere");
        return check(root, target, value, at, problems);
    }
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(root, part, value, at, problems);
    }
    let is = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !is {
        problems.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    let excepted = EXCEPTIONS.iter().any(|(path, text)| at.ends_with(path) && value == text);
    if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) && !excepted {
        problems.push(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    let length = value.as_str().map(|text| text.chars().count() as u64);
    if length.is_some_and(|length| schema["maxLength"].as_u64().is_some_and(|most| length > most)) {
        problems.push(format!("{at}: {value} is too long"));
    }
    if length.is_some_and(|length| schema["minLength"].as_u64().is_some_and(|least| length < least)) {
        problems.push(format!("{at}: {value} is too short"));
    }
    check_inside(root, schema, value, at, problems);
}

fn check_inside(root: &Value, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(root, &schema["items"], item, &format!("{at}/{index}"), problems);
    }
    let Some(object) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        // Passwords are required in requests and never returned.
        if !object.contains_key(name) && schema["properties"][name]["writeOnly"] != true {
            problems.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, inner) in object {
        match &schema["properties"][name] {
            Value::Null => {}
            known if known["writeOnly"] == true => problems.push(format!("{at}: {name} must not be returned")),
            known => check(root, known, inner, &format!("{at}/{name}"), problems),
        }
    }
}

#[test]
fn answers_fit_the_vendors_document() {
    let root = match document() {
        Ok(root) => root,
        Err(why) => {
            // The harness captures only the print macros.
            let _ = writeln!(std::io::stderr(), "skipped answers_fit_the_vendors_document: {why}");
            return;
        }
    };
    let simulator = start(Options::default().cluster(ClusterOptions::running("ci")));
    let mut world = World::new(&root, &simulator);
    for (method, template, body) in world.requests() {
        world.ask(method, template, body);
    }
    for (method, template, body) in world.requests_of_made_things() {
        world.ask(method, template, body);
    }
    let problems = &world.problems;
    assert!(problems.is_empty(), "{problems:#?}");
}

type Asked = (&'static str, &'static str, Option<Value>);

/// The resources of the requests.
struct World<'a> {
    root: &'a Value,
    api: Connection,
    names: Vec<(&'static str, String)>,
    problems: Vec<String>,
}

impl<'a> World<'a> {
    fn new(root: &'a Value, simulator: &Simulator) -> Self {
        let mut api = api(simulator);
        let mut first = |list: &str| api.get(list).expect(200)[0]["id"].as_str().unwrap().to_owned();
        let mut names = vec![
            ("organization_id", first("/api/v2/organizations/")),
            ("project_id", first("/api/v2/projects/")),
            ("subscription_id", first("/api/v2/subscriptions/")),
            ("cluster_id", simulator.cloud().cluster("ci").id),
        ];
        names.extend([("metric_id", "crate_cpu_seconds".into()), ("ordinal", "0".into()), ("kind", "cluster".into())]);
        assert!(simulator.cloud().take_snapshot("ci"));
        Self { root, api, names, problems: Vec::new() }
    }

    fn id(&self, name: &str) -> &str {
        &self.names.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    /// Sends a request and remembers the resources that it makes.
    fn ask(&mut self, method: &str, template: &str, body: Option<Value>) {
        let path =
            self.names.iter().fold(template.to_owned(), |path, (name, id)| path.replace(&format!("{{{name}}}"), id));
        assert!(!path.contains('{'), "{path}");
        let body = body.map(|body| body.to_string());
        let reply = self.api.send(&method.to_uppercase(), &path, body.as_deref()).unwrap();
        let root = self.root;
        let documented = &root["paths"][template][method]["responses"][reply.status.to_string()];
        assert!(documented.is_object(), "{method} {template}: {} is not documented: {}", reply.status, reply.text);
        let response = match documented["$ref"].as_str() {
            Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
            None => documented,
        };
        if reply.text.is_empty() {
            return;
        }
        let (schema, answer) = (&response["content"]["application/json"]["schema"], reply.json());
        let mut problems = Vec::new();
        check(root, schema, &answer, &format!("{method} {template}"), &mut problems);
        let lags = |problem: &String| LAGS.iter().any(|(at, what)| problem.starts_with(at) && problem.contains(what));
        self.problems.extend(problems.into_iter().filter(|problem| !lags(problem)));
        let made = [
            ("import-jobs/", "import_job_id"),
            ("export-jobs/", "export_job_id"),
            ("files/", "file_id"),
            ("secrets/", "secret_id"),
        ];
        if let (201, Some((_, name))) = (reply.status, made.iter().find(|(end, _)| template.ends_with(end))) {
            self.names.push((name, answer["id"].as_str().unwrap().into()));
        }
        if template.ends_with("api-keys/") && method == "post" {
            self.names.push(("api_key", answer["key"].as_str().unwrap().into()));
        }
    }

    fn requests(&self) -> Vec<Asked> {
        let deploy = json!({
            "cluster": { "name": "fresh", "crate_version": "6.4.3", "product_name": "crfree", "product_tier": "default",
                "username": "admin", "password": "at-least-24-characters-here" },
            "subscription_id": "free_tier", "project_id": self.id("project_id"),
        });
        let organization = self.id("organization_id");
        let import = json!({ "type": "url", "format": "csv", "destination": { "table": "t" }, "url": { "url": "http://127.0.0.1:1/a" } });
        let export = json!({ "source": { "table": "sys.cluster" }, "destination": { "format": "json" } });
        let secret =
            json!({ "name": "s", "type": "AWS", "data": { "aws_secret": { "access_key": "a", "secret_key": "b" } } });
        vec![
            ("get", "/api/v2/users/me/", None),
            ("patch", "/api/v2/users/me/", Some(json!({ "email": "eve@example.org" }))),
            ("patch", "/api/v2/users/me/", Some(json!({ "email": "eve@example.org" }))),
            ("patch", "/api/v2/users/me/", Some(json!({ "email": 7 }))),
            ("post", "/api/v2/users/me/api-keys/", None),
            ("get", "/api/v2/users/me/api-keys/", None),
            ("get", "/api/v2/organizations/", None),
            ("post", "/api/v2/organizations/", Some(json!({ "name": "o" }))),
            ("post", "/api/v2/organizations/", Some(json!({}))),
            ("get", "/api/v2/organizations/{organization_id}/", None),
            ("put", "/api/v2/organizations/{organization_id}/", Some(json!({ "name": "p" }))),
            ("delete", "/api/v2/organizations/{organization_id}/", None),
            ("get", "/api/v2/organizations/{organization_id}/projects/", None),
            ("get", "/api/v2/organizations/{organization_id}/quotas/", None),
            ("get", "/api/v2/organizations/{organization_id}/regions/", None),
            ("get", "/api/v2/organizations/{organization_id}/subscriptions/", None),
            ("post", "/api/v2/organizations/{organization_id}/clusters/", Some(deploy)),
            ("get", "/api/v2/organizations/{organization_id}/clusters/", None),
            ("post", "/api/v2/organizations/{organization_id}/files/", Some(json!({ "name": "f" }))),
            ("get", "/api/v2/organizations/{organization_id}/files/", None),
            ("post", "/api/v2/organizations/{organization_id}/secrets/", Some(secret)),
            ("get", "/api/v2/organizations/{organization_id}/secrets/", None),
            ("get", "/api/v2/projects/", None),
            ("post", "/api/v2/projects/", Some(json!({ "name": "p", "organization_id": organization }))),
            ("get", "/api/v2/projects/{project_id}/", None),
            ("patch", "/api/v2/projects/{project_id}/", Some(json!({ "name": "q" }))),
            ("delete", "/api/v2/projects/{project_id}/", None),
            ("get", "/api/v2/projects/{project_id}/clusters/", None),
            ("get", "/api/v2/subscriptions/", None),
            ("post", "/api/v2/subscriptions/", Some(json!({ "type": "contract", "organization_id": organization }))),
            ("get", "/api/v2/subscriptions/{subscription_id}/", None),
            ("get", "/api/v2/products/", None),
            ("get", "/api/v2/products/{kind}/", None),
            ("get", "/api/v2/products/clusters/price", None),
            ("get", "/api/v2/regions/", None),
            ("post", "/api/v2/clusters/{cluster_id}/import-jobs/", Some(import)),
            ("post", "/api/v2/clusters/{cluster_id}/import-jobs/", Some(json!({}))),
            ("get", "/api/v2/clusters/{cluster_id}/import-jobs/", None),
            ("post", "/api/v2/clusters/{cluster_id}/export-jobs/", Some(export)),
            ("get", "/api/v2/clusters/{cluster_id}/export-jobs/", None),
            ("get", "/api/v2/clusters/{cluster_id}/snapshots/", None),
            (
                "post",
                "/api/v2/clusters/{cluster_id}/snapshots/restore/",
                Some(json!({ "repository": "r", "snapshot": "s" })),
            ),
            ("get", "/api/v2/clusters/{cluster_id}/metrics/{metric_id}/", None),
            ("get", "/api/v2/clusters/{cluster_id}/available-products/", None),
            ("get", "/api/v2/clusters/{cluster_id}/available-upgrades/", None),
            ("delete", "/api/v2/clusters/{cluster_id}/nodes/{ordinal}", None),
            ("put", "/api/v2/clusters/{cluster_id}/scale/", Some(json!({ "product_unit": 1 }))),
            ("put", "/api/v2/clusters/{cluster_id}/upgrade/", Some(json!({ "crate_version": "6.4.2" }))),
            (
                "put",
                "/api/v2/clusters/{cluster_id}/storage/",
                Some(json!({ "disk_size_per_node_bytes": 99_999_999_999_i64 })),
            ),
            ("put", "/api/v2/clusters/{cluster_id}/product/", Some(json!({ "product_name": "cr2" }))),
            ("put", "/api/v2/clusters/{cluster_id}/backup-schedule/", Some(json!({ "backup_hours": "2,4" }))),
            (
                "put",
                "/api/v2/clusters/{cluster_id}/ip-restrictions/",
                Some(json!({ "ip_whitelist": [{ "cidr": "10.0.0.0/8", "description": "lab" }] })),
            ),
            ("patch", "/api/v2/clusters/{cluster_id}/", Some(json!({ "password": "another-password-of-24-letters" }))),
            ("put", "/api/v2/clusters/{cluster_id}/suspend/", Some(json!({ "suspended": true }))),
            ("put", "/api/v2/clusters/{cluster_id}/suspend/", Some(json!({ "suspended": "no" }))),
            ("put", "/api/v2/clusters/{cluster_id}/deletion-protection/", Some(json!({ "deletion_protected": false }))),
            ("get", "/api/v2/clusters/{cluster_id}/metrics/{metric_id}/", None),
            ("get", "/api/v2/clusters/", None),
            ("get", "/api/v2/clusters/{cluster_id}/", None),
            ("get", "/api/v2/clusters/{cluster_id}/operations/", None),
            ("get", "/api/v2/clusters/{cluster_id}/jwt/", None),
            ("post", "/api/v2/meta/jwt/refresh/", Some(json!({ "refresh_token": "unknown" }))),
            ("get", "/api/v2/meta/", None),
            ("get", "/api/v2/meta/cratedb-versions/", None),
            ("get", "/api/v2/meta/jwk/", None),
        ]
    }

    /// Reads and deletes the resources that were made before.
    fn requests_of_made_things(&self) -> Vec<Asked> {
        vec![
            ("get", "/api/v2/users/me/api-keys/{api_key}/", None),
            ("patch", "/api/v2/users/me/api-keys/{api_key}/", Some(json!({ "active": false }))),
            ("delete", "/api/v2/users/me/api-keys/{api_key}/", None),
            ("get", "/api/v2/organizations/{organization_id}/files/{file_id}/", None),
            ("delete", "/api/v2/organizations/{organization_id}/files/{file_id}/", None),
            ("delete", "/api/v2/organizations/{organization_id}/secrets/{secret_id}/", None),
            ("get", "/api/v2/clusters/{cluster_id}/import-jobs/{import_job_id}/", None),
            ("get", "/api/v2/clusters/{cluster_id}/import-jobs/{import_job_id}/progress/", None),
            ("delete", "/api/v2/clusters/{cluster_id}/import-jobs/{import_job_id}/", None),
            ("get", "/api/v2/clusters/{cluster_id}/export-jobs/{export_job_id}/", None),
            ("delete", "/api/v2/clusters/{cluster_id}/export-jobs/{export_job_id}/", None),
            ("delete", "/api/v2/subscriptions/{subscription_id}/", None),
            ("delete", "/api/v2/clusters/{cluster_id}/", None),
        ]
    }
}
