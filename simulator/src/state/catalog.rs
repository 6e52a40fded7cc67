//! The catalogue of the service: products, regions and versions.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::{Micros, stamp};

/// The free product: one per organization, never scaled.
pub(crate) const FREE: &str = "crfree";
/// The subscription that goes with [`FREE`]; a literal, not the id of a subscription.
pub(crate) const FREE_SUBSCRIPTION: &str = "free_tier";
/// Default region of projects.
pub(crate) const REGION: &str = "eks1.eu-west-1.aws";
/// The newest stable version, which is the default for clusters of the command line.
pub(crate) const STABLE: &str = "6.4.3";
const TESTING: &str = "6.5.0";
const NIGHTLY: (&str, &str) = ("6.5.0", "2026-08-21-00-02");
const GIB: i64 = 1 << 30;

const REGIONS: [(&str, &str); 3] = [
    (REGION, "AWS, Ireland"),
    ("aks1.westeurope.azure", "Azure, Netherlands"),
    ("aks1.eastus2.azure", "Azure, Virginia"),
];

/// Feature releases that can be deployed, with their newest hotfix.
const SERIES: [(u32, u32, u32); 9] =
    [(5, 7, 5), (5, 8, 6), (5, 9, 13), (5, 10, 16), (6, 0, 8), (6, 1, 6), (6, 2, 11), (6, 3, 7), (6, 4, 3)];

/// A cluster product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Product {
    pub(crate) name: &'static str,
    pub(crate) tier: &'static str,
    cpus: i64,
    memory_gib: i64,
    storage_gib: (i64, i64),
    max_nodes: i64,
}

const fn product(name: &'static str, cpus: i64, memory_gib: i64, storage_gib: (i64, i64), max_nodes: i64) -> Product {
    Product { name, tier: "default", cpus, memory_gib, storage_gib, max_nodes }
}

const PRODUCTS: [Product; 9] = [
    product(FREE, 2, 2, (8, 8), 1),
    product("s2", 2, 2, (8, 512), 1),
    product("s4", 3, 4, (8, 512), 1),
    product("s6", 4, 6, (8, 512), 1),
    product("s12", 6, 12, (8, 512), 1),
    product("cr1", 2, 7, (32, 2048), 9),
    product("cr2", 4, 14, (32, 4096), 9),
    product("cr3", 8, 28, (32, 8192), 9),
    product("cr4", 16, 55, (32, 8192), 9),
];

/// A product, by its name.
impl Serialize for Product {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Product {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::named(&name).ok_or_else(|| D::Error::custom(format!("there is no product `{name}`")))
    }
}

impl Default for Product {
    fn default() -> Self {
        PRODUCTS[5]
    }
}

impl Product {
    pub(crate) fn named(name: &str) -> Option<Self> {
        PRODUCTS.into_iter().find(|product| product.name == name)
    }

    pub(crate) fn names() -> Vec<&'static str> {
        PRODUCTS.iter().map(|product| product.name).collect()
    }

    /// The vendor's document says this of `cr1` to `cr4` only.
    pub(crate) fn can_be_suspended(&self) -> bool {
        self.name.starts_with("cr") && self.name != FREE
    }

    pub(crate) fn is_free(&self) -> bool {
        self.name == FREE
    }

    pub(crate) fn max_unit(&self) -> i64 {
        self.max_nodes - 1
    }

    /// Smallest and largest disk of a node, in bytes.
    pub(crate) fn disk_bytes(&self) -> (i64, i64) {
        (self.storage_gib.0 * GIB, self.storage_gib.1 * GIB)
    }

    /// Returns the products that its clusters can be changed to: sizes of the same line, except the free one.
    pub(crate) fn alternatives(&self) -> Vec<Self> {
        let line = |product: &Self| product.name.trim_end_matches(|c: char| c.is_ascii_digit());
        let fits = |other: &Self| !self.is_free() && line(other) == line(self) && other.name != self.name;
        PRODUCTS.into_iter().filter(fits).collect()
    }

    pub(crate) fn hardware(&self, disk_bytes: i64) -> Value {
        json!({
            "cpus_per_node": self.cpus as f64,
            "memory_per_node_bytes": self.memory_gib * GIB,
            "heap_size_bytes": self.memory_gib * GIB / 2,
            "disks_per_node": 1,
            "disk_size_per_node_bytes": disk_bytes,
            "disk_type": "standard",
        })
    }

    /// Returns the price of a cluster of this size, with so many bytes of storage on each node.
    pub(crate) fn price(&self, unit: i64, storage_bytes: i64) -> Value {
        const HOURS_OF_A_MONTH: f64 = 730.0;
        let per = |hour: f64| json!({ "price_per_hour": hour, "price_per_month": hour * HOURS_OF_A_MONTH });
        let nodes = if self.is_free() { 0.0 } else { (unit + 1) as f64 };
        let (cluster, storage) =
            (nodes * self.cpus as f64 / 16.0, nodes * (storage_bytes.max(0) as f64 / GIB as f64) / 8192.0);
        json!({ "cluster_price": per(cluster), "storage_price": per(storage), "total_price": per(cluster + storage) })
    }

    pub(crate) fn show(&self, region: &str) -> Value {
        let nodes = |unit: i64| if unit == 0 { "1 node".to_owned() } else { format!("{} nodes", unit + 1) };
        let scaling: Vec<_> = (0..self.max_nodes)
            .map(|unit| json!({ "value": unit, "nodes": unit + 1, "description": nodes(unit) }))
            .collect();
        json!({
            "kind": "cluster",
            "name": self.name,
            "tier": self.tier,
            "label": self.name.to_uppercase(),
            "description": format!("{} vCPU, {} GiB of memory", self.cpus, self.memory_gib),
            "region": region,
            "deprecated": false,
            // `croud` hides products that cost nothing.
            "price_per_dtu_minute": if self.is_free() { 1 } else { 100 * self.cpus },
            "scale_summary": format!("0 - {} (1 - {} nodes)", self.max_unit(), self.max_nodes),
            "scaling": scaling,
            "specs": {
                "cpu_cores": self.cpus,
                "ram_bytes": self.memory_gib * GIB,
                "storage_minimum_bytes": self.storage_gib.0 * GIB,
                "storage_maximum_bytes": self.storage_gib.1 * GIB,
            },
            "tags": [],
            "offer": "",
            "plan": "",
        })
    }
}

/// Lists every product in every region.
pub(crate) fn products() -> Vec<Value> {
    REGIONS.iter().flat_map(|(region, _)| PRODUCTS.iter().map(|product| product.show(region))).collect()
}

pub(crate) fn region_names() -> Vec<&'static str> {
    REGIONS.iter().map(|(name, _)| *name).collect()
}

/// Without `last_seen`: seen naive, documented with an offset, and only regions of one's own have been seen at all.
pub(crate) fn regions(since: Micros) -> Value {
    let show = |(name, description): &(&str, &str)| {
        json!({
            "name": name,
            "description": description,
            "organization_id": "",
            "is_edge_region": false,
            "status": "UP",
            "deprecated": false,
            "upgrade_available": false,
            "dc": stamp::dc(since, since),
        })
    };
    REGIONS.iter().map(show).collect()
}

/// `GET /meta/`.
pub(crate) fn meta() -> Value {
    json!({
        "crate_versions": { "stable": STABLE, "testing": TESTING, "nightly": nightly() },
        "version": { "release": env!("CARGO_PKG_VERSION"), "prerelease": false },
    })
}

fn split(text: &str) -> Value {
    let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let mut part = || parts.next().unwrap_or_default();
    json!({ "version": text, "major": part(), "minor": part(), "hotfix": part() })
}

/// `GET /meta/cratedb-versions/`.
pub(crate) fn versions() -> Value {
    let mut newest = split(NIGHTLY.0);
    newest["date"] = NIGHTLY.1.into();
    newest["version"] = nightly().into();
    json!({ "crate_versions": { "stable": split(STABLE), "testing": split(TESTING), "nightly": newest } })
}

/// Returns the version that a cluster can be upgraded to: the newest of its channel, if that is newer.
pub(crate) fn upgrades(channel: &str, version: &str) -> Value {
    let all = versions();
    let newest = &all["crate_versions"][channel];
    let newer = newest["version"].as_str().is_some_and(|newest| is_newer(newest, version));
    let offered = if newer { json!({ channel: newest }) } else { json!({}) };
    json!({ "crate_versions": offered })
}

/// Returns whether one version comes after another. Versions of a nightly channel are ordered by their text.
pub(crate) fn is_newer(version: &str, than: &str) -> bool {
    let numbers = |text: &str| text.split('.').map_while(|part| part.parse::<u32>().ok()).collect::<Vec<_>>();
    match (numbers(version), numbers(than)) {
        (a, b) if a.len() == 3 && b.len() == 3 => a > b,
        _ => version > than,
    }
}

fn nightly() -> String {
    format!("nightly-{}-{}", NIGHTLY.0, NIGHTLY.1)
}

/// Returns whether the channel has this version.
pub(crate) fn has_version(channel: &str, version: &str) -> bool {
    if channel == "nightly" {
        return version.starts_with("nightly-");
    }
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    let [major, minor, hotfix] = parts[..] else { return false };
    if version.split('.').count() != 3 {
        return false;
    }
    let known = |(a, b, c): &(u32, u32, u32)| (major, minor) == (*a, *b) && hotfix <= *c;
    SERIES.iter().any(known) || (channel == "testing" && version == TESTING)
}

/// The channels a cluster can be deployed from.
pub(crate) const CHANNELS: [&str; 3] = ["stable", "testing", "nightly"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_released_versions_by_channel() {
        assert!(has_version("stable", "5.10.4") && has_version("stable", STABLE) && has_version("testing", TESTING));
        assert!(has_version("nightly", "nightly-6.0.0-2025-05-01-00-02"));
        for unknown in ["6.4", "6.4.3.1", "6.9.0", "latest", "6.4.99", ""] {
            assert!(!has_version("stable", unknown), "{unknown}");
        }
    }

    #[test]
    fn no_product_is_hidden_by_its_price() {
        assert!(products().iter().all(|product| product["price_per_dtu_minute"].as_i64() > Some(0)));
    }
}
