//! Random histories against the rules that must hold for every order of requests.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::catalog::Product;
use super::cluster::Presence;
use super::deploy::Given;
use super::faults::FaultPlan;
use super::jobs::Progress;
use super::operation::{Effect, Status};
use super::*;

/// Number of histories in the test suite; `SIMULATOR_FUZZ` sets another one.
const HISTORIES: u64 = 2_000;
const STEPS: u64 = 40;
const NAMES: [&str; 3] = ["one", "two", "free"];

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// The clusters before a step.
type Seen = HashMap<String, (Presence, Vec<(String, Status)>, bool)>;

fn see(state: &State) -> Seen {
    let look = |cluster: &Cluster| {
        let operations = cluster.operations.iter().map(|one| (one.id.clone(), one.status)).collect();
        (cluster.id.clone(), (cluster.presence, operations, cluster.pending().is_some()))
    };
    state.clusters().iter().map(look).collect()
}

fn begin(random: &mut Random) -> State {
    let pace = match random.below(3) {
        0 => Pace::Explicit,
        1 => Pace::Auto(Duration::ZERO),
        _ => Pace::Auto(Duration::from_secs(random.below(20))),
    };
    let mut state = State::new(Beginning { now: 0, seed: random.below(u64::MAX >> 34), pace });
    for (name, product) in [("one", "cr1"), ("free", "crfree")] {
        let product = Product::named(product).unwrap();
        state.give(
            0,
            Given {
                id: None,
                name: name.into(),
                product,
                version: "6.4.3".into(),
                username: "admin".into(),
                password: "p".into(),
                suspended: random.below(2) == 0,
                allow_suspend: product.can_be_suspended(),
                protected: false,
                auth: true,
                organization: None,
                project: None,
                url: String::new(),
            },
        );
    }
    state
}

fn step(state: &mut State, now: Micros, random: &mut Random) -> Option<ApiAnswer> {
    let name = random.pick(&NAMES);
    let id = state.find(name).map_or_else(|| "missing".into(), |cluster| cluster.id.clone());
    let call = match random.below(16) {
        0..=3 => ApiCall::Suspend(id, json!({ "suspended": random.below(2) == 0 })),
        4 => ApiCall::Cluster(id),
        5 => ApiCall::Operations(id, QueryPairs::new()),
        6 if random.below(4) == 0 => ApiCall::Delete(id),
        6 => ApiCall::Clusters(QueryPairs::new()),
        7 => {
            ApiCall::Deploy { organization: state.first_organization(), body: deploy(state, name), url: String::new() }
        }
        8 => {
            state.plan(name, plan(random));
            return None;
        }
        9 => {
            state.step(now);
            return None;
        }
        10 => change(random, id),
        11 => job(random, state, id),
        12 => around(random, state),
        13 => {
            work(random, state, now);
            return None;
        }
        14 => {
            let pace = random.pick(&[Pace::Explicit, Pace::Auto(Duration::from_secs(3))]);
            let effect = random.pick(&["SCALE", "UPGRADE"]);
            state.foreign(now, name, Effect::Foreign(effect.into()), pace);
            return None;
        }
        _ => {
            state.release(name);
            return None;
        }
    };
    Some(state.on(now, call))
}

/// A change of a cluster, valid or not.
fn change(random: &mut Random, id: String) -> ApiCall {
    let n = random.below(11) as i64 - 1;
    match random.below(9) {
        0 => ApiCall::Scale(id, json!({ "product_unit": n })),
        1 => ApiCall::Upgrade(id, json!({ "crate_version": random.pick(&["6.4.3", "6.4.2", "6.5.0", "1"]) })),
        2 => ApiCall::ExpandStorage(id, json!({ "disk_size_per_node_bytes": n << 36 })),
        3 => ApiCall::ChangeProduct(id, json!({ "product_name": random.pick(&["cr1", "cr2", "s2", "crfree"]) })),
        4 => ApiCall::ChangeBackups(id, json!({ "backup_hours": random.pick(&["1,2", "*", "24", ""]) })),
        5 => ApiCall::Restrict(id, json!({ "ip_whitelist": [{ "cidr": random.pick(&["10.0.0.0/8", "moon"]) }] })),
        6 => ApiCall::ChangePassword(id, json!({ "password": "x".repeat(n.max(0) as usize * 4) })),
        7 => ApiCall::RestartNode(id, n.to_string()),
        _ => ApiCall::Transfer(id, json!({ "subscription_id": "free_tier" }), n > 3),
    }
}

/// A request about jobs and snapshots of a cluster.
fn job(random: &mut Random, state: &State, id: String) -> ApiCall {
    let known = state.jobs.last().map_or_else(|| "missing".into(), |job| job.id.clone());
    let import =
        json!({ "type": "url", "format": "csv", "destination": { "table": "t" }, "url": { "url": "http://x/" } });
    let export = json!({ "source": { "table": "t" }, "destination": { "format": random.pick(&["json", "xml"]) } });
    match random.below(9) {
        0 | 1 => ApiCall::CreateImportJob(id, import),
        2 => ApiCall::CreateExportJob(id, export),
        3 => ApiCall::ImportJob(id, known),
        4 => ApiCall::JobFiles(id, known, QueryPairs::new()),
        5 => ApiCall::DeleteImportJob(id, known),
        6 => ApiCall::ExportJobs(id),
        7 => ApiCall::Snapshots(id, QueryPairs::new()),
        _ => {
            let shown = state.snapshots.last().and_then(|one| state.show_snapshot(&one.id)).unwrap_or_default();
            ApiCall::Restore(
                id,
                json!({ "repository": shown["repository"], "snapshot": shown["snapshot"], "source_cluster_id": shown["cluster_id"] }),
            )
        }
    }
}

/// A request about the account around the clusters.
fn around(random: &mut Random, state: &State) -> ApiCall {
    let organization = state.first_organization();
    let project = state.account.projects.last().map(|one| one.id.clone()).unwrap_or_default();
    let file = state.files.last().map(|one| one.id.clone()).unwrap_or_default();
    let name = random.pick(&["a", "", "-"]);
    match random.below(12) {
        0 => ApiCall::CreateApiKey,
        1 => ApiCall::ApiKeys,
        2 => ApiCall::CreateOrganization(json!({ "name": name })),
        3 => ApiCall::EditOrganization(organization, json!({ "name": name })),
        4 => ApiCall::DeleteOrganization(
            state.account.organizations.last().map(|one| one.id.clone()).unwrap_or_default(),
        ),
        5 => ApiCall::Quotas(organization),
        6 => ApiCall::EditProject(project, json!({ "name": name })),
        7 => ApiCall::DeleteProject(project),
        8 => ApiCall::CreateFile(organization, json!({ "name": name })),
        9 => ApiCall::DeleteFile(organization, file),
        10 => ApiCall::EditMe(json!({ "email": "a@b" })),
        _ => ApiCall::CreateProject(json!({ "name": name, "organization_id": organization })),
    }
}

/// Does the work that was ordered, or doesn't, and takes backups.
fn work(random: &mut Random, state: &mut State, now: Micros) {
    state.advance(now);
    state.take_snapshot(now, &state.find("one").map(|one| one.id.clone()).unwrap_or_default());
    for work in state.take_works() {
        let failure = (random.below(3) == 0).then(|| "did not work".to_owned());
        match work {
            Work::Import { job } | Work::Export { job } => state.job_done(now, &job, Progress::default(), failure),
            Work::Snapshot { snapshot } => state.snapshot_taken(&snapshot, failure.is_none().then(Vec::new)),
            Work::Restore { cluster, operation } => state.restored(now, &cluster, &operation, failure),
        }
    }
}

fn deploy(state: &State, name: &str) -> Value {
    let free = name == "free";
    let subscription = state.account.subscriptions.first().map(|one| one.id.clone()).unwrap_or_default();
    json!({
        "cluster": { "name": name, "crate_version": "6.4.3", "product_tier": "default", "username": "admin",
            "product_name": if free { "crfree" } else { "cr1" }, "password": "at-least-24-characters-here" },
        "subscription_id": if free { "free_tier".into() } else { subscription },
        "project_id": state.account.projects.first().map(|one| one.id.clone()).unwrap_or_default(),
    })
}

fn plan(random: &mut Random) -> FaultPlan {
    FaultPlan {
        failure: (random.below(3) == 0).then(|| "planned".into()),
        held: random.below(4) == 0,
        lost: random.below(5) == 0,
        hidden: random.below(5) == 0,
    }
}

/// Checks jobs: they move as operations do, and only they may wait for work.
fn check_jobs(state: &State) {
    for job in &state.jobs {
        let shown = job.show(json!({}));
        assert!(shown["progress"]["records"].is_u64() && shown["progress"]["percent"].is_f64(), "{shown}");
        assert!(shown["progress"]["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert!(state.by_id(&job.cluster).is_some(), "a job goes with its cluster: {job:?}");
    }
    let operations = state.clusters().iter().flat_map(|one| &one.operations);
    let waiting = operations.filter(|one| one.awaiting);
    assert!(waiting.clone().all(|one| one.effect.needs_work() && one.status == Status::InProgress));
    let kept = serde_json::to_string(state).unwrap();
    let again: State = serde_json::from_str(&kept).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), kept, "what is kept is what is read");
}

/// Checks the rules between two moments.
fn check(before: &Seen, state: &State, now: Micros) {
    for cluster in state.clusters() {
        let pending = cluster.operations.iter().filter(|one| !one.status.is_final()).count();
        assert!(pending <= 1, "one operation at a time: {cluster:?}");
        let finished_before = cluster.operations.len().saturating_sub(1);
        assert!(
            cluster.operations[..finished_before].iter().all(|one| one.status.is_final()),
            "the last one: {cluster:?}"
        );
        assert_eq!(cluster.is_running(), cluster.running_since.is_some(), "{cluster:?}");
        assert!(cluster.operations.iter().all(|one| one.created <= one.modified && one.modified <= now), "{cluster:?}");
        assert!(cluster.operations.is_sorted_by_key(|one| one.created), "{cluster:?}");
        assert_eq!(cluster.health(now)["running_operation"] == "", cluster.pending().is_none());
        let Some((presence, operations, was_pending)) = before.get(&cluster.id) else { continue };
        for (old, new) in operations.iter().zip(&cluster.operations) {
            assert_eq!(old.0, new.id, "operations are never forgotten or reordered");
            assert!(old.1 <= new.status, "a status never goes back: {cluster:?}");
            assert!(!old.1.is_final() || old.1 == new.status, "what is over stays over: {cluster:?}");
        }
        let places = state.account.projects.iter().filter(|project| project.id == cluster.project_id).count();
        assert_eq!(places, 1, "a cluster is in a project: {cluster:?}");
        if cluster.presence != *presence {
            let since = operations.len().saturating_sub(usize::from(*was_pending));
            let succeeded = cluster.operations[since..].iter().any(|one| one.status == Status::Succeeded);
            assert!(succeeded, "the flag flips only when an operation succeeds: {cluster:?}");
            assert_ne!(cluster.presence, Presence::Unborn, "{cluster:?}");
        }
    }
}

#[test]
fn no_history_breaks_a_rule() {
    let histories = std::env::var("SIMULATOR_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(HISTORIES);
    for seed in 0..histories {
        let mut random = Random(seed);
        let mut state = begin(&mut random);
        let mut now = 0;
        for _ in 0..STEPS {
            now += Micros::try_from(random.below(3_000_000)).unwrap();
            let before = see(&state);
            let was_busy = |id: &str| before.get(id).is_some_and(|(_, _, pending)| *pending);
            let refused_before = state.clusters().iter().filter(|cluster| was_busy(&cluster.id)).count();
            let answer = step(&mut state, now, &mut random);
            check(&before, &state, now);
            if let Some(answer) = answer {
                let known = [200, 201, 202, 204, 400, 403, 404];
                assert!(known.contains(&answer.status), "seed {seed}: {answer:?}");
                let conflict = answer.body.as_ref().is_some_and(|body| body["message"] == CONFLICT);
                assert!(!conflict || refused_before > 0, "seed {seed}: a conflict without an operation");
            }
            let free = state.clusters().iter().filter(|cluster| cluster.product.is_free()).count();
            assert!(free <= 1, "seed {seed}: one free cluster for an organization");
        }
        check_jobs(&state);
        drain(&mut state, now, seed);
    }
}

/// Checks that everything in flight ends: by time, or by steps.
fn drain(state: &mut State, mut now: Micros, seed: u64) {
    for _ in 0..100 {
        now += 3_600_000_000;
        work(&mut Random(seed), state, now);
        if state.step(now) == 0 && state.outbox.works.is_empty() {
            assert_eq!(state.next_move(), None, "seed {seed}: nothing is due when nothing is in flight");
            return;
        }
    }
    panic!("seed {seed}: operations without an end");
}
