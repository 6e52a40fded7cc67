//! Answers of the reading requests.

use serde_json::{Value, json};

use super::account::{Project, Subscription};
use super::cluster::Cluster;
use super::{ApiAnswer, ApiCall, Micros, QueryPairs, State, catalog, stamp};

/// Returns the value of a query parameter that may come once.
pub(super) fn parameter<'a>(query: &'a QueryPairs, name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn one(found: Option<Value>) -> ApiAnswer {
    found.map_or_else(ApiAnswer::not_found, ApiAnswer::ok)
}

impl State {
    pub(super) fn read(&self, now: Micros, call: &ApiCall) -> ApiAnswer {
        let account = &self.account;
        match call {
            ApiCall::Me => ApiAnswer::ok(account.me()),
            ApiCall::Organizations => {
                ApiAnswer::ok(account.organizations.iter().map(|one| account.show_organization(one)).collect())
            }
            ApiCall::Organization(id) => one(self.organization(id).map(|one| account.show_organization(one))),
            ApiCall::OrganizationProjects(id) => {
                one(self.organization(id).map(|_| self.projects(|project| project.organization_id == *id)))
            }
            // The vendor's document has no 404 for these: the list for an unknown id is empty.
            ApiCall::OrganizationSubscriptions(id) => self.listed(self.organization(id), || self.subscriptions(id)),
            ApiCall::OrganizationClusters(id, query) => self.listed(self.organization(id), || {
                self.list_clusters(now, query, |cluster| self.organization_of(cluster) == Some(id))
            }),
            ApiCall::OrganizationRegions(id) => self.listed(self.organization(id), || self.regions()),
            ApiCall::Projects => ApiAnswer::ok(self.projects(|_| true)),
            ApiCall::Project(id) => one(self.project(id).map(Project::show)),
            ApiCall::ProjectClusters(id, query) => {
                self.listed(self.project(id), || self.list_clusters(now, query, |cluster| cluster.project_id == *id))
            }
            ApiCall::Subscriptions(query) => {
                ApiAnswer::ok(self.subscriptions(parameter(query, "organization_id").unwrap_or_default()))
            }
            ApiCall::Subscription(id) => {
                one(account.subscriptions.iter().find(|one| one.id == *id).map(Subscription::show))
            }
            ApiCall::Products(query) => ApiAnswer::ok(products(query)),
            ApiCall::Price(query) => one(price(query)),
            ApiCall::Regions => ApiAnswer::ok(self.regions()),
            ApiCall::Clusters(query) => ApiAnswer::ok(self.list_clusters(now, query, |_| true)),
            ApiCall::Cluster(id) => one(self.by_id(id).map(|cluster| cluster.show(now))),
            ApiCall::Operations(id, query) => {
                self.by_id(id).map_or_else(ApiAnswer::not_found, |one| operations(one, query))
            }
            ApiCall::Meta => ApiAnswer::ok(catalog::meta()),
            ApiCall::Versions => ApiAnswer::ok(catalog::versions()),
            ApiCall::ApiKeys => self.api_keys(),
            ApiCall::ApiKey(key) => self.api_key(key),
            ApiCall::Quotas(id) => self.quotas(id),
            ApiCall::Integrations(id) => self.integrations(id),
            ApiCall::Files(id) => self.list_files(id),
            ApiCall::File(id, file) => self.get_file(id, file),
            ApiCall::AvailableProducts(id) => one(self.by_id(id).map(alternatives)),
            ApiCall::AvailableUpgrades(id) => {
                one(self.by_id(id).map(|one| catalog::upgrades(&one.channel, &one.version)))
            }
            ApiCall::ImportJobs(id) => self.import_jobs(id),
            ApiCall::ImportJob(id, job) => self.import_job(id, job),
            ApiCall::JobFiles(id, job, query) => self.job_files(id, job, query),
            ApiCall::ExportJobs(id) => self.export_jobs(id),
            ApiCall::ExportJob(id, job) => self.export_job(id, job),
            ApiCall::Snapshots(id, query) => self.list_snapshots(id, query),
            ApiCall::Metrics(id, metric, query) => self.metrics(now, id, metric, query),
            _ => ApiAnswer::refused(500, "An error occured."),
        }
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.id == id)
    }

    pub(super) fn organization_of(&self, cluster: &Cluster) -> Option<&String> {
        Some(&self.project(&cluster.project_id)?.organization_id)
    }

    fn listed<T>(&self, inside: Option<T>, list: impl FnOnce() -> Value) -> ApiAnswer {
        ApiAnswer::ok(inside.map_or_else(|| json!([]), |_| list()))
    }

    fn projects(&self, wanted: impl Fn(&Project) -> bool) -> Value {
        self.account.projects.iter().filter(|project| wanted(project)).map(Project::show).collect()
    }

    /// Lists all if no organization is given.
    fn subscriptions(&self, organization: &str) -> Value {
        let wanted = |one: &&Subscription| organization.is_empty() || one.organization_id == organization;
        self.account.subscriptions.iter().filter(wanted).map(Subscription::show).collect()
    }

    fn regions(&self) -> Value {
        catalog::regions(self.began)
    }

    fn list_clusters(&self, now: Micros, query: &QueryPairs, wanted: impl Fn(&Cluster) -> bool) -> Value {
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

fn products(query: &QueryPairs) -> Value {
    let fits = |product: &Value, name: &str| parameter(query, name).is_none_or(|asked| product[name] == asked);
    let all = catalog::products().into_iter();
    all.filter(|product| ["kind", "tier", "name", "plan", "offer"].iter().all(|name| fits(product, name))).collect()
}

/// Returns the price of a cluster of these parameters; none if there is no such product.
fn price(query: &QueryPairs) -> Option<Value> {
    let product = catalog::Product::named(parameter(query, "product_name")?)?;
    let unit: i64 = parameter(query, "product_unit")?.parse().ok()?;
    let storage = parameter(query, "storage_bytes").map_or(Some(0), |bytes| bytes.parse().ok())?;
    let region = parameter(query, "region")?;
    let fits = parameter(query, "product_tier")? == product.tier
        && (0..=product.max_unit()).contains(&unit)
        && catalog::region_names().contains(&region);
    fits.then(|| product.price(unit, storage))
}

/// Lists the products that a cluster can be changed to.
fn alternatives(cluster: &Cluster) -> Value {
    cluster.product.alternatives().iter().map(|product| product.show(&cluster.region)).collect()
}

/// Newest first.
fn operations(cluster: &Cluster, query: &QueryPairs) -> ApiAnswer {
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
        return ApiAnswer::invalid(errors.into());
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
    ApiAnswer::ok(json!({ "operations": shown }))
}
