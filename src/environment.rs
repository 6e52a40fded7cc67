//! Reads which cluster and which credentials to use from code, the environment, `.env` files and `croud`'s profile
//! file.
//!
//! The harness, which has further settings, and the SDK share this module.

mod access;
mod address;
mod dotenv;
mod file;
mod given;
#[cfg(feature = "cloud")]
mod profile;
mod project;
mod setting;
mod sources;

pub(crate) use access::{Access, named_endpoint, no_credentials};
pub(crate) use address::{http_url, percent_decoded};
pub(crate) use given::{Address, Given, Server, address, cloud_target, filled, server};
#[cfg(feature = "cloud")]
pub use profile::{Profile, ProfileFile};
pub(crate) use project::{Package, project_of};
pub(crate) use setting::{Remarks, Setting, is_private, mirror_is_safe};
pub(crate) use sources::{Source, Sources, unreadable};

/// The default endpoint of CrateDB Cloud.
pub(crate) const CLOUD_ENDPOINT: &str = "https://console.cratedb.cloud";
