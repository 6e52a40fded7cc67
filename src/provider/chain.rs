//! One front for all providers, and the order in which they are tried.

use std::time::Instant;

#[cfg(feature = "cloud")]
use super::cloud::CloudProvider;
use super::local::LocalProvider;
use super::url::UrlProvider;
use super::{Acquired, Held, Intents, Progress, Released, Resource};
use crate::error::Result;
#[cfg(not(feature = "cloud"))]
use crate::error::{Error, Kind};
use crate::sql::Credentials;
use crate::target::{OnExit, Target};

/// The provider of a session.
///
/// The target alone decides which one it is. For local servers it is the first that this machine has. A configured
/// provider that fails is an error and not followed by the next one: a wrong API key must not silently become a
/// container.
pub(crate) enum Provider {
    Url(UrlProvider),
    #[cfg(feature = "cloud")]
    Cloud(Box<CloudProvider>),
    Local(Box<LocalProvider>),
}

impl Provider {
    /// Returns the provider of a target. Fails only for reasons that need no request: an endpoint that is not a URL, or
    /// a cargo feature that is off.
    pub(crate) fn chain(target: &Target) -> Result<Self> {
        match target {
            Target::Url(target) => Ok(Self::Url(UrlProvider::new(target.clone()))),
            #[cfg(feature = "cloud")]
            Target::Cloud(target) => Ok(Self::Cloud(Box::new(CloudProvider::new((**target).clone())?))),
            #[cfg(not(feature = "cloud"))]
            Target::Cloud(target) => {
                Err(Error::new(Kind::Setting, format!("cannot use {} of CrateDB Cloud", target.cluster))
                    .because("cratedb-test was built without its feature `cloud`")
                    .hint("add `cloud` to the features of cratedb-test in Cargo.toml"))
            }
            Target::Local(target) => Ok(Self::Local(Box::new(LocalProvider::new(target.clone())))),
        }
    }

    /// Makes the cluster available. Ends by `deadline` in every case.
    pub(crate) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        match self {
            Self::Url(url) => url.acquire(deadline, progress).await,
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.acquire(deadline, progress, intents).await,
            Self::Local(local) => local.acquire(deadline, progress, intents).await,
        }
    }

    /// Returns the cluster of a killed keeper that the journal's last intent names, if it can be used.
    ///
    /// A Cloud cluster that runs is taken over, after an operation in flight has ended. A local server is removed,
    /// since nothing tells what its tests left in it.
    pub(crate) async fn recover(
        &self,
        held: &Held,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Option<Resource>> {
        match self {
            Self::Url(_) => Ok(None),
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.recover(held, deadline, progress).await,
            Self::Local(local) => local.recover(held, deadline, progress).await,
        }
    }

    /// Releases the cluster that `held` names, which is the record of a resource or of an intent. It may be called
    /// again.
    pub(crate) async fn release(&self, held: &Held, on_exit: OnExit, progress: &Progress) -> Result<Released> {
        match self {
            Self::Url(url) => Ok(url.release()),
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.release(held, on_exit, progress).await,
            Self::Local(local) => local.release(held, on_exit, progress).await,
        }
    }

    /// Is called once, at the keeper's end and after the release.
    pub(crate) fn afterwards(&self) {
        if let Self::Local(local) = self {
            local.afterwards();
        }
    }

    /// Returns fresh credentials: a new JWT on Cloud, the same ones elsewhere.
    pub(crate) async fn credentials(&self, resource: &Resource) -> Result<Credentials> {
        match self {
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.credentials(&resource.held).await,
            _ => Ok(resource.credentials.clone()),
        }
    }
}
