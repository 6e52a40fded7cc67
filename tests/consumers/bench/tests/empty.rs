//! Two hundred tests that do nothing with the cluster they get.

use cratedb_test::{blocking, cratedb_cluster};

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[cratedb_cluster]
        fn $name(_cluster: &blocking::Cluster) {}
    )*};
}

bench::two_hundred!(tests);
