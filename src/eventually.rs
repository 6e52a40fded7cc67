//! Waits for a state of the cluster that appears later: looks repeatedly until a value is right or time is up.

use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::background;
use crate::error::Result;
use crate::wait::{self, Look};

/// The default of [`Eventually::within`].
const DEADLINE: Duration = Duration::from_secs(10);

/// Waits until a look returns the right value, for changes that a cluster shows with a delay.
///
/// The look is any closure whose future returns a `Result`. A look that fails counts as not right yet, so it may wait
/// for a table that another program creates. Looks are frequent at first and then five times a second, for 10 seconds
/// unless [`within`](Eventually::within) changes that. Only the closure sends requests.
///
/// For a test's own writes, use [`Cluster::refresh`](crate::Cluster::refresh), which needs no waiting. A look may
/// refresh too: CrateDB refreshes tables by itself about once a second, the simulator's embedded engine never does.
///
/// ```no_run
/// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
/// use cratedb_test::eventually;
///
/// // A service under test writes these in its own time.
/// eventually(|| cluster.query("SELECT count(*) FROM orders").scalar::<i64>()).equals(3).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// On timeout: the error names the place of the call and the last value or error that was seen. Its
/// [`is_timeout`](crate::Error::is_timeout) is true.
#[track_caller]
pub fn eventually<F>(look: F) -> Eventually<F> {
    Eventually { look, limit: DEADLINE, at: Location::caller() }
}

/// A condition to wait for, made by [`eventually`]. It starts to look when one of its last three methods is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is waited for until `ok`, `equals` or `meets` is awaited"]
pub struct Eventually<F> {
    pub(crate) look: F,
    pub(crate) limit: Duration,
    pub(crate) at: &'static Location<'static>,
}

impl<F> Eventually<F> {
    /// Sets the time limit. Default: 10 seconds.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// use std::time::Duration;
    ///
    /// let look = || cluster.query("SELECT state FROM imports").scalar::<String>();
    /// cratedb_test::eventually(look).within(Duration::from_secs(60)).equals("done").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }
}

impl<T: Debug, E: Display, Fut: Future<Output = Result<T, E>>, F: FnMut() -> Fut> Eventually<F> {
    /// Returns the first value that a look succeeds with.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let look = || cluster.query("SELECT id FROM made_by_a_service").scalar::<i64>();
    /// let id = cratedb_test::eventually(look).ok().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// On timeout.
    pub async fn ok(self) -> Result<T> {
        self.look("a first success", |_| true).await
    }

    /// Returns the value once it is `expected`.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let look = || cluster.query("SELECT count(*) FROM orders").scalar::<i64>();
    /// cratedb_test::eventually(look).equals(3).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// On timeout.
    pub async fn equals<X: Debug>(self, expected: X) -> Result<T>
    where
        T: PartialEq<X>,
    {
        let awaited = format!("the value {expected:?}");
        self.look(&awaited, |value| *value == expected).await
    }

    /// Returns the value once a condition holds for it.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let look = || cluster.query("SELECT id FROM orders").fetch_all::<i64>();
    /// let ids = cratedb_test::eventually(look).meets(|ids| ids.len() >= 3).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// On timeout.
    pub async fn meets(self, condition: impl FnMut(&T) -> bool) -> Result<T> {
        self.look("the condition", condition).await
    }

    async fn look(self, awaited: &str, right: impl FnMut(&T) -> bool) -> Result<T> {
        let Self { mut look, limit, at } = self;
        // Timers need a runtime, and the caller may have none. The look itself runs in the caller's.
        let callers = Handle::try_current().ok();
        let right = RefCell::new(right);
        let judged = || {
            let found = within(callers.clone(), look());
            let right = &right;
            async move { Ok(judge(found.await, &mut *right.borrow_mut())) }
        };
        within(Some(background::handle()?), until(awaited, at, limit, judged)).await
    }
}

pub(crate) fn judge<T: Debug, E: Display>(outcome: Result<T, E>, right: &mut impl FnMut(&T) -> bool) -> Look<T> {
    match outcome {
        Ok(value) if right(&value) => Look::Ready(value),
        Ok(value) => Look::NotYet(format!("{value:?}")),
        Err(error) => Look::NotYet(format!("an error: {error}")),
    }
}

pub(crate) async fn until<T, F: Future<Output = Result<Look<T>>>>(
    awaited: &str,
    at: &Location<'_>,
    limit: Duration,
    look: impl FnMut() -> F,
) -> Result<T> {
    let deadline = wait::deadline_in(limit);
    wait::until(&format!("{awaited} at {at}"), wait::SERVER, deadline, |_| (), look).await
}

/// Polls a future inside a runtime, whatever executor drives it.
pub(crate) async fn within<T>(runtime: Option<Handle>, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _inside = runtime.as_ref().map(Handle::enter);
        future.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use super::*;

    const SHORT: Duration = Duration::from_millis(60);

    #[tokio::test]
    async fn looks_until_the_value_is_right() {
        let count = Cell::new(0);
        let look = || {
            count.set(count.get() + 1);
            ready(if count.get() < 3 { Err("no such table") } else { Ok(count.get()) })
        };
        assert_eq!(eventually(look).equals(4).await.unwrap(), 4);
        assert_eq!(eventually(look).ok().await.unwrap(), 5);
        assert_eq!(eventually(look).meets(|value| *value > 6).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn says_where_and_what_it_saw_last() {
        let line = line!() + 1;
        let error = eventually(|| ready(Ok::<_, String>(2))).within(SHORT).equals(3).await.unwrap_err();
        let text = error.to_string();
        assert!(error.is_timeout());
        assert!(text.contains(&format!("the value 3 at {}:{line}:", file!())), "{text}");
        assert!(text.ends_with("last status: 2"), "{text}");
        let error = eventually(|| ready(Err::<(), _>("no such table"))).within(SHORT).ok().await.unwrap_err();
        assert!(error.to_string().ends_with("last status: an error: no such table"), "{error}");
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_cut_off() {
        let error = eventually(pending::<Result<(), String>>).within(SHORT).ok().await.unwrap_err();
        assert!(error.to_string().ends_with("no answer at all"), "{error}");
    }

    #[test]
    fn needs_no_runtime_of_the_caller() {
        let count = Cell::new(0);
        let look = || {
            count.set(count.get() + 1);
            ready(Ok::<_, String>(count.get()))
        };
        let value = background::tests::foreign_block_on(eventually(look).equals(3));
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn what_a_look_spawns_belongs_to_the_runtime_of_the_test() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let own = runtime.handle().id();
        let look = || async move { Ok::<_, String>(Handle::current().id()) };
        assert_eq!(runtime.block_on(eventually(look).ok()).unwrap(), own);
    }
}
