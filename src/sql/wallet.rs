//! The credentials of SQL requests, how they are renewed, and the authority that proves the server.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::authority::Authority;
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// The credentials that prove to a server who is asking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Credentials {
    /// None: the server chooses the user, usually the superuser `crate`.
    None,
    /// A user of the database.
    Basic { username: String, password: Secret },
    /// A token of CrateDB Cloud.
    Jwt {
        token: Secret,
        /// When it expires, in seconds since the Unix epoch.
        expires: Option<i64>,
    },
}

impl Credentials {
    /// Returns those of a user, whose password may be empty; none without a user.
    pub(crate) fn of(username: Option<&String>, password: Option<&Secret>) -> Self {
        let password = password.cloned().unwrap_or_default();
        username.cloned().map_or(Self::None, |username| Self::Basic { username, password })
    }
}

pub(crate) type Renewal = Pin<Box<dyn Future<Output = Result<Credentials>> + Send>>;
/// A function that obtains new credentials.
pub(crate) type Renewer = Arc<dyn Fn() -> Renewal + Send + Sync>;

/// The credentials that all clients of a process share, and the authority by which they know the server, if it has one
/// of its own. New ones replace them here.
#[derive(Clone)]
pub(crate) struct Wallet(Arc<WalletInner>);

struct WalletInner {
    current: RwLock<Credentials>,
    authority: RwLock<Option<Authority>>,
    renewer: Option<Renewer>,
    /// Locked while a renewal is under way; keeps the last one that failed.
    renewing: Mutex<Option<(Instant, Error)>>,
}

impl Wallet {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self::with(credentials, None, None)
    }

    /// Returns a wallet for a server that has an authority of its own.
    pub(crate) fn of_server(credentials: Credentials, authority: Option<Authority>) -> Self {
        Self::with(credentials, authority, None)
    }

    /// Returns a wallet with the same credentials and a way to renew them.
    pub(crate) fn with_renewer(self, renewer: Renewer) -> Self {
        Self::with(self.current(), self.authority(), Some(renewer))
    }

    fn with(credentials: Credentials, authority: Option<Authority>, renewer: Option<Renewer>) -> Self {
        let (current, authority) = (RwLock::new(credentials), RwLock::new(authority));
        Self(Arc::new(WalletInner { current, authority, renewer, renewing: Mutex::new(None) }))
    }

    pub(crate) fn current(&self) -> Credentials {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the authority by which the server is known. Clients that exist keep theirs.
    pub(crate) fn authority(&self) -> Option<Authority> {
        self.0.authority.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what is known of another server in the place of this one.
    pub(crate) fn move_to(&self, credentials: Credentials, authority: Option<Authority>) {
        *self.0.authority.write().unwrap_or_else(PoisonError::into_inner) = authority;
        self.replace(credentials);
    }

    pub(crate) fn replace(&self, credentials: Credentials) {
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = credentials;
    }

    /// Returns credentials other than those that a server refused. If many requests are refused at once, one of them
    /// renews, and the others share its result or its error.
    pub(crate) async fn renew(&self, refused: &Credentials) -> Result<Credentials> {
        let asked = Instant::now();
        let mut last_failure = self.0.renewing.lock().await;
        let current = self.current();
        if current != *refused {
            return Ok(current);
        }
        if let Some((_, error)) = last_failure.as_ref().filter(|(at, _)| *at >= asked) {
            return Err(error.clone());
        }
        let Some(renewer) = &self.0.renewer else {
            let error = Error::new(Kind::Session, "cannot renew the credentials");
            return Err(error.because("there is no way to get new ones"));
        };
        let failed = |error: &Error| *last_failure = Some((Instant::now(), error.clone()));
        let renewed = renewer().await.inspect_err(failed)?;
        self.replace(renewed.clone());
        Ok(renewed)
    }
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wallet").field(&self.current()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn jwt(token: &str) -> Credentials {
        Credentials::Jwt { token: Secret::new(token), expires: None }
    }

    /// A wallet whose renewer answers `outcome` after all who wait for it have asked.
    fn wallet(outcome: Result<Credentials>) -> (Wallet, Arc<AtomicUsize>) {
        let renewals = Arc::new(AtomicUsize::new(0));
        let counted = renewals.clone();
        let wallet = Wallet::new(jwt("old")).with_renewer(Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let outcome = outcome.clone();
            Box::pin(async move {
                tokio::task::yield_now().await;
                outcome
            })
        }));
        (wallet, renewals)
    }

    async fn renew_at_once(wallet: &Wallet, times: usize) -> Vec<Result<Credentials>> {
        let tasks: Vec<_> = (0..times)
            .map(|_| {
                let wallet = wallet.clone();
                tokio::spawn(async move { wallet.renew(&jwt("old")).await })
            })
            .collect();
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        outcomes
    }

    #[tokio::test]
    async fn renews_once_for_many_that_were_refused_at_once() {
        let (wallet, renewals) = wallet(Ok(jwt("new")));
        for outcome in renew_at_once(&wallet, 20).await {
            assert_eq!(outcome.unwrap(), jwt("new"));
        }
        assert_eq!((wallet.current(), renewals.load(Ordering::Relaxed)), (jwt("new"), 1));
    }

    #[tokio::test]
    async fn fails_once_for_many_that_were_refused_at_once_and_tries_again_later() {
        let (wallet, renewals) = wallet(Err(Error::new(Kind::Cloud, "cannot get a token")));
        for outcome in renew_at_once(&wallet, 20).await {
            assert_eq!(outcome.unwrap_err().to_string(), "cannot get a token");
        }
        assert_eq!(renewals.load(Ordering::Relaxed), 1);
        wallet.renew(&jwt("old")).await.unwrap_err();
        assert_eq!(renewals.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn takes_what_was_pushed_meanwhile_without_renewing() {
        let (wallet, renewals) = wallet(Ok(jwt("renewed")));
        wallet.replace(jwt("pushed"));
        assert_eq!(wallet.renew(&jwt("old")).await.unwrap(), jwt("pushed"));
        assert_eq!(renewals.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn hides_its_secrets() {
        assert!(!format!("{:?}", Wallet::new(jwt("hunter2"))).contains("hunter2"));
    }
}
