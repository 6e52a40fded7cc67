//! Migrations that name a schema: they are applied in each test.

use cratedb_test::{Cluster, Result, cratedb_cluster};

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[cratedb_cluster(migrations = "reaching")]
        async fn $name(cluster: &Cluster) -> Result<()> {
            assert!(cluster.schema().ends_with(stringify!($name)));
            assert_eq!(cluster.query("SELECT count(*) FROM own").scalar::<i64>().await?, 0);
            assert_eq!(cluster.query("SELECT count(*) FROM doc.shared_by_all").scalar::<i64>().await?, 0);
            Ok(())
        }
    )*};
}

tests!(r1 r2 r3 r4);
