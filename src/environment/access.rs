//! Whose credentials are used, and with which Cloud API: an API key of code, of the environment or of `.env`, else the
//! login in `croud`'s profile file.

use std::time::Duration;

use super::given::Given;
use super::sources::Sources;
use super::{CLOUD_ENDPOINT, values};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::target::Login;

/// How long one answer of the API may take unless something else is said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where the API is and who asks.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Without a slash at the end.
    pub(crate) endpoint: String,
    pub(crate) login: Login,
    /// The organization that the login belongs to, as the profile file says.
    pub(crate) organization_id: Option<String>,
    /// What a profile says about the header `X-Region`.
    pub(crate) region: Option<String>,
    pub(crate) timeout: Duration,
    /// Where the credentials come from, for people, such as `the environment`.
    pub(crate) origin: String,
}

impl Access {
    /// Credentials of the highest source that has any. None at all is an error that [`Error::is_not_allowed`] knows.
    pub(crate) fn find(given: &Given, sources: &Sources) -> Result<Self> {
        let wanted = given.endpoint.clone().or_else(|| sources.get("CRATEDB_CLOUD_ENDPOINT"));
        let wanted = wanted.map(|text| endpoint(&text)).transpose()?;
        let timeout = match given.timeout {
            Some(timeout) => timeout,
            None => sources.lasting("CRATEDB_CLOUD_TIMEOUT", TIMEOUT)?,
        };
        let here = |login, origin: String| Self {
            endpoint: wanted.clone().unwrap_or_else(|| CLOUD_ENDPOINT.to_owned()),
            login,
            organization_id: None,
            region: None,
            timeout,
            origin,
        };
        if let Some((key, secret)) = &given.api_key {
            if key.is_empty() || secret.expose().is_empty() {
                return Err(half_a_key(secret.expose().is_empty()));
            }
            let login = Login::ApiKey { key: key.clone(), secret: secret.clone() };
            return Ok(here(login, "code".to_owned()));
        }
        if let Some(token) = &given.session {
            return Ok(here(Login::Session { token: token.clone(), profile: None }, "code".to_owned()));
        }
        if given.profile_file.is_none() {
            match (sources.get_with_origin("CRATEDB_CLOUD_API_KEY"), sources.get("CRATEDB_CLOUD_API_SECRET")) {
                (Some((key, origin)), Some(secret)) => {
                    if given.endpoint.is_none() {
                        endpoint_is_trusted(sources, wanted.as_deref())?;
                    }
                    return Ok(here(Login::ApiKey { key, secret: Secret::new(secret) }, origin));
                }
                (None, None) => {}
                // Half of them means them: the profile must not take their place.
                (key, secret) => return Err(no_credentials(key.is_some(), secret.is_some())),
            }
        }
        match profile(given, sources)? {
            Some(found) => found.for_endpoint(wanted, timeout),
            None => Err(no_credentials(false, false)),
        }
    }
}

/// A key of the environment is not sent where a file says: whoever wrote the `.env` of a directory would get it.
fn endpoint_is_trusted(sources: &Sources, wanted: Option<&str>) -> Result<()> {
    let place = |name: &str| sources.each().enumerate().find(|(_, source)| source.get(name).is_some());
    match (place("CRATEDB_CLOUD_ENDPOINT"), place("CRATEDB_CLOUD_API_SECRET"), wanted) {
        (Some((far, file)), Some((near, _)), Some(wanted)) if far > near && wanted != CLOUD_ENDPOINT => {
            Err(Error::new(Kind::Setting, format!("cannot ask CrateDB Cloud at {wanted}"))
                .because(format!(
                    "{file} names it, and CRATEDB_CLOUD_API_SECRET comes from elsewhere: a secret is not sent where only a \
                     file says"
                ))
                .hint("set CRATEDB_CLOUD_ENDPOINT where the secret is set, or put key and secret into that file too"))
        }
        _ => Ok(()),
    }
}

/// The endpoint without a slash at its end. It stands in errors, in the log and in the journal.
fn endpoint(text: &str) -> Result<String> {
    let url = values::http_url("CRATEDB_CLOUD_ENDPOINT", text)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::new(Kind::Setting, "cannot read CRATEDB_CLOUD_ENDPOINT")
            .because("it holds credentials")
            .hint("set CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET instead"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// What is missing, by name, and what helps.
pub(crate) fn no_credentials(key: bool, secret: bool) -> Error {
    let lacking = match (key, secret) {
        (false, false) => "CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are not set, and nobody is logged in",
        (true, _) => "CRATEDB_CLOUD_API_SECRET is not set",
        (false, _) => "CRATEDB_CLOUD_API_KEY is not set",
    };
    Error::new(Kind::Login, "cannot ask CrateDB Cloud").because(lacking).hint(
        "make an API key on the account page of https://console.cratedb.cloud and set both, in the environment or in .env; \
         or log in: cargo cratedb login --idp {cognito|azuread|github|google}",
    )
}

/// Code meant a key: nobody else's credentials may take its place.
fn half_a_key(secret_missing: bool) -> Error {
    let lacking = if secret_missing { "the secret" } else { "the key" };
    Error::new(Kind::Setting, "cannot ask CrateDB Cloud with the API key that code gives")
        .because(format!("{lacking} is empty"))
        .hint("`api_key` takes the key and its secret; leave it out to take those of the environment")
}

/// Credentials of a profile, which are for its own endpoint only.
struct FromProfile {
    access: Access,
    words: String,
}

impl FromProfile {
    fn for_endpoint(self, wanted: Option<String>, timeout: Duration) -> Result<Access> {
        match wanted {
            Some(wanted) if wanted != self.access.endpoint => Err(Error::new(
                Kind::Login,
                format!("cannot ask CrateDB Cloud at {wanted}"),
            )
            .because(format!(
                "CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are not set, and {} is for {}: its credentials are sent \
                 nowhere else",
                self.words, self.access.endpoint
            ))
            .hint(
                "set both variables; or unset CRATEDB_CLOUD_ENDPOINT; or log in there: \
                 cargo cratedb login --idp {cognito|azuread|github|google}",
            )),
            _ => Ok(Access { timeout, ..self.access }),
        }
    }
}

#[cfg(feature = "cloud")]
fn profile(given: &Given, sources: &Sources) -> Result<Option<FromProfile>> {
    use super::profile::ProfileFile;

    let file = match (&given.profile_file, sources.profile_file()) {
        (Some(path), _) => ProfileFile::load(path)?,
        (None, Some(path)) if path.is_file() => ProfileFile::load(path)?,
        _ => return Ok(None),
    };
    let current = file.current();
    let Some(login) = current.login(file.path()) else { return Ok(None) };
    let words = format!("profile `{}` in {}", current.name(), file.path().display());
    Ok(Some(FromProfile {
        access: Access {
            endpoint: endpoint(current.endpoint())?,
            login,
            organization_id: current.organization_id().map(str::to_owned),
            region: current.region().map(str::to_owned),
            timeout: TIMEOUT,
            origin: words.clone(),
        },
        words,
    }))
}

#[cfg(not(feature = "cloud"))]
fn profile(_: &Given, _: &Sources) -> Result<Option<FromProfile>> {
    Ok(None)
}
