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
//! Cloud cluster that the environment names, or starts a local server if it names none. All other tests of the run
//! share that cluster. Each test has its own schema. When the run is over, however it ends, the cluster is suspended or
//! the local server is removed.
//!
//! # What you get
//!
//! - [`cratedb_cluster`](macro@cratedb_cluster) is the attribute for async and sync tests. Its page lists the arguments
//!   and how it combines with other attributes. [`test`](macro@test) is its second name, for rstest.
//! - [`Cluster`] and [`blocking::Cluster`] have [`query`](Cluster::query) with typed rows,
//!   [`execute`](Cluster::execute), [`execute_batch`](Cluster::execute_batch), [`bulk`](Cluster::bulk) and
//!   [`refresh`](Cluster::refresh). [`pg_url`](Cluster::pg_url) and [`http_url`](Cluster::http_url) are the addresses
//!   for your own clients.
//! - [`Cluster::with_faults`] gives a test a network that is slow, breaks or lets nothing through.
//! - [`eventually`](eventually()) and [`blocking::eventually`] wait until the cluster shows an expected value.
//! - [`FromCluster`] turns your own types into parameters of tests.
//! - [`fixture`] has the cluster as an rstest fixture.
//! - [`Session`] and [`blocking::Session`] give access to a cluster without attribute and fixture.
//! - [`Error`] says what was attempted, on what, why it failed and what helps. It includes CrateDB's code, message and
//!   statement.
//! - [`ManagedCluster`] and [`cloud`] are CrateDB Cloud for programs that are not tests: clusters to start, query and
//!   stop, and the whole HTTP API. [`blocking::ManagedCluster`] is the same without async.
//! - `types` has the types that functions return and that are seldom named, such as `Query`.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `harness` | yes | the attribute, sessions, the keeper; Linux and macOS |
//! | `cloud` | yes | CrateDB Cloud: a provider for tests and the SDK in [`cloud`]; alone, it is the SDK without the harness, on any system |
//! | `container` | yes | local containers, through testcontainers |
//! | `process` | yes | local processes, from `CRATEDB_HOME` or a downloaded release |
//! | `rstest` | yes | the [`fixture`] module |
//! | `tokio-postgres` | no | [`FromCluster`] for `tokio_postgres::Client` |
//! | `sqlx` | no | [`FromCluster`] for `sqlx::PgPool` and `sqlx::PgConnection`, of sqlx 0.9 |
//!
//! # Environment
//!
//! The harness uses the first of these that is configured. If it fails, that is an error.
//!
//! | provider | configured by | at the end of the run |
//! |---|---|---|
//! | `url` | `CRATEDB_CLUSTER_URL` | nothing |
//! | `cloud` | `CRATEDB_CLUSTER_ID` or `CRATEDB_CLUSTER_NAME`, with `CRATEDB_CLOUD_API_KEY` and `CRATEDB_CLOUD_API_SECRET` or a login | suspended, if the harness resumed or deployed it |
//! | `process` | `CRATEDB_HOME` | ended, its data deleted |
//! | `container` | a container engine that answers | removed with its data |
//! | `process` | nothing: a release is downloaded | ended, its data deleted |
//!
//! These are all variables. A `.env` file may set them, too:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `CRATEDB_CLUSTER_URL` | address of a running server; `user:password@` before the host is accepted | |
//! | `CRATEDB_CLUSTER_ID` | the Cloud cluster, by id | |
//! | `CRATEDB_CLUSTER_NAME` | the Cloud cluster, by name. Of the three, URL beats id beats name | |
//! | `CRATEDB_CLOUD_API_KEY` | Cloud credentials | the login in `croud`'s profile file |
//! | `CRATEDB_CLOUD_API_SECRET` | | |
//! | `CRATEDB_CLOUD_ENDPOINT` | the Cloud API; a login is sent to its own endpoint only | `https://console.cratedb.cloud`, or the login's |
//! | `CRATEDB_CLOUD_DEPLOY` | if no cluster has the name: `auto` deploys it, `never` makes it an error | `auto` |
//! | `CRATEDB_CLOUD_ORGANIZATION_ID` | for deploys | the only one |
//! | `CRATEDB_CLOUD_PROJECT_ID` | for deploys | the one with the cluster's name, else a new one |
//! | `CRATEDB_CLOUD_REGION` | for a new project | |
//! | `CRATEDB_CLOUD_SUBSCRIPTION_ID` | for deploys of paid products | the only one |
//! | `CRATEDB_CLOUD_PRODUCT` | for deploys | `crfree` |
//! | `CRATEDB_CLOUD_TIER` | for deploys | `default` |
//! | `CRATEDB_CHANNEL` | for deploys: `stable`, `testing`, `nightly` | `stable` |
//! | `CRATEDB_CLOUD_TIMEOUT` | time limit for one answer of the Cloud API | `30s` |
//! | `CRATEDB_VERSION` | version of deploys and of local servers, except the one in `CRATEDB_HOME` | `6.4.3`; for deploys the newest of the channel |
//! | `CRATEDB_HOME` | directory of an extracted CrateDB release, with `bin/crate` and `lib/`; it runs as a local process instead of a container | |
//! | `CRATEDB_USERNAME` | user for the server of `CRATEDB_CLUSTER_URL`, for `pg_url()`, and of a deployed cluster | none; `admin` |
//! | `CRATEDB_PASSWORD` | password of the same; a deploy needs at least 24 characters; without it, `pg_url()` on CrateDB Cloud uses a user created for the session | none; random |
//! | `CRATEDB_ALLOW_PLAIN_HTTP` | `1` allows to send passwords, API keys and tokens over `http://` to another machine | `0` |
//! | `CRATEDB_TEST_PROVIDER` | `auto`, or the only provider to use: `url`, `cloud`, `container`, `process` | `auto` |
//! | `CRATEDB_TEST_ON_EXIT` | `auto`: suspend what the harness resumed or deployed; `suspend`: also what was running; `keep`: leave it as it is; `delete`: delete what it deployed, with the project that was created for it | `auto` |
//! | `CRATEDB_TEST_ON_SUSPENDED` | what happens if another client suspends the cluster during a run: `fail`: its tests fail with an error that says so; `resume`: the cluster is resumed, and the tests that follow run on it | `fail` |
//! | `CRATEDB_TEST_KEEP_WARM` | how long the cluster is kept after the last run; a run that starts in that time joins | `0` |
//! | `CRATEDB_TEST_KEEP_SCHEMA` | `always`, `never`, `on-failure`: when a test's schema stays on a cluster that outlives the run | `on-failure`; `never` if `CI` is set |
//! | `CRATEDB_TEST_MAX_LIFETIME` | the cluster is released this long after the last test began, even if processes are connected | `2h` |
//! | `CRATEDB_TEST_START_TIMEOUT` | time limit for the cluster to become available, outages of the Cloud API included, and for a test to get its turn | `15m` |
//! | `CRATEDB_TEST_IMAGE` | image of the container | `crate:<version>` |
//! | `CRATEDB_TEST_SETTINGS` | settings of CrateDB for the servers that the harness starts: `name=value` pairs with commas or line breaks between them; a value that contains a comma stands in quotes | |
//! | `CRATEDB_TEST_AUTH` | how servers that the harness starts let clients in: `trust` lets every client in as `crate`, `password` asks for a user and a password | `trust` |
//! | `CRATEDB_TEST_TLS` | `1`: servers that the harness starts accept only encrypted connections, on both ports | `0` |
//! | `CRATEDB_TEST_JVM_CACHE` | ahead-of-time cache of local servers: `1` makes and uses it, `0` does neither, `auto` makes none if `CI` is set | `auto` |
//! | `CRATEDB_TEST_MIRROR` | where releases are downloaded from: an http(s) address or an absolute path that has `<platform>/crate-<version>.tar.gz` | `https://cdn.crate.io/downloads/releases/cratedb/` |
//! | `CRATEDB_TEST_SHA256` | SHA-256 digests, separated by commas; no other archive of a release is used | any, trusted on first use |
//! | `CRATEDB_TEST_DIR` | absolute path of one directory for sockets, locks, journals and logs; not read from `.env` | `~/.local/state/cratedb-test/` and `/tmp/cratedb-test-<uid>/` |
//! | `CRATEDB_TEST_LOG` | filter of the keeper's log | `info` |
//! | `CRATEDB_TEST_PRICE` | what a cluster costs for an hour, with or without a currency (`0.35 USD`), for `cargo cratedb report` | for a Cloud cluster, the price of its product |
//! | `CRATEDB_TEST_REPORT` | a file to which each session appends one line of JSON: tests, processes, times, outcome. A FIFO gets it only while a process reads there | |
//! | `CRATEDB_TEST_OUTER` | a process id: that process and all its ancestors are not test runners. For tests that run test runners | |
//! | `CRATEDB_TEST_SESSION` | name (1 to 64 of letters, digits, `.`, `_`, `-`) of the explicit session this process belongs to, whatever its runner | |
//! | `CRATEDB_TEST_SESSION_IDLE` | an explicit session ends after this long without a test process | `10m` |
//!
//! # How it works
//!
//! The first test that needs a cluster starts a *keeper*: a process of the same test binary, detached from the run. The
//! keeper makes the cluster available and holds it. Every test process has a connection to the keeper, which the kernel
//! closes when the process dies. The keeper also watches the runners above the tests, every `cargo` and
//! `cargo-nextest`. When the runners are dead and no process is connected, it releases the cluster. It writes each step
//! to a journal before it takes it, so that the next run can finish the work of a killed keeper. Tests talk to the
//! cluster directly.
//!
//! # Guarantees and limits
//!
//! - A run has one acquisition and one release, for any number of threads, binaries, doctests and nextest processes.
//! - The cluster is released after return, panic, `process::exit`, `abort`, Ctrl-C, SIGTERM, and SIGKILL of a test or
//!   of the runner. If the keeper is killed, the next run repairs what it left. Whatever ends together with the run is
//!   not covered, such as a container whose first process is the run, a virtual machine, or a power failure.
//! - Only clusters and servers that the harness resumed, deployed or started are released. Only schemas that it created
//!   are dropped, and objects that `exclusive` tests created outside their schemas.
//! - Several machines on one Cloud cluster meet in the table `cratedb_test.lease` in it, and the last one suspends it.
//!   The lease of a machine that dies counts for another 90 s.
//! - A schema does not isolate users, roles and privileges, analyzers, repositories, publications and subscriptions,
//!   global settings, blob tables, and the tables in `sys`. See `exclusive` of the attribute.
//! - A free-tier cluster of CrateDB Cloud can't be suspended, so it is left running.
//! - `cargo run` replaces itself with the program, which then counts as the run. nextest's `terminate-after` counts the
//!   wait for a resume.
//! - A local process has no authentication and listens on loopback only. On Linux it dies with its keeper. If the tests
//!   run as root, it runs as `nobody`, who must be able to read `CRATEDB_HOME`.
//! - Downloaded releases are verified by their SHA-256: pinned, remembered, beside the archive, or trusted on first use
//!   over TLS. OpenPGP signatures are not checked.
//! - Linux is the tested platform. For macOS (aarch64 and x86_64), CI checks the code by cross-compilation, with
//!   warnings denied, and the tests run the portable code path on Linux. A GitHub job for macos-15 exists but has not
//!   been run yet. macOS has no process descriptors, no process namespaces and no parent-death signal: if the keeper is
//!   killed with SIGKILL, the nodes of a local server stay behind until the next run or a sweep ends them.
//! - Windows has no harness: depend on this crate under `[target.'cfg(unix)'.dev-dependencies]`. The feature `cloud`
//!   alone and the Cloud commands of `cargo cratedb` compile for x86_64-pc-windows-gnu. The session commands need Unix.
//!
//! # Prior art
//!
//! testcontainers starts a container per test, or per process if the container is in a `static`; nextest runs each test
//! in its own process. `sqlx::test` and `#[nexus_test]` isolate tests in databases of their own, on an existing server
//! or on one per test. This crate shares one server among all processes of a run, which pays off if a server takes long
//! to start or costs money while it runs.
//!
//! # Minimum supported Rust version
//!
//! 1.94. Raising it is a minor release.

// With fewer features, some code is unused. It is checked with all features.
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
#[cfg(feature = "harness")]
mod clock;
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
#[cfg(all(test, feature = "harness"))]
mod explore;
#[cfg(feature = "harness")]
mod extract;
#[cfg(feature = "harness")]
mod faults;
#[cfg(feature = "rstest")]
pub mod fixture;
// The command line reaches it through `private`, which needs one of the two.
#[cfg_attr(not(any(feature = "harness", feature = "cloud")), allow(unreachable_pub, dead_code))]
mod foreign;
#[cfg(feature = "harness")]
mod host;
#[cfg(feature = "harness")]
mod imprint;
#[cfg(feature = "harness")]
mod keeper;
#[cfg(feature = "harness")]
mod migrations;
#[cfg(feature = "harness")]
#[doc(hidden)]
pub mod private;
#[cfg(all(feature = "cloud", not(feature = "harness")))]
#[doc(hidden)]
pub mod private {
    /// The functions with which the command line shows text of servers.
    pub mod foreign {
        pub use crate::foreign::*;
    }
}
#[cfg(any(feature = "harness", feature = "cloud"))]
mod probe;
#[cfg(feature = "harness")]
mod provider;
#[cfg(any(feature = "harness", feature = "cloud"))]
mod query;
#[cfg(feature = "harness")]
mod recording;
#[cfg(feature = "harness")]
mod schema;
mod secret;
#[cfg(feature = "harness")]
mod seed;
#[cfg(feature = "harness")]
mod session;
#[cfg(feature = "harness")]
mod settings;
#[cfg(any(feature = "harness", feature = "cloud"))]
mod sharing;
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
/// The same as [`cratedb_cluster`](macro@cratedb_cluster), under a name that `#[rstest]` recognises as that of a test
/// attribute: `#[rstest] … #[cratedb_test::test]`.
#[cfg(feature = "harness")]
pub use cratedb_test_macros::test;
pub use error::{Error, Result};
#[cfg(any(feature = "harness", feature = "cloud"))]
pub use eventually::eventually;
#[cfg(feature = "harness")]
pub use extract::FromCluster;
#[cfg(feature = "harness")]
pub use session::Session;
pub use version::Version;

/// Types that functions return and that code seldom names.
#[cfg(any(feature = "harness", feature = "cloud"))]
pub mod types {
    #[cfg(feature = "harness")]
    pub use crate::cluster::UserCredentials;
    pub use crate::eventually::Eventually;
    #[cfg(feature = "harness")]
    pub use crate::extract::Environment;
    #[cfg(feature = "harness")]
    pub use crate::faults::Faults;
    pub use crate::query::{Query, Table};
    #[cfg(feature = "harness")]
    pub use crate::session::SessionBuilder;
}

/// The code in the README compiles.
#[cfg(all(doctest, feature = "rstest"))]
#[doc = include_str!("../README.md")]
struct Readme;
