//! Window functions: one more value at the end of every row.

use super::{Context, Env, Result, Row, accumulate, compare_values, row_key};
use crate::engine::plan::{Over, RowPlace, WindowCall};
use crate::engine::value::Value;
use std::cmp::Ordering;
use std::collections::HashMap;

pub(super) fn append(call: &WindowCall, rows: &mut [Row], context: &Context, outer: Option<&Env>) -> Result<()> {
    let mut partitions: Vec<Vec<usize>> = vec![];
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut keys: Vec<Row> = vec![];
    for (i, row) in rows.iter().enumerate() {
        let env = Env { row, outer, context };
        let partition: Row = call.partition.iter().map(|p| p.eval(&env)).collect::<Result<_>>()?;
        keys.push(call.order.iter().map(|o| o.0.eval(&env)).collect::<Result<_>>()?);
        let place = *places.entry(row_key(&partition)).or_insert_with(|| {
            partitions.push(vec![]);
            partitions.len() - 1
        });
        partitions[place].push(i);
    }
    let compare = |a: usize, b: usize| {
        let each = call.order.iter().enumerate().map(|(k, o)| compare_values(&keys[a][k], &keys[b][k], o.1, o.2));
        each.fold(Ordering::Equal, Ordering::then)
    };
    let mut values = vec![Value::Null; rows.len()];
    for mut members in partitions {
        members.sort_by(|a, b| compare(*a, *b));
        let peers = |a: usize, b: usize| compare(members[a], members[b]).is_eq();
        for place in 0..members.len() {
            values[members[place]] = value(call, rows, &members, place, &peers, context, outer)?;
        }
    }
    for (row, value) in rows.iter_mut().zip(values) {
        row.push(value);
    }
    Ok(())
}

fn value(
    call: &WindowCall,
    rows: &[Row],
    members: &[usize],
    place: usize,
    peers: &dyn Fn(usize, usize) -> bool,
    context: &Context,
    outer: Option<&Env>,
) -> Result<Value> {
    let last = members.len() - 1;
    let (start, end) = match call.frame {
        Some((before, after)) => {
            (before.map_or(0, |n| place.saturating_sub(n)), after.map_or(last, |n| (place + n).min(last)))
        }
        None => (0, (place..=last).rev().find(|other| peers(place, *other)).unwrap_or(place)),
    };
    context.spend(end - start + 1)?;
    match call.call.function.over {
        Over::Group(_) => {
            let frame: Vec<&Row> = members[start..=end].iter().map(|i| &rows[*i]).collect();
            accumulate(&call.call, &frame, context, outer)
        }
        Over::Window(compute) => compute(&RowPlace {
            row: place,
            first_peer: (0..=place).find(|other| peers(place, *other)).unwrap_or(place),
            changes: (1..=place).filter(|i| !peers(i - 1, *i)).count(),
            frame: (start, end),
            last,
            argument: &|i, at| match call.call.args.get(i) {
                Some(arg) => arg.eval(&Env { row: &rows[members[at]], outer, context }),
                None => Ok(Value::Null),
            },
            arguments: call.call.args.len(),
        }),
    }
}
