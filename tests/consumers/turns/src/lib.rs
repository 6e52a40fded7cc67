//! Tests that write down when they begin and end, so that overlaps can be seen.

use std::io::Write as _;

use cratedb_test::blocking::Cluster;

/// Writes `<begin|end> <shared|exclusive> <process>.<test>` to the file that `TURNS` names, with the work of a test in
/// between.
pub fn turn(mode: &str, test: &str) {
    let say = |what: &str| {
        let path = std::env::var_os("TURNS").expect("TURNS");
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(format!("{what} {mode} {}.{test}\n", std::process::id()).as_bytes()).unwrap();
    };
    say("begin");
    if std::env::var("DIE").is_ok_and(|name| name == test) {
        std::process::abort();
    }
    work(&Cluster::current().expect("this is a test with a cluster"));
    say("end");
}

fn work(cluster: &Cluster) {
    cluster.execute("CREATE TABLE numbers (n INT)").unwrap();
    for n in 1..=10 {
        cluster.query("INSERT INTO numbers VALUES (?)").bind(n).execute().unwrap();
    }
    cluster.refresh().unwrap();
    assert_eq!(cluster.query("SELECT sum(n) FROM numbers").scalar::<i64>().unwrap(), 55);
}

#[macro_export]
macro_rules! turns {
    ($($name:ident)*) => {$(
        mod $name {
            #[cratedb_test::cratedb_cluster]
            fn shared_one() {
                $crate::turn("shared", concat!(stringify!($name), "_one"));
            }

            #[cratedb_test::cratedb_cluster(exclusive)]
            fn alone() {
                $crate::turn("exclusive", concat!(stringify!($name), "_alone"));
            }

            #[cratedb_test::cratedb_cluster]
            fn shared_two() {
                $crate::turn("shared", concat!(stringify!($name), "_two"));
            }
        }
    )*};
}
