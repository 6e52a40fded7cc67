//! Tells whether anything of a test may still write to its schema when the test is over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::Grant;
use crate::error::{Error, Result};
use crate::sql::Statement;
use crate::{foreign, sql};

/// The most bytes of a statement that is shown.
const SHOWN: usize = 120;

/// The statements of one test, and whether the harness sees all that writes.
#[derive(Default)]
pub(crate) struct Writers {
    begun: AtomicU64,
    answered: AtomicU64,
    unseen: AtomicBool,
    /// The first statement that does more than read.
    changing: OnceLock<String>,
}

impl Writers {
    /// Notes that clients other than the harness's may write: the test was given an address or the schema's name.
    pub(crate) fn note_address(&self) {
        self.unseen.store(true, Ordering::SeqCst);
    }

    /// Notes work of the harness itself, which the test does not begin before it is done.
    pub(crate) fn note_own(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.answered.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns what may have changed the schema, for people; none if the test has only read.
    pub(crate) fn suspicion(&self) -> Option<String> {
        match self.changing.get() {
            Some(stmt) => Some(format!("it sent `{stmt}`")),
            None => self.unseen.load(Ordering::SeqCst).then(|| "clients of its own were given the address".to_owned()),
        }
    }

    /// Returns the number of statements, once all are answered and nothing else may write. Asked after the test was
    /// declared over: what begins later is refused.
    pub(crate) fn settled(&self) -> Option<u64> {
        let begun = self.begun.load(Ordering::SeqCst);
        let all_seen = !self.unseen.load(Ordering::SeqCst);
        (all_seen && self.answered.load(Ordering::SeqCst) == begun).then_some(begun)
    }
}

/// A statement, or several in one call, from before it is sent until it is answered. One whose future is dropped in
/// between may still be executed.
pub(crate) struct InFlight {
    grant: Arc<Grant>,
    /// Nothing was sent yet, or all was answered.
    settled: bool,
}

impl InFlight {
    /// Counts it; an error if the test is over. Counted first, so that the end of the test sees it or refuses it.
    pub(super) fn begin(grant: &Arc<Grant>) -> Result<Self> {
        grant.writers.begun.fetch_add(1, Ordering::SeqCst);
        let this = Self { grant: grant.clone(), settled: true };
        grant.note_use()?;
        Ok(this)
    }

    /// Sends a statement and notes its outcome. One that had no answer because the cluster went away says so.
    pub(super) async fn follow<T>(
        &mut self,
        stmt: &str,
        rows: impl FnOnce(&T) -> u64,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        if goes_on_after_its_answer(stmt) {
            self.grant.writers.note_address();
        }
        if !reads(stmt) {
            let shown = || foreign::shortened(&sql::without_texts(stmt), SHOWN).into_owned();
            let _ = self.grant.writers.changing.get_or_init(shown);
        }
        self.settled = false;
        let outcome = self.grant.trace.follow(stmt, rows, work).await;
        self.settled = outcome.as_ref().err().is_none_or(|error| !error.is_unanswered() || error.is_never_sent());
        match (outcome, &self.grant.explain) {
            (Err(error), _) if self.grant.readonly && error.code() == Some(sql::code::NOT_POSSIBLE) => Err(error.hint(
                "the attribute says `readonly`: its tables are shared and take no rows. A test that writes leaves it out",
            )),
            (Err(error), Some(explain)) if error.is_unanswered() => Err(explained(error, explain().await)),
            (outcome, _) => outcome,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.settled {
            self.grant.writers.answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn explained(error: Error, reason: Option<Error>) -> Error {
    match reason {
        Some(reason) => reason.because_of(&error),
        None => error,
    }
}

/// Reports whether a statement surely changes no table, view or function.
fn reads(stmt: &str) -> bool {
    Statement::new(stmt).only_reads() || sql::begins_with(stmt, &["SET", "BEGIN", "COMMIT"])
}

/// Reports whether the server may answer a statement before it has done what it says.
fn goes_on_after_its_answer(stmt: &str) -> bool {
    sql::begins_with(stmt, &["COPY"]) && sql::tokens(stmt).iter().any(|token| token.is("WAIT_FOR_COMPLETION"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::grant;
    use crate::error::Kind;

    fn one() -> Arc<Grant> {
        Arc::new(grant("http://127.0.0.1:9"))
    }

    async fn ends_with(outcome: Result<()>) -> Option<u64> {
        let grant = one();
        let mut statement = InFlight::begin(&grant).unwrap();
        let _ = statement.follow("SELECT 1", |()| 1, async { outcome }).await;
        drop(statement);
        grant.writers.settled()
    }

    #[tokio::test]
    async fn an_answer_of_the_server_settles_a_statement_and_a_lost_one_does_not() {
        let refused = |code| {
            let refusal = crate::error::Refusal {
                status: 400,
                code,
                message: String::new(),
                request: String::new(),
                errors: None,
            };
            Error::new(Kind::Server, "cannot").refused(refusal)
        };
        assert_eq!(ends_with(Ok(())).await, Some(1));
        assert_eq!(ends_with(Err(refused(Some(4000)))).await, Some(1));
        assert_eq!(ends_with(Err(Error::new(Kind::Transport, "no connection").never_sent())).await, Some(1));
        for lost in [Error::new(Kind::Transport, "reset"), Error::new(Kind::Timeout, "late"), refused(None)] {
            assert_eq!(ends_with(Err(lost)).await, None);
        }
    }

    #[tokio::test]
    async fn a_future_that_is_dropped_settles_only_before_it_was_sent() {
        let grant = one();
        drop(InFlight::begin(&grant).unwrap());
        assert_eq!(grant.writers.settled(), Some(1));
        let mut statement = InFlight::begin(&grant).unwrap();
        {
            let mut sent = Box::pin(statement.follow("SELECT 1", |()| 1, std::future::pending()));
            let nothing = std::task::Waker::noop();
            assert!(sent.as_mut().poll(&mut std::task::Context::from_waker(nothing)).is_pending());
        }
        drop(statement);
        assert_eq!(grant.writers.settled(), None);
    }

    #[test]
    fn a_statement_on_its_way_and_an_address_leave_it_open() {
        let grant = one();
        let statement = InFlight::begin(&grant).unwrap();
        assert_eq!(grant.writers.settled(), None);
        drop(statement);
        grant.writers.note_own();
        assert_eq!(grant.writers.settled(), Some(2));
        grant.writers.note_address();
        assert_eq!(grant.writers.settled(), None);
    }

    #[tokio::test]
    async fn a_test_that_only_reads_is_above_suspicion() {
        let grant = one();
        let mut statement = InFlight::begin(&grant).unwrap();
        for stmt in
            ["SELECT 1", "/* INSERT */ show tables", "SET SESSION search_path = 'x'", "REFRESH TABLE t", "BEGIN"]
        {
            statement.follow(stmt, |()| 1, async { Ok(()) }).await.unwrap();
        }
        assert_eq!(grant.writers.suspicion(), None);
        for stmt in ["ALTER TABLE t ADD COLUMN x TEXT DEFAULT 'secret'", "DROP TABLE t"] {
            statement.follow(stmt, |()| 1, async { Ok(()) }).await.unwrap();
        }
        let first = "it sent `ALTER TABLE t ADD COLUMN x TEXT DEFAULT '…'`";
        assert_eq!(grant.writers.suspicion().as_deref(), Some(first));
        let other = one();
        other.writers.note_address();
        assert!(other.writers.suspicion().unwrap().contains("address"));
    }

    #[tokio::test]
    async fn a_row_that_a_shared_table_refuses_names_the_word_of_the_attribute() {
        let refused = || {
            let (status, code, message, request, errors) = (400, Some(4007), String::new(), String::new(), None);
            Error::new(Kind::Server, "cannot").refused(crate::error::Refusal { status, code, message, request, errors })
        };
        for readonly in [true, false] {
            let grant = Arc::new(Grant { readonly, ..grant("http://127.0.0.1:9") });
            let mut statement = InFlight::begin(&grant).unwrap();
            let error =
                statement.follow("INSERT INTO t VALUES (1)", |()| 1, async { Err(refused()) }).await.unwrap_err();
            assert_eq!(error.to_string().contains("`readonly`"), readonly, "{error}");
        }
    }

    #[test]
    fn nothing_begins_after_the_end() {
        let grant = one();
        grant.over.store(true, Ordering::SeqCst);
        assert!(InFlight::begin(&grant).is_err());
        assert_eq!(grant.writers.settled(), Some(1));
    }

    #[test]
    fn a_copy_that_is_not_waited_for_goes_on() {
        assert!(goes_on_after_its_answer("copy t FROM 'x' WITH (wait_for_completion = false)"));
        for done in ["COPY t FROM 'x'", "INSERT INTO t VALUES ('wait_for_completion')", "SELECT wait_for_completion"] {
            assert!(!goes_on_after_its_answer(done), "{done}");
        }
    }
}
