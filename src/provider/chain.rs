//! One front for all providers, and the order in which they are tried.

use std::time::Instant;

#[cfg(feature = "cloud")]
use super::cloud::Cloud;
use super::local::Local;
use super::url::Url;
use super::{Acquired, Intents, OnExit, Progress, Released, Resource, Target};
use crate::error::Result;
#[cfg(not(feature = "cloud"))]
use crate::error::{Error, Kind};
use crate::sql::Credentials;

/// The one provider of a session.
///
/// Which one it is follows from the target alone, but for local servers, where it is the first that this machine has.
/// One that is configured and fails is an error and never the next one's turn: a wrong API key must not silently become
/// a container.
pub(crate) enum Provider {
    Url(Url),
    #[cfg(feature = "cloud")]
    Cloud(Box<Cloud>),
    Local(Box<Local>),
}

impl Provider {
    /// Fails only for what can be told without a request: an endpoint that is no URL, a cargo feature that is off.
    pub(crate) fn chain(target: &Target) -> Result<Self> {
        match target {
            Target::Url(target) => Ok(Self::Url(Url::new(target.clone()))),
            #[cfg(feature = "cloud")]
            Target::Cloud(target) => Ok(Self::Cloud(Box::new(Cloud::new((**target).clone())?))),
            #[cfg(not(feature = "cloud"))]
            Target::Cloud(target) => {
                Err(Error::new(Kind::Setting, format!("cannot use {} of CrateDB Cloud", target.cluster))
                    .because("cratedb-test was built without its feature `cloud`")
                    .hint("add `cloud` to the features of cratedb-test in Cargo.toml"))
            }
            Target::Local(target) => Ok(Self::Local(Box::new(Local::new(target.clone())))),
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

    /// After a killed keeper: what the journal's last intent names, if it is there.
    ///
    /// A Cloud cluster that runs is adopted and comes back; an operation in flight is awaited first. A local server is
    /// removed and never comes back, since nobody knows any more what its tests left in it.
    pub(crate) async fn recover(
        &self,
        held: &serde_json::Value,
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

    /// Lets go of what `held` names; the words of a resource and those of an intent are both good. Doing it again does
    /// no harm.
    pub(crate) async fn release(
        &self,
        held: &serde_json::Value,
        on_exit: OnExit,
        progress: &Progress,
    ) -> Result<Released> {
        match self {
            Self::Url(url) => Ok(url.release()),
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.release(held, on_exit, progress).await,
            Self::Local(local) => local.release(held, on_exit, progress).await,
        }
    }

    /// Called once, at the keeper's end, with everything let go of.
    pub(crate) fn afterwards(&self) {
        if let Self::Local(local) = self {
            local.afterwards();
        }
    }

    /// Credentials as fresh as they can be had: a new JWT on Cloud, the same ones elsewhere.
    pub(crate) async fn credentials(&self, resource: &Resource) -> Result<Credentials> {
        match self {
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => cloud.credentials(&resource.held).await,
            _ => Ok(resource.credentials.clone()),
        }
    }
}
