//! The control plane's answers, request by request.

use std::time::Duration;

use serde_json::{Value, json};

use super::catalog::Product;
use super::deploy::Given;
use super::faults::FaultPlan;
use super::operation::Effect;
use super::*;

const START: Micros = 1_767_607_200_000_000;
const SECOND: Micros = 1_000_000;

pub(super) struct World {
    pub(super) state: State,
    pub(super) now: Micros,
}

impl World {
    fn new(pace: Pace) -> Self {
        Self { state: State::new(Beginning { now: START, seed: 1, pace }), now: START }
    }

    pub(super) fn with_cluster(suspended: bool, pace: Pace) -> (Self, String) {
        let mut world = Self::new(pace);
        let id = world.state.give(START, given("ci", "cr1", suspended));
        (world, id)
    }

    pub(super) fn ask(&mut self, call: ApiCall) -> ApiAnswer {
        self.state.on(self.now, call)
    }

    fn put_suspended(&mut self, id: &str, suspended: bool) -> ApiAnswer {
        self.ask(ApiCall::Suspend(id.into(), json!({ "suspended": suspended })))
    }

    fn get(&mut self, id: &str) -> Value {
        body(self.ask(ApiCall::Cluster(id.into())), 200)
    }

    fn operations(&mut self, id: &str, query: &[(&str, &str)]) -> Vec<Value> {
        let query = query.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        body(self.ask(ApiCall::Operations(id.into(), query)), 200)["operations"].as_array().unwrap().clone()
    }

    fn deploy(&mut self, cluster: Value, rest: Value) -> ApiAnswer {
        let mut body = json!({ "cluster": cluster });
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let organization = self.state.first_organization();
        self.ask(ApiCall::Deploy { organization, body, url: "http://127.0.0.1:1".into() })
    }

    fn project(&mut self) -> String {
        body(self.ask(ApiCall::Projects), 200)[0]["id"].as_str().unwrap().into()
    }
}

fn given(name: &str, product: &str, suspended: bool) -> Given {
    let product = Product::named(product).unwrap();
    Given {
        id: None,
        name: name.into(),
        product,
        version: "6.4.3".into(),
        username: "admin".into(),
        password: "p".into(),
        suspended,
        allow_suspend: product.can_be_suspended(),
        protected: false,
        auth: true,
        organization: None,
        project: None,
        url: "http://127.0.0.1:1".into(),
    }
}

fn free_cluster() -> Value {
    json!({
        "name": "testcluster", "crate_version": "5.10.4", "channel": "stable", "product_name": "crfree",
        "product_tier": "default", "username": "admin", "password": "at-least-24-characters-here",
    })
}

#[track_caller]
fn body(answer: ApiAnswer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    answer.body.unwrap_or_default()
}

fn errors(answer: ApiAnswer) -> Value {
    let body = body(answer, 400);
    assert_eq!((&body["success"], &body["message"]), (&json!(false), &json!("Bad request")));
    body["errors"].clone()
}

const AT_ONCE: Pace = Pace::Auto(Duration::ZERO);

#[test]
fn a_suspend_answers_with_the_old_state_and_the_flag_flips_when_the_operation_succeeds() {
    let (mut world, id) = World::with_cluster(false, Pace::Auto(Duration::from_secs(2)));
    let answer = body(world.put_suspended(&id, true), 200);
    assert_eq!((&answer["suspended"], &answer["health"]["running_operation"]), (&json!(false), &json!("SUSPEND")));
    let operation = answer["last_async_operation"].clone();
    assert_eq!((&operation["type"], &operation["status"]), (&json!("SUSPEND"), &json!("REGISTERED")));

    for (after, status) in [(0, "REGISTERED"), (2, "SENT"), (5, "IN_PROGRESS"), (19, "IN_PROGRESS")] {
        world.now = START + after * SECOND / 10;
        let listed = world.operations(&id, &[("type", "SUSPEND"), ("limit", "1")]);
        assert_eq!((&listed[0]["id"], &listed[0]["status"]), (&operation["id"], &json!(status)));
        assert_eq!(world.get(&id)["suspended"], false);
    }
    world.now = START + 3 * SECOND;
    let after = world.get(&id);
    assert_eq!((&after["suspended"], &after["health"]["status"]), (&json!(true), &json!("SUSPENDED")));
    assert_eq!(after["health"]["running_operation"], "");
    // The time of the event, not that of the request that noticed.
    assert_eq!(after["last_async_operation"]["dc"]["modified"], stamp::utc(START + 2 * SECOND));
}

#[test]
fn a_resume_is_an_operation_of_type_suspend() {
    let (mut world, id) = World::with_cluster(true, AT_ONCE);
    assert_eq!(body(world.put_suspended(&id, false), 200)["suspended"], true);
    let listed = world.operations(&id, &[("type", "SUSPEND")]);
    assert_eq!((&listed[0]["type"], &listed[0]["status"]), (&json!("SUSPEND"), &json!("SUCCEEDED")));
    let after = world.get(&id);
    assert_eq!((&after["suspended"], &after["health"]["status"]), (&json!(false), &json!("GREEN")));
}

#[test]
fn a_second_operation_is_refused_with_the_exact_text() {
    let (mut world, id) = World::with_cluster(false, Pace::Explicit);
    world.put_suspended(&id, true);
    let refusal = body(world.put_suspended(&id, false), 400);
    assert_eq!(refusal["message"], "Another cluster operation is currently in progress, please try again later.");
    assert_eq!(world.operations(&id, &[("type", "SUSPEND")]).len(), 1);
}

#[test]
fn steps_move_an_operation_by_one_status() {
    let (mut world, id) = World::with_cluster(false, Pace::Explicit);
    world.put_suspended(&id, true);
    for status in ["SENT", "IN_PROGRESS", "SUCCEEDED"] {
        world.now += 3600 * SECOND;
        assert_eq!(world.state.step(world.now), 1);
        assert_eq!(world.operations(&id, &[])[0]["status"], status);
    }
    assert_eq!(world.state.step(world.now), 0);
}

#[test]
fn asking_for_what_is_so_already_is_an_operation_that_is_over_at_once() {
    let (mut world, id) = World::with_cluster(true, Pace::Explicit);
    let answer = body(world.put_suspended(&id, true), 200);
    assert_eq!(answer["last_async_operation"]["status"], "SUCCEEDED");
    assert_eq!(world.get(&id)["suspended"], true);
}

#[test]
fn what_is_no_boolean_does_not_suspend() {
    let (mut world, id) = World::with_cluster(false, AT_ONCE);
    let mut put = |body: Value| errors(world.ask(ApiCall::Suspend(id.clone(), body)));
    assert_eq!(put(json!({})), json!({ "suspended": ["Missing data for required field."] }));
    assert_eq!(put(json!({ "suspended": "true" })), json!({ "suspended": ["Not a valid boolean."] }));
    assert_eq!(put(json!({ "suspended": true, "now": 1 })), json!({ "now": ["Unknown field."] }));
    assert_eq!(put(Value::Null)["_schema"], json!(["Invalid input type."]));
}

#[test]
fn a_free_cluster_can_be_resumed_but_not_suspended() {
    let mut world = World::new(AT_ONCE);
    let id = world.state.give(START, given("free", "crfree", true));
    assert_eq!(world.get(&id)["allow_suspend"], false);
    body(world.put_suspended(&id, false), 200);
    assert_eq!(world.get(&id)["suspended"], false);
    let refusal = body(world.put_suspended(&id, true), 400);
    assert_eq!(refusal["message"], "Clusters of product crfree cannot be suspended.");
}

#[test]
fn a_failed_operation_changes_nothing_and_says_why() {
    let (mut world, id) = World::with_cluster(true, AT_ONCE);
    world.state.plan("ci", FaultPlan { failure: Some("no capacity".into()), ..FaultPlan::default() });
    world.put_suspended(&id, false);
    let listed = world.operations(&id, &[("limit", "1")]);
    assert_eq!(
        (&listed[0]["status"], &listed[0]["feedback_data"]),
        (&json!("FAILED"), &json!({ "message": "no capacity" }))
    );
    assert_eq!(world.get(&id)["suspended"], true);
    world.put_suspended(&id, false);
    assert_eq!(world.get(&id)["suspended"], false, "the plan was for one operation");
}

#[test]
fn a_lost_operation_is_accepted_and_never_listed() {
    let (mut world, id) = World::with_cluster(true, AT_ONCE);
    world.state.plan(&id, FaultPlan { lost: true, ..FaultPlan::default() });
    body(world.put_suspended(&id, false), 200);
    assert_eq!(world.operations(&id, &[("type", "SUSPEND")]), Vec::<Value>::new());
    assert_eq!(world.get(&id)["suspended"], true);
}

#[test]
fn a_hidden_operation_does_its_work_unseen() {
    let (mut world, id) = World::with_cluster(true, AT_ONCE);
    world.state.plan(&id, FaultPlan { hidden: true, ..FaultPlan::default() });
    world.put_suspended(&id, false);
    let after = world.get(&id);
    assert_eq!((&after["suspended"], &after["last_async_operation"]["type"]), (&json!(false), &json!("CREATE")));
    assert_eq!(world.operations(&id, &[("type", "SUSPEND")]), Vec::<Value>::new());
}

#[test]
fn a_foreign_operation_blocks_until_its_time_is_over() {
    let (mut world, id) = World::with_cluster(true, AT_ONCE);
    let pace = Pace::Auto(Duration::from_secs(5));
    assert!(world.state.foreign(world.now, "ci", Effect::Foreign("SCALE".into()), pace));
    assert_eq!(world.get(&id)["health"]["running_operation"], "SCALE");
    assert_eq!(body(world.put_suspended(&id, false), 400)["message"], CONFLICT);
    world.now += 5 * SECOND;
    body(world.put_suspended(&id, false), 200);
}

#[test]
fn frozen_health_lags_behind() {
    let (mut world, id) = World::with_cluster(true, AT_ONCE);
    assert!(world.state.freeze_health(world.now, "ci", true));
    world.put_suspended(&id, false);
    let after = world.get(&id);
    assert_eq!((&after["suspended"], &after["health"]["status"]), (&json!(false), &json!("SUSPENDED")));
    world.state.freeze_health(world.now, "ci", false);
    assert_eq!(world.get(&id)["health"]["status"], "GREEN");
}

#[test]
fn a_deploy_begins_unreachable_and_ends_green() {
    let mut world = World::new(Pace::Auto(Duration::from_secs(1)));
    let project = world.project();
    let answer = world.deploy(free_cluster(), json!({ "subscription_id": "free_tier", "project_id": project }));
    let made = body(answer, 201);
    assert_eq!(made["health"], json!({ "status": "UNREACHABLE", "running_operation": "CREATE", "last_seen": "" }));
    assert_eq!((&made["suspended"], &made["num_nodes"], &made["product_unit"]), (&json!(false), &json!(1), &json!(0)));
    assert_eq!(made["fqdn"], "testcluster.eks1.eu-west-1.aws.cratedb.net.");
    assert!(made.get("password").is_none() && made.get("organization_id").is_none());
    world.now += SECOND;
    let id = made["id"].as_str().unwrap();
    assert_eq!(world.get(id)["health"]["status"], "GREEN");
    assert_eq!(world.operations(id, &[("type", "CREATE"), ("limit", "1")])[0]["status"], "SUCCEEDED");
}

#[test]
fn a_deploy_can_make_its_project() {
    let mut world = World::new(AT_ONCE);
    let project = json!({ "name": "testcluster", "region": "aks1.westeurope.azure" });
    let made = body(world.deploy(free_cluster(), json!({ "subscription_id": "free_tier", "project": project })), 201);
    assert_eq!(made["fqdn"], "testcluster.aks1.westeurope.azure.cratedb.net.");
    let id = made["project_id"].as_str().unwrap().to_owned();
    let project = body(world.ask(ApiCall::Project(id)), 200);
    assert_eq!((&project["name"], &project["backup_location"]), (&json!("testcluster"), &Value::Null));
    assert!(project.as_object().unwrap().contains_key("backup_location"));
}

#[test]
fn an_organization_has_one_free_cluster() {
    let mut world = World::new(AT_ONCE);
    let project = world.project();
    let rest = json!({ "subscription_id": "free_tier", "project_id": project });
    let first = body(world.deploy(free_cluster(), rest.clone()), 201);
    assert_eq!(first["allow_suspend"], false);
    assert!(body(world.deploy(free_cluster(), rest.clone()), 400)["message"].as_str().unwrap().contains("free tier"));
    assert_eq!(world.ask(ApiCall::Delete(first["id"].as_str().unwrap().into())), ApiAnswer::no_content());
    body(world.deploy(free_cluster(), rest), 201);
}

#[test]
fn every_problem_of_a_deploy_is_named_at_its_field() {
    let mut world = World::new(AT_ONCE);
    let project = world.project();
    let mut problems = |field: &str, value: Value| {
        let mut cluster = free_cluster();
        cluster[field] = value;
        let rest = json!({ "subscription_id": "free_tier", "project_id": project });
        errors(world.deploy(cluster, rest))["cluster"][field].clone()
    };
    assert_eq!(problems("password", "short".into()), json!(["Shorter than minimum length 24."]));
    assert_eq!(problems("name", "ab".into()), json!(["Length must be between 3 and 63."]));
    assert_eq!(problems("name", "Not.A.Host".into()), json!(["String does not match expected pattern."]));
    assert_eq!(problems("crate_version", "1.2.3".into()), json!(["No such version in channel stable."]));
    assert_eq!(problems("channel", "weekly".into()), json!(["Must be one of: stable, testing, nightly."]));
    assert_eq!(problems("product_tier", "gold".into()), json!(["Must be one of: default."]));
    assert_eq!(problems("product_unit", 1.into()), json!(["Must be between 0 and 0."]));
    assert_eq!(problems("username", 7.into()), json!(["Not a valid string."]));
    assert_eq!(problems("size", 7.into()), json!(["Unknown field."]));
    assert!(problems("product_name", "cr9".into())[0].as_str().unwrap().starts_with("Must be one of: crfree"));
}

#[test]
fn a_deploy_needs_a_subscription_and_a_place() {
    let mut world = World::new(AT_ONCE);
    let project = world.project();
    let none = errors(world.deploy(free_cluster(), json!({})));
    assert_eq!(none["subscription_id"], json!(["Missing data for required field."]));
    assert_eq!(none["project_id"], json!(["Give either project_id or project."]));
    let wrong = errors(world.deploy(free_cluster(), json!({ "subscription_id": "mine", "project_id": "x" })));
    assert_eq!(wrong["subscription_id"], json!(["Product crfree needs another subscription."]));
    assert_eq!(wrong["project_id"], json!(["String does not match expected pattern."]));
    let nowhere = json!({ "subscription_id": "free_tier", "project": { "name": "a", "region": "moon" } });
    assert!(errors(world.deploy(free_cluster(), nowhere))["project"]["region"][0].as_str().unwrap().contains("eks1"));
    assert_eq!(world.state.clusters().len(), 0, "nothing was made of {project}");
}

#[test]
fn a_protected_cluster_is_not_deleted() {
    let (mut world, id) = World::with_cluster(false, AT_ONCE);
    let protect = |on: bool| ApiCall::Protect(id.clone(), json!({ "deletion_protected": on }));
    assert_eq!(body(world.ask(protect(true)), 200)["deletion_protected"], true);
    body(world.ask(ApiCall::Delete(id.clone())), 400);
    world.ask(protect(false));
    assert_eq!(world.ask(ApiCall::Delete(id.clone())), ApiAnswer::no_content());
    assert_eq!(world.ask(ApiCall::Cluster(id.clone())), ApiAnswer::not_found());
}

#[test]
fn what_is_unknown_is_not_found() {
    let mut world = World::new(AT_ONCE);
    let id = || "00000000-0000-4000-8000-000000000000".to_owned();
    let calls = [
        ApiCall::Cluster(id()),
        ApiCall::Delete(id()),
        ApiCall::Suspend(id(), json!({ "suspended": true })),
        ApiCall::Protect(id(), json!({ "deletion_protected": true })),
        ApiCall::Operations(id(), QueryPairs::new()),
        ApiCall::Organization(id()),
        ApiCall::OrganizationProjects(id()),
        ApiCall::Deploy { organization: id(), body: json!({}), url: String::new() },
        ApiCall::Project(id()),
        ApiCall::Subscription(id()),
    ];
    for call in calls {
        let shown = format!("{call:?}");
        let answer = world.ask(call);
        assert_eq!(body(answer, 404), json!({ "success": false, "message": "Resource not found." }), "{shown}");
    }
}

#[test]
fn nothing_is_listed_inside_of_what_is_unknown() {
    let (mut world, _) = World::with_cluster(false, AT_ONCE);
    let id = || "00000000-0000-4000-8000-000000000000".to_owned();
    let calls = [
        ApiCall::OrganizationClusters(id(), QueryPairs::new()),
        ApiCall::OrganizationSubscriptions(id()),
        ApiCall::OrganizationRegions(id()),
        ApiCall::ProjectClusters(id(), QueryPairs::new()),
    ];
    for call in calls {
        assert_eq!(body(world.ask(call), 200), json!([]));
    }
}

#[test]
fn operations_are_listed_newest_first_and_filtered() {
    let (mut world, id) = World::with_cluster(false, AT_ONCE);
    for suspended in [true, false, true] {
        world.now += SECOND;
        world.put_suspended(&id, suspended);
    }
    world.state.plan(&id, FaultPlan { failure: Some("no".into()), ..FaultPlan::default() });
    world.now += SECOND;
    world.put_suspended(&id, false);
    let count = |world: &mut World, query: &[(&str, &str)]| world.operations(&id, query).len();
    assert_eq!(count(&mut world, &[]), 5);
    assert_eq!(count(&mut world, &[("type", "SUSPEND")]), 4);
    assert_eq!(count(&mut world, &[("type", "SUSPEND"), ("limit", "2")]), 2);
    assert_eq!(count(&mut world, &[("statuses", "FAILED")]), 1);
    assert_eq!(count(&mut world, &[("statuses", "FAILED"), ("statuses", "SUCCEEDED")]), 5);
    assert_eq!(count(&mut world, &[("start", "2026-01-05T10:00:02Z")]), 3);
    assert_eq!(count(&mut world, &[("end", "2026-01-05T10:00:02Z")]), 3);
    let all = world.operations(&id, &[]);
    let created: Vec<_> = all.iter().map(|one| one["dc"]["created"].as_str().unwrap()).collect();
    assert!(created.windows(2).all(|pair| pair[0] >= pair[1]), "{created:?}");
    let bad = world.ask(ApiCall::Operations(id.clone(), vec![("limit".into(), "all".into())]));
    assert_eq!(errors(bad), json!({ "limit": ["Not a valid integer."] }));
}

#[test]
fn clusters_are_filtered_by_product_project_and_subscription() {
    let mut world = World::new(AT_ONCE);
    world.state.give(START, given("a", "cr1", false));
    world.state.give(START, given("b", "crfree", true));
    let mut count = |name: &str, value: &str| {
        body(world.ask(ApiCall::Clusters(vec![(name.into(), value.into())])), 200).as_array().unwrap().len()
    };
    assert_eq!((count("product_name", "cr1"), count("subscription_id", "free_tier")), (1, 1));
    assert_eq!((count("project_id", "elsewhere"), count("other", "x")), (0, 2));
}

#[test]
fn a_cluster_that_was_never_created_can_neither_be_suspended_nor_resumed() {
    let mut world = World::new(AT_ONCE);
    let project = world.project();
    world.state.plan("testcluster", FaultPlan { failure: Some("no quota".into()), ..FaultPlan::default() });
    let rest = json!({ "subscription_id": "free_tier", "project_id": project });
    let id = body(world.deploy(free_cluster(), rest), 201)["id"].as_str().unwrap().to_owned();
    assert_eq!(world.operations(&id, &[])[0]["feedback_data"]["message"], "no quota");
    world.put_suspended(&id, false);
    assert_eq!(world.operations(&id, &[("limit", "1")])[0]["status"], "FAILED");
    assert_eq!(world.get(&id)["health"]["status"], "UNREACHABLE");
}

#[test]
fn ids_are_lower_case_uuids_and_differ() {
    let mut state = World::new(AT_ONCE).state;
    let ids: std::collections::HashSet<_> = (0..1000).map(|_| state.new_id()).collect();
    assert!(ids.len() == 1000 && ids.iter().all(|id| checks::is_uuid(id)));
}
