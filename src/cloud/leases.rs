//! The leases of those who use a cluster: keepers of several machines, and programs. The last one suspends it.

mod closing;
mod door;
mod gate;
mod table;
mod view;

pub(crate) use closing::{Closed, Condition, Verdict, begin, close, examine, reopen};
pub(crate) use door::{Departure, Door, Entry, Exit, Site};
pub(crate) use gate::{AtEnd, Memory};
pub(crate) use table::LeaseTable;
pub use view::{LeaseInfo, Leases, LeasesState};
