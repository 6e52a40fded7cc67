//! A CrateDB that is started from an installation for the simulator's life.
//!
//! A shell starts the server, waits until its standard input ends, kills the server and deletes its data. The simulator
//! holds the other end of that input. So the server ends with the simulator however that ends, SIGKILL included.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::clock::now;
use crate::options::CrateServer;

/// Its first argument is the directory of the data, the others are the server's command. A terminal's signals are for
/// the simulator alone. `exec` closes the pipe that the server writes its log to, so that it ends with the server.
const KEEPER: &str = r#"
trap '' HUP INT QUIT TERM
"$@" 2>&1 &
exec >/dev/null 2>&1
cat
kill -KILL $!
wait
cd / && rm -rf "$0"
"#;
/// Only this machine can connect, at free ports. The superuser is trusted, as the gateways' own account; all other
/// users need their passwords, as in CrateDB Cloud.
const SETTINGS: [&str; 15] = [
    "cluster.name=simulator",
    "node.name=data-hot-0",
    "discovery.type=single-node",
    "network.host=127.0.0.1",
    "http.port=0",
    "psql.port=0",
    "transport.tcp.port=0",
    "auth.host_based.enabled=true",
    "auth.host_based.config.0.user=crate",
    "auth.host_based.config.0.method=trust",
    "auth.host_based.config.1.method=password",
    // Tests make many tables, and a full disk must not make them read-only.
    "cluster.max_shards_per_node=10000",
    "cluster.routing.allocation.disk.threshold_enabled=false",
    "udc.enabled=false",
    // It elects itself at once.
    "cluster.election.initial_timeout=1ms",
];
/// A short life does not pay for the best code.
const JAVA: &str = "-XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC -XX:-UsePerfData";
const HEAP: &str = "512m";
/// Logs to standard output only. Without this file CrateDB logs nothing.
const LOGGING: &str = "rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
";
/// CrateDB refuses to run as root, so it runs as this user and group then, `nobody` on most systems.
const NOBODY: u32 = 65_534;
/// The time within which the server says where it listens. It needs some 4 s on two cores.
const LIMIT: Duration = Duration::from_secs(120);
/// The number of lines of the log that an error quotes.
const LINES: usize = 10;

/// A server that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct LocalServer {
    keeper: Child,
    address: String,
    dir: PathBuf,
}

impl LocalServer {
    /// Starts the server and returns when it has said where it listens. Blocks.
    pub(crate) fn start(home: &Path) -> io::Result<Self> {
        let cannot = |why: String| io::Error::other(format!("cannot use --engine {}: {why}", home.display()));
        let program = std::path::absolute(home)?.join("bin/crate");
        if let Err(error) = fs::metadata(&program) {
            return Err(cannot(format!("bin/crate: {error}; accepted: the directory of an extracted CrateDB")));
        }
        let other = rustix::process::geteuid().is_root().then_some(NOBODY);
        let whom = other.map_or(String::new(), |user| format!(" as user {user}, since it refuses to run as root"));
        let dir = std::env::temp_dir().join(format!("cratedb-simulator-{}-{}", std::process::id(), now()));
        let failed = |what: &str, error: &io::Error| cannot(format!("{what}{whom}: {error}"));
        make(&dir, other).map_err(|error| failed(&format!("cannot make its directory {}", dir.display()), &error))?;
        let mut keeper = match command(&program, &dir, other).spawn() {
            Ok(keeper) => keeper,
            Err(error) => {
                let _ = fs::remove_dir_all(&dir);
                return Err(failed("it can't be started", &error));
            }
        };
        let log = keeper.stdout.take().map(read);
        // From here on it ends with this.
        let mut server = Self { keeper, address: String::new(), dir };
        server.address = address(log).map_err(|why| cannot(format!("it was started{whom}, and {why}")))?;
        Ok(server)
    }

    /// Returns its address, with the account that it trusts.
    pub(crate) fn server(&self) -> CrateServer {
        CrateServer::at(&self.address).login("crate", "")
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        // What the other user could not delete.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Makes the directory with the files that the server expects.
fn make(dir: &Path, other: Option<u32>) -> io::Result<()> {
    let own = |path: &Path| other.map_or(Ok(()), |user| lchown(path, Some(user), Some(user)));
    for part in ["", "data", "logs", "conf"] {
        fs::DirBuilder::new().mode(0o700).create(dir.join(part))?;
        own(&dir.join(part))?;
    }
    for (name, text) in [("crate.yml", ""), ("log4j2.properties", LOGGING)] {
        let path = dir.join("conf").join(name);
        fs::write(&path, text)?;
        own(&path)?;
    }
    Ok(())
}

fn command(program: &Path, dir: &Path, other: Option<u32>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", KEEPER]).arg(dir).arg(program);
    command.args(SETTINGS.map(|setting| format!("-C{setting}")));
    command.args(["data", "logs", "conf"].map(|name| format!("-Cpath.{name}={}", dir.join(name).display())));
    // A variable of the user's, such as `JAVA_OPTS`, is not meant for this server.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
    command.env("HOME", dir).env("LANG", "C.UTF-8");
    command.env("CRATE_HEAP_SIZE", HEAP).env("CRATE_JAVA_OPTS", JAVA).env("CRATE_DISABLE_GC_LOGGING", "1");
    if let Some(user) = other {
        command.uid(user).gid(user);
    }
    command.current_dir(dir).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Reads the log to its end, or the server would stop when the pipe is full.
fn read(log: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, received) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
            // Once the address is known, the lines are only read.
            let _ = lines.send(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    });
    received
}

/// Returns the HTTP address in the log. The error quotes the log's last lines.
fn address(log: Option<Receiver<String>>) -> Result<String, String> {
    let Some(log) = log else { return Err("it has no log".into()) };
    let deadline = Instant::now() + LIMIT;
    let mut seen: Vec<String> = Vec::new();
    let quoted = |what: &str, seen: &[String]| {
        let last = &seen[seen.len().saturating_sub(LINES)..];
        format!("{what}; its log:\n  {}", last.join("\n  "))
    };
    loop {
        match log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match address_in(&line) {
                Some(address) => return Ok(address),
                None => seen.extend(Some(line).filter(|line| !line.is_empty())),
            },
            Err(RecvTimeoutError::Disconnected) => return Err(quoted("it ended", &seen)),
            Err(RecvTimeoutError::Timeout) => return Err(quoted("it does not say where it listens", &seen)),
        }
    }
}

fn address_in(line: &str) -> Option<String> {
    let (logger, rest) = line.split_once("publish_address {")?;
    let address = logger.contains("HttpServer").then(|| rest.split_once('}'))??.0;
    // A host name may precede the address.
    Some(address.rsplit('/').next().unwrap_or(address).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_one_of_http() {
        let line = |logger: &str, address: &str| {
            format!(
                "[2026-11-23T13:23:39,390][INFO ][{logger:25}] publish_address {{{address}}}, bound_addresses {{x}}"
            )
        };
        let http = "o.e.h.n.Netty4HttpServerTransport";
        assert_eq!(address_in(&line(http, "127.0.0.1:39249")), Some("127.0.0.1:39249".into()));
        assert_eq!(address_in(&line(http, "localhost/127.0.0.1:39249")), Some("127.0.0.1:39249".into()));
        assert_eq!(address_in(&line("psql", "127.0.0.1:46357")), None);
        assert_eq!(address_in("[INFO ] started"), None);
    }

    #[test]
    fn a_directory_without_the_program_is_refused_with_the_option() {
        let home = tempfile::tempdir().unwrap();
        let told = LocalServer::start(home.path()).map(|_| ()).unwrap_err().to_string();
        assert!(told.starts_with(&format!("cannot use --engine {}: bin/crate: ", home.path().display())), "{told}");
        assert!(told.ends_with("accepted: the directory of an extracted CrateDB"), "{told}");
    }
}
