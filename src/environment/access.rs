//! Finds the Cloud API and the credentials for it: an API key from code, the environment or `.env`, else the login in
//! `croud`'s profile file.

use std::time::Duration;

use super::CLOUD_ENDPOINT;
use super::address::{ACCEPTED, endpoint, http_url};
use super::given::Given;
use super::setting::{Sent, Setting, is_private, may_go, plain_http};
use super::sources::Sources;
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::target::Login;

/// The default time limit for one answer of the API.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The address of the API and the credentials for it.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Without a slash at the end.
    pub(crate) endpoint: String,
    pub(crate) login: Login,
    /// The organization of the login, from the profile file.
    pub(crate) organization_id: Option<String>,
    /// The value of the header `X-Region`, from the profile.
    pub(crate) region: Option<String>,
    pub(crate) timeout: Duration,
    /// A description of where the credentials come from, such as `the environment`.
    pub(crate) origin: String,
}

impl Access {
    /// Returns the credentials of the highest source that has any. If none has, [`Error::is_not_allowed`] is true of
    /// the error.
    pub(crate) fn find(given: &Given, sources: &Sources) -> Result<Self> {
        let named = endpoint_setting(given, sources);
        let wanted = named.as_ref().map(|named| endpoint(&named.name, &named.value)).transpose()?;
        let timeout = match given.timeout {
            Some(timeout) => timeout,
            None => sources.lasting("CRATEDB_CLOUD_TIMEOUT", TIMEOUT)?,
        };
        let key = Key::find(given, sources)?;
        let secrets = sent(key.as_ref());
        let found = match key {
            Some(key) => {
                let endpoint = wanted.unwrap_or_else(|| CLOUD_ENDPOINT.to_owned());
                if let Some(named) = named.filter(|_| endpoint != CLOUD_ENDPOINT) {
                    let url = http_url(&named.name, &endpoint, ACCEPTED)?;
                    may_go("ask CrateDB Cloud at", &url, &named, key.sent.into_iter().map(Sent::Secret))?;
                }
                let (organization_id, region) = (None, None);
                Self { endpoint, login: key.login, organization_id, region, timeout, origin: key.origin }
            }
            None => match profile(given, sources)? {
                Some(found) => found.of_profile(wanted, timeout)?,
                None => return Err(no_credentials(false, false)),
            },
        };
        let url = http_url("CRATEDB_CLOUD_ENDPOINT", &found.endpoint, ACCEPTED)?;
        is_private(&url, "the credentials", plain_http(given.plain_http, sources, &secrets)?)?;
        found.login.can_be_sent(&found.origin)?;
        Ok(found)
    }
}

/// Returns the setting that names the Cloud API, if one does.
pub(super) fn endpoint_setting(given: &Given, sources: &Sources) -> Option<Setting> {
    let in_code = given.endpoint.as_ref().map(|text| Setting::of_code("`endpoint`", text));
    in_code.or_else(|| sources.setting("CRATEDB_CLOUD_ENDPOINT"))
}

/// Returns the address of the Cloud API that a setting names, if one does.
pub(crate) fn named_endpoint(given: &Given, sources: &Sources) -> Result<Option<String>> {
    endpoint_setting(given, sources).map(|named| endpoint(&named.name, &named.value)).transpose()
}

/// Reads whether the cluster's token, which these credentials get, may be sent over plain HTTP to another machine.
pub(super) fn allows_plain_http(given: &Given, sources: &Sources) -> Result<bool> {
    plain_http(given.plain_http, sources, &sent(Key::find(given, sources)?.as_ref()))
}

/// Returns the settings whose values requests to the API carry. A login is this user's own, as the environment is.
fn sent(key: Option<&Key>) -> Vec<Setting> {
    match key {
        Some(key) => key.sent.clone(),
        None => vec![Setting::of_profile("the login", String::new(), "the profile file")],
    }
}

/// Credentials that a setting holds.
struct Key {
    login: Login,
    origin: String,
    /// The settings, the secret first.
    sent: Vec<Setting>,
}

impl Key {
    /// Returns the credentials in code, else those of the environment or of `.env`.
    fn find(given: &Given, sources: &Sources) -> Result<Option<Self>> {
        if let Some((key, secret)) = &given.api_key {
            if key.is_empty() || secret.expose().is_empty() {
                return Err(half_a_key(secret.expose().is_empty()));
            }
            let login = Login::ApiKey { key: key.clone(), secret: secret.clone() };
            return Ok(Some(Self::of_code("`api_key`", login)));
        }
        if let Some(token) = &given.session {
            return Ok(Some(Self::of_code("`session`", Login::Session { token: token.clone(), profile: None })));
        }
        if given.profile_file.is_some() {
            return Ok(None);
        }
        match (sources.setting("CRATEDB_CLOUD_API_KEY"), sources.setting("CRATEDB_CLOUD_API_SECRET")) {
            (Some(key), Some(secret)) => {
                let login = Login::ApiKey { key: key.value.clone(), secret: Secret::new(&secret.value) };
                let mut replaced = sources.replaced();
                replaced.retain(|line| [&key, &secret].iter().any(|part| line.starts_with(&part.name)));
                let origin = std::iter::once(key.origin.clone()).chain(replaced).collect::<Vec<_>>().join("; ");
                Ok(Some(Self { login, origin, sent: vec![secret, key] }))
            }
            (None, None) => Ok(None),
            // One of the two shows that a key is wanted: the profile must not take its place.
            (key, secret) => Err(no_credentials(key.is_some(), secret.is_some())),
        }
    }

    fn of_code(name: &str, login: Login) -> Self {
        let setting = Setting::of_code(name, String::new());
        Self { login, origin: setting.origin.clone(), sent: vec![setting] }
    }
}

impl Login {
    /// Refuses credentials that no request can carry, before the attempt looks like a connection that breaks.
    fn can_be_sent(&self, origin: &str) -> Result<()> {
        /// Its name in code, in a profile and in the environment.
        const KEY: [&str; 3] = ["the API key", "`key`", "CRATEDB_CLOUD_API_KEY"];
        const SECRET: [&str; 3] = ["the secret of the API key", "`secret`", "CRATEDB_CLOUD_API_SECRET"];
        const TOKEN: [&str; 3] = ["the token of the login", "`auth-token`", "the token of the login"];
        let parts = match self {
            Self::ApiKey { key, secret } => vec![(KEY, key.as_str(), false), (SECRET, secret.expose(), false)],
            Self::Session { token, .. } => vec![(TOKEN, token.expose(), true)],
            Self::Nobody => Vec::new(),
        };
        // A token stands in a header as it is; key and secret are encoded.
        let is_unfit = |text: &str, plain| text.chars().any(|c| c.is_control() || plain && !c.is_ascii());
        let Some((names, ..)) = parts.into_iter().find(|(_, text, plain)| is_unfit(text, *plain)) else {
            return Ok(());
        };
        let name = match origin {
            "code" => format!("{} that code gives", names[0]),
            profile if profile.starts_with("profile ") => format!("{} of {profile}", names[1]),
            _ => names[2].to_owned(),
        };
        Err(Error::new(Kind::Setting, format!("cannot use {name}"))
            .because("it holds characters that can't be sent, such as a line break")
            .hint("accepted: the text as CrateDB Cloud shows it, on one line"))
    }
}

/// Returns the error that names the missing variables and says how to get credentials.
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

/// Returns the error for half a key in code. Credentials of other sources must not take its place.
fn half_a_key(secret_missing: bool) -> Error {
    let lacking = if secret_missing { "the secret" } else { "the key" };
    Error::new(Kind::Setting, "cannot ask CrateDB Cloud with the API key that code gives")
        .because(format!("{lacking} is empty"))
        .hint("`api_key` takes the key and its secret; leave it out to take those of the environment")
}

impl Access {
    /// Completes the credentials of a profile, which are valid for its own endpoint only.
    fn of_profile(self, wanted: Option<String>, timeout: Duration) -> Result<Self> {
        match wanted {
            Some(wanted) if wanted != self.endpoint => Err(Error::new(
                Kind::Login,
                format!("cannot ask CrateDB Cloud at {wanted}"),
            )
            .because(format!(
                "CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are not set, and {} is for {}: its credentials are sent \
                 nowhere else",
                self.origin, self.endpoint
            ))
            .hint(
                "set both variables; or unset CRATEDB_CLOUD_ENDPOINT; or log in there: \
                 cargo cratedb login --idp {cognito|azuread|github|google}",
            )),
            _ => Ok(Self { timeout, ..self }),
        }
    }
}

#[cfg(feature = "cloud")]
fn profile(given: &Given, sources: &Sources) -> Result<Option<Access>> {
    use super::profile::ProfileFile;

    let file = match (&given.profile_file, sources.profile_file()) {
        (Some(path), _) => Some(ProfileFile::load(path)?),
        (None, Some(path)) => ProfileFile::load_if_there(path)?,
        (None, None) => None,
    };
    let Some(file) = file else { return Ok(None) };
    let current = file.current();
    let Some(login) = current.login(file.path()) else { return Ok(None) };
    let origin = format!("profile `{}` in {}", current.name(), file.path().display());
    Ok(Some(Access {
        endpoint: endpoint(&format!("the endpoint of {origin}"), current.endpoint())?,
        login,
        organization_id: current.organization_id().map(str::to_owned),
        region: current.region().map(str::to_owned),
        timeout: TIMEOUT,
        origin,
    }))
}

#[cfg(not(feature = "cloud"))]
fn profile(_: &Given, _: &Sources) -> Result<Option<Access>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_environment(key: &str, secret: &str) -> Result<Access> {
        let variables = [("CRATEDB_CLOUD_API_KEY", key), ("CRATEDB_CLOUD_API_SECRET", secret)];
        let map = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Access::find(&Given::default(), &Sources::of(map, &[])?)
    }

    fn of_code(given: Given) -> Result<Access> {
        Access::find(&given, &Sources::none())
    }

    #[track_caller]
    fn names(access: Result<Access>, name: &str) {
        let error = access.unwrap_err();
        let text = error.to_string();
        assert!(error.is_setting() && text.starts_with(&format!("cannot use {name}: ")), "{text}");
        assert!(!text.contains("hunter2") && text.contains("a line break"), "{text}");
    }

    #[test]
    fn credentials_that_no_request_can_carry_are_refused_by_the_name_of_their_setting() {
        for strange in ["hunter2\nhunter2", "hunter2\u{7f}x", "\u{0}hunter2", "hunter2\ttab"] {
            names(of_environment("ada", strange), "CRATEDB_CLOUD_API_SECRET");
            names(of_environment(strange, "s"), "CRATEDB_CLOUD_API_KEY");
            let key = Given { api_key: Some(("ada".to_owned(), Secret::new(strange))), ..Given::default() };
            names(of_code(key), "the secret of the API key that code gives");
            let session = Given { session: Some(Secret::new(strange)), ..Given::default() };
            names(of_code(session), "the token of the login that code gives");
        }
        let session = |token: &str| Given { session: Some(Secret::new(token)), ..Given::default() };
        names(of_code(session("hunter2-ä")), "the token of the login that code gives");
        assert!(of_code(session("abc.DEF-123_~+/=")).is_ok() && of_environment("ada", "gehäim !").is_ok());
    }
}
