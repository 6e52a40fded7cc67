//! Statements and their answers: typed rows, bulk inserts, updates, errors.

use cratedb_test::{Cluster, Result, cratedb_cluster};
use serde::Deserialize;

const READINGS: &str = "CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)";

/// Reads rows into tuples by position.
#[cratedb_cluster]
async fn inserts_are_visible_after_refresh(cluster: Cluster) -> Result<()> {
    cluster.execute(READINGS).await?;
    cluster.query("INSERT INTO readings VALUES (?, ?)").bind(1).bind(2.5).execute().await?;
    cluster.refresh().await?;

    let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all().await?;

    assert_eq!(rows, [(1, 2.5)]);
    Ok(())
}

/// Reads rows into structs by column name. Every CrateDB has this table of mountains.
#[cratedb_cluster]
async fn the_highest_summit_is_mont_blanc(cluster: Cluster) -> Result<()> {
    #[derive(Debug, Deserialize)]
    struct Summit {
        mountain: String,
        height: i32,
    }

    let highest = "SELECT mountain, height FROM sys.summits ORDER BY height DESC LIMIT 3";
    let summits: Vec<Summit> = cluster.query(highest).fetch_all().await?;

    assert_eq!((summits[0].mountain.as_str(), summits[0].height), ("Mont Blanc", 4808));
    assert_eq!(summits.len(), 3);
    Ok(())
}

/// Sends many rows in one request. The answer says how many rows each of them affected.
#[cratedb_cluster]
async fn a_thousand_rows_go_in_one_request(cluster: Cluster) -> Result<()> {
    cluster.execute(READINGS).await?;
    let rows = (0..1000).map(|id| (id, f64::from(id) / 2.0));

    let affected = cluster.bulk("INSERT INTO readings (id, value) VALUES (?, ?)", rows).await?;

    assert_eq!(affected.iter().sum::<u64>(), 1000);
    cluster.refresh().await?;
    let (count, largest): (i64, f64) = cluster.query("SELECT count(*), max(value) FROM readings").fetch_one().await?;
    assert_eq!((count, largest), (1000, 499.5));
    Ok(())
}

/// `execute` returns how many rows a statement affected; `fetch_optional` allows that there is no row.
#[cratedb_cluster]
async fn rows_are_changed_and_deleted_by_key(cluster: Cluster) -> Result<()> {
    cluster.execute(READINGS).await?;
    cluster.execute("INSERT INTO readings (id, value) VALUES (1, 2.5)").await?;

    assert_eq!(cluster.query("UPDATE readings SET value = ? WHERE id = ?").bind(9.75).bind(1).execute().await?, 1);
    let value: f64 = cluster.query("SELECT value FROM readings WHERE id = 1").scalar().await?;
    assert_eq!(value, 9.75);

    assert_eq!(cluster.query("DELETE FROM readings WHERE id = ?").bind(1).execute().await?, 1);
    let gone: Option<(f64,)> = cluster.query("SELECT value FROM readings WHERE id = 1").fetch_optional().await?;
    assert_eq!(gone, None);
    Ok(())
}

/// An error keeps CrateDB's code and words beside the statement.
#[cratedb_cluster]
async fn errors_say_what_was_refused_and_why(cluster: Cluster) -> Result<()> {
    let unknown_table = cluster.execute("SELECT * FROM nowhere").await.unwrap_err();
    assert_eq!(unknown_table.code(), Some(4041));
    assert_eq!(unknown_table.statement(), Some("SELECT * FROM nowhere"));

    cluster.execute(READINGS).await?;
    cluster.execute("INSERT INTO readings (id, value) VALUES (1, 2.5)").await?;
    let duplicate = cluster.execute("INSERT INTO readings (id, value) VALUES (1, 2.5)").await.unwrap_err();
    assert_eq!((duplicate.status(), duplicate.code()), (Some(409), Some(4091)));
    Ok(())
}
