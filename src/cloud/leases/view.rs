//! The leases as a program and the command line see them.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::gate::{Lease, Limits, Row, RowState, Seen, ServerTime};
use crate::error::{Error, Kind, Result};
use crate::wait::Millis;

/// The leases of a cluster: who uses it, and who is to suspend it. Use
/// [`ManagedCluster::leases`](crate::ManagedCluster::leases).
///
/// A run of tests takes a lease, on each machine, and so does [`ManagedCluster::run`](crate::ManagedCluster::run) with
/// [`stop_on_exit`](crate::cloud::ManagedClusterBuilder::stop_on_exit). The last one of them suspends the cluster. The
/// leases are in the cluster itself, in the only row of the table `cratedb_test.lease`.
///
/// ```no_run
/// # async fn example(cluster: cratedb_test::ManagedCluster) -> cratedb_test::Result<()> {
/// let leases = cluster.leases().await?;
/// for lease in leases.live() {
///     println!("in use by {lease} since {} (milliseconds of the epoch)", lease.joined);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Leases {
    /// The state of the row that holds the leases.
    pub state: LeasesState,
    /// True if a run of tests or a program with a lease started the cluster, so that the last of them suspends it.
    /// False if it was found running, or if it was started in another way since.
    pub ours: bool,
    /// All leases of the row, also those of machines that died.
    pub leases: Vec<LeaseInfo>,
    /// None without a row.
    #[serde(skip)]
    written: Option<Written>,
}

/// The time of the last change of a row, by the server's clock, beside that clock.
#[derive(Clone, Copy, Debug)]
struct Written {
    at: Millis,
    server: ServerTime,
    /// The row says that the harness started the cluster, no matter when that was written.
    ours: bool,
}

/// The state of the row that holds the leases of a cluster.
///
/// ```no_run
/// use cratedb_test::cloud::LeasesState;
///
/// # async fn example(cluster: cratedb_test::ManagedCluster) -> cratedb_test::Result<()> {
/// if cluster.leases().await?.state == LeasesState::Closing {
///     println!("the last one is about to suspend the cluster");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeasesState {
    /// The cluster has no row: no run of tests used it yet, or none that could write one.
    Absent,
    /// Runs of tests and programs may join.
    Open,
    /// The last one is about to suspend the cluster.
    Closing,
    /// The cluster is suspended or being deployed, so nobody uses it. The row was not read.
    Suspended,
}

/// One lease: a run of tests on one machine, or a program. All times are the server's.
///
/// `Display` names it: `build-7 (ada, run 4711)`.
///
/// ```no_run
/// # async fn example(cluster: cratedb_test::ManagedCluster) -> cratedb_test::Result<()> {
/// for lease in cluster.leases().await?.leases.iter().filter(|lease| !lease.is_alive) {
///     println!("{lease} died, {} s after its last sign of life", lease.age / 1000);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeaseInfo {
    /// An id that no other lease has.
    pub id: String,
    /// The name of the machine. Empty in a lease that stands for those that a lost row may have named.
    pub host: String,
    /// The user on that machine.
    pub user: String,
    /// The session of the tests, or the name of the program.
    pub session: String,
    /// The version of this crate.
    pub version: String,
    /// The time of joining, in milliseconds since the epoch.
    pub joined: u64,
    /// The time of the last renewal, in milliseconds since the epoch. A lease is renewed every 20 s.
    pub renewed: u64,
    /// Milliseconds since the last renewal.
    pub age: u64,
    /// True if it was renewed within 90 s. A lease that was not is dead, and keeps no cluster running.
    pub is_alive: bool,
    /// True if it is alive and missed a renewal. It still counts as in use.
    pub is_overdue: bool,
}

impl LeaseInfo {
    /// Reports whether it is the lease of one keeper or program. Another one stands for all that a lost row may have
    /// named.
    pub(super) fn is_known(&self) -> bool {
        !self.host.is_empty()
    }

    pub(super) fn of(lease: &Lease, now: Millis) -> Self {
        let limits = Limits::default();
        let Lease { id, host, user, session, version, joined, renewed, .. } = lease.clone();
        let age = lease.age(now);
        let is_alive = age <= limits.dead;
        Self {
            id,
            host,
            user,
            session,
            version,
            joined,
            renewed,
            age,
            is_alive,
            is_overdue: is_alive && age > limits.overdue,
        }
    }
}

impl fmt::Display for LeaseInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_known() {
            return f.write_str("a machine that a lost row may have named");
        }
        let known =
            |text: &str| if text.is_empty() { "unknown".to_owned() } else { crate::foreign::block(text).into_owned() };
        write!(f, "{} ({}, {})", known(&self.host), known(&self.user), known(&self.session))
    }
}

impl Leases {
    /// Returns the leases that keep the cluster running: those renewed within 90 s.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::ManagedCluster) -> cratedb_test::Result<()> {
    /// let users = cluster.leases().await?.live().count();
    /// # Ok(())
    /// # }
    /// ```
    pub fn live(&self) -> impl Iterator<Item = &LeaseInfo> {
        self.leases.iter().filter(|lease| lease.is_alive)
    }

    /// Returns leases of a cluster whose row is not there or was not read.
    pub(crate) fn none(state: LeasesState) -> Self {
        Self { state, ours: false, leases: Vec::new(), written: None }
    }

    pub(super) fn of(row: &Row, server: ServerTime) -> Self {
        let leases: Vec<_> = row.leases.iter().map(|lease| LeaseInfo::of(lease, server.now)).collect();
        // What was said before the server's start says nothing, unless a lease lives on: then a node was restarted.
        let holds = row.written >= server.booted || leases.iter().any(|lease| lease.is_alive);
        let state = match row.state {
            RowState::Closing { since, .. } if since >= server.booted => LeasesState::Closing,
            RowState::Open | RowState::Closing { .. } => LeasesState::Open,
        };
        let written = Written { at: row.written, server, ours: row.ours };
        Self { state, ours: row.ours && holds, leases, written: Some(written) }
    }

    /// Translates what was seen of the row of a cluster.
    pub(crate) fn seen(seen: Seen, named: &str) -> Result<Self> {
        let fail = |kind| Error::new(kind, format!("cannot read the leases of {named}"));
        match seen {
            Seen::Row(row, _, server) => Ok(Self::of(&row, server)),
            Seen::NoTable | Seen::NoRow(_) => Ok(Self::none(LeasesState::Absent)),
            Seen::Damaged(..) => Err(fail(Kind::Decode)
                .because("the row in cratedb_test.lease is damaged")
                .hint("DELETE FROM cratedb_test.lease removes it; running tests write another one")),
            Seen::Newer => Err(fail(Kind::Decode)
                .because("a newer version of cratedb-test wrote them")
                .hint("update cratedb-test and cargo-cratedb")),
            Seen::Refused(line) => Err(fail(Kind::Server).because(line)),
            Seen::Unreachable => Err(fail(Kind::Transport).because("its server does not answer SQL")),
        }
    }

    /// Returns why a cluster is not to be suspended as one that dead machines left, if its leases keep it from that.
    /// `idle` is the time for which nobody may have used it.
    pub(super) fn why_kept(&self, idle: Duration) -> Option<String> {
        let Some(written) = self.written else {
            return Some("no run of tests has used it".to_owned());
        };
        let last = self.leases.iter().map(|lease| lease.renewed).chain([written.at]).max().unwrap_or_default();
        let used = Duration::from_millis(written.server.now.saturating_sub(last));
        if self.live().next().is_some() {
            return Some(format!("in use by {}", names(self.live())));
        }
        match (self.ours, written.ours) {
            (false, false) => Some("it was not started by a run of tests".to_owned()),
            (false, true) => Some("it was started since its leases were written, and not by a run of tests".to_owned()),
            (true, _) if used < idle => {
                Some(format!("it was in use {} ago", humantime::format_duration(Duration::from_secs(used.as_secs()))))
            }
            (true, _) => None,
        }
    }
}

/// Names leases to people, one after another.
pub(crate) fn names<'a>(leases: impl IntoIterator<Item = &'a LeaseInfo>) -> String {
    let one = |lease: &LeaseInfo| match lease.is_overdue {
        true => format!("{lease}, not renewed for {} s", lease.age / 1000),
        false => lease.to_string(),
    };
    leases.into_iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::leases::gate::FORMAT;

    const SERVER: ServerTime = ServerTime { now: 1_000_000, booted: 500_000 };

    fn row(ours: bool, written: Millis, ages: &[Millis]) -> Row {
        let lease = |(at, age): (usize, &Millis)| Lease {
            id: at.to_string(),
            host: format!("host-{at}"),
            user: "ada".to_owned(),
            session: "run".to_owned(),
            renewed: SERVER.now - age,
            ..Lease::default()
        };
        let leases = ages.iter().enumerate().map(lease).collect();
        Row { format: FORMAT, state: RowState::Open, ours, written, leases }
    }

    fn kept(row: &Row, idle: u64) -> Option<String> {
        Leases::of(row, SERVER).why_kept(Duration::from_secs(idle))
    }

    #[test]
    fn a_lease_is_alive_for_90_s_and_overdue_after_30() {
        let leases = Leases::of(&row(true, 900_000, &[0, 30_001, 90_000, 90_001]), SERVER).leases;
        assert_eq!(leases.iter().map(|lease| lease.is_alive).collect::<Vec<_>>(), [true, true, true, false]);
        assert_eq!(leases.iter().map(|lease| lease.is_overdue).collect::<Vec<_>>(), [false, true, true, false]);
        assert_eq!(names(&leases[..2]), "host-0 (ada, run); host-1 (ada, run), not renewed for 30 s");
    }

    #[test]
    fn only_what_the_harness_started_and_all_left_is_abandoned() {
        assert_eq!(kept(&row(true, 800_000, &[100_000]), 0), None);
        assert_eq!(kept(&row(true, 800_000, &[]), 0), None);
        assert_eq!(kept(&row(true, 800_000, &[100_000]), 100), None);
        let why = |row: &Row, idle| kept(row, idle).unwrap();
        assert_eq!(why(&row(true, 800_000, &[100_000]), 101), "it was in use 1m 40s ago");
        assert_eq!(
            why(&row(true, 800_000, &[100_000, 90_000]), 0),
            "in use by host-1 (ada, run), not renewed for 90 s"
        );
        assert_eq!(why(&row(false, 800_000, &[100_000]), 0), "it was not started by a run of tests");
        assert!(why(&row(true, 499_999, &[600_000]), 0).contains("started since"));
        assert_eq!(Leases::none(LeasesState::Absent).why_kept(Duration::ZERO).unwrap(), "no run of tests has used it");
    }
}
