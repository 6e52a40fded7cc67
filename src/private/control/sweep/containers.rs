//! Containers that no journal names any more, since it is gone or was written anew: they say themselves whose they were.

use std::collections::HashSet;

use super::Swept;
use crate::background;
use crate::keeper::{Left, Places};
use crate::private::control::status::Lying;
use crate::provider::{self, Leftover};

/// Removes those of dead keepers, at every engine of this machine that answers; one line for each.
pub(super) fn sweep(all: &[Lying], dry_run: bool) -> Vec<Swept> {
    let owed = owed_by(all);
    let found =
        background::wait(async move { provider::sweep_containers(dry_run, move |name| owes(&owed, name)).await });
    match found {
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

/// What journals name is theirs: whoever repairs those says what became of it.
fn owed_by(all: &[Lying]) -> HashSet<String> {
    let held = all.iter().filter_map(|lying| match &lying.left {
        Ok(Left::Record(record)) => record.held.as_ref(),
        _ => None,
    });
    held.filter(|held| held["provider"] == "container")
        .filter_map(|held| Some(held["name"].as_str()?.to_owned()))
        .collect()
}

/// The further containers of a cluster are named after its first.
fn owes(owed: &HashSet<String>, name: &str) -> bool {
    owed.iter()
        .any(|first| name.strip_prefix(first.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
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
