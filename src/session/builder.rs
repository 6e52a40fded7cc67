//! A session for code without attribute, on a cluster as that code wants it.

use std::path::PathBuf;

use super::Session;
use crate::error::Result;
use crate::settings::Wanted;

/// What is wanted of a session's cluster; made by [`Session::builder`].
///
/// ```no_run
/// # async fn run() -> cratedb_test::Result<()> {
/// use cratedb_test::Session;
///
/// let session = Session::builder().version("5.10").nodes(3).join().await?;
/// let cluster = session.cluster("upgrade").await?;
/// assert_eq!(cluster.server_version().major, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is joined before `join`"]
pub struct SessionBuilder {
    version: Option<String>,
    nodes: Option<u32>,
}

impl Session {
    /// The session on a cluster of another version or size than the settings say: the same as `version` and `nodes` of the
    /// attribute. Whoever wants the same gets the same cluster, which is started once per session.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }
}

impl SessionBuilder {
    /// The version of CrateDB: `6.4.3`, or `6.4` for its newest patch.
    pub fn version(self, version: impl Into<String>) -> Self {
        Self { version: Some(version.into()), ..self }
    }

    /// How many nodes the cluster has, from 1 to 9.
    pub fn nodes(self, nodes: u32) -> Self {
        Self { nodes: Some(nodes), ..self }
    }

    /// Joins the session and waits for the cluster.
    ///
    /// The settings are those of the package whose tests run (`CARGO_MANIFEST_DIR`, which cargo and nextest set), else
    /// of the working directory.
    ///
    /// # Errors
    ///
    /// When what is wanted or a setting can't be read, when no such cluster can be had, and when `CRATEDB_TEST_PROVIDER`
    /// names a cluster that is of another version or size.
    pub async fn join(self) -> Result<Session> {
        let version = self.version.map(|version| version.parse()).transpose()?;
        let wanted = Wanted { version, nodes: self.nodes };
        wanted.check()?;
        let dir = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).or_else(|| std::env::current_dir().ok());
        Session::of_package(&dir.unwrap_or_else(|| "/".into()), wanted).await
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
        ];
        for (builder, word) in refused {
            let error = builder.join().await.map(drop).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
