//! The names that an expression can use: columns of a query, and those of the queries around it.

use std::cell::Cell;
use std::rc::Rc;

use crate::engine::ast::{Name, Window};
use crate::engine::catalog;
use crate::engine::error::{Result, SqlError, no_column, no_relation, refuse};
use crate::engine::plan::{Expr, Kind};
use crate::engine::types::Type;

/// A column that an expression can name.
#[derive(Clone, Debug)]
pub(crate) struct NamedColumn {
    /// Schema and table, or an alias.
    pub(crate) relation: Vec<String>,
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// Set when used; columns that have it are not part of `*`.
    pub(crate) system: Option<Rc<Cell<bool>>>,
}

/// The columns that the expressions of one query can name.
pub(crate) struct Scope<'a> {
    pub(crate) columns: Vec<NamedColumn>,
    pub(crate) outer: Option<&'a Scope<'a>>,
    /// True if a column of an outer query was named.
    pub(crate) escaped: Cell<bool>,
    pub(crate) windows: Vec<(String, Window)>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(columns: Vec<NamedColumn>, outer: Option<&'a Scope<'a>>) -> Scope<'a> {
        Scope { columns, outer, escaped: Cell::new(false), windows: vec![] }
    }

    /// Returns place and type of a column of this scope alone.
    fn find(&self, name: &Name) -> Result<Option<(usize, Type)>> {
        let (column, relation) = name.split_last().ok_or_else(|| refuse("an empty name"))?;
        let relation = if relation.len() == 3 { &relation[1..] } else { relation };
        let mut found = None;
        for (i, candidate) in self.columns.iter().enumerate() {
            // A column of an upsert's proposed row needs its qualifier.
            let reachable = !relation.is_empty() || candidate.relation != ["excluded"];
            if candidate.name == *column && candidate.relation.ends_with(relation) && reachable {
                if found.is_some() {
                    return Err(SqlError::new(
                        4006,
                        "AmbiguousColumnException",
                        format!("Column \"{column}\" is ambiguous"),
                    ));
                }
                if let Some(used) = &candidate.system {
                    used.set(true);
                }
                found = Some((i, candidate.ty.clone()));
            }
        }
        Ok(found)
    }

    fn knows(&self, relation: &[String]) -> bool {
        self.columns.iter().any(|c| c.relation.ends_with(relation)) || self.outer.is_some_and(|o| o.knows(relation))
    }

    /// `schema` is that of a table without one in the error about an unknown table.
    pub(super) fn column(&self, name: &Name, schema: &str) -> Result<Expr> {
        // CrateDB reads a quoted name like "o['a']" as a subscript.
        if name.iter().any(|part| part.contains('[')) {
            return Err(refuse("a subscript within quotes"));
        }
        let (mut scope, mut depth) = (self, 0);
        loop {
            if let Some((index, ty)) = scope.find(name)? {
                return Ok(Expr::new(Kind::Column { depth, index }, ty));
            }
            scope.escaped.set(true);
            let Some(outer) = scope.outer else { break };
            (scope, depth) = (outer, depth + 1);
        }
        let (column, relation) = name.split_last().ok_or_else(|| refuse("an empty name"))?;
        let relation = if relation.len() == 3 { &relation[1..] } else { relation };
        if !relation.is_empty() && !self.knows(relation) {
            let relation = match relation {
                [table] => &[schema.to_owned(), table.clone()],
                relation => relation,
            };
            return Err(no_relation(relation.join(".")));
        }
        if column.starts_with('_')
            && ["_id", "_raw", "_score", "_uid", "_docid", "_fetchid", "_names"].contains(&column.as_str())
        {
            return Err(refuse(format!("the column {column}")));
        }
        if self.is_partial() {
            return Err(refuse(format!("the column {column} of this catalog table")));
        }
        Err(no_column(column))
    }

    /// Returns whether CrateDB has columns here that this engine doesn't have.
    pub(crate) fn is_partial(&self) -> bool {
        self.columns.iter().any(|c| c.name == catalog::PARTIAL)
    }
}
