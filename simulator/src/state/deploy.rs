//! Deploys: the checks of a request, and the new cluster. Also the clusters that exist from the start.

use serde_json::Value;

use super::account::is_project_name;
use super::catalog::{self, Product};
use super::checks::{Problems, check_password, is_uuid};
use super::cluster::{BACKUP_SCHEDULE, Cluster, Presence};
use super::operation::Effect;
use super::{ApiAnswer, Event, Happening, Micros, State};

const NAME_LENGTH: (usize, usize) = (3, 63);

/// A cluster that exists when the simulator starts.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) product: Product,
    pub(crate) version: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) suspended: bool,
    pub(crate) allow_suspend: bool,
    pub(crate) protected: bool,
    pub(crate) auth: bool,
    /// Name of its organization; the first one if absent.
    pub(crate) organization: Option<String>,
    /// Name of its project; the first one of the organization if absent.
    pub(crate) project: Option<String>,
    pub(crate) url: String,
}

/// The part `cluster` of a deploy, checked.
struct Wanted {
    name: String,
    version: String,
    channel: String,
    product: Product,
    unit: i64,
    username: String,
    password: String,
}

/// The project of a new cluster.
enum Place {
    Existing(String),
    /// Name and region.
    New(String, String),
}

impl State {
    /// Adds a cluster whose deploy is long over.
    pub(crate) fn give(&mut self, now: Micros, given: Given) -> String {
        let (project_id, region, organization) = self.given_place(&given).unwrap_or_default();
        let id = given.id.unwrap_or_else(|| self.new_id());
        let mine = |one: &&super::account::Subscription| one.organization_id == organization;
        let subscription_id = match given.product.is_free() {
            true => catalog::FREE_SUBSCRIPTION.into(),
            false => self.account.subscriptions.iter().find(mine).map(|one| one.id.clone()).unwrap_or_default(),
        };
        let channel = if given.version.starts_with("nightly") { "nightly" } else { "stable" };
        self.clusters.push(Cluster {
            id: id.clone(),
            name: given.name,
            project_id,
            subscription_id,
            region,
            version: given.version,
            channel: channel.into(),
            product: given.product,
            unit: 0,
            disk_bytes: given.product.disk_bytes().0,
            username: given.username,
            password: given.password,
            url: given.url,
            auth: given.auth,
            backup_schedule: BACKUP_SCHEDULE.into(),
            ip_whitelist: Vec::new(),
            used: now,
            backed_up: now,
            allow_suspend: given.allow_suspend,
            protected: given.protected,
            presence: if given.suspended { Presence::Suspended } else { Presence::Running },
            running_since: (!given.suspended).then_some(now),
            operations: Vec::new(),
            frozen_health: None,
            created: now,
            modified: now,
        });
        self.begin(now, &id, Effect::Create);
        if let Some(created) = self.by_id_mut(&id).and_then(|cluster| cluster.operations.last_mut()) {
            created.status = super::operation::Status::Succeeded;
        }
        id
    }

    /// Returns id and region of the project, and the organization's id.
    fn given_place(&self, given: &Given) -> Option<(String, String, String)> {
        let organizations = self.account.organizations.iter();
        let fits = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        let mut places = organizations.filter(|one| fits(&given.organization, &one.name)).flat_map(|organization| {
            let mine = self.account.projects.iter().filter(|one| one.organization_id == organization.id);
            mine.filter(|one| fits(&given.project, &one.name))
        });
        places.next().map(|project| (project.id.clone(), project.region.clone(), project.organization_id.clone()))
    }

    /// Returns whether the organization and the project exist that a given cluster names.
    pub(crate) fn has_place(&self, given: &Given) -> bool {
        self.given_place(given).is_some()
    }

    pub(super) fn deploy(&mut self, now: Micros, organization: &str, body: &Value, url: String) -> ApiAnswer {
        if self.organization(organization).is_none() {
            return ApiAnswer::not_found();
        }
        let mut problems = Problems::of(body, &["cluster", "project", "project_id", "subscription_id"]);
        let subscription = problems.text(body, "subscription_id");
        let place = self.place(organization, body, &mut problems);
        let wanted = match body.get("cluster") {
            Some(cluster) => check_cluster(cluster, &mut problems),
            None => {
                problems.add("cluster", "Missing data for required field.");
                None
            }
        };
        if let (Some(subscription), Some(wanted)) = (&subscription, &wanted) {
            self.check_subscription(organization, subscription, wanted.product, &mut problems);
        }
        let (Some(subscription), Some(place), Some(wanted), false) = (subscription, place, wanted, problems.any())
        else {
            return problems.refuse();
        };
        if wanted.product.is_free() && self.has_free_cluster(organization) {
            return ApiAnswer::refused(400, "The organization already has a cluster of the free tier.");
        }
        let project = match place {
            Place::Existing(id) => id,
            Place::New(name, region) => self.add_project(now, organization, &name, &region),
        };
        self.add_deployed(now, wanted, project, subscription, url)
    }

    fn add_deployed(
        &mut self,
        now: Micros,
        wanted: Wanted,
        project: String,
        paid_by: String,
        url: String,
    ) -> ApiAnswer {
        let region = self.project(&project).map(|project| project.region.clone()).unwrap_or_default();
        let id = self.new_id();
        self.clusters.push(Cluster {
            id: id.clone(),
            name: wanted.name,
            project_id: project,
            subscription_id: paid_by,
            region: if region.is_empty() { catalog::REGION.into() } else { region },
            version: wanted.version,
            channel: wanted.channel,
            product: wanted.product,
            unit: wanted.unit,
            disk_bytes: wanted.product.disk_bytes().0,
            username: wanted.username,
            password: wanted.password,
            url,
            auth: true,
            backup_schedule: BACKUP_SCHEDULE.into(),
            ip_whitelist: Vec::new(),
            used: now,
            backed_up: now,
            allow_suspend: wanted.product.can_be_suspended(),
            protected: false,
            presence: Presence::Unborn,
            running_since: None,
            operations: Vec::new(),
            frozen_health: None,
            created: now,
            modified: now,
        });
        self.outbox.events.push(Event { at: now, cluster: id.clone(), what: Happening::DeployRequested });
        self.begin(now, &id, Effect::Create);
        self.by_id(&id).map_or_else(ApiAnswer::not_found, |cluster| ApiAnswer::created(cluster.show(now)))
    }

    fn has_free_cluster(&self, organization: &str) -> bool {
        let here = |cluster: &&Cluster| self.organization_of(cluster).is_some_and(|id| id == organization);
        self.clusters.iter().filter(here).any(|cluster| cluster.product.is_free())
    }

    pub(super) fn check_subscription(&self, organization: &str, id: &str, product: Product, problems: &mut Problems) {
        let known = |one: &super::account::Subscription| one.id == id && one.organization_id == organization;
        let listed = self.account.subscriptions.iter().any(known);
        // It is not known whether the service refuses another one for the free product. `ctk` deploys with any.
        if listed || (product.is_free() && id == catalog::FREE_SUBSCRIPTION) {
            return;
        }
        match product.is_free() || id == catalog::FREE_SUBSCRIPTION {
            true => problems.add("subscription_id", &format!("Product {} needs another subscription.", product.name)),
            false => problems.add("subscription_id", "No such subscription."),
        }
    }

    fn place(&self, organization: &str, body: &Value, problems: &mut Problems) -> Option<Place> {
        match (body.get("project_id"), body.get("project")) {
            (Some(_), Some(_)) => problems.add("project", "Give either project_id or project."),
            (None, None) => problems.add("project_id", "Give either project_id or project."),
            (Some(_), None) => {
                let id = problems.text(body, "project_id")?;
                if !is_uuid(&id) {
                    problems.add("project_id", "String does not match expected pattern.");
                } else if self.project(&id).is_none_or(|project| project.organization_id != organization) {
                    problems.add("project_id", "No such project.");
                }
                return Some(Place::Existing(id));
            }
            (None, Some(project)) => return new_project(project, problems),
        }
        None
    }
}

fn new_project(project: &Value, problems: &mut Problems) -> Option<Place> {
    let mut inner = Problems::of(project, &["name", "region", "backup_location"]);
    let name = inner.text(project, "name");
    let region = inner.text(project, "region");
    if name.as_deref().is_some_and(|name| !is_project_name(name)) {
        inner.add("name", "String does not match expected pattern.");
    }
    inner.check_region(region.as_deref().unwrap_or_default());
    problems.nest("project", inner);
    Some(Place::New(name?, region?))
}

fn check_cluster(body: &Value, problems: &mut Problems) -> Option<Wanted> {
    let mut inner = Problems::of(
        body,
        &[
            "name",
            "crate_version",
            "channel",
            "product_name",
            "product_tier",
            "product_unit",
            "hardware_specs",
            "master_product_name",
            "username",
            "password",
        ],
    );
    let name = inner.text(body, "name");
    let version = inner.text(body, "crate_version");
    let channel = inner.optional_text(body, "channel").unwrap_or_else(|| "stable".into());
    let product = inner.text(body, "product_name");
    let tier = inner.text(body, "product_tier");
    let unit = inner.optional_integer(body, "product_unit").unwrap_or(0);
    let username = inner.text(body, "username");
    let password = inner.text(body, "password");
    check_name(name.as_deref(), &mut inner);
    check_version(&channel, version.as_deref(), &mut inner);
    check_password(password.as_deref(), &mut inner);
    let product = check_product(product.as_deref(), tier.as_deref(), unit, &mut inner);
    let fine = !inner.any();
    problems.nest("cluster", inner);
    fine.then_some(Wanted {
        name: name?,
        version: version?,
        channel,
        product: product?,
        unit,
        username: username?,
        password: password?,
    })
}

/// The name is a part of the host name.
fn check_name(name: Option<&str>, problems: &mut Problems) {
    let Some(name) = name else { return };
    if name.len() < NAME_LENGTH.0 || name.len() > NAME_LENGTH.1 {
        problems.add("name", &format!("Length must be between {} and {}.", NAME_LENGTH.0, NAME_LENGTH.1));
    }
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(name.starts_with(edge) && name.ends_with(edge) && name.chars().all(|c| edge(c) || c == '-')) {
        problems.add("name", "String does not match expected pattern.");
    }
}

fn check_version(channel: &str, version: Option<&str>, problems: &mut Problems) {
    if !catalog::CHANNELS.contains(&channel) {
        problems.add("channel", &format!("Must be one of: {}.", catalog::CHANNELS.join(", ")));
    } else if version.is_some_and(|version| !catalog::has_version(channel, version)) {
        problems.add("crate_version", &format!("No such version in channel {channel}."));
    }
}

fn check_product(name: Option<&str>, tier: Option<&str>, unit: i64, problems: &mut Problems) -> Option<Product> {
    let product = Product::named(name?);
    let Some(product) = product else {
        problems.add("product_name", &format!("Must be one of: {}.", Product::names().join(", ")));
        return None;
    };
    if tier.is_some_and(|tier| tier != product.tier) {
        problems.add("product_tier", &format!("Must be one of: {}.", product.tier));
    }
    if !(0..=product.max_unit()).contains(&unit) {
        problems.add("product_unit", &format!("Must be between 0 and {}.", product.max_unit()));
    }
    Some(product)
}
