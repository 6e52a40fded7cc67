//! Waiting for what CrateDB shows later, without async.

use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::future::ready;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::background;
use crate::error::Result;
use crate::eventually::{judge, until, within};

/// [`cratedb_test::eventually`](crate::eventually()) for code that is not async: the look is a closure that answers with a
/// `Result`.
///
/// ```no_run
/// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
/// use cratedb_test::blocking::eventually;
///
/// eventually(|| cluster.query("SELECT count(*) FROM orders").scalar::<i64>()).equals(3)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When time is up: an error that names the place of the call and the last value or error that was seen.
#[track_caller]
pub fn eventually<F>(look: F) -> Eventually<F> {
    Eventually(crate::eventually(look))
}

/// A condition that is waited for, made by [`eventually`]. Its last three methods look.
#[derive(Clone, Debug)]
#[must_use = "nothing is waited for until `ok`, `equals` or `meets` is called"]
pub struct Eventually<F>(crate::eventually::Eventually<F>);

impl<F> Eventually<F> {
    /// How long to look at most; see [`Eventually::within`](crate::eventually::Eventually::within). A look that has begun is waited for.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// use std::time::Duration;
    ///
    /// let look = || cluster.query("SELECT state FROM imports").scalar::<String>();
    /// cratedb_test::blocking::eventually(look).within(Duration::from_secs(60)).equals("done")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn within(self, limit: Duration) -> Self {
        Self(self.0.within(limit))
    }

    /// The first value that a look succeeds with; see [`Eventually::ok`](crate::eventually::Eventually::ok).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let look = || cluster.query("SELECT id FROM made_by_a_service").scalar::<i64>();
    /// let id = cratedb_test::blocking::eventually(look).ok()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When time is up.
    pub fn ok<T: Debug, E: Display>(self) -> Result<T>
    where
        F: FnMut() -> Result<T, E>,
    {
        self.look("a first success", |_| true)
    }

    /// The value, once it is `expected`; see [`Eventually::equals`](crate::eventually::Eventually::equals).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let look = || cluster.query("SELECT count(*) FROM orders").scalar::<i64>();
    /// cratedb_test::blocking::eventually(look).equals(3)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When time is up.
    pub fn equals<T: Debug + PartialEq<X>, E: Display, X: Debug>(self, expected: X) -> Result<T>
    where
        F: FnMut() -> Result<T, E>,
    {
        let awaited = format!("the value {expected:?}");
        self.look(&awaited, |value| *value == expected)
    }

    /// The value, once a condition holds for it; see [`Eventually::meets`](crate::eventually::Eventually::meets).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let look = || cluster.query("SELECT id FROM orders").fetch_all::<i64>();
    /// let ids = cratedb_test::blocking::eventually(look).meets(|ids| ids.len() >= 3)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When time is up.
    pub fn meets<T: Debug, E: Display>(self, condition: impl FnMut(&T) -> bool) -> Result<T>
    where
        F: FnMut() -> Result<T, E>,
    {
        self.look("the condition", condition)
    }

    fn look<T: Debug, E: Display>(self, awaited: &str, right: impl FnMut(&T) -> bool) -> Result<T>
    where
        F: FnMut() -> Result<T, E>,
    {
        let crate::eventually::Eventually { mut look, limit, at } = self.0;
        background::refuse_to_wait_for_itself();
        // Timers need a runtime; what the look does belongs to the caller's, if there is one.
        let callers = Handle::try_current().ok();
        let right = RefCell::new(right);
        let judged = || {
            let _inside = callers.as_ref().map(Handle::enter);
            ready(Ok(judge(look(), &mut *right.borrow_mut())))
        };
        background::block_on(within(Some(background::handle()), until(awaited, at, limit, judged)))
    }
}
