//! One cluster: its fields, its operations, and the effects of operations.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::catalog::Product;
use super::operation::{Effect, Moved, Operation, Pace, Status};
use super::restrictions::Network;
use super::{Event, Happening, Micros, Outbox, Work, stamp};

/// The age of the health that is shown: the service probes about once a minute.
const LAST_SEEN_AGE: Micros = 4_000_000;

/// The default schedule of backups: once a day.
pub(crate) const BACKUP_SCHEDULE: &str = "55 6 * * *";

/// The presence of a cluster, apart from operations in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Presence {
    /// Deployed, and the first operation has not succeeded (yet).
    Unborn,
    Running,
    Suspended,
}

/// One cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) project_id: String,
    pub(crate) subscription_id: String,
    pub(crate) region: String,
    pub(crate) version: String,
    pub(crate) channel: String,
    pub(crate) product: Product,
    pub(crate) unit: i64,
    /// Size of the disk of each node.
    pub(crate) disk_bytes: i64,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) url: String,
    /// True if SQL needs credentials.
    pub(crate) auth: bool,
    pub(crate) allow_suspend: bool,
    pub(crate) protected: bool,
    pub(crate) backup_schedule: String,
    pub(crate) ip_whitelist: Vec<Network>,
    pub(crate) presence: Presence,
    /// The start of its running time; readiness of SQL counts from here.
    pub(crate) running_since: Option<Micros>,
    /// The last use of its database, which decides whether a free cluster is idle.
    pub(crate) used: Micros,
    /// The time up to which the schedule of its backups was followed.
    pub(crate) backed_up: Micros,
    /// Oldest first.
    pub(crate) operations: Vec<Operation>,
    /// Shown instead of the real health.
    pub(crate) frozen_health: Option<Value>,
    pub(crate) created: Micros,
    pub(crate) modified: Micros,
}

impl Cluster {
    pub(crate) fn is_running(&self) -> bool {
        self.presence == Presence::Running
    }

    /// Returns the operation in flight, if there is one.
    pub(crate) fn pending(&self) -> Option<&Operation> {
        self.operations.last().filter(|operation| !operation.status.is_final())
    }

    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.pending()?.next_due()
    }

    pub(super) fn advance(&mut self, now: Micros, outbox: &mut Outbox) {
        while let Some(due) = self.pending().and_then(|operation| operation.ripe(now)) {
            self.move_on(due, outbox);
        }
    }

    /// Returns whether an operation moved. One that waits for work outside doesn't.
    pub(super) fn step(&mut self, now: Micros, outbox: &mut Outbox) -> Option<()> {
        self.pending()?;
        self.move_on(now, outbox)
    }

    fn move_on(&mut self, at: Micros, outbox: &mut Outbox) -> Option<()> {
        let operation = self.operations.last_mut()?;
        let moved = operation.move_on(at)?;
        let id = || operation.id.clone();
        match moved {
            Moved::On => {}
            Moved::ToWork => outbox.works.push(Work::Restore { cluster: self.id.clone(), operation: id() }),
            Moved::Over => self.end_operation(outbox),
        }
        Some(())
    }

    fn end_operation(&mut self, outbox: &mut Outbox) {
        let Some(operation) = self.operations.last() else { return };
        let (at, failed, effect) = (operation.modified, operation.status == Status::Failed, operation.effect.clone());
        self.modified = at;
        let what = if failed { Some(Happening::Failed) } else { self.take_effect(&effect, at) };
        outbox.events.extend(what.map(|what| Event { at, cluster: self.id.clone(), what }));
    }

    fn take_effect(&mut self, effect: &Effect, at: Micros) -> Option<Happening> {
        match effect {
            Effect::Create => {
                self.run_from(at);
                return Some(Happening::Deployed);
            }
            Effect::Resume => {
                self.run_from(at);
                return Some(Happening::Resumed);
            }
            Effect::Suspend => {
                self.presence = Presence::Suspended;
                self.running_since = None;
                return Some(Happening::Suspended);
            }
            Effect::Scale(unit) => self.unit = *unit,
            Effect::Upgrade(version) => {
                self.version.clone_from(version);
                self.restart(at);
            }
            Effect::ExpandStorage(bytes) => self.disk_bytes = *bytes,
            Effect::ChangeProduct(product) => {
                self.product = *product;
                self.disk_bytes = self.disk_bytes.max(product.disk_bytes().0);
                self.restart(at);
            }
            Effect::ChangeBackups(schedule) => self.backup_schedule.clone_from(schedule),
            Effect::Restrict(networks) => self.ip_whitelist.clone_from(networks),
            Effect::ChangePassword(password) => self.password.clone_from(password),
            Effect::Restore(_) | Effect::Import | Effect::Export | Effect::Foreign(_) => {}
        }
        None
    }

    fn run_from(&mut self, at: Micros) {
        self.presence = Presence::Running;
        self.used = at;
        self.running_since = Some(at);
    }

    /// Restarts its nodes: open connections end.
    pub(super) fn restart(&mut self, at: Micros) {
        if self.is_running() {
            self.running_since = Some(at.max(self.running_since.map_or(at, |since| since + 1)));
        }
    }

    /// Registers an operation. The caller has checked that none is in flight.
    pub(crate) fn begin(&mut self, now: Micros, operation: Operation) {
        debug_assert!(self.pending().is_none(), "one operation at a time");
        self.modified = now;
        self.operations.push(operation);
    }

    /// Gives a held operation a pace.
    pub(crate) fn set_pace(&mut self, pace: Pace) {
        if let Some(operation) = self.operations.last_mut().filter(|operation| !operation.status.is_final()) {
            operation.pace = pace;
        }
    }

    pub(crate) fn health(&self, now: Micros) -> Value {
        let (status, seen) = match self.presence {
            Presence::Unborn => ("UNREACHABLE", None),
            Presence::Running => ("GREEN", Some(now)),
            Presence::Suspended => ("SUSPENDED", Some(self.modified.min(now))),
        };
        json!({
            "status": status,
            "running_operation": self.pending().map_or("", |operation| operation.effect.kind()),
            "last_seen": seen.map_or_else(String::new, |at| stamp::naive(at - LAST_SEEN_AGE)),
        })
    }

    pub(crate) fn show(&self, now: Micros) -> Value {
        let host = format!("{}.{}.cratedb.net", self.name, self.region);
        let nodes = self.unit + 1;
        let last = self.operations.iter().rev().find(|operation| !operation.hidden);
        let mut shown = json!({
            "id": self.id,
            "name": self.name,
            "project_id": self.project_id,
            "subscription_id": self.subscription_id,
            "crate_version": self.version,
            "channel": self.channel,
            "product_name": self.product.name,
            "product_tier": self.product.tier,
            "product_unit": self.unit,
            "num_nodes": nodes,
            "username": self.username,
            "fqdn": format!("{host}."),
            "url": self.url,
            "external_ip": "127.0.0.1",
            "origin": "cloud",
            "suspended": self.presence == Presence::Suspended,
            "allow_suspend": self.allow_suspend,
            "allow_custom_storage": false,
            "deletion_protected": self.protected,
            "gc_available": false,
            "backup_schedule": self.backup_schedule,
            "ip_whitelist": self.ip_whitelist,
            "hardware_specs": self.product.hardware(self.disk_bytes),
            "health": self.frozen_health.clone().unwrap_or_else(|| self.health(now)),
            "dc": stamp::dc(self.created, self.modified),
        });
        if let Some(last) = last {
            shown["last_async_operation"] = last.show_short();
        }
        shown
    }
}
