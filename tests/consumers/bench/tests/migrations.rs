//! Five hundred tests with ten tables: how long each waits for them. Those of `ahead` have the migrations from the
//! attribute, those of `readonly` share one schema with them, those of `each` execute the same statements themselves.

use std::cell::Cell;
use std::time::{Duration, Instant};

use cratedb_test::blocking::Cluster;

thread_local!(static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) });

/// Uses the tables of a test, and then waits for the number of milliseconds in `BENCH_BODY`.
fn body(what: &str, cluster: &Cluster) {
    bench::sample(what, BEGAN.get().unwrap().elapsed());
    cluster.execute("INSERT INTO t01 (id, name) VALUES (1, 'a')").unwrap();
    cluster.refresh().unwrap();
    finds(cluster, 1);
}

/// Reads a table of a test, and then waits for the number of milliseconds in `BENCH_BODY`.
fn finds(cluster: &Cluster, rows: i64) {
    let count: i64 = cluster.query("SELECT count(*) FROM t01").scalar().unwrap();
    assert_eq!(count, rows);
    let rest = std::env::var("BENCH_BODY").unwrap_or_default().parse().unwrap_or(0);
    let until = Instant::now() + Duration::from_millis(rest);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

macro_rules! tests {
    ($($name:ident)*) => {$(
        mod $name {
            use std::time::Instant;

            use cratedb_test::{blocking, cratedb_cluster};

            use crate::{BEGAN, body, finds};

            #[cratedb_cluster(migrations = "migrations")]
            #[ignore = "called by its neighbour"]
            fn with_migrations(cluster: &blocking::Cluster) {
                // Not `schema()`: a test that has its name does not give the schema back.
                let ready = format!("{cluster:?}").contains("_migrated\"");
                body(if ready { "ready" } else { "missed" }, cluster);
            }

            #[test]
            fn ahead() {
                BEGAN.set(Some(Instant::now()));
                with_migrations();
            }

            #[cratedb_cluster(migrations("migrations", readonly))]
            #[ignore = "called by its neighbour"]
            fn with_shared_migrations(cluster: &blocking::Cluster) {
                bench::sample("shared", BEGAN.get().unwrap().elapsed());
                finds(cluster, 0);
            }

            #[test]
            fn readonly() {
                BEGAN.set(Some(Instant::now()));
                with_shared_migrations();
            }

            #[cratedb_cluster]
            #[ignore = "called by its neighbour"]
            fn without_migrations(cluster: &blocking::Cluster) {
                let text = include_str!("../migrations/0001_ten_tables.sql");
                for statement in text.trim().trim_end_matches(';').split(";\n") {
                    cluster.execute(statement).unwrap();
                }
                body("each", cluster);
            }

            #[test]
            fn each() {
                BEGAN.set(Some(Instant::now()));
                without_migrations();
            }
        }
    )*};
}

mod one {
    bench::two_hundred!(tests);
}
mod two {
    bench::two_hundred!(tests);
}
mod three {
    bench::one_hundred!(tests);
}
