//! CrateDB Cloud: the client of its HTTP API.
//!
//! [`Client`] sends requests and turns answers into [`model`]s or errors; nothing here decides what should happen to a
//! cluster, that is the business of whoever calls.

// Its users are the providers; what else there is to use becomes public with the SDK.
#![cfg_attr(not(feature = "harness"), allow(dead_code, unused_imports))]

mod account;
pub(crate) mod client;
mod clusters;
pub(crate) mod model;
pub(crate) mod operation;
mod refusal;

pub(crate) use client::{Client, Options};
pub(crate) use refusal::is_conflict;
