//! Users and their keys, organizations, projects, subscriptions, quotas.

use serde_json::Value;

use super::Dates;
use super::model;
use crate::secret::Secret;

model! {
    /// The owner of the credentials.
    pub struct User {
        /// A UUID.
        pub uid: String,
        /// The e-mail address.
        pub email: String,
        /// The name used to log in.
        pub username: String,
        /// The display name.
        pub name: String,
        /// The identity provider: `cognito`, `azuread`, `github`, `google`.
        pub idp: String,
        /// Such as `active`.
        pub status: String,
        /// True for operators of the service.
        pub is_superuser: bool,
        /// The user's organization. The service calls this field deprecated, but its own tools depend on it.
        pub organization_id: String,
        /// The roles in organizations.
        pub organization_roles: Vec<RoleIn>,
        /// The roles in projects.
        pub project_roles: Vec<RoleIn>,
        /// The address of a picture.
        pub picture: Option<String>,
    }

    /// A role in an organization or in a project.
    pub struct RoleIn {
        /// Set for a role in an organization.
        pub organization_id: Option<String>,
        /// Set for a role in a project.
        pub project_id: Option<String>,
        /// `org_admin`, `org_member`, `project_admin` or `project_member`.
        pub role_fqn: String,
    }

    /// A key of the API, with which programs act on behalf of its owner.
    pub struct ApiKey {
        /// The key itself, which identifies it and is not secret.
        pub key: String,
        /// Its owner.
        pub user_id: String,
        /// False if the key is deactivated.
        pub active: bool,
        /// When it was last used. A key that is unused for 90 days is deleted.
        pub last_used: Option<String>,
        /// Returned only once, when the key is created.
        #[serde(skip_serializing)]
        pub(crate) secret: Secret,
        /// When it was created.
        pub dc: Dates,
    }

    /// An organization, which has users, projects and subscriptions.
    pub struct Organization {
        /// A UUID.
        pub id: String,
        /// The display name.
        pub name: String,
        /// 1 to 6.
        pub plan_type: Option<u32>,
        /// The caller's role there: `org_admin`, `org_member`, `project_admin` or `project_member`.
        pub role_fqn: String,
        /// The address for notifications.
        pub email: Option<String>,
        /// True if notifications are sent.
        pub notifications_enabled: bool,
        /// The number of projects.
        pub project_count: u32,
        /// When it was created and changed.
        pub dc: Dates,
    }

    /// A project, which groups clusters of an organization.
    pub struct Project {
        /// A UUID.
        pub id: String,
        /// Word characters, `-` and spaces.
        pub name: String,
        /// The organization that it belongs to.
        pub organization_id: String,
        /// The region of its clusters.
        pub region: String,
        /// The place for its backups, if it is not the service's own.
        pub backup_location: Value,
        /// When it was created and changed.
        pub dc: Dates,
    }

    /// A subscription, which pays for clusters.
    pub struct Subscription {
        /// Any text, not necessarily a UUID.
        pub id: String,
        /// The display name.
        pub name: String,
        /// The organization that it belongs to.
        pub organization_id: String,
        /// Such as `active`.
        pub state: String,
        /// False for a cancelled one.
        pub active: Option<bool>,
        /// `azure`, `aws`, `cloud`, `contract`, ….
        pub provider: String,
        /// The plan with that provider.
        pub plan: Option<String>,
        /// The offer with that provider.
        pub offer: Option<String>,
        /// The billing model.
        pub billing_model: Option<String>,
        /// The promotion that applies.
        pub promotion: Value,
        /// The provider's own id for it.
        pub reference: Option<String>,
        /// When it was created and changed.
        pub dc: Dates,
    }

    /// A limit of an organization, and how much of it is used.
    pub struct Quota {
        /// The limited quantity.
        pub code: String,
        /// The amount used.
        pub current_value: f64,
        /// The limit.
        pub quota: f64,
    }
}

impl ApiKey {
    /// Returns the secret of the key, which the service returns only once, when the key is created.
    pub fn secret(&self) -> Option<&str> {
        Some(self.secret.expose()).filter(|secret| !secret.is_empty())
    }
}
