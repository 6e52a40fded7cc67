//! `postgres` and r2d2, in tests that are not async.

use std::error::Error;

use cratedb_test::{Cluster, FromCluster, blocking, cratedb_cluster};
use postgres::{Client, NoTls};
use r2d2_postgres::PostgresConnectionManager;
use tokio_postgres_rustls::MakeRustlsConnect;

type Plain = r2d2::Pool<PostgresConnectionManager<NoTls>>;
type Able = r2d2::Pool<PostgresConnectionManager<MakeRustlsConnect>>;
type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[cratedb_cluster]
fn a_client_and_the_cluster_meet_in_the_schema_of_the_test(client: Client, cluster: blocking::Cluster) -> Outcome {
    let mut client = client;
    client.batch_execute("CREATE TABLE t (id INT PRIMARY KEY, x TEXT)")?;
    client.execute("INSERT INTO t (id, x) VALUES ($1, $2)", &[&7_i32, &"seven"])?;
    assert_eq!(cluster.query("SELECT x FROM t WHERE id = 7").scalar::<String>()?, "seven");
    Ok(())
}

fn share<M>(pool: &r2d2::Pool<M>) -> Outcome
where
    M: r2d2::ManageConnection<Connection = Client>,
{
    let (mut one, mut other) = (pool.get()?, pool.get()?);
    one.batch_execute("CREATE TABLE t (id INT PRIMARY KEY)")?;
    one.execute("INSERT INTO t (id) VALUES ($1)", &[&7])?;
    assert_eq!(other.query_one("SELECT id FROM t WHERE id = 7", &[])?.get::<_, i32>(0), 7);
    let schema = |client: &mut Client| client.query_one("SELECT current_schema", &[]).map(|row| row.get::<_, String>(0));
    assert_eq!(schema(&mut one)?, schema(&mut other)?);
    drop((one, other));
    // The connections are of use again after an error.
    assert!(pool.get()?.batch_execute("SELECT nope").is_err());
    assert_eq!(pool.get()?.query_one("SELECT 1", &[])?.get::<_, i32>(0), 1);
    Ok(())
}

#[cratedb_cluster]
fn clients_of_a_pool_share_a_schema(pool: Plain) -> Outcome {
    share(&pool)
}

#[cratedb_cluster]
fn a_pool_that_could_use_tls_connects_to_a_server_without_it(pool: Able) -> Outcome {
    share(&pool)
}

/// Both tests above have a table of this name.
#[cratedb_cluster]
fn a_pool_is_of_its_test_alone(pool: Able) -> Outcome {
    assert!(pool.get()?.batch_execute("SELECT * FROM t").is_err());
    Ok(())
}

#[cratedb_cluster]
async fn an_async_test_is_told_what_it_may_have_instead(cluster: Cluster) {
    let refused = [
        Client::from_cluster(&cluster).await.err().unwrap(),
        Plain::from_cluster(&cluster).await.err().unwrap(),
        Able::from_cluster(&cluster).await.err().unwrap(),
    ];
    for (error, name) in refused.iter().zip(["postgres::Client", "r2d2::Pool", "r2d2::Pool"]) {
        let text = error.to_string();
        assert!(text.contains(name) && text.contains("make the test sync"), "{text}");
    }
}
