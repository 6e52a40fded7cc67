//! The offer of the service: products, regions, versions.

use super::Dates;
use super::model;

model! {
    /// A kind of cluster or of storage that can be ordered.
    pub struct Product {
        /// `cluster` or `storage`.
        pub kind: String,
        /// Such as `cr1`.
        pub name: String,
        /// Such as `default`.
        pub tier: String,
        /// The name for display.
        pub label: String,
        /// The description for display.
        pub description: String,
        /// The region in which it is offered.
        pub region: String,
        /// True if it can no longer be ordered.
        pub deprecated: bool,
        /// The price of a unit for a minute.
        pub price_per_dtu_minute: Option<f64>,
        /// The range of sizes, for display.
        pub scale_summary: String,
        /// The sizes.
        pub scaling: Vec<ScaleOption>,
        /// The hardware of a node.
        pub specs: Option<Specs>,
        /// Such as `beta`.
        pub tags: Vec<String>,
        /// The offer in a marketplace.
        pub offer: Option<String>,
        /// The plan in a marketplace.
        pub plan: Option<String>,
        /// The price, if the answer has it.
        pub price: Option<Price>,
    }

    /// A size of a product.
    pub struct ScaleOption {
        /// The unit to request: the number of nodes minus one.
        pub value: u32,
        /// The number of nodes.
        pub nodes: u32,
        /// The description for display.
        pub description: String,
    }

    /// The hardware of a node of a product.
    pub struct Specs {
        /// The number of processors.
        pub cpu_cores: Option<f64>,
        /// The size of the memory.
        pub ram_bytes: Option<u64>,
        /// The size of the storage, if it is fixed.
        pub storage_bytes: Option<u64>,
        /// The minimum size of the storage that can be chosen.
        pub storage_minimum_bytes: Option<u64>,
        /// The maximum size of the storage that can be chosen.
        pub storage_maximum_bytes: Option<u64>,
    }

    /// The price of a cluster.
    pub struct ClusterPrice {
        /// For its nodes.
        pub cluster_price: Option<Price>,
        /// For its storage.
        pub storage_price: Option<Price>,
        /// For both.
        pub total_price: Option<Price>,
    }

    /// A price in US dollars.
    pub struct Price {
        /// For an hour.
        pub price_per_hour: Option<f64>,
        /// For a month.
        pub price_per_month: Option<f64>,
    }

    /// A region in which clusters can run.
    pub struct Region {
        /// Such as `eks1.eu-west-1.aws`.
        pub name: String,
        /// The description for display.
        pub description: String,
        /// The organization that it belongs to, if any.
        pub organization_id: Option<String>,
        /// True if it runs on hardware of the organization.
        pub is_edge_region: bool,
        /// `UP`, `DOWN` or `UNKNOWN`.
        pub status: String,
        /// True if no new clusters are accepted.
        pub deprecated: bool,
        /// When the service last heard from it, without an offset.
        pub last_seen: Option<String>,
        /// True if its software can be upgraded.
        pub upgrade_available: bool,
        /// When it was created and changed.
        pub dc: Dates,
    }

    /// The versions of CrateDB that can be deployed.
    pub struct Versions {
        /// By channel.
        pub crate_versions: Channels,
    }

    /// The newest version of each channel.
    pub struct Channels {
        /// For production use.
        pub stable: Release,
        /// The candidate for `stable`.
        pub testing: Release,
        /// The last nightly build.
        pub nightly: Release,
    }

    /// A version of CrateDB.
    pub struct Release {
        /// The version as a text, such as `6.4.3`, as a deployment or an upgrade takes it.
        pub version: String,
        /// 6 in 6.4.3.
        pub major: Option<u32>,
        /// 4 in 6.4.3.
        pub minor: Option<u32>,
        /// 3 in 6.4.3.
        pub hotfix: Option<u32>,
        /// The date of a nightly build.
        pub date: Option<String>,
    }

    /// The service's description of itself.
    pub struct Meta {
        /// The newest version of CrateDB in each channel.
        pub crate_versions: MetaVersions,
        /// The service's own version, in its own form.
        pub version: serde_json::Value,
    }

    /// The newest version of CrateDB in each channel.
    pub struct MetaVersions {
        /// For production use.
        pub stable: String,
        /// The candidate for `stable`.
        pub testing: String,
        /// The last nightly build.
        pub nightly: String,
    }
}
