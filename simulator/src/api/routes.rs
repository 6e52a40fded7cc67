//! Which method and path mean which call.

use serde_json::Value;

use super::body;
use crate::http::{Exchange, parse_query};
use crate::state::{Call, Query};

/// What a path means.
pub(super) enum Route {
    Call(Box<Call>),
    /// Needs a listener before the call.
    Deploy(String, Value),
    Token(String),
    Refresh(Value),
    Keys,
    NotAllowed,
    Unknown,
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Both forms of a path are known: with a slash at its end, and without.
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

fn call(call: Call) -> Route {
    Route::Call(Box::new(call))
}

fn own(id: &str) -> String {
    id.to_owned()
}

fn get(segments: &[&str], query: Query) -> Option<Route> {
    match segments {
        ["clusters", id, "jwt"] => Some(Route::Token(own(id))),
        ["meta", "jwk"] => Some(Route::Keys),
        ["clusters", rest @ ..] => get_cluster(rest, query).map(call),
        _ => get_account(segments, query).map(call),
    }
}

fn get_account(segments: &[&str], mut query: Query) -> Option<Call> {
    Some(match segments {
        ["users", "me"] => Call::Me,
        ["users", "me", "api-keys"] => Call::ApiKeys,
        ["users", "me", "api-keys", key] => Call::ApiKey(own(key)),
        ["organizations"] => Call::Organizations,
        ["organizations", id] => Call::Organization(own(id)),
        ["organizations", id, "projects"] => Call::OrganizationProjects(own(id)),
        ["organizations", id, "subscriptions"] => Call::OrganizationSubscriptions(own(id)),
        ["organizations", id, "regions"] => Call::OrganizationRegions(own(id)),
        ["organizations", id, "clusters"] => Call::OrganizationClusters(own(id), query),
        ["organizations", id, "quotas"] => Call::Quotas(own(id)),
        ["organizations", id, "secrets"] => Call::Integrations(own(id)),
        ["organizations", id, "files"] => Call::Files(own(id)),
        ["organizations", id, "files", file] => Call::File(own(id), own(file)),
        ["projects"] => Call::Projects,
        ["projects", id] => Call::Project(own(id)),
        ["projects", id, "clusters"] => Call::ProjectClusters(own(id), query),
        ["subscriptions"] => Call::Subscriptions(query),
        ["subscriptions", id] => Call::Subscription(own(id)),
        ["products"] => Call::Products(query),
        ["products", kind] => {
            query.push(("kind".into(), own(kind)));
            Call::Products(query)
        }
        ["regions"] => Call::Regions,
        ["meta"] => Call::Meta,
        ["meta", "cratedb-versions"] => Call::Versions,
        _ => return None,
    })
}

fn get_cluster(segments: &[&str], query: Query) -> Option<Call> {
    Some(match segments {
        [] => Call::Clusters(query),
        [id] => Call::Cluster(own(id)),
        [id, "operations"] => Call::Operations(own(id), query),
        [id, "available-products"] => Call::AvailableProducts(own(id)),
        [id, "available-upgrades"] => Call::AvailableUpgrades(own(id)),
        [id, "import-jobs"] => Call::ImportJobs(own(id)),
        [id, "import-jobs", job] => Call::ImportJob(own(id), own(job)),
        [id, "import-jobs", job, "progress"] => Call::JobFiles(own(id), own(job), query),
        [id, "export-jobs"] => Call::ExportJobs(own(id)),
        [id, "export-jobs", job] => Call::ExportJob(own(id), own(job)),
        [id, "snapshots"] => Call::Snapshots(own(id), query),
        [id, "metrics", metric] => Call::Metrics(own(id), own(metric), query),
        _ => return None,
    })
}

fn post(segments: &[&str], exchange: &Exchange) -> Option<Route> {
    let body = || body(exchange);
    Some(match segments {
        ["organizations", id, "clusters"] => Route::Deploy(own(id), body()),
        ["meta", "jwt", "refresh"] => Route::Refresh(body()),
        ["users", "me", "api-keys"] => call(Call::CreateApiKey),
        ["organizations"] => call(Call::CreateOrganization(body())),
        ["organizations", id, "secrets"] => call(Call::CreateIntegration(own(id), body())),
        ["organizations", id, "files"] => call(Call::CreateFile(own(id), body())),
        ["projects"] => call(Call::CreateProject(body())),
        ["subscriptions"] => call(Call::CreateSubscription(body())),
        ["clusters", id, "import-jobs"] => call(Call::CreateImportJob(own(id), body())),
        ["clusters", id, "export-jobs"] => call(Call::CreateExportJob(own(id), body())),
        ["clusters", id, "snapshots", "restore"] => call(Call::Restore(own(id), body())),
        ["clusters", id, "transfer-subscription"] => {
            let sudo = exchange.header("x-auth-sudo") == Some("1");
            call(Call::Transfer(own(id), body(), sudo))
        }
        _ => return None,
    })
}

fn put(segments: &[&str], exchange: &Exchange) -> Option<Call> {
    let body = || body(exchange);
    Some(match segments {
        ["organizations", id] => Call::EditOrganization(own(id), body()),
        ["clusters", id, "suspend"] => Call::Suspend(own(id), body()),
        ["clusters", id, "scale"] => Call::Scale(own(id), body()),
        ["clusters", id, "upgrade"] => Call::Upgrade(own(id), body()),
        ["clusters", id, "storage"] => Call::ExpandStorage(own(id), body()),
        ["clusters", id, "product"] => Call::ChangeProduct(own(id), body()),
        ["clusters", id, "backup-schedule"] => Call::ChangeBackups(own(id), body()),
        ["clusters", id, "ip-restrictions"] => Call::Restrict(own(id), body()),
        ["clusters", id, "deletion-protection"] => Call::Protect(own(id), body()),
        _ => return None,
    })
}

fn patch(segments: &[&str], exchange: &Exchange) -> Option<Call> {
    let body = || body(exchange);
    Some(match segments {
        ["users", "me"] => Call::EditMe(body()),
        ["users", "me", "api-keys", key] => Call::EditApiKey(own(key), body()),
        ["projects", id] => Call::EditProject(own(id), body()),
        ["clusters", id] => Call::ChangePassword(own(id), body()),
        _ => return None,
    })
}

fn delete(segments: &[&str]) -> Option<Call> {
    Some(match segments {
        ["users", "me", "api-keys", key] => Call::DeleteApiKey(own(key)),
        ["organizations", id] => Call::DeleteOrganization(own(id)),
        ["organizations", id, "secrets", secret] => Call::DeleteIntegration(own(id), own(secret)),
        ["organizations", id, "files", file] => Call::DeleteFile(own(id), own(file)),
        ["projects", id] => Call::DeleteProject(own(id)),
        ["subscriptions", id] => Call::DeleteSubscription(own(id)),
        ["clusters", id] => Call::Delete(own(id)),
        ["clusters", id, "nodes", ordinal] => Call::RestartNode(own(id), own(ordinal)),
        ["clusters", id, "import-jobs", job] => Call::DeleteImportJob(own(id), own(job)),
        ["clusters", id, "export-jobs", job] => Call::DeleteExportJob(own(id), own(job)),
        _ => return None,
    })
}
