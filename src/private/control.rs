//! What the command line needs of sessions: who holds what, holding and ending sessions by name, and repairing what killed
//! keepers left. Hidden like everything here: it changes without notice.
//!
//! All functions that are not async block; none of those must be called on the runtime of an async program. An unknown selector is an error of which
//! [`is_unknown`] is true.

mod finish;
mod hold;
#[cfg(feature = "cloud")]
mod kept;
mod status;
mod sweep;

pub use finish::{Finished, finish};
pub use hold::{Held, hold, hold_with};
#[cfg(feature = "cloud")]
pub use kept::{Kept, drop_kept, kept};
pub use status::{KeyStatus, Policies, Process, SessionStatus, TestStatus, is_unknown, keys, log_path};
pub use sweep::{Swept, sweep};
