//! The same for code that is not async: every call waits for its answer.
//!
//! The calls work on any thread, also inside an async runtime, where they block the thread that makes them.

#[cfg(feature = "harness")]
mod cluster;
mod eventually;
#[cfg(feature = "cloud")]
mod managed;
mod query;

#[cfg(feature = "harness")]
pub use cluster::{Cluster, Session};
pub use eventually::{Eventually, eventually};
#[cfg(feature = "cloud")]
pub use managed::{ManagedCluster, wait};
pub use query::Query;
