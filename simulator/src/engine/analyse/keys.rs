//! The keys that a condition pins: such a query reads rows by key, refreshed or not.

use crate::engine::plan::{Expr, Kind};
use crate::engine::value::Value;

/// Returns the encoded keys if `filter` pins every column of `primary` to given values.
pub(crate) fn of(filter: &Expr, primary: &[usize]) -> Option<Vec<Vec<u8>>> {
    if primary.is_empty() {
        return None;
    }
    let mut rows = pinned(filter, primary)?;
    if rows.iter().any(|row| row.iter().any(Option::is_none)) {
        return None;
    }
    let mut keys: Vec<Vec<u8>> = vec![];
    for row in rows.drain(..) {
        let key = encode(row.iter().flatten());
        // A null never equals anything.
        if !row.iter().flatten().any(Value::is_null) && !keys.contains(&key) {
            keys.push(key);
        }
    }
    Some(keys)
}

pub(crate) fn encode<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<u8> {
    let mut key = vec![];
    values.for_each(|value| value.key(&mut key));
    key
}

/// Returns whether it is unclear if CrateDB searches or reads by key, because of a subquery. It matters while writes
/// are not refreshed.
pub(crate) fn unsure(filter: &Expr, primary: &[usize]) -> bool {
    let is_key = |e: &Expr| matches!(e.kind, Kind::Column { depth: 0, index } if primary.contains(&index));
    filter.any(&mut |e| {
        matches!(&e.kind, Kind::Call(f, _) if f.name == "subquery") || matches!(e.kind, Kind::Subquery(..))
    }) && filter.any(&mut |e| is_key(e))
}

type Pins = Vec<Vec<Option<Value>>>;

/// Returns alternatives of values for the key's columns; none if the condition doesn't restrict them.
fn pinned(filter: &Expr, primary: &[usize]) -> Option<Pins> {
    match &filter.kind {
        Kind::Compare("=", a, b) => {
            let (column, value) = if b.as_literal().is_some() { (a, b) } else { (b, a) };
            pin(column, std::slice::from_ref(value.as_literal()?), primary)
        }
        Kind::In(value, list) => {
            let values: Vec<Value> = list.iter().map(|e| e.as_literal().cloned()).collect::<Option<_>>()?;
            pin(value, &values, primary)
        }
        Kind::Quantified { op: "=", all: false, value, array } => match array.as_literal()? {
            Value::Array(items) => pin(value, items, primary),
            _ => None,
        },
        Kind::And(a, b) => match (pinned(a, primary), pinned(b, primary)) {
            (Some(a), Some(b)) => Some(a.iter().flat_map(|x| b.iter().filter_map(move |y| both(x, y))).collect()),
            (a, b) => a.or(b),
        },
        Kind::Or(a, b) => {
            let mut out = pinned(a, primary)?;
            out.extend(pinned(b, primary)?);
            let complete = out.iter().all(|row| row.iter().all(Option::is_some));
            complete.then_some(out)
        }
        _ => None,
    }
}

fn pin(column: &Expr, values: &[Value], primary: &[usize]) -> Option<Pins> {
    let Kind::Column { depth: 0, index } = column.kind else { return None };
    let place = primary.iter().position(|p| *p == index)?;
    let row = |value: &Value| {
        let mut row = vec![None; primary.len()];
        row[place] = Some(value.clone());
        row
    };
    Some(values.iter().map(row).collect())
}

/// Combines two sets of pins; None if they contradict each other.
fn both(a: &[Option<Value>], b: &[Option<Value>]) -> Option<Vec<Option<Value>>> {
    let merge = |(x, y): (&Option<Value>, &Option<Value>)| match (x, y) {
        (Some(x), Some(y)) if !x.same(y) => None,
        (x, y) => Some(x.clone().or_else(|| y.clone())),
    };
    a.iter().zip(b).map(merge).collect()
}
