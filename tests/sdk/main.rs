//! The SDK as a program uses it, against the simulator and against servers that answer from a script: mostly what goes
//! wrong.

#![cfg(feature = "cloud")]

mod account;
mod addressing;
mod child;
mod credentials;
mod jobs;
mod life;
mod query;
mod run;
mod script;
mod support;
mod toolkit_bugs;
