//! Who a request to the data plane comes from: Basic or a token, checked as CrateDB does.

use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use super::{Facts, Gateway};
use crate::api::basic;
use crate::http::{Exchange, Reply};
use crate::jwt::Expected;
use crate::options::EngineKind;

/// Whether a request may go on, and as whom.
pub(super) enum Verdict {
    /// As this user; none given is the superuser `crate`.
    User(Option<String>),
    Refused(Reply),
}

impl Gateway {
    pub(super) fn authenticate(&self, facts: &Facts, exchange: &Exchange) -> Verdict {
        let header = exchange.header(AUTHORIZATION.as_str());
        if let Some(token) = header.and_then(bearer) {
            return self.check_token(facts, exchange, token);
        }
        match header.and_then(basic) {
            Some((user, _)) if !facts.auth => Verdict::User(Some(user)),
            // An empty password counts as none offered.
            Some((user, password)) if !password.is_empty() => {
                self.shared.record.hide(&password);
                match self.knows_user(facts, &user, &password) {
                    true => Verdict::User(Some(user)),
                    false => refused(&format!("password authentication failed for user \"{user}\"")),
                }
            }
            None if !facts.auth => Verdict::User(None),
            offered => {
                let user = offered.map_or_else(|| "crate".into(), |(user, _)| user);
                let host = exchange.peer.ip();
                refused(&format!("No valid auth.host_based.config entry found for host \"{host}\", user \"{user}\""))
            }
        }
    }

    /// Whether these are the credentials of the cluster's user, or of one that was made by SQL.
    pub(super) fn knows_user(&self, facts: &Facts, user: &str, password: &str) -> bool {
        let made = || {
            let embedded = matches!(self.shared.engine, EngineKind::Embedded);
            embedded && self.embedded(facts).engine().knows(user, password)
        };
        user == facts.username && password == facts.password || made()
    }

    fn check_token(&self, facts: &Facts, exchange: &Exchange, token: &str) -> Verdict {
        let issuer = self.shared.issuer();
        let expected = Expected { audience: &self.cluster, username: &facts.username, issuer: &issuer };
        match self.shared.tokens.check(exchange.at, token, expected) {
            Ok(()) => Verdict::User(Some(facts.username.clone())),
            Err(reason) => refused(&format!("jwt authentication failed for user {}. Reason: {reason}", facts.username)),
        }
    }
}

/// The token of a bearer header.
pub(super) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refused(text: &str) -> Verdict {
    Verdict::Refused(refuse(text))
}

/// Plain text with a newline, and the end of the connection: what the authentication layer does.
pub(super) fn refuse(text: &str) -> Reply {
    Reply::new(401, "text/plain; charset=utf-8", format!("{text}\n"))
        .with(WWW_AUTHENTICATE, "Basic realm=\"CrateDB Authenticator\"")
        .closing()
}
