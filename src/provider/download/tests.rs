//! Downloads from a mirror that behaves or does not, and two processes that want the same installation.

mod caches;
mod downloads;
mod server;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::{mpsc, watch};

use self::server::{Odd, Server};
use super::trust::Trust;
use super::*;
use crate::provider::tests::{drained, open_dir, says};
use crate::secret::Secret;

const QUICK: FetchLimits = FetchLimits {
    connect: Duration::from_secs(2),
    stall: Duration::from_millis(300),
    index: Duration::from_millis(500),
    again: wait::LOCAL,
    tries: 4,
    in_use: Duration::from_millis(300),
    archive: 64 << 20,
};

struct Bench {
    dir: tempfile::TempDir,
    server: Server,
    downloads: Downloads,
    origin: Origin,
    progress: Progress,
    steps: mpsc::UnboundedReceiver<String>,
}

impl Bench {
    fn new() -> Self {
        let dir = open_dir();
        Self::at(dir.path().join("cache"), dir)
    }

    fn at(cache: PathBuf, dir: tempfile::TempDir) -> Self {
        let server = Server::start();
        let (sender, steps) = mpsc::unbounded_channel();
        Self {
            downloads: Downloads { caches: Caches(vec![cache]), limits: QUICK },
            origin: Origin { mirror: Some(Secret::new(server.url.clone())), digests: Vec::new() },
            progress: Progress::new(sender),
            server,
            steps,
            dir,
        }
    }

    /// Starts a mirror that has `archive` as 6.4.3.
    fn serving(archive: &[u8]) -> Self {
        let bench = Self::new();
        bench.server.has(&archive_of("6.4.3"), archive);
        bench
    }

    async fn obtain(&self, wanted: &str) -> Result<Installation> {
        let deadline = Instant::now() + Duration::from_secs(30);
        self.downloads.obtain(wanted.parse().unwrap(), &self.origin, deadline, &self.progress).await
    }

    async fn gets(&self) -> Installation {
        self.obtain("6.4.3").await.unwrap()
    }

    /// Returns the error of a download that must install nothing.
    async fn fails(&self) -> String {
        let error = self.obtain("6.4.3").await.err().unwrap();
        assert!(!self.file("").exists() && !self.file(".tmp").exists());
        error.to_string()
    }

    /// Returns a file of 6.4.3 in the cache.
    fn file(&self, suffix: &str) -> PathBuf {
        let platform = Platform::of_this_machine().unwrap();
        self.downloads.caches.0[0].join(format!("releases/6.4.3-{platform}{suffix}"))
    }

    fn part(&self) -> u64 {
        fs::metadata(self.file(".tar.gz.part")).map_or(0, |meta| meta.len())
    }

    fn steps(&mut self) -> String {
        drained(&mut self.steps)
    }
}

/// Returns the path of an archive below a mirror.
fn archive_of(version: &str) -> String {
    format!("{}/crate-{version}.tar.gz", Platform::of_this_machine().unwrap())
}

/// Packs an installation: a program, a version, and `size` bytes that can't be compressed.
fn packed(version: &str, size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(size as u64);
    let ballast: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(size).collect();
    packed_of(&[
        ("bin/crate", b"#!/bin/sh\nexit 1\n"),
        (&format!("lib/crate-app-{version}.jar"), b"jar"),
        ("lib/ballast", &ballast),
    ])
}

fn packed_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, format!("crate-x/{path}"), *bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    trust::digest_of(file.path(), &AtomicBool::new(false)).unwrap().unwrap()
}
