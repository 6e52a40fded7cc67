//! One asynchronous operation of a cluster: its statuses and its JSON. Jobs move in the same way.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Micros;
use super::catalog::Product;
use super::restrictions::Network;
use super::snapshots::Restore;
use super::stamp;

/// The pace of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pace {
    /// An operation succeeds this time after its request. With zero it is over when the next request comes.
    Auto(Duration),
    /// Each call of [`Cloud::step`](crate::Cloud::step) moves operations by one status.
    Explicit,
}

/// The status of an operation, in the order in which it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Status {
    Registered,
    Sent,
    InProgress,
    Succeeded,
    Failed,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Registered => "REGISTERED",
            Self::Sent => "SENT",
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    pub(crate) fn is_final(self) -> bool {
        self >= Self::Succeeded
    }
}

/// The effect of an operation on its cluster when it succeeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Effect {
    Create,
    Suspend,
    Resume,
    /// To this unit; nodes are one more.
    Scale(i64),
    /// To this version.
    Upgrade(String),
    /// To this number of bytes a node.
    ExpandStorage(i64),
    ChangeProduct(Product),
    /// To this schedule.
    ChangeBackups(String),
    Restrict(Vec<Network>),
    ChangePassword(String),
    Restore(Restore),
    /// Belongs to a job, which has a status of its own. The cluster stays as it is.
    Import,
    Export,
    /// An operation of another client: its type is shown, nothing is done.
    Foreign(String),
}

impl Effect {
    /// Returns the type that the API shows. It has no `RESUME`.
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::Create => "CREATE",
            Self::Suspend | Self::Resume => "SUSPEND",
            Self::Scale(_) => "SCALE",
            Self::Upgrade(_) => "UPGRADE",
            Self::ExpandStorage(_) => "EXPAND_STORAGE",
            Self::ChangeProduct(_) => "CHANGE_COMPUTE",
            Self::ChangeBackups(_) => "BACKUP_SCHEDULE_UPDATE",
            Self::Restrict(_) => "ALLOWED_CIDR_UPDATE",
            Self::ChangePassword(_) => "PASSWORD_UPDATE",
            Self::Restore(_) => "RESTORE_SNAPSHOT",
            Self::Import => "IMPORT",
            Self::Export => "EXPORT",
            Self::Foreign(kind) => kind,
        }
    }

    /// Returns whether work outside of this state machine must be done before it can be over.
    pub(crate) fn needs_work(&self) -> bool {
        matches!(self, Self::Restore(_) | Self::Import | Self::Export)
    }

    fn progress(&self) -> &'static str {
        match self {
            Self::Create => "The cluster is being created.",
            Self::Suspend => "The cluster is being suspended.",
            Self::Resume => "The cluster is being resumed.",
            Self::Scale(_) => "The cluster is being scaled.",
            Self::Upgrade(_) => "The cluster is being upgraded.",
            Self::ExpandStorage(_) => "The storage is being expanded.",
            Self::Restore(_) => "The snapshot is being restored.",
            Self::Import => "Import in progress.",
            Self::Export => "Export in progress.",
            _ => "The cluster is being changed.",
        }
    }

    fn done(&self) -> &'static str {
        match self {
            Self::Create => "The cluster was created.",
            Self::Suspend => "The cluster was suspended.",
            Self::Resume => "The cluster was resumed.",
            Self::Scale(_) => "The cluster was scaled.",
            Self::Upgrade(_) => "The cluster was upgraded.",
            Self::ExpandStorage(_) => "The storage was expanded.",
            Self::Restore(_) => "The snapshot was restored.",
            Self::Import => "Import succeeded",
            Self::Export => "Export succeeded",
            _ => "The cluster was changed.",
        }
    }
}

/// One operation, from request to end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) effect: Effect,
    pub(crate) status: Status,
    pub(crate) pace: Pace,
    /// The reason if it will fail.
    pub(crate) failure: Option<String>,
    /// Left out of the list of operations.
    pub(crate) hidden: bool,
    /// True until the work outside is reported as done.
    pub(crate) awaiting: bool,
    /// Further details in the list of operations.
    pub(crate) details: Value,
    pub(crate) created: Micros,
    pub(crate) modified: Micros,
}

impl Operation {
    /// Makes an operation that was just requested.
    pub(crate) fn asked_for(id: String, effect: Effect, pace: Pace, now: Micros) -> Self {
        Self {
            id,
            effect,
            status: Status::Registered,
            pace,
            failure: None,
            hidden: false,
            awaiting: false,
            details: json!({}),
            created: now,
            modified: now,
        }
    }

    /// Returns the time when it becomes `status` by itself.
    fn due(&self, status: Status) -> Option<Micros> {
        let Pace::Auto(total) = self.pace else { return None };
        let total = Micros::try_from(total.as_micros()).unwrap_or(Micros::MAX / 2);
        let after = match status {
            Status::Registered => 0,
            Status::Sent => total / 10,
            Status::InProgress => total / 4,
            Status::Succeeded | Status::Failed => total,
        };
        Some(self.created.saturating_add(after))
    }

    fn next(&self) -> Option<Status> {
        match self.status {
            Status::Registered => Some(Status::Sent),
            Status::Sent => Some(Status::InProgress),
            Status::InProgress if self.awaiting => None,
            Status::InProgress if self.failure.is_some() => Some(Status::Failed),
            Status::InProgress => Some(Status::Succeeded),
            Status::Succeeded | Status::Failed => None,
        }
    }

    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.due(self.next()?)
    }

    /// Returns the time of its next status, if that is not after `now`.
    pub(crate) fn ripe(&self, now: Micros) -> Option<Micros> {
        self.next_due().filter(|due| *due <= now)
    }

    /// Moves to the next status, if it has one. Returns true if work outside must begin.
    pub(crate) fn move_on(&mut self, at: Micros) -> Option<Moved> {
        self.status = self.next()?;
        // The work may take longer than the pace says.
        self.modified = self.modified.max(at);
        self.awaiting = self.status == Status::InProgress && self.effect.needs_work() && self.failure.is_none();
        Some(match (self.status.is_final(), self.awaiting) {
            (true, _) => Moved::Over,
            (_, true) => Moved::ToWork,
            _ => Moved::On,
        })
    }

    /// Notes the end of the work outside, with a reason if it failed.
    pub(crate) fn worked(&mut self, now: Micros, failure: Option<String>) {
        self.awaiting = false;
        self.failure = failure;
        self.modified = self.modified.max(now);
    }

    pub(crate) fn message(&self) -> &str {
        match self.status {
            Status::Registered => "Your request was received and waits to be processed.",
            Status::Sent => "Your request was sent to the region.",
            Status::InProgress => self.effect.progress(),
            Status::Succeeded => self.effect.done(),
            Status::Failed => self.failure.as_deref().unwrap_or("The operation failed."),
        }
    }

    /// Shows it as in the list of operations.
    pub(crate) fn show(&self, cluster: &str) -> Value {
        json!({
            "id": self.id,
            "type": self.effect.kind(),
            "status": self.status.word(),
            "entity": "CLUSTER",
            "entity_id": cluster,
            "feedback_data": { "message": self.message() },
            "non_sensitive_data": self.details,
            "dc": stamp::dc(self.created, self.modified),
        })
    }

    /// Shows it as inside a cluster.
    pub(crate) fn show_short(&self) -> Value {
        json!({
            "id": self.id,
            "type": self.effect.kind(),
            "status": self.status.word(),
            "dc": stamp::dc(self.created, self.modified),
        })
    }
}

/// The result of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    On,
    /// It waits for [`Operation::worked`] now.
    ToWork,
    Over,
}
