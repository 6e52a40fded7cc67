//! What a schema does not isolate: what there was before an exclusive attempt, what there is after it, and what puts it back.
//!
//! Pure: `restorer` asks the server and executes the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sql::quoted;
use crate::user;

#[cfg(test)]
mod tests;

/// Everything outside schemas that can be listed and put back. No secrets: of a user or a repository only the name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Globals {
    /// The server's own id: what was seen of one cluster says nothing about another.
    pub(crate) cluster: String,
    /// Effective values by full name.
    pub(crate) settings: BTreeMap<String, Value>,
    /// By kind; a kind that the server does not list, or not for us, is missing and left alone.
    pub(crate) things: BTreeMap<Thing, BTreeSet<String>>,
    /// Roles and who has them. Needed of the present only.
    #[serde(skip)]
    pub(crate) granted: Vec<(String, String)>,
}

/// What is made and dropped by name, in the order in which it can be dropped.
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
    pub(crate) const ALL: [Self; 8] = [
        Self::Subscription,
        Self::Publication,
        Self::ForeignServer,
        Self::Analyzer,
        Self::Repository,
        Self::BlobTable,
        Self::User,
        Self::Role,
    ];

    /// The statement that lists the names.
    pub(crate) fn list(self) -> &'static str {
        match self {
            Self::Subscription => "SELECT subname FROM pg_catalog.pg_subscription",
            Self::Publication => "SELECT pubname FROM pg_catalog.pg_publication",
            Self::ForeignServer => "SELECT foreign_server_name FROM information_schema.foreign_servers",
            // Those that are built in have no definition.
            Self::Analyzer => {
                "SELECT routine_name FROM information_schema.routines \
                 WHERE routine_type = 'ANALYZER' AND routine_definition IS NOT NULL"
            }
            Self::Repository => "SELECT name FROM sys.repositories",
            Self::BlobTable => "SELECT table_name FROM information_schema.tables WHERE table_schema = 'blob'",
            Self::User => "SELECT name FROM sys.users",
            Self::Role => "SELECT name FROM sys.roles",
        }
    }

    fn drop(self, name: &str) -> String {
        let name = quoted(name);
        match self {
            Self::Subscription => format!("DROP SUBSCRIPTION IF EXISTS {name}"),
            Self::Publication => format!("DROP PUBLICATION IF EXISTS {name}"),
            // With its tables and user mappings, which can't be without it.
            Self::ForeignServer => format!("DROP SERVER IF EXISTS {name} CASCADE"),
            Self::Analyzer => format!("DROP ANALYZER {name}"),
            Self::Repository => format!("DROP REPOSITORY {name}"),
            Self::BlobTable => format!("DROP BLOB TABLE IF EXISTS {name}"),
            Self::User => format!("DROP USER IF EXISTS {name}"),
            Self::Role => format!("DROP ROLE IF EXISTS {name}"),
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subscription => "subscription",
            Self::Publication => "publication",
            Self::ForeignServer => "foreign server",
            Self::Analyzer => "analyzer",
            Self::Repository => "repository",
            Self::BlobTable => "blob table",
            Self::User => "user",
            Self::Role => "role",
        })
    }
}

/// One statement that puts something back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// For people: what is put back by it.
    pub(crate) what: String,
    pub(crate) statement: String,
    /// The same in smaller statements, if it is refused as a whole: settings that watch each other change together,
    /// and one that can't be changed must not keep the others.
    pub(crate) parts: Vec<Step>,
}

impl Step {
    fn one(what: String, statement: String) -> Self {
        Self { what, statement, parts: Vec::new() }
    }
}

/// What has to be done about the difference between two looks at one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Changed settings to what they are where nobody sets them; see [`settings_left`] for what comes next.
    pub(crate) reset: Option<Step>,
    /// Roles that have to be taken from who stays before they can be dropped.
    pub(crate) revokes: Vec<Step>,
    pub(crate) drops: Vec<Step>,
    /// What there was and is no more. Nobody can bring it back.
    pub(crate) lost: Vec<String>,
}

/// What puts `after` back to `before`: changed settings are reset, what was made is dropped, what was dropped is named.
/// Nothing that was there before is ever dropped.
pub(crate) fn diff(before: &Globals, after: &Globals) -> Plan {
    let mut plan = Plan::default();
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
        plan.drops.extend(made.iter().map(|name| Step::one(format!("{kind} {}", quoted(name)), kind.drop(name))));
        plan.lost.extend(then.difference(now).map(|name| format!("{kind} {}", quoted(name))));
    }
    plan
}

/// What still differs after the reset, since it had been set before: its old value. `after` was seen after the reset.
pub(crate) fn settings_left(before: &Globals, after: &Globals) -> Option<Step> {
    if before.cluster != after.cluster {
        return None;
    }
    let set = |name| Some((name, format!("{} = {}", quoted(name), literal(before.settings.get(name)?)?)));
    together("SET GLOBAL ", changed(before, after).into_iter().filter_map(set))
}

/// Whether a setting has its value again.
pub(crate) fn is_back(before: &Globals, after: &Globals, name: &str) -> bool {
    before.settings.get(name) == after.settings.get(name)
}

fn changed<'a>(before: &'a Globals, after: &'a Globals) -> Vec<&'a str> {
    let names: BTreeSet<&String> = before.settings.keys().chain(after.settings.keys()).collect();
    names.into_iter().filter(|name| !is_back(before, after, name)).map(String::as_str).collect()
}

/// One statement of several assignments, which can be taken apart.
fn together<'a>(verb: &str, items: impl Iterator<Item = (&'a str, String)>) -> Option<Step> {
    let items: Vec<(&str, String)> = items.collect();
    let (names, texts): (Vec<&str>, Vec<&str>) = items.iter().map(|(name, text)| (*name, text.as_str())).unzip();
    let part = |(name, text): &(&str, String)| Step::one((*name).to_owned(), format!("{verb}{text}"));
    (!items.is_empty()).then(|| Step {
        what: names.join(", "),
        statement: format!("{verb}{}", texts.join(", ")),
        parts: items.iter().map(part).collect(),
    })
}

/// A role that somebody has can't be dropped. Users who go too are gone by then.
fn revokes(made: &[&String], before: &Globals, after: &Globals) -> Vec<Step> {
    // Ours are in no list, and stay until the end of the session.
    let had =
        |name: &String| user::is_ours(name) || before.things.get(&Thing::User).is_none_or(|users| users.contains(name));
    let is_role = |name: &String| after.things.get(&Thing::Role).is_some_and(|roles| roles.contains(name));
    let of_made = after.granted.iter().filter(|(role, who)| made.contains(&role) && (had(who) || is_role(who)));
    of_made
        .map(|(role, who)| {
            let what = format!("role {} of {}", quoted(role), quoted(who));
            Step::one(what, format!("REVOKE {} FROM {}", quoted(role), quoted(who)))
        })
        .collect()
}

/// The settings of `sys.cluster`, by their full names.
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
    // What only a restart changes is no test's doing, and can't be reset.
    all.retain(|name, _| !name.starts_with("gateway."));
    all
}

/// One line about what became of what a test had changed; none if it changed nothing.
pub(crate) fn sentence(test: &str, done: &[String], dropped: &[String], not: &[String]) -> Option<String> {
    let mut parts = Vec::new();
    if !done.is_empty() {
        parts.push(format!("set back {}", done.join(", ")));
    }
    if !dropped.is_empty() {
        parts.push(format!("dropped {}", dropped.join(", ")));
    }
    if !not.is_empty() {
        parts.push(format!("NOT put back: {}", not.join(", ")));
    }
    (!parts.is_empty()).then(|| format!("`{test}` changed the cluster outside its schema: {}", parts.join("; ")))
}

/// A value as `SET GLOBAL` takes it; none for what has no form there.
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
