//! Tests against CrateDB: one cluster per test session, resumed once, suspended always.
//!
//! ```no_run
//! use cratedb_test::{Cluster, Result, cratedb_cluster};
//!
//! #[cratedb_cluster]
//! async fn inserts_are_visible_after_refresh(cluster: Cluster) -> Result<()> {
//!     cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)").await?;
//!     cluster.query("INSERT INTO readings VALUES (?, ?)").bind(1).bind(2.5).execute().await?;
//!     cluster.refresh().await?;
//!     let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all().await?;
//!     assert_eq!(rows, [(1, 2.5)]);
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! Run it with `cargo test` or `cargo nextest run`, unchanged. The first test that needs a cluster resumes the CrateDB
//! Cloud cluster that the environment names, or starts a local server where it names none. All other tests of the run
//! share that cluster, each in a schema of its own. When the run is over, however it ends, the cluster is suspended or
//! the local server removed.
//!
//! # What you get
//!
//! - [`cratedb_cluster`](macro@cratedb_cluster), the attribute, for async and for sync tests; its page has the arguments and
//!   how it goes together with other attributes. [`test`](macro@test) is its second name, for rstest.
//! - [`Cluster`] and [`blocking::Cluster`]: [`query`](Cluster::query) with typed rows, [`execute`](Cluster::execute),
//!   [`execute_batch`](Cluster::execute_batch), [`bulk`](Cluster::bulk), [`refresh`](Cluster::refresh), and the addresses for
//!   clients of your own, [`pg_url`](Cluster::pg_url) and [`http_url`](Cluster::http_url).
//! - [`eventually`](eventually()) and [`blocking::eventually`]: waiting for what a cluster shows later.
//! - [`FromCluster`]: parameters of your own types.
//! - [`fixture`]: the cluster as an rstest fixture.
//! - [`Session`] and [`blocking::Session`]: the way in without attribute and fixture.
//! - [`Error`]: what was attempted, on what, why it failed and what helps; CrateDB's code, message and statement.
//! - [`ManagedCluster`] and [`cloud`]: CrateDB Cloud for programs that are no tests: clusters that are started, asked and
//!   stopped, and the whole HTTP API. [`blocking::ManagedCluster`] is the same without async.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `harness` | yes | the attribute, sessions, the keeper; Unix only |
//! | `cloud` | yes | CrateDB Cloud: the provider of tests, and the SDK in [`cloud`]; alone it is the SDK without any harness, on any system |
//! | `container` | yes | local containers, by testcontainers |
//! | `process` | yes | local processes, from `CRATEDB_HOME` or a downloaded release |
//! | `rstest` | yes | the [`fixture`] module |
//! | `tokio-postgres` | no | [`FromCluster`] for `tokio_postgres::Client` |
//! | `sqlx` | no | [`FromCluster`] for `sqlx::PgPool` and `sqlx::PgConnection`, of sqlx 0.9 |
//!
//! # Environment
//!
//! The first of these that is configured is used. What is configured and fails is an error.
//!
//! | provider | configured by | at the end of the run |
//! |---|---|---|
//! | `url` | `CRATEDB_CLUSTER_URL` | nothing |
//! | `cloud` | `CRATEDB_CLUSTER_ID` or `CRATEDB_CLUSTER_NAME`, with `CRATEDB_CLOUD_API_KEY` and `CRATEDB_CLOUD_API_SECRET` or a login | suspended, if the harness resumed or deployed it |
//! | `process` | `CRATEDB_HOME` | ended, its data deleted |
//! | `container` | a container engine that answers | removed with its data |
//! | `process` | nothing: a release is downloaded | ended, its data deleted |
//!
//! All variables, of which a `.env` file is another source:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `CRATEDB_CLUSTER_URL` | address of a server that runs; `user:password@` before the host is accepted | |
//! | `CRATEDB_CLUSTER_ID` | the Cloud cluster, by id | |
//! | `CRATEDB_CLUSTER_NAME` | the Cloud cluster, by name. Of the three, URL beats id beats name | |
//! | `CRATEDB_CLOUD_API_KEY` | Cloud credentials | the login in `croud`'s profile file |
//! | `CRATEDB_CLOUD_API_SECRET` | | |
//! | `CRATEDB_CLOUD_ENDPOINT` | the Cloud API; a login is sent to its own endpoint only | `https://console.cratedb.cloud`, or the login's |
//! | `CRATEDB_CLOUD_DEPLOY` | `auto`: a name that no cluster has is deployed; `never`: it is an error | `auto` |
//! | `CRATEDB_CLOUD_ORGANIZATION_ID` | for deploys | the only one |
//! | `CRATEDB_CLOUD_PROJECT_ID` | for deploys | the one with the cluster's name, else a new one |
//! | `CRATEDB_CLOUD_REGION` | for a new project | |
//! | `CRATEDB_CLOUD_SUBSCRIPTION_ID` | for deploys of paid products | the only one |
//! | `CRATEDB_CLOUD_PRODUCT` | for deploys | `crfree` |
//! | `CRATEDB_CLOUD_TIER` | for deploys | `default` |
//! | `CRATEDB_CHANNEL` | for deploys: `stable`, `testing`, `nightly` | `stable` |
//! | `CRATEDB_CLOUD_TIMEOUT` | for one answer of the Cloud API | `30s` |
//! | `CRATEDB_VERSION` | version of local servers, but of the one in `CRATEDB_HOME`, and of deploys | `6.4.3`; the newest one of the channel |
//! | `CRATEDB_HOME` | directory of an extracted CrateDB release, with `bin/crate` and `lib/`: it runs as a local process, in place of a container | |
//! | `CRATEDB_USERNAME` | for the server of `CRATEDB_CLUSTER_URL`, in `pg_url()`, and of a cluster that is deployed | none; `admin` |
//! | `CRATEDB_PASSWORD` | the same; a deploy wants at least 24 characters; without it `pg_url()` on CrateDB Cloud has a user made for the session | none; random |
//! | `CRATEDB_TEST_PROVIDER` | `auto`, `url`, `cloud`, `container`, `process`: that one and no other | `auto` |
//! | `CRATEDB_TEST_ON_EXIT` | `auto`: suspend what the harness resumed or deployed; `suspend`: also what was running; `keep`; `delete`: delete what it deployed | `auto` |
//! | `CRATEDB_TEST_KEEP_WARM` | release only this long after the last run; any run until then joins | `0` |
//! | `CRATEDB_TEST_KEEP_SCHEMA` | `always`, `never`, `on-failure`: whether a test's schema stays on a cluster that lives on | `on-failure`; `never` where `CI` is set |
//! | `CRATEDB_TEST_MAX_LIFETIME` | release this long after the last test began, whatever is connected | `2h` |
//! | `CRATEDB_TEST_START_TIMEOUT` | for the cluster to be there, and for a test to get its turn | `15m` |
//! | `CRATEDB_TEST_IMAGE` | image of the container | `crate:<version>` |
//! | `CRATEDB_TEST_JVM_CACHE` | ahead-of-time cache of local servers: `1` makes and uses one, `0` does neither, `auto` makes none where `CI` is set | `auto` |
//! | `CRATEDB_TEST_MIRROR` | where releases are downloaded from: an http(s) address or an absolute path; below it, `<platform>/crate-<version>.tar.gz` | `https://cdn.crate.io/downloads/releases/cratedb/` |
//! | `CRATEDB_TEST_SHA256` | SHA-256 digests, with commas between them: no other archive of a release is used | any, trusted on first use |
//! | `CRATEDB_TEST_DIR` | absolute path of one directory for sockets, locks, journals and logs; not read from `.env` | `~/.local/state/cratedb-test/` and `/tmp/cratedb-test-<uid>/` |
//! | `CRATEDB_TEST_LOG` | filter of the keeper's log | `info` |
//! | `CRATEDB_TEST_REPORT` | a file to which each session adds one line of JSON: tests, processes, times, outcome | |
//! | `CRATEDB_TEST_OUTER` | a process id: that process and all above it are no test runners. For tests that run test runners | |
//! | `CRATEDB_TEST_SESSION` | name (1 to 64 of letters, digits, `.`, `_`, `-`) of the explicit session to which this process belongs, whatever runs it | |
//! | `CRATEDB_TEST_SESSION_IDLE` | an explicit session ends after this long without a test process | `10m` |
//!
//! # How it works
//!
//! The first test that needs a cluster starts a *keeper*: the test binary once more, detached from the run. The keeper
//! makes the cluster available and holds it. Every test process has a connection to it, which the kernel closes when the
//! process is gone; and the keeper watches the runners above the tests, every `cargo` and `cargo-nextest`. When they are
//! dead and nobody is connected, it lets go of the cluster. What it is about to do is in a journal before it does it, so
//! that the next run finishes the work of a killed keeper. Tests talk to the cluster directly.
//!
//! # Guarantees and limits
//!
//! - One acquisition and one release for a run of any number of threads, binaries, doctests and nextest processes.
//! - Released after return, panic, `process::exit`, `abort`, Ctrl-C, SIGTERM, and SIGKILL of a test or of the runner. A killed
//!   keeper is made good by the next run. Not covered: what ends together with the run, such as a container whose first
//!   process it is, a virtual machine, power.
//! - Only what the harness resumed, deployed or started is released; only schemas that it made are dropped, and what
//!   `exclusive` tests made outside of theirs.
//! - Not coordinated in this version: several machines on one Cloud cluster. One cluster addressed by id in one place and
//!   by name in another has two keepers.
//! - A schema does not isolate users, roles and privileges, analyzers, repositories, publications and subscriptions, global settings,
//!   blob tables, and the tables in `sys`: see `exclusive` of the attribute.
//! - The free tier of CrateDB Cloud can't be suspended; it is left running.
//! - `cargo run` replaces itself by the program, which then is the run. nextest's `terminate-after` counts the wait for a
//!   resume.
//! - A local process has no authentication, listens on loopback only, and dies with its keeper. As root it is run as `nobody`,
//!   who must be able to read `CRATEDB_HOME`.
//! - Downloaded releases are verified by their SHA-256: pinned, remembered, beside the archive, or trusted on first use over TLS.
//!   OpenPGP signatures are not checked.
//! - Linux is tested, macOS code only compiled and tested on Linux. On Windows the feature `harness` is not available:
//!   depend on this crate under `[target.'cfg(unix)'.dev-dependencies]`.
//!
//! # Prior art
//!
//! testcontainers gives a container per test, or per process when it stands in a `static`; nextest runs each test in a process of its
//! own. `sqlx::test` and `#[nexus_test]` isolate tests in a database of their own, on a server that is there or per test. This
//! crate shares one server over all processes of a run, which pays where a server takes long to start or costs money while it
//! runs.
//!
//! # Minimum supported Rust version
//!
//! 1.94. Raising it is a minor release.

// What a smaller set of features leaves without a user; the full set is checked.
#![cfg_attr(
    not(all(feature = "harness", feature = "cloud", feature = "container", feature = "process", feature = "rstest")),
    allow(dead_code, unused_imports, rustdoc::broken_intra_doc_links)
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
#[cfg(any(feature = "harness", feature = "cloud"))]
pub mod blocking;
#[cfg(feature = "cloud")]
pub mod cloud;
#[cfg(feature = "harness")]
mod cluster;
#[cfg(feature = "harness")]
mod control;
#[cfg(any(feature = "harness", feature = "cloud"))]
mod environment;
mod error;
#[cfg(any(feature = "harness", feature = "cloud"))]
mod eventually;
#[cfg(feature = "harness")]
mod extract;
#[cfg(feature = "rstest")]
pub mod fixture;
#[cfg(feature = "harness")]
mod host;
#[cfg(feature = "harness")]
mod keeper;
#[cfg(feature = "harness")]
mod migrations;
#[cfg(feature = "harness")]
#[doc(hidden)]
pub mod private;
#[cfg(any(feature = "harness", feature = "cloud"))]
mod probe;
#[cfg(feature = "harness")]
mod provider;
#[cfg(any(feature = "harness", feature = "cloud"))]
mod query;
#[cfg(feature = "harness")]
mod schema;
mod secret;
#[cfg(feature = "harness")]
mod seed;
#[cfg(feature = "harness")]
mod session;
#[cfg(feature = "harness")]
mod settings;
mod sql;
#[cfg(any(feature = "harness", feature = "cloud"))]
mod target;
#[cfg(feature = "harness")]
mod user;
mod version;
mod wait;
#[cfg(feature = "harness")]
mod wire;

#[cfg(feature = "cloud")]
pub use cloud::ManagedCluster;
#[cfg(feature = "harness")]
pub use cluster::Cluster;
#[cfg(feature = "harness")]
#[doc = include_str!("cratedb_cluster.md")]
pub use cratedb_test_macros::cratedb_cluster;
/// The same as [`cratedb_cluster`](macro@cratedb_cluster), under a name that `#[rstest]` takes for a test attribute:
/// `#[rstest] … #[cratedb_test::test]`.
#[cfg(feature = "harness")]
pub use cratedb_test_macros::test;
pub use error::{Error, Result};
#[cfg(any(feature = "harness", feature = "cloud"))]
pub use eventually::{Eventually, eventually};
#[cfg(feature = "harness")]
pub use extract::{Environment, FromCluster};
#[cfg(any(feature = "harness", feature = "cloud"))]
pub use query::Query;
#[doc(hidden)]
#[cfg(any(feature = "harness", feature = "cloud"))]
pub use query::Table;
#[cfg(feature = "harness")]
pub use session::{Session, SessionBuilder};
pub use version::Version;

/// The code in the README compiles.
#[cfg(all(doctest, feature = "rstest"))]
#[doc = include_str!("../README.md")]
struct Readme;
