//! The machine as both programs need it: processes, locks, directories, and a line for the person at the terminal.
//!
//! Test processes and keepers use this module, which knows nothing of either.

mod directories;
mod hash;
mod lock;
mod places;
pub(crate) mod platform;
pub(crate) mod process;

use std::io::Write as _;

#[cfg_attr(not(feature = "process"), allow(unused_imports))]
pub(crate) use self::directories::{closed_to_others, free_space, make_with_mode, paths_in, user_cache, writable};
pub(crate) use self::hash::fnv64;
pub(crate) use self::lock::{Lock, Locks};
pub(crate) use self::places::{DIR_VARIABLE, KeyFiles, Places};
pub(crate) use self::platform::{initial_environment, own_program};

/// Writes a line to standard error, past libtest, which captures only what the print macros write.
pub(crate) fn say(text: &str) {
    // One write, so that lines of several processes don't mix. A closed descriptor is no reason to fail a test.
    let _ = std::io::stderr().write_all(format!("cratedb-test: {text}\n").as_bytes());
}
