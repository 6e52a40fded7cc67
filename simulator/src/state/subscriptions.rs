//! Subscriptions: made, and cancelled together with what they pay for.

use serde_json::Value;

use super::account::Subscription;
use super::checks::Problems;
use super::{Answer, Event, Happening, Micros, State};

/// What a subscription may be paid by.
const PROVIDERS: [&str; 5] = ["contract", "stripe", "aws", "azure", "gcp"];

impl State {
    /// A new subscription of the first organization.
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

    pub(super) fn create_subscription(&mut self, now: Micros, body: &Value) -> Answer {
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
        Answer::created(made.map(Subscription::show).unwrap_or_default())
    }

    /// Deletes its clusters too, protected or not.
    pub(super) fn delete_subscription(&mut self, now: Micros, id: &str) -> Answer {
        let Some(at) = self.account.subscriptions.iter().position(|one| one.id == id) else {
            return Answer::not_found();
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
        Answer::ok(shown)
    }
}
