//! Routes: the call that a method and a path mean.

use serde_json::Value;

use super::body;
use crate::http::{Exchange, parse_query};
use crate::state::{ApiCall, QueryPairs};

/// The meaning of a path.
pub(super) enum Route {
    Call(Box<ApiCall>),
    /// Needs a listener before the call.
    Deploy(String, Value),
    Token(String),
    Refresh(Value),
    Keys,
    NotAllowed,
    Unknown,
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Finds the route. A path may end with a slash.
pub(super) fn route(exchange: &Exchange, segments: &[&str]) -> Route {
    let method = match exchange.method.as_str() {
        "HEAD" => "GET",
        method => method,
    };
    let found = find(method, segments, exchange);
    let exists = || METHODS.iter().any(|method| find(method, segments, exchange).is_some());
    found.unwrap_or_else(|| if exists() { Route::NotAllowed } else { Route::Unknown })
}

fn find(method: &str, segments: &[&str], exchange: &Exchange) -> Option<Route> {
    match method {
        "GET" => get(segments, parse_query(&exchange.query)),
        "POST" => post(segments, exchange),
        "PUT" => put(segments, exchange).map(call),
        "PATCH" => patch(segments, exchange).map(call),
        "DELETE" => delete(segments).map(call),
        _ => None,
    }
}

fn call(call: ApiCall) -> Route {
    Route::Call(Box::new(call))
}

fn own(id: &str) -> String {
    id.to_owned()
}

fn get(segments: &[&str], query: QueryPairs) -> Option<Route> {
    match segments {
        ["clusters", id, "jwt"] => Some(Route::Token(own(id))),
        ["meta", "jwk"] => Some(Route::Keys),
        ["clusters", rest @ ..] => get_cluster(rest, query).map(call),
        _ => get_account(segments, query).map(call),
    }
}

fn get_account(segments: &[&str], mut query: QueryPairs) -> Option<ApiCall> {
    Some(match segments {
        ["users", "me"] => ApiCall::Me,
        ["users", "me", "api-keys"] => ApiCall::ApiKeys,
        ["users", "me", "api-keys", key] => ApiCall::ApiKey(own(key)),
        ["organizations"] => ApiCall::Organizations,
        ["organizations", id] => ApiCall::Organization(own(id)),
        ["organizations", id, "projects"] => ApiCall::OrganizationProjects(own(id)),
        ["organizations", id, "subscriptions"] => ApiCall::OrganizationSubscriptions(own(id)),
        ["organizations", id, "regions"] => ApiCall::OrganizationRegions(own(id)),
        ["organizations", id, "clusters"] => ApiCall::OrganizationClusters(own(id), query),
        ["organizations", id, "quotas"] => ApiCall::Quotas(own(id)),
        ["organizations", id, "secrets"] => ApiCall::Integrations(own(id)),
        ["organizations", id, "files"] => ApiCall::Files(own(id)),
        ["organizations", id, "files", file] => ApiCall::File(own(id), own(file)),
        ["projects"] => ApiCall::Projects,
        ["projects", id] => ApiCall::Project(own(id)),
        ["projects", id, "clusters"] => ApiCall::ProjectClusters(own(id), query),
        ["subscriptions"] => ApiCall::Subscriptions(query),
        ["subscriptions", id] => ApiCall::Subscription(own(id)),
        ["products"] => ApiCall::Products(query),
        ["products", kind] => {
            query.push(("kind".into(), own(kind)));
            ApiCall::Products(query)
        }
        ["products", "clusters", "price"] => ApiCall::Price(query),
        ["regions"] => ApiCall::Regions,
        ["meta"] => ApiCall::Meta,
        ["meta", "cratedb-versions"] => ApiCall::Versions,
        _ => return None,
    })
}

fn get_cluster(segments: &[&str], query: QueryPairs) -> Option<ApiCall> {
    Some(match segments {
        [] => ApiCall::Clusters(query),
        [id] => ApiCall::Cluster(own(id)),
        [id, "operations"] => ApiCall::Operations(own(id), query),
        [id, "available-products"] => ApiCall::AvailableProducts(own(id)),
        [id, "available-upgrades"] => ApiCall::AvailableUpgrades(own(id)),
        [id, "import-jobs"] => ApiCall::ImportJobs(own(id)),
        [id, "import-jobs", job] => ApiCall::ImportJob(own(id), own(job)),
        [id, "import-jobs", job, "progress"] => ApiCall::JobFiles(own(id), own(job), query),
        [id, "export-jobs"] => ApiCall::ExportJobs(own(id)),
        [id, "export-jobs", job] => ApiCall::ExportJob(own(id), own(job)),
        [id, "snapshots"] => ApiCall::Snapshots(own(id), query),
        [id, "metrics", metric] => ApiCall::Metrics(own(id), own(metric), query),
        _ => return None,
    })
}

fn post(segments: &[&str], exchange: &Exchange) -> Option<Route> {
    let body = || body(exchange);
    Some(match segments {
        ["organizations", id, "clusters"] => Route::Deploy(own(id), body()),
        ["meta", "jwt", "refresh"] => Route::Refresh(body()),
        ["users", "me", "api-keys"] => call(ApiCall::CreateApiKey),
        ["organizations"] => call(ApiCall::CreateOrganization(body())),
        ["organizations", id, "secrets"] => call(ApiCall::CreateIntegration(own(id), body())),
        ["organizations", id, "files"] => call(ApiCall::CreateFile(own(id), body())),
        ["projects"] => call(ApiCall::CreateProject(body())),
        ["subscriptions"] => call(ApiCall::CreateSubscription(body())),
        ["clusters", id, "import-jobs"] => call(ApiCall::CreateImportJob(own(id), body())),
        ["clusters", id, "export-jobs"] => call(ApiCall::CreateExportJob(own(id), body())),
        ["clusters", id, "snapshots", "restore"] => call(ApiCall::Restore(own(id), body())),
        ["clusters", id, "transfer-subscription"] => {
            let sudo = exchange.header("x-auth-sudo") == Some("1");
            call(ApiCall::Transfer(own(id), body(), sudo))
        }
        _ => return None,
    })
}

fn put(segments: &[&str], exchange: &Exchange) -> Option<ApiCall> {
    let body = || body(exchange);
    Some(match segments {
        ["organizations", id] => ApiCall::EditOrganization(own(id), body()),
        ["clusters", id, "suspend"] => ApiCall::Suspend(own(id), body()),
        ["clusters", id, "scale"] => ApiCall::Scale(own(id), body()),
        ["clusters", id, "upgrade"] => ApiCall::Upgrade(own(id), body()),
        ["clusters", id, "storage"] => ApiCall::ExpandStorage(own(id), body()),
        ["clusters", id, "product"] => ApiCall::ChangeProduct(own(id), body()),
        ["clusters", id, "backup-schedule"] => ApiCall::ChangeBackups(own(id), body()),
        ["clusters", id, "ip-restrictions"] => ApiCall::Restrict(own(id), body()),
        ["clusters", id, "deletion-protection"] => ApiCall::Protect(own(id), body()),
        _ => return None,
    })
}

fn patch(segments: &[&str], exchange: &Exchange) -> Option<ApiCall> {
    let body = || body(exchange);
    Some(match segments {
        ["users", "me"] => ApiCall::EditMe(body()),
        ["users", "me", "api-keys", key] => ApiCall::EditApiKey(own(key), body()),
        ["projects", id] => ApiCall::EditProject(own(id), body()),
        ["clusters", id] => ApiCall::ChangePassword(own(id), body()),
        _ => return None,
    })
}

fn delete(segments: &[&str]) -> Option<ApiCall> {
    Some(match segments {
        ["users", "me", "api-keys", key] => ApiCall::DeleteApiKey(own(key)),
        ["organizations", id] => ApiCall::DeleteOrganization(own(id)),
        ["organizations", id, "secrets", secret] => ApiCall::DeleteIntegration(own(id), own(secret)),
        ["organizations", id, "files", file] => ApiCall::DeleteFile(own(id), own(file)),
        ["projects", id] => ApiCall::DeleteProject(own(id)),
        ["subscriptions", id] => ApiCall::DeleteSubscription(own(id)),
        ["clusters", id] => ApiCall::Delete(own(id)),
        ["clusters", id, "nodes", ordinal] => ApiCall::RestartNode(own(id), own(ordinal)),
        ["clusters", id, "import-jobs", job] => ApiCall::DeleteImportJob(own(id), own(job)),
        ["clusters", id, "export-jobs", job] => ApiCall::DeleteExportJob(own(id), own(job)),
        _ => return None,
    })
}
