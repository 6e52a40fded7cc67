//! What a container says of its owner, and who may remove it when no journal knows it any more.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::host::process::Identity;
use crate::target::LocalTarget;

/// All of ours have it; its value is the session's key.
pub(super) const KEY: &str = "io.crate.cratedb-test.key";
const PREFIX: &str = "io.crate.cratedb-test.";

/// After this time a container may be removed whose keeper can't be looked for from here (another process namespace).
/// No run of tests takes so long, and whoever keeps a server does not want it to go.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Who looks at containers.
pub(super) struct Observer<'a> {
    pub(super) own: &'a Identity,
    pub(super) user: u32,
    pub(super) host: &'a str,
    /// The engine is this machine's, so that whoever started a container here is or was on this machine.
    pub(super) local: bool,
    pub(super) now: SystemTime,
    pub(super) alive: &'a (dyn Fn(&Identity) -> bool + Sync),
}

/// What is to be done about a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody will: it can go, for this reason.
    Remove(&'static str),
    /// Its keeper lives.
    Used,
    /// It was to stay.
    Kept,
    /// Of another user or another machine, or not sure to be ours.
    NotOurs,
    /// Of this machine, but nobody can tell from here whether its keeper lives.
    OutOfSight,
}

pub(super) fn of(target: &LocalTarget, keeper: Option<&Identity>, journal: Option<&Path>) -> HashMap<String, String> {
    let deadline = SystemTime::now() + LIFETIME;
    let mut labels = vec![
        ("key", target.key.clone()),
        ("project", target.project.clone()),
        ("user", user().to_string()),
        ("host", host()),
        ("deadline", humantime::format_rfc3339_seconds(deadline).to_string()),
    ];
    if let Some(keeper) = keeper {
        labels.push(("keeper", keeper.pid.to_string()));
        labels.push(("keeper-start", keeper.start.to_string()));
        labels.push(("keeper-namespace", keeper.namespace.to_string()));
        labels.push(("boot", keeper.boot.clone()));
    }
    if let Some(journal) = journal {
        labels.push(("journal", journal.display().to_string()));
    }
    if target.outlives {
        labels.push(("kept", "true".to_owned()));
    }
    labels.into_iter().map(|(name, value)| (format!("{PREFIX}{name}"), value)).collect()
}

/// The journal that named it when it was started, there or not.
pub(super) fn journal(labels: &HashMap<String, String>) -> Option<PathBuf> {
    labels.get(&format!("{PREFIX}journal")).map(PathBuf::from)
}

pub(super) fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Tells machines apart that use one engine.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Removing what is in use would fail somebody's tests, leaving something costs a little memory: in doubt it stays.
pub(super) fn judge(labels: &HashMap<String, String>, observer: &Observer<'_>) -> Fate {
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
        return match owner.deadline < observer.now {
            true => Fate::Remove("its time is over"),
            false => Fate::OutOfSight,
        };
    }
    if (observer.alive)(&owner.keeper) { Fate::Used } else { Fate::Remove("its keeper is dead") }
}

struct Owner {
    user: u32,
    host: String,
    deadline: SystemTime,
    keeper: Identity,
    kept: bool,
}

impl Owner {
    /// None if anything is missing: not from us, or from a version that said less.
    fn read(labels: &HashMap<String, String>) -> Option<Self> {
        let label = |name: &str| labels.get(&format!("{PREFIX}{name}"));
        Some(Self {
            user: label("user")?.parse().ok()?,
            host: label("host")?.clone(),
            deadline: humantime::parse_rfc3339(label("deadline")?).ok().filter(|time| *time > UNIX_EPOCH)?,
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
        of(&LocalTarget::of_image("crate:6.4.3"), Some(keeper), None)
    }

    /// What somebody else on this machine sees; `change` makes it another.
    fn seen(labels: &HashMap<String, String>, change: impl FnOnce(&mut Observer<'_>, &mut Identity)) -> Fate {
        let alive = |keeper: &Identity| (keeper.pid, keeper.start) == (40, 7);
        let mut own = Identity { pid: 50, start: 9, ..keeper() };
        let base = own.clone();
        let host = host();
        let mut observer =
            Observer { own: &base, user: user(), host: &host, local: true, now: SystemTime::now(), alive: &alive };
        change(&mut observer, &mut own);
        judge(labels, &Observer { own: &own, ..observer })
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
        assert_eq!(seen(&labels, |_, own| own.namespace = 2), Fate::OutOfSight);
        let later = |observer: &mut Observer<'_>, own: &mut Identity| {
            (observer.now, own.namespace) = (SystemTime::now() + LIFETIME + Duration::from_secs(60), 2);
        };
        assert_eq!(seen(&labels, later), Fate::Remove("its time is over"));
        // In sight, it may stay as long as it likes.
        assert_eq!(seen(&labels, |observer, _| observer.now += 2 * LIFETIME), Fate::Used);
    }

    #[test]
    fn what_was_to_stay_stays() {
        let target = LocalTarget { outlives: true, ..LocalTarget::of_image("crate:6.4.3") };
        assert_eq!(seen(&of(&target, Some(&Identity { pid: 41, ..keeper() }), None), |_, _| ()), Fate::Kept);
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
        assert_eq!(seen(&of(&LocalTarget::of_image("crate"), None, None), |_, _| ()), Fate::NotOurs);
    }
}
