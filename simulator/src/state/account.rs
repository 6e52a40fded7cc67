//! Who and what is around the clusters: the user, organizations, projects and subscriptions.

use serde_json::{Value, json};

use super::catalog::REGION;
use super::checks::Problems;
use super::{Answer, Micros, State, stamp};

const EMAIL: &str = "ada@example.org";
/// The vendor's document allows word characters only.
const USER: &str = "ada";

/// An organization; the user is its admin.
#[derive(Clone, Debug)]
pub(super) struct Organization {
    pub(super) id: String,
    pub(super) name: String,
    created: Micros,
}

/// A project of an organization.
#[derive(Clone, Debug)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) organization_id: String,
    pub(super) region: String,
    created: Micros,
}

/// What pays for clusters.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) organization_id: String,
    created: Micros,
}

/// Everything of the account. The first organization is the user's own.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) organizations: Vec<Organization>,
    pub(super) projects: Vec<Project>,
    pub(super) subscriptions: Vec<Subscription>,
}

impl State {
    /// A new organization with one project.
    pub(crate) fn add_organization(&mut self, now: Micros, name: &str) -> String {
        let id = self.new_id();
        self.account.organizations.push(Organization { id: id.clone(), name: name.into(), created: now });
        self.add_project(now, &id, "simulator", REGION);
        id
    }

    pub(super) fn add_project(&mut self, now: Micros, organization: &str, name: &str, region: &str) -> String {
        let id = self.new_id();
        self.account.projects.push(Project {
            id: id.clone(),
            name: name.into(),
            organization_id: organization.into(),
            region: region.into(),
            created: now,
        });
        id
    }

    /// A new subscription of the first organization.
    pub(crate) fn add_subscription(&mut self, now: Micros) -> String {
        let id = self.new_id();
        let organization_id = self.first_organization();
        self.account.subscriptions.push(Subscription { id: id.clone(), organization_id, created: now });
        id
    }

    pub(crate) fn first_organization(&self) -> String {
        self.account.organizations.first().map(|organization| organization.id.clone()).unwrap_or_default()
    }

    pub(super) fn create_project(&mut self, now: Micros, body: &Value) -> Answer {
        let mut problems = Problems::of(body, &["name", "organization_id", "region", "backup_location"]);
        let name = problems.text(body, "name");
        let organization = problems.text(body, "organization_id");
        let region = problems.optional_text(body, "region").unwrap_or_default();
        if name.as_deref().is_some_and(|name| !is_project_name(name)) {
            problems.add("name", "String does not match expected pattern.");
        }
        problems.check_region(&region);
        let (Some(name), Some(organization)) = (name, organization) else { return problems.refuse() };
        if !self.account.organizations.iter().any(|known| known.id == organization) {
            problems.add("organization_id", "No such organization.");
        }
        if problems.any() {
            return problems.refuse();
        }
        let id = self.add_project(now, &organization, &name, &region);
        let made = self.account.projects.iter().find(|project| project.id == id);
        Answer::created(made.map(Project::show).unwrap_or_default())
    }
}

/// Word characters, `-` and space, beginning with a word character.
pub(super) fn is_project_name(name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    name.starts_with(word) && name.chars().all(|c| word(c) || c == '-' || c == ' ') && name.chars().count() <= 512
}

impl Account {
    pub(super) fn me(&self) -> Value {
        let role = |organization: &Organization| json!({ "organization_id": organization.id, "role_fqn": "org_admin" });
        json!({
            "uid": "0f6b7c52-6d2a-4f0e-9a59-0d4c1a7be001",
            "email": EMAIL,
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
            "plan_type": 3,
            "role_fqn": "org_admin",
            "email": EMAIL,
            "notifications_enabled": true,
            "project_count": projects.count(),
            "dc": stamp::dc(organization.created, organization.created),
        })
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
            "backup_location": null,
            "dc": stamp::dc(self.created, self.created),
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
            "provider": "contract",
            "plan": "contract",
            "offer": "contract",
            "billing_model": "usage",
            "promotion": {},
            "reference": "",
            "dc": stamp::dc(self.created, self.created),
        })
    }
}
