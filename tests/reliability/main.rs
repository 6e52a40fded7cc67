//! Kills, storms and faults by the hundred, and counts of what is left afterwards.
//!
//! `cargo test --test reliability` runs the short forms. The long ones, which `docs/reliability.md` has the figures of:
//! `cargo test --test reliability -- --ignored --nocapture --test-threads=1`. All of them judge by the simulator's
//! record of requests and by the process table.

#![allow(unreachable_pub)] // the modules of a test binary have no outside

#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

mod containers;
mod crashes;
mod faults;
mod keepers;
mod matrix;
mod project;
mod sessions;
mod storms;
mod tally;
