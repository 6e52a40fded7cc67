//! Our answers against the vendor's OpenAPI document, where a copy of it is at hand.

use std::io::Write;
use std::path::PathBuf;

use cratedb_cloud_simulator::{ClusterOptions, Options};
use serde_json::{Value, json};

use super::support::{api, path, start};

/// Where the document says two things: it describes an empty string and lists only the others.
const EXCEPTIONS: [(&str, &str); 1] = [("/health/running_operation", "")];

/// The document, or why there is none.
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

/// What contradicts a schema, as lines with a path.
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
    let simulator = start(Options::default().cluster(ClusterOptions::suspended("ci")));
    let id = simulator.cloud().cluster("ci").id;
    let mut api = api(&simulator);
    let organization = api.get("/api/v2/organizations/").expect(200)[0]["id"].as_str().unwrap().to_owned();
    let project = api.get("/api/v2/projects/").expect(200)[0]["id"].as_str().unwrap().to_owned();
    let subscription = api.get("/api/v2/subscriptions/").expect(200)[0]["id"].as_str().unwrap().to_owned();
    let deploy = json!({
        "cluster": { "name": "fresh", "crate_version": "6.4.3", "product_name": "crfree", "product_tier": "default",
            "username": "admin", "password": "at-least-24-characters-here" },
        "subscription_id": "free_tier", "project_id": project,
    });
    let named = |template: &str| {
        let named =
            [("cluster", &id), ("organization", &organization), ("project", &project), ("subscription", &subscription)];
        named.iter().fold(template.to_owned(), |path, (what, id)| path.replace(&format!("{{{what}_id}}"), id))
    };
    let requests = [
        ("get", "/api/v2/users/me/", None),
        ("get", "/api/v2/organizations/", None),
        ("get", "/api/v2/organizations/{organization_id}/", None),
        ("get", "/api/v2/organizations/{organization_id}/projects/", None),
        ("get", "/api/v2/organizations/{organization_id}/regions/", None),
        ("get", "/api/v2/organizations/{organization_id}/subscriptions/", None),
        ("post", "/api/v2/organizations/{organization_id}/clusters/", Some(deploy)),
        ("get", "/api/v2/organizations/{organization_id}/clusters/", None),
        ("get", "/api/v2/projects/", None),
        ("post", "/api/v2/projects/", Some(json!({ "name": "p", "organization_id": organization }))),
        ("get", "/api/v2/projects/{project_id}/", None),
        ("get", "/api/v2/projects/{project_id}/clusters/", None),
        ("get", "/api/v2/subscriptions/", None),
        ("get", "/api/v2/subscriptions/{subscription_id}/", None),
        ("get", "/api/v2/products/", None),
        ("get", "/api/v2/regions/", None),
        ("put", "/api/v2/clusters/{cluster_id}/suspend/", Some(json!({ "suspended": false }))),
        ("put", "/api/v2/clusters/{cluster_id}/suspend/", Some(json!({ "suspended": "no" }))),
        ("put", "/api/v2/clusters/{cluster_id}/deletion-protection/", Some(json!({ "deletion_protected": false }))),
        ("get", "/api/v2/clusters/", None),
        ("get", "/api/v2/clusters/{cluster_id}/", None),
        ("get", "/api/v2/clusters/{cluster_id}/operations/", None),
        ("get", "/api/v2/clusters/{cluster_id}/jwt/", None),
        ("get", "/api/v2/meta/", None),
        ("get", "/api/v2/meta/cratedb-versions/", None),
        ("get", "/api/v2/meta/jwk/", None),
    ];
    let mut problems = Vec::new();
    for (method, template, body) in requests {
        let body = body.map(|body| body.to_string());
        let reply = api.send(&method.to_uppercase(), &named(template), body.as_deref()).unwrap();
        let documented = &root["paths"][template][method]["responses"][reply.status.to_string()];
        assert!(documented.is_object(), "{method} {template}: {} is not documented: {}", reply.status, reply.text);
        let response = match documented["$ref"].as_str() {
            Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
            None => documented,
        };
        let schema = &response["content"]["application/json"]["schema"];
        check(&root, schema, &reply.json(), &format!("{method} {template}"), &mut problems);
    }
    assert!(problems.is_empty(), "{problems:#?}");
    let gone = api.send("DELETE", &path(&id, ""), None).unwrap();
    assert!(
        root["paths"]["/api/v2/clusters/{cluster_id}/"]["delete"]["responses"][gone.status.to_string()].is_object()
    );
}
