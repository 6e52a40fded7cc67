//! `cargo-cratedb` as its users meet it: the real program, against a simulator.
#![cfg(unix)]

mod help;
mod support;
