//! The machine: processes, locks, directories, and messages on standard error.
//!
//! Test processes and keepers share this module, which depends on neither.

mod directories;
mod disk;
#[cfg(test)]
pub(crate) mod executable;
mod hash;
mod lock;
mod places;
pub(crate) mod platform;
pub(crate) mod process;

use std::io::Write as _;

#[cfg_attr(not(feature = "process"), allow(unused_imports))]
pub(crate) use self::directories::{
    closed_to_others, free_space, make_with_mode, paths_in, private_file, user_cache, writable,
};
pub(crate) use self::disk::{DiskThread, open_regular};
pub(crate) use self::hash::{fnv64, short_hash};
pub(crate) use self::lock::{Lock, Locks};
pub(crate) use self::places::{DIR_VARIABLE, KeyFiles, Places};
pub(crate) use self::platform::{initial_environment, own_file, own_loader, own_program};
use crate::foreign;

/// Writes a line to standard error. libtest does not capture it, as it does the output of the print macros. The text
/// may quote a server.
pub(crate) fn say(text: &str) {
    // One write, so that lines of several processes don't mix. Errors are ignored: a closed descriptor must not fail a
    // test.
    let _ = std::io::stderr().write_all(format!("cratedb-test: {}\n", foreign::block(text)).as_bytes());
}
