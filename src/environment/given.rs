//! What code gives; it beats every variable.

use std::path::PathBuf;
use std::time::Duration;

use super::target::DeployPolicy;
use crate::secret::Secret;

/// Settings of a builder. Empty texts are never kept: they count as not given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) url: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) api_key: Option<(String, Secret)>,
    pub(crate) session: Option<Secret>,
    pub(crate) profile_file: Option<PathBuf>,
    /// How long one answer of the API may take.
    pub(crate) timeout: Option<Duration>,
    pub(crate) organization_id: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) subscription_id: Option<String>,
    pub(crate) product: Option<String>,
    pub(crate) product_unit: Option<u32>,
    pub(crate) tier: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) deploy: Option<DeployPolicy>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// A text that says something.
pub(crate) fn filled(text: impl Into<String>) -> Option<String> {
    let text: String = text.into();
    let trimmed = text.trim();
    match trimmed.len() {
        0 => None,
        all if all == text.len() => Some(text),
        _ => Some(trimmed.to_owned()),
    }
}
