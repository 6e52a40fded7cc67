//! CrateDB Cloud, without any test: clusters that are there when they are needed, and the whole of the HTTP API.
//!
//! Needs the feature `cloud` only; with that feature alone the crate has no test harness, and builds on Windows too.

mod account;
mod auth;
mod builder;
mod catalog;
mod client;
mod clusters;
mod jobs;
pub(crate) mod lifecycle;
mod managed;
pub mod model;
pub(crate) mod operation;
mod path;
mod profile;
mod refusal;
mod store;

pub use builder::ClientBuilder;
pub use client::Client;
pub use managed::{Health, ManagedCluster, ManagedClusterBuilder, SqlHealth, TableHealth};
pub use profile::{Profile, ProfileFile};
pub(crate) use refusal::is_conflict;

pub(crate) use crate::environment::CLOUD_ENDPOINT;

/// What helps against a cookie that the service does not take any more.
const LOG_IN_AGAIN: &str = "log in again: cargo cratedb login --idp {cognito|azuread|github|google}";
