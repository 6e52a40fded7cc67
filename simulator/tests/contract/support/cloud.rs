//! The simulator's program as a server, and the requests to it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::DEADLINE;

pub(crate) const KEY: &str = "some-key";
pub(crate) const SECRET: &str = "some-secret-of-the-tests";
/// The cluster's user, for tests that log in to the database.
pub(crate) const USER: &str = "admin";
pub(crate) const PASSWORD: &str = "simulated-password-of-32-letters";

const PROGRAM: &str = env!("CARGO_BIN_EXE_cratedb-cloud-simulator");
/// Marks our own requests in the log.
const OURS: &str = "contract-test=1";

/// A simulator that accepts only [`KEY`] and [`SECRET`], and ends with the test.
pub(crate) struct Cloud {
    child: Child,
    /// Kept open, so that its output doesn't end it.
    _stdout: BufReader<ChildStdout>,
    dir: tempfile::TempDir,
    /// The control plane.
    pub(crate) url: String,
    /// The organization of the key.
    pub(crate) organization: String,
    /// Names for ids and addresses in requests.
    names: BTreeMap<String, String>,
    seen: Cell<usize>,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            self.assert_no_secrets();
        }
    }
}

impl Cloud {
    /// Starts a simulator with these further arguments.
    #[track_caller]
    pub(crate) fn serve(arguments: &[&str]) -> Self {
        let clusters = arguments.iter().filter(|argument| argument.starts_with("name=")).count();
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .args(["serve", "--api-key", KEY, "--api-secret", SECRET, "--requests"])
            .arg(dir.path().join("requests"));
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let first = line();
        let url = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("it said `{first}`")).to_owned();
        let mut names = BTreeMap::new();
        for cluster in (0..clusters).map(|_| line()) {
            // cluster <id> `<name>` <state>: <url>
            let words: Vec<&str> = cluster.split(' ').collect();
            let name = words[2].trim_matches('`');
            names.insert(name.to_owned(), words[1].to_owned());
            names.insert(format!("{name}.url"), words[4].to_owned());
        }
        let mut cloud =
            Self { child, _stdout: stdout, dir, url, organization: String::new(), names, seen: Cell::new(0) };
        cloud.organization = text(&cloud.get("/api/v2/users/me/")["organization_id"]);
        cloud.names.insert("org".into(), cloud.organization.clone());
        let project = text(&cloud.get("/api/v2/projects/")[0]["id"]);
        cloud.names.insert("project".into(), project);
        cloud
    }

    /// Returns the id of a cluster, or of `org` and `project`. `<cluster>.url` is its address for SQL.
    #[track_caller]
    pub(crate) fn id(&self, name: &str) -> &str {
        self.names.get(name).unwrap_or_else(|| panic!("{name} is not among {:?}", self.names))
    }

    /// Sends a request of the test itself, which is not among those in [`asked`](Self::asked).
    #[track_caller]
    pub(crate) fn api(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let (body, joint) =
            (body.map(Value::to_string).unwrap_or_default(), if path.contains('?') { '&' } else { '?' });
        let credentials = STANDARD.encode(format!("{KEY}:{SECRET}"));
        write!(
            stream,
            "{method} {path}{joint}{OURS} HTTP/1.1\r\nhost: {address}\r\nauthorization: Basic {credentials}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {answer}"));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.api("GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Returns a cluster as the control plane shows it.
    #[track_caller]
    pub(crate) fn cluster(&self, name: &str) -> Value {
        self.get(&format!("/api/v2/clusters/{}/", self.id(name)))
    }

    /// Logs in without a browser. Returns the session's token.
    #[track_caller]
    pub(crate) fn session(&self) -> String {
        let (status, body) = self.api("POST", "/_simulator/sessions/", None);
        assert!(status < 300, "{status}: {body}");
        text(&body["token"])
    }

    /// Returns the requests since the last call, in their order, one line each:
    ///
    /// - `PUT clusters/{ci}/suspend/ {"suspended":true}`: the prefix `/api/v2/` is left out, names of [`id`](Self::id)
    ///   stand in braces, any other UUID is `{id}`; a refusal ends in `-> 404`;
    /// - `SQL SELECT 1` and `SQL /` for the data plane.
    pub(crate) fn asked(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("requests")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let new = lines.iter().skip(self.seen.replace(lines.len()));
        new.filter(|line| self.is_of_the_programs(line)).map(|line| self.describe(line)).collect()
    }

    /// Returns the whole log as it is in the file.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("requests")).unwrap()
    }

    /// Returns credentials and region of each request that the test did not make itself: `basic _any_`.
    pub(crate) fn heard(&self) -> Vec<String> {
        let all = self.get("/_simulator/requests/");
        let theirs = all.as_array().unwrap().iter().filter(|one| self.is_of_the_programs(one));
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        theirs.map(|one| format!("{} {}", word(&one["auth"]), word(&one["region"]))).collect()
    }

    /// Returns whether a request is neither of the test itself nor of a stranger: a process whose own simulator had
    /// this port before, and which knows neither our key nor our clusters. The gateway of a suspended cluster answers
    /// 503 to all requests.
    fn is_of_the_programs(&self, line: &Value) -> bool {
        let refused = line["status"] == 401 || line["status"] == 503;
        let stranger = || refused && self.name(&text(&line["path"])).contains("{id}");
        !text(&line["query"]).contains(OURS) && !stranger()
    }

    /// Checks that the log has no secret, no password and no token of a database (JSON in base64 begins so).
    fn assert_no_secrets(&self) {
        let log = self.log();
        for secret in [SECRET, PASSWORD, "eyJ"] {
            assert!(!log.contains(secret), "the log of requests has `{secret}`");
        }
    }

    fn describe(&self, line: &Value) -> String {
        let (method, path, query) = (text(&line["method"]), text(&line["path"]), text(&line["query"]));
        let status = line["status"].as_u64().unwrap();
        let refusal = if status < 400 { String::new() } else { format!(" -> {status}") };
        if path == "/_sql" || path == "/" {
            let statement = line["body"]["stmt"].as_str().unwrap_or(&path);
            let words: Vec<&str> = statement.split_whitespace().collect();
            return format!("SQL {}{refusal}", words.join(" "));
        }
        let path = path.strip_prefix("/api/v2/").unwrap_or(&path);
        let query = if query.is_empty() { query } else { format!("?{query}") };
        let body = if line["body"].is_null() { String::new() } else { format!(" {}", line["body"]) };
        self.name(&format!("{method} {path}{query}{body}{refusal}"))
    }

    /// Replaces ids by names.
    pub(crate) fn name(&self, text: &str) -> String {
        let known =
            self.names.iter().fold(text.to_owned(), |text, (name, id)| text.replace(id, &format!("{{{name}}}")));
        unnamed(&known)
    }
}

/// Returns the text of a value that is a text.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Replaces unknown UUIDs by `{id}`.
fn unnamed(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = (0..rest.len()).find(|at| rest.get(*at..at + 36).is_some_and(is_uuid)) {
        out.push_str(&rest[..at]);
        out.push_str("{id}");
        rest = &rest[at + 36..];
    }
    out + rest
}

fn is_uuid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.bytes().enumerate().all(fits)
}
