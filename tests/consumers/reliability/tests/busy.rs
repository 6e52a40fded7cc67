use std::time::Duration;

use cratedb_test::{Result, blocking, cratedb_cluster};

fn work(cluster: &blocking::Cluster) -> Result<()> {
    for _ in 0..3 {
        cluster.execute("CREATE TABLE IF NOT EXISTS t (id INT)")?;
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[cratedb_cluster]
        fn $name(cluster: &blocking::Cluster) -> Result<()> {
            work(cluster)
        }
    )*};
}

tests! {
    t00 t01 t02 t03 t04 t05 t06 t07 t08 t09 t10 t11 t12 t13 t14 t15 t16 t17 t18 t19
    t20 t21 t22 t23 t24 t25 t26 t27 t28 t29 t30 t31 t32 t33 t34 t35 t36 t37 t38 t39
}
