//! A parameter that can not be made from a cluster: one error a parameter.

use cratedb_test::{Cluster, cratedb_cluster};

pub struct Readings;

#[cratedb_cluster]
async fn owned(_readings: Readings, _cluster: Cluster) {}

#[cratedb_cluster]
fn by_reference(_readings: &mut Readings) {}

fn main() {}
