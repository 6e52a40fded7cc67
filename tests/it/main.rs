//! The harness as its users meet it: small projects, run with the real `cargo test` and the real `cargo nextest run`,
//! judged by what the simulator was asked and by what is left in the process table.

#![allow(unreachable_pub)] // the modules of a test binary have no outside

// Shared with the tests on real servers.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod acquiring;
mod attacks;
mod composition;
mod container;
mod deaths;
mod exclusive;
mod explicit;
mod fixtures;
mod guides;
mod isolation;
mod keeper;
mod migrations;
mod nodes;
mod once;
mod postgres;
mod process;
mod release;
mod set_ups;
mod trainer;
mod versions;
