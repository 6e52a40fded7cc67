//! CrateDB in a container by the module of testcontainers, until it is healthy; and statements, by hand.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testcontainers_modules::cratedb::CrateDB;
use testcontainers_modules::testcontainers::runners::SyncRunner as _;
use testcontainers_modules::testcontainers::{Container, ImageExt as _};

/// With the version that others have here.
///
/// # Panics
///
/// If it can't be started, or is not healthy after five minutes.
pub fn start() -> (Container<CrateDB>, u16) {
    let began = Instant::now();
    let module = CrateDB::default().with_tag("6.4.3");
    // With what the machine may need beyond the module: without this a server checks the kernel's limits, and ends.
    let container = match std::env::var_os("BENCH_SINGLE_NODE") {
        None => module.start(),
        Some(_) => module.with_cmd(["crate", "-Cdiscovery.type=single-node"]).start(),
    };
    let container = container.expect("a container");
    let port = container.get_host_port_ipv4(4200).expect("a port");
    while !ask(port, "SELECT health FROM sys.cluster_health").is_ok_and(|answer| answer.contains("GREEN")) {
        assert!(began.elapsed() < Duration::from_secs(300), "it is not healthy");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    (container, port)
}

/// The whole answer to one statement.
///
/// # Errors
///
/// If the connection fails.
pub fn ask(port: u16, stmt: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let body = format!("{{\"stmt\":\"{}\"}}", stmt.replace('"', "\\\"").replace('\n', " "));
    let head = format!("POST /_sql HTTP/1.1\r\nHost: crate\r\nConnection: close\r\nContent-Length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
