//! A local stand-in for CrateDB Cloud.
//!
//! It speaks the HTTP API of the service and gives each cluster a SQL endpoint of its own, so that tools for CrateDB
//! Cloud can be tested offline:
//!
//! ```no_run
//! use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};
//!
//! # async fn example() -> std::io::Result<()> {
//! let simulator = Simulator::start(Options::default().cluster(ClusterOptions::suspended("ci"))).await?;
//! // … run the code under test against simulator.url() with any API key and secret …
//! let resumed = simulator.requests().iter().filter(|request| request.is_resume()).count();
//! assert_eq!(resumed, 1);
//! assert!(simulator.cloud().cluster("ci").running);
//! # Ok(())
//! # }
//! ```
//!
//! - **Control plane**: logins, users/me and API keys, organizations with quotas, files and secrets, projects,
//!   subscriptions, products, regions, clusters with all their changes, operations, import and export jobs, snapshots,
//!   metrics, jwt, and meta. Clusters are state machines that move by time or by call ([`Pace`]).
//! - **Data plane**: every cluster's `url` is a gateway that checks Basic or a token and refuses while the cluster does
//!   not run. Behind it is the embedded engine or a real CrateDB ([`EngineKind`]).
//! - **Faults**: see [`Cloud`] and [`Fault`] in process, [`FaultOptions`] as text; by HTTP below `/_simulator/`.
//! - **Record**: every request of both planes, in memory and as a file ([`Request`]).
//!
//! The same as a program: `cratedb-cloud-simulator serve`.

mod api;
#[doc(hidden)]
pub mod cli;
mod clock;
mod cloud;
pub mod engine;
mod fault;
mod gateway;
mod http;
mod jwt;
mod options;
mod postgres;
mod requests;
mod server;
mod simulator;
mod state;
mod store;
mod tls;
mod work;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use cloud::{Cloud, ClusterView, WaitedTooLong};
pub use fault::Fault;
pub use options::{BadOption, ClusterOptions, CrateServer, EngineKind, FaultOptions, Options};
pub use requests::Request;
pub use simulator::Simulator;
pub use state::Pace;
