//! A simulated Cloud with one cluster, and the files of the keepers that use it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};

use super::processes;
use super::wait_for;

pub const CLUSTER: &str = "ci-tests";
/// A secret that must not be in any output nor in any file that is left.
pub const SECRET: &str = "geheim-und-lang-genug-fuer-alle";

pub struct TestCloud {
    pub simulator: Simulator,
    /// `CRATEDB_TEST_DIR` of the runs.
    pub dir: tempfile::TempDir,
}

impl TestCloud {
    /// A suspended cluster; operations take 50 ms.
    pub fn suspended() -> Self {
        Self::with(Options::default().cluster(suspendable()).operation_time(Duration::from_millis(50)))
    }

    pub fn with(options: Options) -> Self {
        let mut options = Options { api_secret: Some(SECRET.into()), ..options };
        if let Ok(engine) = std::env::var("CRATEDB_HARNESS_ENGINE") {
            options.engine = cratedb_cloud_simulator::EngineKind::Real(engine);
        }
        let simulator = Simulator::start_blocking(options).unwrap();
        // Short, for the socket's path.
        let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
        Self { simulator, dir }
    }

    pub fn environment(&self) -> HashMap<String, String> {
        [
            ("CRATEDB_CLOUD_ENDPOINT", self.simulator.url().to_owned()),
            ("CRATEDB_CLOUD_API_KEY", "test-key".into()),
            ("CRATEDB_CLOUD_API_SECRET", SECRET.into()),
            ("CRATEDB_CLUSTER_NAME", CLUSTER.into()),
            ("CRATEDB_TEST_DIR", self.dir.path().display().to_string()),
            ("CRATEDB_TEST_LOG", "debug".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Counts the requests to resume and to suspend the cluster.
    pub fn counts(&self) -> (usize, usize) {
        let requests = self.simulator.requests();
        let resumes = requests.iter().filter(|request| request.is_resume()).count();
        (resumes, requests.iter().filter(|request| request.is_suspend()).count())
    }

    /// Waits until everything is let go of, and compares what it took.
    #[track_caller]
    pub fn ends_with(&self, resumes: usize, suspends: usize) {
        wait_for("the keeper's end", || match processes::keepers(self.dir.path()) {
            none if none.is_empty() => Ok(()),
            some => Err((some, self.log())),
        });
        assert_eq!(self.counts(), (resumes, suspends), "resumes and suspends; the keeper's log:\n{}", self.log());
        assert!(!self.simulator.cloud().cluster(CLUSTER).running || suspends == 0, "the cluster still runs");
        self.holds_no_secret();
    }

    #[track_caller]
    pub fn wait_for_counts(&self, resumes: usize, suspends: usize) {
        wait_for("the requests", || match self.counts() {
            counts if counts == (resumes, suspends) => Ok(()),
            counts => Err((counts, self.log())),
        });
    }

    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    pub fn file(&self, kind: &str) -> Option<PathBuf> {
        self.files().into_iter().find(|path| path.extension().is_some_and(|found| found == kind))
    }

    pub fn log(&self) -> String {
        self.file("log").map(|path| std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default()
    }

    /// The keeper that holds the cluster now.
    pub fn keeper(&self) -> u32 {
        let mut found = None;
        wait_for("a keeper", || {
            found = processes::keepers(self.dir.path()).first().copied();
            found.map(|_| ()).ok_or("none")
        });
        found.unwrap()
    }

    #[track_caller]
    fn holds_no_secret(&self) {
        for path in self.files().iter().filter(|path| path.is_file()) {
            let bytes = std::fs::read(path).unwrap_or_default();
            assert!(!contains(&bytes, SECRET.as_bytes()), "the secret stands in {}", path.display());
            // Three letters alone may be part of a random name. The token itself is not shown, but for its beginning.
            let is_token = |text: &[u8]| {
                text.starts_with(b"eyJ") && text.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
            };
            let token = bytes.windows(20).position(is_token);
            let shown = |at: usize| String::from_utf8_lossy(&bytes[at.saturating_sub(200)..at + 12]).into_owned();
            assert!(token.is_none(), "a token stands in {}: {:?}", path.display(), token.map(shown));
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

pub fn suspendable() -> ClusterOptions {
    ClusterOptions::suspended(CLUSTER)
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}
