//! Changes of a cluster that take time: scale, upgrade, storage, product, backups, networks, password. And those that
//! don't: the restart of a node and the subscription.

use serde_json::{Value, json};

use super::checks::{Problems, check_password};
use super::cluster::Cluster;
use super::operation::Effect;
use super::{ApiAnswer, ApiCall, CONFLICT, Micros, State, catalog, restrictions};

/// The requested change, and the details that the list of operations shows.
type Asked = (Effect, Value);
/// Reads one kind of request for a cluster as it is.
type Read = fn(&Cluster, &Value) -> Result<Asked, ApiAnswer>;

impl State {
    /// Answers a request for a change that becomes an operation; none for other calls.
    pub(super) fn change(&mut self, now: Micros, call: &ApiCall) -> Option<ApiAnswer> {
        let (id, read, body): (_, Read, _) = match call {
            ApiCall::Scale(id, body) => (id, scale, body),
            ApiCall::Upgrade(id, body) => (id, upgrade, body),
            ApiCall::ExpandStorage(id, body) => (id, storage, body),
            ApiCall::ChangeProduct(id, body) => (id, product, body),
            ApiCall::ChangeBackups(id, body) => (id, backups, body),
            ApiCall::Restrict(id, body) => (id, networks, body),
            ApiCall::ChangePassword(id, body) => (id, password, body),
            _ => return None,
        };
        let Some(cluster) = self.by_id(id) else { return Some(ApiAnswer::not_found()) };
        let (effect, details) = match read(cluster, body) {
            Ok(asked) => asked,
            Err(refusal) => return Some(refusal),
        };
        if cluster.pending().is_some() {
            return Some(ApiAnswer::refused(400, CONFLICT));
        }
        self.begin_with(now, id, effect, details);
        Some(self.by_id(id).map_or_else(ApiAnswer::not_found, |cluster| ApiAnswer::ok(cluster.show(now))))
    }

    /// Restarts a node: its connections end. Asynchronous at the service, and listed nowhere.
    pub(super) fn restart_node(&mut self, now: Micros, id: &str, ordinal: &str) -> ApiAnswer {
        let node = ordinal.parse::<i64>().ok();
        let fits =
            |cluster: &&mut Cluster| cluster.is_running() && node.is_some_and(|n| (0..=cluster.unit).contains(&n));
        match self.by_id_mut(id).filter(fits) {
            None => ApiAnswer::not_found(),
            Some(cluster) => {
                cluster.restart(now);
                let done = json!({ "apiVersion": "v1", "kind": "Pod", "status": "Success", "code": 200 });
                ApiAnswer { status: 202, body: Some(done) }
            }
        }
    }

    /// Moves a cluster to another subscription. Only superusers may, with the header `X-Auth-Sudo`.
    pub(super) fn transfer(&mut self, now: Micros, id: &str, body: &Value, sudo: bool) -> ApiAnswer {
        let Some(cluster) = self.by_id(id) else { return ApiAnswer::not_found() };
        if !sudo {
            return ApiAnswer::forbidden();
        }
        let mut problems = Problems::of(body, &["subscription_id"]);
        let wanted = problems.text(body, "subscription_id");
        let product = cluster.product;
        let organization = self.organization_of(cluster).cloned().unwrap_or_default();
        if let Some(wanted) = &wanted {
            self.check_subscription(&organization, wanted, product, &mut problems);
        }
        let (Some(wanted), false) = (wanted, problems.any()) else { return problems.refuse() };
        let Some(cluster) = self.by_id_mut(id) else { return ApiAnswer::not_found() };
        cluster.subscription_id = wanted;
        cluster.modified = now;
        ApiAnswer::ok(cluster.show(now))
    }
}

fn refuse<T>(message: impl AsRef<str>) -> Result<T, ApiAnswer> {
    Err(ApiAnswer::refused(400, message.as_ref()))
}

/// A suspended cluster has no nodes to change.
fn running(cluster: &Cluster) -> Result<(), ApiAnswer> {
    if cluster.is_running() { Ok(()) } else { refuse("The cluster is not running.") }
}

fn scale(cluster: &Cluster, body: &Value) -> Result<Asked, ApiAnswer> {
    let mut problems = Problems::of(body, &["product_unit"]);
    let unit = problems.integer(body, "product_unit");
    let most = cluster.product.max_unit();
    if unit.is_some_and(|unit| !(0..=most).contains(&unit)) {
        problems.add("product_unit", &format!("Must be between 0 and {most}."));
    }
    if unit == Some(cluster.unit) && most > 0 {
        problems.add("product_unit", "The cluster has this scale already.");
    }
    if cluster.product.is_free() {
        return refuse("Clusters of product crfree cannot be scaled.");
    }
    let (Some(unit), false) = (unit, problems.any()) else { return Err(problems.refuse()) };
    running(cluster)?;
    let details = json!({
        "current_product_unit": cluster.unit,
        "current_num_nodes": cluster.unit + 1,
        "target_product_unit": unit,
        "target_num_nodes": unit + 1,
    });
    Ok((Effect::Scale(unit), details))
}

fn upgrade(cluster: &Cluster, body: &Value) -> Result<Asked, ApiAnswer> {
    let mut problems = Problems::of(body, &["crate_version"]);
    let version = problems.text(body, "crate_version");
    if let Some(version) = &version {
        if !catalog::has_version(&cluster.channel, version) {
            problems.add("crate_version", &format!("No such version in channel {}.", cluster.channel));
        } else if !catalog::is_newer(version, &cluster.version) {
            problems.add("crate_version", &format!("Must be newer than {}.", cluster.version));
        }
    }
    let (Some(version), false) = (version, problems.any()) else { return Err(problems.refuse()) };
    running(cluster)?;
    let details = json!({ "current_version": cluster.version, "target_version": version });
    Ok((Effect::Upgrade(version), details))
}

fn storage(cluster: &Cluster, body: &Value) -> Result<Asked, ApiAnswer> {
    let mut problems = Problems::of(body, &["disk_size_per_node_bytes"]);
    let bytes = problems.integer(body, "disk_size_per_node_bytes");
    let most = cluster.product.disk_bytes().1;
    match bytes {
        Some(bytes) if bytes <= cluster.disk_bytes => {
            problems.add("disk_size_per_node_bytes", &format!("Must be greater than {}.", cluster.disk_bytes));
        }
        Some(bytes) if bytes > most => {
            problems.add("disk_size_per_node_bytes", &format!("Must be at most {most}."));
        }
        _ => {}
    }
    let (Some(bytes), false) = (bytes, problems.any()) else { return Err(problems.refuse()) };
    running(cluster)?;
    Ok((Effect::ExpandStorage(bytes), json!({})))
}

fn product(cluster: &Cluster, body: &Value) -> Result<Asked, ApiAnswer> {
    let mut problems = Problems::of(body, &["product_name"]);
    let name = problems.text(body, "product_name");
    if cluster.product.is_free() {
        return refuse("Clusters of product crfree cannot change their product.");
    }
    let all = cluster.product.alternatives();
    let found = all.iter().find(|product| name.as_deref() == Some(product.name));
    if name.is_some() && found.is_none() {
        let names: Vec<_> = all.iter().map(|product| product.name).collect();
        problems.add("product_name", &format!("Must be one of: {}.", names.join(", ")));
    }
    let (Some(product), false) = (found, problems.any()) else { return Err(problems.refuse()) };
    running(cluster)?;
    Ok((Effect::ChangeProduct(*product), json!({})))
}

/// Hours of the day, such as `2,4,6`; the minute stays.
fn backups(cluster: &Cluster, body: &Value) -> Result<Asked, ApiAnswer> {
    let mut problems = Problems::of(body, &["backup_hours"]);
    let hours = problems.name(body, "backup_hours");
    let fits = |hours: &str| hours == "*" || hours.split(',').all(|hour| is_hour(hour.trim()));
    if hours.as_deref().is_some_and(|hours| !fits(hours)) {
        problems.add("backup_hours", "Not a valid list of hours, such as 2,4,6.");
    }
    let (Some(hours), false) = (hours, problems.any()) else { return Err(problems.refuse()) };
    if cluster.product.is_free() {
        return refuse("Clusters of product crfree are backed up once a day.");
    }
    let minute = cluster.backup_schedule.split(' ').next().unwrap_or("55");
    Ok((Effect::ChangeBackups(format!("{minute} {} * * *", hours.replace(' ', ""))), json!({})))
}

fn is_hour(text: &str) -> bool {
    text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u8>().is_ok_and(|hour| hour < 24)
}

fn networks(cluster: &Cluster, body: &Value) -> Result<Asked, ApiAnswer> {
    let mut problems = Problems::of(body, &["ip_whitelist"]);
    let networks = restrictions::read(body, &mut problems);
    let (Some(networks), false) = (networks, problems.any()) else { return Err(problems.refuse()) };
    let details = json!({
        "current_ip_whitelist": restrictions::show(&cluster.ip_whitelist),
        "target_ip_whitelist": restrictions::show(&networks),
    });
    Ok((Effect::Restrict(networks), details))
}

fn password(_: &Cluster, body: &Value) -> Result<Asked, ApiAnswer> {
    let mut problems = Problems::of(body, &["password"]);
    let password = problems.text(body, "password");
    check_password(password.as_deref(), &mut problems);
    let (Some(password), false) = (password, problems.any()) else { return Err(problems.refuse()) };
    Ok((Effect::ChangePassword(password), json!({})))
}
