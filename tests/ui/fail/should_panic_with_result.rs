//! rustc allows no return type with `#[should_panic]`.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
#[should_panic]
async fn panics(_cluster: Cluster) -> cratedb_test::Result<()> {
    panic!("as it should")
}

fn main() {}
