//! Tables about the cluster itself: `information_schema`, `sys`, `pg_catalog`.

mod columns;
mod generated;
mod nodes;
mod options;
mod settings;
mod shape;
mod shards;
mod summits;
mod sys;

use super::context::Context;
use super::error::{Result, refuse};
use super::print::query_definition;
use super::state::{INFORMATION, RESERVED, Relation, SYS, is_builtin};
use super::store::{Definition, Table};
use super::types::{TEXT, Type};
use super::users::{sees, sees_schema, sees_table};
use super::value::Row;
use super::value::Value;

pub(crate) use columns::{flat_columns, named_columns};
pub(crate) use settings::{SETTINGS, at_start};
pub(crate) use summits::LENGTH as SUMMITS;

/// Marks a table that has more columns in CrateDB than here. No column can have this name.
pub(crate) const PARTIAL: &str = "\0partial";
/// The name of all columns of a catalog table that isn't described here. Any name may be among them.
pub(crate) const UNNAMED: &str = "\0unnamed";
/// Stands for a value that is not known here. A query that reads it is refused.
pub(crate) const UNKNOWN: &str = "\0unknown";

pub(crate) type CatalogTable = (Vec<(&'static str, Type)>, Vec<Row>);

fn texts(names: &[&'static str]) -> Vec<(&'static str, Type)> {
    names.iter().map(|n| (*n, TEXT)).collect()
}

fn partial(mut columns: Vec<(&'static str, Type)>) -> Vec<(&'static str, Type)> {
    columns.push((PARTIAL, Type::Undefined));
    columns
}

/// Returns columns and rows of a catalog table; None if there is no such catalog table.
pub(crate) fn rows(context: &Context, schema: &str, name: &str) -> Result<Option<CatalogTable>> {
    if !is_builtin(schema, name) {
        return Ok(None);
    }
    let table = match (schema, name) {
        ("information_schema", "tables") => tables(context),
        ("information_schema", "columns") => columns::information(context),
        ("information_schema", "schemata") => schemata(context),
        ("information_schema", "routines") => routines(),
        ("information_schema", "views") => views(context),
        ("information_schema", "table_constraints") => constraints(context),
        ("information_schema", "key_column_usage") => key_columns(context),
        ("information_schema", "table_partitions") => shards::partitions(),
        ("information_schema", "foreign_servers") => {
            (partial(texts(&["foreign_server_catalog", "foreign_server_name"])), vec![])
        }
        ("information_schema", "foreign_tables") => {
            (partial(texts(&["foreign_table_schema", "foreign_table_name"])), vec![])
        }
        ("information_schema", "user_mappings") => {
            (partial(texts(&["authorization_identifier", "foreign_server_name"])), vec![])
        }
        ("information_schema", "character_sets") => {
            (partial(texts(&["character_set_name"])), vec![vec![Value::text("UTF8")]])
        }
        ("pg_catalog", "pg_publication") => (partial(texts(&["pubname"])), vec![]),
        ("pg_catalog", "pg_subscription") => (partial(texts(&["subname"])), vec![]),
        ("pg_catalog", "pg_enum" | "pg_range") => (partial(vec![]), vec![]),
        ("sys", "summits") if !context.summits.get() => return Err(refuse("a query that needs all of sys.summits")),
        ("sys", name) => sys::rows(context, name)?,
        _ => return Err(refuse(format!("{schema}.{name}"))),
    };
    Ok(Some(table))
}

fn relations<'a>(context: &'a Context) -> impl Iterator<Item = (&'a str, &'a str, &'a Relation)> {
    let state = context.state;
    let all = state.relations.iter().flat_map(|(s, all)| all.iter().map(move |(n, r)| (s.as_str(), n.as_str(), r)));
    all.filter(move |(s, n, _)| sees(state, context.session.rights(), s, n))
}

/// Returns the definitions of the tables that the user sees.
fn definitions<'a>(context: &'a Context) -> impl Iterator<Item = &'a Definition> {
    tables_seen(context).map(|table| &*table.definition)
}

fn tables_seen<'a>(context: &'a Context) -> impl Iterator<Item = &'a Table> {
    let sees = |d: &Definition| sees_table(context.state, context.session.rights(), &d.schema, &d.name);
    context.state.tables().filter(move |table| sees(&table.definition))
}

fn tables(context: &Context) -> CatalogTable {
    let mut columns = texts(&[
        "table_catalog",
        "table_schema",
        "table_name",
        "table_type",
        "number_of_replicas",
        "clustered_by",
        "column_policy",
        "routing_hash_function",
        "version_marker",
    ]);
    columns.pop();
    columns.extend([
        ("number_of_shards", Type::Integer),
        ("closed", Type::Boolean),
        ("partitioned_by", Type::array(TEXT)),
        ("settings", options::ty()),
    ]);
    let row = |schema: &str, name: &str, kind: &str, rest: [Value; 8]| -> Row {
        [Value::text("crate"), Value::text(schema), Value::text(name), Value::text(kind)]
            .into_iter()
            .chain(rest)
            .collect()
    };
    // Views and tables of CrateDB's own have only a policy.
    let none = || {
        let mut rest = [const { Value::Null }; 8];
        rest[2] = Value::text("strict");
        rest
    };
    let mut out: Vec<Row> = vec![];
    for (schema, names) in [("information_schema", &INFORMATION[..]), ("sys", &SYS[..])] {
        let seen = names.iter().filter(|name| sees(context.state, context.session.rights(), schema, name));
        out.extend(seen.map(|name| row(schema, name, "BASE TABLE", none())));
    }
    if sees_schema(context.state, context.session.rights(), "pg_catalog") {
        out.push(row("pg_catalog", PARTIAL, "BASE TABLE", none()));
    }
    for (schema, name, relation) in relations(context) {
        out.push(match relation {
            Relation::View(_) => row(schema, name, "VIEW", none()),
            Relation::Table(table) => {
                let d = &table.definition;
                let clustered = d.clustered_by.clone().unwrap_or_else(|| "_id".into());
                let rest = [
                    Value::text(&d.replicas),
                    Value::Text(clustered),
                    Value::text(if d.dynamic { "dynamic" } else { "strict" }),
                    Value::text("org.elasticsearch.cluster.routing.Murmur3HashFunction"),
                    Value::Int(d.shards),
                    Value::Bool(d.closed),
                    Value::Null,
                    options::value(d),
                ];
                row(schema, name, "BASE TABLE", rest)
            }
        });
    }
    (partial(columns), out)
}

/// There are no user-defined functions. The other rows of CrateDB are missing here.
fn routines() -> CatalogTable {
    let columns = texts(&[
        "routine_schema",
        "routine_name",
        "specific_name",
        "routine_type",
        "data_type",
        "routine_body",
        "routine_definition",
    ]);
    let mut others = vec![Value::Null; columns.len()];
    (others[1], others[3]) = (Value::text(PARTIAL), Value::text("ANALYZER"));
    (partial(columns), vec![others])
}

fn schemata(context: &Context) -> CatalogTable {
    let rows = schema_names(context).into_iter().map(|n| vec![Value::text("crate"), Value::text(n)]).collect();
    (texts(&["catalog_name", "schema_name"]), rows)
}

/// Returns the names of the schemas that the user sees, in order.
pub(crate) fn schema_names<'a>(context: &Context<'a>) -> Vec<&'a str> {
    let state = context.state;
    let mut names: Vec<&str> = RESERVED.to_vec();
    names.extend(state.schemas.iter().chain(state.relations.keys()).map(String::as_str));
    names.sort_unstable();
    names.dedup();
    names.retain(|name| sees_schema(state, context.session.rights(), name));
    names
}

fn views(context: &Context) -> CatalogTable {
    let mut columns = texts(&["table_catalog", "table_schema", "table_name"]);
    columns.extend([
        ("check_option", TEXT),
        ("is_updatable", Type::Boolean),
        ("owner", TEXT),
        ("view_definition", TEXT),
    ]);
    let rows = relations(context).filter_map(|(schema, name, relation)| match relation {
        Relation::View(view) => Some(vec![
            Value::text("crate"),
            Value::text(schema),
            Value::text(name),
            Value::text("NONE"),
            Value::Bool(false),
            Value::text(&view.owner),
            Value::Text(query_definition(&view.query).unwrap_or_else(|_| UNKNOWN.into())),
        ]),
        Relation::Table(_) => None,
    });
    (partial(columns), rows.collect())
}

fn constraints(context: &Context) -> CatalogTable {
    let mut rows = vec![];
    for d in definitions(context) {
        let mut add = |name: String, kind: &str| {
            rows.push(vec![Value::text(&d.schema), Value::text(&d.name), Value::Text(name), Value::text(kind)]);
        };
        if !d.primary.is_empty() {
            add(format!("{}_pkey", d.name), "PRIMARY KEY");
        }
        for check in &d.checks {
            // A name that CrateDB gives is random.
            add(check.name.clone().unwrap_or_else(|| UNKNOWN.into()), "CHECK");
        }
        for (i, column) in d.columns.iter().enumerate() {
            if column.not_null || d.primary.contains(&i) {
                add(format!("{}_{}_{}_not_null", d.schema, d.name, column.name), "CHECK");
            }
        }
    }
    (partial(texts(&["table_schema", "table_name", "constraint_name", "constraint_type"])), rows)
}

fn key_columns(context: &Context) -> CatalogTable {
    let mut columns = texts(&["constraint_name", "table_schema", "table_name", "column_name"]);
    columns.push(("ordinal_position", Type::Integer));
    let rows = definitions(context).flat_map(|d| {
        d.primary.iter().enumerate().map(|(i, column)| {
            let name = &d.columns[*column].name;
            let key = format!("{}_pkey", d.name);
            vec![
                Value::Text(key),
                Value::text(&d.schema),
                Value::text(&d.name),
                Value::text(name),
                Value::Int(i as i64 + 1),
            ]
        })
    });
    (partial(columns), rows.collect())
}
