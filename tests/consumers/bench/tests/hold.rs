//! Processes that hold a lease and an attempt until they are told to go.

use cratedb_test::{blocking, cratedb_cluster};

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[cratedb_cluster]
        fn $name(_cluster: &blocking::Cluster) {
            bench::halt(stringify!($name));
        }
    )*};
}

bench::two_hundred!(tests);
