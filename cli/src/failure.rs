//! The error of a command, and the exit codes.

use std::fmt;

use cratedb_test::Error;
use serde_json::json;

/// Exit codes. They are part of the interface: `--help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Failed = 1,
    Usage = 2,
    NotAllowed = 3,
    NotFound = 4,
    TimedOut = 5,
    Interrupted = 130,
    Terminated = 143,
}

/// The error of a command: a sentence, and lines that say what helps.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    text: String,
    status: Option<u16>,
}

impl Failure {
    /// Makes a failure of one sentence, without a full stop.
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), status: None }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Code::Usage, text)
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::new(Code::Failed, text)
    }

    /// Adds a line with the command or the variable that helps.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.text += &format!("\n  {hint}");
        self
    }

    /// Returns the one JSON document of a command that failed.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({ "error": { "message": self.text, "exit_code": self.code as u8, "status": self.status } })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            // A database refuses with a status as well.
            error if error.is_not_allowed() || matches!(error.status(), Some(401 | 403)) => Code::NotAllowed,
            error if error.is_not_found() => Code::NotFound,
            error if error.is_timeout() => Code::TimedOut,
            error if error.is_setting() || error.is_usage() => Code::Usage,
            _ => Code::Failed,
        };
        Self { code, text: error.to_string(), status: error.status() }
    }
}
