//! One asynchronous operation of a cluster: how it moves and what it says about itself.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Micros, stamp};

/// What moves operations on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Time: an operation succeeds this long after it was asked for. With zero it is over when the next request comes.
    Auto(Duration),
    /// Calls of [`Cloud::step`](crate::Cloud::step), one status each.
    Explicit,
}

/// Where an operation is. The order is the order in which it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// What an operation does to its cluster when it succeeds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    Create,
    Suspend,
    Resume,
    /// Something another person asked for; the type is shown, nothing is done.
    Foreign(String),
}

impl Effect {
    /// The type the API shows. It knows no `RESUME`.
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::Create => "CREATE",
            Self::Suspend | Self::Resume => "SUSPEND",
            Self::Foreign(kind) => kind,
        }
    }

    fn progress(&self) -> &'static str {
        match self {
            Self::Create => "The cluster is being created.",
            Self::Suspend => "The cluster is being suspended.",
            Self::Resume => "The cluster is being resumed.",
            Self::Foreign(_) => "The cluster is being changed.",
        }
    }

    fn done(&self) -> &'static str {
        match self {
            Self::Create => "The cluster was created.",
            Self::Suspend => "The cluster was suspended.",
            Self::Resume => "The cluster was resumed.",
            Self::Foreign(_) => "The cluster was changed.",
        }
    }
}

/// One operation, from request to end.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) effect: Effect,
    pub(crate) status: Status,
    pub(crate) pace: Pace,
    /// Why it will fail, if it will.
    pub(crate) failure: Option<String>,
    /// Left out of the list of operations.
    pub(crate) hidden: bool,
    pub(crate) created: Micros,
    pub(crate) modified: Micros,
}

impl Operation {
    /// When it becomes `status` by itself.
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

    pub(crate) fn next(&self) -> Option<Status> {
        match self.status {
            Status::Registered => Some(Status::Sent),
            Status::Sent => Some(Status::InProgress),
            Status::InProgress if self.failure.is_some() => Some(Status::Failed),
            Status::InProgress => Some(Status::Succeeded),
            Status::Succeeded | Status::Failed => None,
        }
    }

    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.due(self.next()?)
    }

    /// The moment of its next status, if that is not after `now`.
    pub(crate) fn ripe(&self, now: Micros) -> Option<Micros> {
        self.next_due().filter(|due| *due <= now)
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

    /// The form of the list of operations.
    pub(crate) fn show(&self, cluster: &str) -> Value {
        json!({
            "id": self.id,
            "type": self.effect.kind(),
            "status": self.status.word(),
            "entity": "CLUSTER",
            "entity_id": cluster,
            "feedback_data": { "message": self.message() },
            "non_sensitive_data": {},
            "dc": stamp::dc(self.created, self.modified),
        })
    }

    /// The short form inside a cluster.
    pub(crate) fn show_short(&self) -> Value {
        json!({
            "id": self.id,
            "type": self.effect.kind(),
            "status": self.status.word(),
            "dc": stamp::dc(self.created, self.modified),
        })
    }
}
