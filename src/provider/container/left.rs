//! Containers that no journal knows any more: found by their labels, removed if their keeper is dead.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::engine::{Engine, Found};
use super::labels::{self, Fate, Observer};
use crate::error::{Error, Result};
use crate::host::process::Identity;

/// Of one container.
const REMOVAL: Duration = Duration::from_secs(60);

/// A container that has been left, and what became of it.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) name: String,
    /// Of the session that it was started for.
    pub(crate) key: String,
    /// Why nobody else removes it.
    pub(crate) why: &'static str,
    /// None if it only was looked at.
    pub(crate) removed: Option<Result<()>>,
}

/// Removes what was left at every engine of this machine that answers, but for what its journal still `owes`: the next
/// keeper there is responsible. `dry_run` only looks.
///
/// # Errors
///
/// When this process can't be told from others. No engine is no error: then nothing is left that could be removed. One that does not
/// say what it has is a left-over that was not removed.
pub(crate) async fn sweep(dry_run: bool, owes: impl Fn(&Path, &str) -> bool) -> Result<Vec<Leftover>, Error> {
    let own = Identity::own()?;
    let host = labels::host();
    let mut swept = Vec::new();
    for engine in Engine::all().await {
        let observer = Observer {
            own: &own,
            user: labels::user(),
            host: &host,
            local: engine.is_local(),
            now: SystemTime::now(),
            alive: &Identity::is_alive,
        };
        let mut found = match engine.ours().await {
            Ok(found) => found,
            // The others are looked at all the same.
            Err(error) => {
                let name = format!("of any name at {}", engine.address.host);
                swept.push(Leftover { name, key: String::new(), why: "", removed: Some(Err(error)) });
                continue;
            }
        };
        // Those that use another one's network have its name and a number: they go before it.
        found.sort_by(|one, other| other.name.cmp(&one.name));
        for Found { name, labels } in found {
            let fate = labels::judge(&labels, &observer);
            tracing::debug!(name, ?fate, "a container of ours or of somebody else's");
            let Fate::Remove(why) = fate else { continue };
            if labels::journal(&labels).is_some_and(|journal| owes(&journal, &name)) {
                continue;
            }
            let removed = match dry_run {
                true => None,
                false => Some(engine.remove(&name, Instant::now() + REMOVAL).await),
            };
            let key = labels.get(labels::KEY).cloned().unwrap_or_default();
            swept.push(Leftover { name, key, why, removed });
        }
    }
    Ok(swept)
}
