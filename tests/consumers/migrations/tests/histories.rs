//! Tests with sixty files that end in three tables, and with sixty-three of which the last one is wrong.

use cratedb_test::{Cluster, Result, cratedb_cluster};

async fn finds_the_end(cluster: &Cluster) -> Result<()> {
    let columns = "SELECT table_name || '.' || column_name FROM information_schema.columns \
                   WHERE table_schema = CURRENT_SCHEMA AND table_name <> 'b' ORDER BY 1";
    let columns: Vec<String> = cluster.query(columns).fetch_all().await?;
    assert_eq!(columns, ["a.fore", "a.id", "a.x18", "a.x19", "c.aft", "c.id"]);
    cluster.execute("INSERT INTO a (id, x19) VALUES (1, 2)").await?;
    cluster.refresh().await?;
    assert_eq!(cluster.query("SELECT count(*) FROM a").scalar::<i64>().await?, 1);
    Ok(())
}

macro_rules! tests {
    ($($name:ident)*) => {
        mod long {
            use super::*;
            $(
                #[cratedb_cluster(migrations = "history")]
                async fn $name(cluster: &Cluster) -> Result<()> {
                    finds_the_end(cluster).await
                }
            )*

            #[cratedb_cluster(migrations = "history")]
            #[ignore = "called by its neighbour"]
            async fn part(cluster: &Cluster) -> Result<()> {
                finds_the_end(cluster).await
            }

            /// Nothing is made ahead while it runs, so its part must not wait for that.
            #[cratedb_cluster(exclusive)]
            fn alone_with_a_part() -> Result<()> {
                part()
            }

            #[cratedb_cluster(migrations = "history", exclusive)]
            async fn alone(cluster: &Cluster) -> Result<()> {
                finds_the_end(cluster).await
            }
        }

        mod wrong {
            use super::*;
            $(
                #[cratedb_cluster(migrations = "broken")]
                async fn $name(_cluster: &Cluster) {}
            )*
        }
    };
}

tests!(t01 t02 t03 t04 t05 t06 t07 t08);
