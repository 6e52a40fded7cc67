//! A small application: readings of weather stations, stored in CrateDB. See its tests, here and in `tests/`.

use serde::Deserialize;

/// The application's schema.
pub const SCHEMA: &str = "CREATE TABLE readings (id INT PRIMARY KEY, station TEXT, celsius DOUBLE)";

/// Stores one reading.
pub const STORE: &str = "INSERT INTO readings (id, station, celsius) VALUES (?, ?, ?)";

/// The warmest reading of one station.
pub const WARMEST: &str = "SELECT id, station, celsius FROM readings WHERE station = ? ORDER BY celsius DESC LIMIT 1";

/// One row of the table.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Reading {
    /// The primary key.
    pub id: i32,
    /// The station that measured it.
    pub station: String,
    /// The temperature, or `None` if the sensor is broken.
    pub celsius: Option<f64>,
}

#[cfg(test)]
mod tests {
    use cratedb_test::{Cluster, Result, blocking, cratedb_cluster};

    use super::*;

    /// Runs the application's own statements against a real cluster.
    #[cratedb_cluster]
    async fn the_warmest_reading_of_a_station_is_found(cluster: Cluster) -> Result<()> {
        cluster.execute(SCHEMA).await?;
        cluster.bulk(STORE, [(1, "Lyon", 21.5), (2, "Lyon", 27.25), (3, "Oslo", 30.0)]).await?;
        cluster.refresh().await?;

        let warmest: Reading = cluster.query(WARMEST).bind("Lyon").fetch_one().await?;

        assert_eq!(warmest, Reading { id: 2, station: "Lyon".into(), celsius: Some(27.25) });
        Ok(())
    }

    /// Does the same without async: every call waits for its answer.
    #[cratedb_cluster]
    fn a_broken_sensor_stores_null(cluster: blocking::Cluster) -> Result<()> {
        cluster.execute(SCHEMA)?;
        cluster.query(STORE).bind(1).bind("Oslo").bind(None::<f64>).execute()?;

        // A query by primary key sees a write at once; all other queries need `refresh`.
        let reading: Reading = cluster.query("SELECT * FROM readings WHERE id = ?").bind(1).fetch_one()?;

        assert_eq!(reading.celsius, None);
        Ok(())
    }
}
