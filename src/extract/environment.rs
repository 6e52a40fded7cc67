//! Lists the variables with which a process that a test starts connects to the test's schema.

use std::collections::BTreeMap;
use std::fmt;

use url::Url;

use crate::environment::percent_decoded;
use crate::error::Result;
use crate::secret::Secret;
use crate::sql::Credentials;
use crate::{Cluster, blocking};

/// Variables for a child process, from [`Cluster::env`]. Some of them are secrets; `Debug` shows none of their values.
///
/// ```no_run
/// # fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
/// let environment = cluster.env()?;
/// assert!(environment.get("PGHOST").is_some());
/// for (name, _value) in environment {
///     println!("{name} is set");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Environment(BTreeMap<&'static str, Secret>);

impl Environment {
    /// Returns the value of a variable, if it is among them.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose)
    }

    fn of(cluster: &Cluster) -> Result<Self> {
        let grant = cluster.grant();
        grant.note_use()?;
        grant.writers.note_address();
        let mut out = Self(BTreeMap::new());
        let (http_url, pg_url) = cluster.route();
        out.set("CRATEDB_CLUSTER_URL", http_url);
        out.set("CRATEDB_SCHEMA", &grant.schema);
        match grant.wallet.current() {
            Credentials::None => {}
            Credentials::Basic { username, password } => {
                out.set("CRATEDB_USERNAME", username);
                out.set("CRATEDB_PASSWORD", password.expose());
            }
            Credentials::Jwt { token, .. } => out.set("CRATEDB_TOKEN", token.expose()),
        }
        if let Ok(pg_url) = pg_url {
            out.postgres(pg_url);
        }
        if let Some(file) = cluster.ca_file() {
            out.known_by(&file.display().to_string());
        }
        Ok(out)
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.insert(name, Secret::new(value));
    }

    /// Names the file with the authority of the server's certificate, and has libpq and its relatives verify by it.
    fn known_by(&mut self, ca_file: &str) {
        self.set("CRATEDB_CA_FILE", ca_file);
        if self.0.contains_key("PGSSLMODE") {
            self.set("PGSSLROOTCERT", ca_file);
            self.set("PGSSLMODE", "verify-full");
        }
    }

    /// Sets the variables that libpq and its relatives read, and the one that all other drivers read.
    fn postgres(&mut self, pg_url: &str) {
        let Ok(url) = Url::parse(pg_url) else { return };
        self.set("DATABASE_URL", pg_url);
        self.set("PGHOST", url.host_str().unwrap_or_default().trim_matches(['[', ']']));
        self.set("PGPORT", url.port().unwrap_or(5432).to_string());
        self.set("PGDATABASE", url.path().trim_start_matches('/'));
        self.set("PGUSER", percent_decoded(url.username()));
        if let Some(password) = url.password().map(percent_decoded) {
            self.set("PGPASSWORD", password);
        }
        let mode = url.query_pairs().find(|pair| pair.0 == "sslmode").map(|pair| pair.1.into_owned());
        self.set("PGSSLMODE", mode.unwrap_or_else(|| "disable".into()));
    }
}

impl Cluster {
    /// Returns the variables with which a process that this test starts connects to the cluster, in this test's schema.
    ///
    /// They are `CRATEDB_CLUSTER_URL`, `CRATEDB_SCHEMA` and, as the cluster wants them, `CRATEDB_USERNAME` with
    /// `CRATEDB_PASSWORD` or `CRATEDB_TOKEN` (a JWT, which lasts some minutes). Where there is a
    /// [`pg_url`](Self::pg_url), they are also `DATABASE_URL`, `PGHOST`, `PGPORT`, `PGDATABASE`, `PGUSER`, `PGPASSWORD`
    /// and `PGSSLMODE`. For a server with `tls` there are `CRATEDB_CA_FILE` and `PGSSLROOTCERT` as well, the path of
    /// the certificate by which it is known, and `PGSSLMODE` is `verify-full`. It is an error if the test is over.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::Cluster) -> Result<(), Box<dyn std::error::Error>> {
    /// let status = std::process::Command::new("my-app").args(["migrate"]).envs(cluster.env()?).status()?;
    /// assert!(status.success());
    /// # Ok(())
    /// # }
    /// ```
    pub fn env(&self) -> Result<Environment> {
        Environment::of(self)
    }
}

impl blocking::Cluster {
    /// Returns the variables for a process that this test starts; see [`Cluster::env`](crate::Cluster::env).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let mut command = std::process::Command::new("my-app");
    /// command.envs(cluster.env()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn env(&self) -> Result<Environment> {
        Environment::of(self.cluster())
    }
}

/// Yields names, and values in clear: for `Command::envs`.
impl IntoIterator for Environment {
    type Item = (&'static str, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        let shown = self.0.into_iter().map(|(name, value)| (name, value.expose().to_owned()));
        shown.collect::<Vec<_>>().into_iter()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|name| (name, format_args!("…")))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::{cluster, counting, grant};
    use crate::sql::test_server::TestServer;

    fn environment(pg_url: &str) -> Environment {
        let mut environment = Environment(BTreeMap::new());
        environment.postgres(pg_url);
        environment
    }

    #[test]
    fn what_stands_in_the_url_is_told_apart_and_decoded() {
        let environment = environment("postgres://a%40b:p%2Fw+%25&=x@db.example.org/s_1?sslmode=require");
        for (name, value) in [
            ("PGHOST", "db.example.org"),
            ("PGPORT", "5432"),
            ("PGDATABASE", "s_1"),
            ("PGUSER", "a@b"),
            ("PGPASSWORD", "p/w+%&=x"),
            ("PGSSLMODE", "require"),
        ] {
            assert_eq!(environment.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn addresses_lose_their_brackets_and_nobody_is_asked_to_encrypt_on_loopback() {
        let environment = environment("postgres://crate@[::1]:5433/s");
        assert_eq!((environment.get("PGHOST"), environment.get("PGPORT")), (Some("::1"), Some("5433")));
        assert_eq!((environment.get("PGPASSWORD"), environment.get("PGSSLMODE")), (None, Some("disable")));
    }

    #[test]
    fn a_server_with_an_authority_of_its_own_is_verified_by_it() {
        let mut environment = environment("postgres://cratedb_test:p@127.0.0.1:5433/s?sslmode=require");
        environment.known_by("/run/x.ca.pem");
        for (name, value) in [
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/run/x.ca.pem"),
            ("CRATEDB_CA_FILE", "/run/x.ca.pem"),
            ("DATABASE_URL", "postgres://cratedb_test:p@127.0.0.1:5433/s?sslmode=require"),
        ] {
            assert_eq!(environment.get(name), Some(value), "{name}");
        }
        let mut without_postgres = Environment(BTreeMap::new());
        without_postgres.known_by("/run/x.ca.pem");
        assert_eq!((without_postgres.get("PGSSLROOTCERT"), without_postgres.0.len()), (None, 1));
    }

    #[test]
    fn values_are_not_shown() {
        let shown = format!("{:?}", environment("postgres://ada:hunter2@localhost/s"));
        assert!(shown.contains("PGPASSWORD") && !shown.contains("hunter2") && !shown.contains("ada"), "{shown}");
    }

    #[test]
    fn processes_of_the_test_get_the_addresses_of_the_proxy() {
        let server = TestServer::start(counting);
        let pg_url = Ok("postgres://crate@127.0.0.1:1/test_schema".to_owned());
        let straight = Cluster::new(crate::cluster::Grant { pg_url, ..grant(&server.url()) }).unwrap();
        let (faulty, _faults) = straight.with_faults().unwrap();
        let variables = faulty.env().unwrap();
        assert_eq!(variables.get("CRATEDB_CLUSTER_URL"), Some(faulty.http_url()));
        assert_eq!(variables.get("DATABASE_URL"), Some(faulty.pg_url().unwrap()));
        assert_ne!(variables.get("PGPORT"), Some("1"));
        let lacking = cluster(&server).with_faults().unwrap().0;
        assert!(lacking.pg_url().unwrap_err().to_string().contains("no password is known"));
    }
}
