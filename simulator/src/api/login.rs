//! Logging in and out, without anybody being asked anything.

use super::{Credentials, credentials, json};
use crate::http::{Exchange, Reply, parse_query};
use crate::shared::Shared;
use crate::state::Answer;

/// Those who can say who somebody is.
const PROVIDERS: [&str; 4] = ["cognito", "azuread", "github", "google"];
/// Where a command line that logs in listens.
const LISTENER: &str = "http://localhost:8400/";

/// Answers what is asked below `/oauth2/`.
pub(super) fn answer(shared: &Shared, exchange: &Exchange, rest: &str) -> Reply {
    match rest.trim_end_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["logout"] => log_out(shared, exchange),
        [provider, "login"] if PROVIDERS.contains(&provider) => log_in(shared, exchange),
        _ => json(&Answer::not_found()),
    }
}

/// A browser that came by itself gets the cookie; one that a command line opened brings the token there.
fn log_in(shared: &Shared, exchange: &Exchange) -> Reply {
    let token = shared.change(|state, _| state.log_in());
    shared.record.hide(&token);
    let for_a_program = parse_query(&exchange.query).iter().any(|(name, value)| name == "cli" && value == "true");
    match for_a_program {
        true => Reply::redirect(&format!("{LISTENER}?token={token}")),
        false => Reply::redirect("/").with_cookie(&token),
    }
}

/// Who isn't logged in is logged out as well.
fn log_out(shared: &Shared, exchange: &Exchange) -> Reply {
    if let Credentials::Session(token) = credentials(exchange) {
        shared.record.hide(&token);
        shared.change(|state, _| state.log_out(&token));
    }
    Reply::new(200, "text/html; charset=utf-8", "<html><body>You have been logged out.</body></html>")
}
