//! Does what a test needs before its body runs: its setup, then its files, then the values of its parameters.

use std::any::{Any, type_name};
use std::error::Error as StdError;
use std::pin::Pin;

use super::{TestResult, not_run};
use crate::background::{self, caught, text_of};
use crate::cluster::Cluster;
use crate::cluster::current::RunningTest;
use crate::error::{Error, Kind};
use crate::extract::FromCluster;
use crate::seed::{self, Content, SeedFile};
use crate::session::Attempt;

/// The cluster from which everything is made that a test needs.
pub struct Context {
    pub(super) cluster: Cluster,
}

impl Context {
    /// Notes the cluster of the test that runs on this thread.
    pub(super) fn of(attempt: &Attempt) -> Self {
        let cluster = attempt.cluster().clone();
        RunningTest::of_this_thread().remember(&cluster);
        Self { cluster }
    }

    /// Returns module and name of the test, for messages.
    pub(super) fn test(&self) -> &str {
        &self.cluster.grant().test
    }
}

/// Makes the value of a parameter of an async test.
///
/// The boxed future makes one error of rustc, where an `async fn` makes two, if `T` can't be a parameter.
pub fn extract<'a, T: FromCluster + 'a>(
    context: &'a Context,
    parameter: &'static str,
) -> Pin<Box<dyn Future<Output = TestResult<T>> + 'a>> {
    Box::pin(extract_awaited(context, parameter))
}

/// Does the same for a test on the runtime of another attribute, which may ask for a future that is `Send`: this one is
/// if that of the parameter is.
pub async fn extract_awaited<T: FromCluster>(context: &Context, parameter: &'static str) -> TestResult<T> {
    let failed = || {
        let (made, test) = (type_name::<T>(), context.test());
        Error::new(Kind::Session, format!("cannot make the parameter `{parameter}`, a `{made}`, of the test `{test}`"))
    };
    match caught(async { T::from_cluster(&context.cluster).await }).await {
        Ok(made) => made.map_err(|error| failed().because_of(&*error)),
        Err(panic) => Err(failed().because(panicked(&*panic))),
    }
}

/// Makes the value of a parameter of a sync test. The background thread drives the connections and timers that it
/// needs.
pub fn extract_sync<T: FromCluster>(context: &Context, parameter: &'static str) -> TestResult<T> {
    let handle = background::handle()?;
    let _entered = handle.enter();
    background::block_on(extract_awaited(context, parameter))
}

/// A file that the attribute names, with its content.
#[derive(Clone, Copy)]
pub struct Seed(SeedFile);

impl Seed {
    /// Takes a file of statements.
    pub const fn sql(path: &'static str, text: &'static str) -> Self {
        Self(SeedFile { path, text, content: Content::Sql })
    }

    /// Takes a file of rows as JSON objects.
    pub const fn ndjson(path: &'static str, text: &'static str, table: &'static str) -> Self {
        Self(SeedFile { path, text, content: Content::Ndjson(table) })
    }

    /// Takes a file of rows as comma-separated values.
    pub const fn csv(path: &'static str, text: &'static str, table: &'static str) -> Self {
        Self(SeedFile { path, text, content: Content::Csv(table) })
    }
}

/// Executes the statements of the files and inserts their rows. `source` is the file of the test.
pub async fn seed(context: &Context, source: &'static str, files: &[Seed]) -> TestResult<()> {
    background::run(planted(context, source, files)).await
}

/// Does the same for a sync test.
pub fn seed_sync(context: &Context, source: &'static str, files: &[Seed]) -> TestResult<()> {
    background::wait(planted(context, source, files))
}

fn planted(
    context: &Context,
    source: &'static str,
    files: &[Seed],
) -> impl Future<Output = TestResult<()>> + Send + use<> {
    let cluster = context.cluster.clone();
    let files: Vec<SeedFile> = files.iter().map(|seed| seed.0).collect();
    async move {
        let planted = seed::plant(&cluster, source, &files).await;
        planted.map_err(|error| not_run(error, &cluster.grant().test))
    }
}

/// A value that a setup may return.
#[diagnostic::on_unimplemented(
    message = "a `setup` cannot return `{Self}`",
    label = "returned by the function",
    note = "a setup returns nothing or a `Result<(), E>` with an error that can be a `Box<dyn Error + Send + Sync>`"
)]
pub trait SetupOutput {
    /// Returns the error, if the setup failed.
    fn into_result(self) -> Result<(), Box<dyn StdError + Send + Sync>>;
}

impl SetupOutput for () {
    fn into_result(self) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(())
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> SetupOutput for Result<(), E> {
    fn into_result(self) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.map_err(Into::into)
    }
}

/// A function that sets up a schema: it takes something that can be made from the cluster, by reference or not, and is
/// async or not. `Kind` tells these apart.
#[diagnostic::on_unimplemented(
    message = "this function cannot be the `setup` of a `#[cratedb_cluster]` test",
    label = "not a setup",
    note = "a setup is a `fn` or an `async fn` with one parameter that implements `cratedb_test::FromCluster`, or a reference to one, as in `async fn tables(cluster: &Cluster) -> cratedb_test::Result<()>`"
)]
pub trait Setup<Kind> {
    /// Sets up the schema of `cluster`.
    fn run(self, cluster: &Cluster) -> impl Future<Output = Result<(), Box<dyn StdError + Send + Sync>>>;
}

/// Names the implementations of [`Setup`] by how the function takes its parameter and whether it is async.
pub struct SetupKind<const ASYNC: bool, const REFERENCE: bool, T>(T);

impl<F: AsyncFnOnce(&T) -> R, T: FromCluster, R: SetupOutput> Setup<SetupKind<true, true, T>> for F {
    async fn run(self, cluster: &Cluster) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self(&T::from_cluster(cluster).await?).await.into_result()
    }
}

impl<F: AsyncFnOnce(T) -> R, T: FromCluster, R: SetupOutput> Setup<SetupKind<true, false, T>> for F {
    async fn run(self, cluster: &Cluster) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self(T::from_cluster(cluster).await?).await.into_result()
    }
}

impl<F: FnOnce(&T) -> R, T: FromCluster, R: SetupOutput> Setup<SetupKind<false, true, T>> for F {
    async fn run(self, cluster: &Cluster) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self(&T::from_cluster(cluster).await?).into_result()
    }
}

impl<F: FnOnce(T) -> R, T: FromCluster, R: SetupOutput> Setup<SetupKind<false, false, T>> for F {
    async fn run(self, cluster: &Cluster) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self(T::from_cluster(cluster).await?).into_result()
    }
}

/// Runs the setup of an async test, where the test runs. The boxed future makes one error of rustc of three, if the
/// function can't be a setup.
pub fn setup<'a, K: 'a>(
    context: &'a Context,
    setup: impl Setup<K> + 'a,
) -> Pin<Box<dyn Future<Output = TestResult<()>> + 'a>> {
    Box::pin(setup_awaited(context, setup))
}

/// Does the same for a test on the runtime of another attribute, which may ask for a future that is `Send`: this one is
/// if that of the setup is.
pub async fn setup_awaited<K>(context: &Context, setup: impl Setup<K>) -> TestResult<()> {
    let (name, test) = (name_of(&setup), context.test());
    let failed = || Error::new(Kind::Session, format!("cannot set up the schema of the test `{test}` with `{name}`"));
    match caught(async { setup.run(&context.cluster).await }).await {
        Ok(done) => done.map_err(|error| failed().because_of(&*error)),
        Err(panic) => Err(failed().because(panicked(&*panic))),
    }
}

/// Says that something panicked before the test's body. It is an error like any other: `#[should_panic]` would take
/// the panic for that of the test.
fn panicked(panic: &(dyn Any + Send)) -> String {
    format!("it panicked: {}", text_of(panic))
}

/// Runs the setup of a sync test. The background thread drives the connections and timers that it needs.
pub fn setup_sync<K>(context: &Context, setup: impl Setup<K>) -> TestResult<()> {
    let handle = background::handle()?;
    let _entered = handle.enter();
    background::block_on(setup_awaited(context, setup))
}

fn name_of<F>(_: &F) -> &'static str {
    type_name::<F>()
}
