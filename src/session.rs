//! The test's side of a session: find the runners, find or start the keeper, hold the lease, begin and end attempts.

mod attempt;
mod birth;
mod builder;
mod hold;
mod joined;
mod link;
mod observer;
mod once;
mod speaker;

use std::path::Path;

pub(crate) use self::attempt::{Attempt, TestInfo};
pub(crate) use self::birth::reach;
pub use self::builder::SessionBuilder;
pub(crate) use self::hold::Hold;
use self::link::Link;
pub(crate) use self::observer::{Heard, Observer};
use crate::background;
use crate::cluster::Cluster;
use crate::cluster::current::Surroundings;
use crate::error::Result;
use crate::settings::Wanted;

/// One test run: everything below one `cargo test` or `cargo nextest run`, which shares one cluster.
///
/// Tests get their cluster from the attribute or from the fixture. This is the way in without either: for a harness of
/// one's own, or for a helper that needs a second schema. A cluster of another version, or of several nodes, is had by
/// [`builder`](Self::builder).
///
/// ```no_run
/// # async fn run() -> cratedb_test::Result<()> {
/// use cratedb_test::Session;
///
/// let session = Session::current().await?;
/// let cluster = session.cluster("import_of_orders").await?;
/// cluster.execute("CREATE TABLE orders (id INT)").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    link: Link,
}

impl Session {
    /// The session of this process, which is joined, with a cluster made available, if it is not yet.
    ///
    /// The settings are those of the package whose tests run (`CARGO_MANIFEST_DIR`, which cargo and nextest set), else
    /// of the working directory.
    ///
    /// # Errors
    ///
    /// When a setting can't be read and when no cluster can be had. The error is kept: everybody in the process gets the
    /// same one at once.
    pub async fn current() -> Result<Self> {
        Self::builder().join().await
    }

    /// A cluster in a schema of its own, which ends when the last handle is dropped. `name` stands in the schema's name
    /// and in errors.
    ///
    /// Inside a test it belongs to that test's attempt and never waits for other tests.
    ///
    /// # Errors
    ///
    /// When the run is over, when an exclusive test held the cluster longer than `CRATEDB_TEST_START_TIMEOUT`, and at once
    /// when it is an exclusive test that asks, in a thread that can't be told to be its own.
    pub async fn cluster(&self, name: &str) -> Result<Cluster> {
        self.cluster_within(name, Surroundings::look()).await
    }

    pub(crate) async fn cluster_within(&self, name: &str, surroundings: Surroundings) -> Result<Cluster> {
        let parent = attempt::parent(surroundings, &self.link, name)?;
        let (link, name) = (self.link.clone(), name.to_owned());
        background::run(async move { attempt::unattended(link, name, parent).await }).await
    }

    /// The session for the tests of the package in `manifest_dir`, on a cluster as it is wanted.
    pub(crate) async fn of_package(manifest_dir: &Path, wanted: Wanted) -> Result<Self> {
        let dir = manifest_dir.to_owned();
        background::run(async move { joined::link(dir, wanted).await }).await.map(|link| Self { link })
    }
}
