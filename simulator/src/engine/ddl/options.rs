//! Options of tables.

use crate::engine::analyse::{Analyser, Scope};
use crate::engine::ast::Ast;
use crate::engine::context::Context;
use crate::engine::error::{Result, invalid, refuse};
use crate::engine::store::Definition;
use crate::engine::value::Value;

/// Returns the values of WITH and SET: literals and arguments.
pub(crate) fn option_values(context: &Context, options: &[(String, Ast)]) -> Result<Vec<(String, Value)>> {
    let scope = Scope::new(vec![], None);
    let value = |ast: &Ast| match Analyser::new(context, &scope).expr(ast)?.as_literal() {
        Some(value) => Ok(value.clone()),
        None => Err(refuse("this value of an option")),
    };
    options.iter().map(|(name, ast)| Ok((name.clone(), value(ast)?))).collect()
}

/// The beginnings of the names of all options of tables.
const TABLE_OPTIONS: [&str; 20] = [
    "allocation.",
    "blocks.",
    "codec",
    "column_policy",
    "global_checkpoint_sync.",
    "mapping.",
    "max_ngram_diff",
    "max_shingle_diff",
    "merge.",
    "number_of_replicas",
    "number_of_routing_shards",
    "number_of_shards",
    "recovery.",
    "refresh_interval",
    "routing.",
    "soft_deletes.",
    "store.",
    "translog.",
    "unassigned.",
    "write.",
];

/// Applies options of a table.
pub(in crate::engine::ddl) fn apply_options(definition: &mut Definition, options: Vec<(String, Value)>) -> Result<()> {
    for (name, value) in options {
        match (name.as_str(), &value) {
            ("number_of_replicas", Value::Int(n @ 0..=9)) => definition.replicas = n.to_string(),
            ("number_of_replicas", Value::Text(t)) => {
                let number = |t: &str| t.parse::<u8>().ok().filter(|n| *n < 10 && t.len() == 1);
                let fits = match t.split_once('-') {
                    None => number(t).is_some(),
                    Some((least, "all")) => number(least).is_some(),
                    Some((least, most)) => match (number(least), number(most)) {
                        (Some(least), Some(most)) if least > most => {
                            return Err(invalid("minReplicas must be =< maxReplicas"));
                        }
                        (least, most) => least.is_some() && most.is_some(),
                    },
                };
                if !fits {
                    return Err(invalid(format!("The \"number_of_replicas\" range \"{t}\" isn't valid")));
                }
                definition.replicas.clone_from(t);
            }
            ("number_of_replicas", Value::Int(n)) if *n < 0 => {
                return Err(invalid(format!(
                    "Failed to parse value [{n}] for setting [number_of_replicas] must be >= 0"
                )));
            }
            ("column_policy", Value::Text(t)) if t == "strict" || t == "dynamic" => definition.dynamic = t == "dynamic",
            ("refresh_interval", Value::Int(n)) if *n >= 0 => {
                definition.options.insert(name, value);
            }
            ("blocks.write", Value::Bool(b)) => definition.write_blocked = *b,
            ("translog.durability", Value::Text(t))
                if ["ASYNC", "REQUEST", "async", "request"].contains(&t.as_str()) =>
            {
                definition.options.insert(name, value);
            }
            (name, _) if !TABLE_OPTIONS.iter().any(|known| name.starts_with(known)) => {
                return Err(invalid(format!("Invalid property \"{name}\" passed to [ALTER | CREATE] TABLE statement")));
            }
            _ => return Err(refuse(format!("the table option {name} like this"))),
        }
    }
    Ok(())
}
