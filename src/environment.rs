//! What the environment says: where settings come from, which forms they have, and which cluster and whose credentials
//! they mean. Shared by tests, which add policies of their own, and by programs that use the SDK.

mod access;
mod address;
mod given;
#[cfg(feature = "cloud")]
mod profile;
mod sources;
mod values;

pub(crate) use access::{Access, no_credentials};
pub(crate) use address::{Address, Server, address, server};
pub(crate) use given::{Given, cloud_target, filled};
#[cfg(feature = "cloud")]
pub use profile::{Profile, ProfileFile};
pub(crate) use sources::Sources;
pub(crate) use values::{http_url, percent_decoded, unreadable};

/// Where CrateDB Cloud is, unless something else is said.
pub(crate) const CLOUD_ENDPOINT: &str = "https://console.cratedb.cloud";
