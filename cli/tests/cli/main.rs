//! `cargo-cratedb` as users run it: the real program, against a simulator.
#![cfg(all(unix, feature = "sessions"))]

mod account;
mod clusters;
mod contained;
mod data;
mod failing;
mod help;
mod leases;
mod login;
mod overlap;
mod sessions;
mod support;
mod terminal;
