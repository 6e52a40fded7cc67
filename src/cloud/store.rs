//! The tokens for clusters' SQL of this process: one for each cluster and user, shared, renewed in time, never written down.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::client::Client;
use super::model::Jwt;
use super::operation::passing;
use crate::error::Result;
use crate::sql::{Credentials, Wallet};

/// How long before its end a token is renewed: no statement that is sent meets one that ends on the way. One that lives
/// hardly longer than that is used for a tenth of its life, or every statement would ask for another.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// After a renewal in time that failed, while the token is still good.
const AGAIN: i64 = 30;

/// Entries that nobody can use any more are removed once there are so many.
const MANY: usize = 64;

/// Endpoint, user and cluster: a token of one must never be taken for another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    endpoint: String,
    principal: String,
    cluster: String,
}

/// The token of one cluster for one user.
#[derive(Clone)]
pub(super) struct Token(Arc<Inner>);

struct Inner {
    wallet: Wallet,
    /// The answer that the wallet's token came with, and when, in Unix seconds.
    answer: Arc<Mutex<(Jwt, i64)>>,
    /// No renewal in time before this, in Unix seconds.
    not_before: AtomicI64,
}

/// The token of a cluster as this client's user, whether it was asked for already or not.
pub(super) fn token(client: &Client, cluster: &str) -> Token {
    static STORE: LazyLock<Mutex<HashMap<Key, Token>>> = LazyLock::new(Mutex::default);
    let key = Key {
        endpoint: client.endpoint().to_owned(),
        principal: client.principal().to_owned(),
        cluster: cluster.to_owned(),
    };
    let mut store = STORE.lock().unwrap_or_else(PoisonError::into_inner);
    if store.len() > MANY {
        store.retain(|_, token| token.is_good_for(Duration::ZERO));
    }
    store.entry(key).or_insert_with(|| Token::new(client.clone(), cluster.to_owned())).clone()
}

impl Token {
    fn new(client: Client, cluster: String) -> Self {
        let answer = Arc::new(Mutex::new((Jwt::default(), 0)));
        let kept = answer.clone();
        let wallet = Wallet::new(Credentials::None).with_renewer(Arc::new(move || {
            let (client, cluster, kept) = (client.clone(), cluster.clone(), kept.clone());
            Box::pin(async move {
                let jwt = client.jwt(&cluster).await?;
                let credentials = Credentials::Jwt { token: jwt.token.clone(), expires: jwt.expires() };
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = (jwt, now());
                Ok(credentials)
            })
        }));
        Self(Arc::new(Inner { wallet, answer, not_before: AtomicI64::new(0) }))
    }

    /// What SQL requests take their credentials from.
    pub(super) fn wallet(&self) -> &Wallet {
        &self.0.wallet
    }

    /// Makes sure that the token is good for a while. However many ask at once, one request is sent.
    pub(super) async fn renew_in_time(&self) -> Result<()> {
        let good = self.is_good_for(Duration::ZERO);
        if self.is_good_for(self.margin()) || good && now() < self.0.not_before.load(Ordering::Relaxed) {
            return Ok(());
        }
        let stale = self.0.wallet.current();
        match self.0.wallet.renew(&stale).await {
            // The service is in trouble, and what we have is good for some minutes still.
            Err(error) if passing(&error) && self.is_good_for(Duration::ZERO) => {
                self.0.not_before.store(now() + AGAIN, Ordering::Relaxed);
                Ok(())
            }
            renewed => renewed.map(drop),
        }
    }

    /// The token with all that came with it.
    pub(super) async fn jwt(&self) -> Result<Jwt> {
        self.renew_in_time().await?;
        Ok(self.0.answer.lock().unwrap_or_else(PoisonError::into_inner).0.clone())
    }

    fn margin(&self) -> Duration {
        let received = self.0.answer.lock().unwrap_or_else(PoisonError::into_inner).1;
        match self.0.wallet.current() {
            Credentials::Jwt { expires: Some(end), .. } => {
                MARGIN.min(Duration::from_secs(u64::try_from(end - received).unwrap_or(0)) * 9 / 10)
            }
            _ => MARGIN,
        }
    }

    fn is_good_for(&self, time: Duration) -> bool {
        match self.0.wallet.current() {
            // One whose end is not known is used until it is refused.
            Credentials::Jwt { expires, .. } => expires.is_none_or(|end| end > now() + seconds(time)),
            _ => false,
        }
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, seconds)
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
