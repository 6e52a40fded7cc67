//! Tells a test how clients of its own log in to its cluster, and by what they know the server.

use std::fmt;
use std::path::PathBuf;

use super::Cluster;
use crate::secret::Secret;
use crate::sql::{Authority, Credentials};

/// A user and a password of the cluster, from [`Cluster::credentials`]. `Debug` does not show the password.
///
/// ```no_run
/// # fn example(cluster: cratedb_test::Cluster) {
/// if let Some(user) = cluster.credentials() {
///     println!("connecting as {}", user.username());
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct UserCredentials {
    username: String,
    password: Secret,
}

impl UserCredentials {
    /// Returns the user's name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Returns the password in clear.
    pub fn password(&self) -> &str {
        self.password.expose()
    }
}

impl fmt::Debug for UserCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCredentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Returns the user and the password with which requests over HTTP log in; none where every client is let in, and
    /// on CrateDB Cloud, where they carry a token ([`env`](Self::env) has it).
    ///
    /// On a server with `auth = "password"` it is the user that the harness made, with all privileges. The PostgreSQL
    /// protocol takes the same, and [`pg_url`](Self::pg_url) contains them.
    ///
    /// ```no_run
    /// use cratedb_test::{Cluster, cratedb_cluster};
    ///
    /// #[cratedb_cluster(auth = "password")]
    /// async fn logs_in(cluster: Cluster) {
    ///     let user = cluster.credentials().expect("the server asks for a password");
    ///     assert_eq!(user.username(), "cratedb_test");
    /// }
    /// # fn main() {}
    /// ```
    pub fn credentials(&self) -> Option<UserCredentials> {
        let _ = self.grant().note_use();
        self.grant().writers.note_address();
        match self.grant().wallet.current() {
            Credentials::Basic { username, password } => Some(UserCredentials { username, password }),
            _ => None,
        }
    }

    /// Returns the certificate, in PEM form, of the authority by which clients know the server. It is made for one
    /// server with `tls`, and no other client trusts it. None where the server does not encrypt, where its certificate
    /// is one that the system trusts, and behind [`with_faults`](Self::with_faults), where clients connect in the
    /// clear.
    ///
    /// ```no_run
    /// use cratedb_test::{Cluster, cratedb_cluster};
    ///
    /// #[cratedb_cluster(tls)]
    /// async fn encrypts(cluster: Cluster) {
    ///     assert!(cluster.http_url().starts_with("https://"));
    ///     let ca = cluster.ca_pem().expect("the server has an authority of its own");
    ///     assert!(ca.starts_with("-----BEGIN CERTIFICATE-----"));
    /// }
    /// # fn main() {}
    /// ```
    pub fn ca_pem(&self) -> Option<String> {
        self.authority().map(|authority| authority.pem().to_owned())
    }

    /// Returns a file with the certificate of [`ca_pem`](Self::ca_pem), for clients that take a path, as in
    /// `sslrootcert`. It goes with the server.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let mut psql = std::process::Command::new("psql");
    /// if let Some(file) = cluster.ca_file() {
    ///     psql.env("PGSSLROOTCERT", file).env("PGSSLMODE", "verify-full");
    /// }
    /// psql.arg(cluster.pg_url()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.authority().map(|authority| authority.file().to_owned())
    }

    /// Returns the authority of the addresses that this handle has.
    pub(crate) fn authority(&self) -> Option<Authority> {
        self.0.route.is_none().then(|| self.grant().wallet.authority()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Grant;
    use crate::cluster::tests::{counting, grant};
    use crate::sql::Wallet;
    use crate::sql::test_server::TestServer;

    #[test]
    fn a_login_is_told_and_its_password_is_not_shown() {
        let server = TestServer::start(counting);
        let credentials = Credentials::Basic { username: "ada".into(), password: Secret::new("hunter2") };
        let authority = Authority::new(include_str!("../faults/localhost.pem").into(), "/run/x.ca.pem".into());
        let wallet = Wallet::of_server(credentials, Some(authority));
        let cluster = Cluster::new(Grant { wallet, ..grant(&server.url()) }).unwrap();
        let user = cluster.credentials().unwrap();
        assert_eq!((user.username(), user.password()), ("ada", "hunter2"));
        for shown in [format!("{user:?}"), format!("{cluster:?}"), format!("{:?}", cluster.grant().wallet)] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(cluster.ca_file(), Some("/run/x.ca.pem".into()));
        assert!(cluster.ca_pem().unwrap().contains("BEGIN CERTIFICATE"));
        // What is known of the writers ends with an address that others may use.
        assert_eq!(cluster.grant().writers.settled(), None);
        let (faulty, _faults) = cluster.with_faults().unwrap();
        assert_eq!((faulty.ca_pem(), faulty.ca_file()), (None, None));
        assert_eq!(faulty.credentials().unwrap().password(), "hunter2");
    }

    #[test]
    fn an_open_server_has_neither() {
        let server = TestServer::start(counting);
        let cluster = Cluster::new(grant(&server.url())).unwrap();
        assert!(cluster.credentials().is_none() && cluster.ca_pem().is_none() && cluster.ca_file().is_none());
    }
}
