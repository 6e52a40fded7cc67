//! What the service offers: products, regions, versions.

use super::cluster::Dates;
use super::model;

model! {
    /// A kind of cluster or of storage that can be had.
    pub struct Product {
        /// `cluster` or `storage`.
        pub kind: String,
        /// Such as `cr1`.
        pub name: String,
        /// Such as `default`.
        pub tier: String,
        /// For people.
        pub label: String,
        /// For people.
        pub description: String,
        /// Where it is offered.
        pub region: String,
        /// Not to be had any more.
        pub deprecated: bool,
        /// The price of a unit in a minute.
        pub price_per_dtu_minute: Option<f64>,
        /// For people: from how much to how much.
        pub scale_summary: String,
        /// The sizes.
        pub scaling: Vec<ScaleOption>,
        /// What a node has.
        pub specs: Option<Specs>,
        /// Such as `beta`.
        pub tags: Vec<String>,
        /// The offer of a marketplace.
        pub offer: Option<String>,
        /// The plan of a marketplace.
        pub plan: Option<String>,
        /// What it costs, where an answer says so.
        pub price: Option<Price>,
    }

    /// A size of a product.
    pub struct ScaleOption {
        /// The unit to ask for: nodes minus one.
        pub value: u32,
        /// How many nodes that is.
        pub nodes: u32,
        /// For people.
        pub description: String,
    }

    /// What a node of a product has.
    pub struct Specs {
        /// Processors.
        pub cpu_cores: Option<f64>,
        /// Memory.
        pub ram_bytes: Option<u64>,
        /// Storage, where it can't be chosen.
        pub storage_bytes: Option<u64>,
        /// The least storage that can be chosen.
        pub storage_minimum_bytes: Option<u64>,
        /// The most storage that can be chosen.
        pub storage_maximum_bytes: Option<u64>,
    }

    /// What something costs, in US dollars.
    pub struct Price {
        /// In an hour.
        pub price_per_hour: Option<f64>,
        /// In a month.
        pub price_per_month: Option<f64>,
    }

    /// Where clusters can be.
    pub struct Region {
        /// Such as `eks1.eu-west-1.aws`.
        pub name: String,
        /// For people.
        pub description: String,
        /// Whose it is, if it belongs to an organization.
        pub organization_id: Option<String>,
        /// Whether it runs on hardware of the organization.
        pub is_edge_region: bool,
        /// `UP`, `DOWN` or `UNKNOWN`.
        pub status: String,
        /// No new clusters there.
        pub deprecated: bool,
        /// When the service last heard of it, without an offset.
        pub last_seen: Option<String>,
        /// Whether its software can be upgraded.
        pub upgrade_available: bool,
        /// When it was made and changed.
        pub dc: Dates,
    }

    /// The versions of CrateDB that can be had.
    pub struct Versions {
        /// By channel.
        pub crate_versions: Channels,
    }

    /// The newest version of each channel.
    pub struct Channels {
        /// For production.
        pub stable: Release,
        /// Before it is stable.
        pub testing: Release,
        /// Of last night.
        pub nightly: Release,
    }

    /// A version of CrateDB.
    pub struct Release {
        /// As a text, such as `6.4.3`; what a deployment or an upgrade takes.
        pub version: String,
        /// 6 in 6.4.3.
        pub major: Option<u32>,
        /// 4 in 6.4.3.
        pub minor: Option<u32>,
        /// 3 in 6.4.3.
        pub hotfix: Option<u32>,
        /// Of nightly versions.
        pub date: Option<String>,
    }

    /// What the service says of itself.
    pub struct Meta {
        /// The newest version of CrateDB in each channel.
        pub crate_versions: MetaVersions,
        /// The service's own version, as it writes it.
        pub version: serde_json::Value,
    }

    /// The newest version of CrateDB in each channel.
    pub struct MetaVersions {
        /// For production.
        pub stable: String,
        /// Before it is stable.
        pub testing: String,
        /// Of last night.
        pub nightly: String,
    }
}
