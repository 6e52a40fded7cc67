//! The tokens of this process for SQL on clusters: one for each cluster and user, shared, renewed early, never stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use super::client::Client;
use super::model::Jwt;
use super::operation::passing;
use crate::error::Result;
use crate::sql::{Credentials, Wallet};

/// A token is renewed this long before it expires, so that it does not expire on the way to the server. A token that
/// lives hardly longer than that is used for a tenth of its life. Otherwise every statement would request another one.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Seconds until the next attempt after an early renewal that failed, while the token is still good.
const AGAIN: i64 = 30;

/// Expired entries that are not in use are removed once there are so many entries.
const MANY: usize = 64;

/// The tokens by endpoint, user and cluster: a token of one must never be used for another.
type ClusterTokens = HashMap<(String, String, String), ClusterToken>;

/// The token of one cluster for one user.
#[derive(Clone)]
pub(super) struct ClusterToken(Arc<TokenInner>);

struct TokenInner {
    /// The client that requests the token. The times here are by its service's clock, which sets the end of the token.
    client: Client,
    wallet: Wallet,
    /// The answer that contained the wallet's token, and when it came, in Unix seconds.
    answer: Arc<Mutex<(Jwt, i64)>>,
    /// No early renewal before this moment, in Unix seconds.
    not_before: AtomicI64,
}

/// Returns the token of a cluster for this client's user, which is requested at its first use.
pub(super) fn token(client: &Client, cluster: &str) -> ClusterToken {
    static TOKENS: LazyLock<Mutex<ClusterTokens>> = LazyLock::new(Mutex::default);
    let key = (client.endpoint().to_owned(), client.principal().to_owned(), cluster.to_owned());
    let mut tokens = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
    if tokens.len() > MANY {
        // One that is in use may be about to be requested.
        tokens.retain(|_, token| Arc::strong_count(&token.0) > 1 || token.is_good_for(Duration::ZERO));
    }
    tokens.entry(key).or_insert_with(|| ClusterToken::new(client.clone(), cluster.to_owned())).clone()
}

impl ClusterToken {
    fn new(client: Client, cluster: String) -> Self {
        let answer = Arc::new(Mutex::new((Jwt::default(), 0)));
        let (kept, asked) = (answer.clone(), client.clone());
        let wallet = Wallet::new(Credentials::None).with_renewer(Arc::new(move || {
            let (client, cluster, kept) = (asked.clone(), cluster.clone(), kept.clone());
            Box::pin(async move {
                let jwt = client.jwt(&cluster).await?;
                let credentials = Credentials::Jwt { token: jwt.token.clone(), expires: jwt.expires() };
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = (jwt, client.now());
                Ok(credentials)
            })
        }));
        Self(Arc::new(TokenInner { client, wallet, answer, not_before: AtomicI64::new(0) }))
    }

    /// Returns the source of credentials for SQL requests.
    pub(super) fn wallet(&self) -> &Wallet {
        &self.0.wallet
    }

    /// Makes sure that the token is good for a while. Simultaneous calls send one request.
    pub(super) async fn renew_in_time(&self) -> Result<()> {
        let good = self.is_good_for(Duration::ZERO);
        if self.is_good_for(self.margin()) || good && self.0.client.now() < self.0.not_before.load(Ordering::Relaxed) {
            return Ok(());
        }
        let stale = self.0.wallet.current();
        match self.0.wallet.renew(&stale).await {
            // The service is in trouble, and the token is still good for some minutes.
            Err(error) if passing(&error) && self.is_good_for(Duration::ZERO) => {
                self.0.not_before.store(self.0.client.now() + AGAIN, Ordering::Relaxed);
                Ok(())
            }
            renewed => renewed.map(drop),
        }
    }

    /// Returns the token with everything that came with it.
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
            // A token without a known end is used until it is refused.
            Credentials::Jwt { expires, .. } => expires.is_none_or(|end| end > self.0.client.now() + seconds(time)),
            _ => false,
        }
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
