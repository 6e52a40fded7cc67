//! A real CrateDB behind the simulated Cloud, which checks the tokens itself: where `CRATEDB_HOME` says that one is here.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cratedb_cloud_simulator::{EngineKind, Options};

use crate::support::cloud::{CLUSTER, TestCloud, suspendable};
use crate::support::consumer::Consumer;
use crate::support::run::{Plan, Runner, runners};
use crate::support::{skip, wait_for};

const CLUSTER_ID: &str = "5f1d1c3e-0000-4000-8000-00000000c1a5";
/// The server refuses to run as root.
const NOBODY: u32 = 65_534;

/// A server of its own, ended with the test.
pub struct Server {
    process: Child,
    pub address: String,
    _files: tempfile::TempDir,
}

impl Server {
    /// Starts `CRATEDB_HOME` with host-based authentication: tokens signed by whoever answers at `issuer`, `crate` by trust.
    pub fn start(home: &Path, issuer: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let dir = |name: &str| files.path().join(name);
        for name in ["data", "logs", "conf"] {
            std::fs::create_dir(dir(name)).unwrap();
        }
        std::fs::write(dir("conf/crate.yml"), "").unwrap();
        std::fs::copy(home.join("config/log4j2.properties"), dir("conf/log4j2.properties")).unwrap();
        let mut command = Command::new(home.join("bin/crate"));
        // `repo` is for repositories of type `fs`.
        let paths = [("conf", "conf"), ("data", "data"), ("logs", "logs"), ("repo", "data/repositories")]
            .map(|(name, place)| format!("-Cpath.{name}={}", dir(place).display()));
        command.args(paths).args([
            "-Ccluster.name=real",
            "-Cdiscovery.type=single-node",
            "-Cnetwork.host=127.0.0.1",
            "-Chttp.port=0",
            "-Cpsql.port=0",
            "-Ctransport.tcp.port=0",
            "-Cudc.enabled=false",
            "-Ccluster.max_shards_per_node=10000",
            "-Ccluster.routing.allocation.disk.threshold_enabled=false",
            "-Cauth.host_based.enabled=true",
            "-Cauth.host_based.config.0.method=jwt",
            "-Cauth.host_based.config.0.protocol=http",
            "-Cauth.host_based.config.1.user=crate",
            "-Cauth.host_based.config.1.method=trust",
            "-Cauth.host_based.config.2.method=password",
        ]);
        command
            .arg(format!("-Cauth.host_based.jwt.iss={issuer}"))
            .arg(format!("-Cauth.host_based.jwt.aud={CLUSTER_ID}"));
        command.env("CRATE_HEAP_SIZE", "512m").env("CRATE_DISABLE_GC_LOGGING", "1").env_remove("JAVA_OPTS");
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
            for path in [files.path().to_owned(), dir("data"), dir("logs"), dir("conf")] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let mut process = command
            .current_dir(files.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = address_in(process.stdout.take().unwrap());
        let server = Self { process, address, _files: files };
        wait_for("a healthy server", || match server.ask("SELECT health FROM sys.cluster_health") {
            answer if answer.contains("GREEN") => Ok(()),
            answer => Err(answer),
        });
        for stmt in ["CREATE USER admin", "GRANT ALL PRIVILEGES TO admin"] {
            let answer = server.ask(stmt);
            assert!(answer.contains("rowcount"), "{stmt}: {answer}");
        }
        server
    }

    /// One statement as `crate`, past the gateway.
    pub fn ask(&self, stmt: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return "no connection".into() };
        let body = serde_json::json!({ "stmt": stmt }).to_string();
        let head = format!("POST /_sql HTTP/1.1\r\nHost: crate\r\nConnection: close\r\nContent-Length: {}", body.len());
        let mut answer = String::new();
        let told = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
        let heard = told.and_then(|()| std::io::Read::read_to_string(&mut stream, &mut answer));
        heard.map_or_else(|error| error.to_string(), |_| answer)
    }
}

/// The HTTP address that the server logs; the rest of its log is read on, or it would stop.
fn address_in(log: impl std::io::Read + Send + 'static) -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let http = line.contains("HttpServer").then(|| line.split_once("publish_address {")).flatten();
            if let Some((address, _)) = http.and_then(|(_, rest)| rest.split_once('}')) {
                let _ = sender.send(address.to_owned());
            }
        }
    });
    receiver.recv_timeout(Duration::from_secs(60)).expect("the server logged no address")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A real server behind a suspended cluster; none where there is none, with the reason on descriptor 2.
fn real_cloud(token_lifetime: Duration) -> Option<(Server, TestCloud)> {
    let Some(home) = std::env::var_os("CRATEDB_HOME").map(PathBuf::from) else {
        skip("crate", "CRATEDB_HOME names no CrateDB");
        return None;
    };
    // The server must know where the keys are before the simulator knows where the server is.
    let listen: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(&home, &format!("http://{listen}/api/v2/meta/jwk/"));
    let cluster = suspendable().with("id", CLUSTER_ID).unwrap();
    let engine = EngineKind::Real(server.address.clone());
    let cloud = TestCloud::with(Options { listen, engine, token_lifetime, ..Options::default() }.cluster(cluster));
    Some((server, cloud))
}

fn tokens(cloud: &TestCloud) -> usize {
    cloud.simulator.requests().iter().filter(|request| request.path.ends_with("/jwt/")).count()
}

#[test]
fn runs_share_a_real_server_whose_tokens_it_checks_itself() {
    let Some((server, cloud)) = real_cloud(Duration::from_secs(3_600)) else { return };
    for (count, runner) in (1..).zip(runners()) {
        let consumer = Consumer::of("basic", runner);
        Plan::new(&consumer, runner).cloud(&cloud).run().passed();
        cloud.ends_with(count, count);
    }
    let left =
        server.ask("SELECT table_schema FROM information_schema.tables WHERE table_schema LIKE 'cratedb_test_%'");
    assert!(left.contains("\"rowcount\":0"), "{left}");
    let refused = server.ask("SELECT name FROM sys.users WHERE name = 'admin'");
    assert!(refused.contains("admin"), "{refused}");
}

#[test]
fn many_tests_at_once_see_only_their_own_rows_on_a_real_server() {
    let Some((server, cloud)) = real_cloud(Duration::from_secs(3_600)) else { return };
    let consumer = Consumer::of("many", Runner::Cargo);
    Plan::new(&consumer, Runner::Cargo).args(&["--", "tests::t0", "--test-threads=16"]).cloud(&cloud).run().passed();
    cloud.ends_with(1, 1);
    let left =
        server.ask("SELECT table_schema FROM information_schema.tables WHERE table_schema LIKE 'cratedb_test_%'");
    assert!(left.contains("\"rowcount\":0"), "{left}");
}

#[test]
fn a_run_that_outlives_its_token_gets_new_ones_from_the_keeper() {
    let Some((_server, cloud)) = real_cloud(Duration::from_secs(4)) else { return };
    let (consumer, meet) = (Consumer::of("deaths", Runner::Cargo), tempfile::tempdir().unwrap());
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("DEATH", "middle:wait");
    let mut run = plan.env("DEATH_DIR", meet.path().display().to_string()).in_order().start();
    run.wait_for_file(&meet.path().join("here"));
    let first = tokens(&cloud);
    wait_for("three renewals, the first token long expired", || match tokens(&cloud) {
        count if count >= first + 3 => Ok(()),
        count => Err(count),
    });
    std::fs::write(meet.path().join("go"), "x").unwrap();
    run.finish().passed();
    cloud.ends_with(1, 1);
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
}
