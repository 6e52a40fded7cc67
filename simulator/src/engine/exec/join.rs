//! Joins, by nested loops; equal keys are looked up in a table.

use super::{Context, Env, Join, Result, Row, row_key, scan};
use crate::engine::plan::{Expr, Kind};
use crate::engine::value::Value;
use std::collections::HashMap;

pub(super) fn run(join: &Join, context: &Context, outer: Option<&Env>) -> Result<Vec<Row>> {
    let left = scan(&join.left, context, outer)?;
    let right = scan(&join.right, context, outer)?;
    let mut pairs = vec![];
    if let Some(on) = &join.on {
        equal_columns(on, join.widths.0, &mut pairs);
    }
    let key_of = |row: &Row, columns: &mut dyn Iterator<Item = usize>| {
        row_key(&columns.map(|c| row[c].clone()).collect::<Row>())
    };
    let mut places: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
    if !pairs.is_empty() {
        for (i, row) in right.iter().enumerate() {
            places.entry(key_of(row, &mut pairs.iter().map(|p| p.1))).or_default().push(i);
        }
    }
    let all: Vec<usize> = (0..right.len()).collect();
    let none = vec![];
    let mut matched = vec![false; right.len()];
    let mut out = vec![];
    for row in &left {
        let candidates = if pairs.is_empty() {
            &all
        } else {
            places.get(&key_of(row, &mut pairs.iter().map(|p| p.0))).unwrap_or(&none)
        };
        context.spend(candidates.len())?;
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

/// Collects the columns, left and right, that the condition wants equal. It is still evaluated: null equals nothing.
fn equal_columns(on: &Expr, width: usize, out: &mut Vec<(usize, usize)>) {
    match &on.kind {
        Kind::And(a, b) => [a, b].into_iter().for_each(|e| equal_columns(e, width, out)),
        Kind::Compare("=", a, b) => {
            if let (Kind::Column { depth: 0, index: a }, Kind::Column { depth: 0, index: b }) = (&a.kind, &b.kind) {
                match (*a < width, *b < width) {
                    (true, false) => out.push((*a, b - width)),
                    (false, true) => out.push((*b, a - width)),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}
