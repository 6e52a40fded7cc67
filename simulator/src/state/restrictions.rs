//! The networks that may reach a cluster, and the checks of a list of them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checks::Problems;

/// One entry of a cluster's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Network {
    pub(crate) cidr: String,
    pub(crate) description: Option<String>,
}

/// Reads `ip_whitelist`. Problems are listed under the number of the entry.
pub(super) fn read(body: &Value, problems: &mut Problems) -> Option<Vec<Network>> {
    let Some(list) = body.get("ip_whitelist") else {
        problems.add("ip_whitelist", "Missing data for required field.");
        return None;
    };
    let Some(list) = list.as_array() else {
        problems.add("ip_whitelist", "Invalid type.");
        return None;
    };
    let mut all = Problems::default();
    let networks: Vec<_> = list.iter().enumerate().filter_map(|(at, one)| read_one(at, one, &mut all)).collect();
    problems.nest("ip_whitelist", all);
    Some(networks)
}

fn read_one(at: usize, entry: &Value, all: &mut Problems) -> Option<Network> {
    let mut problems = Problems::of(entry, &["cidr", "description"]);
    let cidr = if entry.is_object() { problems.text(entry, "cidr") } else { None };
    let description = match entry.get("description") {
        None | Some(Value::Null) => None,
        Some(_) => problems.optional_text(entry, "description"),
    };
    if cidr.as_deref().is_some_and(|cidr| !is_cidr(cidr)) {
        problems.add("cidr", "Not a valid network, such as 10.0.0.0/8.");
    }
    problems.check_length("description", description.as_deref());
    let fine = !problems.any();
    all.nest(&at.to_string(), problems);
    Some(Network { cidr: cidr?, description: description.filter(|text| !text.is_empty()) }).filter(|_| fine)
}

/// Accepts an IPv4 or IPv6 network, or a single address.
fn is_cidr(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<std::net::IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

/// Shows a list as an operation does.
pub(super) fn show(networks: &[Network]) -> Value {
    json!(networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_both_families_are_read_and_others_are_named_by_their_number() {
        let list = json!({ "ip_whitelist": [
            { "cidr": "10.0.0.0/8" }, { "cidr": "2001:db8::/32", "description": "lab" }, { "cidr": "10.0.0.0/33" }, 7,
        ] });
        let mut problems = Problems::default();
        let read = read(&list, &mut problems).unwrap();
        assert_eq!((read.len(), read[1].description.as_deref()), (2, Some("lab")));
        let errors = problems.refuse().body.unwrap()["errors"]["ip_whitelist"].clone();
        assert_eq!(errors["2"]["cidr"], json!(["Not a valid network, such as 10.0.0.0/8."]));
        assert_eq!(errors["3"]["_schema"], json!(["Invalid input type."]));
    }
}
