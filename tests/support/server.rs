//! A real CrateDB for one test, started without the harness.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{DEADLINE, skip, wait_for};

/// Returns the directory of the real installation, or `None` with the reason on descriptor 2.
pub fn home() -> Option<PathBuf> {
    let home = std::env::var_os("CRATEDB_HOME").map(PathBuf::from);
    if home.is_none() {
        skip("crate", "CRATEDB_HOME names no CrateDB");
    }
    home
}

/// The server refuses to run as root.
const NOBODY: u32 = 65_534;

/// The options of a server.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// `key=value`.
    pub settings: Vec<String>,
    /// In place of nothing, which leaves the start script its own.
    pub java_options: Option<String>,
    /// The directory of its data. The default is the system's temporary directory.
    pub base: Option<PathBuf>,
}

/// A server of its own, ended with the test.
pub struct Server {
    process: Child,
    pub address: String,
    _files: tempfile::TempDir,
}

impl Server {
    /// Sets up host-based authentication: tokens signed by the server at `issuer`, and `crate` by trust.
    #[allow(dead_code)] // not every test binary has a Cloud before its server
    pub fn with_tokens(home: &Path, issuer: &str, audience: &str) -> Self {
        let settings = [
            "auth.host_based.enabled=true",
            "auth.host_based.config.0.method=jwt",
            "auth.host_based.config.0.protocol=http",
            "auth.host_based.config.1.user=crate",
            "auth.host_based.config.1.method=trust",
            "auth.host_based.config.2.method=password",
            &format!("auth.host_based.jwt.iss={issuer}"),
            &format!("auth.host_based.jwt.aud={audience}"),
        ];
        let settings = settings.map(str::to_owned).into();
        let server = Self::start(home, &Start { settings, ..Start::default() });
        for stmt in ["CREATE USER admin", "GRANT ALL PRIVILEGES TO admin"] {
            let answer = server.ask(stmt);
            assert!(answer.contains("rowcount"), "{stmt}: {answer}");
        }
        server
    }

    /// Trusts every user name.
    pub fn open(home: &Path) -> Self {
        Self::start(home, &Start { settings: vec!["auth.host_based.enabled=false".into()], ..Start::default() })
    }

    /// Returns when it is healthy.
    pub fn start(home: &Path, start: &Start) -> Self {
        let files = match &start.base {
            Some(base) => tempfile::tempdir_in(base).unwrap(),
            None => tempfile::tempdir().unwrap(),
        };
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
        ]);
        command.args(start.settings.iter().map(|setting| format!("-C{setting}")));
        // By default without the file that other tests look for.
        command.env("CRATE_JAVA_OPTS", start.java_options.as_deref().unwrap_or("-XX:-UsePerfData"));
        command.env("CRATE_HEAP_SIZE", "512m").env("CRATE_DISABLE_GC_LOGGING", "1").env_remove("JAVA_OPTS");
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
            for path in [files.path().to_owned(), dir("data"), dir("logs"), dir("conf")] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        command.current_dir(files.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let log = process.stdout.take().unwrap();
        // It ends with this, also if there never is an address.
        let mut server = Self { process, address: String::new(), _files: files };
        server.address = address_in(log);
        wait_for("a healthy server", || match server.ask("SELECT health FROM sys.cluster_health") {
            answer if answer.contains("GREEN") => Ok(()),
            answer => Err(answer),
        });
        server
    }

    /// One statement as `crate`, past the gateway.
    pub fn ask(&self, stmt: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return "no connection".into() };
        let body = serde_json::json!({ "stmt": stmt }).to_string();
        let head = format!("POST /_sql HTTP/1.1\r\nHost: crate\r\nConnection: close\r\nContent-Length: {}", body.len());
        let mut answer = String::new();
        let told = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
        let heard = told.and_then(|()| stream.read_to_string(&mut answer));
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
    receiver.recv_timeout(DEADLINE).expect("the server logged no address")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One statement over HTTP, by hand: what is tested must not be the judge.
pub fn ask(url: &str, stmt: &str) -> serde_json::Value {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let body = serde_json::json!({ "stmt": stmt }).to_string();
    let head = format!("POST /_sql HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}
