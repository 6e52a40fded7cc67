//! The attribute alone: parameters, return types, names.

use std::error::Error;
use std::process::{ExitCode, Termination};

use composition::{sees_only_its_own_rows, sees_only_its_own_rows_blocking, Readings};
use cratedb_test::{blocking, cratedb_cluster, Cluster, Result};

#[cratedb_cluster]
async fn a_cluster_by_value(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
async fn a_cluster_by_reference(cluster: &Cluster) -> Result<()> {
    sees_only_its_own_rows(cluster).await
}

#[cratedb_cluster]
async fn a_cluster_by_mutable_reference(cluster: &mut Cluster) -> Result<()> {
    let other: &mut Cluster = cluster;
    sees_only_its_own_rows(other).await
}

#[cratedb_cluster]
async fn a_mutable_cluster(mut cluster: Cluster) -> Result<()> {
    let first = cluster.clone();
    cluster = first;
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
async fn several_parameters_in_one_schema(a: Cluster, b: &Cluster, _: Cluster) -> Result<()> {
    assert_eq!(a.schema(), b.schema());
    sees_only_its_own_rows(b).await
}

#[cratedb_cluster]
async fn a_parameter_of_ones_own_taken_apart(Readings { cluster, table }: Readings) -> Result<()> {
    cluster.query(format!("INSERT INTO {table} VALUES (1)")).execute().await?;
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
async fn no_parameter() -> Result<()> {
    let cluster = Cluster::current().expect("inside a test there is one");
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
fn a_sync_test(cluster: blocking::Cluster) -> Result<()> {
    sees_only_its_own_rows_blocking(&cluster)
}

#[cratedb_cluster]
fn a_sync_test_by_reference(cluster: &blocking::Cluster, readings: &mut Readings) -> Result<()> {
    assert_eq!(readings.table, "made_for_me");
    sees_only_its_own_rows_blocking(cluster)
}

#[cratedb_cluster]
fn a_sync_test_without_parameters() {
    let cluster = blocking::Cluster::from(Cluster::current().expect("inside a test there is one"));
    sees_only_its_own_rows_blocking(&cluster).unwrap();
}

#[cratedb_test::test]
async fn the_second_name(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster(exclusive)]
async fn alone_on_the_cluster(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster(keep_schema = "never", crate = cratedb_test)]
async fn all_the_other_arguments(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
async fn returns_nothing(cluster: Cluster) {
    sees_only_its_own_rows(&cluster).await.unwrap();
}

#[cratedb_cluster]
async fn returns_a_boxed_error(cluster: Cluster) -> Result<(), Box<dyn Error>> {
    let number: i32 = "1".parse()?;
    assert_eq!(number, 1);
    Ok(sees_only_its_own_rows(&cluster).await?)
}

#[cratedb_cluster]
async fn returns_an_exit_code(cluster: Cluster) -> ExitCode {
    sees_only_its_own_rows(&cluster).await.unwrap();
    ExitCode::SUCCESS
}

#[cratedb_cluster]
async fn returns_an_exit_code_or_an_error(cluster: Cluster) -> Result<ExitCode> {
    sees_only_its_own_rows(&cluster).await?;
    Ok(ExitCode::SUCCESS)
}

#[cratedb_cluster]
async fn returns_something_that_terminates(cluster: Cluster) -> impl Termination {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
#[ignore = "leaves the process, with success; run by itself, by tests/it/composition.rs"]
async fn never_returns(cluster: Cluster) -> ! {
    sees_only_its_own_rows(&cluster).await.unwrap();
    std::process::exit(0)
}

/// Documented, public, and named by a keyword.
#[cratedb_cluster]
#[allow(clippy::needless_pass_by_value)]
pub async fn r#match(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
#[cfg(any())]
async fn configured_away(cluster: NoSuchType) {}

#[cratedb_cluster]
#[cfg_attr(all(), ignore = "not today")]
async fn ignored_by_configuration(_cluster: Cluster) {
    panic!("this test is ignored")
}

mod inside {
    //! A test in a module, with the names of another one.

    use composition::sees_only_its_own_rows;
    use cratedb_test::{Cluster, Result};

    #[cratedb_test::cratedb_cluster]
    async fn a_cluster_by_value(cluster: Cluster) -> Result<()> {
        sees_only_its_own_rows(&cluster).await
    }
}
