//! The leases of those who use a cluster: keepers of several machines, and programs. The last one suspends it.

mod door;
mod gate;
mod table;

pub(crate) use door::{Departure, Door, Entry, Exit, Site};
pub(crate) use gate::{AtEnd, Memory};
pub(crate) use table::LeaseTable;
