//! Follows an operation of a cluster to its end.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::model::{ClusterInfo, Operation, OperationFilter, Status, moment};
use crate::error::{Error, Kind, Result};
use crate::wait::{self, Hear, Look};

/// The newest operation that was known before a request. It tells an older operation from the one that the request
/// starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastOperation {
    pub(crate) id: String,
    pub(crate) created: String,
}

impl From<&Operation> for LastOperation {
    fn from(operation: &Operation) -> Self {
        Self { id: operation.id.clone(), created: operation.dc.created.clone() }
    }
}

impl LastOperation {
    /// Reports whether `operation` began after this one.
    fn is_before(&self, operation: &Operation) -> bool {
        if operation.id == self.id {
            return false;
        }
        match (moment(&self.created), moment(&operation.dc.created)) {
            (Some(known), Some(other)) => other >= known,
            // Without dates, a different id has to suffice.
            _ => true,
        }
    }
}

/// The operation to follow.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    Id(String),
    /// The newest operation of a type that began after the given one.
    NewestOf(&'static str, Option<LastOperation>),
}

impl Which {
    /// Selects the operation that a write started, given the cluster in its answer.
    ///
    /// The answer shows the cluster as it was before the request, so its newest operation may still be an old one.
    pub(crate) fn started(kind: &'static str, answer: &ClusterInfo, known: Option<&LastOperation>) -> Self {
        match &answer.last_async_operation {
            Some(operation)
                if !operation.id.is_empty()
                    // Another client may have started one since.
                    && (operation.kind == kind || operation.kind.is_empty())
                    && known.is_none_or(|known| known.is_before(operation))
                    // Without anything to compare it with, only a running operation is certain to be the new one.
                    && (known.is_some() || operation.status.in_flight()) =>
            {
                Self::Id(operation.id.clone())
            }
            _ => Self::NewestOf(kind, known.cloned()),
        }
    }

    fn find(&self, operations: Vec<Operation>) -> Option<Operation> {
        match self {
            Self::Id(id) => operations.into_iter().find(|operation| operation.id == *id),
            Self::NewestOf(kind, known) => operations
                .into_iter()
                // An answer that was filtered by type may leave the type out.
                .filter(|operation| operation.kind == *kind || operation.kind.is_empty())
                .filter(|operation| known.as_ref().is_none_or(|known| known.is_before(operation)))
                // The order of the list is not documented. Of equal dates the first one counts, as for other clients.
                .rev()
                .max_by_key(|operation| moment(&operation.dc.created)),
        }
    }

    /// Lists enough operations to find one that was the newest a moment ago, whatever was started since.
    pub(crate) fn filter_of(&self) -> OperationFilter {
        let newest = OperationFilter::newest(10);
        match self {
            Self::Id(_) => newest,
            Self::NewestOf(kind, _) => newest.of(*kind),
        }
    }
}

/// The service lists an operation before it answers the request for it. An operation that is not listed after this time
/// will never be. The same holds for a cluster whose deployment was requested and not answered.
pub(crate) const LISTED: Duration = if cfg!(test) { Duration::from_millis(700) } else { Duration::from_secs(30) };

/// The outcome of an operation that was followed.
#[derive(Debug)]
pub(crate) enum OperationEnd {
    Succeeded,
    /// The service accepted the request and did nothing.
    Lost(Error),
    /// The error contains the service's own message.
    Failed(Error),
}

impl Client {
    /// Waits for the end of an operation, good or bad. `told` hears each new status.
    ///
    /// Trouble with the API doesn't end the wait, since the operation goes on without it; a refusal does. An operation
    /// that is never listed has succeeded if the idle cluster meets `goal`; otherwise it is lost.
    pub(crate) async fn follow(
        &self,
        cluster: &ClusterInfo,
        which: &Which,
        doing: &str,
        goal: impl Fn(&ClusterInfo) -> bool,
        deadline: Instant,
        told: impl Hear,
    ) -> Result<OperationEnd> {
        let lost = Instant::now() + LISTED;
        let look = async || {
            let operations = self.operations(&cluster.id, &which.filter_of()).await?;
            if let Some(operation) = which.find(operations) {
                return Ok(operation.ended(doing));
            }
            let now = self.cluster(&cluster.id).await?;
            if now.busy().is_none() && goal(&now) {
                return Ok(Look::Ready(OperationEnd::Succeeded));
            }
            if now.busy().is_none() && Instant::now() > lost {
                let error = Error::new(Kind::Cloud, format!("{doing} failed"))
                    .because("CrateDB Cloud took the request, but there is no operation and the cluster is as before");
                return Ok(Look::Ready(OperationEnd::Lost(error)));
            }
            Ok(Look::NotYet("its operation is not listed yet".to_owned()))
        };
        let awaited = format!("the end of {doing}");
        let look = || async { wait::tolerate(passing, look().await) };
        wait::until_told(&awaited, wait::OPERATION, deadline, told, look).await
    }
}

/// Reports whether an error concerns the way to the service or its health, so that the same request may succeed later.
pub(crate) fn passing(error: &Error) -> bool {
    error.is_transport() || error.is_timeout() || error.status().is_some_and(|status| status == 429 || status >= 500)
}

/// Reports whether something between may have answered instead of the service, so that nothing is known: neither what
/// became of the request nor what there is.
pub(crate) fn is_foreign(error: &Error) -> bool {
    error.kind() == Kind::Decode || error.kind() == Kind::Cloud && error.status().is_some() && !error.is_in_own_form()
}

/// Reports whether the service says that there is no such thing. One such answer is not enough to believe it.
pub(crate) fn is_absence(error: &Error) -> bool {
    error.kind() == Kind::Cloud && matches!(error.status(), Some(404 | 410))
}

impl Operation {
    fn ended(&self, what: &str) -> Look<OperationEnd> {
        match self.status {
            Status::Succeeded => Look::Ready(OperationEnd::Succeeded),
            Status::Failed => {
                let error = failure(what, &self.feedback_data.message);
                let hint = format!("operation {} of type {} ended as FAILED", self.id, self.kind);
                Look::Ready(OperationEnd::Failed(error.hint(hint)))
            }
            _ => Look::NotYet(self.told()),
        }
    }
}

/// The error for work that CrateDB Cloud reports as failed, with its own message.
pub(super) fn failure(what: &str, message: &str) -> Error {
    let reason = if message.is_empty() { "CrateDB Cloud gave no reason" } else { message };
    Error::new(Kind::Cloud, format!("{what} failed")).because(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(id: &str, kind: &str, minute: u8, status: &str) -> Operation {
        serde_json::from_value(serde_json::json!({
            "id": id, "type": kind, "status": status,
            "dc": { "created": format!("2026-01-05T10:{minute:02}:00.000000+00:00") },
        }))
        .unwrap()
    }

    fn answer(last: Operation) -> ClusterInfo {
        ClusterInfo { last_async_operation: Some(last), ..ClusterInfo::default() }
    }

    #[test]
    fn the_operation_of_the_answer_counts_if_it_is_newer_than_what_was_known() {
        let known = LastOperation::from(&operation("a", "CREATE", 1, "SUCCEEDED"));
        let started = |last| Which::started("SUSPEND", &answer(last), Some(&known));
        assert!(matches!(started(operation("b", "SUSPEND", 2, "SUCCEEDED")), Which::Id(id) if id == "b"));
        for old in [operation("a", "CREATE", 1, "SUCCEEDED"), operation("0", "SUSPEND", 0, "SUCCEEDED")] {
            assert!(matches!(started(old), Which::NewestOf("SUSPEND", Some(_))));
        }
    }

    #[test]
    fn an_operation_of_another_type_is_somebody_elses() {
        let known = LastOperation::from(&operation("a", "CREATE", 1, "SUCCEEDED"));
        let started = Which::started("SUSPEND", &answer(operation("b", "SCALE", 2, "FAILED")), Some(&known));
        assert!(matches!(started, Which::NewestOf("SUSPEND", Some(_))));
    }

    #[test]
    fn without_anything_known_only_an_operation_that_runs_is_the_new_one() {
        let started = |last| Which::started("SUSPEND", &answer(last), None);
        assert!(matches!(started(operation("b", "SUSPEND", 2, "REGISTERED")), Which::Id(id) if id == "b"));
        assert!(matches!(started(operation("b", "SUSPEND", 2, "SUCCEEDED")), Which::NewestOf("SUSPEND", None)));
    }

    #[test]
    fn the_newest_of_a_type_is_found_in_any_order_and_never_an_old_one() {
        let known = LastOperation::from(&operation("old", "SUSPEND", 3, "SUCCEEDED"));
        let which = Which::NewestOf("SUSPEND", Some(known));
        let list = || {
            vec![
                operation("older", "SUSPEND", 1, "SUCCEEDED"),
                operation("new", "SUSPEND", 4, "SENT"),
                operation("newer", "SUSPEND", 5, "SENT"),
                operation("other", "SCALE", 6, "SENT"),
                operation("old", "SUSPEND", 3, "SUCCEEDED"),
            ]
        };
        let turned = || list().into_iter().rev().collect();
        assert_eq!(which.find(list()).unwrap().id, "newer");
        assert_eq!(which.find(turned()).unwrap().id, "newer");
        let old = list().into_iter().filter(|operation| operation.id.starts_with("old")).collect();
        assert!(which.find(old).is_none());
    }
}
