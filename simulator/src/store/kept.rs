//! The file that keeps a simulator from one run to the next.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::engine::Data;
use crate::state::{Micros, State};

/// The version that is written; others are refused.
const VERSION: u32 = 1;

/// Everything that is kept. Passwords are in it, so only its owner may read the file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    version: u32,
    /// The offset of the clock.
    pub(crate) ahead: Micros,
    pub(crate) state: State,
    /// Data of the embedded engines, by cluster.
    pub(crate) engines: HashMap<String, Data>,
    /// Data of the snapshots, by id.
    pub(crate) snapshots: HashMap<String, Data>,
    /// Bytes of files by id, in base64.
    files: BTreeMap<String, String>,
}

impl Kept {
    pub(crate) fn new(
        ahead: Micros,
        state: State,
        engines: HashMap<String, Data>,
        snapshots: HashMap<String, Data>,
        files: &HashMap<String, Bytes>,
    ) -> Self {
        let files = files.iter().map(|(id, bytes)| (id.clone(), STANDARD.encode(bytes))).collect();
        Self { version: VERSION, ahead, state, engines, snapshots, files }
    }

    pub(crate) fn files(&self) -> HashMap<String, Bytes> {
        let decoded = |(id, text): (&String, &String)| Some((id.clone(), Bytes::from(STANDARD.decode(text).ok()?)));
        self.files.iter().filter_map(decoded).collect()
    }

    /// Reads a file, if there is one.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let cannot = |why: &dyn std::fmt::Display| {
            let path = path.display();
            io::Error::other(format!("cannot read the state in `{path}`: {why}; move it away to start afresh"))
        };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot(&error)),
        };
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(&text).map_err(|error| cannot(&error))?;
        if version != VERSION {
            return Err(cannot(&format!("it has version {version}, and this simulator reads version {VERSION}")));
        }
        serde_json::from_slice(&text).map(Some).map_err(|error| cannot(&error))
    }

    /// Replaces a file as a whole, so that a reader finds either the old state or the new one.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let cannot = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot keep the state in `{}`: {error}", path.display()))
        };
        let text = serde_json::to_vec(self).map_err(|error| cannot(error.into()))?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = path.with_file_name(name);
        let done = write_new(&new, &text).and_then(|()| fs::rename(&new, path));
        if done.is_err() {
            let _ = fs::remove_file(&new);
        }
        done.map_err(cannot)
    }
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    // A process that died may have left a file with the number of this process.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// The file of a simulator, and whether it must be written.
#[derive(Debug)]
pub(crate) struct Keeper {
    path: Option<PathBuf>,
    woken: Notify,
    failed: AtomicBool,
    /// One writer at a time: an older state must not replace a newer one.
    writing: Mutex<()>,
}

impl Keeper {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, woken: Notify::new(), failed: AtomicBool::new(false), writing: Mutex::new(()) }
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.path.is_some()
    }

    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    pub(crate) fn is_first_failure(&self) -> bool {
        !self.failed.swap(true, Ordering::Relaxed)
    }

    /// Writes the file. Returns false if there is none.
    pub(crate) fn write(&self, kept: impl FnOnce() -> Kept) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        kept().write(path)?;
        Ok(true)
    }
}
