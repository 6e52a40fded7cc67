//! One cluster: its fields, its operations and what an operation's end does to it.

use serde_json::{Value, json};

use super::catalog::Product;
use super::operation::{Effect, Operation, Pace, Status};
use super::{Event, Happening, Micros, stamp};

/// Health while nothing is wrong is read this long before it is shown: the service probes about once a minute.
const LAST_SEEN_AGE: Micros = 4_000_000;

/// What is there of a cluster, apart from operations in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Deployed, and the first operation has not succeeded (yet).
    Unborn,
    Running,
    Suspended,
}

/// One cluster.
#[derive(Clone, Debug)]
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
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) url: String,
    pub(crate) allow_suspend: bool,
    pub(crate) protected: bool,
    pub(crate) presence: Presence,
    /// Since when it has been running; readiness of SQL counts from here.
    pub(crate) running_since: Option<Micros>,
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

    /// The operation in flight, if there is one.
    pub(crate) fn pending(&self) -> Option<&Operation> {
        self.operations.last().filter(|operation| !operation.status.is_final())
    }

    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.pending()?.next_due()
    }

    pub(crate) fn advance(&mut self, now: Micros, events: &mut Vec<Event>) {
        while let Some(due) = self.pending().and_then(|operation| operation.ripe(now)) {
            self.move_on(due, events);
        }
    }

    pub(crate) fn step(&mut self, now: Micros, events: &mut Vec<Event>) -> Option<()> {
        self.pending()?;
        self.move_on(now, events);
        Some(())
    }

    fn move_on(&mut self, at: Micros, events: &mut Vec<Event>) {
        let Some(operation) = self.operations.last_mut() else { return };
        let Some(next) = operation.next() else { return };
        operation.status = next;
        operation.modified = at;
        if !next.is_final() {
            return;
        }
        self.modified = at;
        let effect = operation.effect.clone();
        let what = if next == Status::Failed { Some(Happening::Failed) } else { self.take_effect(&effect, at) };
        events.extend(what.map(|what| Event { at, cluster: self.id.clone(), what }));
    }

    fn take_effect(&mut self, effect: &Effect, at: Micros) -> Option<Happening> {
        match effect {
            Effect::Create => {
                self.presence = Presence::Running;
                self.running_since = Some(at);
                Some(Happening::Deployed)
            }
            Effect::Resume => {
                self.presence = Presence::Running;
                self.running_since = Some(at);
                Some(Happening::Resumed)
            }
            Effect::Suspend => {
                self.presence = Presence::Suspended;
                self.running_since = None;
                Some(Happening::Suspended)
            }
            Effect::Foreign(_) => None,
        }
    }

    /// Registers an operation. The caller has checked that none is in flight.
    pub(crate) fn begin(&mut self, now: Micros, operation: Operation) {
        debug_assert!(self.pending().is_none(), "one operation at a time");
        self.modified = now;
        self.operations.push(operation);
    }

    /// Ends what was held by giving it a pace.
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
            "backup_schedule": "55 6 * * *",
            "ip_whitelist": [],
            "hardware_specs": self.product.hardware(),
            "health": self.frozen_health.clone().unwrap_or_else(|| self.health(now)),
            "dc": stamp::dc(self.created, self.modified),
        });
        if let Some(last) = last {
            shown["last_async_operation"] = last.show_short();
        }
        shown
    }
}
