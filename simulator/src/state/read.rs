//! Answers of the reading requests.

use serde_json::{Value, json};

use super::account::{Project, Subscription};
use super::cluster::Cluster;
use super::{Answer, Call, Micros, Query, State, catalog, stamp};

/// The value of a query parameter that may come once.
pub(super) fn parameter<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn one(found: Option<Value>) -> Answer {
    found.map_or_else(Answer::not_found, Answer::ok)
}

impl State {
    pub(super) fn read(&self, now: Micros, call: &Call) -> Answer {
        let account = &self.account;
        match call {
            Call::Me => Answer::ok(account.me()),
            Call::Organizations => {
                Answer::ok(account.organizations.iter().map(|one| account.show_organization(one)).collect())
            }
            Call::Organization(id) => one(self.organization(id).map(|one| account.show_organization(one))),
            Call::OrganizationProjects(id) => {
                one(self.organization(id).map(|_| self.projects(|project| project.organization_id == *id)))
            }
            // The vendor's document has no 404 for these: nothing is in what nobody knows.
            Call::OrganizationSubscriptions(id) => self.listed(self.organization(id), || self.subscriptions(id)),
            Call::OrganizationClusters(id, query) => self.listed(self.organization(id), || {
                self.list_clusters(now, query, |cluster| self.organization_of(cluster) == Some(id))
            }),
            Call::OrganizationRegions(id) => self.listed(self.organization(id), || self.regions()),
            Call::Projects => Answer::ok(self.projects(|_| true)),
            Call::Project(id) => one(self.project(id).map(Project::show)),
            Call::ProjectClusters(id, query) => {
                self.listed(self.project(id), || self.list_clusters(now, query, |cluster| cluster.project_id == *id))
            }
            Call::Subscriptions(query) => {
                Answer::ok(self.subscriptions(parameter(query, "organization_id").unwrap_or_default()))
            }
            Call::Subscription(id) => {
                one(account.subscriptions.iter().find(|one| one.id == *id).map(Subscription::show))
            }
            Call::Products(query) => Answer::ok(products(query)),
            Call::Regions => Answer::ok(self.regions()),
            Call::Clusters(query) => Answer::ok(self.list_clusters(now, query, |_| true)),
            Call::Cluster(id) => one(self.by_id(id).map(|cluster| cluster.show(now))),
            Call::Operations(id, query) => self.by_id(id).map_or_else(Answer::not_found, |one| operations(one, query)),
            Call::Meta => Answer::ok(catalog::meta()),
            Call::Versions => Answer::ok(catalog::versions()),
            Call::ApiKeys => self.api_keys(),
            Call::ApiKey(key) => self.api_key(key),
            Call::Quotas(id) => self.quotas(id),
            Call::Integrations(id) => self.integrations(id),
            Call::Files(id) => self.list_files(id),
            Call::File(id, file) => self.get_file(id, file),
            Call::AvailableProducts(id) => one(self.by_id(id).map(alternatives)),
            Call::AvailableUpgrades(id) => one(self.by_id(id).map(|one| catalog::upgrades(&one.channel, &one.version))),
            Call::ImportJobs(id) => self.import_jobs(id),
            Call::ImportJob(id, job) => self.import_job(id, job),
            Call::JobFiles(id, job, query) => self.job_files(id, job, query),
            Call::ExportJobs(id) => self.export_jobs(id),
            Call::ExportJob(id, job) => self.export_job(id, job),
            Call::Snapshots(id, query) => self.list_snapshots(id, query),
            Call::Metrics(id, metric, query) => self.metrics(now, id, metric, query),
            _ => Answer::refused(500, "An error occured."),
        }
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.id == id)
    }

    pub(super) fn organization_of(&self, cluster: &Cluster) -> Option<&String> {
        Some(&self.project(&cluster.project_id)?.organization_id)
    }

    fn listed<T>(&self, inside: Option<T>, list: impl FnOnce() -> Value) -> Answer {
        Answer::ok(inside.map_or_else(|| json!([]), |_| list()))
    }

    fn projects(&self, wanted: impl Fn(&Project) -> bool) -> Value {
        self.account.projects.iter().filter(|project| wanted(project)).map(Project::show).collect()
    }

    /// All of them if no organization is given.
    fn subscriptions(&self, organization: &str) -> Value {
        let wanted = |one: &&Subscription| organization.is_empty() || one.organization_id == organization;
        self.account.subscriptions.iter().filter(wanted).map(Subscription::show).collect()
    }

    fn regions(&self) -> Value {
        catalog::regions(self.began)
    }

    fn list_clusters(&self, now: Micros, query: &Query, wanted: impl Fn(&Cluster) -> bool) -> Value {
        let fits = |name: &str, value: &str| parameter(query, name).is_none_or(|asked| asked == value);
        let shown = self.clusters.iter().filter(|cluster| {
            wanted(cluster)
                && fits("project_id", &cluster.project_id)
                && fits("subscription_id", &cluster.subscription_id)
                && fits("product_name", cluster.product.name)
        });
        shown.map(|cluster| cluster.show(now)).collect()
    }
}

fn products(query: &Query) -> Value {
    let fits = |product: &Value, name: &str| parameter(query, name).is_none_or(|asked| product[name] == asked);
    let all = catalog::products().into_iter();
    all.filter(|product| ["kind", "tier", "name", "plan", "offer"].iter().all(|name| fits(product, name))).collect()
}

/// What a cluster can be changed to.
fn alternatives(cluster: &Cluster) -> Value {
    cluster.product.alternatives().iter().map(|product| product.show(&cluster.region)).collect()
}

/// Newest first.
fn operations(cluster: &Cluster, query: &Query) -> Answer {
    let mut errors = serde_json::Map::new();
    let mut date = |name: &str| {
        let text = parameter(query, name)?;
        let at = stamp::parse_date(text);
        if at.is_none() {
            errors.insert(name.into(), json!(["Not a valid datetime."]));
        }
        at
    };
    let (start, end) = (date("start"), date("end"));
    let limit = parameter(query, "limit").map(str::parse::<usize>);
    if matches!(limit, Some(Err(_))) {
        errors.insert("limit".into(), json!(["Not a valid integer."]));
    }
    if !errors.is_empty() {
        return Answer::invalid(errors.into());
    }
    let statuses: Vec<_> = query.iter().filter(|(name, _)| name == "statuses").map(|(_, value)| value).collect();
    let listed = cluster.operations.iter().rev().filter(|one| {
        !one.hidden
            && parameter(query, "type").is_none_or(|kind| kind == one.effect.kind())
            && (statuses.is_empty() || statuses.iter().any(|status| *status == one.status.word()))
            && start.is_none_or(|start| one.created >= start)
            && end.is_none_or(|end| one.created <= end)
    });
    let limit = limit.and_then(Result::ok).unwrap_or(usize::MAX);
    let shown: Vec<_> = listed.take(limit).map(|one| one.show(&cluster.id)).collect();
    Answer::ok(json!({ "operations": shown }))
}
