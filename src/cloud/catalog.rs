//! Calls about what the service offers: products, regions, versions.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::model::{Jwt, Meta, Product, Region, Versions};
use crate::error::{Error, Kind, Result};

impl Client {
    /// All products, or those of a kind: `cluster` or `storage`.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client) -> cratedb_test::Result<()> {
    /// for product in client.products(Some("cluster")).await? {
    ///     println!("{} {} {}", product.name, product.region, product.description);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn products(&self, kind: Option<&str>) -> Result<Vec<Product>> {
        let query: Vec<_> = kind.map(|kind| ("kind", kind.to_owned())).into_iter().collect();
        self.get(&["products"], &query).await
    }

    /// All regions that the caller may see.
    pub async fn regions(&self) -> Result<Vec<Region>> {
        self.get(&["regions"], &[]).await
    }

    /// The regions where an organization may deploy.
    pub async fn regions_of(&self, organization: &str) -> Result<Vec<Region>> {
        self.get(&["organizations", organization, "regions"], &[]).await
    }

    /// What the service says of itself.
    pub async fn meta(&self) -> Result<Meta> {
        self.get(&["meta"], &[]).await
    }

    /// The versions of CrateDB that can be deployed, the newest of each channel.
    pub async fn versions(&self) -> Result<Versions> {
        self.get(&["meta", "cratedb-versions"], &[]).await
    }

    /// The public keys with which CrateDB checks the tokens of [`jwt`](Self::jwt), as a JSON Web Key Set.
    pub async fn jwk(&self) -> Result<Value> {
        self.get(&["meta", "jwk"], &[]).await
    }

    /// A new token for an old one's [`refresh`](Jwt::refresh).
    pub async fn refresh_jwt(&self, refresh_token: &str) -> Result<Jwt> {
        self.send(Method::POST, &["meta", "jwt", "refresh"], &json!({ "refresh_token": refresh_token })).await
    }

    /// The newest version of CrateDB of a channel that can be deployed.
    pub(crate) async fn newest_version(&self, channel: &str) -> Result<String> {
        let versions = self.versions().await?.crate_versions;
        let release = match channel {
            "testing" => versions.testing,
            "nightly" => versions.nightly,
            _ => versions.stable,
        };
        if !release.version.is_empty() {
            return Ok(release.version);
        }
        let what = format!(
            "CrateDB Cloud at {} answered GET /api/v2/meta/cratedb-versions/ without a version of channel `{channel}`",
            self.endpoint()
        );
        Err(Error::new(Kind::Decode, what).hint("set CRATEDB_VERSION"))
    }
}
