//! The connection to a cluster's SQL: its address and its credentials.

use serde_json::value::RawValue;
use std::sync::PoisonError;

use super::{ManagedCluster, ManagedInner};
use crate::cloud::leases::LeaseTable;
use crate::cloud::lifecycle::{Hooks as _, Run, named};
use crate::cloud::model::ClusterInfo;
use crate::cloud::token::{ClusterToken, token};
use crate::error::{Error, Result};
use crate::probe::{self, Readiness};
use crate::sql::{Answer, Credentials, SqlClient, Wallet};

/// A client for a cluster's SQL and the token that it uses.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: SqlClient,
    url: String,
    wallet: Wallet,
    /// None for a server that the account does not have.
    token: Option<ClusterToken>,
}

impl Connection {
    fn new(url: &str, wallet: Wallet, token: Option<ClusterToken>) -> Result<Self> {
        let client = SqlClient::for_statements(url, None, wallet.clone())?;
        Ok(Self { client, url: url.to_owned(), wallet, token })
    }

    /// Returns the table of leases behind the same address.
    pub(super) fn leases(&self) -> Result<LeaseTable> {
        LeaseTable::of(&self.url, self.wallet.clone())
    }
}

impl ManagedCluster {
    /// Returns a client for the harness's own statements. Call it on the background thread.
    #[cfg(feature = "harness")]
    pub(crate) async fn sql_client(&self) -> Result<SqlClient> {
        Ok(self.0.connect().await?.client)
    }

    /// Executes one statement. Call it on the background thread.
    pub(crate) async fn send(&self, stmt: &str, args: &[Box<RawValue>]) -> Result<Answer> {
        let connection = self.0.connect().await?;
        match connection.client.send(stmt, args).await {
            Err(error) if is_nobody_there(&error) => Err(self.0.remarks.on(self.0.explained(error).await)),
            Err(error) if error.status() == Some(401) => Err(self.0.remarks.on(error)),
            answer => answer,
        }
    }
}

impl ManagedInner {
    /// Returns a connection whose token is good for some time.
    pub(super) async fn connect(&self) -> Result<Connection> {
        self.connect_knowing(None).await
    }

    /// Does the same without asking for the cluster, if it was looked at just now.
    pub(super) async fn connect_knowing(&self, seen: Option<&ClusterInfo>) -> Result<Connection> {
        let known = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(connection) = known {
            let Some(token) = &connection.token else { return Ok(connection) };
            match token.renew_in_time().await {
                // The cluster was deleted, and perhaps created again under its name.
                Err(error) if error.status() == Some(404) => self.forget_connection(),
                renewed => return renewed.map(|()| connection),
            }
        }
        let connection = match seen {
            Some(cluster) => self.connection_to(cluster)?,
            None => self.find_connection().await?,
        };
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
                // The token goes to the address that the service reports, not to the one that was given.
                Ok(cluster) => return self.connection_to(&cluster),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let credentials = Credentials::of(server.username.as_ref(), server.password.as_ref());
        Connection::new(&server.url, Wallet::new(credentials), None)
    }

    fn connection_to(&self, cluster: &ClusterInfo) -> Result<Connection> {
        let token = token(&self.lifecycle.client, &cluster.id);
        Connection::new(self.lifecycle.http_url(cluster)?, token.wallet().clone(), Some(token))
    }

    pub(super) fn forget_connection(&self) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits until a running cluster answers SQL. Its host name and its load balancer may need longer than its
    /// operation.
    pub(super) async fn until_it_answers(&self, cluster: &ClusterInfo, run: &Run<'_>) -> Result<()> {
        let (connection, deadline) = (self.connection_to(cluster)?, run.deadline);
        let token = token(&self.lifecycle.client, &cluster.id);
        let renew = || token.renew_in_time();
        self.lifecycle.read(&format!("a token for {}", named(cluster)), deadline, run, renew).await?;
        let url = self.lifecycle.http_url(cluster)?;
        let patience = Readiness::StartingForOne;
        let answers = probe::answers_sql(url, token.wallet(), patience, deadline, |text| self.step(text)).await;
        answers.map_err(|error| error.hint(format!("{} is running, says CrateDB Cloud", named(cluster))))?;
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(())
    }

    /// Adds to an error why the cluster does not answer, if CrateDB Cloud knows.
    async fn explained(&self, error: Error) -> Error {
        if self.lifecycle.client.missing().is_some() {
            return error;
        }
        match self.lifecycle.look().await {
            Ok(cluster) => {
                let name = named(&cluster);
                error.hints(match cluster.busy() {
                    Some(kind) => Some(format!("{name} is busy with operation {kind}: `start` waits for it")),
                    None => suspended(&cluster),
                })
            }
            Err(look) if look.is_not_found() => {
                self.forget_connection();
                error.hint(look.first_line())
            }
            Err(_) => error,
        }
    }
}

/// Returns the hint for work that a suspended cluster does not do.
pub(super) fn suspended(cluster: &ClusterInfo) -> Option<String> {
    cluster.suspended.then(|| format!("{} is suspended: `start` resumes it", named(cluster)))
}

/// Reports whether the answer did not come from CrateDB.
fn is_nobody_there(error: &Error) -> bool {
    error.code().is_none() && (error.is_transport() || matches!(error.status(), Some(404 | 502..=504)))
}
