//! `cargo-cratedb` as its users meet it: the real program, against a simulator.
#![cfg(unix)]

mod account;
mod clusters;
mod contained;
mod data;
mod failing;
mod help;
mod login;
mod sessions;
mod support;
mod terminal;
