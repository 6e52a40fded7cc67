//! A fresh process each (run by nextest): how long a test waits from its start until its own code begins. Both the
//! joining of the session and the attempt are in it, and what the attribute does.

macro_rules! tests {
    ($($name:ident)*) => {$(
        mod $name {
            use std::sync::OnceLock;
            use std::time::Instant;

            use cratedb_test::{blocking, cratedb_cluster};

            static BEGAN: OnceLock<Instant> = OnceLock::new();

            #[cratedb_cluster]
            #[ignore = "called by its neighbour `measured`, which benches/session/attach.rs runs"]
            fn annotated(_cluster: &blocking::Cluster) {
                let took = BEGAN.get().unwrap().elapsed();
                bench::sample("first_test", took);
            }

            #[test]
            fn measured() {
                BEGAN.set(Instant::now()).unwrap();
                annotated();
            }
        }
    )*};
}

bench::two_hundred!(tests);
