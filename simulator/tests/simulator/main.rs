//! The simulator from outside: its HTTP API, its gateways, its faults and its program.

mod access;
mod changes;
mod control;
mod crate_program;
mod deploy;
#[path = "../../../src/host/executable.rs"]
mod executable;
mod faults;
mod gateway;
mod jobs;
mod openapi;
mod plain;
mod proxy;
mod run;
mod serve;
mod simulated;
mod snapshots;
mod state;
mod support;
