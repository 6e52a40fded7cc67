//! Stays the only keeper of a key, even if a cleaner of temporary files, or a person, removes its files.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::UnixListener;

use super::{Event, Keeper};
use crate::error::Result;
use crate::host::{DiskThread, KeyFiles, Lock, Locks};
use crate::wire::{Holder, PROTOCOL};

type Inode = (u64, u64);

/// The time that one look may take. On a disk that does not answer there is nothing to restore.
const LOOK: Duration = Duration::from_secs(1);

/// The files of this keeper, as they were when it took them.
pub(super) struct Alone {
    own: Inodes,
    /// Another keeper has taken the place of the journal.
    displaced: bool,
    disk: DiskThread,
}

#[derive(Clone, Copy)]
struct Inodes {
    socket: Option<Inode>,
    lifetime: Option<Inode>,
    journal: Option<Inode>,
}

impl Inodes {
    fn of(files: &KeyFiles) -> Self {
        Self { socket: inode_of(&files.socket), lifetime: inode_of(&files.lifetime), journal: inode_of(&files.journal) }
    }
}

impl Alone {
    pub(super) fn of(files: &KeyFiles) -> Self {
        Self { own: Inodes::of(files), displaced: false, disk: DiskThread::new() }
    }

    /// Returns whether the socket at the path is the one of this keeper.
    pub(super) fn has_socket(&self, files: &KeyFiles) -> bool {
        inode_of(&files.socket) == self.own.socket
    }
}

impl Keeper {
    /// Restores files that are gone. Returns the new socket, if that was gone.
    ///
    /// The journal decides: the keeper is the process that has the lock of the journal at the path. Another keeper
    /// releases its cluster and ends, since each of two would release the cluster under the tests of the other.
    pub(super) fn look_after_files(&mut self, alone: &mut Alone) -> Option<UnixListener> {
        if alone.displaced {
            return None;
        }
        let files = self.files.clone();
        let now = alone.disk.run(LOOK, move || Inodes::of(&files))?;
        if now.journal != alone.own.journal {
            match self.journal_again() {
                Ok(true) => alone.own.journal = inode_of(&self.files.journal),
                Ok(false) => {
                    tracing::error!("the journal was removed, and another keeper has its place; releasing");
                    alone.displaced = true;
                    self.feed(Event::Term);
                    return None;
                }
                Err(error) => tracing::error!(%error, "the journal was removed"),
            }
        }
        if now.lifetime != alone.own.lifetime
            // A process that is about to find that the journal has its keeper may hold it for a moment.
            && let Ok(Some(held)) = Locks::take().try_lock_again(&self.files.lifetime)
        {
            tracing::warn!("the lock was removed; taking it again");
            keep_lifetime(held, &self.files);
            alone.own.lifetime = inode_of(&self.files.lifetime);
        }
        if now.socket == alone.own.socket {
            return None;
        }
        let again = bind_again(&self.files)?;
        alone.own.socket = inode_of(&self.files.socket);
        Some(again)
    }

    /// Writes the record into the journal that is at the path now. Returns false if another keeper has it.
    fn journal_again(&self) -> Result<bool> {
        let Some(held) = Locks::take().try_lock_again(&self.files.journal)? else { return Ok(false) };
        std::mem::forget(held);
        self.journal.write_again(&self.files.journal).map(|()| true)
    }
}

/// Takes the lock that says "this resource has its keeper", for life. Returns false if another process holds it.
pub(super) fn hold_lifetime(files: &KeyFiles) -> bool {
    // The client that started this keeper looked whether the lock is free, and may still be looking.
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

/// Takes the journal for life, too. Returns false if another keeper has it.
///
/// A cleaner of temporary files may have removed the lock of a keeper that lives; a process that knows it by that lock
/// alone would become a second keeper. The first one binds its socket again within a second.
pub(super) fn hold_journal(files: &KeyFiles) -> bool {
    // A predecessor that ends releases the one lock a moment before the other. Not `wait::until`: no runtime is there
    // yet.
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
            // Opening the journal says what is wrong with it.
            Err(_) => return true,
        }
    }
}

/// Writes into the lock where its holder is found, and keeps it until the process ends.
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

/// Returns what identifies the file at a path. Without a file, or with another one, the path is not ours any more.
fn inode_of(path: &Path) -> Option<Inode> {
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Binds the socket again. No other process binds while the lifetime lock is held, so what is at the path has no owner.
fn bind_again(files: &KeyFiles) -> Option<UnixListener> {
    tracing::warn!(socket = %files.socket.display(), "the socket was removed; binding it again");
    let _ = files.socket.parent().map(std::fs::create_dir_all);
    let _ = std::fs::remove_file(&files.socket);
    UnixListener::bind(&files.socket).inspect_err(|error| tracing::error!(%error, "it can't be bound")).ok()
}
