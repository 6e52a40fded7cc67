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

    /// Replaces the names of settings by those of the options that were given for them. A line about a file is about
    /// the variable.
    pub(crate) fn with_names(self, names: &[(&str, &str)]) -> Self {
        let line = |line: &str| match line.contains("/.env") {
            true => line.to_owned(),
            false => names.iter().fold(line.to_owned(), |line, (setting, option)| line.replace(setting, option)),
        };
        let text = self.text.lines().map(line).collect::<Vec<_>>().join("\n");
        Self { text, ..self }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_named_where_one_was_given() {
        let failure = Failure::failed("no cluster is named `x`")
            .hint("check CRATEDB_CLUSTER_NAME")
            .hint("CRATEDB_CLUSTER_NAME in /a/.env has x");
        let named = failure.with_names(&[("CRATEDB_CLUSTER_NAME", "--cluster-name")]);
        let expected = "no cluster is named `x`\n  check --cluster-name\n  CRATEDB_CLUSTER_NAME in /a/.env has x";
        assert_eq!(named.to_string(), expected);
    }
}
