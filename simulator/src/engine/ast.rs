//! The syntax tree of a statement.

use super::persist;
use super::types::Type;
use serde::{Deserialize, Serialize};

/// A name of one to three parts.
pub(crate) type Name = Vec<String>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Ast {
    Null,
    Bool(bool),
    /// A number without fraction, as decimal digits.
    Int(String),
    Double(#[serde(with = "persist::double")] f64),
    /// A number with a fraction of more digits than a double takes.
    Numeric(String),
    Text(String),
    /// `E'…'`: as written, and its value.
    Escaped(String, String),
    Bits(String),
    Interval(String),
    /// `INTERVAL '1' DAY`: a whole number and its unit, upper case.
    IntervalOf(i16, #[serde(deserialize_with = "persist::word")] persist::Word),
    Param(usize),
    Column(Name),
    Subscript(Box<Ast>, Box<Ast>),
    Slice(Box<Ast>, Option<Box<Ast>>, Option<Box<Ast>>),
    Call(Box<FunctionCall>),
    Negate(Box<Ast>),
    Not(Box<Ast>),
    /// Arithmetic, comparison, bit and logical operators.
    Binary(#[serde(deserialize_with = "persist::word")] persist::Word, Box<Ast>, Box<Ast>),
    /// Several operators of one precedence, applied from the left. As a tree, a long chain would be as deep as it is
    /// long, and each walk over it would need as much stack.
    Chain(Box<Ast>, Vec<Step>),
    IsNull(Box<Ast>, bool),
    Between(Box<Ast>, Box<Ast>, Box<Ast>),
    In(Box<Ast>, Vec<Ast>),
    InQuery(Box<Ast>, Box<Query>),
    Like {
        value: Box<Ast>,
        pattern: Box<Ast>,
        escape: Option<Box<Ast>>,
        fold: bool,
    },
    /// `value op ANY|ALL (array)`.
    Quantified {
        #[serde(deserialize_with = "persist::word")]
        op: persist::Word,
        all: bool,
        value: Box<Ast>,
        array: Box<Ast>,
    },
    Cast {
        value: Box<Ast>,
        to: TypeName,
        lenient: bool,
    },
    Case {
        operand: Option<Box<Ast>>,
        whens: Vec<(Ast, Ast)>,
        otherwise: Option<Box<Ast>>,
    },
    If(Box<Ast>, Box<Ast>, Option<Box<Ast>>),
    Array(Vec<Ast>),
    Object(Vec<(String, Ast)>),
    Extract(String, Box<Ast>),
    /// `CURRENT_TIMESTAMP` and its like, lower case.
    Special(#[serde(deserialize_with = "persist::word")] persist::Word),
    Subquery(Box<Query>),
    Exists(Box<Query>),
    ArrayQuery(Box<Query>),
}

/// An operator of a chain and its right operand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step(#[serde(deserialize_with = "persist::word")] pub(crate) persist::Word, pub(crate) Ast);

impl Ast {
    /// Applies operators from the left.
    pub(crate) fn chain(first: Ast, mut steps: Vec<Step>) -> Ast {
        match (steps.pop(), steps.is_empty()) {
            (None, _) => first,
            (Some(Step(op, operand)), true) => Ast::Binary(op, Box::new(first), Box::new(operand)),
            (Some(last), false) => {
                steps.push(last);
                Ast::Chain(Box::new(first), steps)
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FunctionCall {
    pub(crate) name: Name,
    pub(crate) args: Vec<Ast>,
    pub(crate) star: bool,
    pub(crate) distinct: bool,
    pub(crate) filter: Option<Ast>,
    pub(crate) over: Option<Window>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// A window of the WINDOW clause.
    pub(crate) named: Option<String>,
    pub(crate) partition: Vec<Ast>,
    pub(crate) order: Vec<Order>,
    pub(crate) frame: Option<Frame>,
}

/// A ROWS frame that ends at the current row, or the default one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frame {
    /// Rows before the current one; none is all.
    pub(crate) preceding: Option<usize>,
    pub(crate) following: Following,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Following {
    Rows(usize),
    Unbounded,
}

/// A type: its text and its meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TypeName {
    pub(crate) text: String,
    pub(crate) ty: Type,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) by: Ast,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
    /// True if the place of nulls was written down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) nulls_named: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Query {
    pub(crate) with: Vec<(String, Query)>,
    pub(crate) body: QueryBody,
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<Ast>,
    pub(crate) offset: Option<Ast>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum QueryBody {
    Select(Box<Select>),
    Values(Vec<Vec<Ast>>),
    Union {
        left: Box<QueryBody>,
        right: Box<QueryBody>,
        all: bool,
        /// The queries after these two, each with whether all its rows count.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        more: Vec<(bool, QueryBody)>,
    },
    /// `EXCEPT` and `INTERSECT`, which parse and are not supported.
    Unsupported(#[serde(deserialize_with = "persist::word")] persist::Word),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Select {
    pub(crate) distinct: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) from: Option<FromItem>,
    pub(crate) filter: Option<Ast>,
    pub(crate) group: Vec<Ast>,
    pub(crate) having: Option<Ast>,
    pub(crate) windows: Vec<(String, Window)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Item {
    /// `*` or `t.*`
    All(Option<Name>),
    Expr(Ast, Option<String>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromItem {
    Relation(Name),
    Function(Name, Vec<Ast>),
    Query(Box<Query>),
    Alias(Box<FromItem>, String, Vec<String>),
    Join { left: Box<FromItem>, right: Box<FromItem>, kind: JoinKind, on: Option<On> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum On {
    Condition(Ast),
    /// `USING`: columns that both sides have.
    Columns(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum JoinKind {
    /// The comma between relations.
    Comma,
    Cross,
    Inner,
    Left,
    Right,
    Full,
    /// `NATURAL JOIN`, which parses and is not supported.
    Natural,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColumnDef {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) primary: bool,
    pub(crate) not_null: bool,
    pub(crate) default: Option<Ast>,
    pub(crate) generated: Option<Ast>,
}

/// A CHECK: its name if it has one, the predicate, and its column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) name: Option<String>,
    pub(crate) predicate: Ast,
    pub(crate) column: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CreateTable {
    pub(crate) name: Name,
    pub(crate) if_not_exists: bool,
    pub(crate) columns: Vec<ColumnDef>,
    pub(crate) primary: Vec<String>,
    pub(crate) checks: Vec<Check>,
    pub(crate) clustered_by: Option<String>,
    pub(crate) shards: Option<Ast>,
    pub(crate) options: Vec<(String, Ast)>,
    pub(crate) like: Option<(Name, bool, bool)>,
    pub(crate) query: Option<Query>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Alter {
    Add(Vec<(Vec<String>, ColumnDef, Vec<Check>)>),
    Drop(String, bool),
    DropConstraint(String),
    Rename(String, String),
    RenameTable(String),
    Set(Vec<(String, Ast)>),
    Reset(Vec<String>),
    Open(bool),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Insert {
    pub(crate) table: Name,
    pub(crate) columns: Vec<String>,
    pub(crate) query: Query,
    pub(crate) conflict: Option<OnConflict>,
    pub(crate) returning: Option<Vec<Item>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OnConflict {
    pub(crate) target: Vec<String>,
    /// None is DO NOTHING.
    pub(crate) set: Option<Vec<(Ast, Ast)>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grant {
    /// GRANT, DENY or REVOKE.
    pub(crate) verb: &'static str,
    /// Empty is all.
    pub(crate) privileges: Vec<String>,
    /// CLUSTER, SCHEMA, TABLE or VIEW.
    pub(crate) class: &'static str,
    pub(crate) objects: Vec<Name>,
    pub(crate) users: Vec<String>,
}

/// Statements without effect on data, by their meaning for a session that has prepared statements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ignored {
    Begin,
    Commit,
    DeallocateAll,
    DiscardAll,
    Other,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    Nothing,
    Query(Query),
    Explain {
        query: Box<Statement>,
        analyze: bool,
    },
    Insert(Box<Insert>),
    Update {
        table: Name,
        set: Vec<(Ast, Ast)>,
        filter: Option<Ast>,
        returning: Option<Vec<Item>>,
    },
    Delete {
        table: Name,
        filter: Option<Ast>,
    },
    CreateTable(Box<CreateTable>),
    DropTable(Name, bool),
    AlterTable(Name, Alter),
    CreateView {
        name: Name,
        replace: bool,
        query: Query,
        text: String,
    },
    DropView(Vec<Name>, bool),
    CreateSchema(String, bool),
    DropSchema {
        names: Vec<String>,
        if_exists: bool,
        cascade: Option<bool>,
    },
    Refresh(Vec<Name>),
    Optimize(Vec<Name>),
    Analyze,
    CreateUser {
        name: String,
        is_role: bool,
        options: Vec<(String, Ast)>,
    },
    AlterUser {
        name: String,
        options: Vec<(String, Ast)>,
    },
    DropUser(String, bool),
    Grant(Grant),
    /// Drops an object of a kind that this engine never has: code and text of the error if it must exist.
    DropAbsent {
        if_exists: bool,
        code: u32,
        class: &'static str,
        name: Name,
    },
    SetSession(String, Vec<Ast>),
    SetGlobal(Vec<(String, Ast)>),
    ResetGlobal(Vec<String>),
    /// Accepted, without effect on data.
    Ignored(Ignored),
    Show(String),
    ShowAll,
    ShowTables(Option<String>, Option<String>),
    ShowSchemas(Option<String>),
    ShowColumns(Name),
    ShowCreate(Name),
    Kill(String),
}
