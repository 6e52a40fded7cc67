//! The same API for code that is not async: every call waits for its answer.
//!
//! The calls work on any thread, also inside an async runtime, where they block the calling thread.

#[cfg(feature = "harness")]
mod cluster;
#[cfg(feature = "cloud")]
mod managed;

use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::future::ready;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::background;
use crate::error::Result;
use crate::eventually::{judge, until, within};

#[cfg(feature = "harness")]
pub use cluster::{Cluster, Session};
#[cfg(feature = "cloud")]
pub use managed::{ManagedCluster, wait};

/// A statement that is executed synchronously. [`cratedb_test::Query`](crate::query::Query) describes how rows are read
/// and values are bound.
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until it is executed or its rows are fetched"]
pub struct Query(crate::query::Query);

impl Query {
    /// Adds the value of the next placeholder; see [`Query::bind`](crate::query::Query::bind).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// cluster.query("INSERT INTO readings (id, value) VALUES (?, ?)").bind(1).bind(f64::NAN).execute()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind(self, value: impl Serialize) -> Self {
        Self(self.0.bind(value))
    }

    /// Executes the statement and returns how many rows it affected; see
    /// [`Query::execute`](crate::query::Query::execute).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let deleted = cluster.query("DELETE FROM readings WHERE id = ?").bind(1).execute()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn execute(self) -> Result<u64> {
        Ok(background::wait(self.0.work()?)?.count())
    }

    /// Returns all rows; see [`Query::fetch_all`](crate::query::Query::fetch_all).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch_all<T: DeserializeOwned>(self) -> Result<Vec<T>> {
        background::wait(self.0.work()?)?.all()
    }

    /// Returns the only row; see [`Query::fetch_one`](crate::query::Query::fetch_one).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let (id, value): (i32, f64) = cluster.query("SELECT * FROM readings WHERE id = 1").fetch_one()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch_one<T: DeserializeOwned>(self) -> Result<T> {
        background::wait(self.0.work()?)?.one()
    }

    /// Returns the only row, or `None`; see [`Query::fetch_optional`](crate::query::Query::fetch_optional).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let value: Option<f64> = cluster.query("SELECT value FROM readings WHERE id = 1").fetch_optional()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch_optional<T: DeserializeOwned>(self) -> Result<Option<T>> {
        background::wait(self.0.work()?)?.optional()
    }

    /// Returns the only column of the only row; see [`Query::scalar`](crate::query::Query::scalar).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let count: i64 = cluster.query("SELECT count(*) FROM readings").scalar()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scalar<T: DeserializeOwned>(self) -> Result<T> {
        background::wait(self.0.work()?)?.scalar()
    }
}

/// Waits for a state of the cluster that appears later; see [`cratedb_test::eventually`](crate::eventually()). The look
/// is a closure that returns a `Result`.
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
/// On timeout: the error names the place of the call and the last value or error that was seen.
#[track_caller]
pub fn eventually<F>(look: F) -> Eventually<F> {
    Eventually(crate::eventually(look))
}

/// A condition to wait for, made by [`eventually`]. Its last three methods wait.
#[derive(Clone, Debug)]
#[must_use = "nothing is waited for until `ok`, `equals` or `meets` is called"]
pub struct Eventually<F>(crate::eventually::Eventually<F>);

impl<F> Eventually<F> {
    /// Sets the time limit; see [`Eventually::within`](crate::eventually::Eventually::within). A look that has begun is
    /// waited for.
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
}

impl<T: Debug, E: Display, F: FnMut() -> Result<T, E>> Eventually<F> {
    /// Returns the first value that a look succeeds with; see [`Eventually::ok`](crate::eventually::Eventually::ok).
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
    /// On timeout.
    pub fn ok(self) -> Result<T> {
        self.look("a first success", |_| true)
    }

    /// Returns the value once it is `expected`; see [`Eventually::equals`](crate::eventually::Eventually::equals).
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
    /// On timeout.
    pub fn equals<X: Debug>(self, expected: X) -> Result<T>
    where
        T: PartialEq<X>,
    {
        let awaited = format!("the value {expected:?}");
        self.look(&awaited, |value| *value == expected)
    }

    /// Returns the value once a condition holds for it; see
    /// [`Eventually::meets`](crate::eventually::Eventually::meets).
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
    /// On timeout.
    pub fn meets(self, condition: impl FnMut(&T) -> bool) -> Result<T> {
        self.look("the condition", condition)
    }

    fn look(self, awaited: &str, right: impl FnMut(&T) -> bool) -> Result<T> {
        let crate::eventually::Eventually { mut look, limit, at } = self.0;
        background::refuse_to_wait_for_itself()?;
        // Timers need a runtime. The look itself runs in the caller's runtime, if there is one.
        let callers = Handle::try_current().ok();
        let right = RefCell::new(right);
        let judged = || {
            let _inside = callers.as_ref().map(Handle::enter);
            ready(Ok(judge(look(), &mut *right.borrow_mut())))
        };
        background::block_on(within(Some(background::handle()?), until(awaited, at, limit, judged)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn without_async_it_is_the_same() {
        let mut count = 0;
        let look = || {
            count += 1;
            if count < 3 { Err("no such table") } else { Ok(count) }
        };
        assert_eq!(eventually(look).equals(4).unwrap(), 4);
        let line = line!() + 1;
        let never = eventually(|| Ok::<_, String>(2)).within(Duration::from_millis(60));
        let error = never.meets(|value| *value > 3).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("the condition at {}:{line}:", file!())), "{text}");
        assert!(text.ends_with("last status: 2"), "{text}");
    }

    #[tokio::test]
    async fn without_async_it_works_inside_a_runtime_too() {
        assert_eq!(eventually(|| Ok::<_, String>(1)).ok().unwrap(), 1);
    }
}
