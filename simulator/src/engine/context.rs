//! The context in which a statement is analysed and run, its parameters, and its outcome.

use super::ast::Query;
use super::error::{Result, refuse};
use super::instance::EngineOptions;
use super::session::Session;
use super::state::EngineState;
use super::types::Type;
use super::value::{Row, Value};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The largest number of rows that one statement may handle.
const BUDGET: u64 = 1_000_000;

/// The context of one statement.
pub(crate) struct Context<'a> {
    pub(crate) state: &'a EngineState,
    pub(crate) session: &'a Session,
    pub(crate) options: &'a EngineOptions,
    /// Milliseconds since the epoch, the same for the whole statement.
    pub(crate) now: i64,
    pub(crate) args: &'a [(Value, Type)],
    /// Instead of `args`, while a statement is described.
    pub(crate) parameters: Option<&'a Parameters>,
    /// Rows handled so far.
    pub(crate) spent: Cell<u64>,
    /// Queries around the one being analysed.
    pub(crate) depth: Cell<usize>,
    /// True if `sys.summits`, of which only a part is here, may be read.
    pub(crate) summits: Cell<bool>,
    /// The shards that rows are said to be in, where a wrong answer is noticed.
    pub(crate) placement: Cell<Option<Placement>>,
    /// True if the placement may have made a difference.
    pub(crate) placed: Cell<bool>,
    /// True if the size of a log may be estimated.
    pub(crate) estimates: Cell<bool>,
    /// True after a query has ordered or limited its rows: CrateDB then reads some values from another place.
    pub(crate) fetches: Cell<bool>,
    /// Queries of WITH, innermost last.
    pub(crate) common: RefCell<Vec<(String, Query)>>,
}

/// Ways to place the rows of a table in its shards, and their bytes in logs. CrateDB's way isn't imitated: an answer is
/// sure if it is the same whichever of these is used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Placement {
    First,
    Last,
    Even,
}

impl Placement {
    pub(crate) const ALL: [Self; 3] = [Self::First, Self::Last, Self::Even];

    /// Returns the bytes that a log has beyond those of an empty one: no two agree.
    pub(crate) fn log_size(self, operations: i64) -> i64 {
        match self {
            Self::First => operations,
            Self::Last => operations << 32,
            Self::Even => 100 * operations,
        }
    }

    /// Returns how many of all rows are in a shard, which is counted from 0.
    pub(crate) fn share(self, rows: i64, shard: i64, shards: i64) -> i64 {
        match self {
            Self::First => {
                if shard == 0 {
                    rows
                } else {
                    0
                }
            }
            Self::Last => {
                if shard == shards - 1 {
                    rows
                } else {
                    0
                }
            }
            Self::Even => rows / shards + i64::from(shard < rows % shards),
        }
    }
}

/// The parameters of a statement that is described.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    /// The client's types; undefined if it names none.
    pub(crate) hints: Vec<Type>,
    /// The parameters found so far, by number.
    pub(crate) met: RefCell<BTreeMap<usize, Rc<Parameter>>>,
}

impl Parameters {
    pub(crate) fn get(&self, number: usize) -> Rc<Parameter> {
        let new = || {
            let ty = self.hints.get(number - 1).cloned().unwrap_or(Type::Undefined);
            Rc::new(Parameter { number, ty: RefCell::new(ty), untyped: Cell::new(false) })
        };
        self.met.borrow_mut().entry(number).or_insert_with(new).clone()
    }
}

/// The parts that all contexts of a statement share.
pub(crate) struct Run<'a> {
    pub(crate) session: &'a Session,
    pub(crate) options: &'a EngineOptions,
    pub(crate) now: i64,
    pub(crate) args: &'a [(Value, Type)],
    /// Only while a statement is described.
    pub(crate) parameters: Option<&'a Parameters>,
}

impl Run<'_> {
    pub(crate) fn context<'b>(&'b self, state: &'b EngineState) -> Context<'b> {
        Context {
            state,
            session: self.session,
            options: self.options,
            now: self.now,
            args: self.args,
            parameters: self.parameters,
            spent: Cell::new(0),
            depth: Cell::new(0),
            summits: Cell::new(false),
            placement: Cell::new(None),
            placed: Cell::new(false),
            estimates: Cell::new(false),
            fetches: Cell::new(false),
            common: RefCell::default(),
        }
    }
}

impl<'a> Context<'a> {
    /// Counts rows against the budget of the statement.
    pub(crate) fn spend(&self, rows: usize) -> Result<()> {
        let spent = self.spent.get() + rows as u64;
        self.spent.set(spent);
        if spent > BUDGET { Err(refuse("a statement over this many rows")) } else { Ok(()) }
    }

    pub(crate) fn with_session<'b>(&'b self, session: &'b Session) -> Context<'b> {
        Context {
            state: self.state,
            session,
            options: self.options,
            now: self.now,
            args: &[],
            parameters: None,
            spent: Cell::new(self.spent.get()),
            depth: Cell::new(self.depth.get()),
            summits: Cell::new(false),
            placement: Cell::new(None),
            placed: Cell::new(false),
            estimates: Cell::new(false),
            fetches: Cell::new(false),
            common: RefCell::default(),
        }
    }
}

/// A parameter before it has a value.
#[derive(Debug, PartialEq)]
pub(crate) struct Parameter {
    /// Counted from 1.
    pub(crate) number: usize,
    /// The client's type, or the type that its first place needs.
    pub(crate) ty: RefCell<Type>,
    /// True if CrateDB leaves it without a type as well.
    pub(crate) untyped: Cell<bool>,
}

/// The result of a statement.
#[derive(Debug)]
pub(crate) enum Outcome {
    Rows {
        columns: Vec<(String, Type)>,
        rows: Vec<Row>,
    },
    /// Rows affected; -1 is unknown.
    Count(i64),
}
