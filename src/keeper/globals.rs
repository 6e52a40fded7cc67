//! The state of a cluster that a schema does not isolate, and the plan that restores it after an exclusive attempt.
//!
//! Pure: `run/aftermath.rs` asks the server and executes the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sql::quoted;
use crate::user;

#[cfg(test)]
mod tests;

/// Everything outside schemas that can be listed and restored. It has no secrets: of users and repositories only the
/// names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Globals {
    /// The cluster's own id: a look at one cluster says nothing about another.
    pub(crate) cluster: String,
    /// Effective values by full name.
    pub(crate) settings: BTreeMap<String, Value>,
    /// Names by kind. A kind that the server does not list, or not for the keeper's user, is missing and left alone.
    pub(crate) things: BTreeMap<Thing, BTreeSet<String>>,
    /// Roles, each with a user or role that has it. Only the present ones are needed.
    #[serde(skip)]
    pub(crate) granted: Vec<(String, String)>,
}

/// The kinds of things that are made and dropped by name, in the order in which they can be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Thing {
    Subscription,
    Publication,
    ForeignServer,
    Analyzer,
    Repository,
    BlobTable,
    User,
    Role,
}

impl Thing {
    pub(crate) const ALL: [Self; 8] = {
        use Thing::{Analyzer, BlobTable, ForeignServer, Publication, Repository, Role, Subscription, User};
        [Subscription, Publication, ForeignServer, Analyzer, Repository, BlobTable, User, Role]
    };

    /// Returns the name in statements and messages, and the statement that lists all of the kind.
    const fn described(self) -> (&'static str, &'static str) {
        match self {
            Self::Subscription => ("subscription", "SELECT subname FROM pg_catalog.pg_subscription"),
            Self::Publication => ("publication", "SELECT pubname FROM pg_catalog.pg_publication"),
            Self::ForeignServer => {
                ("foreign server", "SELECT foreign_server_name FROM information_schema.foreign_servers")
            }
            // Built-in ones have no definition.
            Self::Analyzer => (
                "analyzer",
                "SELECT routine_name FROM information_schema.routines \
                 WHERE routine_type = 'ANALYZER' AND routine_definition IS NOT NULL",
            ),
            Self::Repository => ("repository", "SELECT name FROM sys.repositories"),
            Self::BlobTable => {
                ("blob table", "SELECT table_name FROM information_schema.tables WHERE table_schema = 'blob'")
            }
            Self::User => ("user", "SELECT name FROM sys.users"),
            Self::Role => ("role", "SELECT name FROM sys.roles"),
        }
    }

    /// Returns the statement that lists the names.
    pub(crate) fn list(self) -> &'static str {
        self.described().1
    }

    fn drop(self, name: &str) -> String {
        let (kind, name) = (self.to_string().to_uppercase(), quoted(name));
        match self {
            // With its tables and user mappings, which can't be without it.
            Self::ForeignServer => format!("DROP SERVER IF EXISTS {name} CASCADE"),
            // CrateDB has no IF EXISTS for these.
            Self::Analyzer | Self::Repository => format!("DROP {kind} {name}"),
            _ => format!("DROP {kind} IF EXISTS {name}"),
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.described().0)
    }
}

/// One statement that restores something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RestoreStep {
    /// The thing that it restores, for people.
    pub(crate) what: String,
    pub(crate) statement: String,
    /// Smaller statements that do the same, in case the server refuses this one. Settings that depend on each other
    /// change together, but one that can't be changed must not keep the others from changing.
    pub(crate) parts: Vec<RestoreStep>,
}

impl RestoreStep {
    fn one(what: String, statement: String) -> Self {
        Self { what, statement, parts: Vec::new() }
    }
}

/// The statements that undo the difference between two looks at one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RestorePlan {
    /// Sets changed settings to their defaults; [`settings_left`] has the step after it.
    pub(crate) reset: Option<RestoreStep>,
    /// Takes roles from users and roles that stay, so that the roles can be dropped.
    pub(crate) revokes: Vec<RestoreStep>,
    pub(crate) drops: Vec<RestoreStep>,
    /// Things that were there and are not any more. They can't be brought back.
    pub(crate) lost: Vec<String>,
}

/// Plans how `after` becomes `before` again: changed settings are reset, things that were made are dropped, and things
/// that were dropped are named. Nothing that was there before is ever dropped.
pub(crate) fn diff(before: &Globals, after: &Globals) -> RestorePlan {
    let mut plan = RestorePlan::default();
    if before.cluster != after.cluster {
        return plan;
    }
    let changed = changed(before, after);
    plan.reset = together("RESET GLOBAL ", changed.iter().map(|name| (*name, quoted(name))));
    for kind in Thing::ALL {
        let (Some(then), Some(now)) = (before.things.get(&kind), after.things.get(&kind)) else { continue };
        let made: Vec<&String> = now.difference(then).collect();
        if kind == Thing::Role {
            plan.revokes = revokes(&made, before, after);
        }
        plan.drops
            .extend(made.iter().map(|name| RestoreStep::one(format!("{kind} {}", quoted(name)), kind.drop(name))));
        plan.lost.extend(then.difference(now).map(|name| format!("{kind} {}", quoted(name))));
    }
    plan
}

/// Returns the step that gives settings their old values where the reset did not. `after` was seen after the reset.
pub(crate) fn settings_left(before: &Globals, after: &Globals) -> Option<RestoreStep> {
    if before.cluster != after.cluster {
        return None;
    }
    let set = |name| Some((name, format!("{} = {}", quoted(name), literal(before.settings.get(name)?)?)));
    together("SET GLOBAL ", changed(before, after).into_iter().filter_map(set))
}

/// Returns whether a setting has its value again.
pub(crate) fn is_back(before: &Globals, after: &Globals, name: &str) -> bool {
    before.settings.get(name) == after.settings.get(name)
}

fn changed<'a>(before: &'a Globals, after: &'a Globals) -> Vec<&'a str> {
    let names: BTreeSet<&String> = before.settings.keys().chain(after.settings.keys()).collect();
    names.into_iter().filter(|name| !is_back(before, after, name)).map(String::as_str).collect()
}

/// Joins several assignments to one statement, with the single ones as its parts.
fn together<'a>(verb: &str, items: impl Iterator<Item = (&'a str, String)>) -> Option<RestoreStep> {
    let items: Vec<(&str, String)> = items.collect();
    let (names, texts): (Vec<&str>, Vec<&str>) = items.iter().map(|(name, text)| (*name, text.as_str())).unzip();
    let part = |(name, text): &(&str, String)| RestoreStep::one((*name).to_owned(), format!("{verb}{text}"));
    (!items.is_empty()).then(|| RestoreStep {
        what: names.join(", "),
        statement: format!("{verb}{}", texts.join(", ")),
        parts: items.iter().map(part).collect(),
    })
}

/// Returns the steps that take new roles from users and roles that stay, without which the roles can't be dropped. New
/// users are gone by then.
fn revokes(made: &[&String], before: &Globals, after: &Globals) -> Vec<RestoreStep> {
    // The keeper's own users are in no list, and stay until the end of the session.
    let had =
        |name: &String| user::is_ours(name) || before.things.get(&Thing::User).is_none_or(|users| users.contains(name));
    let is_role = |name: &String| after.things.get(&Thing::Role).is_some_and(|roles| roles.contains(name));
    let of_made = after.granted.iter().filter(|(role, who)| made.contains(&role) && (had(who) || is_role(who)));
    of_made
        .map(|(role, who)| {
            let what = format!("role {} of {}", quoted(role), quoted(who));
            RestoreStep::one(what, format!("REVOKE {} FROM {}", quoted(role), quoted(who)))
        })
        .collect()
}

/// Returns the settings of `sys.cluster` by their full names.
pub(crate) fn flatten(settings: &Value) -> BTreeMap<String, Value> {
    fn into(all: &mut BTreeMap<String, Value>, path: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    into(all, &path, value);
                }
            }
            // Loggers are a list of names and levels.
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for item in items {
                    if let (Some(name), Some(level)) = (item["name"].as_str(), item["level"].as_str()) {
                        all.insert(name.to_owned(), level.into());
                    }
                }
            }
            Value::Array(items) if items.is_empty() && path == "logger" => {}
            Value::Null => {}
            value => drop(all.insert(path.to_owned(), value.clone())),
        }
    }
    let mut all = BTreeMap::new();
    into(&mut all, "", settings);
    // Only a restart changes these: no test did it, and they can't be reset.
    all.retain(|name, _| !name.starts_with("gateway."));
    all
}

/// The outcome of a repair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Restored {
    /// Settings that have their value again.
    pub(super) set_back: Vec<String>,
    pub(super) dropped: Vec<String>,
    /// Changes that can't be undone or that the server refused to undo, each with the reason.
    pub(super) not: Vec<String>,
}

/// Says in one line what a repair did after `test`; `None` if the test had changed nothing.
pub(super) fn sentence(test: &str, restored: &Restored) -> Option<String> {
    let Restored { set_back, dropped, not } = restored;
    let part = |verb: &str, names: &[String]| (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")));
    let parts = [part("set back", set_back), part("dropped", dropped), part("NOT put back:", not)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("`{test}` changed the cluster outside its schema: {}", parts.join("; ")))
}

/// Writes a value as `SET GLOBAL` takes it; `None` if it has no such form.
fn literal(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(format!("'{}'", text.replace('\'', "''"))),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string().to_uppercase()),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(literal).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        Value::Null | Value::Object(_) => None,
    }
}
