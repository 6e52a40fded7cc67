//! Guards a server of this machine with a password and TLS, and knows the way in.

use std::path::PathBuf;
use std::time::Instant;

use super::Progress;
use super::authority::{Certificates, SUPERUSER};
use super::door::{Door, Shut};
use crate::error::{Error, Kind, Result};
use crate::foreign;
use crate::secret::Secret;
use crate::sql::{Authority, Credentials, SqlClient, Wallet};
use crate::target::Security;
use crate::wait::{self, Look};

/// The user that the harness makes. It has all privileges, since there is no password for the superuser.
pub(super) const USER: &str = "cratedb_test";

/// The name of the file with the authority's certificate, where it lies beside others.
pub(super) const CA: &str = "ca.pem";

/// The secrets of one server, made before it starts.
pub(super) struct Guard {
    security: Security,
    certificates: Certificates,
    password: Secret,
}

/// The way into a server: by default, every client is let in, in the clear.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    pub(super) credentials: Credentials,
    pub(super) authority: Option<Authority>,
}

impl Default for Entrance {
    fn default() -> Self {
        Self { credentials: Credentials::None, authority: None }
    }
}

impl Entrance {
    pub(super) fn wallet(&self) -> Wallet {
        Wallet::of_server(self.credentials.clone(), self.authority.clone())
    }

    /// Returns the scheme of HTTP addresses.
    pub(super) fn scheme(&self) -> &'static str {
        if self.authority.is_some() { "https" } else { "http" }
    }
}

impl Guard {
    /// Makes the secrets of a server that clients reach at `host` and by the names of this machine; none for a server
    /// that is open.
    pub(super) fn of(security: Security, host: &str) -> Result<Option<Self>> {
        if security.is_open() {
            return Ok(None);
        }
        let mut hosts = vec!["127.0.0.1", "localhost", "::1"];
        if !hosts.contains(&host) {
            hosts.push(host);
        }
        let (certificates, password) = (Certificates::for_hosts(&hosts)?, Secret::random()?);
        Ok(Some(Self { security, certificates, password }))
    }

    pub(super) fn keystore(&self) -> &[u8] {
        &self.certificates.keystore
    }

    pub(super) fn ca_pem(&self) -> &str {
        &self.certificates.ca_pem
    }

    /// Returns the settings of a server whose keystore is in this file. None of them is secret.
    pub(super) fn settings(&self, keystore: &str) -> Vec<String> {
        let Security { password, tls } = self.security;
        let mut all = vec![
            "auth.host_based.enabled=true".to_owned(),
            format!("ssl.http.enabled={tls}"),
            // The superuser's certificate can be shown there only.
            "ssl.psql.enabled=true".to_owned(),
            format!("ssl.keystore_filepath={keystore}"),
        ];
        let door = [("user", SUPERUSER), ("method", "cert"), ("protocol", "pg"), ("ssl", "on")];
        let everyone = [("method", if password { "password" } else { "trust" })];
        let encrypted = tls.then_some(("ssl", "on"));
        let door = if password { &door[..] } else { &[] };
        let entry = |number: u8, (name, value): (&str, &str)| format!("auth.host_based.config.{number}.{name}={value}");
        all.extend(door.iter().map(|setting| entry(0, *setting)));
        all.extend(everyone.into_iter().chain(encrypted).map(|setting| entry(1, setting)));
        all
    }

    /// Opens the way into a server that listens, as soon as it takes statements. `file` has the authority's
    /// certificate. Fails if the server does not keep clients out that have no password.
    pub(super) async fn entrance(
        &self,
        http: &str,
        psql: (&str, u16),
        file: PathBuf,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Entrance> {
        let authority = Authority::new(self.certificates.ca_pem.clone(), file);
        let known = self.security.tls.then(|| authority.clone());
        if !self.security.password {
            return Ok(Entrance { authority: known, ..Entrance::default() });
        }
        let look = || async {
            match self.make_user(&authority, psql).await {
                Ok(()) => Ok(Look::Ready(())),
                Err(Shut::Refused(why)) => Err(not_made().because(foreign::line(&why, 500))),
                Err(shut) => Ok(Look::NotYet(foreign::line(&shut.to_string(), 200))),
            }
        };
        let changed = |status: &str| progress.step(format!("waiting to make the user {USER}: {status}"));
        wait::until(&format!("the user {USER}"), wait::LOCAL, deadline, changed, look).await?;
        let credentials = Credentials::Basic { username: USER.to_owned(), password: self.password.clone() };
        let entrance = Entrance { credentials, authority: known };
        keeps_out(&format!("{}://{http}", entrance.scheme()), entrance.authority.clone(), deadline).await?;
        Ok(entrance)
    }

    /// Makes the user. It is no error if an earlier call made it, and its answer was lost.
    async fn make_user(&self, authority: &Authority, (host, port): (&str, u16)) -> Result<(), Shut> {
        let (certificate, key) = &self.certificates.superuser;
        let tls = authority.tls_as(certificate.clone(), key.clone());
        let tls = tls.map_err(|error| Shut::Refused(error.to_string()))?;
        let mut door = Door::open(host, port, tls).await?;
        let created = door.execute(&format!("CREATE USER {USER} WITH (password = $1)"), &[&self.password]).await;
        match created {
            Err(Shut::Statement(message)) if message.contains("already exists") => {}
            created => created?,
        }
        door.execute(&format!("GRANT ALL PRIVILEGES TO {USER}"), &[]).await
    }
}

/// Checks that the superuser is refused without a password: an image may have rules of its own that let it in.
async fn keeps_out(url: &str, authority: Option<Authority>, deadline: Instant) -> Result<()> {
    let client = SqlClient::new(url, None, Wallet::of_server(Credentials::None, authority))?;
    let look = || async {
        match client.version().await {
            Err(error) if error.status() == Some(401) => Ok(Look::Ready(())),
            // The port for HTTP may answer a moment after that for PostgreSQL.
            Err(error) if error.status().is_none_or(|status| status == 503) => Ok(Look::not_yet(&error)),
            Err(error) => Err(not_made().because(error)),
            Ok(_) => Err(not_made()
                .because("it lets clients in that have no password")
                .hint("an image or an installation with entries of its own in auth.host_based.config may do so")),
        }
    };
    wait::until("the server to ask for a password", wait::LOCAL, deadline, |_| {}, look).await
}

fn not_made() -> Error {
    Error::new(Kind::Provider, "cannot guard the server with a password")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(password: bool, tls: bool) -> Guard {
        Guard::of(Security { password, tls }, "127.0.0.1").unwrap().unwrap()
    }

    #[test]
    fn an_open_server_has_no_guard() {
        assert!(Guard::of(Security::default(), "localhost").unwrap().is_none());
    }

    #[test]
    fn no_setting_holds_a_secret_and_the_superuser_needs_a_certificate() {
        for (password, tls) in [(true, false), (false, true), (true, true)] {
            let guard = guard(password, tls);
            let settings = guard.settings("/x/keystore");
            let has = |setting: &str| settings.iter().any(|one| one == setting);
            assert!(!settings.iter().any(|one| one.contains(guard.password.expose())), "{settings:?}");
            assert!(has("auth.host_based.enabled=true") && has(&format!("ssl.http.enabled={tls}")), "{settings:?}");
            assert_eq!(has("auth.host_based.config.1.ssl=on"), tls, "{settings:?}");
            assert_eq!(has("auth.host_based.config.0.method=cert"), password, "{settings:?}");
            assert_eq!(has("auth.host_based.config.1.method=password"), password, "{settings:?}");
            assert!(!password || !settings.iter().any(|one| one.ends_with("method=trust")), "{settings:?}");
        }
    }
}
