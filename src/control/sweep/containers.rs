//! Containers that no journal names any more, since it is gone or was written anew: they say themselves whose they were.

use std::path::Path;

use super::Swept;
use crate::background;
use crate::host::Places;
use crate::keeper::{Journal, Left, Word};
use crate::provider::{self, Held, Leftover};

/// Removes those of dead keepers, at every engine of this machine that answers; one line for each.
pub(super) fn sweep(dry_run: bool) -> Vec<Swept> {
    match background::wait(provider::sweep_containers(dry_run, owes)) {
        Ok(found) => found.into_iter().map(told).collect(),
        Err(error) => vec![Swept {
            key: "containers".to_owned(),
            hash: String::new(),
            owed: "unknown".to_owned(),
            outcome: "failed".to_owned(),
            detail: error.to_string(),
        }],
    }
}

/// Whether a journal names a container: then whoever repairs that says what became of it. The further containers of a
/// cluster are named after its first.
fn owes(journal: &Path, name: &str) -> bool {
    let Ok(Left::Record(record)) = Journal::look(journal) else { return false };
    let Some(first) = record.held.as_ref().and_then(Held::name) else { return false };
    let rest = name.strip_prefix(first);
    record.word != Word::Clean && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn told(left: Leftover) -> Swept {
    let (outcome, detail) = match left.removed {
        None => ("would repair", left.why.to_owned()),
        Some(Ok(())) => ("repaired", format!("removed: {}", left.why)),
        Some(Err(error)) => ("failed", error.to_string()),
    };
    let hash = Places::find().map(|places| places.key(&left.key).hash).unwrap_or_default();
    let owed = format!("container {}, which no journal names", left.name);
    Swept { key: left.key, hash, owed, outcome: outcome.to_owned(), detail }
}
