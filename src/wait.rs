//! Polls until something is ready or a deadline passes. The error says what was seen last.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};

/// Milliseconds on a clock that stands beside them in the code: a keeper's own, or a server's.
pub(crate) type Millis = u64;

/// The result of one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look<T> {
    /// It is ready.
    Ready(T),
    /// Not yet; the text is the status that is shown during the wait and on timeout.
    NotYet(String),
    /// Not yet, since something is wrong that may pass; shown like a status.
    Trouble(String),
}

impl<T> Look<T> {
    /// Treats an error as "not yet". The hints are left out, since they would be repeated at every look.
    pub(crate) fn not_yet(error: &Error) -> Self {
        Self::NotYet(error.first_line())
    }

    /// Treats an error as trouble that may pass, like [`not_yet`](Self::not_yet).
    pub(crate) fn trouble(error: &Error) -> Self {
        Self::Trouble(error.first_line())
    }
}

/// Treats an error that `heals` accepts as trouble that may pass.
pub(crate) fn tolerate<T>(heals: impl Fn(&Error) -> bool, found: Result<Look<T>>) -> Result<Look<T>> {
    match found {
        Err(error) if heals(&error) => Ok(Look::trouble(&error)),
        found => found,
    }
}

/// Hears about a wait: each status that differs from the one before.
pub(crate) trait Hear {
    fn status(&mut self, status: &str);
    fn trouble(&mut self, text: &str);
}

/// Hears trouble as one more status.
struct Alike<F>(F);

impl<F: FnMut(&str)> Hear for Alike<F> {
    fn status(&mut self, status: &str) {
        self.0(status);
    }

    fn trouble(&mut self, text: &str) {
        self.0(text);
    }
}

/// The pauses between looks, in order; the last one repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule(&'static [Duration]);

/// For operations of CrateDB Cloud, which take minutes (those of the simulator take milliseconds). Each look costs the
/// API a request, so looks are frequent at first and then every five seconds.
pub(crate) const OPERATION: Schedule = Schedule(&[
    Duration::from_millis(250),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
]);

/// For a server that starts. It is asked often, since every test of the session waits for it and the query is cheap.
pub(crate) const SERVER: Schedule = Schedule(&[
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
]);

/// For another process that does the same work. It takes a minute, and looking costs nothing.
pub(crate) const NEIGHBOUR: Schedule = Schedule(&[Duration::from_millis(50), Duration::from_millis(200)]);

/// For a download. One that was cut off is continued soon; one that fails repeatedly does not load the server.
pub(crate) const DOWNLOAD: Schedule =
    Schedule(&[Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)]);

/// For an empty server on this machine. Looking costs nothing, and all tests wait.
pub(crate) const LOCAL: Schedule = Schedule(&[Duration::from_millis(10), Duration::from_millis(25)]);

/// Looks until something is ready, `look` fails for good or `deadline` passes.
///
/// The first look is made at once. A look that hangs is cut off at the deadline. `changed` is called with each status
/// that differs from the one before. Use this only for the state of other processes and machines; await what this
/// process does itself.
pub(crate) async fn until<T, F>(
    awaited: &str,
    schedule: Schedule,
    deadline: Instant,
    changed: impl FnMut(&str),
    look: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Look<T>>>,
{
    until_told(awaited, schedule, deadline, Alike(changed), look).await
}

/// Does the same as [`until`], and tells trouble apart from other statuses.
pub(crate) async fn until_told<T, F>(
    awaited: &str,
    schedule: Schedule,
    deadline: Instant,
    mut hears: impl Hear,
    mut look: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Look<T>>>,
{
    let started = Instant::now();
    let mut seen = None;
    for pause in schedule.pauses() {
        let Ok(found) = tokio::time::timeout_at(deadline.into(), look()).await else {
            return Err(out_of_time(awaited, started, seen.as_deref()));
        };
        let (status, is_trouble) = match found? {
            Look::Ready(value) => return Ok(value),
            Look::NotYet(status) => (status, false),
            Look::Trouble(text) => (text, true),
        };
        if seen.as_ref() != Some(&status) {
            if is_trouble {
                hears.trouble(&status)
            } else {
                hears.status(&status)
            }
            seen = Some(status);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(out_of_time(awaited, started, seen.as_deref()));
        }
        tokio::time::sleep(pause.min(left)).await;
    }
    unreachable!("a schedule never ends")
}

impl Schedule {
    fn pauses(self) -> impl Iterator<Item = Duration> + Send {
        let last = self.0.last().copied().unwrap_or(Duration::from_secs(1));
        self.0.iter().copied().chain(std::iter::repeat(last))
    }
}

/// Returns the end of a time that begins now. A longer time than a clock can count is cut.
pub(crate) fn deadline_in(time: Duration) -> Instant {
    /// Ten years.
    const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    Instant::now() + time.min(LONGEST)
}

fn out_of_time(awaited: &str, started: Instant, seen: Option<&str>) -> Error {
    let waited = humantime::format_duration(rounded(started.elapsed()));
    Error::new(Kind::Timeout, format!("gave up waiting for {awaited} after {waited}")).because(match seen {
        Some(status) => format!("last status: {status}"),
        None => "no answer at all".to_owned(),
    })
}

/// Rounds a time for display.
fn rounded(time: Duration) -> Duration {
    match time.as_secs() {
        0 => Duration::from_millis(time.as_millis().max(1) as u64),
        seconds => Duration::from_secs(seconds),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::{pending, ready};

    use super::*;

    const QUICK: Schedule = Schedule(&[Duration::from_millis(1)]);

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(30)
    }

    #[tokio::test]
    async fn looks_again_until_it_is_ready_and_tells_each_status_once() {
        let looks = Cell::new(0);
        let told = RefCell::new(Vec::new());
        let deadline = Instant::now() + Duration::from_secs(10);
        let value = until(
            "the answer",
            QUICK,
            deadline,
            |status| told.borrow_mut().push(status.to_owned()),
            || {
                looks.set(looks.get() + 1);
                ready(Ok(match looks.get() {
                    1 | 2 => Look::NotYet("starting".to_owned()),
                    3 => Look::NotYet("almost".to_owned()),
                    _ => Look::Ready(42),
                }))
            },
        );
        assert_eq!(value.await.unwrap(), 42);
        assert_eq!(told.into_inner(), ["starting", "almost"]);
    }

    #[tokio::test]
    async fn trouble_is_told_apart_from_a_status_and_each_reason_once() {
        struct Notes<'a>(&'a RefCell<Vec<String>>);
        impl Hear for Notes<'_> {
            fn status(&mut self, status: &str) {
                self.0.borrow_mut().push(status.to_owned());
            }

            fn trouble(&mut self, text: &str) {
                self.0.borrow_mut().push(format!("trouble: {text}"));
            }
        }
        let (looks, told) = (Cell::new(0), RefCell::new(Vec::new()));
        let deadline = Instant::now() + Duration::from_secs(10);
        let look = || {
            looks.set(looks.get() + 1);
            ready(match looks.get() {
                1 | 2 => tolerate(Error::is_transport, Err(Error::new(Kind::Transport, "no answer"))),
                3 => Ok(Look::NotYet("starting".to_owned())),
                4 => Ok(Look::trouble(&Error::new(Kind::Transport, "no answer"))),
                _ => Ok(Look::Ready(())),
            })
        };
        until_told("it", QUICK, deadline, Notes(&told), look).await.unwrap();
        assert_eq!(told.into_inner(), ["trouble: no answer", "starting", "trouble: no answer"]);
    }

    #[tokio::test]
    async fn says_what_was_awaited_for_how_long_and_what_was_last_seen() {
        let error = until(
            "cluster `ci`",
            QUICK,
            soon(),
            |_| (),
            || ready(Ok::<Look<()>, Error>(Look::NotYet("IN_PROGRESS".to_owned()))),
        );
        let error = error.await.unwrap_err();
        assert!(error.is_timeout());
        let text = error.to_string();
        assert!(text.starts_with("gave up waiting for cluster `ci` after "), "{text}");
        assert!(text.ends_with("ms: last status: IN_PROGRESS"), "{text}");
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_cut_off() {
        let error = until("an answer", QUICK, soon(), |_| (), pending::<Result<Look<()>>>).await.unwrap_err();
        assert!(error.to_string().ends_with("no answer at all"), "{error}");
    }

    #[tokio::test]
    async fn a_failure_ends_the_wait_at_once() {
        let deadline = Instant::now() + Duration::from_secs(3600);
        let failed = || ready(Err::<Look<()>, _>(Error::new(Kind::Cloud, "operation failed")));
        let error = until("it", QUICK, deadline, |_| (), failed).await.unwrap_err();
        assert_eq!(error.to_string(), "operation failed");
    }

    #[test]
    fn a_time_beyond_any_clock_is_no_panic() {
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        assert!(deadline_in(Duration::MAX) > Instant::now() + year);
        assert!(deadline_in(Duration::from_secs(5)) < Instant::now() + year);
    }
}
