//! Joins, by nested loops; equal keys are looked up in a table.

use super::{Context, Join, Result, Row, row_key, scan, spend};
use crate::engine::expr::{Env, Expr, Kind};
use crate::engine::value::Value;
use std::collections::HashMap;

pub(super) fn run(join: &Join, context: &Context, outer: Option<&Env>) -> Result<Vec<Row>> {
    let left = scan(&join.left, context, outer)?;
    let right = scan(&join.right, context, outer)?;
    let keys = join.on.as_ref().and_then(|on| equal_columns(on, join.widths.0));
    let mut places: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
    if let Some((_, r)) = keys {
        for (i, row) in right.iter().enumerate().filter(|(_, row)| !row[r].is_null()) {
            places.entry(row_key(&row[r..=r])).or_default().push(i);
        }
    }
    let all: Vec<usize> = (0..right.len()).collect();
    let none = vec![];
    let mut matched = vec![false; right.len()];
    let mut out = vec![];
    for row in &left {
        let candidates = match keys {
            Some((l, _)) if row[l].is_null() => &none,
            Some((l, _)) => places.get(&row_key(&row[l..=l])).unwrap_or(&none),
            None => &all,
        };
        spend(context, candidates.len())?;
        let before = out.len();
        for &i in candidates {
            let both: Row = row.iter().chain(&right[i]).cloned().collect();
            let fits = match &join.on {
                Some(on) => on.eval(&Env { row: &both, outer, context })? == Value::Bool(true),
                None => true,
            };
            if fits {
                matched[i] = true;
                out.push(both);
            }
        }
        if out.len() == before && join.outer.0 {
            out.push(row.iter().cloned().chain(std::iter::repeat_n(Value::Null, join.widths.1)).collect());
        }
    }
    if join.outer.1 {
        for (row, _) in right.iter().zip(&matched).filter(|(_, matched)| !**matched) {
            out.push(std::iter::repeat_n(Value::Null, join.widths.0).chain(row.iter().cloned()).collect());
        }
    }
    Ok(out)
}

/// The columns of `left = right` where that is all of the condition.
fn equal_columns(on: &Expr, width: usize) -> Option<(usize, usize)> {
    let Kind::Compare("=", a, b) = &on.kind else { return None };
    match (&a.kind, &b.kind) {
        (Kind::Column { depth: 0, index: a }, Kind::Column { depth: 0, index: b }) => match (*a < width, *b < width) {
            (true, false) => Some((*a, b - width)),
            (false, true) => Some((*b, a - width)),
            _ => None,
        },
        _ => None,
    }
}
