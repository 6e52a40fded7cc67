//! The cluster's SQL: where it is, and with what.

use std::sync::PoisonError;
use std::time::Instant;

use serde_json::value::RawValue;

use super::{Inner, ManagedCluster};
use crate::cloud::lifecycle::named;
use crate::cloud::model::{Cluster, Jwt};
use crate::cloud::store::{self, Token};
use crate::error::{Error, Result};
use crate::probe;
use crate::sql::{self, Answer, Credentials, Wallet};

/// The way to a cluster's SQL.
#[derive(Clone)]
pub(super) struct Connection {
    client: sql::SqlClient,
    /// None on a URL where there is no token to be had.
    token: Option<Token>,
}

impl Connection {
    pub(super) fn client(&self) -> &sql::SqlClient {
        &self.client
    }
}

impl ManagedCluster {
    /// A client for statements of the harness's own; for the background thread.
    #[cfg(feature = "harness")]
    pub(crate) async fn sql_client(&self) -> Result<sql::SqlClient> {
        Ok(self.0.connect().await?.client)
    }

    /// Executes one statement; on the background thread.
    pub(crate) async fn send(&self, stmt: &str, args: &[Box<RawValue>]) -> Result<Answer> {
        let connection = self.0.connect().await?;
        match connection.client.send(stmt, args).await {
            Err(error) if is_nobody_there(&error) => Err(self.0.explained(error).await),
            answer => answer,
        }
    }
}

impl Inner {
    /// With a token that is good for some time.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let known = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(connection) = known {
            let Some(token) = &connection.token else { return Ok(connection) };
            match token.renew_in_time().await {
                // Deleted, and maybe made again under its name.
                Err(error) if error.status() == Some(404) => self.forget_connection(),
                renewed => return renewed.map(|()| connection),
            }
        }
        let connection = self.find_connection().await?;
        if let Some(token) = &connection.token {
            token.renew_in_time().await?;
        }
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        Ok(connection)
    }

    async fn find_connection(&self) -> Result<Connection> {
        let Some(server) = &self.server else {
            return self.connection_to(&self.lifecycle.look().await?);
        };
        if self.lifecycle.client.missing().is_none() {
            match self.lifecycle.look().await {
                // The token goes to the address that the service says, not to one that somebody wrote.
                Ok(cluster) => return self.connection_to(&cluster),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let credentials = match (&server.username, &server.password) {
            (Some(username), password) => {
                Credentials::Basic { username: username.clone(), password: password.clone().unwrap_or_default() }
            }
            (None, _) => Credentials::None,
        };
        Ok(Connection { client: sql::SqlClient::new(&server.url, None, Wallet::new(credentials))?, token: None })
    }

    fn connection_to(&self, cluster: &Cluster) -> Result<Connection> {
        let token = store::token(&self.lifecycle.client, &cluster.id);
        let client = sql::SqlClient::new(self.lifecycle.http_url(cluster)?, None, token.wallet().clone())?;
        Ok(Connection { client, token: Some(token) })
    }

    pub(super) fn forget_connection(&self) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Tokens are the account's to give, so a URL alone is not enough.
    pub(super) async fn jwt(&self) -> Result<Jwt> {
        let cluster = self.lifecycle.look().await?;
        store::token(&self.lifecycle.client, &cluster.id).jwt().await
    }

    /// Waits until a cluster that runs answers SQL: its name and its load balancer may need longer than its operation.
    pub(super) async fn until_it_answers(&self, cluster: &Cluster, deadline: Instant) -> Result<()> {
        let connection = self.connection_to(cluster)?;
        let token = store::token(&self.lifecycle.client, &cluster.id);
        token.renew_in_time().await?;
        let url = self.lifecycle.http_url(cluster)?;
        let answers = probe::answers(url, token.wallet(), deadline, |text| self.told(text)).await;
        answers.map_err(|error| error.hint(format!("{} is running, says CrateDB Cloud", named(cluster))))?;
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(())
    }

    /// Why nobody answers, if CrateDB Cloud knows.
    async fn explained(&self, error: Error) -> Error {
        if self.lifecycle.client.missing().is_some() {
            return error;
        }
        match self.lifecycle.look().await {
            Ok(cluster) if cluster.busy().is_some() => {
                let what = cluster.busy().unwrap_or_default();
                error.hint(format!("{} is busy with operation {what}: `start` waits for it", named(&cluster)))
            }
            Ok(cluster) if cluster.suspended => {
                error.hint(format!("{} is suspended: `start` resumes it", named(&cluster)))
            }
            Ok(_) => error,
            Err(look) if look.is_not_found() => {
                self.forget_connection();
                error.hint(look.to_string().lines().next().unwrap_or_default().to_owned())
            }
            Err(_) => error,
        }
    }
}

/// Whether nothing like a CrateDB answered.
fn is_nobody_there(error: &Error) -> bool {
    error.code().is_none() && (error.is_transport() || matches!(error.status(), Some(404 | 502..=504)))
}
