//! Letting go: suspending or deleting what was resumed or deployed, and saying so where that can't be.

use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use super::held::Held;
use super::{Cloud, Told};
use crate::cloud::lifecycle::{NameLookup, StopRequest, Stopped};
use crate::error::Result;
use crate::provider::{Ours, Progress, Released};
use crate::target::OnExit;

/// For one release. Suspensions take minutes; what takes longer than this is an error, and the keeper tries again.
const LIMIT: Duration = Duration::from_secs(15 * 60);

enum Goal {
    Suspend,
    Delete,
    Leave(String),
}

impl Cloud {
    pub(in crate::provider) async fn release(
        &self,
        held: &serde_json::Value,
        on_exit: OnExit,
        progress: &Progress,
    ) -> Result<Released> {
        let held = Held::read(held)?;
        let delete = match self.goal(&held, on_exit) {
            Goal::Leave(line) => return Ok(Released::Left(line)),
            Goal::Delete => true,
            Goal::Suspend => false,
        };
        let deadline = Instant::now() + LIMIT;
        let Some(id) = self.id(&held, deadline).await? else { return Ok(Released::Deleted) };
        let wanted = StopRequest {
            id,
            named: held.told(),
            delete,
            known: held.known.clone(),
            at_once: true,
            deadline,
            hooks: &Told(progress),
            writes: AtomicUsize::new(0),
        };
        Ok(match self.lifecycle.suspend_or_delete(&wanted).await? {
            Stopped::Suspended => Released::Suspended,
            Stopped::Deleted => Released::Deleted,
            Stopped::NotAllowed(_) => Released::Left(self.not_allowed(&held)),
            Stopped::NeverDeployed(_) => Released::Left(self.left(&held, "its deployment failed")),
        })
    }

    fn goal(&self, held: &Held, on_exit: OnExit) -> Goal {
        match (on_exit, held.ours) {
            (OnExit::Keep, _) => Goal::Leave(self.left(held, "CRATEDB_TEST_ON_EXIT=keep")),
            (OnExit::Delete, Ours::Deployed) => Goal::Delete,
            (OnExit::Auto | OnExit::Delete, Ours::No) => {
                Goal::Leave(format!("{} was running before and is left running", held.told()))
            }
            _ if held.allow_suspend == Some(false) => Goal::Leave(self.not_allowed(held)),
            _ => Goal::Suspend,
        }
    }

    /// What may cost something is named, with the place where it can be ended.
    pub(super) fn left(&self, held: &Held, why: &str) -> String {
        format!("{} is left running ({why}); suspend or delete it at {}", held.told(), self.client().endpoint())
    }

    fn not_allowed(&self, held: &Held) -> String {
        format!("{} is left running: its product can't be suspended (allow_suspend is false)", held.told())
    }

    /// Without a request where the journal knows it. What was planned may be listed only later.
    async fn id(&self, held: &Held, deadline: Instant) -> Result<Option<String>> {
        match &held.id {
            Some(id) => Ok(Some(id.clone())),
            None => match self.lifecycle.by_name_at_last(&held.name, deadline).await? {
                NameLookup::One(cluster) => Ok(Some(cluster.id)),
                NameLookup::None { .. } => Ok(None),
            },
        }
    }
}
