//! Who and what is around the clusters: the user, organizations, projects and subscriptions, and how they are shown.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checks::Problems;
use super::{Answer, Micros, State, stamp};

const EMAIL: &str = "ada@example.org";
/// The vendor's document allows word characters only.
const USER: &str = "ada";
pub(super) const USER_ID: &str = "0f6b7c52-6d2a-4f0e-9a59-0d4c1a7be001";
const MAIL_SENT: &str =
    "A confirmation email was sent. Please follow its instructions to verify your new email address.";

/// An organization; the user is its admin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Organization {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) plan_type: i64,
    pub(super) email: String,
    pub(super) notifications: bool,
    pub(super) created: Micros,
    pub(super) modified: Micros,
}

/// A project of an organization.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) organization_id: String,
    pub(super) region: String,
    /// Without its credentials.
    pub(super) backup_location: Option<Value>,
    pub(super) created: Micros,
    pub(super) modified: Micros,
}

/// What pays for clusters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) organization_id: String,
    pub(super) provider: String,
    pub(super) created: Micros,
}

/// Everything of the account. The first organization is the user's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) email: String,
    pub(super) organizations: Vec<Organization>,
    pub(super) projects: Vec<Project>,
    pub(super) subscriptions: Vec<Subscription>,
}

impl Default for Account {
    fn default() -> Self {
        Self { email: EMAIL.into(), organizations: Vec::new(), projects: Vec::new(), subscriptions: Vec::new() }
    }
}

impl Account {
    pub(super) fn me(&self) -> Value {
        let role = |organization: &Organization| json!({ "organization_id": organization.id, "role_fqn": "org_admin" });
        json!({
            "uid": USER_ID,
            "email": self.email,
            "username": USER,
            "name": "Ada",
            "idp": "cognito",
            "status": "active",
            "is_superuser": false,
            "organization_id": self.organizations.first().map(|organization| &organization.id),
            "organization_roles": self.organizations.iter().map(role).collect::<Vec<_>>(),
            "project_roles": [],
            "hmac": "0000000000000000000000000000000000000000000000000000000000000000",
            "picture": USER,
        })
    }

    pub(super) fn show_organization(&self, organization: &Organization) -> Value {
        let projects = self.projects.iter().filter(|project| project.organization_id == organization.id);
        json!({
            "id": organization.id,
            "name": organization.name,
            "plan_type": organization.plan_type,
            "role_fqn": "org_admin",
            "email": organization.email,
            "notifications_enabled": organization.notifications,
            "project_count": projects.count(),
            "dc": stamp::dc(organization.created, organization.modified),
        })
    }
}

impl State {
    pub(crate) fn first_organization(&self) -> String {
        self.account.organizations.first().map(|organization| organization.id.clone()).unwrap_or_default()
    }

    /// The service sends a mail and waits for its link to be opened; here it counts as opened at once.
    pub(super) fn edit_me(&mut self, body: &Value) -> Answer {
        let mut problems = Problems::of(body, &["email"]);
        let email = problems.text(body, "email");
        check_email(email.as_deref(), &mut problems);
        let (Some(email), false) = (email, problems.any()) else { return problems.refuse() };
        if email == self.account.email {
            return Answer::ok(self.account.me());
        }
        self.account.email = email;
        Answer { status: 202, body: Some(json!({ "success": true, "status": "pending", "message": MAIL_SENT })) }
    }

    pub(super) fn organization(&self, id: &str) -> Option<&Organization> {
        self.account.organizations.iter().find(|organization| organization.id == id)
    }

    pub(super) fn project(&self, id: &str) -> Option<&Project> {
        self.account.projects.iter().find(|project| project.id == id)
    }
}

/// Something before and after one `@`, without spaces.
pub(super) fn check_email(email: Option<&str>, problems: &mut Problems) {
    let fits = |email: &str| {
        let parts = email.split_once('@');
        parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
            && !email.contains(char::is_whitespace)
    };
    if email.is_some_and(|email| !fits(email)) {
        problems.add("email", "Not a valid email address.");
    }
}

impl Project {
    pub(super) fn show(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "organization_id": self.organization_id,
            "region": self.region,
            // `ctk` reads this without a default: it must be there.
            "backup_location": self.backup_location,
            "dc": stamp::dc(self.created, self.modified),
        })
    }
}

impl Subscription {
    pub(super) fn show(&self) -> Value {
        json!({
            "id": self.id,
            "name": "Simulated contract",
            "organization_id": self.organization_id,
            "state": "active",
            "active": true,
            "provider": self.provider,
            "plan": self.provider,
            "offer": self.provider,
            "billing_model": "usage",
            "promotion": {},
            "reference": "",
            "dc": stamp::dc(self.created, self.created),
        })
    }
}
