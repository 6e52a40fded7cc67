//! The account around the clusters: user, organizations, projects and subscriptions, and their JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::catalog::REGION;
use super::checks::Problems;
use super::{ApiAnswer, Event, Happening, Micros, State, stamp};

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
    /// The backup location of a project, without its credentials.
    pub(super) backup_location: Option<Value>,
    pub(super) created: Micros,
    pub(super) modified: Micros,
}

/// A subscription, which pays for clusters.
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

    /// Changes the address. The service sends a mail with a link to open; here the link counts as opened at once.
    pub(super) fn edit_me(&mut self, body: &Value) -> ApiAnswer {
        let mut problems = Problems::of(body, &["email"]);
        let email = problems.text(body, "email");
        check_email(email.as_deref(), &mut problems);
        let (Some(email), false) = (email, problems.any()) else { return problems.refuse() };
        if email == self.account.email {
            return ApiAnswer::ok(self.account.me());
        }
        self.account.email = email;
        ApiAnswer { status: 202, body: Some(json!({ "success": true, "status": "pending", "message": MAIL_SENT })) }
    }

    pub(super) fn organization(&self, id: &str) -> Option<&Organization> {
        self.account.organizations.iter().find(|organization| organization.id == id)
    }

    pub(super) fn project(&self, id: &str) -> Option<&Project> {
        self.account.projects.iter().find(|project| project.id == id)
    }
}

/// Accepts text before and after a single `@`, without spaces.
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

const PLANS: std::ops::RangeInclusive<i64> = 1..=6;
const USUAL_PLAN: i64 = 3;
/// The largest number of clusters of one organization. The service's figures are not documented.
const MOST_CLUSTERS: i64 = 10;

impl State {
    /// Adds an organization with one project.
    pub(crate) fn add_organization(&mut self, now: Micros, name: &str) -> String {
        let id = self.add_bare_organization(now, name);
        self.add_project(now, &id, "simulator", REGION);
        id
    }

    /// Returns the id of the first organization of this name.
    pub(crate) fn organization_named(&self, name: &str) -> Option<String> {
        self.account.organizations.iter().find(|one| one.name == name).map(|one| one.id.clone())
    }

    /// Adds an organization without projects.
    pub(crate) fn add_bare_organization(&mut self, now: Micros, name: &str) -> String {
        let id = self.new_id();
        self.account.organizations.push(Organization {
            id: id.clone(),
            name: name.into(),
            plan_type: USUAL_PLAN,
            email: self.account.email.clone(),
            notifications: true,
            created: now,
            modified: now,
        });
        id
    }

    pub(super) fn create_organization(&mut self, now: Micros, body: &Value) -> ApiAnswer {
        let mut problems = Problems::of(body, &["name", "plan_type"]);
        let name = problems.name(body, "name");
        let plan = plan(body, &mut problems).unwrap_or(USUAL_PLAN);
        let (Some(name), false) = (name, problems.any()) else { return problems.refuse() };
        let id = self.add_bare_organization(now, &name);
        if let Some(made) = self.account.organizations.last_mut() {
            made.plan_type = plan;
        }
        let made = self.organization(&id).map(|one| self.account.show_organization(one));
        ApiAnswer::created(made.unwrap_or_default())
    }

    /// Changes only the given fields.
    pub(super) fn edit_organization(&mut self, now: Micros, id: &str, body: &Value) -> ApiAnswer {
        let mut problems = Problems::of(body, &["name", "plan_type", "email", "notifications_enabled"]);
        let name = problems.optional_text(body, "name");
        let plan = plan(body, &mut problems);
        let email = body.get("email").filter(|one| !one.is_null()).and_then(|_| problems.optional_text(body, "email"));
        let notifications =
            body.get("notifications_enabled").and_then(|_| problems.boolean(body, "notifications_enabled"));
        problems.check_length("name", name.as_deref());
        check_email(email.as_deref(), &mut problems);
        let Some(found) = self.account.organizations.iter_mut().find(|one| one.id == id) else {
            return ApiAnswer::not_found();
        };
        if problems.any() {
            return problems.refuse();
        }
        // The vendor's document allows an empty name here. It counts as none.
        found.name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| found.name.clone());
        found.plan_type = plan.unwrap_or(found.plan_type);
        found.email = email.unwrap_or_else(|| found.email.clone());
        found.notifications = notifications.unwrap_or(found.notifications);
        found.modified = now;
        let found = self.organization(id).map(|one| self.account.show_organization(one));
        found.map_or_else(ApiAnswer::not_found, ApiAnswer::ok)
    }

    /// Refused while there are projects or clusters, so that deleting an organization deletes no database.
    pub(super) fn delete_organization(&mut self, id: &str) -> ApiAnswer {
        if self.organization(id).is_none() {
            return ApiAnswer::not_found();
        }
        if self.account.projects.iter().any(|project| project.organization_id == id) {
            return ApiAnswer::refused(403, "The organization still has projects.");
        }
        self.account.organizations.retain(|one| one.id != id);
        self.account.subscriptions.retain(|one| one.organization_id != id);
        self.files.retain(|one| one.organization_id != id);
        self.integrations.retain(|one| one.organization_id != id);
        ApiAnswer::no_content()
    }

    pub(super) fn quotas(&self, id: &str) -> ApiAnswer {
        let mine = |free: bool| {
            let here = |one: &&super::Cluster| self.organization_of(one).is_some_and(|organization| organization == id);
            self.clusters.iter().filter(here).filter(|one| !free || one.product.is_free()).count()
        };
        match self.organization(id) {
            // The vendor's document has no 404 here.
            None => ApiAnswer::ok(json!([])),
            Some(_) => ApiAnswer::ok(json!([
                { "code": "clusters", "current_value": mine(false), "quota": MOST_CLUSTERS },
                { "code": "free_clusters", "current_value": mine(true), "quota": 1 },
            ])),
        }
    }
}

fn plan(body: &Value, problems: &mut Problems) -> Option<i64> {
    let plan = problems.optional_integer(body, "plan_type")?;
    if !PLANS.contains(&plan) {
        problems.add("plan_type", &format!("Must be between {} and {}.", PLANS.start(), PLANS.end()));
    }
    Some(plan)
}

impl State {
    pub(crate) fn add_project(&mut self, now: Micros, organization: &str, name: &str, region: &str) -> String {
        let id = self.new_id();
        self.account.projects.push(Project {
            id: id.clone(),
            name: name.into(),
            organization_id: organization.into(),
            region: region.into(),
            backup_location: None,
            created: now,
            modified: now,
        });
        id
    }

    pub(crate) fn has_project(&self, organization: &str, name: &str) -> bool {
        self.account.projects.iter().any(|one| one.organization_id == organization && one.name == name)
    }

    pub(super) fn create_project(&mut self, now: Micros, body: &Value) -> ApiAnswer {
        let mut problems = Problems::of(body, &["name", "organization_id", "region", "backup_location"]);
        let name = problems.text(body, "name");
        let organization = problems.text(body, "organization_id");
        let region = problems.optional_text(body, "region").unwrap_or_default();
        let location = backup_location(body, &mut problems);
        check_name(name.as_deref(), &mut problems);
        problems.check_region(&region);
        let (Some(name), Some(organization)) = (name, organization) else { return problems.refuse() };
        if !self.account.organizations.iter().any(|known| known.id == organization) {
            problems.add("organization_id", "No such organization.");
        }
        if problems.any() {
            return problems.refuse();
        }
        let id = self.add_project(now, &organization, &name, &region);
        let made = self.account.projects.iter_mut().find(|project| project.id == id);
        ApiAnswer::created(made.map_or_else(Value::default, |project| {
            project.backup_location = location;
            project.show()
        }))
    }

    pub(super) fn edit_project(&mut self, now: Micros, id: &str, body: &Value) -> ApiAnswer {
        let mut problems = Problems::of(body, &["name"]);
        let name = problems.text(body, "name");
        check_name(name.as_deref(), &mut problems);
        let Some(project) = self.account.projects.iter_mut().find(|project| project.id == id) else {
            return ApiAnswer::not_found();
        };
        let (Some(name), false) = (name, problems.any()) else { return problems.refuse() };
        project.name = name;
        project.modified = now;
        ApiAnswer::ok(project.show())
    }

    pub(super) fn delete_project(&mut self, id: &str) -> ApiAnswer {
        if self.project(id).is_none() {
            return ApiAnswer::not_found();
        }
        if self.clusters.iter().any(|cluster| cluster.project_id == id) {
            return ApiAnswer::refused(403, "The project still has clusters.");
        }
        self.account.projects.retain(|project| project.id != id);
        ApiAnswer::no_content()
    }
}

fn check_name(name: Option<&str>, problems: &mut Problems) {
    if name.is_some_and(|name| !is_project_name(name)) {
        problems.add("name", "String does not match expected pattern.");
    }
}

/// The location of backups, if not the service's own. Its credentials are dropped.
fn backup_location(body: &Value, problems: &mut Problems) -> Option<Value> {
    let given = body.get("backup_location").filter(|given| !given.is_null())?;
    let mut inner = Problems::of(given, &["location_type", "location", "credentials", "additional_config"]);
    let kind = inner.text(given, "location_type");
    let location = inner.name(given, "location");
    if kind.as_deref().is_some_and(|kind| kind != "s3") {
        inner.add("location_type", "Must be one of: s3.");
    }
    if !given["credentials"].is_object() {
        inner.add("credentials", "Missing data for required field.");
    }
    if given.get("additional_config").is_some_and(|config| !config.is_object()) {
        inner.add("additional_config", "Not a valid object.");
    }
    problems.nest("backup_location", inner);
    let mut kept = json!({ "location_type": kind?, "location": location? });
    if let Some(config) = given.get("additional_config") {
        kept["additional_config"] = config.clone();
    }
    Some(kept)
}

/// Word characters, `-` and space, beginning with a word character.
pub(crate) fn is_project_name(name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    name.starts_with(word) && name.chars().all(|c| word(c) || c == '-' || c == ' ') && name.chars().count() <= 512
}

/// Providers that may pay a subscription.
const PROVIDERS: [&str; 5] = ["contract", "stripe", "aws", "azure", "gcp"];

impl State {
    /// Adds a subscription to the first organization.
    pub(crate) fn add_subscription(&mut self, now: Micros) -> String {
        let organization = self.first_organization();
        self.add_subscription_of(now, &organization, PROVIDERS[0])
    }

    pub(crate) fn add_subscription_of(&mut self, now: Micros, organization: &str, provider: &str) -> String {
        let id = self.new_id();
        let (organization_id, provider) = (organization.into(), provider.into());
        self.account.subscriptions.push(Subscription { id: id.clone(), organization_id, provider, created: now });
        id
    }

    pub(super) fn create_subscription(&mut self, now: Micros, body: &Value) -> ApiAnswer {
        let mut problems = Problems::of(body, &["type", "organization_id"]);
        let kind = problems.text(body, "type");
        let organization = problems.text(body, "organization_id");
        if kind.as_deref().is_some_and(|kind| !PROVIDERS.contains(&kind)) {
            problems.add("type", &format!("Must be one of: {}.", PROVIDERS.join(", ")));
        }
        if organization.as_deref().is_some_and(|id| self.organization(id).is_none()) {
            problems.add("organization_id", "No such organization.");
        }
        let (Some(kind), Some(organization), false) = (kind, organization, problems.any()) else {
            return problems.refuse();
        };
        let id = self.add_subscription_of(now, &organization, &kind);
        let made = self.account.subscriptions.iter().find(|one| one.id == id);
        ApiAnswer::created(made.map(Subscription::show).unwrap_or_default())
    }

    /// Deletes its clusters too, protected or not.
    pub(super) fn delete_subscription(&mut self, now: Micros, id: &str) -> ApiAnswer {
        let Some(at) = self.account.subscriptions.iter().position(|one| one.id == id) else {
            return ApiAnswer::not_found();
        };
        let mut shown = self.account.subscriptions.remove(at).show();
        shown["active"] = false.into();
        shown["state"] = "canceled".into();
        let (gone, kept) = self.clusters.drain(..).partition(|cluster| cluster.subscription_id == id);
        self.clusters = kept;
        for cluster in gone {
            self.forget(&cluster.id);
            self.outbox.events.push(Event { at: now, cluster: cluster.id, what: Happening::Deleted });
        }
        ApiAnswer::ok(shown)
    }
}
