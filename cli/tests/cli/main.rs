//! `cargo-cratedb` as users run it: the real program, against a simulator.
#![cfg(all(unix, feature = "sessions"))]

mod account;
mod action;
mod browser;
mod clusters;
mod contained;
mod data;
mod doctor;
#[path = "../../../src/host/executable.rs"]
mod executable;
mod failing;
mod gitlab;
mod help;
mod init;
mod leases;
mod login;
mod overlap;
mod release;
mod report;
mod sessions;
mod standing;
mod support;
mod terminal;
