//! Runs plans: scans, filters, joins, groups, window functions.

mod eval;
pub(crate) mod points;

use super::context::Context;
use super::error::{Result, SqlError, refuse};
use super::plan::{
    Aggregate, Expr, Group, Join, Key, Kind, Output, Over, Plan, PlanBody, RowPlace, SelectPlan, Source, TableFunction,
    WindowCall,
};
use super::store::{Document, Table};
use super::types::Type;
use super::value::{Row, Value};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

pub(crate) use eval::{Env, subquery};

/// Returns the rows of a plan. `outer` is the row of the query around it, if it is a subquery.
pub(crate) fn run(plan: &Plan, context: &Context, outer: Option<&Env>) -> Result<Vec<Row>> {
    if !plan.order.is_empty() || plan.limit.is_some() || plan.offset > 0 {
        context.fetches.set(true);
    }
    let mut rows = match &plan.body {
        PlanBody::Select(select) => run_select(select, context, outer)?,
        PlanBody::Values(rows) => {
            let env = Env { row: &[], outer, context };
            rows.iter().map(|row| row.iter().map(|e| e.eval(&env)).collect()).collect::<Result<_>>()?
        }
        PlanBody::Union(first, more) => {
            let mut rows = run(first, context, outer)?;
            for (all, plan) in more {
                rows.extend(run(plan, context, outer)?);
                if !all {
                    rows = distinct(rows);
                }
            }
            rows
        }
    };
    if !plan.order.is_empty() {
        rows.sort_by(|a, b| compare_rows(&plan.order, a, b));
    }
    let rows = rows.into_iter().skip(plan.offset).take(plan.limit.unwrap_or(usize::MAX));
    Ok(rows
        .map(|mut row| {
            row.truncate(plan.columns.len());
            row
        })
        .collect())
}

pub(crate) fn compare_values(a: &Value, b: &Value, descending: bool, nulls_first: bool) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (false, false) if descending => b.compare(a),
        (false, false) => a.compare(b),
        (a_is_null, _) => {
            if a_is_null == nulls_first {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

fn compare_rows(keys: &[Key], a: &Row, b: &Row) -> Ordering {
    let each = keys.iter().map(|k| compare_values(&a[k.index], &b[k.index], k.descending, k.nulls_first));
    each.fold(Ordering::Equal, Ordering::then)
}

fn row_key(row: &[Value]) -> Vec<u8> {
    let mut key = vec![];
    row.iter().for_each(|value| value.key(&mut key));
    key
}

fn distinct(rows: Vec<Row>) -> Vec<Row> {
    let mut seen = HashSet::new();
    rows.into_iter().filter(|row| seen.insert(row_key(row))).collect()
}

fn run_select(select: &SelectPlan, context: &Context, outer: Option<&Env>) -> Result<Vec<Row>> {
    let mut rows = scan(&select.source, context, outer)?;
    if of_catalog(&select.source) {
        drop_unnamed(&mut rows, select.filter.as_ref(), context, outer)?;
    }
    if let Some(filter) = &select.filter {
        rows = keep(rows, filter, context, outer)?;
    }
    let missing = |v: &Value| matches!(v, Value::Text(t) if t == super::catalog::PARTIAL);
    if of_catalog(&select.source) && rows.iter().flatten().any(missing) {
        return Err(refuse("a query over catalog rows that aren't here"));
    }
    if let Some(group) = &select.group {
        rows = aggregate(group, &rows, context, outer)?;
        if let Some(having) = &select.having {
            rows = keep(rows, having, context, outer)?;
        }
    }
    for (i, call) in select.windows.iter().enumerate() {
        let known = select.windows[..i].iter().any(|w| (&w.partition, &w.order) == (&call.partition, &call.order));
        append_window(call, !known, &mut rows, context, outer)?;
    }
    let mut out = Vec::with_capacity(rows.len());
    for row in &rows {
        context.spend(1)?;
        output(&select.outputs, &Env { row, outer, context }, &mut out)?;
    }
    Ok(if select.distinct { distinct(out) } else { out })
}

/// Drops rows that stand for several columns, unless the filter may pick some of these.
fn drop_unnamed(rows: &mut Vec<Row>, filter: Option<&Expr>, context: &Context, outer: Option<&Env>) -> Result<()> {
    let unnamed = |v: &Value| matches!(v, Value::Text(t) if t == super::catalog::UNNAMED);
    for row in rows.iter_mut().filter(|row| row.iter().any(unnamed)) {
        row.iter_mut().filter(|v| unnamed(v)).for_each(|v| *v = Value::Null);
        let picked = filter.map(|f| f.eval(&Env { row, outer, context })).transpose()?;
        if picked != Some(Value::Bool(false)) {
            return Err(refuse("a query over catalog columns that aren't here"));
        }
        row.clear();
    }
    rows.retain(|row| !row.is_empty());
    Ok(())
}

fn of_catalog(source: &Source) -> bool {
    match source {
        Source::Rows(_) => true,
        Source::Join(join) => of_catalog(&join.left) || of_catalog(&join.right),
        _ => false,
    }
}

fn keep(rows: Vec<Row>, filter: &Expr, context: &Context, outer: Option<&Env>) -> Result<Vec<Row>> {
    let mut out = Vec::new();
    for row in rows {
        if filter.eval(&Env { row: &row, outer, context })? == Value::Bool(true) {
            out.push(row);
        }
    }
    Ok(out)
}

fn rows_of(function: TableFunction, args: Vec<Value>, context: &Context) -> Result<Vec<Row>> {
    let rows = (function.rows)(args)?;
    context.spend(rows.len())?;
    Ok(rows)
}

/// Appends the outputs of one row. Table functions among them make several rows.
fn output(outputs: &[Output], env: &Env, out: &mut Vec<Row>) -> Result<()> {
    let mut sets = vec![];
    for set in outputs {
        if let Output::Set(function, args) = set {
            let args = args.iter().map(|arg| arg.eval(env)).collect::<Result<Vec<_>>>()?;
            sets.push(rows_of(*function, args, env.context)?);
        }
    }
    let times = if sets.is_empty() { 1 } else { sets.iter().map(Vec::len).max().unwrap_or(0) };
    for i in 0..times {
        let mut set = sets.iter();
        let row = outputs.iter().map(|output| match output {
            Output::One(expr) => expr.eval(env),
            Output::Set(..) => Ok(set.next().and_then(|rows| rows.get(i)?.first().cloned()).unwrap_or(Value::Null)),
        });
        out.push(row.collect::<Result<_>>()?);
    }
    Ok(())
}

pub(crate) fn scan(source: &Source, context: &Context, outer: Option<&Env>) -> Result<Vec<Row>> {
    let rows = match source {
        Source::Nothing => vec![vec![]],
        Source::Rows(rows) => rows.to_vec(),
        Source::Query(plan) => run(plan, context, outer)?,
        Source::Join(join) => return run_join(join, context, outer),
        Source::Function(function, args) => {
            let env = Env { row: &[], outer, context };
            let args = args.iter().map(|arg| arg.eval(&env)).collect::<Result<Vec<_>>>()?;
            rows_of(*function, args, context)?
        }
        Source::Table { schema, name, system, keys } => {
            let table = context.state.table(schema, name).ok_or_else(|| refuse("a table that vanished"))?;
            let row = |document: &std::sync::Arc<Document>| row_of(table, document, system.get(), true);
            match keys {
                Some(keys) => {
                    let mut rows = vec![];
                    for (key, wanted) in keys {
                        let Some(document) = table.get(key) else { continue };
                        let row = row(document)?;
                        if wanted.iter().any(|(column, value)| !row[*column].same(value)) {
                            let text = "version conflict, the document has another version or sequence number";
                            return Err(SqlError::new(4092, "VersionConflictEngineException", text));
                        }
                        rows.push(row);
                    }
                    rows
                }
                None => {
                    let points = points::columns(&table.definition);
                    let found = |document| points::search(row(document)?, &points, context);
                    table.visible().map(found).collect::<Result<_>>()?
                }
            }
        }
    };
    context.spend(rows.len())?;
    Ok(rows)
}

/// Names and types of the columns after a table's own.
pub(crate) const SYSTEM: [(&str, Type); 4] = [
    ("_seq_no", Type::BigInt),
    ("_primary_term", Type::BigInt),
    ("_version", Type::BigInt),
    ("_doc", Type::Object(super::types::Object { policy: super::types::Policy::Dynamic, fields: vec![] })),
];

/// Returns a document's values, followed by those of system columns if `system`.
///
/// The version of a key that was deleted before isn't known. `version` says whether that matters.
pub(crate) fn row_of(table: &Table, document: &Document, system: bool, version: bool) -> Result<Row> {
    let mut row = document.values.clone();
    if system {
        if table.definition.shards != 1 {
            // Sequence numbers count per shard, and the shard of a row isn't imitated.
            return Err(refuse("a system column of a table with more than one shard"));
        }
        if version && document.version == 0 {
            return Err(refuse("a system column of a row that was deleted and inserted again"));
        }
        if !table.knows_seq_no(document) {
            return Err(refuse("a system column after a deletion that found nothing"));
        }
        let columns = table.definition.columns.iter().zip(&document.values);
        let doc = columns.filter(|(_, v)| !v.is_null()).map(|(c, v)| (c.name.clone(), v.clone())).collect();
        row.extend([Value::Int(document.seq_no), Value::Int(1), Value::Int(document.version), Value::Object(doc)]);
    }
    Ok(row)
}

fn aggregate(group: &Group, rows: &[Row], context: &Context, outer: Option<&Env>) -> Result<Vec<Row>> {
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut groups: Vec<(Row, Vec<&Row>)> = vec![];
    if group.keys.is_empty() {
        groups.push((vec![], rows.iter().collect()));
    } else {
        for row in rows {
            let env = Env { row, outer, context };
            let keys: Row = group.keys.iter().map(|key| key.eval(&env)).collect::<Result<_>>()?;
            let place = *places.entry(row_key(&keys)).or_insert_with(|| {
                groups.push((keys, vec![]));
                groups.len() - 1
            });
            groups[place].1.push(row);
        }
    }
    let mut out = vec![];
    for (mut row, members) in groups {
        for aggregate in &group.aggregates {
            row.push(accumulate(aggregate, &members, context, outer)?);
        }
        out.push(row);
    }
    Ok(out)
}

/// Computes one aggregate over the rows of a group.
pub(crate) fn accumulate(call: &Aggregate, rows: &[&Row], context: &Context, outer: Option<&Env>) -> Result<Value> {
    let mut values = vec![];
    let mut seen = HashSet::new();
    for row in rows {
        context.spend(1)?;
        let env = Env { row, outer, context };
        if let Some(filter) = &call.filter
            && filter.eval(&env)? != Value::Bool(true)
        {
            continue;
        }
        let args: Row = call.args.iter().map(|arg| arg.eval(&env)).collect::<Result<_>>()?;
        if !call.distinct || seen.insert(row_key(&args)) {
            values.push(args);
        }
    }
    match call.function.over {
        Over::Group(compute) => compute(values, &call.ty),
        Over::Window(_) => Err(refuse("a window function without a window")),
    }
}

/// Joins by nested loops; rows with equal keys are looked up in a table.
fn run_join(join: &Join, context: &Context, outer: Option<&Env>) -> Result<Vec<Row>> {
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
        Kind::And(all) => all.iter().for_each(|e| equal_columns(e, width, out)),
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

/// Computes a window function: one more value at the end of every row. Like CrateDB, it may leave the rows in the order
/// of the window, by partition first.
fn append_window(
    call: &WindowCall,
    sort: bool,
    rows: &mut Vec<Row>,
    context: &Context,
    outer: Option<&Env>,
) -> Result<()> {
    let mut named: Vec<Row> = vec![];
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
        named.push(partition);
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
            values[members[place]] = window_value(call, rows, &members, place, &peers, context, outer)?;
        }
    }
    for (row, value) in rows.iter_mut().zip(values) {
        row.push(value);
    }
    if sort {
        let by_partition = |a: usize, b: usize| {
            let each = named[a].iter().zip(&named[b]).map(|(a, b)| compare_values(a, b, false, false));
            each.fold(Ordering::Equal, Ordering::then)
        };
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|a, b| by_partition(*a, *b).then_with(|| compare(*a, *b)));
        *rows = order.into_iter().map(|i| std::mem::take(&mut rows[i])).collect();
    }
    Ok(())
}

fn window_value(
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
