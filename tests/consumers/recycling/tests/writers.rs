//! Tests that each find their tables as the migrations made them, and then write in one of many ways, at random. A test
//! that finds what another one wrote says so in the file `FOUND`. Some fail, as they are to.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use cratedb_test::{Cluster, Result, cratedb_cluster};

/// Says what should not be there. A run in which tests fail on purpose has another exit code anyway.
fn found(test: &str, what: &str) {
    let Some(path) = std::env::var_os("FOUND") else { panic!("{test} found {what}") };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(format!("{test} found {what}\n").as_bytes()).unwrap();
}

const TABLES: [&str; 4] = ["plain", "spread", "open", "twice"];

async fn is_as_made(cluster: &Cluster, test: &str) -> Result<()> {
    // What was written and not yet refreshed counts, too.
    cluster.refresh().await?;
    for table in TABLES {
        let count: i64 = cluster.query(format!("SELECT count(*) FROM {table}")).scalar().await?;
        if count != 0 {
            found(test, &format!("{count} rows in {table}"));
        }
    }
    let stations: Vec<(String, String)> =
        cluster.query("SELECT id, name FROM stations ORDER BY id").fetch_all().await?;
    if stations != [("n".to_owned(), "North".to_owned()), ("s".to_owned(), "South".to_owned())] {
        found(test, &format!("stations {stations:?}"));
    }
    let relations = "SELECT table_name FROM information_schema.tables WHERE table_schema = CURRENT_SCHEMA ORDER BY 1";
    let mut relations: Vec<String> = cluster.query(relations).fetch_all().await?;
    relations.retain(|name| name != "days");
    if relations != ["named", "open", "plain", "spread", "stations", "twice"] {
        found(test, &format!("relations {relations:?}"));
    }
    let columns = "SELECT table_name || '.' || column_name FROM information_schema.columns \
                   WHERE table_schema = CURRENT_SCHEMA AND table_name <> 'days' ORDER BY 1";
    let columns: Vec<String> = cluster.query(columns).fetch_all().await?;
    if columns.len() != 12 {
        found(test, &format!("columns {columns:?}"));
    }
    Ok(())
}

/// Sends a statement over a socket of the test's own, of which the harness knows nothing but the address.
fn over_a_socket(url: &str, schema: &str, stmt: &str) {
    let host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let body = serde_json::json!({ "stmt": stmt }).to_string();
    let Ok(mut stream) = TcpStream::connect(&host) else { return };
    let head =
        format!("POST /_sql HTTP/1.0\r\nHost: {host}\r\nDefault-Schema: {schema}\r\nContent-Type: application/json");
    let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let _ = stream.read_to_string(&mut String::new());
}

/// Writes as the number says.
async fn write(cluster: &Cluster, test: &str) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(recycling::seed(test));
    match random.u8(..22) {
        0..3 => {}
        3 => drop(cluster.execute("INSERT INTO plain VALUES (1, 'a'), (2, 'b')").await?),
        4 => {
            let rows: Vec<(i32, f64)> = (0..50).map(|id| (id, f64::from(id))).collect();
            cluster.bulk("INSERT INTO spread (id, value) VALUES (?, ?)", rows).await?;
        }
        // Written to one shard of three, which is not the one with the most.
        5 => drop(cluster.execute("INSERT INTO spread (id, value) VALUES (1, 1.0)").await?),
        6 => {
            cluster.execute("INSERT INTO plain VALUES (1, 'a')").await?;
            cluster.refresh().await?;
            cluster.execute("DELETE FROM plain").await?;
        }
        7 => drop(cluster.execute("INSERT INTO open (id, o) VALUES (1, {a = 1, b = 'x'})").await?),
        8 => drop(cluster.execute("ALTER TABLE spread ADD COLUMN more TEXT").await?),
        9 => {
            cluster.execute("DROP TABLE plain").await?;
            let again = "CREATE TABLE plain (id INT PRIMARY KEY, name TEXT) CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0)";
            cluster.execute(again).await?;
            // As many as the table that was there may have seen.
            for id in 0..random.i32(0..8) {
                cluster.query("INSERT INTO plain (id) VALUES (?)").bind(id).execute().await?;
            }
        }
        10 => drop(cluster.execute("CREATE VIEW another AS SELECT 1 AS one").await?),
        11 => drop(cluster.execute("CREATE TABLE another (id INT)").await?),
        12 => drop(cluster.execute("DROP VIEW named").await?),
        13 => drop(cluster.execute("UPDATE stations SET name = 'East' WHERE id = 'n'").await?),
        14 => drop(cluster.execute("INSERT INTO twice (value) VALUES (1), (2), (3)").await?),
        15 => {
            let (url, schema) = (cluster.http_url().to_owned(), cluster.schema().to_owned());
            std::thread::spawn(move || {
                for id in 0..100 {
                    over_a_socket(&url, &schema, &format!("INSERT INTO plain VALUES ({id}, 'late')"));
                }
            });
        }
        // A task that goes on when the test is over, where its runtime does.
        16 => {
            let cluster = cluster.clone();
            std::thread::spawn(move || {
                cratedb_test::blocking::wait(async {
                    for id in 0..1000 {
                        let insert = cluster.query("INSERT INTO plain VALUES (?, 'late')").bind(id);
                        if insert.execute().await.is_err() {
                            break;
                        }
                    }
                });
            });
        }
        17 => {
            let rows: Vec<(i32, &str)> = (0..2000).map(|id| (id, "dropped in the middle")).collect();
            let insert = cluster.bulk("INSERT INTO plain VALUES (?, ?)", rows);
            let _ = tokio::time::timeout(Duration::from_millis(1), insert).await;
        }
        18 => {
            cluster.execute("INSERT INTO plain VALUES (7, 'of a test that fails')").await?;
            panic!("fails on purpose");
        }
        // A write that fails in the middle.
        19 => {
            let rows = [(1, "a"), (1, "a"), (2, "b")];
            let _ = cluster.bulk("INSERT INTO plain VALUES (?, ?)", rows).await;
        }
        20 => drop(cluster.execute("ALTER TABLE spread SET (refresh_interval = 500)").await?),
        _ if std::env::var_os("REAL").is_some() => really(cluster, &mut random).await?,
        _ => drop(cluster.execute("INSERT INTO plain SELECT 1, name FROM stations WHERE id = 'n'").await?),
    }
    Ok(())
}

/// What only a real server can do.
async fn really(cluster: &Cluster, random: &mut fastrand::Rng) -> Result<()> {
    match random.u8(..6) {
        0 => drop(cluster.execute("INSERT INTO days (day, value) VALUES (1, 1), (2, 2)").await?),
        1 => {
            let file = std::env::temp_dir().join(format!("recycling-{}-{}.json", std::process::id(), random.u32(..)));
            std::fs::write(&file, "{\"id\": 1, \"name\": \"copied\"}\n{\"id\": 2, \"name\": \"copied\"}\n").unwrap();
            let wait = random.bool();
            let copy = format!("COPY plain FROM 'file://{}' WITH (wait_for_completion = {wait})", file.display());
            let _ = cluster.execute(copy).await;
        }
        2 => drop(cluster.execute("ALTER CLUSTER SWAP TABLE plain TO stations").await?),
        3 => {
            cluster.execute("INSERT INTO days (day, value) VALUES (1, 1)").await?;
            cluster.execute("ALTER TABLE days PARTITION (day = 1) SET (number_of_replicas = '0-1')").await?;
        }
        4 => drop(cluster.execute("ALTER TABLE plain CLOSE").await?),
        _ => drop(cluster.execute("OPTIMIZE TABLE plain").await?),
    }
    Ok(())
}

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[cratedb_cluster(migrations = "migrations")]
        async fn $name(cluster: Cluster) -> Result<()> {
            let test = concat!(module_path!(), "::", stringify!($name));
            is_as_made(&cluster, test).await?;
            write(&cluster, test).await
        }
    )*};
}

macro_rules! tests_with_partitions {
    ($($name:ident)*) => {$(
        #[cratedb_cluster(migrations = "partitioned")]
        #[ignore = "on a real server"]
        async fn $name(cluster: Cluster) -> Result<()> {
            let test = concat!(module_path!(), "::", stringify!($name));
            is_as_made(&cluster, test).await?;
            let days: i64 = cluster.query("SELECT count(*) FROM days").scalar().await?;
            if days != 0 {
                found(test, &format!("{days} rows in days"));
            }
            write(&cluster, test).await
        }
    )*};
}

mod one {
    use super::*;
    recycling::one_hundred!(tests);
}
mod two {
    use super::*;
    recycling::one_hundred!(tests);
}
mod real {
    use super::*;
    recycling::one_hundred!(tests_with_partitions);
}
mod also_real {
    use super::*;
    recycling::one_hundred!(tests_with_partitions);
}
mod real_too {
    use super::*;
    recycling::one_hundred!(tests_with_partitions);
}
