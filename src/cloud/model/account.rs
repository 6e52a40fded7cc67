//! Who there is: users and their keys, organizations, projects, subscriptions, quotas.

use serde_json::Value;

use super::cluster::Dates;
use super::model;
use crate::secret::Secret;

model! {
    /// The owner of the credentials.
    pub struct User {
        /// A UUID.
        pub uid: String,
        /// Where mail reaches them.
        pub email: String,
        /// The name they log in with.
        pub username: String,
        /// For people.
        pub name: String,
        /// Who vouches for them: `cognito`, `azuread`, `github`, `google`.
        pub idp: String,
        /// Such as `active`.
        pub status: String,
        /// Whether they work for the service.
        pub is_superuser: bool,
        /// Their organization; the service calls it deprecated, and its own tools depend on it.
        pub organization_id: String,
        /// What they may do in which organization.
        pub organization_roles: Vec<RoleIn>,
        /// What they may do in which project.
        pub project_roles: Vec<RoleIn>,
        /// A picture's address.
        pub picture: Option<String>,
    }

    /// A role in an organization or in a project.
    pub struct RoleIn {
        /// Of roles in an organization.
        pub organization_id: Option<String>,
        /// Of roles in a project.
        pub project_id: Option<String>,
        /// `org_admin`, `org_member`, `project_admin` or `project_member`.
        pub role_fqn: String,
    }

    /// A key of the API, with which programs act as its owner.
    pub struct ApiKey {
        /// The key itself, which names it and is no secret.
        pub key: String,
        /// Its owner.
        pub user_id: String,
        /// Whether it may be used.
        pub active: bool,
        /// When it was last used; a key that nobody uses for 90 days is removed.
        pub last_used: Option<String>,
        /// Told once, when the key is made.
        #[serde(skip_serializing)]
        pub(crate) secret: Secret,
        /// When it was made.
        pub dc: Dates,
    }

    /// An organization: who belongs together and who pays.
    pub struct Organization {
        /// A UUID.
        pub id: String,
        /// For people.
        pub name: String,
        /// 1 to 6.
        pub plan_type: Option<u32>,
        /// What the asking user may do there: `org_admin`, `org_member`, `project_admin` or `project_member`.
        pub role_fqn: String,
        /// Where notifications go.
        pub email: Option<String>,
        /// Whether there are notifications.
        pub notifications_enabled: bool,
        /// How many projects it has.
        pub project_count: u32,
        /// When it was made and changed.
        pub dc: Dates,
    }

    /// A project: some clusters of an organization.
    pub struct Project {
        /// A UUID.
        pub id: String,
        /// Word characters, `-` and spaces.
        pub name: String,
        /// The organization that it belongs to.
        pub organization_id: String,
        /// Where its clusters are.
        pub region: String,
        /// Where its backups go, if not to the service's own place.
        pub backup_location: Value,
        /// When it was made and changed.
        pub dc: Dates,
    }

    /// What pays for clusters.
    pub struct Subscription {
        /// Any text, not only a UUID.
        pub id: String,
        /// For people.
        pub name: String,
        /// The organization that it belongs to.
        pub organization_id: String,
        /// Such as `active`.
        pub state: String,
        /// False for one that was cancelled.
        pub active: Option<bool>,
        /// `azure`, `aws`, `cloud`, `contract`, ….
        pub provider: String,
        /// The plan with that provider.
        pub plan: Option<String>,
        /// The offer with that provider.
        pub offer: Option<String>,
        /// How it is billed.
        pub billing_model: Option<String>,
        /// A promotion that applies.
        pub promotion: Value,
        /// The provider's own id for it.
        pub reference: Option<String>,
        /// When it was made and changed.
        pub dc: Dates,
    }

    /// A limit of an organization, and how far it is used.
    pub struct Quota {
        /// What is limited.
        pub code: String,
        /// How much of it is used.
        pub current_value: f64,
        /// How much may be used.
        pub quota: f64,
    }
}

impl ApiKey {
    /// The secret that goes with the key: told once, when the key is made.
    pub fn secret(&self) -> Option<&str> {
        Some(self.secret.expose()).filter(|secret| !secret.is_empty())
    }
}
