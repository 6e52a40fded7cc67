//! What is done to a test's schema before its parameters are made: the set-up that it names, then its files.

use std::error::Error as StdError;
use std::pin::Pin;

use super::{Context, Outcome};
use crate::background;
use crate::cluster::Cluster;
use crate::error::{Error, Kind};
use crate::extract::FromCluster;
use crate::seed::{self, Content, SeedFile};

/// A file that the attribute names, with what is in it.
#[derive(Clone, Copy)]
pub struct Seed(SeedFile);

impl Seed {
    /// Statements.
    pub const fn sql(path: &'static str, text: &'static str) -> Self {
        Self(SeedFile { path, text, content: Content::Sql })
    }

    /// Rows as JSON objects.
    pub const fn ndjson(path: &'static str, text: &'static str, table: &'static str) -> Self {
        Self(SeedFile { path, text, content: Content::Ndjson(table) })
    }

    /// Rows as comma-separated values.
    pub const fn csv(path: &'static str, text: &'static str, table: &'static str) -> Self {
        Self(SeedFile { path, text, content: Content::Csv(table) })
    }
}

/// Executes and inserts what is in the files. `source` is the file of the test.
pub async fn seed(context: &Context, source: &'static str, files: &[Seed]) -> Outcome<()> {
    background::run(planted(context, source, files)).await
}

/// The same for a sync test.
pub fn seed_sync(context: &Context, source: &'static str, files: &[Seed]) -> Outcome<()> {
    background::wait(planted(context, source, files))
}

fn planted(
    context: &Context,
    source: &'static str,
    files: &[Seed],
) -> impl Future<Output = Outcome<()>> + Send + use<> {
    let (cluster, test) = (context.cluster.clone(), context.test.clone());
    let files: Vec<SeedFile> = files.iter().map(|seed| seed.0).collect();
    async move {
        let planted = seed::plant(&cluster, source, &files).await;
        planted.map_err(|error| error.hint(format!("the test `{test}` was not run")))
    }
}

/// What a set-up may return.
#[diagnostic::on_unimplemented(
    message = "a `setup` cannot return `{Self}`",
    label = "returned by the function",
    note = "a set-up returns nothing or a `Result<(), E>` with an error that can be a `Box<dyn Error + Send + Sync>`"
)]
pub trait Done {
    /// Whether it worked.
    fn done(self) -> Result<(), Box<dyn StdError + Send + Sync>>;
}

impl Done for () {
    fn done(self) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(())
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> Done for Result<(), E> {
    fn done(self) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.map_err(Into::into)
    }
}

/// A function that prepares a schema: it takes something that can be made from the cluster, by reference or not, and is
/// async or not. `Way` tells these apart.
#[diagnostic::on_unimplemented(
    message = "this function cannot be the `setup` of a `#[cratedb_cluster]` test",
    label = "not a set-up",
    note = "a set-up is a `fn` or an `async fn` with one parameter that implements `cratedb_test::FromCluster`, or a reference to one, as in `async fn tables(cluster: &Cluster) -> cratedb_test::Result<()>`"
)]
pub trait SetUp<Way> {
    /// Prepares the schema of `cluster`.
    fn set_up(self, cluster: &Cluster) -> impl Future<Output = Result<(), Box<dyn StdError + Send + Sync>>>;
}

/// How a set-up takes its parameter and whether it is async; only a name for [`SetUp`]'s implementations.
pub struct Way<const ASYNC: bool, const REFERENCE: bool, T>(T);

impl<F, T, R> SetUp<Way<true, true, T>> for F
where
    F: AsyncFnOnce(&T) -> R,
    T: FromCluster,
    R: Done,
{
    async fn set_up(self, cluster: &Cluster) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self(&T::from_cluster(cluster).await?).await.done()
    }
}

impl<F, T, R> SetUp<Way<true, false, T>> for F
where
    F: AsyncFnOnce(T) -> R,
    T: FromCluster,
    R: Done,
{
    async fn set_up(self, cluster: &Cluster) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self(T::from_cluster(cluster).await?).await.done()
    }
}

impl<F, T, R> SetUp<Way<false, true, T>> for F
where
    F: FnOnce(&T) -> R,
    T: FromCluster,
    R: Done,
{
    async fn set_up(self, cluster: &Cluster) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self(&T::from_cluster(cluster).await?).done()
    }
}

impl<F, T, R> SetUp<Way<false, false, T>> for F
where
    F: FnOnce(T) -> R,
    T: FromCluster,
    R: Done,
{
    async fn set_up(self, cluster: &Cluster) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self(T::from_cluster(cluster).await?).done()
    }
}

/// Runs the set-up of an async test, where the test runs. The boxed future makes one error of rustc of three, if the function
/// can't be a set-up.
pub fn set_up<'a, W: 'a>(
    context: &'a Context,
    setup: impl SetUp<W> + 'a,
) -> Pin<Box<dyn Future<Output = Outcome<()>> + 'a>> {
    Box::pin(set_up_awaited(context, setup))
}

/// The same for a test on the runtime of another attribute, which may ask for a future that is `Send`: this one is if that
/// of the set-up is.
pub async fn set_up_awaited<W>(context: &Context, setup: impl SetUp<W>) -> Outcome<()> {
    let name = name_of(&setup);
    let done = setup.set_up(&context.cluster).await;
    done.map_err(|error| not_set_up(context, name, &*error))
}

/// Runs the set-up of a sync test. Connections and timers it needs are driven by the background thread.
pub fn set_up_sync<W>(context: &Context, setup: impl SetUp<W>) -> Outcome<()> {
    let _entered = background::handle().enter();
    let name = name_of(&setup);
    let done = background::block_on(setup.set_up(&context.cluster));
    done.map_err(|error| not_set_up(context, name, &*error))
}

fn name_of<F>(_: &F) -> &'static str {
    std::any::type_name::<F>()
}

fn not_set_up(context: &Context, setup: &str, error: &(dyn StdError + Send + Sync + 'static)) -> Error {
    let test = &context.test;
    Error::new(Kind::Session, format!("cannot set up the schema of the test `{test}` with `{setup}`")).because_of(error)
}
