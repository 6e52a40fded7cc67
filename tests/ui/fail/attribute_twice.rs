//! Both names of the attribute on one function.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
#[cratedb_cluster(exclusive)]
async fn twice(_cluster: Cluster) {}

#[cratedb_test::test]
#[cratedb_test::test]
async fn by_the_other_name(_cluster: Cluster) {}

fn main() {}
