//! The access of PostgreSQL drivers: a user with a password, since a token is valid for HTTP only.

use std::time::{Duration, Instant};

use super::CloudProvider;
use crate::clock::{self, ServerClock};
use crate::cloud::lifecycle::{ADMIN, named};
use crate::cloud::model::ClusterInfo;
use crate::error::{Error, Kind, Result};
use crate::provider::{Progress, url};
use crate::secret::Secret;
use crate::sql::{self, SqlClient, Wallet, code};
use crate::user;

/// The limit for making a user, for which everything else waits.
const LIMIT: Duration = Duration::from_secs(15);
/// CrateDB Cloud maps every cluster's PostgreSQL port to this one.
const PORT: u16 = 5432;

#[derive(Default)]
pub(super) struct Postgres {
    pub(super) url: Option<Secret>,
    /// The user that was made for it.
    pub(super) user: Option<String>,
    /// The reason that there is no access, and what would give it.
    pub(super) hint: Option<String>,
    /// The server did not answer while the user was made.
    pub(super) is_unanswered: bool,
}

impl CloudProvider {
    /// Returns the access with the password that is set, or as a user that is made for this acquisition. It is
    /// optional.
    pub(super) async fn postgres(
        &self,
        cluster: &ClusterInfo,
        http_url: &str,
        wallet: &Wallet,
        clock: Option<ServerClock>,
        deadline: Instant,
        progress: &Progress,
    ) -> Postgres {
        // Each cluster of CrateDB Cloud has a host of its own, with TLS. Those of the simulator, and only those, are
        // ports of one machine without TLS. Each has another port for PostgreSQL, and reports it as any server does.
        let is_simulated = !http_url.starts_with("https:");
        let port = if is_simulated { url::psql_port(http_url, wallet).await } else { Some(PORT) };
        let Some(port) = port else {
            return Postgres {
                hint: Some(format!("{} does not speak PostgreSQL", named(cluster))),
                ..Postgres::default()
            };
        };
        let address = |username: &str, password: &Secret| url::pg_url(http_url, port, Some(username), Some(password));
        if let Some(password) = &self.target().password {
            return Postgres { url: address(self.username(cluster), password), ..Postgres::default() };
        }
        progress.step(format!("making a user for PostgreSQL drivers on {}", named(cluster)));
        let name = user::name(clock::now(clock));
        let limit = deadline.min(Instant::now() + LIMIT);
        let made = match tokio::time::timeout_at(limit.into(), SessionUser::make(&name, http_url, wallet)).await {
            Ok(made) => made,
            Err(_) => Err(Error::new(Kind::Timeout, "the server did not answer in time")),
        };
        match made {
            Ok(made) => {
                let url = address(&made.name, &made.password);
                Postgres { url, user: Some(made.name), ..Postgres::default() }
            }
            Err(error) => {
                tracing::warn!(%error, "no user was made");
                let hint = format!(
                    "the token of {} is good for HTTP only, and a user for PostgreSQL could not be made ({error}); \
                     set CRATEDB_USERNAME and CRATEDB_PASSWORD to those of one",
                    named(cluster)
                );
                // It may have been made nevertheless.
                Postgres { hint: Some(hint), user: Some(name), url: None, is_unanswered: error.status().is_none() }
            }
        }
    }

    fn username<'a>(&'a self, cluster: &'a ClusterInfo) -> &'a str {
        match &self.target().username {
            Some(username) => username,
            None if cluster.username.is_empty() => ADMIN,
            None => &cluster.username,
        }
    }
}

/// A user with all privileges of the cluster's own user. The keeper drops it with the release.
pub(super) struct SessionUser {
    name: String,
    password: Secret,
}

impl SessionUser {
    pub(super) async fn make(name: &str, http_url: &str, wallet: &Wallet) -> Result<Self> {
        let client = SqlClient::new(http_url, None, wallet.clone())?;
        let password = Secret::random()?;
        // As an argument, since `sys.jobs_log` shows statements and not their arguments.
        let args = [sql::bind(password.expose())
            .map_err(|error| Error::new(Kind::Provider, "cannot send a password").because(error))?];
        let created = client.send(&format!("CREATE USER {name} WITH (password = ?)"), &args).await;
        let made = match created {
            Ok(_) => grant(&client, name).await,
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            // The user may exist although the answer was lost.
            let _ = client.send(&format!("DROP USER IF EXISTS {name}"), &[]).await;
            return Err(error);
        }
        Ok(Self { name: name.to_owned(), password })
    }
}

/// Grants all privileges, or all but administration if the cluster's own user can't grant that.
async fn grant(client: &SqlClient, name: &str) -> Result<()> {
    match client.send(&format!("GRANT ALL PRIVILEGES TO {name}"), &[]).await {
        Err(error) if error.code() == Some(code::MISSING_PRIVILEGE) => {
            client.send(&format!("GRANT DQL, DML, DDL TO {name}"), &[]).await.map(drop)
        }
        granted => granted.map(drop),
    }
}
