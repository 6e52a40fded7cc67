//! Calls about an account: users and their keys, organizations, projects, subscriptions, quotas.

use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::model::{ApiKey, Organization, Project, Quota, Subscription, User};
use crate::error::Result;
use crate::secret::Secret;

/// Users and their API keys.
impl Client {
    /// The owner of the credentials.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client) -> cratedb_test::Result<()> {
    /// println!("{}", client.me().await?.email);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn me(&self) -> Result<User> {
        self.get(&["users", "me"], &[]).await
    }

    /// Asks for another e-mail address, which is confirmed by mail.
    pub async fn change_email(&self, email: &str) -> Result<()> {
        let body = json!({ "email": email });
        self.send::<serde_json::Value>(Method::PATCH, &["users", "me"], &body).await.map(drop)
    }

    /// The caller's API keys, without their secrets.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        self.get(&["users", "me", "api-keys"], &[]).await
    }

    /// Makes an API key for the caller. Its [secret](ApiKey::secret) is told this once.
    pub async fn create_api_key(&self) -> Result<ApiKey> {
        /// The specification nests the key and has the secret beside it; `croud` reads a flat answer.
        #[derive(serde::Deserialize)]
        struct Made {
            #[serde(default)]
            key: serde_json::Value,
            #[serde(default)]
            secret: Secret,
            #[serde(flatten)]
            rest: serde_json::Map<String, serde_json::Value>,
        }
        let made: Made = self.send(Method::POST, &["users", "me", "api-keys"], &json!({})).await?;
        let object = match made.key {
            nested @ serde_json::Value::Object(_) => nested,
            key => {
                let mut flat = made.rest;
                flat.insert("key".to_owned(), key);
                serde_json::Value::Object(flat)
            }
        };
        let key: ApiKey = serde_json::from_value(object).unwrap_or_default();
        if key.key.is_empty() {
            let strange = self.strange(&Method::POST, "/api/v2/users/me/api-keys/");
            return Err(strange.because("no key is in it").hint("`api_keys` tells whether one was made"));
        }
        Ok(if made.secret.expose().is_empty() { key } else { ApiKey { secret: made.secret, ..key } })
    }

    /// Lets an API key be used, or not.
    pub async fn set_api_key_active(&self, key: &str, active: bool) -> Result<ApiKey> {
        self.send(Method::PATCH, &["users", "me", "api-keys", key], &json!({ "active": active })).await
    }

    /// Removes an API key.
    pub async fn delete_api_key(&self, key: &str) -> Result<()> {
        self.delete(&["users", "me", "api-keys", key]).await
    }
}

/// Organizations.
impl Client {
    /// The organizations that the caller belongs to.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client) -> cratedb_test::Result<()> {
    /// for organization in client.organizations().await? {
    ///     println!("{} {}", organization.id, organization.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn organizations(&self) -> Result<Vec<Organization>> {
        self.get(&["organizations"], &[]).await
    }

    /// One organization.
    pub async fn organization(&self, id: &str) -> Result<Organization> {
        self.get(&["organizations", id], &[]).await
    }

    /// Makes an organization.
    pub async fn create_organization(&self, name: &str) -> Result<Organization> {
        self.send(Method::POST, &["organizations"], &json!({ "name": name })).await
    }

    /// Renames an organization.
    pub async fn rename_organization(&self, id: &str, name: &str) -> Result<Organization> {
        self.send(Method::PUT, &["organizations", id], &json!({ "name": name })).await
    }

    /// Removes an organization.
    pub async fn delete_organization(&self, id: &str) -> Result<()> {
        self.delete(&["organizations", id]).await
    }

    /// The limits of an organization, and how far they are used.
    pub async fn quotas(&self, organization: &str) -> Result<Vec<Quota>> {
        self.get(&["organizations", organization, "quotas"], &[]).await
    }
}

/// Projects.
impl Client {
    /// All projects that the caller may see.
    pub async fn projects(&self) -> Result<Vec<Project>> {
        self.get(&["projects"], &[]).await
    }

    /// The projects of an organization.
    pub async fn projects_of(&self, organization: &str) -> Result<Vec<Project>> {
        self.get(&["organizations", organization, "projects"], &[]).await
    }

    /// One project.
    pub async fn project(&self, id: &str) -> Result<Project> {
        self.get(&["projects", id], &[]).await
    }

    /// Makes a project; without a region, where the service likes.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client, organization: &str) -> cratedb_test::Result<()> {
    /// let project = client.create_project(organization, "ci", Some("eks1.eu-west-1.aws")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_project(&self, organization: &str, name: &str, region: Option<&str>) -> Result<Project> {
        let mut body = json!({ "name": name, "organization_id": organization });
        if let Some(region) = region {
            body["region"] = region.into();
        }
        self.send(Method::POST, &["projects"], &body).await
    }

    /// Renames a project.
    pub async fn rename_project(&self, id: &str, name: &str) -> Result<Project> {
        self.send(Method::PATCH, &["projects", id], &json!({ "name": name })).await
    }

    /// Removes a project.
    pub async fn delete_project(&self, id: &str) -> Result<()> {
        self.delete(&["projects", id]).await
    }
}

/// Subscriptions.
impl Client {
    /// All subscriptions that the caller may see.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>> {
        self.get(&["subscriptions"], &[]).await
    }

    /// The subscriptions of an organization.
    pub async fn subscriptions_of(&self, organization: &str) -> Result<Vec<Subscription>> {
        self.get(&["organizations", organization, "subscriptions"], &[]).await
    }

    /// One subscription.
    pub async fn subscription(&self, id: &str) -> Result<Subscription> {
        self.get(&["subscriptions", id], &[]).await
    }

    /// Cancels a subscription, which deletes its clusters with their data.
    pub async fn cancel_subscription(&self, id: &str) -> Result<()> {
        self.delete(&["subscriptions", id]).await
    }
}
