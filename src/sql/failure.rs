//! Describes why a statement failed: what was sent to which server, the cause, and what helps.

use serde::Deserialize;

use super::client::Reply;
use super::connections::HttpLimits;
use super::wallet::Credentials;
use crate::error::{Error, Kind, Refusal};

/// Enough of a statement to recognise it.
const STATEMENT_CHARS: usize = 200;
/// Enough of a server's message to understand it; some list every column of a table.
const MESSAGE_CHARS: usize = 2000;
/// Enough of a body that isn't the expected answer.
const BODY_CHARS: usize = 500;

/// The error codes of CrateDB that this client handles.
pub(crate) mod code {
    pub(crate) const NOT_SUPPORTED: i32 = 4004;
    pub(crate) const NOT_AUTHORISED: i32 = 4010;
    pub(crate) const MISSING_PRIVILEGE: i32 = 4011;
    pub(crate) const RELATION_UNKNOWN: i32 = 4041;
    /// `ProcessClusterEventTimeoutException`: it waited for 30 s behind more urgent tasks of the server and was not
    /// begun.
    pub(crate) const NOT_ITS_TURN: i32 = 5034;
}

/// A statement as errors name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) text: &'a str,
    /// Its number, from 1, and the total, if it is one of several.
    place: Option<(usize, usize)>,
}

impl<'a> Statement<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, place: None }
    }

    /// Names the statement as the `number`th of `count`, counted from 1.
    pub(crate) fn numbered(text: &'a str, number: usize, count: usize) -> Self {
        Self { text, place: Some((number, count)) }
    }

    /// Makes an error that says that executing the statement failed.
    pub(crate) fn failed(&self, kind: Kind) -> Error {
        self.failed_to(kind, "execute", "")
    }

    /// Makes an error that says that some other work with the statement failed.
    pub(crate) fn failed_to(&self, kind: Kind, what: &str, how: &str) -> Error {
        let text = excerpt(self.text, STATEMENT_CHARS);
        let attempted = match self.place {
            None => format!("cannot {what} `{text}`{how}"),
            Some((number, count)) => format!("cannot {what} statement {number} of {count}, `{text}`{how}"),
        };
        Error::new(kind, attempted)
    }

    /// Reports whether executing it twice has the same effect as executing it once, whatever happened the first time.
    pub(crate) fn only_reads(&self) -> bool {
        let text = super::lexer::without_leading_comments(self.text);
        let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
        ["SELECT", "SHOW", "EXPLAIN", "WITH", "VALUES", "REFRESH"]
            .iter()
            .any(|word| text[..end].eq_ignore_ascii_case(word))
    }
}

/// Returns the beginning of a text, on one line.
pub(crate) fn excerpt(text: &str, chars: usize) -> String {
    let mut short = String::new();
    for word in text.split_whitespace() {
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
        if short.len() > chars * 4 {
            break;
        }
    }
    match short.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &short[..end]),
        None => short,
    }
}

/// The error for a request without a complete answer.
pub(crate) fn no_answer(cause: reqwest::Error, statement: Statement<'_>, address: &str, limits: HttpLimits) -> Error {
    if cause.is_builder() {
        return statement.failed(Kind::Usage).because("the request can't be sent").because(root(&cause));
    }
    let kind = if cause.is_timeout() { Kind::Timeout } else { Kind::Transport };
    let error = statement.failed(kind);
    if cause.is_connect() {
        let error = match kind {
            Kind::Timeout => error.because(format!("no connection to {address} within {}", in_words(limits.connect))),
            _ => error.because(format!("no connection to {address}")).because(root(&cause)),
        };
        return error.hint("is the server running, and is this its HTTP address?");
    }
    match kind {
        Kind::Timeout => error
            .because(format!("{address} said nothing for {}", in_words(limits.silence)))
            .hint("it may still be executing the statement: `SELECT id, stmt FROM sys.jobs` on the server tells"),
        _ => {
            let error = error.because(format!("the connection to {address} broke before the answer was complete"));
            let error = error.because(root(&cause));
            if statement.only_reads() {
                error
            } else {
                error.hint("the statement may have been executed; it was not sent again")
            }
        }
    }
}

fn in_words(time: std::time::Duration) -> impl std::fmt::Display {
    humantime::format_duration(time)
}

/// Returns the innermost cause: what the operating system or the TLS library reported, without the layers above it.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorObject,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ErrorObject {
    pub(crate) message: String,
    pub(crate) code: i32,
}

/// Reads an answer as an error of CrateDB, if it is one.
pub(crate) fn error_object(body: &[u8]) -> Option<ErrorObject> {
    serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error)
}

/// The error for an answer with the status of a refusal.
pub(crate) fn refused(
    reply: &Reply,
    statement: Statement<'_>,
    address: &str,
    schema: Option<&str>,
    credentials: &Credentials,
) -> Error {
    let object = error_object(&reply.body);
    let code = object.as_ref().map(|object| object.code);
    let message = object.map_or_else(|| excerpt(&reply.text(), BODY_CHARS), |object| object.message);
    let error = statement.failed(Kind::Server);
    let error = match code {
        Some(code) => error.because(format!("{} (code {code})", excerpt(&message, MESSAGE_CHARS))),
        None if message.is_empty() => error.because(format!("{address} answered with status {}", reply.status)),
        None => error.because(format!("{address} answered with status {}", reply.status)).because(&message),
    };
    let error = match hint(code, reply.status, schema, credentials) {
        Some(hint) => error.hint(hint),
        None => error,
    };
    error.refused(Refusal { status: reply.status, code, message, request: statement.text.into(), errors: None })
}

fn hint(code: Option<i32>, status: u16, schema: Option<&str>, credentials: &Credentials) -> Option<String> {
    match (code, schema) {
        (Some(code::RELATION_UNKNOWN), Some(schema)) => {
            return Some(format!("names without a schema are looked for in `{schema}`, the schema of this test"));
        }
        (Some(_), _) => return None,
        (None, _) => {}
    }
    let text = match (status, credentials) {
        (401, Credentials::None) => "the server wants credentials: set CRATEDB_USERNAME and CRATEDB_PASSWORD",
        (401, Credentials::Basic { .. }) => "check CRATEDB_USERNAME and CRATEDB_PASSWORD",
        (401, Credentials::Jwt { .. }) => "the token of CrateDB Cloud was renewed once and refused again",
        (502..=504, _) => "a proxy answered: is the cluster running?",
        _ => return None,
    };
    Some(text.into())
}

/// The error for a successful answer that can't be read.
pub(crate) fn unreadable(reply: &Reply, statement: Statement<'_>, address: &str, why: &str) -> Error {
    let body = excerpt(&reply.text(), BODY_CHARS);
    statement
        .failed(Kind::Decode)
        .because(format!(
            "the answer of {address} is not one of CrateDB (status {}, {})",
            reply.status, reply.content_type
        ))
        .because(why)
        .because(if body.is_empty() { "it is empty".to_string() } else { format!("it begins with `{body}`") })
        .hint("is this the HTTP address of a CrateDB server?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_one_short_line() {
        assert_eq!(excerpt("  SELECT\n\t 1 ", 20), "SELECT 1");
        assert_eq!(excerpt("größer als es sein darf", 6), "größer…");
        assert_eq!(excerpt(&"x ".repeat(100_000), 3), "x x…");
        assert_eq!(excerpt("", 3), "");
    }

    #[test]
    fn statements_that_only_read_are_told_from_those_that_write() {
        for text in
            ["SELECT 1", "select(1)", "-- why\n/* not */ SELECT 1", "WITH a AS (SELECT 1) SELECT 2", "REFRESH TABLE t"]
        {
            assert!(Statement::new(text).only_reads(), "{text}");
        }
        for text in
            ["", "INSERT INTO t SELECT 1", "selection", "/* SELECT", "DELETE FROM t", "SET a = 1", "FETCH 1 FROM c"]
        {
            assert!(!Statement::new(text).only_reads(), "{text}");
        }
    }
}
