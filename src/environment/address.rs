//! Which cluster is meant: its URL beats its id beats its name.

use super::given::Given;
use super::sources::Sources;
use super::values;
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::target::ClusterAddress;

/// One of the three ways to say which cluster.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Url(String),
    Cluster(ClusterAddress),
}

const NAMES: [&str; 3] = ["CRATEDB_CLUSTER_URL", "CRATEDB_CLUSTER_ID", "CRATEDB_CLUSTER_NAME"];
const IN_CODE: [&str; 3] = ["cluster_url", "cluster_id", "cluster_name"];

/// From the highest source that gives any of the three. What is given beside it is an error in code, where somebody just
/// wrote it, and named in `notes` elsewhere.
pub(crate) fn address(given: &Given, sources: &Sources, notes: &mut Vec<String>) -> Result<Option<Address>> {
    let in_code = [&given.url, &given.id, &given.name];
    let mut in_code = IN_CODE.into_iter().zip(in_code).filter_map(|(name, value)| Some((name, value.clone()?)));
    if let Some((first, value)) = in_code.next() {
        if let Some((second, _)) = in_code.next() {
            return Err(Error::new(Kind::Setting, "cannot tell which cluster is meant")
                .because(format!("{first} and {second} are both given in code"))
                .hint("give one of cluster_url, cluster_id and cluster_name"));
        }
        return Ok(Some(of(first, value)));
    }
    for source in sources.each() {
        let given: Vec<(&str, String)> = NAMES.into_iter().filter_map(|name| Some((name, source.get(name)?))).collect();
        let Some((name, value)) = given.first().cloned() else { continue };
        for (ignored, _) in &given[1..] {
            notes.push(format!("{ignored} is ignored: {name} is set too ({source})"));
        }
        return Ok(Some(of(name, value)));
    }
    Ok(None)
}

fn of(name: &str, value: String) -> Address {
    match name {
        "CRATEDB_CLUSTER_URL" | "cluster_url" => Address::Url(value),
        "CRATEDB_CLUSTER_ID" | "cluster_id" => Address::Cluster(ClusterAddress::Id(value)),
        _ => Address::Cluster(ClusterAddress::Name(value)),
    }
}

/// A server by its URL, and who connects there.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Without credentials, query and slash at its end.
    pub(crate) url: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// Reads a cluster's URL. Credentials in it belong together; a password from elsewhere must not meet another's name.
pub(crate) fn server(text: &str, given: &Given, sources: &Sources) -> Result<Server> {
    let mut url = values::http_url("CRATEDB_CLUSTER_URL", text)?;
    let (username, password) = if url.username().is_empty() {
        (
            given.username.clone().or_else(|| sources.get("CRATEDB_USERNAME")),
            given.password.clone().or_else(|| sources.get("CRATEDB_PASSWORD").map(Secret::new)),
        )
    } else {
        let password = url.password().map(|password| Secret::new(values::percent_decoded(password)));
        (Some(values::percent_decoded(url.username())), password)
    };
    // Neither can fail for http URLs, which have a host.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.set_fragment(None);
    url.set_query(None);
    Ok(Server { url: url.as_str().trim_end_matches('/').to_owned(), username, password })
}
