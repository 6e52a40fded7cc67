//! Everything the engine knows: relations, schemas, users, settings.

use super::ast::{Name, Query};
use super::error::{Result, SqlError, invalid, no_relation, no_schema, refuse, unsupported};
use super::persist;
use super::store::Table;
use super::types::Type;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct View {
    pub(crate) query: Query,
    pub(crate) columns: Vec<(String, Type)>,
    /// The search path of the session that made it.
    pub(crate) path: Vec<String>,
    /// The user who made it. Its query reads with the owner's privileges.
    #[serde(default = "superuser")]
    pub(crate) owner: String,
    /// Relations it reads.
    pub(crate) reads: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) enum Relation {
    Table(Box<Table>),
    View(Box<View>),
}

/// A privilege that was granted or denied to a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Privilege {
    #[serde(deserialize_with = "persist::word")]
    pub(crate) kind: persist::Word,
    #[serde(deserialize_with = "persist::word")]
    pub(crate) class: persist::Word,
    pub(crate) ident: Option<String>,
    pub(crate) granted: bool,
    /// The user who granted or denied it.
    #[serde(default = "superuser")]
    pub(crate) grantor: String,
}

fn superuser() -> String {
    "crate".into()
}

/// A role that was granted, and by whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GrantedRole {
    pub(crate) role: String,
    pub(crate) grantor: String,
}

/// A user, or a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    /// True for a role, which can't log in.
    #[serde(default)]
    pub(crate) is_role: bool,
    /// The digest of the password.
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) search_path: Option<Vec<String>>,
    pub(crate) privileges: Vec<Privilege>,
    /// Roles that were granted to it, by name.
    #[serde(default)]
    pub(crate) roles: Vec<GrantedRole>,
}

#[derive(Debug, Default)]
pub(crate) struct EngineState {
    /// By schema, then name.
    pub(crate) relations: BTreeMap<String, BTreeMap<String, Relation>>,
    /// Made by CREATE SCHEMA.
    pub(crate) schemas: BTreeSet<String>,
    pub(crate) users: BTreeMap<String, User>,
    /// Settings that were changed since the start.
    pub(crate) settings: BTreeMap<&'static str, super::value::Value>,
    /// Settings with which the nodes were started, by name.
    pub(crate) at_start: BTreeMap<String, super::value::Value>,
    /// Other nodes that have joined, by name, with the address of their HTTP. They hold nothing.
    pub(crate) peers: BTreeMap<String, String>,
    /// Relations that refused statements would have made: whatever needs them is refused as well.
    pub(crate) withheld: BTreeSet<(String, String)>,
    /// When the server was started, in milliseconds since the epoch.
    pub(crate) started: i64,
}

/// The most relations that are noted as withheld.
const MOST_WITHHELD: usize = 1000;

pub(crate) const READ_ONLY: [&str; 3] = ["sys", "information_schema", "pg_catalog"];
pub(crate) const RESERVED: [&str; 5] = ["sys", "information_schema", "pg_catalog", "blob", "doc"];

/// Tables of `information_schema`.
pub(crate) const INFORMATION: [&str; 23] = [
    "administrable_role_authorizations",
    "applicable_roles",
    "character_sets",
    "collations",
    "columns",
    "enabled_roles",
    "foreign_server_options",
    "foreign_servers",
    "foreign_table_options",
    "foreign_tables",
    "key_column_usage",
    "referential_constraints",
    "role_table_grants",
    "routines",
    "schemata",
    "sql_features",
    "table_constraints",
    "table_partitions",
    "tables",
    "user_mapping_options",
    "user_mappings",
    "view_column_usage",
    "views",
];
/// Tables of `sys`.
pub(crate) const SYS: [&str; 22] = [
    "allocations",
    "checks",
    "cluster",
    "cluster_health",
    "health",
    "jobs",
    "jobs_log",
    "jobs_metrics",
    "node_checks",
    "nodes",
    "operations",
    "operations_log",
    "privileges",
    "repositories",
    "roles",
    "segments",
    "sessions",
    "shards",
    "snapshot_restore",
    "snapshots",
    "summits",
    "users",
];
/// Tables of `pg_catalog`.
const PG: &str = " pg_aggregate pg_am pg_attrdef pg_attribute pg_auth_members pg_class pg_collation pg_constraint pg_cursors pg_database \
pg_depend pg_description pg_enum pg_event_trigger pg_hba_file_rules pg_index pg_indexes pg_language pg_locks pg_matviews pg_namespace \
pg_operator pg_policy pg_prepared_statements pg_proc pg_publication pg_publication_tables pg_range pg_replication_slots pg_rewrite \
pg_roles pg_sequence pg_settings pg_shdescription pg_stat_activity pg_statistic pg_stats pg_subscription pg_subscription_rel \
pg_tables pg_tablespace pg_timezone_names pg_trigger pg_type pg_user pg_views pg_inherits pg_stat_user_tables pg_authid ";

/// Returns whether CrateDB has such a table of its own, or may have.
pub(crate) fn is_builtin(schema: &str, name: &str) -> bool {
    match schema {
        "information_schema" => INFORMATION.contains(&name),
        "sys" => SYS.contains(&name),
        "pg_catalog" => PG.contains(&format!(" {name} ")),
        _ => false,
    }
}

impl EngineState {
    pub(crate) fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations.get(schema)?.get(name)
    }

    pub(crate) fn table(&self, schema: &str, name: &str) -> Option<&Table> {
        match self.relation(schema, name)? {
            Relation::Table(table) => Some(table),
            Relation::View(_) => None,
        }
    }

    pub(crate) fn table_mut(&mut self, schema: &str, name: &str) -> Option<&mut Table> {
        match self.relations.get_mut(schema)?.get_mut(name)? {
            Relation::Table(table) => Some(table),
            Relation::View(_) => None,
        }
    }

    pub(crate) fn has_schema(&self, name: &str) -> bool {
        RESERVED.contains(&name) || self.schemas.contains(name) || self.relations.contains_key(name)
    }

    /// Notes that a relation would be there if its statement had not been refused.
    pub(crate) fn withhold(&mut self, schema: &str, name: &Name) {
        let Ok((given, relation)) = split(name) else { return };
        let schema = given.unwrap_or_else(|| schema.to_owned());
        if self.relation(&schema, &relation).is_none() && self.withheld.len() < MOST_WITHHELD {
            self.withheld.insert((schema, relation));
        }
    }

    fn is_withheld(&self, schema: &str, name: &str) -> bool {
        self.withheld.contains(&(schema.to_owned(), name.to_owned()))
    }

    pub(crate) fn add(&mut self, schema: &str, name: &str, relation: Relation) {
        self.withheld.remove(&(schema.to_owned(), name.to_owned()));
        self.relations.entry(schema.into()).or_default().insert(name.into(), relation);
    }

    /// Removes a relation. A schema without CREATE SCHEMA goes with its last relation.
    pub(crate) fn remove(&mut self, schema: &str, name: &str) -> Option<Relation> {
        let relations = self.relations.get_mut(schema)?;
        let out = relations.remove(name);
        if relations.is_empty() {
            self.relations.remove(schema);
        }
        out
    }

    /// Drops everything in a schema, and views elsewhere that need it.
    pub(crate) fn drop_schema(&mut self, schema: &str) {
        self.schemas.remove(schema);
        self.withheld.retain(|(of, _)| of != schema);
        let mut gone: Vec<(String, String)> = self
            .relations
            .remove(schema)
            .map(|relations| relations.into_keys().map(|name| (schema.to_owned(), name)).collect())
            .unwrap_or_default();
        while !gone.is_empty() {
            let dependent: Vec<(String, String)> = self
                .relations
                .iter()
                .flat_map(|(s, relations)| relations.iter().map(move |(n, r)| (s, n, r)))
                .filter(|(_, _, r)| matches!(r, Relation::View(v) if v.reads.iter().any(|read| gone.contains(read))))
                .map(|(s, n, _)| (s.clone(), n.clone()))
                .collect();
            for (s, n) in &dependent {
                self.remove(s, n);
            }
            gone = dependent;
        }
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.relations.values().flat_map(BTreeMap::values).filter_map(|r| match r {
            Relation::Table(table) => Some(&**table),
            Relation::View(_) => None,
        })
    }

    /// Returns schema and name of a relation: the first schema of `path` that has it.
    pub(crate) fn resolve(&self, path: &[String], name: &Name) -> Result<(String, String)> {
        let has = |schema: &str, name: &str| self.relation(schema, name).is_some() || is_builtin(schema, name);
        match split(name)? {
            (Some(schema), table) if has(&schema, &table) => Ok((schema, table)),
            (Some(schema), table) if self.is_withheld(&schema, &table) => Err(withheld(&table)),
            (Some(schema), table) if self.has_schema(&schema) => Err(no_relation(format!("{schema}.{table}"))),
            (Some(schema), _) => Err(no_schema(schema)),
            (None, table) => {
                let found =
                    std::iter::once("pg_catalog").chain(path.iter().map(String::as_str)).find(|s| has(s, &table));
                match found {
                    Some(schema) => Ok((schema.to_owned(), table)),
                    None if path.iter().any(|schema| self.is_withheld(schema, &table)) => Err(withheld(&table)),
                    None => Err(no_relation(table)),
                }
            }
        }
    }
}

fn withheld(relation: &str) -> SqlError {
    refuse(format!("the relation '{relation}', whose CREATE was refused,"))
}

/// Splits a name into schema, if given, and name of a relation.
pub(crate) fn split(name: &Name) -> Result<(Option<String>, String)> {
    match name.as_slice() {
        [table] => Ok((None, table.clone())),
        [schema, table] => Ok((Some(schema.clone()), table.clone())),
        [catalog, schema, table] if catalog == "crate" => Ok((Some(schema.clone()), table.clone())),
        [catalog, _, _] => Err(invalid(format!("Unexpected catalog name: {catalog}. Only available catalog is crate"))),
        [] => Err(unsupported("an empty name")),
        _ => Err(invalid("Table with more than 3 QualifiedName parts is not supported")),
    }
}
