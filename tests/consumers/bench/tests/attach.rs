//! A fresh process each (run by nextest): how long it takes to join the session, and to begin and end an attempt on it.

use std::time::Instant;

use bench::sample;
use cratedb_test::{Result, Session};

/// Attempts of one process after its first.
const MORE: usize = 20;

async fn attach_and_attempts() -> Result<()> {
    let began = Instant::now();
    let session = Session::current().await?;
    let attached = began.elapsed();
    let mut attempts = Vec::new();
    for _ in 0..=MORE {
        let began = Instant::now();
        let cluster = session.cluster("attempt").await?;
        attempts.push(began.elapsed());
        drop(cluster);
    }
    sample("attach", attached);
    sample("first", attempts.remove(0));
    attempts.into_iter().for_each(|attempt| sample("attempt", attempt));
    Ok(())
}

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[tokio::test]
        async fn $name() -> Result<()> {
            attach_and_attempts().await
        }
    )*};
}

bench::two_hundred!(tests);
