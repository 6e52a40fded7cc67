//! CrateDB Cloud for programs, without any test: clusters that are there when they are needed, and the whole HTTP API.
//!
//! ```no_run
//! use cratedb_test::ManagedCluster;
//!
//! # async fn example() -> cratedb_test::Result<()> {
//! let cluster = ManagedCluster::from_env()?;
//! cluster.start().await?;
//! let names: Vec<String> = cluster.query("SELECT mountain FROM sys.summits LIMIT 3").fetch_all().await?;
//! cluster.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! With the feature `cloud` alone the crate has no test harness, no constructor and no keeper, and does not need Unix:
//!
//! ```toml
//! [dependencies]
//! cratedb-test = { version = "0.1.0", default-features = false, features = ["cloud"] }
//! ```
//!
//! # Which cluster
//!
//! By its URL, its id or its name. Code beats the environment, which beats the `.env` file of the working directory; in the
//! highest of the three that says anything, `CRATEDB_CLUSTER_URL` beats `CRATEDB_CLUSTER_ID` beats `CRATEDB_CLUSTER_NAME`, and
//! [`notes`](ManagedCluster::notes) names what is ignored. Two of them in code are an error. Two clusters of one name are an
//! error too, which lists their ids. An empty text counts as not given.
//!
//! A cluster that is given by its URL is found by its host among the clusters of the account; SQL is possible on others, too.
//!
//! # Whose credentials
//!
//! The first of these that there is:
//!
//! 1. an API key and its secret in code;
//! 2. `CRATEDB_CLOUD_API_KEY` and `CRATEDB_CLOUD_API_SECRET`, of the environment or of `.env`;
//! 3. the login in [`croud`'s profile file](ProfileFile), which `cargo cratedb login` and `croud login` make; in a profile, a
//!    login beats an API key.
//!
//! The credentials of a profile are sent to the endpoint of that profile and nowhere else. CrateDB Cloud replaces the cookie of
//! a login now and then; the new one is kept in the profile, as `croud` does. An API key never becomes a login that way.
//!
//! # A cluster's life
//!
//! | call | absent | suspended | busy | running |
//! |---|---|---|---|---|
//! | [`start`](ManagedCluster::start) | deploys (by name) | resumes | waits, looks again | nothing to do |
//! | [`deploy`](ManagedCluster::deploy) | deploys (by name) | error | error | error |
//! | [`resume`](ManagedCluster::resume) | error | resumes | waits, looks again | nothing to do |
//! | [`stop`](ManagedCluster::stop), [`suspend`](ManagedCluster::suspend) | error | nothing to do | waits, looks again | suspends |
//! | [`delete`](ManagedCluster::delete) | error | deletes | deletes, or waits if refused | deletes |
//!
//! - What brings a cluster up ends only when SQL is answered: the operation that ended and the server that answers are two
//!   things.
//! - An operation is followed by its id, so that an older one of the same type is never taken for it; its words are told to
//!   [`on_progress`](ManagedClusterBuilder::on_progress), and its failure is an error with them. An API in trouble does not end
//!   the wait, and everything has a deadline.
//! - Another one's operation is waited for, and then the cluster is looked at again.
//! - [`run`](ManagedCluster::run) with [`stop_on_exit`](ManagedClusterBuilder::stop_on_exit) suspends the cluster however its
//!   body ends.
//! - Whatever of a deployment was not said is the only choice there is; a choice between several is an error that lists them.
//!
//! # Below it
//!
//! [`Client`] has one method for each call of the HTTP API. It takes and returns [`model`]s, decides nothing and waits for no
//! operation, which [`ManagedCluster::follow`] does:
//!
//! ```no_run
//! use cratedb_test::ManagedCluster;
//! use cratedb_test::cloud::model::Cidr;
//!
//! # async fn example(cluster: ManagedCluster) -> cratedb_test::Result<()> {
//! let id = cluster.info().await?.id;
//! let answer = cluster.client().set_ip_restrictions(&id, &[Cidr::new("198.51.100.0/24")]).await?;
//! if let Some(operation) = answer.last_async_operation {
//!     cluster.follow(&operation.id).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Without async
//!
//! [`blocking::ManagedCluster`](crate::blocking::ManagedCluster) waits itself, and [`blocking::wait`](crate::blocking::wait)
//! waits for any future of this module:
//!
//! ```no_run
//! use cratedb_test::blocking;
//! use cratedb_test::cloud::Client;
//!
//! let clusters = blocking::wait(Client::from_env()?.clusters())?;
//! # Ok::<(), cratedb_test::Error>(())
//! ```

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
mod refusal;
mod store;

pub use crate::environment::{Profile, ProfileFile};
pub use builder::ClientBuilder;
pub use client::Client;
pub use managed::{Health, ManagedCluster, ManagedClusterBuilder, SqlHealth, TableHealth};
pub(crate) use refusal::is_conflict;

/// What helps against a cookie that the service does not take any more.
const LOG_IN_AGAIN: &str = "log in again: cargo cratedb login --idp {cognito|azuread|github|google}";
