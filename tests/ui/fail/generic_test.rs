//! A test with type, constant and lifetime parameters.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
async fn generic<'a, T: Default, const N: usize>(_cluster: &'a Cluster) {
    let _: [T; N] = std::array::from_fn(|_| T::default());
}

fn main() {}
