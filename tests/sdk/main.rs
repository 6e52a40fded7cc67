//! Uses the SDK as a program does, against the simulator and against servers that answer from a script. Most tests are
//! about failures.

#![cfg(feature = "cloud")]

mod account;
mod addressing;
mod child;
mod credentials;
mod jobs;
mod leases;
mod life;
mod query;
mod run;
mod script;
mod support;
mod toolkit_bugs;
