//! Tests that must fail, each for the reason in its name; run them with `--ignored`, and none may pass.

use std::process::ExitCode;

use composition::Impossible;
use cratedb_test::fixture::cluster;
use cratedb_test::{cratedb_cluster, Cluster, Result};
use rstest::rstest;
use test_case::test_case;

#[cratedb_cluster]
#[ignore = "fails on purpose, for tests/it/composition.rs"]
async fn an_error_is_returned(cluster: Cluster) -> Result<()> {
    cluster.execute("SELECT * FROM no_such_table").await?;
    Ok(())
}

#[cratedb_cluster]
#[ignore = "fails on purpose, for tests/it/composition.rs"]
async fn an_exit_code_of_failure(_cluster: Cluster) -> ExitCode {
    ExitCode::FAILURE
}

#[cratedb_cluster]
#[ignore = "fails on purpose, for tests/it/composition.rs"]
async fn a_panic(_cluster: Cluster) {
    panic!("on purpose");
}

#[cratedb_cluster]
#[ignore = "fails on purpose, for tests/it/composition.rs"]
#[should_panic(expected = "")]
async fn no_panic_where_one_should_be(_cluster: Cluster) {}

#[cratedb_cluster]
#[ignore = "fails on purpose, for tests/it/composition.rs"]
#[should_panic(expected = "")]
async fn a_harness_error_is_not_the_panic_that_should_be(_impossible: Impossible) {}

#[rstest]
#[ignore = "fails on purpose, for tests/it/composition.rs"]
#[should_panic(expected = "")]
#[cratedb_cluster]
fn a_harness_error_is_not_the_panic_that_should_be_sync(#[ignore] impossible: Impossible) {
    let Impossible = impossible;
    panic!("never reached");
}

#[cratedb_cluster]
#[ignore = "fails on purpose, for tests/it/composition.rs"]
async fn a_parameter_that_cannot_be_made(_impossible: &Impossible) {}

#[test]
#[cratedb_cluster]
#[ignore = "fails on purpose, for tests/it/composition.rs"]
fn registered_twice() {}

#[test_case(7; "seven")]
#[cratedb_cluster]
#[ignore = "fails on purpose, for tests/it/composition.rs"]
fn registered_twice_by_test_case(number: i32) {
    assert_eq!(number, 7);
}

#[rstest]
#[ignore = "fails on purpose, for tests/it/composition.rs"]
#[cratedb_test::test]
async fn a_case_that_returns_an_error(cluster: Cluster) -> Result<()> {
    cluster.execute("SELECT * FROM no_such_table").await?;
    Ok(())
}
