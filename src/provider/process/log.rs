//! The log of a server: its addresses, and its last lines for errors.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use super::directory::NodeDir;
use crate::error::Error;
use crate::provider::{jvm, local};

/// The name of the file in the server's directory.
pub(super) const FILE: &str = "server.log";
/// Addresses are logged early.
const HEAD: u64 = 256 << 10;
const TAIL: u64 = 16 << 10;
/// The number of lines that an error quotes. A server that refuses to start logs the reason last.
const LINES: usize = 20;

pub(super) struct Log(PathBuf);

/// The addresses at which a server listens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// Host and port.
    pub(super) http: String,
    /// The port of the PostgreSQL protocol.
    pub(super) psql: Option<u16>,
    /// Host and port for other nodes.
    pub(super) transport: Option<String>,
}

impl Log {
    pub(super) fn of(place: &NodeDir) -> Self {
        Self(place.dir.join(FILE))
    }

    /// Returns the addresses, or none if the server has not logged its HTTP address yet.
    pub(super) fn addresses(&self) -> Option<Addresses> {
        addresses_in(&self.head()?)
    }

    /// Returns the reason that the JVM logged for not using its cache.
    pub(super) fn refusal(&self) -> Option<String> {
        jvm::refusal(&self.head()?).map(str::to_owned)
    }

    fn head(&self) -> Option<String> {
        let mut head = Vec::new();
        fs::File::open(&self.0).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    pub(super) fn tail(&self) -> Vec<String> {
        let read = || -> std::io::Result<String> {
            let mut file = fs::File::open(&self.0)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
            let mut tail = Vec::new();
            file.take(TAIL).read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).into_owned())
        };
        local::last_lines(read().unwrap_or_default().lines(), LINES)
    }

    pub(super) fn at_the_end_of(&self, error: Error) -> Error {
        local::quoting(error, "its log", self.tail())
    }

    /// Returns what is wrong with the Java runtime, if the log ends with such an error.
    pub(super) fn java_trouble(&self) -> Option<&'static str> {
        let lines = self.tail();
        let has = |line: &String, words: [&str; 4]| words.iter().any(|word| line.contains(word));
        let missing = ["not found", "Permission denied", "No such file", "Exec format"];
        if lines.iter().any(|line| line.contains("/java") && has(line, missing)) {
            return Some("a release has its own Java runtime in jdk/, which is missing or can't be run here");
        }
        let strange = [
            "Unrecognized VM option",
            "Unrecognized option",
            "UnsupportedClassVersionError",
            "java.lang.module.FindException",
        ];
        let other = lines.iter().any(|line| has(line, strange));
        other.then_some("a release has its own Java runtime in jdk/; the one that is there is of another version")
    }
}

/// Reads whole lines only, since the last one may still be written. PostgreSQL's line precedes the one of HTTP.
fn addresses_in(log: &str) -> Option<Addresses> {
    let whole = log.rsplit_once('\n')?.0;
    let published = |logger: &str| {
        whole.lines().find_map(|line| {
            let (before, after) = line.split_once("publish_address {")?;
            let address = before.contains(logger).then(|| after.split_once('}'))??.0;
            // A host name may precede the address.
            Some(address.rsplit('/').next().unwrap_or(address).to_owned())
        })
    };
    let psql = published("[psql").and_then(|address| address.rsplit_once(':')?.1.parse().ok());
    let transport = published("TransportService");
    Some(Addresses { http: published("HttpServer")?, psql, transport })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES_OF_A_SERVER: &str = "WARNING: Using incubator modules: jdk.incubator.vector
[2026-11-23T13:23:39,390][INFO ][psql                     ] publish_address {127.0.0.1:46357}, bound_addresses {127.0.0.1:46357}
[2026-11-23T13:23:39,395][INFO ][o.e.h.n.Netty4HttpServerTransport] [n] publish_address {localhost/127.0.0.1:39249}, bound_addresses {127.0.0.1:39249}
[2026-11-23T13:23:39,403][INFO ][o.e.t.TransportService   ] publish_address {127.0.0.1:44035}, bound_addresses {127.0.0.1:44035}
";

    #[test]
    fn addresses_are_those_of_http_of_postgresql_and_of_other_nodes() {
        let transport = Some("127.0.0.1:44035".into());
        let expected = Addresses { http: "127.0.0.1:39249".into(), psql: Some(46357), transport };
        assert_eq!(addresses_in(LINES_OF_A_SERVER), Some(expected));
        let without = LINES_OF_A_SERVER.replace("[psql ", "[other");
        assert_eq!(addresses_in(&without).unwrap().psql, None);
    }

    /// As CrateDB 6.4.3 ends after a value that it can't read: 22 lines stand below the message, most of them frames.
    #[test]
    fn what_a_server_says_last_is_quoted_without_its_stack() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log(dir.path().join(FILE));
        let frames = |count: usize| "\tat org.elasticsearch.node.Node.<init>(Node.java:375)\n".repeat(count);
        let said = "Caused by: java.lang.IllegalArgumentException: Failed to parse value [many] for setting [stats.x]";
        let cause = "Caused by: java.lang.NumberFormatException: For input string: \"many\"";
        let text = format!("first\n\n{said}\n{}\t... 4 more\n{cause}\n{}\t... 15 more\n", frames(12), frames(7));
        fs::write(&log.0, text).unwrap();
        assert_eq!(log.tail(), ["first", said, cause]);
        fs::write(&log.0, "line\n".repeat(LINES + 1)).unwrap();
        assert_eq!(log.tail().len(), LINES);
    }

    #[test]
    fn a_line_that_is_still_written_is_not_read() {
        let end = LINES_OF_A_SERVER.find("39249").unwrap() + 2;
        assert_eq!(addresses_in(&LINES_OF_A_SERVER[..end]), None);
        let end = LINES_OF_A_SERVER.find("39249}").unwrap() + 6;
        assert_eq!(addresses_in(&LINES_OF_A_SERVER[..end]), None);
        assert_eq!(addresses_in(""), None);
    }
}
