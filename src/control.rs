//! What the command line needs of sessions: who holds what, holding and ending sessions by name, repairing what killed
//! keepers left; and of the cache. Hidden like everything here: it changes without notice.
//!
//! All functions that are not async block; none of those must be called on the runtime of an async program. An unknown selector is an error of which
//! [`is_unknown`] is true.

#[cfg(feature = "process")]
mod cache;
mod finish;
mod hold;
#[cfg(feature = "cloud")]
mod kept;
mod status;
mod sweep;

#[cfg(feature = "process")]
pub use cache::{Cached, Fetched, Pruned, cached, fetch_release, prune_cache};
pub use finish::{Finished, finish};
pub use hold::{HeldSession, hold, hold_with};
#[cfg(feature = "cloud")]
pub use kept::{Kept, drop_kept, kept};
pub use status::{KeyStatus, Policies, Process, SessionStatus, TestStatus, is_unknown, keys, log_path};
pub use sweep::{Swept, sweep};

pub use crate::wire::ClusterOutcome;
