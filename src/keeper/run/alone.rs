//! Staying the only keeper of a key, although somebody may remove its files: a cleaner of temporary files, or people.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio::net::UnixListener;

use super::{Event, Keeper};
use crate::error::Result;
use crate::host::KeyFiles;
use crate::host::{Lock, Locks};
use crate::keeper::journal::Journal;
use crate::wire::Holder;
use crate::wire::PROTOCOL;

type Inode = (u64, u64);

/// The files that are ours, as they were when we took them.
pub(super) struct Alone {
    socket: Option<Inode>,
    lifetime: Option<Inode>,
    journal: Option<Inode>,
    /// Another keeper has the journal's place.
    displaced: bool,
}

impl Alone {
    pub(super) fn of(files: &KeyFiles) -> Self {
        Self {
            socket: inode_of(&files.socket),
            lifetime: inode_of(&files.lifetime),
            journal: inode_of(&files.journal),
            displaced: false,
        }
    }

    /// Whether the socket that lies there is ours.
    pub(super) fn has_socket(&self, files: &KeyFiles) -> bool {
        inode_of(&files.socket) == self.socket
    }
}

impl Keeper {
    /// Puts back what is gone; a new socket if that is. The journal decides: whoever has the lock of the one that lies
    /// there is the keeper, and another one lets go and ends, since two would let go under each other.
    pub(super) fn look_after_files(&mut self, alone: &mut Alone) -> Option<UnixListener> {
        if alone.displaced {
            return None;
        }
        if inode_of(&self.files.journal) != alone.journal {
            match self.journal_again() {
                Ok(true) => alone.journal = inode_of(&self.files.journal),
                Ok(false) => {
                    tracing::error!("somebody removed the journal, and another keeper has its place; letting go");
                    alone.displaced = true;
                    self.feed(Event::Term);
                    return None;
                }
                Err(error) => tracing::error!(%error, "somebody removed the journal"),
            }
        }
        if inode_of(&self.files.lifetime) != alone.lifetime
            // Somebody who is about to find that the journal has its keeper may have it for a moment.
            && let Ok(Some(held)) = Locks::take().try_lock_again(&self.files.lifetime)
        {
            tracing::warn!("somebody removed the lock; taking it again");
            keep_lifetime(held, &self.files);
            alone.lifetime = inode_of(&self.files.lifetime);
        }
        if alone.has_socket(&self.files) {
            return None;
        }
        let again = bind_again(&self.files)?;
        alone.socket = inode_of(&self.files.socket);
        Some(again)
    }

    /// Writes the record into the journal that lies there now; false if another keeper has it.
    fn journal_again(&self) -> Result<bool> {
        let Some(held) = Locks::take().try_lock_again(&self.files.journal)? else { return Ok(false) };
        std::mem::forget(held);
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(known) = &*journal else { return Ok(true) };
        let record = known.record.clone();
        let mut again = Journal::open(&self.files.journal, "")?;
        again.write_synced(|new| *new = record)?;
        tracing::warn!("somebody removed the journal; it is written again");
        *journal = Ok(again);
        Ok(true)
    }
}

/// Takes the lock that says "this resource has its keeper", for life.
pub(super) fn hold_lifetime(files: &KeyFiles) -> bool {
    // Whoever started this keeper looked that the lock is free; it may be looking still.
    let deadline = Instant::now() + Duration::from_secs(1);
    match Locks::take().lock(&files.lifetime, deadline) {
        Ok(held) => {
            keep_lifetime(held, files);
            true
        }
        Err(error) => {
            tracing::error!(%error, "another keeper lives");
            false
        }
    }
}

/// Takes the journal for life too: a cleaner of temporary files may have removed the lock of a keeper that lives, and
/// whoever looks for it by that lock alone becomes a second one. The first binds its socket again within a second.
pub(super) fn hold_journal(files: &KeyFiles) -> bool {
    // A predecessor that ends lets go of the one lock a moment before the other.
    let deadline = Instant::now() + Duration::from_millis(200);
    loop {
        match Locks::take().try_lock(&files.journal) {
            Ok(Some(held)) => {
                std::mem::forget(held);
                return true;
            }
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            Ok(None) => {
                tracing::error!("another keeper lives, and its lock file is gone");
                return false;
            }
            // What is wrong with the journal is said when it is opened.
            Err(_) => return true,
        }
    }
}

/// Says in the lock where its holder is found, and never lets go of it.
fn keep_lifetime(held: Lock, files: &KeyFiles) {
    let holder = Holder {
        pid: std::process::id(),
        protocol: PROTOCOL,
        socket: files.socket.clone(),
        journal: files.journal.clone(),
    };
    held.write(&serde_json::to_string(&holder).unwrap_or_default());
    std::mem::forget(held);
}

/// A path without a file, or with another one, is not ours any more.
fn inode_of(path: &Path) -> Option<Inode> {
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Nobody else binds while the lifetime lock is held, so what lies at the path is nobody's.
fn bind_again(files: &KeyFiles) -> Option<UnixListener> {
    tracing::warn!(socket = %files.socket.display(), "somebody removed the socket; binding it again");
    let _ = files.socket.parent().map(std::fs::create_dir_all);
    let _ = std::fs::remove_file(&files.socket);
    UnixListener::bind(&files.socket).inspect_err(|error| tracing::error!(%error, "it can't be bound")).ok()
}
