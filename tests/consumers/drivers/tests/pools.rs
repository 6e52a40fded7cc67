//! Pools of tokio-postgres: deadpool and bb8.

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bb8_postgres::PostgresConnectionManager;
use cratedb_test::{Cluster, FromCluster, blocking, cratedb_cluster};
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

type Plain = bb8::Pool<PostgresConnectionManager<NoTls>>;
type Able = bb8::Pool<PostgresConnectionManager<MakeRustlsConnect>>;
type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

async fn share(one: &Client, other: &Client) -> Outcome {
    one.batch_execute("CREATE TABLE t (id INT PRIMARY KEY)").await?;
    one.execute("INSERT INTO t (id) VALUES ($1)", &[&7]).await?;
    assert_eq!(other.query_one("SELECT id FROM t WHERE id = 7", &[]).await?.get::<_, i32>(0), 7);
    Ok(())
}

#[cratedb_cluster]
async fn clients_of_deadpool_share_a_schema(pool: deadpool_postgres::Pool, cluster: Cluster) -> Outcome {
    share(&*pool.get().await?, &*pool.get().await?).await?;
    assert_eq!(cluster.query("SELECT id FROM t WHERE id = 7").scalar::<i32>().await?, 7);
    assert!(pool.get().await?.batch_execute("SELECT nope").await.is_err());
    assert_eq!(pool.get().await?.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1);
    Ok(())
}

#[cratedb_cluster]
async fn clients_of_bb8_share_a_schema(pool: Plain) -> Outcome {
    share(&*pool.get().await?, &*pool.get().await?).await?;
    assert!(pool.get().await?.batch_execute("SELECT nope").await.is_err());
    assert_eq!(pool.get().await?.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1);
    Ok(())
}

#[cratedb_cluster]
async fn a_pool_that_could_use_tls_connects_to_a_server_without_it(pool: Able) -> Outcome {
    share(&*pool.get().await?, &*pool.get().await?).await
}

#[cratedb_cluster]
async fn more_clients_than_a_pool_has_wait_for_one_another(pool: deadpool_postgres::Pool) -> Outcome {
    let ask = |pool: deadpool_postgres::Pool| async move {
        let client = pool.get().await.unwrap();
        client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0)
    };
    let asked: Vec<_> = (0..40).map(|_| tokio::spawn(ask(pool.clone()))).collect();
    for one in asked {
        assert_eq!(one.await?, 1);
    }
    Ok(())
}

/// Returns the result of a future that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits for something"),
    }
}

/// The pools' tasks would live on another runtime than the test's.
#[cratedb_cluster]
fn a_sync_test_is_told_to_be_async(cluster: blocking::Cluster) {
    let cluster: Cluster = cluster.into();
    let refused = [
        at_once(deadpool_postgres::Pool::from_cluster(&cluster)).err().unwrap(),
        at_once(Plain::from_cluster(&cluster)).err().unwrap(),
    ];
    for (error, name) in refused.iter().zip(["deadpool_postgres::Pool", "bb8::Pool"]) {
        let text = error.to_string();
        assert!(text.contains(name) && text.contains("make the test async"), "{text}");
    }
}
