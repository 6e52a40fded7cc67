//! Migrations of which one is wrong: every test gets that error, and its body is not run.

use cratedb_test::{Cluster, cratedb_cluster};

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[cratedb_cluster(migrations = "failing")]
        async fn $name(_cluster: &Cluster) {
            println!("the body ran");
        }
    )*};
}

tests!(f1 f2 f3 f4 f5 f6);
