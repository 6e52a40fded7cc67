//! The keys that a condition pins: such a query reads rows by key, refreshed or not.

use crate::engine::error::{Result, SqlError};
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

/// The rows that a condition on versions names: each by its key, with the versions that it must have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Versioned {
    pub(crate) key: Vec<u8>,
    /// Places of the version columns, and their wanted values.
    pub(crate) wanted: Vec<(usize, Value)>,
}

/// Returns the rows that `filter` names by key and version; none if it doesn't compare versions. They may only be
/// compared by `=` with a value, the sequence number beside the primary term, and beside the whole key.
///
/// `width` is the number of the table's own columns. Sequence number, primary term and version come after them.
pub(crate) fn versioned(filter: Option<&Expr>, primary: &[usize], width: usize) -> Result<Option<Vec<Versioned>>> {
    let used = |column: usize| {
        filter.is_some_and(|f| f.any(&mut |e| matches!(e.kind, Kind::Column { depth: 0, index } if index == column)))
    };
    let (seq_no, term, version) = (used(width), used(width + 1), used(width + 2));
    let Some(filter) = filter.filter(|_| seq_no || term || version) else { return Ok(None) };
    let wrong = |text: &str| SqlError::new(4000, "VersioningValidationException", text);
    if (seq_no || term) && version {
        return Err(wrong(MIXED));
    }
    if seq_no != term || !are_plain(filter, width, false) {
        return Err(wrong(if version { VERSION } else { SEQ_NO }));
    }
    let columns: Vec<usize> = if version { vec![width + 2] } else { vec![width, width + 1] };
    let pins = pinned(filter, &[primary, &columns].concat()).filter(|rows| {
        let whole = |row: &Vec<Option<Value>>| row.iter().all(|value| value.as_ref().is_some_and(|v| !v.is_null()));
        !primary.is_empty() && rows.iter().all(whole)
    });
    let Some(pins) = pins else { return Err(wrong(if version { VERSION } else { SEQ_NO })) };
    let row = |row: Vec<Option<Value>>| {
        let (key, wanted) = row.split_at(primary.len());
        let wanted = columns.iter().copied().zip(wanted.iter().flatten().cloned()).collect();
        Versioned { key: encode(key.iter().flatten()), wanted }
    };
    Ok(Some(pins.into_iter().map(row).collect()))
}

const VERSION: &str = "\"_version\" column can only be used in the WHERE clause with equals comparisons and if there are \
                       also equals comparisons on primary key columns";
const SEQ_NO: &str = "\"_seq_no\" and \"_primary_term\" columns can only be used together in the WHERE clause with equals \
                      comparisons and if there are also equals comparisons on primary key columns";
const MIXED: &str = "\"_version\" column cannot be used in conjunction with the \"_seq_no\" and \"_primary_term\" columns. \
                     Use one of the two versioning mechanisms, but not both at the same time.";

/// Returns whether version columns are only compared by `=` with values, and not below NOT.
pub(crate) fn are_plain(e: &Expr, width: usize, negated: bool) -> bool {
    let is_version =
        |e: &Expr| matches!(e.kind, Kind::Column { depth: 0, index } if (width..width + 3).contains(&index));
    match &e.kind {
        Kind::Compare("=", a, b) if is_version(a) || is_version(b) => {
            !negated && (a.as_literal().is_some() || b.as_literal().is_some())
        }
        Kind::Not(inner) => are_plain(inner, width, true),
        _ => !is_version(e) && e.children().into_iter().all(|child| are_plain(child, width, negated)),
    }
}

/// Returns whether a condition has nothing but comparisons of these columns by `=`, joined by AND and OR.
pub(crate) fn only_compares(filter: &Expr, columns: &[usize]) -> bool {
    match &filter.kind {
        Kind::And(all) | Kind::Or(all) => all.iter().all(|e| only_compares(e, columns)),
        Kind::Compare("=", a, b) => [(a, b), (b, a)].into_iter().any(|(column, value)| {
            let named = matches!(column.kind, Kind::Column { depth: 0, index } if columns.contains(&index));
            named && value.as_literal().is_some()
        }),
        _ => false,
    }
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
        Kind::And(all) => all
            .iter()
            .filter_map(|e| pinned(e, primary))
            .reduce(|a, b| a.iter().flat_map(|x| b.iter().filter_map(move |y| both(x, y))).collect()),
        Kind::Or(all) => {
            let mut out = vec![];
            for e in all {
                out.extend(pinned(e, primary)?);
            }
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
