//! Reads which cluster and which credentials to use from code, the environment, `.env` files and `croud`'s profile
//! file.
//!
//! The harness, which has further settings, and the SDK share this module.

mod access;
mod given;
#[cfg(feature = "cloud")]
mod profile;
mod sources;

pub(crate) use access::{Access, no_credentials};
pub(crate) use given::{Address, Given, Server, address, cloud_target, filled, server};
#[cfg(feature = "cloud")]
pub use profile::{Profile, ProfileFile};
pub(crate) use sources::{Sources, http_url, percent_decoded, unreadable};

/// The default endpoint of CrateDB Cloud.
pub(crate) const CLOUD_ENDPOINT: &str = "https://console.cratedb.cloud";
