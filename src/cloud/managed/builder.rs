//! Sets up a managed cluster.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::stop::Me;
use super::{Callback, ManagedCluster, ManagedInner};

use crate::cloud::client::{Client, Home, filled_key};
use crate::cloud::lifecycle::Lifecycle;
use crate::environment::{
    Access, Address, CLOUD_ENDPOINT, Given, Remarks, Server, Sources, address, cloud_target, filled, server,
};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::target::{ClusterAddress, DeployPolicy, Login};

/// The default. Deployments and scalings take minutes.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Sets up a [`ManagedCluster`]; made by [`ManagedCluster::builder`].
///
/// Settings that are left out come from the environment, then from [`.env` files](crate::cloud#which-cluster);
/// credentials also come from [`croud`'s profile file](crate::cloud::ProfileFile). An empty text counts as left out.
/// Only one of `cluster_url`, `cluster_id` and `cluster_name` may be set here.
#[derive(Clone, Default)]
#[must_use = "nothing happens before build()"]
pub struct ManagedClusterBuilder {
    given: Given,
    client: Option<Client>,
    without_environment: bool,
    start_timeout: Option<Duration>,
    stop_on_exit: bool,
    although_in_use: bool,
    on_progress: Option<Callback>,
}

/// Setters of texts; an empty text counts as left out.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident => $field:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, value: impl Into<String>) -> Self {
            self.given.$field = filled(value);
            self
        }
    )*};
}

impl ManagedClusterBuilder {
    texts! {
        /// Selects the cluster by its id, which has to exist; `CRATEDB_CLUSTER_ID`.
        cluster_id => id;
        /// Selects the cluster by its name; `CRATEDB_CLUSTER_NAME`. [`start`](ManagedCluster::start) deploys it if no
        /// cluster has that name.
        cluster_name => name;
        /// Selects the cluster by the address of its HTTP port, which may contain `user:password@`;
        /// `CRATEDB_CLUSTER_URL`. It is looked up by its host among the account's clusters.
        cluster_url => url;
        /// Sets the address of the Cloud API; `CRATEDB_CLOUD_ENDPOINT`.
        endpoint => endpoint;
        /// Sets the organization of a deployment; `CRATEDB_CLOUD_ORGANIZATION_ID`. Default: the one in the profile
        /// file, else the only one.
        organization_id => organization_id;
        /// Sets the project of a deployment; `CRATEDB_CLOUD_PROJECT_ID`. Default: the one with the cluster's name, else
        /// a new one.
        project_id => project_id;
        /// Sets the region of a new project; `CRATEDB_CLOUD_REGION`. Default: the only one.
        region => region;
        /// Sets the subscription that pays for a deployment; `CRATEDB_CLOUD_SUBSCRIPTION_ID`. Default: the only one;
        /// `free_tier` for `crfree`.
        subscription_id => subscription_id;
        /// Sets the product of a deployment; `CRATEDB_CLOUD_PRODUCT`. Default: `crfree`.
        product => product;
        /// Sets the product's tier; `CRATEDB_CLOUD_TIER`. Default: `default`.
        tier => tier;
        /// Sets the version of CrateDB of a deployment; `CRATEDB_VERSION`. Default: the newest one of the channel.
        version => version;
        /// Sets the channel: `stable`, `testing` or `nightly`; `CRATEDB_CHANNEL`. Default: `stable`.
        channel => channel;
        /// Sets the database user of a deployment and of a [`cluster_url`](Self::cluster_url); `CRATEDB_USERNAME`.
        /// Default: `admin` for a deployment.
        username => username;
    }

    /// Sets the password of that user, at least 24 characters for a deployment; `CRATEDB_PASSWORD`. Default: for a
    /// deployment a random one that is stored nowhere, since SQL is sent with a [token](ManagedCluster::jwt).
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.given.password = filled(password).map(Secret::new);
        self
    }

    /// Sets an API key and its secret; `CRATEDB_CLOUD_API_KEY` and `CRATEDB_CLOUD_API_SECRET`.
    pub fn api_key(mut self, key: impl Into<String>, secret: impl Into<String>) -> Self {
        self.given.api_key = filled_key(key, secret);
        self
    }

    /// Uses an existing client: its endpoint, its credentials and its organization replace those of the environment.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Sets the number of nodes of a deployment. Default: the minimum of the product.
    pub fn nodes(mut self, nodes: u32) -> Self {
        self.given.product_unit = Some(nodes.saturating_sub(1));
        self
    }

    /// Sets the size of a deployment as the API counts it: the number of nodes minus one.
    pub fn product_unit(mut self, unit: u32) -> Self {
        self.given.product_unit = Some(unit);
        self
    }

    /// Sets whether [`start`](ManagedCluster::start) may deploy a cluster that does not exist; `CRATEDB_CLOUD_DEPLOY`,
    /// `auto` or `never`. Default: true.
    pub fn deploy(mut self, deploy: bool) -> Self {
        self.given.deploy = Some(if deploy { DeployPolicy::Auto } else { DeployPolicy::Never });
        self
    }

    /// Sets the time limit for one answer of the Cloud API; `CRATEDB_CLOUD_TIMEOUT`. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.given.timeout = Some(timeout);
        self
    }

    /// Sets the time limit for a whole operation, such as a start with all its waits. Default: 15 min.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = Some(timeout);
        self
    }

    /// Sets whether [`run`](ManagedCluster::run) suspends the cluster at the end, if nobody else uses it then. Default:
    /// false.
    pub fn stop_on_exit(mut self, stop: bool) -> Self {
        self.stop_on_exit = stop;
        self
    }

    /// Sets whether the cluster is suspended or deleted even if tests or other programs
    /// [use it](ManagedCluster::leases). Their statements then fail. Default: false.
    ///
    /// ```no_run
    /// # async fn example() -> cratedb_test::Result<()> {
    /// use cratedb_test::ManagedCluster;
    ///
    /// let cluster = ManagedCluster::builder().cluster_name("ci").stop_although_in_use(true).build()?;
    /// cluster.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop_although_in_use(mut self, stop: bool) -> Self {
        self.although_in_use = stop;
        self
    }

    /// Sets a callback for progress messages, which are fragments such as "resuming cluster `ci` (…): IN_PROGRESS". It
    /// is called on the background thread of this process and must not block.
    pub fn on_progress(mut self, callback: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(callback));
        self
    }

    /// Sets whether credentials may be sent over plain HTTP to another machine; `CRATEDB_ALLOW_PLAIN_HTTP`. Default:
    /// false.
    pub fn allow_plain_http(mut self, allow: bool) -> Self {
        self.given.plain_http = Some(allow);
        self
    }

    /// Sets whether the environment, `.env` and the profile file are read at all. Default: true.
    pub fn env(mut self, environment: bool) -> Self {
        self.without_environment = !environment;
        self
    }

    /// Makes the cluster. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When no cluster is named, or when code names it in two ways; when there are no credentials, unless the cluster
    /// is given by its URL and used for SQL only; when a secret would go where only a farther source than its own says,
    /// or over plain HTTP to another machine; when a variable, `.env` or the profile file can't be read.
    pub fn build(self) -> Result<ManagedCluster> {
        let sources = if self.without_environment { Sources::none() } else { Sources::of_program()? };
        let remarks = Remarks::of(&sources);
        self.built(&sources, remarks.clone()).map_err(|error| remarks.on(error))
    }

    fn built(mut self, sources: &Sources, mut remarks: Remarks) -> Result<ManagedCluster> {
        if let Some(client) = &self.client {
            self.given.endpoint = Some(client.endpoint().to_owned());
        }
        let mut notes = Vec::new();
        let (cluster, server) = match address(&self.given, sources, &mut notes)? {
            Some(Address::Cluster(cluster)) => (cluster, None),
            Some(Address::Url(url)) => {
                let server = server(&url, &self.given, sources, &mut notes)?;
                remarks = server.remarks.clone();
                (ClusterAddress::Url(server.url.clone()), Some(server))
            }
            None => return Err(no_address(!self.without_environment, sources)),
        };
        let (client, access) = self.access(sources, &cluster, server.as_ref())?;
        let organization_id = client.organization_id().map(str::to_owned);
        let mut target = cloud_target(&self.given, sources, access, cluster)?;
        // The organization of a client that code passes takes precedence over the environment; a profile's does not.
        target.organization_id = match (&self.client, &self.given.organization_id) {
            (Some(_), None) => organization_id.or(target.organization_id),
            _ => target.organization_id.or(organization_id),
        };
        if let Some(callback) = &self.on_progress {
            notes.iter().for_each(|note| callback(note));
        }
        Ok(ManagedCluster(Arc::new(ManagedInner {
            lifecycle: Arc::new(Lifecycle { target, client }),
            server,
            start_timeout: self.start_timeout.unwrap_or(START_TIMEOUT),
            stop_on_exit: self.stop_on_exit,
            although_in_use: self.although_in_use,
            me: Me::default(),
            notes,
            remarks,
            on_progress: self.on_progress,
            connection: Mutex::new(None),
        })))
    }

    /// Returns the client for the Cloud API. A cluster that is given by its URL needs no credentials.
    fn access(&self, sources: &Sources, cluster: &ClusterAddress, server: Option<&Server>) -> Result<(Client, Access)> {
        let nobody = |endpoint: &str, timeout: Duration| Access {
            endpoint: endpoint.to_owned(),
            login: Login::Nobody,
            organization_id: None,
            region: None,
            timeout,
            origin: String::new(),
        };
        if let Some(client) = &self.client {
            return Ok((client.clone(), nobody(client.endpoint(), client.timeout())));
        }
        match Access::find(&self.given, sources) {
            Ok(access) => Ok((Client::new(access.clone(), Home::Background)?, access)),
            Err(error) if server.is_some() && error.is_not_allowed() => {
                let endpoint = self.given.endpoint.clone().or_else(|| sources.get("CRATEDB_CLOUD_ENDPOINT"));
                let access = nobody(endpoint.as_deref().unwrap_or(CLOUD_ENDPOINT), Duration::from_secs(30));
                Ok((Client::without_credentials(access.clone(), error)?, access))
            }
            Err(error) => Err(error.needed_to(&format!("cannot use {cluster} of CrateDB Cloud"))),
        }
    }
}

fn no_address(environment: bool, sources: &Sources) -> Error {
    let error = Error::new(Kind::Setting, "cannot tell which cluster is meant");
    if environment {
        let error = error
            .because("none of CRATEDB_CLUSTER_URL, CRATEDB_CLUSTER_ID and CRATEDB_CLUSTER_NAME is set")
            .hint("set one of them, in the environment or in .env, or call cluster_name(…) of the builder");
        sources.looked().into_iter().fold(error, Error::hint)
    } else {
        error.because("none of cluster_url, cluster_id and cluster_name is given")
    }
}
