//! Access: API keys, login sessions, and changes of a session's cookie.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::account::USER_ID;
use super::checks::Problems;
use super::{ApiAnswer, Micros, State, stamp};

/// The credentials of a request.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    None,
    Basic {
        key: String,
        secret: String,
    },
    /// The cookie `session`.
    Session(String),
}

/// The decision about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Granted,
    /// Granted. The client has to use this token from now on.
    Renewed(String),
    Refused,
    /// The session is over. The service redirects to the login.
    Stale,
}

/// The key and secret that the options require; any if there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configured {
    pub(crate) key: Option<String>,
    pub(crate) secret: Option<String>,
}

impl Configured {
    fn fits(&self, key: &str, secret: &str) -> bool {
        let fits = |wanted: &Option<String>, given: &str| wanted.as_deref().map_or(!given.is_empty(), |it| it == given);
        fits(&self.key, key) && fits(&self.secret, secret)
    }
}

/// A key that was made by a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ApiKey {
    key: String,
    secret: String,
    active: bool,
    /// A deleted key is refused even if any other key is accepted.
    deleted: bool,
    last_used: Option<Micros>,
    created: Micros,
    modified: Micros,
}

/// A login session.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LoginSession {
    token: String,
    /// The previous token, which is valid until the new one is used for the first time.
    previous: Option<String>,
    uses: u32,
}

/// All keys and sessions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Access {
    keys: Vec<ApiKey>,
    sessions: Vec<LoginSession>,
    /// The number of requests after which a session gets a new token.
    rotate_every: Option<u32>,
}

impl State {
    /// Decides about one request.
    pub(crate) fn admit(&mut self, now: Micros, given: &Credentials, configured: &Configured) -> Pass {
        match given {
            Credentials::None => Pass::Refused,
            Credentials::Basic { key, secret } => self.admit_key(now, key, secret, configured),
            Credentials::Session(token) => self.admit_session(token),
        }
    }

    fn admit_key(&mut self, now: Micros, key: &str, secret: &str, configured: &Configured) -> Pass {
        let fits = match self.access.keys.iter_mut().find(|one| one.key == key) {
            Some(known) => {
                let fits = known.active && !known.deleted && known.secret == secret;
                known.last_used = if fits { Some(now) } else { known.last_used };
                fits
            }
            None => configured.fits(key, secret),
        };
        if fits { Pass::Granted } else { Pass::Refused }
    }

    fn admit_session(&mut self, token: &str) -> Pass {
        let known = |one: &&mut LoginSession| one.token == token || one.previous.as_deref() == Some(token);
        let every = self.access.rotate_every;
        let fresh = format!("{}{}", self.new_id(), self.new_id()).replace('-', "");
        let Some(session) = self.access.sessions.iter_mut().find(known) else { return Pass::Stale };
        if session.token != token {
            return Pass::Renewed(session.token.clone());
        }
        session.previous = None;
        session.uses += 1;
        if every.is_none_or(|every| session.uses < every.max(1)) {
            return Pass::Granted;
        }
        session.uses = 0;
        session.previous = Some(std::mem::replace(&mut session.token, fresh));
        Pass::Renewed(session.token.clone())
    }

    /// Makes a session of the user and returns its token.
    pub(crate) fn log_in(&mut self) -> String {
        let token = format!("{}{}", self.new_id(), self.new_id()).replace('-', "");
        self.access.sessions.push(LoginSession { token: token.clone(), previous: None, uses: 0 });
        token
    }

    pub(crate) fn log_out(&mut self, token: &str) {
        self.access.sessions.retain(|one| one.token != token && one.previous.as_deref() != Some(token));
    }

    /// Makes every session stale.
    pub(crate) fn expire_sessions(&mut self) {
        self.access.sessions.clear();
    }

    /// Gives sessions a new token after each `every` requests, or never.
    pub(crate) fn rotate_sessions(&mut self, every: Option<u32>) {
        self.access.rotate_every = every;
    }

    /// Returns everything that must not be shown.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let keys = self.access.keys.iter().map(|one| one.secret.clone());
        let sessions = self.access.sessions.iter().map(|one| one.token.clone());
        let passwords = self.clusters.iter().map(|one| one.password.clone());
        let signatures = self.files.iter().map(|one| one.signature.clone());
        keys.chain(sessions).chain(passwords).chain(signatures).collect()
    }

    pub(super) fn api_keys(&self) -> ApiAnswer {
        ApiAnswer::ok(self.access.keys.iter().filter(|one| !one.deleted).map(ApiKey::show).collect())
    }

    pub(super) fn api_key(&self, key: &str) -> ApiAnswer {
        let found = self.access.keys.iter().find(|one| one.key == key && !one.deleted);
        found.map_or_else(ApiAnswer::not_found, |one| ApiAnswer::ok(one.show()))
    }

    /// Shows a new key with its secret, which is never shown again. Flat as `croud` reads it; the vendor's document
    /// nests the key.
    pub(super) fn create_api_key(&mut self, now: Micros) -> ApiAnswer {
        let words = [self.new_id(), self.new_id(), self.new_id()].map(|id| id.replace('-', ""));
        let [key, first, second] = words;
        let made = ApiKey {
            key: key[..20].to_owned(),
            secret: first + &second,
            active: true,
            deleted: false,
            last_used: None,
            created: now,
            modified: now,
        };
        let mut shown = made.show();
        shown["secret"] = made.secret.clone().into();
        shown["success"] = true.into();
        self.access.keys.push(made);
        ApiAnswer::ok(shown)
    }

    pub(super) fn edit_api_key(&mut self, now: Micros, key: &str, body: &Value) -> ApiAnswer {
        let known = |one: &&mut ApiKey| one.key == key && !one.deleted;
        let Some(found) = self.access.keys.iter_mut().find(known) else { return ApiAnswer::not_found() };
        let mut problems = Problems::of(body, &["active"]);
        let wanted = problems.boolean(body, "active");
        let Some(active) = wanted.filter(|_| !problems.any()) else { return problems.refuse() };
        found.active = active;
        found.modified = now;
        ApiAnswer::ok(found.show())
    }

    pub(super) fn delete_api_key(&mut self, key: &str) -> ApiAnswer {
        match self.access.keys.iter_mut().find(|one| one.key == key && !one.deleted) {
            None => ApiAnswer::not_found(),
            Some(found) => {
                found.deleted = true;
                ApiAnswer::no_content()
            }
        }
    }
}

impl ApiKey {
    fn show(&self) -> Value {
        let mut shown = json!({
            "user_id": USER_ID,
            "key": self.key,
            "active": self.active,
            "dc": stamp::dc(self.created, self.modified),
        });
        if let Some(at) = self.last_used {
            shown["last_used"] = stamp::utc(at).into();
        }
        shown
    }
}
