//! The test's side of a session: find the runners, find or start the keeper, hold the lease, begin and end attempts.

mod attempt;
mod birth;
mod inquiry;
mod joined;
mod kept;
mod link;
mod readonly;
mod setup;
mod speaker;

use std::path::Path;

pub(crate) use self::attempt::Attempt;
pub use self::attempt::Test;
pub(crate) use self::birth::reach;
pub(crate) use self::inquiry::{Heard, Inquiry};
pub(crate) use self::joined::Hold;
use self::link::Link;
use crate::background;
use crate::cluster::Cluster;
use crate::environment::Package;
use crate::error::Result;
use crate::settings::Wanted;

/// One test run: everything below one `cargo test` or `cargo nextest run`, which shares one cluster.
///
/// Tests get their cluster from the attribute or from the fixture. Use a session where you have neither: in a harness
/// of your own, or in a helper that needs a second schema. For a cluster of another version, of several nodes or with
/// settings of its own, use [`builder`](Self::builder).
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
    /// Joins the session of this process and makes a cluster available, if there is none yet.
    ///
    /// The settings are those of the package whose tests run (`CARGO_MANIFEST_DIR`, which cargo and nextest set), else
    /// of the working directory.
    ///
    /// # Errors
    ///
    /// When a setting can't be read and when no cluster can be had. The error is kept: every later call in the process
    /// returns the same one at once.
    pub async fn current() -> Result<Self> {
        Self::builder().join().await
    }

    /// Returns a builder, which joins the session on a cluster of another version, of another size, with other settings
    /// of CrateDB or with another way in than the settings say: the same as `version`, `nodes`, `settings`, `auth` and
    /// `tls` of the attribute. All that want the same share one cluster, which is started once per session.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    /// Makes a cluster in a schema of its own, which ends when the last handle is dropped. `name` is a part of the
    /// schema's name and stands in errors.
    ///
    /// Inside a test it belongs to that test's attempt and never waits for other tests.
    ///
    /// # Errors
    ///
    /// When the run is over, and when an exclusive test held the cluster longer than `CRATEDB_TEST_START_TIMEOUT`.
    /// Also, at once, when a thread asks while an exclusive test runs, and it can't be told whether it is a part of
    /// that test.
    pub async fn cluster(&self, name: &str) -> Result<Cluster> {
        background::run(self.cluster_work(name)?).await
    }

    /// Returns the work of [`cluster`](Self::cluster) for the background thread: one place for the async and the
    /// blocking API. To be called on the thread that asks, which knows its attempt.
    pub(crate) fn cluster_work(&self, name: &str) -> Result<impl Future<Output = Result<Cluster>> + Send + use<>> {
        let parent = attempt::parent_of_this_thread(&self.link, name)?;
        Ok(attempt::unattended(self.link.clone(), name.to_owned(), parent))
    }
}

/// The wishes for a session's cluster; made by [`Session::builder`].
///
/// ```no_run
/// # async fn run() -> cratedb_test::Result<()> {
/// use cratedb_test::Session;
///
/// let builder = Session::builder().version("5.10").nodes(3).setting("stats.jobs_log_size", 100);
/// let cluster = builder.join().await?.cluster("upgrade").await?;
/// assert_eq!(cluster.server_version().major, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is joined before `join`"]
pub struct SessionBuilder {
    version: Option<String>,
    nodes: Option<u32>,
    settings: Vec<(String, String)>,
    auth: Option<String>,
    tls: bool,
}

impl SessionBuilder {
    /// Asks for a version of CrateDB: `6.4.3`, or `6.4` for its newest patch.
    pub fn version(self, version: impl Into<String>) -> Self {
        Self { version: Some(version.into()), ..self }
    }

    /// Asks for a number of nodes, from 1 to 9.
    pub fn nodes(self, nodes: u32) -> Self {
        Self { nodes: Some(nodes), ..self }
    }

    /// Asks for a server that is started with a setting of CrateDB, such as `stats.jobs_log_size` and `100`. It
    /// replaces one of the same name in `CRATEDB_TEST_SETTINGS`.
    ///
    /// [`join`](Self::join) returns an error for a setting that is given twice, for an empty value, and for those that
    /// the harness chooses itself, such as ports and paths.
    pub fn setting(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.settings.push((name.into(), value.to_string()));
        self
    }

    /// Asks for a server on which every client has to log in. The harness makes a user who may do all that tests may do
    /// elsewhere, with a random password; [`Cluster::credentials`] has both, and addresses for PostgreSQL drivers
    /// contain them. Accepted: `password`, or `trust` (the default), which lets every client in.
    pub fn auth(self, auth: impl Into<String>) -> Self {
        Self { auth: Some(auth.into()), ..self }
    }

    /// Asks for a server that encrypts both protocols, with a certificate of an authority that is made for this server
    /// alone; [`Cluster::ca_pem`] has the authority's certificate.
    pub fn tls(self) -> Self {
        Self { tls: true, ..self }
    }

    /// Joins the session and waits for the cluster.
    ///
    /// The settings are those of the package whose tests run (`CARGO_MANIFEST_DIR`, which cargo and nextest set), else
    /// of the working directory.
    ///
    /// # Errors
    ///
    /// When a wish or a setting can't be read, when no such cluster can be had, and when `CRATEDB_TEST_PROVIDER` names
    /// a cluster that is of another version or size, or one that the harness does not start, for which neither settings
    /// of CrateDB nor a password nor TLS can be asked.
    pub async fn join(self) -> Result<Session> {
        background::run(self.join_work()).await
    }

    /// Does the work of [`join`](Self::join) on the background thread.
    pub(crate) async fn join_work(self) -> Result<Session> {
        let version = self.version.map(|version| version.parse()).transpose()?;
        let pairs = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let security = Wanted::security_of(self.auth.as_deref(), self.tls)?;
        let wanted = Wanted { version, nodes: self.nodes, settings: Wanted::settings_of(pairs)?, security };
        wanted.check()?;
        let link = joined::link(Package::of_process(Path::new("")), wanted).await?;
        Ok(Session { link })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_can_have_is_refused_before_anything_is_joined() {
        let refused = [
            (Session::builder().version("latest"), "`latest`"),
            (Session::builder().nodes(0), "nodes: 0"),
            (Session::builder().nodes(10), "1 to 9"),
            (Session::builder().setting("http.port", 4200), "`http.port` can't be set"),
            (Session::builder().setting("a.b", 1).setting("a.b", 1), "`a.b` is given twice"),
            (Session::builder().setting("a.b", ""), "`a.b` can't be \"\""),
            (Session::builder().auth("jwt").tls(), "auth=`jwt`"),
        ];
        for (builder, word) in refused {
            let error = builder.join().await.map(drop).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
