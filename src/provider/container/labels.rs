//! The labels of a container, which name its owner, and the sweep of containers that no journal knows any more.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::REMOVAL;
use super::engine::{Engine, LabelledContainer};
use crate::error::{Error, Result};
use crate::host::platform::since_boot;
use crate::host::process::Identity;
use crate::target::LocalTarget;

/// The label of all containers of the harness. Its value is the session's key.
pub(super) const KEY: &str = "io.crate.cratedb-test.key";
const PREFIX: &str = "io.crate.cratedb-test.";

/// The age after which a container may be removed whose keeper is in another process namespace and can't be looked for.
/// No test run takes so long.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The process that sweeps.
pub(super) struct Sweeper<'a> {
    pub(super) own: &'a Identity,
    pub(super) user: u32,
    pub(super) host: &'a str,
    /// Set if the engine is this machine's, so that all its containers were started on this machine.
    pub(super) local: bool,
    pub(super) now: SystemTime,
    /// The time since this machine was booted.
    pub(super) up: Duration,
    pub(super) alive: &'a (dyn Fn(&Identity) -> bool + Sync),
}

/// The decision of a sweep about a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Removes it, for this reason: no keeper will.
    Remove(&'static str),
    /// Leaves it, since its keeper lives.
    Used,
    /// Leaves it, since it was to be kept.
    Kept,
    /// Leaves it, since another user or machine may own it.
    NotOurs,
    /// Leaves it, since this process can't tell whether its keeper lives.
    OutOfSight,
}

/// Returns the labels of a container. A trainer's has no target.
pub(super) fn of(
    target: Option<&LocalTarget>,
    keeper: Option<&Identity>,
    journal: Option<&Path>,
) -> HashMap<String, String> {
    let (key, project) = target.map_or(("cache of the JVM", ""), |target| (&target.key, &target.project));
    let deadline = SystemTime::now() + LIFETIME;
    let mut labels = vec![
        ("key", key.to_owned()),
        ("project", project.to_owned()),
        ("user", user().to_string()),
        ("host", host()),
        ("deadline", humantime::format_rfc3339_seconds(deadline).to_string()),
        // The same in seconds since this boot: a clock may be set.
        ("expires", (since_boot() + LIFETIME).as_secs().to_string()),
    ];
    if let Some(keeper) = keeper {
        labels.push(("keeper", keeper.pid.to_string()));
        labels.push(("keeper-start", keeper.start.to_string()));
        labels.push(("keeper-namespace", keeper.namespace.to_string()));
        labels.push(("boot", keeper.boot.clone()));
    }
    labels.extend(journal.map(|journal| ("journal", journal.display().to_string())));
    labels.extend(target.filter(|target| target.outlives).map(|_| ("kept", "true".to_owned())));
    labels.into_iter().map(|(name, value)| (format!("{PREFIX}{name}"), value)).collect()
}

/// Returns the journal that named the container when it was started. The file may be gone.
pub(super) fn journal(labels: &HashMap<String, String>) -> Option<PathBuf> {
    labels.get(&format!("{PREFIX}journal")).map(PathBuf::from)
}

pub(super) fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Returns the name that tells apart machines that use one engine.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Decides what a sweep does with a container. In doubt it stays: removing one in use would fail tests, and leaving one
/// costs a little memory.
pub(super) fn judge(labels: &HashMap<String, String>, observer: &Sweeper<'_>) -> Fate {
    let Some(owner) = Owner::read(labels) else { return Fate::NotOurs };
    if owner.user != observer.user {
        return Fate::NotOurs;
    }
    if owner.kept {
        return Fate::Kept;
    }
    if owner.keeper.boot != observer.own.boot {
        return match owner.host == observer.host && observer.local {
            true => Fate::Remove("its machine was started anew since"),
            false => Fate::NotOurs,
        };
    }
    if owner.keeper.namespace != observer.own.namespace {
        let over = owner.expires.map_or(owner.deadline < observer.now, |expires| expires < observer.up.as_secs());
        return match over {
            true => Fate::Remove("its time is over"),
            false => Fate::OutOfSight,
        };
    }
    if (observer.alive)(&owner.keeper) { Fate::Used } else { Fate::Remove("its keeper is dead") }
}

/// A container that was left behind, and what became of it.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) name: String,
    /// The key of the session for which it was started.
    pub(crate) key: String,
    /// The reason that no keeper will remove it.
    pub(crate) why: &'static str,
    /// The result of its removal. None in a dry run.
    pub(crate) removed: Option<Result<()>>,
}

/// Removes containers that were left behind, from every engine of this machine that answers. It leaves those that a
/// journal still `owes`, since the next keeper of that journal removes them. With `dry_run` nothing is removed.
///
/// # Errors
///
/// When this process can't be identified. It is no error if no engine answers. An engine that does not list its
/// containers is reported as a container that was not removed.
pub(crate) async fn sweep(dry_run: bool, owes: impl Fn(&Path, &str) -> bool) -> Result<Vec<Leftover>, Error> {
    let own = Identity::own()?;
    let host = host();
    let mut swept = Vec::new();
    for engine in Engine::all().await {
        let observer = Sweeper {
            own: &own,
            user: user(),
            host: &host,
            local: engine.is_local(),
            now: SystemTime::now(),
            up: since_boot(),
            alive: &Identity::is_alive,
        };
        let mut found = match engine.ours().await {
            Ok(found) => found,
            // The other engines are swept nevertheless.
            Err(error) => {
                let name = format!("of any name at {}", engine.address.host);
                swept.push(Leftover { name, key: String::new(), why: "", removed: Some(Err(error)) });
                continue;
            }
        };
        // Containers that use the network of another one have its name and a number, and are removed before it.
        found.sort_by(|one, other| other.name.cmp(&one.name));
        for LabelledContainer { name, labels } in found {
            let fate = judge(&labels, &observer);
            tracing::debug!(name, ?fate, "a container with labels of the harness");
            let Fate::Remove(why) = fate else { continue };
            if journal(&labels).is_some_and(|journal| owes(&journal, &name)) {
                continue;
            }
            let removed = match dry_run {
                true => None,
                false => Some(engine.remove(&name, Instant::now() + REMOVAL).await),
            };
            let key = labels.get(KEY).cloned().unwrap_or_default();
            swept.push(Leftover { name, key, why, removed });
        }
    }
    Ok(swept)
}

struct Owner {
    user: u32,
    host: String,
    deadline: SystemTime,
    /// Absent in containers of older versions.
    expires: Option<u64>,
    keeper: Identity,
    kept: bool,
}

impl Owner {
    /// Returns none if a label is missing: another program or an older version has started the container.
    fn read(labels: &HashMap<String, String>) -> Option<Self> {
        let label = |name: &str| labels.get(&format!("{PREFIX}{name}"));
        Some(Self {
            user: label("user")?.parse().ok()?,
            host: label("host")?.clone(),
            deadline: humantime::parse_rfc3339(label("deadline")?).ok().filter(|time| *time > UNIX_EPOCH)?,
            expires: label("expires").and_then(|seconds| seconds.parse().ok()),
            keeper: Identity {
                pid: label("keeper")?.parse().ok()?,
                start: label("keeper-start")?.parse().ok()?,
                namespace: label("keeper-namespace")?.parse().ok()?,
                boot: label("boot")?.clone(),
                name: String::new(),
            },
            kept: label("kept").is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper() -> Identity {
        Identity { pid: 40, start: 7, namespace: 1, boot: "b".into(), name: "cratedb-keeper".into() }
    }

    fn made_by(keeper: &Identity) -> HashMap<String, String> {
        of(Some(&LocalTarget::of_image("crate:6.4.3")), Some(keeper), None)
    }

    /// Returns the decision of another process on this machine, which `change` alters.
    fn seen(labels: &HashMap<String, String>, change: impl FnOnce(&mut Sweeper<'_>, &mut Identity)) -> Fate {
        let alive = |keeper: &Identity| (keeper.pid, keeper.start) == (40, 7);
        let mut own = Identity { pid: 50, start: 9, ..keeper() };
        let base = own.clone();
        let host = host();
        let (now, up) = (SystemTime::now(), since_boot());
        let mut observer = Sweeper { own: &base, user: user(), host: &host, local: true, now, up, alive: &alive };
        change(&mut observer, &mut own);
        judge(labels, &Sweeper { own: &own, ..observer })
    }

    #[test]
    fn it_is_used_as_long_as_its_keeper_lives() {
        assert_eq!(seen(&made_by(&keeper()), |_, _| ()), Fate::Used);
        let dead = [Identity { pid: 41, ..keeper() }, Identity { start: 8, ..keeper() }];
        for keeper in dead {
            assert_eq!(seen(&made_by(&keeper), |_, _| ()), Fate::Remove("its keeper is dead"));
        }
    }

    #[test]
    fn what_is_of_others_stays() {
        let dead = made_by(&Identity { pid: 41, ..keeper() });
        assert_eq!(seen(&dead, |observer, _| observer.user += 1), Fate::NotOurs);
        // Another machine has another boot, and its own name or its own engine.
        assert_eq!(seen(&dead, |observer, own| (observer.host, own.boot) = ("other", "c".into())), Fate::NotOurs);
        assert_eq!(seen(&dead, |observer, own| (observer.local, own.boot) = (false, "c".into())), Fate::NotOurs);
    }

    #[test]
    fn what_is_of_an_earlier_boot_of_this_machine_goes() {
        let gone = made_by(&keeper());
        assert_eq!(seen(&gone, |_, own| own.boot = "c".into()), Fate::Remove("its machine was started anew since"));
    }

    #[test]
    fn a_keeper_that_can_not_be_seen_has_a_day() {
        let labels = made_by(&keeper());
        let out_of_sight = |labels: &HashMap<String, String>, change: &dyn Fn(&mut Sweeper<'_>)| {
            seen(labels, |observer, own| {
                own.namespace = 2;
                change(observer);
            })
        };
        assert_eq!(out_of_sight(&labels, &|_| ()), Fate::OutOfSight);
        assert_eq!(out_of_sight(&labels, &|observer| observer.up += 2 * LIFETIME), Fate::Remove("its time is over"));
        // The clock was set; no time has passed.
        assert_eq!(out_of_sight(&labels, &|observer| observer.now += 2 * LIFETIME), Fate::OutOfSight);
        let mut older = labels.clone();
        older.remove(&format!("{PREFIX}expires"));
        assert_eq!(out_of_sight(&older, &|_| ()), Fate::OutOfSight);
        assert_eq!(out_of_sight(&older, &|observer| observer.now += 2 * LIFETIME), Fate::Remove("its time is over"));
        // In sight, it may stay as long as it likes.
        assert_eq!(seen(&labels, |observer, _| observer.up += 2 * LIFETIME), Fate::Used);
    }

    #[test]
    fn what_was_to_stay_stays() {
        let target = LocalTarget { outlives: true, ..LocalTarget::of_image("crate:6.4.3") };
        assert_eq!(seen(&of(Some(&target), Some(&Identity { pid: 41, ..keeper() }), None), |_, _| ()), Fate::Kept);
    }

    #[test]
    fn labels_that_are_not_all_there_or_damaged_are_not_ours() {
        let whole = made_by(&Identity { pid: 41, ..keeper() });
        for name in ["user", "host", "deadline", "keeper", "keeper-start", "keeper-namespace", "boot"] {
            let mut labels = whole.clone();
            labels.remove(&format!("{PREFIX}{name}"));
            assert_eq!(seen(&labels, |_, _| ()), Fate::NotOurs, "without {name}");
        }
        for (name, value) in [("keeper", "x"), ("user", "-1"), ("deadline", "soon"), ("keeper-start", "")] {
            let mut labels = whole.clone();
            labels.insert(format!("{PREFIX}{name}"), value.to_owned());
            assert_eq!(seen(&labels, |_, _| ()), Fate::NotOurs, "with {name}={value}");
        }
        assert_eq!(seen(&of(Some(&LocalTarget::of_image("crate")), None, None), |_, _| ()), Fate::NotOurs);
    }
}
