//! Remembers the last statements of one test for the report of its failure, and warns of statements without effect.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::unseen::Unseen;
use crate::error::{Error, Result};
use crate::faults::Event;
use crate::foreign;

/// The number of statements, and of events of the network, that are remembered.
const LAST: usize = 10;
/// The part of one that fits a line on a screen beside the times.
const WIDTH: usize = 80;

/// The statements that a test sent: only their beginning, and never arguments, which may be secrets.
pub(crate) struct Trace {
    began: Instant,
    sent: Mutex<Sent>,
    warned: AtomicBool,
}

#[derive(Default)]
struct Sent {
    count: usize,
    last: VecDeque<SentStatement>,
    unseen: Unseen,
    /// Events on a network with faults, the newest first.
    heard: VecDeque<(Duration, Event)>,
}

struct SentStatement {
    number: usize,
    text: String,
    at: Duration,
    took: Duration,
    /// None until there is an answer.
    outcome: Option<std::result::Result<u64, String>>,
}

impl Default for Trace {
    fn default() -> Self {
        Self { began: Instant::now(), sent: Mutex::default(), warned: AtomicBool::new(false) }
    }
}

impl Trace {
    /// Notes a statement and its outcome. `rows` reads how many rows it affected or returned.
    pub(crate) async fn follow<T>(
        &self,
        stmt: &str,
        rows: impl FnOnce(&T) -> u64,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let at = self.began.elapsed();
        let number = self.sent(stmt, at);
        let answer = work.await;
        let outcome = answer.as_ref().map(rows);
        if let Ok(rows) = outcome {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.unseen.note(stmt, at, self.began.elapsed(), rows);
        }
        self.answered(number, outcome.map_err(|error| told(stmt, error)));
        answer
    }

    fn sent(&self, stmt: &str, at: Duration) -> usize {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.count += 1;
        let number = sent.count;
        sent.last.truncate(LAST - 1);
        sent.last.push_front(SentStatement { number, text: shown(stmt), at, took: Duration::ZERO, outcome: None });
        number
    }

    fn answered(&self, number: usize, outcome: std::result::Result<u64, String>) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = sent.last.iter_mut().find(|entry| entry.number == number) {
            entry.took = self.began.elapsed().saturating_sub(entry.at);
            entry.outcome = Some(outcome);
        }
    }

    /// Notes an event of the network. One of a kind that happened since the test last set a fault is added to it.
    pub(crate) fn hear(&self, event: Event) {
        let at = self.began.elapsed();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let since = sent.heard.iter_mut().take_while(|(_, earlier)| !earlier.divides());
        if since.map(|(_, earlier)| earlier).any(|earlier| earlier.absorb(&event)) {
            return;
        }
        sent.heard.truncate(LAST - 1);
        sent.heard.push_front((at, event));
    }

    /// Returns what a statement should not be expected to do; only the first time.
    pub(crate) fn warning(&self, stmt: &str) -> Option<String> {
        let word = transaction(stmt)?;
        (!self.warned.swap(true, Ordering::Relaxed)).then(|| {
            format!(
                "`{word}` does nothing: CrateDB has no transactions. What the test writes stays until its schema is dropped, \
                 and nothing is rolled back"
            )
        })
    }

    /// Lists the last statements and what happened on the network, the oldest first, a line each, and says which
    /// statements could not see what was written; none if nothing was sent and nothing happened.
    pub(crate) fn report(&self) -> Option<String> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = sent.last.len();
        if shown == 0 && sent.heard.is_empty() {
            return None;
        }
        let head = match sent.count - shown {
            0 if shown == 0 => "no statements by its cluster".to_owned(),
            0 => "statements".to_owned(),
            more => format!("last {shown} of {} statements", more + shown),
        };
        let statements = sent.last.iter().map(|entry| (entry.at, entry.to_string()));
        let heard = sent.heard.iter().map(|(at, event)| (*at, format!("{:>7.3}  network: {event}", at.as_secs_f64())));
        let mut steps: Vec<(Duration, String)> = statements.chain(heard).collect();
        steps.sort_by_key(|(at, _)| *at);
        let lines: String = steps.into_iter().map(|(_, step)| format!("\n    {step}")).collect();
        let unseen = sent.unseen.told().map(|text| format!("\n  {text}")).unwrap_or_default();
        Some(format!("{head} (seconds since the test began, time taken):{lines}{unseen}"))
    }
}

impl fmt::Display for SentStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, at, took, outcome, .. } = self;
        write!(f, "{:>7.3}  ", at.as_secs_f64())?;
        match outcome {
            None => write!(f, "         {text}\n                     -> no answer yet"),
            Some(Ok(1)) => write!(f, "{:>5} ms {text} -> 1 row", took.as_millis()),
            Some(Ok(rows)) => write!(f, "{:>5} ms {text} -> {rows} rows", took.as_millis()),
            Some(Err(error)) => write!(f, "{:>5} ms {text}\n                     -> {error}", took.as_millis()),
        }
    }
}

/// Returns the server's code and message, or those of the harness, in one line. Both may quote what must not be shown.
fn told(stmt: &str, error: &Error) -> String {
    if may_hold_secrets(stmt) {
        return error.code().map_or_else(|| "it failed".to_owned(), |code| format!("refused (code {code})"));
    }
    let text = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{message} (code {code})"),
        _ => error.to_string(),
    };
    foreign::line(&text, 2 * WIDTH)
}

/// Returns the beginning of a statement on one line. Of one that may hold a password, no text literal is shown.
fn shown(stmt: &str) -> String {
    match may_hold_secrets(stmt) {
        true => foreign::line(&crate::sql::without_texts(stmt), WIDTH),
        false => foreign::line(stmt, WIDTH),
    }
}

fn may_hold_secrets(stmt: &str) -> bool {
    let lower = stmt.to_ascii_lowercase();
    ["password", "secret", "token", "_key", "://"].iter().any(|word| lower.contains(word))
}

/// Returns the word with which a statement tries to begin or to end a transaction.
fn transaction(stmt: &str) -> Option<&'static str> {
    let text = crate::sql::without_leading_comments(stmt);
    let mut words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    match ["BEGIN", "COMMIT", "ROLLBACK", "START"].into_iter().find(|word| first.eq_ignore_ascii_case(word))? {
        "START" => second.eq_ignore_ascii_case("TRANSACTION").then_some("START TRANSACTION"),
        word => Some(word),
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::error::{Kind, Refusal};

    async fn sends(trace: &Trace, stmt: &str, answer: Result<u64>) {
        let _ = trace.follow(stmt, |rows| *rows, ready(answer)).await;
    }

    fn refused() -> Error {
        Error::new(Kind::Server, "cannot").refused(Refusal {
            status: 404,
            code: Some(4041),
            message: "RelationUnknown[Relation 'nope' unknown]".into(),
            request: "SELECT".into(),
            errors: None,
        })
    }

    #[tokio::test]
    async fn reports_statements_in_order_with_what_became_of_them() {
        let trace = Trace::default();
        assert_eq!(trace.report(), None);
        sends(&trace, "INSERT INTO t\n  VALUES (?)", Ok(3)).await;
        sends(&trace, "SELECT * FROM nope", Err(refused())).await;
        let report = trace.report().unwrap();
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(lines.len(), 4, "{report}");
        assert!(lines[0].starts_with("statements ("), "{report}");
        assert!(lines[1].ends_with("0 ms INSERT INTO t VALUES (?) -> 3 rows"), "{report}");
        assert!(lines[2].ends_with("SELECT * FROM nope"), "{report}");
        assert!(lines[3].ends_with("-> RelationUnknown[Relation 'nope' unknown] (code 4041)"), "{report}");
    }

    #[tokio::test]
    async fn keeps_the_last_ten_and_no_long_ones() {
        let trace = Trace::default();
        for number in 0..25 {
            sends(&trace, &format!("SELECT {number}, '{}'", "x".repeat(500)), Ok(1)).await;
        }
        let report = trace.report().unwrap();
        assert!(report.starts_with("last 10 of 25 statements"), "{report}");
        assert!(report.contains("SELECT 15,") && report.contains("SELECT 24,") && !report.contains("SELECT 14,"));
        assert!(report.lines().all(|line| line.chars().count() < 120), "{report}");
    }

    #[tokio::test]
    async fn events_of_the_network_stand_among_the_statements_that_they_met() {
        use crate::faults::{Direction, Protocol};
        let set = || Event::Set { what: "latency of 200 ms".into(), protocol: None, direction: None };
        let reset = |after| {
            let (protocol, direction) = (Protocol::Http, Direction::FromServer);
            Event::Reset { protocol, direction, after, connections: 1 }
        };
        let trace = Trace::default();
        trace.hear(set());
        assert!(trace.report().unwrap().starts_with("no statements by its cluster ("));
        sends(&trace, "SELECT 1", Ok(1)).await;
        for after in [7, 8, 7] {
            trace.hear(reset(after));
        }
        trace.hear(set());
        trace.hear(reset(7));
        let report = trace.report().unwrap();
        let steps: Vec<&str> = report.lines().skip(1).map(|line| &line[13..]).collect();
        let told = [
            "network: latency of 200 ms",
            "    0 ms SELECT 1 -> 1 row",
            "network: reset 2 HTTP connections after 7 bytes from the server",
            "network: reset an HTTP connection after 8 bytes from the server",
            "network: latency of 200 ms",
            "network: reset an HTTP connection after 7 bytes from the server",
        ];
        assert_eq!(steps, told, "{report}");
        (0..100).for_each(|after| trace.hear(reset(after)));
        assert_eq!(trace.report().unwrap().lines().count(), 12);
    }

    #[tokio::test]
    async fn a_statement_under_way_is_told_as_such() {
        let trace = Trace::default();
        trace.sent("SELECT sleep(1)", Duration::ZERO);
        assert!(trace.report().unwrap().ends_with("-> no answer yet"));
    }

    #[test]
    fn no_literal_of_a_statement_that_may_hold_a_secret() {
        assert_eq!(shown("CREATE USER u WITH (password = 'it''s me')"), "CREATE USER u WITH (password = '…')");
        assert_eq!(shown("COPY t FROM 's3://key:secret@host/x' RETURN SUMMARY"), "COPY t FROM '…' RETURN SUMMARY");
        assert_eq!(shown("ALTER USER u SET (PASSWORD = 'geheim"), "ALTER USER u SET (PASSWORD = '…'");
        assert_eq!(shown("SELECT 'a'"), "SELECT 'a'");
    }

    #[tokio::test]
    async fn what_the_server_says_of_a_statement_that_may_hold_a_secret_is_not_told() {
        let trace = Trace::default();
        sends(&trace, "CREATE USER u WITH (password = 'a' 'b')", Err(refused())).await;
        let report = trace.report().unwrap();
        assert!(report.ends_with("-> refused (code 4041)") && !report.contains("nope"), "{report}");
        let lost = Error::new(Kind::Transport, "cannot execute `CREATE USER u WITH (password = 'a')`");
        sends(&trace, "CREATE USER u WITH (password = 'a')", Err(lost)).await;
        let report = trace.report().unwrap();
        assert!(report.ends_with("-> it failed") && !report.contains("'a'"), "{report}");
    }

    #[test]
    fn warns_once_of_transactions_and_of_nothing_else() {
        for stmt in ["BEGIN", "-- all of it\nbegin;", "Commit", "ROLLBACK TO x", "start  transaction read only"] {
            let trace = Trace::default();
            assert!(trace.warning(stmt).is_some(), "{stmt}");
            assert!(trace.warning(stmt).is_none(), "{stmt} again");
        }
        for stmt in ["", "SELECT 'BEGIN'", "START REPLICATION", "BEGINNING", "END", "INSERT INTO begin VALUES (1)"] {
            assert!(Trace::default().warning(stmt).is_none(), "{stmt}");
        }
    }
}
