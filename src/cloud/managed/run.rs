//! Starts a cluster, runs a body and suspends the cluster, however the body ends.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::builder::START_TIMEOUT;
use super::stop::{Ended, REQUESTS, is_refusal};
use super::{ManagedCluster, ManagedInner};
use crate::background::{self, caught};
use crate::cloud::is_conflict;
use crate::cloud::leases::{AtEnd, Departure, Door, Entry, Exit, Memory, Site, begin, reopen};
use crate::cloud::lifecycle::{Hooks as _, May, Stopped, Tell, named};
use crate::cloud::model::ClusterInfo;
use crate::error::{Error, Kind, Result};
use crate::sharing::{CutOff, Member, News};
use crate::wait::{self, Look};

/// The lease of one run, from before it is written until it is given back.
#[derive(Clone, Default)]
struct Seat(Arc<Mutex<Option<Lease>>>);

#[derive(Clone)]
struct Lease {
    id: String,
    door: Door,
}

impl Seat {
    fn get(&self) -> Option<Lease> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, lease: Option<Lease>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    }
}

impl ManagedCluster {
    /// Starts the cluster, calls `body` with it and, with [`stop_on_exit`](super::ManagedClusterBuilder::stop_on_exit),
    /// suspends it afterwards: whether `body` returned a value or an error, or panicked, and also if the start failed
    /// halfway.
    ///
    /// A panic continues after the suspension. If this future is dropped before it is done, the suspension is requested
    /// in the background, which works as long as the process lives. A cluster whose product can't be suspended is left
    /// running; [`on_progress`](super::ManagedClusterBuilder::on_progress) receives a message about it.
    ///
    /// With `stop_on_exit`, the program has a [lease](Self::leases) of its own while `body` runs. If tests or other
    /// programs use the cluster at the end, it is left running, and `on_progress` receives a message that names them.
    /// The last of them suspends the cluster if any of them had started it.
    ///
    /// ```no_run
    /// use cratedb_test::ManagedCluster;
    ///
    /// # async fn example() -> cratedb_test::Result<()> {
    /// let cluster = ManagedCluster::builder().stop_on_exit(true).build()?;
    /// let count: i64 =
    ///     cluster.run(|cluster| async move { cluster.query("SELECT count(*) FROM readings").scalar().await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the start or of `body`, else the error of the suspension.
    pub async fn run<T, F: Future<Output = Result<T>>>(self, body: impl FnOnce(Self) -> F) -> Result<T> {
        let (inner, seat) = (self.0.clone(), Seat::default());
        let taken = seat.clone();
        let start = async move {
            let (started, touched) = inner.bring_up(May::DeployAndResume).await;
            let started = match started {
                Ok(cluster) if inner.stop_on_exit => inner.take_lease(&cluster, touched.woken, &taken).await,
                started => started.map(drop),
            };
            (started, touched.maybe_up)
        };
        self.run_after(start, seat, body).await
    }

    /// Runs `body` after `start`, which also reports whether it may have left something running.
    async fn run_after<T, F: Future<Output = Result<T>>>(
        self,
        start: impl Future<Output = (Result<()>, bool)> + Send + 'static,
        seat: Seat,
        body: impl FnOnce(Self) -> F,
    ) -> Result<T> {
        let mut owed = Owed(self.0.stop_on_exit.then(|| self.0.clone()), seat.clone());
        let outcome = match background::run(async { Ok(start.await) }).await {
            Ok((Ok(()), _)) => caught(async { body(self.clone()).await }).await,
            Ok((Err(error), touched)) => {
                owed.0 = owed.0.take().filter(|_| touched);
                Ok(Err(error))
            }
            // It panicked, and may have left something running.
            Err(error) => Ok(Err(error)),
        };
        let stopped = match owed.0.clone() {
            Some(inner) => background::run(async move { inner.stop_at_end(&seat).await }).await,
            None => Ok(()),
        };
        // Not before: if this future is dropped during the suspension, it is still owed.
        owed.0 = None;
        concluded(&self, outcome, stopped)
    }
}

impl ManagedInner {
    /// Takes a lease on a cluster that answers SQL.
    async fn take_lease(self: &Arc<Self>, cluster: &ClusterInfo, woken: bool, seat: &Seat) -> Result<()> {
        let (table, inner) = (self.connect().await?.leases()?, self.clone());
        begin(&table).await;
        let hear = Arc::new(move |news| match news {
            News::Line(line) => inner.step(line),
            News::Cut(CutOff::Suspended, _) => inner.step("the cluster was suspended from outside".to_owned()),
            News::Cut(CutOff::Expired, _) => inner.step("the lease of this program was lost".to_owned()),
            News::Turns { .. } | News::Alone(_) => {}
        });
        let member = Member { hear, ..Member::silent(&program()) };
        let id = member.id.clone();
        self.me.holds(&id);
        let site = Site { lifecycle: self.lifecycle.clone(), id: cluster.id.clone(), named: named(cluster) };
        let door = Door::open(site, table, member, Memory::default());
        seat.set(Some(Lease { id, door: door.clone() }));
        let deadline = self.deadline();
        let entry = Entry { woken, deadline, hooks: self.clone() };
        match tokio::time::timeout_at(deadline.into(), door.join(entry)).await {
            Ok(joined) => joined.map(drop),
            Err(_) => Err(Error::new(Kind::Timeout, format!("cannot use {}", named(cluster)))
                .because("the lease of this program was not written in time: another machine suspends the cluster, or its server does not answer")),
        }
    }

    async fn stop_at_end(self: &Arc<Self>, seat: &Seat) -> Result<()> {
        // Even if the start timeout is short: a cluster that is not suspended costs money.
        let deadline = self.deadline().max(Instant::now() + START_TIMEOUT);
        let lease = seat.get();
        let ended = match &lease {
            Some(lease) if !self.although_in_use => self.leave(lease, deadline).await,
            _ => self.stop_unless_in_use(false, deadline).await.map(|(_, ended)| ended),
        };
        // Not before: if this future is dropped while it leaves, it has to leave still.
        seat.set(None);
        if let Some(lease) = lease {
            self.me.lets_go_of(&lease.id);
        }
        let why = match ended? {
            Ended::Stopped(Stopped::Suspended | Stopped::Deleted) => return Ok(()),
            Ended::Stopped(Stopped::NeverDeployed(error) | Stopped::Unchanged(error)) => return Err(error),
            Ended::Stopped(Stopped::NotAllowed(error)) => {
                error.message().unwrap_or("its product can't be suspended").to_owned()
            }
            Ended::InUse(others) => format!("it is in use by {others}"),
            Ended::Kept(why) => why,
        };
        self.step(format!("{} is left running: {why}", self.lifecycle.target.cluster));
        Ok(())
    }

    /// Gives the lease back, and suspends the cluster if it was the last one.
    async fn leave(self: &Arc<Self>, lease: &Lease, deadline: Instant) -> Result<Ended> {
        let tries = AtomicUsize::new(0);
        let pass = || async {
            let cluster = self.look_patiently(deadline).await?;
            match cluster.busy() {
                Some(kind) => return self.sat_out(&cluster, kind, deadline).await,
                None if cluster.suspended => return Ok(Look::Ready(Ended::Stopped(Stopped::Suspended))),
                None => {}
            }
            let can_be_suspended = cluster.allow_suspend != Some(false);
            let at_end = if can_be_suspended { AtEnd::Suspend } else { AtEnd::Keep };
            let exit = Exit { at_end, delete: false, known: cluster.last_operation(), hooks: self.clone() };
            Ok(Look::Ready(match lease.door.leave(exit).await {
                Departure::Owed(error, true) | Departure::Stopped(Stopped::Unchanged(error)) => {
                    let again = tries.fetch_add(1, Ordering::Relaxed) + 1 < REQUESTS || is_conflict(&error);
                    return if again { Ok(Look::trouble(&error)) } else { Err(self.lifecycle.with_place(error)) };
                }
                Departure::Owed(error, false) => return Err(self.lifecycle.with_place(error)),
                Departure::Stopped(stopped) => Ended::Stopped(stopped),
                Departure::InUse(others) if can_be_suspended => Ended::InUse(others),
                Departure::InUse(_) | Departure::Running if !can_be_suspended => {
                    Ended::Kept("its product can't be suspended".to_owned())
                }
                Departure::InUse(others) => Ended::InUse(others),
                Departure::Running => Ended::Kept("another machine started it anew".to_owned()),
                Departure::Newer => {
                    Ended::Kept("a newer version of cratedb-test shares it with other machines".to_owned())
                }
            }))
        };
        let doing = format!("suspending {}", self.lifecycle.target.cluster);
        let tell = Tell::only_trouble(&**self, &doing);
        let ended = wait::until_told(&doing, wait::OPERATION, deadline, tell, pass).await;
        let refused = match &ended {
            Ok(Ended::Stopped(Stopped::NotAllowed(_) | Stopped::NeverDeployed(_))) => true,
            Err(error) => is_refusal(error),
            Ok(_) => false,
        };
        if refused && let Ok(table) = self.lease_table(None).await {
            reopen(&table, &lease.id).await;
        }
        ended
    }
}

/// Returns the name of this program, for people on other machines.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_stem().map_or_else(|| "a program".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Combines the outcomes. The first failure counts; a later one is added to it.
fn concluded<T>(cluster: &ManagedCluster, outcome: thread::Result<Result<T>>, stopped: Result<()>) -> Result<T> {
    let left = |error: &Error| format!("and {} could not be suspended: {error}", cluster.address());
    match (outcome, stopped) {
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Ok(Ok(_)), Err(error)) => Err(error.hint("what was to be done with the cluster succeeded")),
        (Ok(Err(error)), Ok(())) => Err(error),
        (Ok(Err(error)), Err(stop)) => Err(error.hint(left(&stop))),
        (Err(panic), stopped) => {
            if let Err(stop) = stopped {
                cluster.0.step(left(&stop));
                tracing::error!("{} could not be suspended: {stop}", cluster.address());
            }
            resume_unwind(panic)
        }
    }
}

/// A suspension that is owed, even if its future is dropped.
struct Owed(Option<Arc<ManagedInner>>, Seat);

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            let address = inner.lifecycle.target.cluster.to_string();
            let seat = self.1.clone();
            let told = move |error: Error| tracing::error!("{address} could not be suspended: {error}");
            match background::handle() {
                Ok(handle) => drop(handle.spawn(async move { inner.stop_at_end(&seat).await.unwrap_or_else(told) })),
                Err(error) => told(error),
            }
        }
    }
}

// The simulator needs Unix.
#[cfg(all(test, unix))]
mod tests {
    use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};

    use super::*;

    /// The start of a cluster, which is done and then panics.
    async fn panics(cluster: ManagedCluster) -> (Result<()>, bool) {
        cluster.start().await.unwrap();
        panic!("of the start")
    }

    #[test]
    fn a_start_that_panics_is_undone_and_is_an_error() {
        let simulator = Simulator::start_blocking(Options::default().cluster(ClusterOptions::suspended("ci"))).unwrap();
        let builder = || ManagedCluster::builder().env(false).endpoint(simulator.url()).api_key("key", "secret");
        let cluster = || builder().cluster_name("ci").stop_on_exit(true).build().unwrap();
        let never = || unreachable!("it never started");
        let run = || cluster().run_after::<(), _>(panics(cluster()), Seat::default(), |_| async { never() });
        let blocking = || background::block_on(run());
        let awaited = || background::tests::foreign_block_on(run());
        for (count, run) in [&blocking as &dyn Fn() -> Result<()>, &awaited].into_iter().enumerate() {
            assert_eq!(run().unwrap_err().to_string(), "cratedb-test panicked: of the start");
            assert!(simulator.cloud().cluster("ci").suspended);
            let resumes = simulator.requests().iter().filter(|request| request.is_resume()).count();
            assert_eq!(resumes, count + 1, "it was running in between");
        }
    }
}
