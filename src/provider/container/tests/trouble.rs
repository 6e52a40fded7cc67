//! Engines that hang and servers that never answer.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::*;
use crate::provider::held::EngineAddress;

/// Starts an engine that answers pings and no other call.
fn silent(socket: &Path) -> EngineAddress {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = connection.read(&mut request).unwrap_or_default();
            if String::from_utf8_lossy(&request[..read]).contains("/_ping") {
                let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK");
            }
            open.push(connection);
        }
    });
    EngineAddress::unix(socket)
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up_when_time_is_up() {
    let files = tempfile::tempdir().unwrap();
    let engine = Engine::at(&silent(&files.path().join("engine.sock"))).await.unwrap();
    let bench = Bench::new("crate:6.4.3");
    let container = ContainerProvider::new(LocalTarget::of_image("crate:6.4.3"));
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(2);
    let failed = container.acquire(&engine, deadline, &bench.progress, &bench.intents()).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(!failed.maybe_up, "it was asked to make nothing");
    says(failed.error, &["gave up starting a container", "engine.sock does not answer", "CRATEDB_TEST_START_TIMEOUT"]);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_with_its_log_and_removed() {
    let Some(tag) = standin::image() else { return };
    let deaf = format!("{tag}-deaf");
    let made = docker(&["create", &tag]).unwrap();
    // It listens, but not at an address that a probe asks.
    let entry = r#"ENTRYPOINT ["/docker-entrypoint.sh", "-Chttp.port=4999"]"#;
    docker(&["commit", "--change", entry, &made, &deaf]).unwrap();
    docker(&["rm", "-v", &made]).unwrap();
    let bench = Bench::new(&deaf);
    let deadline = Instant::now() + Duration::from_secs(5);
    let failed = bench.provider.acquire(deadline, &bench.progress, &bench.intents()).await.err().unwrap();
    docker(&["image", "rm", &deaf]).unwrap();
    assert!(!failed.maybe_up);
    says(failed.error, &["gave up waiting for SQL at http://127.0.0.1:", "the end of its log:", "publish_address"]);
    is_gone(&bench.name(), &[]);
}

#[tokio::test]
async fn a_container_that_somebody_removes_while_it_starts_is_told() {
    let Some(tag) = standin::image() else { return };
    let deaf = format!("{tag}-removed");
    let made = docker(&["create", &tag]).unwrap();
    let entry = r#"ENTRYPOINT ["/docker-entrypoint.sh", "-Chttp.port=4999"]"#;
    docker(&["commit", "--change", entry, &made, &deaf]).unwrap();
    docker(&["rm", "-v", &made]).unwrap();
    let mut bench = Bench::new(&deaf);
    let (sender, mut told) = mpsc::unbounded_channel();
    bench.progress = Progress::new(sender);
    let acquiring = bench.acquire();
    tokio::pin!(acquiring);
    let failed = loop {
        tokio::select! {
            acquired = &mut acquiring => break acquired.err().unwrap(),
            Some(step) = told.recv() => if step.starts_with("waiting for container") {
                docker(&["rm", "-f", "-v", &bench.name()]).unwrap();
            }
        }
    };
    docker(&["image", "rm", &deaf]).unwrap();
    assert!(!failed.maybe_up);
    says(failed.error, &["cannot start a container", &bench.name()]);
}
