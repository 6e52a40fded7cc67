//! Faults of the network between a test and its cluster: a proxy of the test's own, and the handle that changes it.

mod event;
mod lane;
mod proxy;
mod target;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Kind, Result};

pub(crate) use self::event::{Direction, Event, Protocol};
use self::event::{counted, millis};
use self::lane::{Conditions, ResetAfter};
pub(crate) use self::proxy::Proxy;
pub(crate) use self::target::Target;

/// More than any test waits for.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The network between a test and its cluster, from [`Cluster::with_faults`](crate::Cluster::with_faults): it has no
/// faults until the test sets some.
///
/// A fault applies at once, also to connections that are open and to bytes that are on their way, until it is set again
/// or [`clear`](Self::clear) lifts it. Faults of different kinds add up.
///
/// All methods apply to both protocols and both directions. [`http`](Self::http), [`postgres`](Self::postgres),
/// [`to_server`](Self::to_server) and [`from_server`](Self::from_server) select a part; the handle itself still stands
/// for the whole. Handles are cheap to clone, and their methods work with and without a runtime.
///
/// ```no_run
/// use std::time::Duration;
///
/// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
/// let (cluster, faults) = cluster.with_faults()?;
/// faults.latency(Duration::from_millis(200))?.jitter(Duration::from_millis(50))?;
/// faults.postgres().from_server().reset_after(1024)?;
/// cluster.execute("SELECT 1").await?; // takes 400 to 500 ms
/// faults.clear()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Each method returns an error once the test is over.
#[derive(Clone)]
pub struct Faults {
    proxy: Arc<Proxy>,
    protocol: Option<Protocol>,
    direction: Option<Direction>,
}

impl Faults {
    pub(crate) fn of(proxy: Arc<Proxy>) -> Self {
        Self { proxy, protocol: None, direction: None }
    }

    /// Selects the connections of HTTP. Of `http` and [`postgres`](Self::postgres), the last one counts.
    pub fn http(&self) -> Self {
        Self { protocol: Some(Protocol::Http), ..self.clone() }
    }

    /// Selects the connections of the PostgreSQL protocol.
    pub fn postgres(&self) -> Self {
        Self { protocol: Some(Protocol::Postgres), ..self.clone() }
    }

    /// Selects the way of requests. Of `to_server` and [`from_server`](Self::from_server), the last one counts.
    pub fn to_server(&self) -> Self {
        Self { direction: Some(Direction::ToServer), ..self.clone() }
    }

    /// Selects the way of answers.
    pub fn from_server(&self) -> Self {
        Self { direction: Some(Direction::FromServer), ..self.clone() }
    }

    /// Lets everything arrive this much later. Unless a direction is selected, an exchange of request and answer takes
    /// twice the time. Zero lifts the fault.
    ///
    /// Connections are accepted at once all the same: by the proxy, on this machine.
    ///
    /// # Errors
    ///
    /// When it is more than an hour.
    pub fn latency(&self, latency: Duration) -> Result<&Self> {
        let latency = checked("latency", latency)?;
        self.set(format!("latency of {}", millis(latency)), |conditions| conditions.latency = latency)
    }

    /// Adds a random part to the latency, from zero to this, evenly distributed. The order of bytes stays. Zero lifts
    /// the fault.
    ///
    /// The parts are the same in every run: the n-th chunk on the n-th connection of a protocol waits as long. How many
    /// chunks a stream comes in is up to the kernel, and which connection is the first is up to the client.
    ///
    /// # Errors
    ///
    /// When it is more than an hour.
    pub fn jitter(&self, jitter: Duration) -> Result<&Self> {
        let jitter = checked("jitter", jitter)?;
        self.set(format!("jitter of {}", millis(jitter)), |conditions| conditions.jitter = jitter)
    }

    /// Carries no more than this many bytes per second, on each connection and in each direction.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let (cluster, faults) = cluster.with_faults()?;
    /// faults.from_server().bandwidth(10_000)?;
    /// cluster.execute("SELECT * FROM sys.summits").await?; // takes seconds
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn bandwidth(&self, bytes_per_second: u64) -> Result<&Self> {
        let bandwidth = NonZeroU64::new(bytes_per_second).ok_or_else(|| {
            Error::new(Kind::Usage, "cannot set a bandwidth of 0 bytes per second")
                .because("accepted: 1 and more")
                .hint("`black_hole()` lets nothing through, `clear()` everything")
        })?;
        let what = format!("bandwidth of {} per second", counted(bytes_per_second, "byte"));
        self.set(what, |conditions| conditions.bandwidth = Some(bandwidth))
    }

    /// Resets each connection after this many more bytes: those that are open count from now on, new ones from their
    /// beginning. Without a direction selected, each counts by itself, and the first to have carried so many resets the
    /// connection. Zero resets those that are open at once, and new ones as soon as they are made.
    ///
    /// Both sides see a reset (`ECONNRESET`), not an end. Bytes are those that the test and its clients see: of a
    /// server with TLS, before encryption.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let (cluster, faults) = cluster.with_faults()?;
    /// faults.from_server().reset_after(10)?;
    /// let error = cluster.execute("DELETE FROM readings").await.unwrap_err();
    /// assert!(error.is_transport()); // the server has executed it
    /// # Ok(())
    /// # }
    /// ```
    pub fn reset_after(&self, bytes: u64) -> Result<&Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let what = format!("reset after {}", counted(bytes, "byte"));
        self.set(what, |conditions| {
            conditions.reset = Some(ResetAfter { bytes, number });
            conditions.severed += u64::from(bytes == 0);
        })
    }

    /// Lets nothing through and tells no side. Clients wait until their time-out; that of
    /// [`Cluster`](crate::Cluster) is five minutes, so put a time limit around it.
    ///
    /// Bytes are not lost: as TCP repeats what is not acknowledged, they arrive once the fault is lifted, even those of
    /// a client that gave up meanwhile. A statement of which the client heard nothing may thus be executed later.
    /// [`reset_after(0)`](Self::reset_after) before [`clear`](Self::clear) prevents it.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// use std::time::Duration;
    ///
    /// let (cluster, faults) = cluster.with_faults()?;
    /// faults.black_hole()?;
    /// let outcome = tokio::time::timeout(Duration::from_secs(1), cluster.execute("SELECT 1")).await;
    /// assert!(outcome.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn black_hole(&self) -> Result<&Self> {
        self.set("black hole".to_owned(), |conditions| conditions.black_hole = true)
    }

    /// Refuses new connections: clients see `ECONNREFUSED`, as if the server were not running. Open ones stay;
    /// [`reset_after(0)`](Self::reset_after) ends them.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let (cluster, faults) = cluster.with_faults()?;
    /// faults.refuse()?.reset_after(0)?;
    /// assert!(cluster.execute("SELECT 1").await.unwrap_err().is_transport());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When a direction is selected: a connection has both.
    pub fn refuse(&self) -> Result<&Self> {
        if let Some(direction) = self.direction {
            return Err(Error::new(Kind::Usage, format!("cannot refuse connections {direction} only"))
                .because("a connection has both directions")
                .hint("call `refuse()` without `to_server()` and `from_server()`; `http()` and `postgres()` may stand before it"));
        }
        self.open_doors(false)?;
        self.note("new connections are refused".to_owned());
        Ok(self)
    }

    /// Lifts all faults. What they held arrives at once. Connections that were reset stay so.
    ///
    /// Of a selection, it lifts only what was set for that part. New connections are accepted again unless a direction
    /// is selected.
    pub fn clear(&self) -> Result<&Self> {
        self.set("no faults".to_owned(), |conditions| *conditions = conditions.cleared())?;
        if self.direction.is_none() { self.open_doors(true) } else { Ok(self) }
    }

    fn protocols(&self) -> impl Iterator<Item = Protocol> {
        Protocol::ALL.into_iter().filter(|one| self.protocol.is_none_or(|selected| selected == *one))
    }

    fn directions(&self) -> impl Iterator<Item = Direction> {
        Direction::ALL.into_iter().filter(|one| self.direction.is_none_or(|selected| selected == *one))
    }

    fn set(&self, what: String, change: impl Fn(&mut Conditions)) -> Result<&Self> {
        self.not_over()?;
        self.note(what);
        self.proxy.weather.send_modify(|weather| {
            for protocol in self.protocols() {
                self.directions().for_each(|direction| change(weather.of(protocol, direction)));
            }
        });
        Ok(self)
    }

    fn open_doors(&self, open: bool) -> Result<&Self> {
        self.not_over()?;
        for protocol in self.protocols() {
            self.proxy.open_door(protocol, open).map_err(|error| {
                let what = if open { "accept" } else { "refuse" };
                Error::new(Kind::Session, format!("cannot {what} connections of {protocol}")).because_of(&error)
            })?;
        }
        Ok(self)
    }

    fn note(&self, what: String) {
        self.proxy.hear(Event::Set { what, protocol: self.protocol, direction: self.direction });
    }

    fn not_over(&self) -> Result<()> {
        match self.proxy.is_closed() {
            true => Err(Error::new(Kind::Usage, "cannot change the faults of the network").because("the test is over")),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, direction, .. } = self;
        f.debug_struct("Faults").field("protocol", protocol).field("direction", direction).finish_non_exhaustive()
    }
}

fn checked(setting: &str, time: Duration) -> Result<Duration> {
    if time <= LONGEST {
        return Ok(time);
    }
    let shown = humantime::format_duration(time);
    Err(Error::new(Kind::Usage, format!("cannot set a {setting} of {shown}"))
        .because(format!("accepted: 0 to {}", humantime::format_duration(LONGEST)))
        .hint("`black_hole()` holds everything until `clear()`"))
}

/// The proxies of one test, which end with it.
#[derive(Default)]
pub(crate) struct Proxies(Mutex<Vec<Arc<Proxy>>>);

impl Proxies {
    pub(crate) fn add(&self, proxy: Arc<Proxy>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(proxy);
    }

    /// Ends all of them, with their connections.
    pub(crate) fn close(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        all.iter().for_each(|proxy| proxy.close());
    }
}

#[cfg(test)]
mod tests;
