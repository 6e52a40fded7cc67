//! Tests against CrateDB: one cluster per test session, resumed once, suspended always.

// What a smaller set of features leaves without a user; the full set is checked.
#![cfg_attr(
    not(all(feature = "harness", feature = "cloud", feature = "container", feature = "rstest")),
    allow(dead_code, unused_imports)
)]

#[cfg(all(feature = "harness", not(unix)))]
compile_error!(
    "the feature `harness` of cratedb-test needs a Unix system: keepers, process descriptors and their sockets are not \
     there on this one. Write the dependency as\n\n    [target.'cfg(unix)'.dev-dependencies]\n    cratedb-test = \"0.1\"\n\n\
     and the tests that use it under #[cfg(unix)]."
);

#[cfg(feature = "harness")]
extern crate self as cratedb_test;

mod background;
#[cfg(feature = "harness")]
pub mod blocking;
#[cfg(feature = "cloud")]
mod cloud;
#[cfg(feature = "harness")]
mod cluster;
mod error;
#[cfg(feature = "harness")]
mod extract;
#[cfg(feature = "rstest")]
pub mod fixture;
#[cfg(feature = "harness")]
mod keeper;
#[cfg(feature = "harness")]
#[doc(hidden)]
pub mod private;
#[cfg(feature = "harness")]
mod provider;
#[cfg(feature = "harness")]
mod schema;
mod secret;
#[cfg(feature = "harness")]
mod session;
#[cfg(feature = "harness")]
mod settings;
mod sql;
mod version;
mod wait;

#[cfg(feature = "harness")]
pub use cluster::{Cluster, Query};
#[cfg(feature = "harness")]
#[doc = include_str!("cratedb_cluster.md")]
pub use cratedb_test_macros::cratedb_cluster;
/// The same as [`cratedb_cluster`](macro@cratedb_cluster), under a name that `#[rstest]` takes for a test attribute:
/// `#[rstest] … #[cratedb_test::test]`.
#[cfg(feature = "harness")]
pub use cratedb_test_macros::test;
pub use error::{Error, Result};
#[cfg(feature = "harness")]
pub use extract::FromCluster;
#[cfg(feature = "harness")]
pub use session::Session;
pub use version::Version;
