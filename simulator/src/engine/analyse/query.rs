//! Analysis of queries: they become plans.

use super::{Allow, Analyser, Scope, keys, source};
use crate::engine::ast::{self, Ast, Item, Order, Query};
use crate::engine::context::Context;
use crate::engine::error::{Fault, Result, invalid, refuse, unsupported};
use crate::engine::functions;
use crate::engine::operators::{coerce, common};
use crate::engine::plan::{Aggregate, Group, Key, Output, Plan, PlanBody, SelectPlan, Source, WindowCall};
use crate::engine::plan::{Expr, Kind};
use crate::engine::print::{output_name, united_name};
use crate::engine::types::Type;
use crate::engine::value::Value;

/// The deepest nesting of queries and views; deeper is refused.
const DEPTH: usize = 20;

pub(crate) fn plan(context: &Context, query: &Query) -> Result<Plan> {
    plan_in(context, query, None).map(|p| p.0)
}

/// Returns the plan, and whether it names a column of the queries around it.
pub(crate) fn plan_in(context: &Context, query: &Query, outer: Option<&Scope>) -> Result<(Plan, bool)> {
    let depth = context.depth.get();
    if depth >= DEPTH {
        return Err(refuse("a query nested this deep"));
    }
    let names = || query.with.iter().map(|table| &table.0);
    if let Some((_, twice)) = names().enumerate().find(|(i, name)| names().take(*i).any(|other| other == *name)) {
        return Err(source::named_twice(twice));
    }
    context.depth.set(depth + 1);
    let tables = context.common.borrow().len();
    context.common.borrow_mut().extend(query.with.iter().cloned());
    let out = plan_here(context, query, outer);
    context.common.borrow_mut().truncate(tables);
    context.depth.set(depth);
    out
}

fn plan_here(context: &Context, query: &Query, outer: Option<&Scope>) -> Result<(Plan, bool)> {
    let (mut plan, correlated) = match &query.body {
        ast::QueryBody::Select(select) => self::select(context, select, &query.order, outer)?,
        body => {
            let (mut plan, correlated) = plain_body(context, body, outer)?;
            for order in &query.order {
                let index = output_place(&order.by, &plan.columns)?
                    .ok_or_else(|| refuse("ordering a union by an expression"))?;
                orderable(&plan.columns[index].1)?;
                plan.order.push(Key { index, descending: order.descending, nulls_first: order.nulls_first });
            }
            (plan, correlated)
        }
    };
    plan.limit = count(context, query.limit.as_ref())?;
    plan.offset = count(context, query.offset.as_ref())?.unwrap_or(0);
    Ok((plan, correlated))
}

/// Returns the number of a LIMIT or OFFSET; NULL is none.
fn count(context: &Context, ast: Option<&Ast>) -> Result<Option<usize>> {
    let Some(ast) = ast else { return Ok(None) };
    let scope = Scope::new(vec![], None);
    let count = Analyser::new(context, &scope).expr(ast)?;
    if let Kind::Param(_) = count.kind {
        coerce(count, &Type::BigInt)?;
        return Ok(None);
    }
    match count.as_literal() {
        Some(Value::Int(n @ 0..)) => Ok(Some(*n as usize)),
        Some(Value::Null) => Ok(None),
        _ => Err(refuse("this LIMIT or OFFSET")),
    }
}

fn plain_body(context: &Context, body: &ast::QueryBody, outer: Option<&Scope>) -> Result<(Plan, bool)> {
    match body {
        ast::QueryBody::Select(select) => self::select(context, select, &[], outer),
        ast::QueryBody::Values(rows) => values(context, rows, outer),
        ast::QueryBody::Union { left, right, all, more } => {
            let (first, mut correlated) = plain_body(context, left, outer)?;
            let mut columns = first.columns.clone();
            name_columns(left, &first, &mut columns)?;
            let mut plans = vec![];
            for (all, body) in std::iter::once((*all, &**right)).chain(more.iter().map(|(all, body)| (*all, body))) {
                let (plan, names_outer) = plain_body(context, body, outer)?;
                unite(&mut columns, &plan)?;
                plans.push((all, plan));
                correlated |= names_outer;
            }
            let body = PlanBody::Union(Box::new(first), plans);
            Ok((Plan { columns, body, order: vec![], limit: None, offset: 0 }, correlated))
        }
        ast::QueryBody::Unsupported(name) => Err(unsupported(format!("{name} is not supported"))),
    }
}

fn values(context: &Context, rows: &[Vec<Ast>], outer: Option<&Scope>) -> Result<(Plan, bool)> {
    let scope = Scope::new(vec![], outer);
    let analyser = Analyser::new(context, &scope);
    let width = rows[0].len();
    if rows.iter().any(|row| row.len() != width) {
        return Err(invalid("VALUES lists must all be the same length"));
    }
    let mut out: Vec<Vec<Expr>> = vec![vec![]; rows.len()];
    let mut columns = vec![];
    for i in 0..width {
        let column: Vec<Expr> = rows.iter().map(|row| analyser.expr(&row[i])).collect::<Result<_>>()?;
        let (column, ty) = common(column)?;
        columns.push((format!("col{}", i + 1), ty));
        for (row, e) in out.iter_mut().zip(column) {
            row.push(e);
        }
    }
    let plan = Plan { columns, body: PlanBody::Values(out), order: vec![], limit: None, offset: 0 };
    Ok((plan, scope.escaped.get()))
}

/// Names the columns of a union after its first query.
fn name_columns(body: &ast::QueryBody, plan: &Plan, columns: &mut [(String, Type)]) -> Result<()> {
    let (ast::QueryBody::Select(select), PlanBody::Select(first)) = (body, &plan.body) else { return Ok(()) };
    if select.items.len() != columns.len() || first.outputs.len() < columns.len() {
        return Ok(());
    }
    for ((item, output), column) in select.items.iter().zip(&first.outputs).zip(columns) {
        if let (ast::Item::Expr(ast, None), Output::One(expr)) = (item, output) {
            column.0 = match (ast, &expr.kind) {
                (Ast::Array(asts), Kind::Array(items)) if asts.len() == items.len() => {
                    let names = asts.iter().zip(items).map(|(ast, item)| united_name(ast, is_cast(item)));
                    format!("[{}]", names.collect::<Result<Vec<_>>>()?.join(", "))
                }
                (ast, _) => united_name(ast, is_cast(expr))?,
            };
        }
    }
    Ok(())
}

fn is_cast(expr: &Expr) -> bool {
    matches!(&expr.kind, Kind::Cast(inner, _) if !inner.ty.same_family(&expr.ty))
}

/// Checks the types of one more query of a union. Columns without a type get one.
fn unite(columns: &mut [(String, Type)], right: &Plan) -> Result<()> {
    if columns.len() != right.columns.len() {
        return Err(unsupported("Number of output columns must be the same for all parts of a UNION"));
    }
    for (i, (column, (_, other))) in columns.iter_mut().zip(&right.columns).enumerate() {
        match (&column.1, other) {
            (a, b) if a.same_family(b) || *b == Type::Undefined => {}
            (Type::Undefined, b) => column.1 = b.clone(),
            (a, Type::Boolean) | (Type::Boolean, a) if a.is_number() => {
                let text = format!("Output columns at position {} must be compatible for all parts of a UNION", i + 1);
                return Err(unsupported(text));
            }
            (a, Type::Text(_)) if a.is_number() => {
                if let PlanBody::Select(select) = &right.body
                    && let Some(Output::One(e)) = select.outputs.get(i)
                    && let Some(value) = e.as_literal()
                {
                    crate::engine::cast::cast(value, &e.ty, a)?;
                }
                return Err(refuse("a union of numbers and texts"));
            }
            _ => return Err(refuse("a union of different types")),
        }
    }
    Ok(())
}

/// Returns the output that an ORDER BY or GROUP BY names by position or name.
fn output_place(ast: &Ast, columns: &[(String, Type)]) -> Result<Option<usize>> {
    match ast {
        Ast::Int(n) => match n.parse::<usize>() {
            Ok(n) if n >= 1 && n <= columns.len() => Ok(Some(n - 1)),
            _ => Err(invalid(format!("ORDER BY position {n} is not in select list"))),
        },
        Ast::Column(name) if name.len() == 1 => {
            let mut places = columns.iter().enumerate().filter(|c| c.1.0 == name[0]);
            match (places.next(), places.next()) {
                (Some((place, _)), None) => Ok(Some(place)),
                (Some(_), Some(_)) => Err(refuse("a name that several outputs have")),
                (None, _) => Ok(None),
            }
        }
        Ast::Param(_) | Ast::Text(_) | Ast::Null => Err(refuse("ordering by a literal")),
        _ => Ok(None),
    }
}

fn orderable(ty: &Type) -> Result<()> {
    match ty {
        Type::Object(_) => Err(unsupported("Cannot ORDER BY: invalid data type 'object'.")),
        ty if ty.is_number()
            || ty.is_text()
            || ty.is_time()
            || matches!(ty, Type::Boolean | Type::Undefined | Type::Uuid) =>
        {
            Ok(())
        }
        ty => Err(refuse(format!("ordering by {}", ty.name()))),
    }
}

struct Selecting<'a> {
    context: &'a Context<'a>,
    scope: &'a Scope<'a>,
    columns: Vec<(String, Type)>,
    outputs: Vec<Output>,
}

fn select(context: &Context, select: &ast::Select, order: &[Order], outer: Option<&Scope>) -> Result<(Plan, bool)> {
    let (mut from, columns) = match &select.from {
        Some(from) => source::plan(context, from, outer)?,
        None => (Source::Nothing, vec![]),
    };
    let width = columns.iter().filter(|c| c.system.is_none()).count();
    let system = columns.len() > width;
    let mut scope = Scope::new(columns, outer);
    scope.windows.clone_from(&select.windows);
    let filter = select.filter.as_ref().map(|f| Analyser::new(context, &scope).condition(f)).transpose();
    // Whether CrateDB finds this fault while it analyses or later depends on what is selected.
    let filter = filter.map_err(|e| match &e.fault {
        Fault::Aggregate(name) if name == "count" => refuse("count in WHERE"),
        _ => e,
    })?;
    if let Some(filter) = &filter {
        if source::has_versions(context, &from) {
            return Err(refuse("a condition over a subquery of versions"));
        }
        // CrateDB counts rows by another way, which finds fault with versions differently.
        let counts = |item: &Item| matches!(item, Item::Expr(Ast::Call(call), _) if call.star);
        source::pin_keys(context, &mut from, filter).map_err(|e| match select.items.iter().any(counts) {
            true => refuse("counting rows of versions"),
            false => e,
        })?;
    }
    let mut this = Selecting { context, scope: &scope, columns: vec![], outputs: vec![] };
    select.items.iter().try_for_each(|item| this.item(item))?;
    let group = this.group_keys(&select.group)?;
    let mut having = select.having.as_ref().map(|h| this.analyser().condition(h)).transpose()?;
    let order = this.order(order, select.distinct)?;
    let mut outputs = this.outputs;
    let columns = this.columns;
    let mut aggregates = vec![];
    let exprs = || outputs.iter().flat_map(exprs_of).chain(&having);
    let grouped = !group.is_empty() || having.is_some() || exprs().any(has_aggregate);
    if grouped {
        for output in &outputs[columns.len()..] {
            exprs_of(output).into_iter().try_for_each(|e| ordered_by(e, &outputs[..columns.len()]))?;
        }
        for e in outputs.iter_mut().flat_map(exprs_of_mut).chain(&mut having) {
            *e = ungroup(e, &group, &scope, &mut aggregates)?;
        }
    }
    // The values of window functions come after the row.
    let row_width = if system && !system_used(&scope) { width } else { scope.columns.len() };
    let windows = window_calls(&mut outputs, row_width)?;
    if !windows.is_empty() && grouped {
        return Err(refuse("window functions beside GROUP BY"));
    }
    let body = SelectPlan {
        source: from,
        filter,
        group: grouped.then_some(Group { keys: group, aggregates }),
        having,
        windows,
        outputs,
        distinct: select.distinct,
    };
    let plan = Plan { columns, body: PlanBody::Select(Box::new(body)), order, limit: None, offset: 0 };
    Ok((plan, scope.escaped.get()))
}

fn system_used(scope: &Scope) -> bool {
    scope.columns.iter().any(|c| c.system.as_ref().is_some_and(|used| used.get()))
}

fn exprs_of(output: &Output) -> Vec<&Expr> {
    match output {
        Output::One(e) => vec![e],
        Output::Set(_, args) => args.iter().collect(),
    }
}

fn exprs_of_mut(output: &mut Output) -> Vec<&mut Expr> {
    match output {
        Output::One(e) => vec![e],
        Output::Set(_, args) => args.iter_mut().collect(),
    }
}

fn has_aggregate(e: &Expr) -> bool {
    e.any(&mut |e| matches!(e.kind, Kind::Aggregate(_)))
}

/// Checks a key of ORDER BY that is no output itself. Beside groups, its columns have to be.
fn ordered_by(key: &Expr, outputs: &[Output]) -> Result<()> {
    fn covered(e: &Expr, outputs: &[Output]) -> bool {
        outputs.iter().any(|o| matches!(o, Output::One(output) if output == e))
            || match &e.kind {
                Kind::Aggregate(_) => true,
                Kind::Column { .. } => false,
                _ => e.children().into_iter().all(|child| covered(child, outputs)),
            }
    }
    match (covered(key, outputs), &key.kind) {
        (true, _) => Ok(()),
        (false, Kind::Column { .. }) => {
            Err(unsupported("ORDER BY expressions must appear in the select clause when grouping is used"))
        }
        (false, _) => Err(refuse("ordering groups by this")),
    }
}

/// Turns an expression over rows into one over groups: keys first, then aggregates.
fn ungroup(e: &Expr, keys: &[Expr], scope: &Scope, aggregates: &mut Vec<Aggregate>) -> Result<Expr> {
    e.map(&mut |e| {
        if let Some(index) = keys.iter().position(|key| key == e) {
            return Ok(Some(Expr::new(Kind::Column { depth: 0, index }, e.ty.clone())));
        }
        if let Some(nested) = keys.iter().find_map(|key| e.replace_prefix(key, key.clone())) {
            return ungroup(&nested, keys, scope, aggregates).map(Some);
        }
        match &e.kind {
            Kind::Aggregate(aggregate) => {
                let place = aggregates.iter().position(|a| a == &**aggregate).unwrap_or_else(|| {
                    aggregates.push((**aggregate).clone());
                    aggregates.len() - 1
                });
                Ok(Some(Expr::new(Kind::Column { depth: 0, index: keys.len() + place }, e.ty.clone())))
            }
            Kind::Column { depth: 0, index } => {
                let name = scope.columns.get(*index).map_or("", |column| column.name.as_str());
                Err(invalid(format!(
                    "'{name}' must appear in the GROUP BY clause or be used in an aggregation function. \
                     Perhaps you grouped by an alias that clashes with a column in the relations"
                )))
            }
            Kind::Element(base, _) if keys.iter().any(|key| base.any(&mut |e| e == key)) => {
                Err(refuse("a part of an object that is grouped by"))
            }
            Kind::Subquery(..) => Err(refuse("a correlated subquery beside GROUP BY")),
            Kind::Window(_) => Err(refuse("a window function beside GROUP BY")),
            _ => Ok(None),
        }
    })
}

/// Takes window calls out of the outputs. They become columns after the row.
fn window_calls(outputs: &mut [Output], width: usize) -> Result<Vec<WindowCall>> {
    let mut calls: Vec<WindowCall> = vec![];
    for e in outputs.iter_mut().flat_map(exprs_of_mut) {
        *e = e.map(&mut |e| {
            let Kind::Window(call) = &e.kind else { return Ok(None) };
            calls.push((**call).clone());
            Ok(Some(Expr::new(Kind::Column { depth: 0, index: width + calls.len() - 1 }, e.ty.clone())))
        })?;
    }
    Ok(calls)
}

impl Selecting<'_> {
    fn analyser(&self) -> Analyser<'_> {
        Analyser { context: self.context, scope: self.scope, allow: Allow::Aggregates }
    }

    fn push(&mut self, name: String, ty: Type, output: Output) {
        self.columns.push((name, ty));
        self.outputs.push(output);
    }

    fn item(&mut self, item: &Item) -> Result<()> {
        match item {
            Item::All(relation) => self.all(relation.as_deref()),
            Item::Expr(ast, alias) => {
                let name = match alias {
                    Some(alias) => Ok(alias.clone()),
                    None => output_name(ast),
                };
                if let Ast::Call(call) = ast
                    && let Some(set) = functions::table(&call.name)
                    && call.over.is_none()
                {
                    let args: Vec<Expr> = call.args.iter().map(|a| self.analyser().expr(a)).collect::<Result<_>>()?;
                    let (set, args, types) = set(args)?;
                    let [(_, ty)] = types.as_slice() else {
                        return Err(refuse("a table function of several columns here"));
                    };
                    self.push(name?, ty.clone(), Output::Set(set, args));
                    return Ok(());
                }
                let expr = self.analyser().expr(ast)?;
                self.analyser().refuse_if_whole(&expr.ty)?;
                if let Some(parameter) = expr.as_open() {
                    parameter.untyped.set(true);
                }
                self.push(name?, expr.ty.clone(), Output::One(expr));
                Ok(())
            }
        }
    }

    fn all(&mut self, relation: Option<&[String]>) -> Result<()> {
        let relation = relation.unwrap_or(&[]);
        if self.scope.is_partial() {
            return Err(refuse("* of this catalog table"));
        }
        let mut found = false;
        for (index, column) in self.scope.columns.iter().enumerate() {
            if column.system.is_none() && column.relation.ends_with(relation) {
                found = true;
                let e = Expr::new(Kind::Column { depth: 0, index }, column.ty.clone());
                self.columns.push((column.name.clone(), column.ty.clone()));
                self.outputs.push(Output::One(e));
            }
        }
        match found {
            true => Ok(()),
            // Without FROM it is a row without columns.
            false if relation.is_empty() && self.scope.columns.is_empty() => Ok(()),
            false if relation.is_empty() => Err(refuse("* without columns")),
            false => Err(invalid(format!("The relation \"{}\" is not in the FROM clause.", relation.join(".")))),
        }
    }

    /// Returns the expression of an output name, unless a column of the same name means something else.
    fn by_name(&self, ast: &Ast) -> Result<Option<usize>> {
        let Some(place) = output_place(ast, &self.columns)? else { return Ok(None) };
        if let (Ast::Column(_), Output::One(e)) = (ast, &self.outputs[place])
            && let Ok(column) = self.analyser().expr(ast)
            && column != *e
        {
            return Err(refuse("a name that is an output and another column"));
        }
        Ok(Some(place))
    }

    fn group_keys(&self, group: &[Ast]) -> Result<Vec<Expr>> {
        let mut keys: Vec<Expr> = vec![];
        for ast in group {
            let key = match self.by_name(ast)? {
                Some(place) => match &self.outputs[place] {
                    Output::One(e) if !has_aggregate(e) => e.clone(),
                    _ => return Err(refuse("grouping by this output")),
                },
                None => self.analyser().expr(ast)?,
            };
            if has_aggregate(&key) || key.as_literal().is_some() || matches!(key.kind, Kind::Window(_)) {
                return Err(refuse("grouping by this"));
            }
            let groupable = !matches!(key.ty, Type::Array(_) | Type::GeoPoint | Type::Vector(_) | Type::Interval);
            if !groupable {
                return Err(refuse(format!("grouping by {}", key.ty.name())));
            }
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// Analyses ordering keys. Expressions that are no outputs become hidden outputs.
    fn order(&mut self, order: &[Order], distinct: bool) -> Result<Vec<Key>> {
        let mut keys = vec![];
        for item in order {
            let index = match self.by_name(&item.by)? {
                Some(place) => place,
                None => {
                    let expr = self.analyser().expr(&item.by)?;
                    let same = self.outputs.iter().position(|o| matches!(o, Output::One(e) if *e == expr));
                    match same {
                        Some(place) => place,
                        None if distinct => return Err(refuse("DISTINCT ordered by something else")),
                        None if expr.as_literal().is_some() => return Err(refuse("ordering by a constant")),
                        None => {
                            self.outputs.push(Output::One(expr));
                            self.outputs.len() - 1
                        }
                    }
                }
            };
            let ty = match &self.outputs[index] {
                Output::One(e) => e.ty.clone(),
                Output::Set(..) => return Err(refuse("ordering by a table function")),
            };
            orderable(&ty)?;
            keys.push(Key { index, descending: item.descending, nulls_first: item.nulls_first });
        }
        if !keys.is_empty() && self.outputs.iter().any(|o| matches!(o, Output::Set(..))) {
            return Err(refuse("a table function in an ordered query"));
        }
        Ok(keys)
    }
}

/// Returns the keys that a condition pins, for statements on one table.
pub(crate) fn keys_of(filter: Option<&Expr>, primary: &[usize]) -> Option<Vec<Vec<u8>>> {
    keys::of(filter?, primary)
}
