//! The embedded SQL engine: an in-memory stand-in for a documented part of CrateDB's SQL over HTTP.
//!
//! It answers as CrateDB does, or refuses: the message of a refusal contains `not supported by the embedded engine`,
//! and a refused statement changes nothing. What needs a relation whose CREATE was refused is refused, too, since it
//! would be there in CrateDB. The grammar is a whitelist, so that no statement is understood in part.
//! Writes are visible to look-ups by primary key at once and to everything else after `REFRESH TABLE`; there is no
//! refresh by time.

mod analyse;
mod ast;
mod cast;
mod catalog;
mod connection;
mod context;
mod data;
mod ddl;
mod decimal;
mod dml;
mod error;
mod exec;
mod functions;
mod http;
mod instance;
mod json;

mod lex;
mod operators;
mod parse;
mod persist;
mod plan;
mod print;
mod run;
mod session;
mod state;
mod store;
pub(crate) mod time;
mod types;
mod users;
mod value;

pub use connection::Connection;
pub use http::{Answer, Request};
pub use instance::{Engine, EngineOptions};

pub(crate) use ast::Ignored;
pub(crate) use catalog::at_start as setting_at_start;
pub(crate) use connection::Prepared;
pub(crate) use context::Outcome;
pub(crate) use data::{Copy, Data};
pub(crate) use decimal::Decimal;
pub(crate) use error::{SqlError, invalid, refuse};
pub(crate) use time::Interval;
pub(crate) use types::Type;
pub(crate) use value::{Value, java_double, java_float, json_value};
