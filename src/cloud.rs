//! CrateDB Cloud for programs that are not tests: clusters that are available on demand, and the whole HTTP API.
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
//! With the feature `cloud` alone, the crate has no test harness, no constructor and no keeper, and does not need Unix:
//!
//! ```toml
//! [dependencies]
//! cratedb-test = { version = "0.1.0", default-features = false, features = ["cloud"] }
//! ```
//!
//! # Which cluster
//!
//! A cluster is named by its URL, its id or its name. Code takes precedence over the environment, which takes
//! precedence over `.env` files: that of the working directory and, in a project of cargo's, those above it up to the
//! root of the workspace. Within the first source that names a cluster, `CRATEDB_CLUSTER_URL` takes precedence over
//! `CRATEDB_CLUSTER_ID`, and that over `CRATEDB_CLUSTER_NAME`;
//! [`notes`](ManagedCluster::notes) lists what is ignored. Naming a cluster in two ways in code is an error. Two
//! clusters with the same name are an error too, which lists their ids. An empty text counts as not given.
//!
//! A cluster that is given by its URL is looked up by its host among the clusters of the account. A server that is not
//! among them still accepts SQL.
//!
//! # Whose credentials
//!
//! The first of these that is found is used:
//!
//! 1. an API key and its secret in code;
//! 2. `CRATEDB_CLOUD_API_KEY` and `CRATEDB_CLOUD_API_SECRET`, from the environment or from `.env`;
//! 3. the login in [`croud`'s profile file](ProfileFile), which `cargo cratedb login` and `croud login` create. Within
//!    a profile, a login takes precedence over an API key.
//!
//! A secret is sent only to an address that comes from the same source or from a nearer one: an API key of the
//! environment does not go to an endpoint that only a `.env` names. Over plain HTTP it is sent to this machine only,
//! unless `CRATEDB_ALLOW_PLAIN_HTTP=1`.
//!
//! The credentials of a profile are sent to the endpoint of that profile and nowhere else. CrateDB Cloud replaces the
//! cookie of a login now and then; the new one is stored in the profile, as `croud` does. An API key is never replaced
//! by a login in this way.
//!
//! # A cluster's life
//!
//! | call | absent | suspended | busy | running |
//! |---|---|---|---|---|
//! | [`start`](ManagedCluster::start) | deploys (by name) | resumes | waits, looks again | nothing to do |
//! | [`deploy`](ManagedCluster::deploy) | deploys (by name) | error | error | error |
//! | [`resume`](ManagedCluster::resume) | error | resumes | waits, looks again | nothing to do |
//! | [`stop`], [`suspend`] | error | nothing to do | waits, looks again | suspends |
//! | [`delete`](ManagedCluster::delete) | error | deletes | deletes, or waits if refused | deletes |
//!
//! [`stop`]: ManagedCluster::stop
//! [`suspend`]: ManagedCluster::suspend
//!
//! - A call that brings a cluster up returns only when SQL is answered: an operation may end before the server answers.
//! - An operation is followed by its id, so that an older one of the same type is never mistaken for it. Its messages
//!   go to [`on_progress`](ManagedClusterBuilder::on_progress), and its failure is an error that contains them. Trouble
//!   with the API does not end the wait. Every wait has a deadline.
//! - An operation that another program started is waited for. Then the cluster is looked at again.
//! - [`run`](ManagedCluster::run) with [`stop_on_exit`](ManagedClusterBuilder::stop_on_exit) suspends the cluster
//!   however its body ends.
//! - Runs of tests and programs that use one cluster have [`leases`](ManagedCluster::leases) in it. A cluster with a
//!   live lease of others is not stopped or deleted, unless
//!   [`stop_although_in_use`](ManagedClusterBuilder::stop_although_in_use) says so.
//! - A setting of a deployment that is not given is the only choice there is. If there are several, the error lists
//!   them.
//!
//! # The HTTP API
//!
//! [`Client`] has one method for each call of the HTTP API. It takes and returns [`model`]s. It does not wait for
//! operations; [`ManagedCluster::follow`] does:
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
//! [`blocking::ManagedCluster`](crate::blocking::ManagedCluster) has the same calls without async, and
//! [`blocking::wait`](crate::blocking::wait) waits for any future of this module:
//!
//! ```no_run
//! use cratedb_test::blocking;
//! use cratedb_test::cloud::Client;
//!
//! let clusters = blocking::wait(Client::from_env()?.clusters())?;
//! # Ok::<(), cratedb_test::Error>(())
//! ```

mod api;
mod auth;
mod client;
pub(crate) mod leases;
pub(crate) mod lifecycle;
mod managed;
pub mod model;
pub(crate) mod operation;
mod refusal;
mod token;

pub use crate::environment::{Profile, ProfileFile};
pub use client::{Client, ClientBuilder};
pub use leases::{LeaseInfo, Leases, LeasesState};
#[doc(hidden)]
pub use managed::Swept;
pub use managed::{Health, ManagedCluster, ManagedClusterBuilder, SqlHealth, TableHealth};
pub(crate) use refusal::is_conflict;

/// Splits a text into its statements, for the command line. It may change without notice.
#[doc(hidden)]
pub fn statements(text: &str) -> Vec<&str> {
    crate::sql::split(text)
}

/// The hint for a cookie that the service no longer accepts.
const LOG_IN_AGAIN: &str = "log in again: cargo cratedb login --idp {cognito|azuread|github|google}";
