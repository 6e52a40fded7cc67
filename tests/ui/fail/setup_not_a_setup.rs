//! Functions that prepare nothing: of the wrong parameters, of the wrong value, and one that is not there.

use cratedb_test::{Cluster, cratedb_cluster};

async fn of_a_number(_: u32) {}

fn that_counts(_: &Cluster) -> u32 {
    1
}

#[cratedb_cluster(setup = of_a_number)]
fn wrong_parameter() {}

#[cratedb_cluster(setup = that_counts)]
async fn wrong_value() {}

#[cratedb_cluster(setup = nowhere::to_be::found)]
fn missing() {}

fn main() {}
