//! A network that fails, as each kind of client sees it.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cratedb_test::{Cluster, FromCluster, blocking, cratedb_cluster};
use sqlx::postgres::PgPoolOptions;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

const LATENCY: Duration = Duration::from_millis(300);

/// More than 1,000 bytes over either protocol.
const LONG: &str = "SELECT g::TEXT || ' is a number of more than ten letters' FROM generate_series(1, 100) AS t (g)";

/// The cause of an error that comes from the operating system.
fn kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

async fn took<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let value = work.await;
    (value, began.elapsed())
}

#[cratedb_cluster]
async fn every_client_waits_for_a_slow_network(straight: Cluster) -> Outcome {
    let (cluster, faults) = straight.with_faults()?;
    let client = Client::from_cluster(&cluster).await?;
    let pool = PgPoolOptions::new().max_connections(1).connect(cluster.pg_url()?).await?;
    cluster.execute("SELECT 1").await?;
    faults.latency(LATENCY)?;

    let (count, time) = took(cluster.query("SELECT 1").scalar::<i32>()).await;
    assert!(count? == 1 && time >= 2 * LATENCY, "HTTP took {time:?}");
    let (rows, time) = took(client.simple_query("SELECT 1")).await;
    assert!(rows.is_ok() && time >= 2 * LATENCY, "tokio-postgres took {time:?}");
    let (row, time) = took(sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&pool)).await;
    assert!(row? == 1 && time >= 2 * LATENCY, "sqlx took {time:?}");

    // The first handle of the cluster, and those of other tests, don't notice.
    let (_, time) = took(straight.execute("SELECT 1")).await;
    assert!(time < 2 * LATENCY, "the straight way took {time:?}");
    faults.to_server().clear()?;
    let (_, time) = took(client.simple_query("SELECT 1")).await;
    assert!(time >= LATENCY, "one way took {time:?}");
    faults.clear()?;
    // The quickest of several: a machine with other work may be slow for a moment.
    let mut quickest = [Duration::MAX; 3];
    for _ in 0..5 {
        let times = [
            took(cluster.execute("SELECT 1")).await.1,
            took(client.simple_query("SELECT 1")).await.1,
            took(sqlx::query("SELECT 1").execute(&pool)).await.1,
        ];
        quickest = std::array::from_fn(|kind| quickest[kind].min(times[kind]));
    }
    assert!(
        quickest.iter().all(|time| *time < LATENCY),
        "HTTP, tokio-postgres and sqlx took {quickest:?} after the fault"
    );
    Ok(())
}

#[cratedb_cluster]
async fn an_answer_breaks_off_in_its_middle(cluster: Cluster) -> Outcome {
    let (cluster, faults) = cluster.with_faults()?;
    let client = Client::from_cluster(&cluster).await?;
    let pool = PgPoolOptions::new().connect(cluster.pg_url()?).await?;
    sqlx::query("SELECT 1").execute(&pool).await?;
    faults.from_server().reset_after(1000)?;

    let error = cluster.execute(LONG).await.unwrap_err();
    assert!(error.is_transport(), "{error}");
    let error = client.query(LONG, &[]).await.unwrap_err();
    assert!(client.is_closed() || kind(&error) == Some(ErrorKind::ConnectionReset), "{error:?}");
    let error = sqlx::query(LONG).fetch_all(&pool).await.unwrap_err();
    assert_eq!(kind(&error), Some(ErrorKind::ConnectionReset), "{error:?}");

    faults.clear()?;
    cluster.execute(LONG).await?;
    assert_eq!(sqlx::query(LONG).fetch_all(&pool).await?.len(), 100);
    assert_eq!(Client::from_cluster(&cluster).await?.query(LONG, &[]).await?.len(), 100);
    Ok(())
}

#[cratedb_cluster]
async fn no_client_connects_while_connections_are_refused(cluster: Cluster) -> Outcome {
    let (cluster, faults) = cluster.with_faults()?;
    let open = Client::from_cluster(&cluster).await?;
    faults.refuse()?;
    let error = cluster.execute("SELECT 1").await.unwrap_err();
    assert!(error.is_transport() && error.to_string().to_lowercase().contains("connection refused"), "{error}");
    let error = tokio_postgres::connect(cluster.pg_url()?, NoTls).await.map(drop).unwrap_err();
    assert_eq!(kind(&error), Some(ErrorKind::ConnectionRefused), "{error:?}");
    let lazy = PgPoolOptions::new().acquire_timeout(Duration::from_secs(5)).connect_lazy(cluster.pg_url()?)?;
    let error = sqlx::query("SELECT 1").execute(&lazy).await.unwrap_err();
    assert!(
        matches!(error, sqlx::Error::PoolTimedOut) || kind(&error) == Some(ErrorKind::ConnectionRefused),
        "{error:?}"
    );
    open.simple_query("SELECT 1").await?;

    faults.clear()?;
    cluster.execute("SELECT 1").await?;
    sqlx::query("SELECT 1").execute(&lazy).await?;
    Ok(())
}

#[cratedb_cluster]
async fn clients_give_up_on_a_black_hole_and_are_well_afterwards(cluster: Cluster) -> Outcome {
    let (faulty, faults) = cluster.with_faults()?;
    let client = Client::from_cluster(&faulty).await?;
    faulty.execute("CREATE TABLE t (id INT PRIMARY KEY) CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0)").await?;
    faults.from_server().black_hole()?;
    assert!(timeout(LATENCY, faulty.execute("INSERT INTO t (id) VALUES (1)")).await.is_err());
    assert!(timeout(LATENCY, client.simple_query("SELECT 1")).await.is_err());
    assert!(timeout(LATENCY, Client::from_cluster(&faulty)).await.is_err());

    faults.clear()?;
    // Its own answer, and not that of the statement before.
    assert_eq!(faulty.query("SELECT 7").scalar::<i32>().await?, 7);
    client.simple_query("SELECT 1").await?;
    // The server got it, and its answer was lost.
    cluster.refresh().await?;
    assert_eq!(cluster.query("SELECT count(*) FROM t").scalar::<i64>().await?, 1);
    Ok(())
}

#[cratedb_cluster]
fn tests_that_are_not_async_see_the_same(straight: blocking::Cluster) -> Outcome {
    let (cluster, faults) = straight.with_faults()?;
    assert_eq!(cluster.query("SELECT 1").scalar::<i32>()?, 1);
    faults.http().from_server().latency(LATENCY)?;
    let began = Instant::now();
    cluster.execute("SELECT 1")?;
    assert!(began.elapsed() >= LATENCY);
    faults.http().from_server().reset_after(1000)?;
    assert!(cluster.execute(LONG).unwrap_err().is_transport());
    faults.clear()?.refuse()?.reset_after(0)?;
    assert!(cluster.execute("SELECT 1").unwrap_err().is_transport());
    straight.execute("SELECT 1")?;
    faults.clear()?;
    cluster.execute("SELECT 1")?;

    faults.black_hole()?;
    let mut client = TcpStream::connect(cluster.http_url().trim_start_matches("http://"))?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    client.set_read_timeout(Some(LATENCY))?;
    client.read(&mut [0]).unwrap_err();
    faults.clear()?;
    client.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut answer = [0; 12];
    client.read_exact(&mut answer)?;
    assert_eq!(&answer[..9], b"HTTP/1.1 ");
    Ok(())
}

static ADDRESSES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn note(address: &str) {
    let host = address.split('@').next_back().unwrap().trim_start_matches("http://");
    ADDRESSES.lock().unwrap().push(host.split('/').next().unwrap().to_owned());
}

#[cratedb_cluster]
#[should_panic(expected = "on purpose")]
fn panics_before_a_proxy(cluster: blocking::Cluster) {
    let (faulty, faults) = cluster.with_faults().unwrap();
    faulty.execute("SELECT 1").unwrap();
    faults.black_hole().unwrap();
    note(faulty.http_url());
    note(faulty.pg_url().unwrap());
    // Not even handles that are never dropped keep it.
    std::mem::forget((faulty, faults));
    panic!("on purpose");
}

#[cratedb_cluster]
async fn passes_before_a_proxy(cluster: Cluster) -> Outcome {
    let (faulty, _faults) = cluster.with_faults()?;
    Client::from_cluster(&faulty).await?.simple_query("SELECT 1").await?;
    note(faulty.http_url());
    note(faulty.pg_url()?);
    Ok(())
}

#[test]
fn a_proxy_is_gone_after_its_test_and_also_after_a_panic() {
    catch_unwind(panics_before_a_proxy).unwrap_err();
    assert!(passes_before_a_proxy().is_ok());
    let addresses = ADDRESSES.lock().unwrap();
    assert!(addresses.len() >= 4);
    for address in &*addresses {
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        TcpListener::bind(address).unwrap();
    }
}

#[cratedb_cluster]
#[ignore = "fails"]
async fn fails_behind_faults(cluster: Cluster) -> Outcome {
    let (cluster, faults) = cluster.with_faults()?;
    faults.http().latency(LATENCY)?;
    cluster.execute("SELECT 1").await?;
    faults.postgres().from_server().reset_after(1024)?;
    let client = Client::from_cluster(&cluster).await?;
    client.query(LONG, &[]).await?;
    Ok(())
}

#[cratedb_cluster]
#[ignore = "fails"]
fn refuses_what_makes_no_sense(cluster: blocking::Cluster) -> Outcome {
    let (_, faults) = cluster.with_faults()?;
    faults.bandwidth(0)?;
    Ok(())
}

/// Prints how long statements take straight and through a proxy without faults.
#[cratedb_cluster]
#[ignore = "measures"]
async fn measures(straight: Cluster) -> Outcome {
    let (proxied, _faults) = straight.with_faults()?;
    let (one, other) = (Client::from_cluster(&straight).await?, Client::from_cluster(&proxied).await?);
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..3000 {
        times[0].push(took(straight.execute("SELECT 1")).await.1);
        times[1].push(took(proxied.execute("SELECT 1")).await.1);
        times[2].push(took(one.simple_query("SELECT 1")).await.1);
        times[3].push(took(other.simple_query("SELECT 1")).await.1);
    }
    for (what, mut times) in
        ["HTTP straight", "HTTP proxied", "PostgreSQL straight", "PostgreSQL proxied"].iter().zip(times)
    {
        times.sort();
        println!("{what}: p50 {:?}, p90 {:?}, p99 {:?}", times[1500], times[2700], times[2970]);
    }
    Ok(())
}
