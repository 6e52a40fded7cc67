//! Tests the harness as users run it: small projects under the real `cargo test` and `cargo nextest run`. The requests
//! to the simulator and the process table show whether they behave.

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
mod faults;
mod fixtures;
mod guides;
mod histories;
mod isolation;
mod keeper;
mod machines;
mod migrations;
mod nodes;
mod once;
mod postgres;
mod process;
mod readonly;
mod recycling;
mod release;
mod security;
mod set_ups;
mod settings;
mod trainer;
mod versions;
