//! Servers with a password and with TLS, as each kind of client meets them.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use cratedb_test::types::UserCredentials;
use cratedb_test::{Cluster, FromCluster, Session, blocking, cratedb_cluster, eventually};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// An authority that signed nothing of these servers.
const STRANGER: &str = include_str!("../stranger.pem");

/// Returns settings that trust one authority alone.
fn trusting(pem: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

fn host_and_port(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

/// Encodes a header of a user and a password.
fn basic(user: &str, password: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (text, mut out) = (format!("{user}:{password}"), String::new());
    for chunk in text.as_bytes().chunks(3) {
        let number = chunk.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let letter = |index: usize| LETTERS[(number >> (18 - 6 * index)) as usize & 63] as char;
        out.extend((0..4).map(|index| if index <= chunk.len() { letter(index) } else { '=' }));
    }
    out
}

/// Returns the status of `GET /`, asked by nothing of the harness.
fn status_over(mut stream: impl Read + Write, authorization: Option<String>) -> std::io::Result<u16> {
    let header = authorization.map(|basic| format!("Authorization: Basic {basic}\r\n")).unwrap_or_default();
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n{header}\r\n").as_bytes())?;
    let mut begin = [0; 12];
    stream.read_exact(&mut begin)?;
    let text = String::from_utf8_lossy(&begin).into_owned();
    text.strip_prefix("HTTP/1.1 ").and_then(|status| status.parse().ok()).ok_or(std::io::ErrorKind::InvalidData.into())
}

fn status(cluster: &Cluster, authorization: Option<String>) -> std::io::Result<u16> {
    status_over(TcpStream::connect(host_and_port(cluster.http_url()))?, authorization)
}

fn tls_status(cluster: &Cluster, ca: &str, authorization: Option<String>) -> std::io::Result<u16> {
    let tcp = TcpStream::connect(host_and_port(cluster.http_url()))?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(trusting(ca)), name).map_err(std::io::Error::other)?;
    status_over(StreamOwned::new(connection, tcp), authorization)
}

/// Joins what the error and all its causes say.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

async fn writes_and_reads(cluster: &Cluster) -> Outcome {
    cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY)").await?;
    cluster.execute("INSERT INTO readings VALUES (1)").await?;
    let client = Client::from_cluster(cluster).await?;
    client.execute("INSERT INTO readings VALUES ($1)", &[&2]).await?;
    let pool = PgPool::from_cluster(cluster).await?;
    sqlx::query("INSERT INTO readings VALUES ($1)").bind(3).execute(&pool).await?;
    let mut connection = PgConnection::from_cluster(cluster).await?;
    sqlx::query("REFRESH TABLE readings").execute(&mut connection).await?;
    assert_eq!(cluster.query("SELECT count(*) FROM readings").scalar::<i64>().await?, 3);
    Ok(())
}

fn user_of(cluster: &Cluster) -> UserCredentials {
    cluster.credentials().expect("the server asks for a password")
}

/// The user may do what tests do elsewhere as the superuser.
async fn may_do_everything(cluster: &Cluster) -> Outcome {
    assert_eq!(cluster.query("SELECT current_user").scalar::<String>().await?, "cratedb_test");
    cluster.execute("CREATE USER ada").await?;
    cluster.execute("GRANT DQL TO ada").await?;
    cluster.execute("DROP USER ada").await?;
    cluster.execute("SET GLOBAL TRANSIENT \"stats.jobs_log_size\" = 9").await?;
    cluster.execute("RESET GLOBAL \"stats.jobs_log_size\"").await?;
    cluster.query("SELECT count(*) FROM sys.shards").scalar::<i64>().await?;
    Ok(())
}

#[cratedb_cluster(auth = "password", exclusive)]
async fn a_password_is_asked_for(cluster: Cluster) -> Outcome {
    writes_and_reads(&cluster).await?;
    may_do_everything(&cluster).await?;
    assert!(cluster.http_url().starts_with("http://") && cluster.ca_pem().is_none());
    let user = user_of(&cluster);
    let right = basic(user.username(), user.password());
    assert_eq!(status(&cluster, Some(right))?, 200);
    for (who, wrong) in [(user.username(), "wrong"), ("crate", "wrong"), ("crate", ""), ("nobody", user.password())] {
        assert_eq!(status(&cluster, Some(basic(who, wrong)))?, 401, "{who}");
    }
    assert_eq!(status(&cluster, None)?, 401);

    let wrong = cluster.pg_url()?.replace(user.password(), "wrong");
    let error = tokio_postgres::connect(&wrong, NoTls).await.err().expect("the password is wrong");
    assert!(chain(&error).contains("password authentication failed"), "{}", chain(&error));
    let nobody = cluster.pg_url()?.replace(&format!("cratedb_test:{}", user.password()), "crate");
    assert!(tokio_postgres::connect(&nobody, NoTls).await.is_err());
    let error = wrong.parse::<PgConnectOptions>()?.ssl_mode(PgSslMode::Disable).connect().await.unwrap_err();
    assert!(chain(&error).contains("password authentication failed"), "{}", chain(&error));
    Ok(())
}

#[cratedb_cluster(tls)]
async fn both_protocols_are_encrypted(cluster: Cluster) -> Outcome {
    writes_and_reads(&cluster).await?;
    assert!(cluster.http_url().starts_with("https://") && cluster.credentials().is_none());
    let ca = cluster.ca_pem().expect("the server has an authority");
    assert_eq!(std::fs::read_to_string(cluster.ca_file().unwrap())?, ca);
    assert_eq!(tls_status(&cluster, &ca, None)?, 200);
    let error = tls_status(&cluster, STRANGER, None).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(status(&cluster, None).is_err(), "the port answers in the clear");
    unknown_authorities_and_the_clear_are_refused(&cluster, &ca).await
}

async fn unknown_authorities_and_the_clear_are_refused(cluster: &Cluster, ca: &str) -> Outcome {
    let (config, url): (Config, _) = (cluster.pg_url()?.parse()?, cluster.pg_url()?);
    drop(config.connect(MakeRustlsConnect::new(trusting(ca))).await?);
    let error = config.connect(MakeRustlsConnect::new(trusting(STRANGER))).await.err().expect("it is a stranger");
    assert!(chain(&error).contains("certificate"), "{}", chain(&error));
    let plain = tokio_postgres::connect(&url.replace("require", "disable"), NoTls).await;
    assert!(chain(&plain.err().expect("it is not encrypted")).contains("Did you enable TLS"), "{url}");
    let options = url.parse::<PgConnectOptions>()?.ssl_mode(PgSslMode::VerifyFull);
    drop(options.clone().ssl_root_cert(cluster.ca_file().unwrap()).connect().await?);
    let error = options.ssl_root_cert_from_pem(STRANGER.into()).connect().await.unwrap_err();
    assert!(chain(&error).contains("certificate"), "{}", chain(&error));
    Ok(())
}

#[cratedb_cluster(auth = "password", tls)]
async fn both_are_asked_for(cluster: Cluster) -> Outcome {
    writes_and_reads(&cluster).await?;
    let (user, ca) = (user_of(&cluster), cluster.ca_pem().unwrap());
    let right = basic(user.username(), user.password());
    assert_eq!(tls_status(&cluster, &ca, Some(right))?, 200);
    assert_eq!(tls_status(&cluster, &ca, Some(basic(user.username(), "wrong")))?, 401);
    assert_eq!(tls_status(&cluster, &ca, None)?, 401);
    let wrong: Config = cluster.pg_url()?.replace(user.password(), "wrong").parse()?;
    let error = wrong.connect(MakeRustlsConnect::new(trusting(&ca))).await.err().expect("the password is wrong");
    assert!(chain(&error).contains("password authentication failed"), "{}", chain(&error));
    unknown_authorities_and_the_clear_are_refused(&cluster, &ca).await?;

    let environment = cluster.env()?;
    let file = cluster.ca_file().unwrap().display().to_string();
    assert_eq!(environment.get("PGSSLROOTCERT"), Some(&*file));
    assert_eq!(environment.get("PGSSLMODE"), Some("verify-full"));
    assert_eq!(environment.get("CRATEDB_PASSWORD"), Some(user.password()));
    Ok(())
}

/// It would wait for itself if it were another server.
#[cratedb_cluster(auth = "password", tls, exclusive)]
async fn those_who_want_the_same_share_a_server(cluster: Cluster) -> Outcome {
    let other = Session::builder().auth("password").tls().join().await?.cluster("other").await?;
    assert_eq!(other.http_url(), cluster.http_url());
    writes_and_reads(&other).await
}

#[cratedb_cluster(auth = "password", tls)]
async fn a_network_with_faults_stands_before_it(cluster: Cluster) -> Outcome {
    let (faulty, faults) = cluster.with_faults()?;
    assert!(faulty.http_url().starts_with("http://") && faulty.ca_pem().is_none());
    writes_and_reads(&faulty).await?;
    faults.reset_after(0)?.refuse()?;
    assert!(faulty.execute("SELECT 1").await.unwrap_err().is_transport());
    assert_eq!(cluster.query("SELECT count(*) FROM readings").scalar::<i64>().await?, 3);
    Ok(())
}

#[cratedb_cluster(auth = "password", tls, migrations = "migrations")]
fn migrations_are_applied_and_the_blocking_api_logs_in(cluster: blocking::Cluster) -> cratedb_test::Result<()> {
    cluster.execute("INSERT INTO places VALUES ('Dornbirn')")?;
    cluster.refresh()?;
    assert_eq!(cluster.query("SELECT count(*) FROM places").scalar::<i64>()?, 1);
    assert!(cluster.credentials().is_some() && cluster.ca_pem().is_some() && cluster.ca_file().is_some());
    Ok(())
}

/// CrateDB could encrypt the PostgreSQL protocol here, with a certificate that no client trusts.
#[cratedb_cluster(auth = "password")]
async fn async_drivers_log_in_with_a_password_alone(
    client: Client,
    deadpool: deadpool_postgres::Pool,
    pool: bb8::Pool<bb8_postgres::PostgresConnectionManager<MakeRustlsConnect>>,
    plain: bb8::Pool<bb8_postgres::PostgresConnectionManager<NoTls>>,
    sqlx: PgPool,
) -> Outcome {
    client.batch_execute("CREATE TABLE t (id INT PRIMARY KEY)").await?;
    let count = "SELECT count(*) FROM t";
    assert_eq!(deadpool.get().await?.query_one(count, &[]).await?.get::<_, i64>(0), 0);
    assert_eq!(pool.get().await?.query_one(count, &[]).await?.get::<_, i64>(0), 0);
    assert_eq!(plain.get().await?.query_one(count, &[]).await?.get::<_, i64>(0), 0);
    assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&sqlx).await?, 0);
    Ok(())
}

#[cratedb_cluster(auth = "password")]
fn sync_drivers_log_in_with_a_password_alone(
    client: postgres::Client,
    pool: r2d2::Pool<r2d2_postgres::PostgresConnectionManager<MakeRustlsConnect>>,
    plain: r2d2::Pool<r2d2_postgres::PostgresConnectionManager<NoTls>>,
) -> Outcome {
    let mut client = client;
    client.batch_execute("CREATE TABLE t (id INT PRIMARY KEY)")?;
    assert_eq!(pool.get()?.query_one("SELECT count(*) FROM t", &[])?.get::<_, i64>(0), 0);
    assert_eq!(plain.get()?.query_one("SELECT count(*) FROM t", &[])?.get::<_, i64>(0), 0);
    Ok(())
}

#[cratedb_cluster(auth = "password", tls)]
async fn pools_of_async_drivers_log_in(
    deadpool: deadpool_postgres::Pool,
    pool: bb8::Pool<bb8_postgres::PostgresConnectionManager<MakeRustlsConnect>>,
    cluster: Cluster,
) -> Outcome {
    deadpool.get().await?.batch_execute("CREATE TABLE t (id INT PRIMARY KEY)").await?;
    assert_eq!(pool.get().await?.query_one("SELECT count(*) FROM t", &[]).await?.get::<_, i64>(0), 0);
    let plain = bb8::Pool::<bb8_postgres::PostgresConnectionManager<NoTls>>::from_cluster(&cluster).await;
    let error = plain.err().expect("the server demands TLS").to_string();
    assert!(error.contains("`NoTls`") && error.contains("MakeRustlsConnect"), "{error}");
    Ok(())
}

#[cratedb_cluster(auth = "password", tls)]
fn sync_drivers_log_in(
    client: postgres::Client,
    pool: r2d2::Pool<r2d2_postgres::PostgresConnectionManager<MakeRustlsConnect>>,
) -> Outcome {
    let mut client = client;
    client.batch_execute("CREATE TABLE t (id INT PRIMARY KEY)")?;
    assert_eq!(pool.get()?.query_one("SELECT count(*) FROM t", &[])?.get::<_, i64>(0), 0);
    Ok(())
}

/// Stands still, to be looked at from outside.
#[cratedb_cluster(auth = "password", tls)]
#[ignore = "is looked at"]
async fn looked_at_1_while_it_waits(cluster: Cluster) -> Outcome {
    writes_and_reads(&cluster).await?;
    let meet = std::path::PathBuf::from(std::env::var("MEET")?);
    std::fs::write(meet.join("password"), user_of(&cluster).password())?;
    std::fs::write(meet.join("here"), "x")?;
    eventually(|| std::future::ready(std::fs::metadata(meet.join("go")))).within(Duration::from_secs(60)).ok().await?;
    Ok(())
}

#[cratedb_cluster(auth = "password", tls)]
#[ignore = "is looked at"]
async fn looked_at_2_afterwards(cluster: Cluster) -> Outcome {
    writes_and_reads(&cluster).await
}

#[cratedb_cluster(auth = "password", tls, nodes = 3)]
#[ignore = "takes memory"]
async fn on_three_nodes(cluster: Cluster) -> Outcome {
    writes_and_reads(&cluster).await?;
    assert_eq!(cluster.query("SELECT count(*) FROM sys.nodes").scalar::<i64>().await?, 3);
    Ok(())
}
