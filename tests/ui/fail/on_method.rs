//! A function with `self`.

use cratedb_test::{Cluster, cratedb_cluster};

pub struct Readings(pub i32);

impl Readings {
    #[cratedb_cluster]
    pub fn inserts(&self, _cluster: Cluster) {
        assert_eq!(self.0, 1);
    }
}

fn main() {}
