//! Organizations: made, changed, deleted, and how much they may have.

use serde_json::{Value, json};

use super::account::{Organization, check_email};
use super::catalog::REGION;
use super::checks::Problems;
use super::{Answer, Micros, State};

const PLANS: std::ops::RangeInclusive<i64> = 1..=6;
const USUAL_PLAN: i64 = 3;
/// So many clusters of one organization; the service's figures are not documented.
const MOST_CLUSTERS: i64 = 10;

impl State {
    /// A new organization with one project.
    pub(crate) fn add_organization(&mut self, now: Micros, name: &str) -> String {
        let id = self.add_bare_organization(now, name);
        self.add_project(now, &id, "simulator", REGION);
        id
    }

    /// Id of the first one of this name.
    pub(crate) fn organization_named(&self, name: &str) -> Option<String> {
        self.account.organizations.iter().find(|one| one.name == name).map(|one| one.id.clone())
    }

    /// A new organization without projects.
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

    pub(super) fn create_organization(&mut self, now: Micros, body: &Value) -> Answer {
        let mut problems = Problems::of(body, &["name", "plan_type"]);
        let name = problems.name(body, "name");
        let plan = plan(body, &mut problems).unwrap_or(USUAL_PLAN);
        let (Some(name), false) = (name, problems.any()) else { return problems.refuse() };
        let id = self.add_bare_organization(now, &name);
        if let Some(made) = self.account.organizations.last_mut() {
            made.plan_type = plan;
        }
        let made = self.organization(&id).map(|one| self.account.show_organization(one));
        Answer::created(made.unwrap_or_default())
    }

    /// Only what is given changes.
    pub(super) fn edit_organization(&mut self, now: Micros, id: &str, body: &Value) -> Answer {
        let mut problems = Problems::of(body, &["name", "plan_type", "email", "notifications_enabled"]);
        let name = problems.optional_text(body, "name");
        let plan = plan(body, &mut problems);
        let email = body.get("email").filter(|one| !one.is_null()).and_then(|_| problems.optional_text(body, "email"));
        let notifications =
            body.get("notifications_enabled").and_then(|_| problems.boolean(body, "notifications_enabled"));
        problems.check_length("name", name.as_deref());
        check_email(email.as_deref(), &mut problems);
        let Some(found) = self.account.organizations.iter_mut().find(|one| one.id == id) else {
            return Answer::not_found();
        };
        if problems.any() {
            return problems.refuse();
        }
        // The vendor's document allows an empty name here: it counts as none given.
        found.name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| found.name.clone());
        found.plan_type = plan.unwrap_or(found.plan_type);
        found.email = email.unwrap_or_else(|| found.email.clone());
        found.notifications = notifications.unwrap_or(found.notifications);
        found.modified = now;
        let found = self.organization(id).map(|one| self.account.show_organization(one));
        found.map_or_else(Answer::not_found, Answer::ok)
    }

    /// Projects and clusters go first: nobody deletes a database by deleting an account.
    pub(super) fn delete_organization(&mut self, id: &str) -> Answer {
        if self.organization(id).is_none() {
            return Answer::not_found();
        }
        if self.account.projects.iter().any(|project| project.organization_id == id) {
            return Answer::refused(403, "The organization still has projects.");
        }
        self.account.organizations.retain(|one| one.id != id);
        self.account.subscriptions.retain(|one| one.organization_id != id);
        self.files.retain(|one| one.organization_id != id);
        self.integrations.retain(|one| one.organization_id != id);
        Answer::no_content()
    }

    pub(super) fn quotas(&self, id: &str) -> Answer {
        let mine = |free: bool| {
            let here = |one: &&super::Cluster| self.organization_of(one).is_some_and(|organization| organization == id);
            self.clusters.iter().filter(here).filter(|one| !free || one.product.is_free()).count()
        };
        match self.organization(id) {
            // The vendor's document has no 404 here.
            None => Answer::ok(json!([])),
            Some(_) => Answer::ok(json!([
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
