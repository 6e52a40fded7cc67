//! Turns refusals of the Cloud API into errors.

use std::fmt::Write as _;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Kind, Refusal};
use crate::foreign;

/// Enough of an unexpected answer to recognise a proxy or a login page.
const EXCERPT: usize = 200;
/// Enough of the service's own words to understand them.
const WORDS: usize = 2000;

/// Reports whether the service refused because another operation runs on the cluster.
///
/// The status of this refusal is not documented. Its text is known in two wordings.
pub(crate) fn is_conflict(error: &Error) -> bool {
    if error.kind() != Kind::Cloud {
        return false;
    }
    let text = error.message().unwrap_or_default().to_ascii_lowercase();
    error.status() == Some(409) || text.contains("another cluster operation is") && text.contains("in progress")
}

/// The text of a refusal.
pub(super) struct RefusalText {
    /// The service's message, else the beginning of the body.
    message: String,
    /// The service's `errors`: the problems by field.
    errors: Option<Value>,
    /// It is JSON with the service's fields. What a proxy says is something else.
    own: bool,
}

impl RefusalText {
    /// Reads the text of an answer. `clean` removes secrets, in case the service repeats what it was sent.
    pub(super) fn read(
        status: StatusCode,
        location: Option<&str>,
        body: &[u8],
        clean: impl Fn(&str) -> String,
    ) -> Self {
        #[derive(Deserialize)]
        struct RefusalBody {
            message: Option<String>,
            #[serde(default)]
            success: Value,
            #[serde(default)]
            errors: Value,
        }
        if status.is_redirection() {
            // The query may carry the token of a login.
            let to = location.unwrap_or("nowhere").split(['?', '#']).next().unwrap_or_default();
            let to = foreign::line(&clean(to), EXCERPT);
            let message = format!("it redirects to `{to}`, which an API never does");
            return Self { message, errors: None, own: false };
        }
        // serde would read a struct from a list, too.
        let object = body.trim_ascii_start().starts_with(b"{");
        match serde_json::from_slice::<RefusalBody>(if object { body } else { b"" }) {
            Ok(RefusalBody { message: Some(message), success, errors }) => {
                let nothing = errors.is_null() || errors.as_object().is_some_and(serde_json::Map::is_empty);
                let errors = (!nothing).then(|| serde_json::from_str(&clean(&errors.to_string())).ok()).flatten();
                Self { message: clean(&message), errors, own: success != true }
            }
            _ => Self { message: excerpt(body, clean), errors: None, own: false },
        }
    }

    /// Returns it in one line.
    fn words(&self) -> String {
        let mut text = self.message.clone();
        if let Some(errors) = &self.errors {
            flatten(errors, "", &mut text);
        }
        foreign::line(&text, WORDS)
    }
}

/// Writes `{"cluster": {"password": ["Shorter …"]}}` as `; cluster.password: Shorter …`.
fn flatten(errors: &Value, field: &str, into: &mut String) {
    match errors {
        Value::Object(fields) => {
            for (name, errors) in fields {
                let field = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
                flatten(errors, &field, into);
            }
        }
        Value::Array(all) => all.iter().for_each(|errors| flatten(errors, field, into)),
        Value::Null => {}
        Value::String(text) => write!(into, "; {field}: {text}").expect("a string takes everything"),
        other => write!(into, "; {field}: {other}").expect("a string takes everything"),
    }
}

pub(super) fn error(endpoint: &str, request: &str, status: StatusCode, text: RefusalText, session: bool) -> Error {
    let words = text.words();
    // Without valid credentials, the service answers in plain text or redirects to its login page.
    let own = text.own || status == StatusCode::UNAUTHORIZED || status.is_redirection();
    let error = Error::new(Kind::Cloud, format!("CrateDB Cloud at {endpoint} refused {request}"))
        .because(format!("{status}{}{words}", if words.is_empty() { "" } else { ": " }))
        .refused(Refusal {
            status: status.as_u16(),
            code: None,
            message: text.message,
            request: request.to_owned(),
            errors: text.errors,
        });
    let error = if own { error.in_own_form() } else { error };
    match status {
        StatusCode::UNAUTHORIZED if session => error.hint(super::LOG_IN_AGAIN),
        StatusCode::UNAUTHORIZED => error
            .hint("check CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET; a key that is unused for 90 days expires"),
        StatusCode::FORBIDDEN if session => error.hint("look at the role of the user who is logged in"),
        StatusCode::FORBIDDEN => error.hint("an API key may do what its owner may do: check the owner's role"),
        status if status.is_redirection() && session => error.hint(super::LOG_IN_AGAIN),
        status if status.is_redirection() => {
            error.hint("check CRATEDB_CLOUD_ENDPOINT: it must be the API's own address")
        }
        _ => error,
    }
}

/// Returns the beginning of a body, on one line. `clean` removes secrets from the whole body, since half of one is not
/// recognised.
pub(super) fn excerpt(body: &[u8], clean: impl Fn(&str) -> String) -> String {
    foreign::line(&clean(&String::from_utf8_lossy(body)), EXCERPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        let text = RefusalText::read(status, None, body.as_bytes(), str::to_owned);
        error("http://x", "PUT /y/", status, text, false)
    }

    #[test]
    fn says_what_the_service_said_with_the_fields_at_fault() {
        let error = refused(
            400,
            r#"{"success": false, "message": "Bad request", "errors": {"cluster": {"password": ["Shorter."], "name": ["Taken."]}}}"#,
        );
        assert_eq!(
            error.to_string(),
            "CrateDB Cloud at http://x refused PUT /y/: 400 Bad Request: Bad request; cluster.name: Taken.; \
             cluster.password: Shorter."
        );
        assert_eq!(
            (error.status(), error.message(), error.request()),
            (Some(400), Some("Bad request"), Some("PUT /y/"))
        );
        assert_eq!(error.errors().unwrap()["cluster"]["name"][0], "Taken.");
    }

    #[test]
    fn knows_a_conflict_by_its_text_or_its_status() {
        let text = |adverb: &str| {
            format!(r#"{{"message": "Another cluster operation is {adverb} in progress, please try again later."}}"#)
        };
        assert!(is_conflict(&refused(400, &text("currently"))));
        assert!(is_conflict(&refused(400, &text("already"))));
        assert!(is_conflict(&refused(409, "{}")));
        assert!(!is_conflict(&refused(400, r#"{"message": "Bad request"}"#)));
    }

    #[test]
    fn only_json_with_the_services_fields_is_the_services_own() {
        let own = r#"{"success": false, "message": "Resource not found."}"#;
        assert!(refused(404, own).is_in_own_form() && refused(401, "401 - Unauthorized").is_in_own_form());
        for body in [
            "",
            "<html>404 Not Found</html>",
            r#"{"error": "no route"}"#,
            r#"["Resource not found."]"#,
            r#"{"success": true, "message": "200 - OK"}"#,
            r#"{"message": {"text": "Resource not found."}}"#,
        ] {
            assert!(!refused(404, body).is_in_own_form(), "{body}");
        }
    }

    #[test]
    fn an_answer_that_is_no_json_is_shown_in_part() {
        let page = format!("<html>\n  <body>{}</body>", "x".repeat(500));
        let text = refused(502, &page).to_string();
        assert!(text.contains("502 Bad Gateway: <html> <body>xxx") && text.ends_with('…'), "{text}");
    }

    #[test]
    fn a_redirection_is_told_without_what_may_be_a_token() {
        let said = RefusalText::read(StatusCode::FOUND, Some("https://x/?token=abc"), b"", str::to_owned);
        assert_eq!(said.words(), "it redirects to `https://x/`, which an API never does");
    }

    #[test]
    fn a_secret_is_removed_before_the_text_is_cut() {
        let clean = |text: &str| text.replace("hunter2-hunter2", "***");
        let body = format!("{}hunter2-hunter2", "x".repeat(EXCERPT - 5));
        let said = RefusalText::read(StatusCode::BAD_REQUEST, None, body.as_bytes(), clean);
        assert!(said.words().ends_with("xxx***") && !said.words().contains("hunter"), "{}", said.words());
    }

    #[test]
    fn what_the_service_says_is_shown_short_in_one_line_and_kept_for_programs() {
        let message = format!("no\n::error::\u{1b}[2J{}", "x".repeat(1_200_000));
        let body = serde_json::json!({ "message": message, "errors": { "a": ["\r\n##[group]b"] } }).to_string();
        let error = refused(400, &body);
        let text = error.to_string();
        assert!(text.contains("400 Bad Request: no ::error::\\u{1b}[2Jxxx"), "{}", &text[..200]);
        assert!(text.len() < 3000 && text.lines().count() == 1, "{} bytes", text.len());
        assert_eq!(error.message(), Some(&*message));
        assert!(
            refused(400, r#"{"message": "m", "errors": {"a": "\r\n##[group]b"}}"#)
                .to_string()
                .ends_with("m; a: \\u{23}#[group]b")
        );
    }
}
