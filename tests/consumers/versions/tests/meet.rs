//! Both hold their own cluster at the same time: neither could if one excluded the other.
//!
//! Apart from the other tests: one of those that has the one cluster and waits for the other would close a circle.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cratedb_test::cratedb_cluster;

fn meet(own: &str, other: &str) {
    let dir = PathBuf::from(std::env::var_os("MEET").expect("MEET is a directory"));
    std::fs::write(dir.join(own), "x").unwrap();
    let began = Instant::now();
    while !dir.join(other).exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "{other} never came");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[cratedb_cluster(version = "5.10", exclusive)]
fn alone_here() {
    meet("here", "there");
}

#[cratedb_cluster(version = "6.4", exclusive)]
fn alone_there() {
    meet("there", "here");
}
