//! Errors as clients of the PostgreSQL protocol see them: SQLSTATE and text.

use pgwire::messages::response::ErrorResponse;

use crate::engine::SqlError;

/// An error of the protocol itself or of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) state: &'static str,
    pub(super) message: String,
}

const UNSUPPORTED: &str = "0A000";
const INTERNAL: &str = "XX000";
const INVALID_AUTHORIZATION: &str = "28000";

impl Failure {
    pub(super) fn internal(message: impl Into<String>) -> Failure {
        Failure { state: INTERNAL, message: message.into() }
    }

    /// A protocol error.
    pub(super) fn response(&self) -> ErrorResponse {
        response("ERROR", self.state, &self.message)
    }
}

/// The refusal of a connection.
pub(super) fn rejection(message: &str) -> ErrorResponse {
    let mut response = response("FATAL", INVALID_AUTHORIZATION, message);
    response.fields.push((b'R', "ClientAuthentication".into()));
    response
}

/// The end of a connection whose messages can't be understood.
pub(super) fn fatal(message: &str) -> ErrorResponse {
    response("FATAL", INTERNAL, message)
}

/// Longer texts would not fit into a message.
const LONGEST: usize = 8000;

fn response(severity: &str, state: &str, message: &str) -> ErrorResponse {
    let message: String = message.chars().filter(|c| *c != '\0').take(LONGEST / 4).collect();
    ErrorResponse::new(vec![(b'S', severity.into()), (b'M', message), (b'C', state.into())])
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Failure {
        // Over HTTP the class is in front of the text: `Class[text]`.
        let (class, text) = error.message.split_once('[').unwrap_or(("", &error.message));
        let text = text.strip_suffix(']').unwrap_or(text);
        let state = match (error.code, class) {
            _ if error.is_refusal() => UNSUPPORTED,
            (_, "ParsingException") => "42601",
            (_, "UnsupportedFunctionException") => UNSUPPORTED,
            (4006, _) => "42702",
            (_, "RelationUnknown") => "42P01",
            (4043, _) => "42703",
            (4045, _) => "3F000",
            (4091, _) => "23505",
            (4093, _) => "42P07",
            (40013, _) => "2BP01",
            (40410, _) => "42704",
            (_, "SchemaAlreadyExists") => "42P06",
            _ => INTERNAL,
        };
        Failure { state, message: text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(code: u32, class: &str) -> &'static str {
        Failure::from(SqlError::new(code, class, "why")).state
    }

    #[test]
    fn codes_become_states() {
        assert_eq!(state(4000, "ParsingException"), "42601");
        assert_eq!(state(4000, "SQLParseException"), "XX000");
        assert_eq!(state(4041, "RelationUnknown"), "42P01");
        assert_eq!(state(4091, "DuplicateKeyException"), "23505");
        assert_eq!(state(5000, "Other"), "XX000");
    }

    #[test]
    fn the_class_is_not_part_of_the_text() {
        let error = SqlError::new(4041, "RelationUnknown", "Relation 'a[1]' unknown");
        assert_eq!(Failure::from(error).message, "Relation 'a[1]' unknown");
    }
}
