//! tokio-postgres, as it is.

use cratedb_test::{Cluster, FromCluster, cratedb_cluster};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, l BIGINT, s SMALLINT, d DOUBLE, r REAL, b BOOLEAN, x TEXT, \
    at TIMESTAMP WITH TIME ZONE, o OBJECT AS (k INT), ints ARRAY(INT), texts ARRAY(TEXT)) \
    CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0)";

#[cratedb_cluster]
async fn values_of_all_common_types_go_in_and_come_back(client: Client) -> Result<(), Error> {
    client.execute(TABLE, &[]).await?;
    let at = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    let insert = "INSERT INTO t (id, l, s, d, r, b, x, at, o, ints, texts) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)";
    let statement = client.prepare(insert).await?;
    let types = [
        Type::INT4,
        Type::INT8,
        Type::INT2,
        Type::FLOAT8,
        Type::FLOAT4,
        Type::BOOL,
        Type::VARCHAR,
        Type::TIMESTAMPTZ,
        Type::JSON,
        Type::INT4_ARRAY,
        Type::VARCHAR_ARRAY,
    ];
    assert_eq!(statement.params(), types);
    let (o, ints, texts) = (json!({"k": 7}), vec![Some(1), None], vec!["a", "b c"]);
    let written = client
        .execute(&statement, &[&1, &(1_i64 << 40), &-3_i16, &1.5, &2.5_f32, &true, &"ä'\"", &at, &o, &ints, &texts])
        .await?;
    assert_eq!(written, 1);
    let none: (Option<i64>, Option<&str>, Option<Value>) = (None, None, None);
    client.execute("INSERT INTO t (id, l, x, o) VALUES ($1, $2, $3, $4)", &[&2, &none.0, &none.1, &none.2]).await?;
    client.execute("REFRESH TABLE t", &[]).await?;

    let rows = client.query("SELECT * FROM t ORDER BY id", &[]).await?;
    let row = &rows[0];
    assert_eq!((row.get::<_, i32>("id"), row.get::<_, i64>("l"), row.get::<_, i16>("s")), (1, 1 << 40, -3));
    assert_eq!((row.get::<_, f64>("d"), row.get::<_, f32>("r"), row.get::<_, bool>("b")), (1.5, 2.5, true));
    assert_eq!((row.get::<_, &str>("x"), row.get::<_, OffsetDateTime>("at")), ("ä'\"", at));
    assert_eq!(row.get::<_, Value>("o"), o);
    assert_eq!(
        (row.get::<_, Vec<Option<i32>>>("ints"), row.get::<_, Vec<String>>("texts")),
        (ints, vec!["a".into(), "b c".into()])
    );
    assert_eq!(rows[1].get::<_, Option<i64>>("l"), None);
    Ok(())
}

#[cratedb_cluster]
async fn conditions_take_parameters(client: Client) -> Result<(), Error> {
    client.batch_execute("CREATE TABLE t (id INT PRIMARY KEY, x TEXT) CLUSTERED INTO 1 SHARDS; INSERT INTO t (id, x) VALUES (1, 'a'), (2, 'b'), (3, 'b'); REFRESH TABLE t").await?;
    let ids = async |sql: &str, args: &[&(dyn tokio_postgres::types::ToSql + Sync)]| -> Result<Vec<i32>, Error> {
        Ok(client.query(sql, args).await?.iter().map(|row| row.get(0)).collect())
    };
    assert_eq!(ids("SELECT id FROM t WHERE x = $1 ORDER BY id", &[&"b"]).await?, [2, 3]);
    assert_eq!(ids("SELECT id FROM t WHERE id = ANY($1) ORDER BY id", &[&vec![1, 3, 9]]).await?, [1, 3]);
    assert_eq!(ids("SELECT id FROM t WHERE x LIKE $1 AND id > $2 ORDER BY id", &[&"b%", &2]).await?, [3]);
    assert_eq!(ids("SELECT id FROM t ORDER BY id LIMIT $1 OFFSET $2", &[&1_i64, &1_i64]).await?, [2]);
    let updated = client.execute("UPDATE t SET x = $1 WHERE x = $2", &[&"c", &"b"]).await?;
    let row = client.query_one("INSERT INTO t (id, x) VALUES ($1, $2) RETURNING id, x", &[&4, &"d"]).await?;
    assert_eq!((updated, row.get::<_, i32>(0), row.get::<_, &str>(1)), (2, 4, "d"));
    assert_eq!(client.execute("DELETE FROM t WHERE id = $1", &[&4]).await?, 1);
    Ok(())
}

#[cratedb_cluster]
async fn mistakes_have_their_state_and_the_connection_goes_on(client: Client) -> Result<(), Error> {
    client.execute("CREATE TABLE t (id INT PRIMARY KEY)", &[]).await?;
    for (sql, state) in [
        ("SELECT 1 FROM nope", SqlState::UNDEFINED_TABLE),
        ("SELECT nope FROM t", SqlState::UNDEFINED_COLUMN),
        ("SELEC 1", SqlState::SYNTAX_ERROR),
        ("ROLLBACK", SqlState::SYNTAX_ERROR),
    ] {
        fails_with(&client, sql, state).await;
    }
    // BEGIN isolates nothing.
    client.batch_execute("BEGIN").await?;
    assert_eq!(client.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1);
    client.batch_execute("COMMIT").await
}

/// Nothing follows on these connections: a loaded CrateDB may end a statement that failed while it ran after it has
/// answered the next one, and the driver takes that end for an answer (`unexpected message from server`).
#[cratedb_cluster]
async fn failed_executions_have_their_state(client: Client, cluster: Cluster) -> Result<(), Error> {
    client.execute("CREATE TABLE t (id INT PRIMARY KEY)", &[]).await?;
    client.execute("INSERT INTO t (id) VALUES ($1)", &[&1]).await?;
    for (sql, state) in [
        ("INSERT INTO t (id) VALUES (1)", SqlState::UNIQUE_VIOLATION),
        ("CREATE TABLE t (id INT)", SqlState::DUPLICATE_TABLE),
    ] {
        fails_with(&Client::from_cluster(&cluster).await.unwrap(), sql, state).await;
    }
    Ok(())
}

async fn fails_with(client: &Client, sql: &str, state: SqlState) {
    let error = client.query(sql, &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&state), "{sql}: {error}");
}

#[cratedb_cluster]
async fn simple_queries_and_several_at_once(client: Client, cluster: Cluster) -> Result<(), Error> {
    let said = client.simple_query("SELECT 1 AS a; SELECT current_schema").await?;
    let rows: Vec<&str> = said
        .iter()
        .filter_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None })
        .collect();
    assert_eq!(rows, ["1", cluster.schema()]);
    let (a, b) = (client.query_one("SELECT 1", &[]), client.query_one("SELECT 2", &[]));
    let (a, b) = tokio::try_join!(a, b)?;
    assert_eq!((a.get::<_, i32>(0), b.get::<_, i32>(0)), (1, 2));
    client.cancel_token().cancel_query(tokio_postgres::NoTls).await
}

/// The connection is served by the runtime on which it was made.
#[cratedb_cluster]
async fn a_client_that_outlives_its_runtime_says_so(cluster: Cluster) {
    let ask = move || {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let made = runtime();
        let client = made.block_on(Client::from_cluster(&cluster)).unwrap();
        drop(made);
        runtime().block_on(client.simple_query("SELECT 1")).unwrap_err()
    };
    let error = std::thread::spawn(ask).join().unwrap();
    assert!(error.is_closed(), "{error}");
}

#[cratedb_cluster]
async fn a_child_process_finds_the_schema(cluster: Cluster) {
    let shell = ["-c", "test -n \"$PGHOST\" && test -n \"$PGPORT\" && echo \"$PGDATABASE $CRATEDB_CLUSTER_URL\""];
    let output = std::process::Command::new("sh").args(shell).envs(cluster.env().unwrap()).output().unwrap();
    let expected = format!("{} {}\n", cluster.schema(), cluster.http_url());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
