//! sqlx, as it is.

use std::error::Error;

use cratedb_test::{Cluster, FromCluster, cratedb_cluster};
use sqlx::postgres::PgPoolOptions;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection, PgPool, Row};

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, l BIGINT, x TEXT, d DOUBLE, at TIMESTAMP WITH TIME ZONE, tags ARRAY(TEXT)) \
    CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0)";

#[cratedb_cluster]
async fn a_pool_writes_and_reads(pool: PgPool) -> Result<(), sqlx::Error> {
    sqlx::query(TABLE).execute(&pool).await?;
    let at = time::OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    for id in 1..=3 {
        let insert = sqlx::query("INSERT INTO t (id, l, x, d, at, tags) VALUES ($1, $2, $3, $4, $5, $6)");
        let tags = vec!["a".to_owned(), format!("t{id}")];
        let done =
            insert.bind(id).bind(i64::from(id) << 33).bind("text").bind(0.5).bind(at).bind(tags).execute(&pool).await?;
        assert_eq!(done.rows_affected(), 1);
    }
    sqlx::query("INSERT INTO t (id, x) VALUES ($1, $2)").bind(4).bind(None::<String>).execute(&pool).await?;
    sqlx::query("REFRESH TABLE t").execute(&pool).await?;

    let rows: Vec<(i32, Option<String>, Option<String>)> =
        sqlx::query_as("SELECT id, x, tags[2] FROM t WHERE id >= $1 ORDER BY id").bind(3).fetch_all(&pool).await?;
    assert_eq!(rows, [(3, Some("text".into()), Some("t3".into())), (4, None, None)]);
    // CrateDB gives the length of an array as its lower bound, and sqlx takes none but 1.
    let tags = sqlx::query_scalar::<_, Vec<String>>("SELECT tags FROM t WHERE id = 1").fetch_one(&pool).await;
    assert!(tags.unwrap_err().to_string().contains("lower bound of 2"));
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM t WHERE at = $1 AND l > $2")
        .bind(at)
        .bind(1_i64)
        .fetch_one(&pool)
        .await?;
    assert_eq!(count, 3);
    let missing: Option<i32> =
        sqlx::query_scalar("SELECT id FROM t WHERE id = $1").bind(99).fetch_optional(&pool).await?;
    assert_eq!(missing, None);
    let ids = vec![1, 4];
    let some: Vec<i32> =
        sqlx::query_scalar("SELECT id FROM t WHERE id = ANY($1) ORDER BY id").bind(ids).fetch_all(&pool).await?;
    assert_eq!(some, [1, 4]);
    pool.close().await;
    Ok(())
}

#[cratedb_cluster]
async fn a_pool_has_many_connections_in_one_schema(pool: PgPool, cluster: Cluster) -> Result<(), sqlx::Error> {
    let mut connections = vec![pool.acquire().await?, pool.acquire().await?, pool.acquire().await?];
    for connection in &mut connections {
        let schema: String = sqlx::query_scalar("SELECT current_schema").fetch_one(&mut **connection).await?;
        assert_eq!(schema, cluster.schema());
    }
    Ok(())
}

#[cratedb_cluster]
async fn a_connection_survives_mistakes(mut connection: PgConnection) -> Result<(), sqlx::Error> {
    let code =
        |error: sqlx::Error| error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    let error = sqlx::query("SELECT * FROM nope").fetch_all(&mut connection).await.unwrap_err();
    assert_eq!(code(error).as_deref(), Some("42P01"));
    // A type that CrateDB does not have.
    let bytes = sqlx::query("SELECT $1").bind(vec![1_u8]).fetch_all(&mut connection).await.unwrap_err();
    assert!(bytes.to_string().contains("oid=17"), "{bytes}");
    connection.ping().await?;
    let row = sqlx::query("SELECT 1 AS a, 'x' AS b").fetch_one(&mut connection).await?;
    assert_eq!((row.get::<i32, _>("a"), row.get::<&str, _>("b")), (1, "x"));
    let several = sqlx::raw_sql(
        "CREATE TABLE o (k INT, o OBJECT(DYNAMIC)) CLUSTERED INTO 1 SHARDS; INSERT INTO o (k, o) VALUES (1, {a = 2})",
    );
    several.execute(&mut connection).await?;
    sqlx::query("REFRESH TABLE o").execute(&mut connection).await?;
    let (o,): (Json<serde_json::Value>,) = sqlx::query_as("SELECT o FROM o").fetch_one(&mut connection).await?;
    assert_eq!(o.0["a"], 2);
    connection.close().await
}

/// An application's own pool, as its tests want it.
struct Readings {
    pool: PgPool,
}

impl FromCluster for Readings {
    async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let pool = PgPoolOptions::new().max_connections(2).connect(cluster.pg_url()?).await?;
        sqlx::query("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)").execute(&pool).await?;
        Ok(Self { pool })
    }
}

#[cratedb_cluster]
async fn an_own_type_has_its_table(readings: Readings) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO readings (id, value) VALUES ($1, $2)").bind(1).bind(2.5).execute(&readings.pool).await?;
    Ok(())
}

#[cratedb_cluster]
async fn another_test_has_another_table(readings: Readings) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO readings (id, value) VALUES ($1, $2)").bind(1).bind(2.5).execute(&readings.pool).await?;
    Ok(())
}
