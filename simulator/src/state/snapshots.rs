//! Backups: their schedule, their list and their restores. Their data is kept elsewhere.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checks::Problems;
use super::cluster::Cluster;
use super::imports::TableName;
use super::operation::Effect;
use super::read::parameter;
use super::{ApiAnswer, CONFLICT, Micros, QueryPairs, State, Work, stamp};

const MINUTE: Micros = 60_000_000;
const HOUR: Micros = 60 * MINUTE;
const DAY: Micros = 24 * HOUR;
/// Older ones are removed, and no list goes further back.
const KEPT: Micros = 14 * DAY;

/// One backup of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) cluster: String,
    project: String,
    repository: String,
    name: String,
    /// None until its data was copied.
    tables: Option<Vec<String>>,
    created: Micros,
}

/// The parts that a restore brings back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Restore {
    /// Id of the snapshot.
    pub(crate) snapshot: String,
    pub(crate) tables: Tables,
    pub(crate) views: bool,
    /// Users and their privileges.
    pub(crate) users: bool,
    pub(crate) settings: bool,
}

/// The tables to restore.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Tables {
    None,
    All,
    /// Schema and name.
    These(Vec<(String, String)>),
}

/// Returns the parts of a kind of restore or a section: tables, views, users, settings.
fn parts(word: &str) -> Option<[bool; 4]> {
    Some(match word {
        "all" => [true; 4],
        "metadata" => [false, true, true, true],
        "tables" => [true, false, false, false],
        "views" => [false, true, false, false],
        "users" | "privileges" => [false, false, true, false],
        // There are none here to restore.
        "analyzers" | "udfs" => [false; 4],
        _ => return None,
    })
}

impl Cluster {
    /// Returns the time of the next scheduled backup. Suspended clusters are not backed up.
    pub(super) fn next_backup(&self) -> Option<Micros> {
        let since = self.running_since?.max(self.backed_up);
        let mut words = self.backup_schedule.split(' ');
        let minute: Micros = words.next()?.parse().ok()?;
        let hours = words.next()?;
        // A bit for each hour: all clusters are asked at every request, so the words are read once.
        let wanted: u32 = match hours {
            "*" => u32::MAX,
            _ => hours.split(',').filter_map(|one| 1_u32.checked_shl(one.parse().ok()?)).fold(0, |all, one| all | one),
        };
        let day = since - since.rem_euclid(DAY);
        (0..48)
            .filter(|hour| wanted >> (hour % 24) & 1 == 1)
            .map(|hour| day + hour * HOUR + minute * MINUTE)
            .find(|at| *at > since)
    }
}

impl State {
    /// Takes the backups that are due up to now.
    pub(super) fn back_up(&mut self, now: Micros) {
        for at in 0..self.clusters.len() {
            // A cluster that is about to be suspended as idle gets no backups after that.
            let until = self.clusters[at].idle_due().map_or(now, |idle| idle.min(now));
            while let Some(due) = self.clusters[at].next_backup().filter(|due| *due <= until) {
                self.clusters[at].backed_up = due;
                if due > now - KEPT {
                    let id = self.clusters[at].id.clone();
                    self.take_snapshot(due, &id);
                }
            }
        }
        self.snapshots.retain(|one| one.created > now - KEPT);
    }

    /// Takes a backup and returns its id, or none if the cluster does not run.
    pub(crate) fn take_snapshot(&mut self, at: Micros, cluster: &str) -> Option<String> {
        let found = self.by_id(cluster).filter(|one| one.is_running())?;
        let (project, began) = (found.project_id.clone(), found.created);
        let mut created = at;
        // Two in the same second would have the same name.
        while self.snapshots.iter().any(|one| one.cluster == cluster && compact(one.created) == compact(created)) {
            created += 1_000_000;
        }
        let id = self.new_id();
        let repository = format!("system_backup_{}", compact(began));
        let (cluster, name) = (cluster.to_owned(), compact(created));
        self.snapshots.push(Snapshot { id: id.clone(), cluster, project, repository, name, tables: None, created });
        self.outbox.works.push(Work::Snapshot { snapshot: id.clone() });
        Some(id)
    }

    /// Notes that the data was copied. If it could not be, the snapshot is removed.
    pub(crate) fn snapshot_taken(&mut self, id: &str, tables: Option<Vec<String>>) {
        match tables {
            None => self.snapshots.retain(|one| one.id != id),
            tables => self.snapshots.iter_mut().filter(|one| one.id == id).for_each(|one| one.tables = tables.clone()),
        }
    }

    pub(crate) fn snapshot(&self, id: &str) -> Option<&Snapshot> {
        self.snapshots.iter().find(|one| one.id == id)
    }

    pub(crate) fn show_snapshot(&self, id: &str) -> Option<Value> {
        self.snapshot(id).map(Snapshot::show)
    }

    /// Lists the newest first, at most two weeks back from the newest.
    pub(super) fn list_snapshots(&self, cluster: &str, query: &QueryPairs) -> ApiAnswer {
        if self.by_id(cluster).is_none() {
            return ApiAnswer::not_found();
        }
        let date = |name: &str| parameter(query, name).and_then(stamp::parse_date);
        let (start, end) = (date("start"), date("end"));
        let mut found: Vec<_> =
            self.snapshots.iter().filter(|one| one.cluster == cluster && one.tables.is_some()).collect();
        found.retain(|one| start.is_none_or(|start| one.created >= start) && end.is_none_or(|end| one.created <= end));
        found.sort_by_key(|one| std::cmp::Reverse(one.created));
        let oldest = found.first().map_or(0, |newest| newest.created - KEPT);
        ApiAnswer::ok(found.into_iter().filter(|one| one.created >= oldest).map(Snapshot::show).collect())
    }

    pub(super) fn restore(&mut self, now: Micros, cluster: &str, body: &Value) -> ApiAnswer {
        let Some(found) = self.by_id(cluster) else { return ApiAnswer::not_found() };
        let mut problems =
            Problems::of(body, &["repository", "snapshot", "type", "tables", "sections", "source_cluster_id"]);
        let (repository, name) = (problems.name(body, "repository"), problems.name(body, "snapshot"));
        let kind = problems.optional_text(body, "type").unwrap_or_else(|| "tables".into());
        let source = problems.optional_text(body, "source_cluster_id").unwrap_or_else(|| cluster.into());
        let wanted = what(&kind, body, &mut problems);
        let (Some(repository), Some(name), false) = (repository, name, problems.any()) else {
            return problems.refuse();
        };
        let fits = |one: &&Snapshot| one.cluster == source && one.repository == repository && one.name == name;
        let Some(snapshot) = self.snapshots.iter().find(fits) else { return ApiAnswer::not_found() };
        if !found.is_running() {
            return ApiAnswer::refused(400, "The cluster is not running.");
        }
        if found.pending().is_some() {
            return ApiAnswer::refused(400, CONFLICT);
        }
        let (shown, snapshot) = (snapshot.show(), snapshot.id.clone());
        self.begin_with(now, cluster, Effect::Restore(Restore { snapshot, ..wanted }), json!({}));
        ApiAnswer::ok(shown)
    }

    /// Returns the order of a restore.
    pub(crate) fn restore_order(&self, cluster: &str, operation: &str) -> Option<Restore> {
        let found = self.by_id(cluster)?.operations.iter().find(|one| one.id == operation)?;
        match &found.effect {
            Effect::Restore(restore) => Some(restore.clone()),
            _ => None,
        }
    }

    pub(crate) fn restored(&mut self, now: Micros, cluster: &str, operation: &str, failure: Option<String>) {
        let found = self.by_id_mut(cluster).and_then(|one| one.operations.iter_mut().find(|one| one.id == operation));
        if let Some(found) = found {
            found.worked(now, failure);
        }
    }
}

impl Snapshot {
    fn show(&self) -> Value {
        json!({
            "created": stamp::utc(self.created),
            "repository": self.repository,
            "snapshot": self.name,
            "cluster_id": self.cluster,
            "project_id": self.project,
            "tables": self.tables.clone().unwrap_or_default(),
            "concrete_indices": [],
            "dc": stamp::dc(self.created, self.created),
        })
    }
}

/// `20260105065500`
fn compact(at: Micros) -> String {
    stamp::naive(at).chars().take_while(|c| *c != '.').filter(char::is_ascii_digit).collect()
}

/// The snapshot is set later.
fn what(kind: &str, body: &Value, problems: &mut Problems) -> Restore {
    let names = texts(body, "tables", problems);
    let sections = texts(body, "sections", problems);
    let mut wanted = [false; 4];
    if kind == "sections" {
        if sections.is_empty() {
            problems.add("sections", "Missing data for required field.");
        }
        for section in &sections {
            match parts(section).filter(|_| section != "all" && section != "metadata") {
                Some(more) => (0..4).for_each(|i| wanted[i] |= more[i]),
                None => problems.add("sections", "Must be some of: tables, views, users, privileges, analyzers, udfs."),
            }
        }
    } else if ["all", "metadata", "tables"].contains(&kind) {
        wanted = parts(kind).unwrap_or_default();
    } else {
        problems.add("type", "Must be one of: all, metadata, tables, sections.");
    }
    let [tables, views, users, settings] = wanted;
    // The name `all` among the tables is older than the kind.
    let all = kind != "tables" || names.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case("all"));
    let tables = match (tables, all) {
        (false, _) => Tables::None,
        (true, true) => Tables::All,
        (true, false) => Tables::These(names.iter().filter_map(|name| table(name, problems)).collect()),
    };
    Restore { snapshot: String::new(), tables, views, users, settings }
}

fn table(name: &str, problems: &mut Problems) -> Option<(String, String)> {
    let table = TableName::parse(name);
    if table.is_none() {
        problems.add("tables", &format!("Not a valid name of a table: {name}."));
    }
    table.map(|table| (table.schema.unwrap_or_else(|| "doc".into()), table.name))
}

fn texts(body: &Value, field: &str, problems: &mut Problems) -> Vec<String> {
    let Some(given) = body.get(field) else { return Vec::new() };
    let texts: Option<Vec<_>> =
        given.as_array().and_then(|all| all.iter().map(|one| one.as_str().map(str::to_owned)).collect());
    if texts.is_none() {
        problems.add(field, "Not a valid list of strings.");
    }
    texts.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::World;
    use super::*;
    use crate::state::{ApiCall, Pace};

    #[test]
    fn backups_are_due_at_the_hours_of_the_schedule_while_the_cluster_runs() {
        let (mut world, cluster) = World::with_cluster(false, Pace::Auto(Duration::ZERO));
        let next = |world: &World| world.state.by_id(&cluster).unwrap().next_backup().map(stamp::naive);
        // The test begins at 10:00.
        assert_eq!(next(&world).as_deref(), Some("2026-01-06T06:55:00.000000"));
        world.ask(ApiCall::ChangeBackups(cluster.clone(), json!({ "backup_hours": "2, 12" })));
        world.state.advance(world.now);
        assert_eq!(next(&world).as_deref(), Some("2026-01-05T12:55:00.000000"));
        world.now += DAY;
        world.state.advance(world.now);
        assert_eq!((world.state.take_works().len(), world.state.snapshots.len()), (2, 2));
        assert_eq!(
            world.ask(ApiCall::Snapshots(cluster.clone(), QueryPairs::new())).body,
            Some(json!([])),
            "not copied yet"
        );
        world.ask(ApiCall::Suspend(cluster.clone(), json!({ "suspended": true })));
        world.state.advance(world.now);
        assert_eq!(next(&world), None);
    }

    #[test]
    fn a_snapshot_that_could_not_be_copied_is_none() {
        let (mut world, cluster) = World::with_cluster(false, Pace::Auto(Duration::ZERO));
        let ids = [(); 2].map(|()| world.state.take_snapshot(world.now, &cluster).unwrap());
        world.state.snapshot_taken(&ids[0], None);
        world.state.snapshot_taken(&ids[1], Some(vec!["doc.t".into()]));
        let listed = world.ask(ApiCall::Snapshots(cluster.clone(), QueryPairs::new())).body.unwrap();
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["tables"]), (1, &json!(["doc.t"])));
        assert_eq!(listed[0]["snapshot"], "20260105100001", "names of one second differ");
    }
}
