//! The credentials of the Cloud API: an API key, or the cookie of a login, which answers may replace.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use reqwest::RequestBuilder;
use reqwest::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

use crate::environment::ProfileFile;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::target::{Login, ProfileName};

/// The name of the cookie of a login.
const COOKIE_NAME: &str = "session";

/// The credentials that the client sends.
pub(super) enum Auth {
    Key {
        key: String,
        secret: Secret,
    },
    Session(LoginCookie),
    /// Requests fail with this error without being sent.
    Missing(Error),
}

/// The cookie of a login.
pub(super) struct LoginCookie {
    /// The token in use, and those it replaced: an answer may contain any of them.
    tokens: Mutex<Tokens>,
    /// The profile in which a new token is stored.
    profile: Option<ProfileName>,
}

struct Tokens {
    current: Secret,
    earlier: Vec<Secret>,
}

/// The longest token, in bytes. No server accepts a longer header.
pub(super) const LONGEST_TOKEN: usize = 64 << 10;

/// Enough to keep replaced tokens out of errors, without collecting them for weeks.
const EARLIER: usize = 4;

impl Auth {
    pub(super) fn new(login: Login) -> Self {
        match login {
            Login::ApiKey { key, secret } => Self::Key { key, secret },
            Login::Session { token, profile } => {
                let tokens = Mutex::new(Tokens { current: token, earlier: Vec::new() });
                Self::Session(LoginCookie { tokens, profile })
            }
            Login::Nobody => Self::Missing(crate::environment::no_credentials(false, false)),
        }
    }

    /// Adds the credentials to a request. Returns the token if it is a login's.
    pub(super) fn apply(&self, request: RequestBuilder) -> Result<(RequestBuilder, Option<Secret>)> {
        match self {
            Self::Key { key, secret } => Ok((request.basic_auth(key, Some(secret.expose())), None)),
            Self::Session(session) => {
                let token = session.current();
                let mut cookie = HeaderValue::from_str(&format!("{COOKIE_NAME}={}", token.expose())).map_err(|_| {
                    // The header's own error would say nothing, and the token must not be shown.
                    Error::new(crate::error::Kind::Login, "cannot send the token of the login")
                        .because("it holds characters that no header can carry")
                        .hint(super::LOG_IN_AGAIN)
                })?;
                cookie.set_sensitive(true);
                Ok((request.header(COOKIE, cookie), Some(token)))
            }
            Self::Missing(error) => Err(error.clone()),
        }
    }

    /// Takes over the token from an answer to a request that used `used`. Does nothing for API keys: `croud` takes over
    /// the token there too, and from then on no longer uses the key.
    pub(super) fn hear(&self, used: Option<&Secret>, headers: &HeaderMap) {
        let (Self::Session(session), Some(used), Some(fresh)) = (self, used, session_cookie(headers)) else { return };
        let mut tokens = session.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        // A late answer to a request with an older token must not undo the last replacement.
        if tokens.current != *used || fresh == *used {
            return;
        }
        tokens.adopt(fresh.clone());
        if let Some(profile) = &session.profile {
            // A token that can't be stored is still good for this process.
            if let Err(error) = keep(profile, used, &fresh) {
                tracing::warn!("the new token of the login is not kept: {error}");
            }
        }
    }

    /// Reports whether another process has replaced the token, in which case the request is worth another attempt.
    pub(super) fn reload(&self, used: Option<&Secret>) -> bool {
        let (Self::Session(session), Some(used)) = (self, used) else { return false };
        let mut tokens = session.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.current != *used {
            return true;
        }
        let Some(profile) = &session.profile else { return false };
        let on_disk = ProfileFile::load(&profile.file).ok().and_then(|file| file.profile(&profile.name));
        match on_disk.as_ref().and_then(|profile| profile.token()) {
            Some(token) if token != used && !tokens.earlier.contains(token) => {
                tokens.adopt(token.clone());
                true
            }
            _ => false,
        }
    }

    /// Replaces every secret in a text.
    pub(super) fn clean(&self, text: &str) -> String {
        let without = |text: String, secret: &Secret| match secret.expose() {
            "" => text,
            secret => text.replace(secret, "***"),
        };
        match self {
            Self::Key { secret, .. } => without(text.to_owned(), secret),
            Self::Session(session) => {
                let tokens = session.tokens.lock().unwrap_or_else(PoisonError::into_inner);
                let all = std::iter::once(&tokens.current).chain(&tokens.earlier);
                all.fold(text.to_owned(), without)
            }
            Self::Missing(_) => text.to_owned(),
        }
    }

    /// Returns the current token of the login.
    pub(super) fn token(&self) -> Option<Secret> {
        match self {
            Self::Session(session) => Some(session.current()),
            _ => None,
        }
    }

    /// Identifies the API key or the login, within which tokens for clusters may be shared.
    pub(super) fn principal(&self) -> String {
        match self {
            Self::Key { key, .. } => format!("key {key}"),
            Self::Session(session) => {
                let mut hasher = DefaultHasher::new();
                session.current().expose().hash(&mut hasher);
                format!("session {:016x}", hasher.finish())
            }
            Self::Missing(_) => String::new(),
        }
    }
}

impl LoginCookie {
    fn current(&self) -> Secret {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).current.clone()
    }
}

impl Tokens {
    fn adopt(&mut self, fresh: Secret) {
        self.earlier.push(std::mem::replace(&mut self.current, fresh));
        if self.earlier.len() > EARLIER {
            self.earlier.remove(0);
        }
    }
}

/// Stores a token in its profile, unless another process has stored a different one there since.
fn keep(profile: &ProfileName, used: &Secret, fresh: &Secret) -> Result<()> {
    ProfileFile::update_at(&profile.file, |file| {
        let on_disk = file.profile(&profile.name).and_then(|profile| profile.token().cloned());
        if on_disk.as_ref() == Some(used) {
            file.set(&profile.name, "auth-token", fresh.expose().into());
        }
    })
}

/// Returns the value of the cookie if an answer sets one.
fn session_cookie(headers: &HeaderMap) -> Option<Secret> {
    let values = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut named = values.filter_map(|value| {
        let (name, rest) = value.split_once('=')?;
        let value = rest.split(';').next().unwrap_or_default().trim().trim_matches('"');
        (name.trim() == COOKIE_NAME && (1..=LONGEST_TOKEN).contains(&value.len())).then(|| Secret::new(value))
    });
    named.next_back()
}

impl ProfileFile {
    /// Keeps the login of a client, as answers may have replaced it, in the current profile. Not on disk until
    /// [`save`](Self::save). Nothing happens if the client uses an API key.
    pub fn set_login(&mut self, client: &super::Client, organization_id: Option<&str>) {
        if let Some(token) = client.session_token() {
            self.set_session(token.expose(), organization_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (SET_COOKIE, HeaderValue::from_str(cookie).unwrap())).collect()
    }

    fn session(token: &str) -> Auth {
        Auth::new(Login::Session { token: Secret::new(token), profile: None })
    }

    fn current(auth: &Auth) -> String {
        let Auth::Session(session) = auth else { panic!() };
        session.current().expose().to_owned()
    }

    #[test]
    fn takes_the_cookie_of_an_answer_and_no_other() {
        let auth = session("first-token");
        let used = Secret::new("first-token");
        auth.hear(Some(&used), &headers(&["theme=dark", "session=; Max-Age=0"]));
        auth.hear(Some(&used), &headers(&[&format!("session={}", "x".repeat(LONGEST_TOKEN + 1))]));
        assert_eq!(current(&auth), "first-token");
        auth.hear(Some(&used), &headers(&["theme=dark", "session=second-token; Path=/; HttpOnly"]));
        assert_eq!(current(&auth), "second-token");
    }

    #[test]
    fn a_late_answer_does_not_take_a_newer_token_back() {
        let auth = session("first-token");
        auth.hear(Some(&Secret::new("first-token")), &headers(&["session=second-token"]));
        auth.hear(Some(&Secret::new("first-token")), &headers(&["session=late-token"]));
        assert_eq!(current(&auth), "second-token");
    }

    #[test]
    fn keeps_every_token_out_of_texts() {
        let auth = session("first-token");
        auth.hear(Some(&Secret::new("first-token")), &headers(&["session=second-token"]));
        assert_eq!(auth.clean("first-token and second-token"), "*** and ***");
    }

    #[test]
    fn a_key_takes_no_cookie() {
        let auth = Auth::new(Login::ApiKey { key: "k".into(), secret: Secret::new("s") });
        auth.hear(None, &headers(&["session=second-token"]));
        assert!(matches!(auth, Auth::Key { .. }));
    }
}
