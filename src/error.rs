//! The error type of this crate: what was attempted, why it failed and what helps.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::foreign;

/// The most bytes of one part of an error. Servers can send more, and an error is kept, logged and shown as a whole.
const PART: usize = 16 << 10;

/// The most of an error that a frame of the keeper's socket has to hold: bytes of a part, bytes of a service's own
/// words, and numbers of parts.
mod framed {
    pub(super) const PART: usize = 4 << 10;
    pub(super) const REFUSAL: usize = 16 << 10;
    pub(super) const CAUSES: usize = 16;
    pub(super) const HINTS: usize = 64;
}

/// The result type of this crate.
///
/// The second parameter exists so that importing this type does not hide `std`'s `Result`: `Result<u8, MyError>` still
/// has its usual meaning.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason for a failure, in one or two sentences.
///
/// `Display` prints the whole chain, what was attempted first and then the causes, followed by a line with what helps.
/// `Debug` prints the same, since tests show errors through `unwrap` and through `-> Result`. Cloning is cheap: a
/// failed acquisition is reported by every test of the session.
///
/// ```
/// # use cratedb_test::Error;
/// fn tell(error: &Error) {
///     match error.code() {
///         Some(4041) => eprintln!("no such table in {:?}", error.statement()),
///         _ => eprintln!("{error}"),
///     }
/// }
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "ErrorInner", into = "ErrorInner")]
pub struct Error(Arc<ErrorInner>);

impl From<ErrorInner> for Error {
    fn from(inner: ErrorInner) -> Self {
        Self(Arc::new(inner))
    }
}

impl From<Error> for ErrorInner {
    /// Shortens what servers said: an error that fits into no frame would not arrive at all.
    fn from(error: Error) -> Self {
        let short = |text: &mut String| *text = foreign::shortened(&foreign::block(text), framed::PART).into_owned();
        let mut inner = Arc::unwrap_or_clone(error.0);
        inner.causes.truncate(framed::CAUSES);
        inner.hints.truncate(framed::HINTS);
        short(&mut inner.attempted);
        inner.causes.iter_mut().chain(&mut inner.hints).for_each(short);
        inner.refusal = inner.refusal.map(Refusal::for_a_frame);
        inner
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct ErrorInner {
    kind: Kind,
    attempted: String,
    #[serde(default)]
    causes: Vec<String>,
    #[serde(default)]
    hints: Vec<String>,
    refusal: Option<Refusal>,
    /// Matters only to the sender of the request, like the next one.
    #[serde(skip)]
    never_sent: bool,
    #[serde(skip)]
    in_own_form: bool,
}

/// The part of the work that an error comes from. The predicates of [`Error`] depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A setting that is missing or can't be read.
    Setting,
    /// Credentials of the Cloud API that are missing or belong to something else.
    Login,
    /// A cluster that was named and does not exist.
    Missing,
    /// The SQL server answered with an error.
    Server,
    /// The Cloud API answered with an error, or an operation there failed.
    Cloud,
    /// No answer: refused, reset, name not found.
    Transport,
    /// A deadline passed.
    Timeout,
    /// An answer did not have the expected form.
    Decode,
    /// A provider could not make a cluster available, or could not release it.
    Provider,
    /// The session or its keeper.
    Session,
    /// The caller used the API in a way that can't work.
    Usage,
}

/// An answer that refuses the request, as it was received.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: u16,
    /// CrateDB's error code; none for answers of the Cloud API and for plain text.
    pub(crate) code: Option<i32>,
    /// The service's own message.
    pub(crate) message: String,
    /// The SQL statement, or method and path of a Cloud request.
    pub(crate) request: String,
    /// The Cloud API's `errors`: the problems by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) errors: Option<serde_json::Value>,
}

impl Refusal {
    fn for_a_frame(self) -> Self {
        let short = |text: String| match text.len() <= framed::REFUSAL {
            true => text,
            false => foreign::shortened(&text, framed::REFUSAL).into_owned(),
        };
        let errors = self.errors.filter(|errors| errors.to_string().len() <= framed::REFUSAL);
        Self { message: short(self.message), request: short(self.request), errors, ..self }
    }
}

fn part(text: String) -> String {
    match text.len() <= PART {
        true => text,
        false => foreign::shortened(&text, PART).into_owned(),
    }
}

impl Error {
    /// Makes an error that says what was attempted, as a lower-case fragment without a full stop.
    pub(crate) fn new(kind: Kind, attempted: impl Into<String>) -> Self {
        let (attempted, causes, hints) = (part(attempted.into()), Vec::new(), Vec::new());
        ErrorInner { kind, attempted, causes, hints, refusal: None, never_sent: false, in_own_form: false }.into()
    }

    /// Adds the next cause, printed after a colon.
    pub(crate) fn because(mut self, cause: impl fmt::Display) -> Self {
        Arc::make_mut(&mut self.0).causes.push(part(cause.to_string()));
        self
    }

    /// Adds an error and everything below it as causes.
    pub(crate) fn because_of(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        let causes = &mut Arc::make_mut(&mut self.0).causes;
        let mut next = Some(cause);
        while let Some(error) = next {
            let text = error.to_string();
            // Some libraries print their cause and return it as well.
            if !causes.last().is_some_and(|last: &String| last.contains(&text)) {
                causes.push(part(text));
            }
            next = error.source();
        }
        self
    }

    /// Makes the error a part of something larger, which is named first.
    pub(crate) fn during(mut self, larger: impl Into<String>) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        let part = std::mem::replace(&mut inner.attempted, part(larger.into()));
        inner.causes.insert(0, part);
        self
    }

    /// Adds a line with what helps: a command, a variable.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).hints.push(part(hint.into()));
        self
    }

    /// Adds the hints that there are.
    pub(crate) fn hints(self, hints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        hints.into_iter().fold(self, Self::hint)
    }

    /// Replaces what was attempted, if credentials were missing for it.
    pub(crate) fn needed_to(mut self, attempted: &str) -> Self {
        if self.kind() == Kind::Login {
            Arc::make_mut(&mut self.0).attempted = attempted.to_owned();
        }
        self
    }

    /// Keeps the refusal of a service beside the text.
    pub(crate) fn refused(mut self, refusal: Refusal) -> Self {
        Arc::make_mut(&mut self.0).refusal = Some(refusal);
        self
    }

    /// Records that there was no connection to send the request on, so it did nothing.
    pub(crate) fn never_sent(mut self) -> Self {
        Arc::make_mut(&mut self.0).never_sent = true;
        self
    }

    pub(crate) fn is_never_sent(&self) -> bool {
        self.0.never_sent
    }

    /// Records that the refusal has the form of the service's own ones.
    pub(crate) fn in_own_form(mut self) -> Self {
        Arc::make_mut(&mut self.0).in_own_form = true;
        self
    }

    pub(crate) fn is_in_own_form(&self) -> bool {
        self.0.in_own_form
    }

    /// Removes a secret that a service may have repeated.
    pub(crate) fn without_secret(self, secret: &str) -> Self {
        let everything = format!("{self}{:?}", self.0.refusal);
        if secret.is_empty() || !everything.contains(secret) {
            return self;
        }
        let refusal = self.0.refusal.clone().map(|refusal| Refusal {
            message: refusal.message.replace(secret, "***"),
            errors: None,
            ..refusal
        });
        let error = Self::new(self.kind(), self.0.attempted.replace(secret, "***"))
            .because("its answer holds the password and is not shown");
        let error = if self.is_in_own_form() { error.in_own_form() } else { error };
        refusal.into_iter().fold(error, Self::refused)
    }

    /// Returns what was attempted and the causes, without the hints.
    /// Reports whether a statement failed with this without an answer of CrateDB itself.
    pub(crate) fn is_unanswered(&self) -> bool {
        let local = matches!(self.kind(), Kind::Usage | Kind::Setting | Kind::Decode);
        !local && self.code().is_none()
    }

    pub(crate) fn first_line(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns CrateDB's error code, for example 4041 for an unknown table.
    ///
    /// Source: <https://cratedb.com/docs/crate/reference/en/latest/interfaces/http.html#error-codes>.
    pub fn code(&self) -> Option<i32> {
        self.0.refusal.as_ref()?.code
    }

    /// Returns the HTTP status of the answer, if the request was refused.
    pub fn status(&self) -> Option<u16> {
        Some(self.0.refusal.as_ref()?.status)
    }

    /// Returns the message of the service itself.
    pub fn message(&self) -> Option<&str> {
        Some(&self.0.refusal.as_ref()?.message)
    }

    /// Returns the method and path of the request that the Cloud API refused, such as
    /// `PUT /api/v2/clusters/e1e3…/suspend/`.
    pub fn request(&self) -> Option<&str> {
        self.refused_by(Kind::Cloud)
    }

    /// Returns the problems that the Cloud API found, as it reports them: an object with the names of the fields.
    ///
    /// ```
    /// # use cratedb_test::Error;
    /// fn is_too_short(error: &Error) -> bool {
    ///     error.errors().is_some_and(|errors| errors["cluster"]["password"].is_array())
    /// }
    /// ```
    pub fn errors(&self) -> Option<&serde_json::Value> {
        self.0.refusal.as_ref()?.errors.as_ref()
    }

    /// Returns the SQL statement that CrateDB refused.
    pub fn statement(&self) -> Option<&str> {
        self.refused_by(Kind::Server)
    }

    fn refused_by(&self, service: Kind) -> Option<&str> {
        let refusal = self.0.refusal.as_ref().filter(|_| self.0.kind == service)?;
        Some(&refusal.request)
    }

    /// Reports whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::Timeout
    }

    /// Reports whether a setting is missing or can't be read. Credentials count as settings.
    pub fn is_setting(&self) -> bool {
        matches!(self.0.kind, Kind::Setting | Kind::Login)
    }

    /// Reports whether the caller used the API in a way that can't work.
    pub fn is_usage(&self) -> bool {
        self.0.kind == Kind::Usage
    }

    /// Reports whether CrateDB Cloud has no credentials, or does not accept them for this request: there are none, they
    /// belong to another endpoint, they are refused (401, 403), or the login has expired.
    pub fn is_not_allowed(&self) -> bool {
        let refused = |status| matches!(status, 401 | 403) || (300..400).contains(&status);
        self.0.kind == Kind::Login || self.0.kind == Kind::Cloud && self.status().is_some_and(refused)
    }

    /// Reports whether CrateDB Cloud has no such thing: no cluster of that name, no cluster, job or project with that
    /// id.
    pub fn is_not_found(&self) -> bool {
        self.0.kind == Kind::Missing || self.0.kind == Kind::Cloud && self.status() == Some(404)
    }

    /// Reports whether no answer came at all: connection refused or reset, host not found.
    pub fn is_transport(&self) -> bool {
        self.0.kind == Kind::Transport
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.attempted.clone();
        for cause in &self.0.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        for hint in &self.0.hints {
            text.push_str("\n  ");
            text.push_str(hint);
        }
        // Any part may quote a server.
        f.write_str(&foreign::block(&text))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// Returns the innermost cause of a library's error, which says what happened.
pub(crate) fn root_of(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().unwrap_or(error).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_was_attempted_then_why_then_what_helps() {
        let error = Error::new(Kind::Setting, "cannot read CRATEDB_TEST_KEEP_WARM=`10`")
            .because("a duration needs a unit")
            .hint("accepted: 250ms, 10s, 10m, 2h, 0");
        assert_eq!(
            error.to_string(),
            "cannot read CRATEDB_TEST_KEEP_WARM=`10`: a duration needs a unit\n  accepted: 250ms, 10s, 10m, 2h, 0"
        );
        assert_eq!(format!("{error:?}"), error.to_string());
    }

    #[test]
    fn what_a_server_says_reaches_people_as_text() {
        let error = Error::new(Kind::Cloud, "refused \u{1b}[2J").because("no\n::error::x").hint("##[group]y\rz");
        assert_eq!(error.to_string(), "refused \\u{1b}[2J: no\n\\u{3a}:error::x\n  \\u{23}#[group]y\\rz");
        assert_eq!(format!("{error:?}"), error.to_string());
    }

    #[test]
    fn no_part_of_it_is_longer_than_is_good_for_people() {
        let long = "x".repeat(3 * PART);
        let text = Error::new(Kind::Cloud, &*long).because(&long).hint(&*long).during(&*long).to_string();
        assert!(text.len() < 4 * (PART + 100) && text.contains("bytes more)"), "{}", text.len());
    }

    /// Frames of the keeper's socket have 1 MiB, as `wire` says. A control character takes six bytes in JSON.
    #[test]
    fn the_longest_error_fits_into_a_frame() {
        for byte in ["\0", "\"", "ä"] {
            let long = byte.repeat(1_200_000);
            let (message, request) = (long.clone(), long.clone());
            let errors = serde_json::json!({ "field": [long] });
            let refusal = Refusal { status: 400, code: None, message, request, errors: Some(errors) };
            let mut error = Error::new(Kind::Cloud, &*long).refused(refusal);
            for _ in 0..100 {
                error = error.because(&long).hint(&*long);
            }
            let json = serde_json::to_string(&error).unwrap();
            assert!(json.len() < (1 << 20) - 4096, "{} bytes of {byte:?}", json.len());
            let back: Error = serde_json::from_str(&json).unwrap();
            assert!(back.message().unwrap().ends_with("bytes more)") && back.errors().is_none());
        }
    }

    #[test]
    fn survives_the_way_over_a_socket() {
        let error = Error::new(Kind::Server, "statement failed").because("no such table").refused(Refusal {
            status: 404,
            code: Some(4041),
            message: "RelationUnknown".into(),
            request: "SELECT 1".into(),
            errors: None,
        });
        let back: Error = serde_json::from_str(&serde_json::to_string(&error).unwrap()).unwrap();
        assert_eq!(
            (back.to_string(), back.code(), back.statement()),
            (error.to_string(), Some(4041), Some("SELECT 1"))
        );
    }
}
