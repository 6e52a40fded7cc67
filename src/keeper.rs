//! The keeper: the one process per user and resource that acquires a cluster, holds it and releases it.
//!
//! Elsewhere such a process is called a reaper. `takeover` is how it comes into being, `machine` decides, `run` does what
//! the machine says, and everything that has to survive it is in `journal`.

mod cleaner;
mod clients;
mod connection;
mod globals;
mod journal;
mod log;
mod machine;
mod maker;
mod prepared;
mod report;
mod restorer;
mod run;
mod setups;
mod takeover;
mod watch;
mod work;

pub(crate) use cleaner::drop_schema;
pub(crate) use journal::{Journal, Left, Record};
pub(crate) use machine::Word;
