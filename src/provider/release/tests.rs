//! Releases from a mirror of our own, which behaves or doesn't; and two processes that want the same one.

mod digests;
mod downloads;
mod keeping;
mod server;
mod sharing;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::{mpsc, watch};

use self::server::{Odd, Server};
use super::trust::Trust;
use super::*;
use crate::secret::Secret;

const QUICK: Patience = Patience {
    connect: Duration::from_secs(2),
    stall: Duration::from_millis(300),
    index: Duration::from_millis(500),
    again: wait::LOCAL,
    tries: 4,
};

struct Bench {
    dir: tempfile::TempDir,
    server: Server,
    releases: Releases,
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
            releases: Releases { caches: Caches(vec![cache]), patience: QUICK },
            origin: Origin { mirror: Some(Secret::new(server.url.clone())), digests: Vec::new() },
            progress: Progress::new(sender),
            server,
            steps,
            dir,
        }
    }

    /// A mirror that has this as 6.4.3.
    fn serving(archive: &[u8]) -> Self {
        let bench = Self::new();
        bench.server.has(&archive_of("6.4.3"), archive);
        bench
    }

    async fn obtain(&self, wanted: &str) -> Result<Obtained> {
        let deadline = Instant::now() + Duration::from_secs(30);
        self.releases.obtain(wanted.parse().unwrap(), &self.origin, deadline, &self.progress).await
    }

    async fn gets(&self) -> Obtained {
        self.obtain("6.4.3").await.unwrap()
    }

    /// What fails installs nothing.
    async fn fails(&self) -> String {
        let error = self.obtain("6.4.3").await.err().unwrap();
        assert!(!self.file("").exists() && !self.file(".tmp").exists());
        error.to_string()
    }

    /// Of 6.4.3 in the cache.
    fn file(&self, suffix: &str) -> PathBuf {
        let platform = Platform::of_this_machine().unwrap();
        self.releases.caches.0[0].join(format!("releases/6.4.3-{platform}{suffix}"))
    }

    fn part(&self) -> u64 {
        fs::metadata(self.file(".tar.gz.part")).map_or(0, |meta| meta.len())
    }

    fn steps(&mut self) -> String {
        let mut all = Vec::new();
        while let Ok(step) = self.steps.try_recv() {
            all.push(step);
        }
        all.join("\n")
    }
}

/// Open to everybody, since these tests may run as root and servers never do.
fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Below a mirror.
fn archive_of(version: &str) -> String {
    format!("{}/crate-{version}.tar.gz", Platform::of_this_machine().unwrap())
}

/// What is packed as a release: a program, a version, and `size` bytes that no packer makes smaller.
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

#[track_caller]
fn says(text: impl ToString, parts: &[&str]) {
    let text = text.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}
