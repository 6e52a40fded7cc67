//! A cluster to be made.

use serde::Serialize;

use super::cluster::HardwareSpecs;
use crate::secret::Secret;

/// A cluster to be made, and where.
///
/// ```
/// use cratedb_test::cloud::model::{Deployment, NewCluster};
///
/// let cluster = NewCluster::new("ci", "6.4.3", "cr1", "admin", "at-least-24-characters-long");
/// let deployment = Deployment::new(cluster, "my-subscription").in_new_project("ci", "eks1.eu-west-1.aws");
/// assert_eq!(deployment.cluster.channel, "stable");
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Deployment {
    /// The cluster.
    pub cluster: NewCluster,
    /// Who pays; `free_tier` for the free product.
    pub subscription_id: String,
    /// The project that it goes into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// A project that is made together with the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<NewProject>,
}

/// What the new cluster is to be.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NewCluster {
    /// 3 to 63 characters.
    pub name: String,
    /// Such as `6.4.3`.
    pub crate_version: String,
    /// `stable`, `testing` or `nightly`; a cluster can't change it later.
    pub channel: String,
    /// Such as `cr1`.
    pub product_name: String,
    /// Such as `default`.
    pub product_tier: String,
    /// The number of nodes minus one; the product's least if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_unit: Option<u32>,
    /// For products that leave a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware_specs: Option<HardwareSpecs>,
    /// The database user.
    pub username: String,
    /// 24 to 128 characters.
    pub(crate) password: Secret,
}

/// A project that is made together with a cluster.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NewProject {
    /// Word characters, `-` and spaces.
    pub name: String,
    /// Such as `eks1.eu-west-1.aws`.
    pub region: String,
}

impl Deployment {
    /// Of a cluster that `subscription_id` pays for. A project has to be said too.
    pub fn new(cluster: NewCluster, subscription_id: impl Into<String>) -> Self {
        Self { cluster, subscription_id: subscription_id.into(), project_id: None, project: None }
    }

    /// In a project that exists.
    #[must_use]
    pub fn in_project(self, id: impl Into<String>) -> Self {
        Self { project_id: Some(id.into()), project: None, ..self }
    }

    /// In a project that is made with it.
    #[must_use]
    pub fn in_new_project(self, name: impl Into<String>, region: impl Into<String>) -> Self {
        let project = NewProject { name: name.into(), region: region.into() };
        Self { project: Some(project), project_id: None, ..self }
    }
}

impl NewCluster {
    /// A cluster of tier `default` in channel `stable`, of the product's least size.
    pub fn new(
        name: impl Into<String>,
        crate_version: impl Into<String>,
        product_name: impl Into<String>,
        username: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            crate_version: crate_version.into(),
            channel: "stable".to_owned(),
            product_name: product_name.into(),
            product_tier: "default".to_owned(),
            product_unit: None,
            hardware_specs: None,
            username: username.into(),
            password: Secret::new(password),
        }
    }
}
