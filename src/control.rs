//! The functions of the command line: show, hold and end sessions, repair what killed keepers left, manage the cache,
//! and examine what a test run would use. The module is hidden and may change without notice.
//!
//! Functions that are not async block, so they must not be called on the runtime of an async program. For an unknown
//! selector they return an error for which [`is_unknown`] is true.

#[cfg(feature = "process")]
mod cache;
mod doctor;
mod finish;
mod hold;
#[cfg(feature = "cloud")]
mod kept;
pub mod report;
mod standing;
mod status;
mod sweep;

#[cfg(feature = "process")]
pub use cache::{Cached, Fetched, Pruned, cached, fetch_release, prune_cache};
pub use doctor::{CredentialsSeen, Directory, Examination, Problem, SettingSeen, examine};
pub use finish::{Finished, finish};
pub use hold::{Acquisition, HeldSession, hold};
#[cfg(feature = "cloud")]
pub use kept::{Kept, drop_kept, kept};
pub use standing::{Raising, Standing, Wish, standing, take_down};
pub use status::{KeyStatus, Policies, Process, SessionStatus, TestStatus, is_unknown, keys, local_server, log_path};
pub use sweep::{Swept, sweep};

pub use crate::provider::{EngineSeen, Foreseen};
pub use crate::wire::ClusterOutcome;
