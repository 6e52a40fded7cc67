//! Sets up a client.

use std::path::PathBuf;
use std::time::Duration;

use super::client::{Client, Home};
use crate::environment::{Access, Given, Sources, filled};
use crate::error::Result;
use crate::secret::Secret;

/// Sets up a [`Client`]; made by [`Client::builder`]. What it is not told comes from the environment, and an empty text
/// counts as not told.
#[derive(Clone, Debug)]
#[must_use = "nothing happens before build()"]
pub struct ClientBuilder {
    pub(crate) given: Given,
    pub(crate) region: Option<String>,
    pub(crate) environment: bool,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self { given: Given::default(), region: None, environment: true }
    }
}

impl ClientBuilder {
    /// The address of the API; beats `CRATEDB_CLOUD_ENDPOINT`. Default: `https://console.cratedb.cloud`, or what the profile
    /// says whose credentials are used.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.given.endpoint = filled(endpoint);
        self
    }

    /// An API key and its secret; beats all other credentials.
    pub fn api_key(mut self, key: impl Into<String>, secret: impl Into<String>) -> Self {
        let (key, secret) = (filled(key), filled(secret));
        // Half of a key is told when it is built; neither counts as not given.
        self.given.api_key = (key.is_some() || secret.is_some())
            .then(|| (key.unwrap_or_default(), Secret::new(secret.unwrap_or_default())));
        self
    }

    /// The token of a login, which nobody keeps: one that an answer replaces it by is known to this client only.
    pub fn session(mut self, token: impl Into<String>) -> Self {
        self.given.session = filled(token).map(Secret::new);
        self
    }

    /// The profile file to take the credentials from, without a look at `CRATEDB_CLOUD_API_KEY`.
    pub fn profile_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.given.profile_file = Some(path.into());
        self
    }

    /// What is sent as `X-Region`. Default: what the profile says whose credentials are used, else nothing.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = filled(region);
        self
    }

    /// How long one answer may take; beats `CRATEDB_CLOUD_TIMEOUT`. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.given.timeout = Some(timeout);
        self
    }

    /// The organization that [`Client::organization_id`] tells; beats `CRATEDB_CLOUD_ORGANIZATION_ID`.
    pub fn organization_id(mut self, id: impl Into<String>) -> Self {
        self.given.organization_id = filled(id);
        self
    }

    /// Whether the environment, `.env` and the profile file are read at all. Default: true.
    pub fn env(mut self, environment: bool) -> Self {
        self.environment = environment;
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When there are no credentials, when those there are belong to another endpoint, and when a variable, `.env` or the
    /// profile file can't be read.
    pub fn build(self) -> Result<Client> {
        let sources = if self.environment { Sources::of_program()? } else { Sources::none() };
        let mut access = Access::find(&self.given, &sources)?;
        let organization = self.given.organization_id.or_else(|| sources.get("CRATEDB_CLOUD_ORGANIZATION_ID"));
        access.organization_id = organization.or(access.organization_id);
        access.region = self.region.or(access.region);
        Client::new(access, Home::Background)
    }
}
