//! The simulator from outside: its HTTP API, its gateways, its faults and its program.

mod control;
mod crate_program;
mod deploy;
mod faults;
mod gateway;
mod openapi;
mod proxy;
mod run;
mod serve;
mod support;
