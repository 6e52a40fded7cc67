//! A small HTTP server for tests: one thread per connection, a script for the answers, a record of all requests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Number of the connection, from 0.
    pub(crate) connection: usize,
    /// Number among all requests, from 0.
    pub(crate) number: usize,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn stmt(&self) -> &str {
        self.body["stmt"].as_str().unwrap_or_default()
    }
}

/// The reaction of the script to a request.
#[derive(Clone)]
pub(crate) enum Reaction {
    Answer {
        status: u16,
        content_type: &'static str,
        body: String,
    },
    /// An answer after which the connection is closed without notice.
    AnswerAndClose {
        body: String,
    },
    /// Half of an answer, then the end of the connection.
    HalfAnAnswer,
    /// The connection is reset without an answer.
    Reset,
    /// Silence until the server is dropped.
    Hang,
}

impl Reaction {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Answer { status, content_type: "application/json; charset=UTF-8", body: body.to_string() }
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::Answer { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// Columns with their types, and rows as JSON text, digit for digit.
    pub(crate) fn rows(columns: &[(&str, Value)], rows: &str) -> Self {
        let cols: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let types: Vec<&Value> = columns.iter().map(|(_, kind)| kind).collect();
        let body = format!(
            r#"{{"cols": {}, "col_types": {}, "rows": {rows}, "rowcount": 1, "duration": 0.1}}"#,
            json!(cols),
            json!(types)
        );
        Self::Answer { status: 200, content_type: "application/json", body }
    }

    pub(crate) fn count(rowcount: i64) -> Self {
        Self::json(200, &json!({"cols": [], "col_types": [], "rows": [[]], "rowcount": rowcount, "duration": 0.1}))
    }

    pub(crate) fn error(status: u16, code: i32, message: &str) -> Self {
        Self::json(status, &json!({"error": {"message": message, "code": code}}))
    }
}

type Script = dyn Fn(&Request) -> Reaction + Send + Sync;

/// A server that closes its connections and ends when it is dropped.
pub(crate) struct TestServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    script: Box<Script>,
    requests: Mutex<Vec<Request>>,
    streams: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
    /// The number of connections that this side closed.
    closed: AtomicUsize,
}

impl TestServer {
    pub(crate) fn start(script: impl Fn(&Request) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Mutex::default(),
            streams: Mutex::default(),
            ended: AtomicBool::new(false),
            closed: AtomicUsize::new(0),
        });
        let accepting = thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub(crate) fn stmts(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.stmt().to_owned()).collect()
    }

    /// Waits until this many requests have arrived.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        wait_until("requests have arrived", || self.requests().len() >= count);
    }

    /// Waits until this many connections are closed by the server.
    pub(crate) fn wait_for_closed(&self, count: usize) {
        wait_until("connections are closed", || self.shared.closed.load(Ordering::Acquire) >= count);
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

// Not `wait::until`: tests call it outside of a runtime.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::yield_now();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        if shared.ended.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        shared.streams.lock().unwrap().push(stream.try_clone().unwrap());
        let shared = shared.clone();
        thread::spawn(move || {
            // An error means that the client closed the connection. A panic is one of the script, and no test should
            // wait for its answer.
            let outcome = catch_unwind(AssertUnwindSafe(|| serve(number, &stream, &shared)));
            if outcome.is_err() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }
}

fn serve(connection: usize, stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = read(connection, &mut reader)? {
        {
            let mut requests = shared.requests.lock().unwrap();
            request.number = requests.len();
            requests.push(request.clone());
        }
        if !react((shared.script)(&request), stream)? {
            stream.shutdown(Shutdown::Both)?;
            shared.closed.fetch_add(1, Ordering::Release);
            return Ok(());
        }
    }
    Ok(())
}

fn read(connection: usize, reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = Request { connection, number: 0, path, headers, body: Value::Null };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(request))
}

/// Sends the answer. Returns whether the connection stays open.
fn react(reaction: Reaction, mut stream: &TcpStream) -> io::Result<bool> {
    let head = |status, content_type, length| {
        format!("HTTP/1.1 {status} Status\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n")
    };
    let (answer, stays) = match reaction {
        Reaction::Answer { status, content_type, body } => (head(status, content_type, body.len()) + &body, true),
        Reaction::AnswerAndClose { body } => (head(200, "application/json", body.len()) + &body, false),
        Reaction::HalfAnAnswer => (head(200, "application/json", 1000) + "{\"cols\":", false),
        Reaction::Reset => {
            #[cfg(unix)]
            rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
            return Ok(false);
        }
        Reaction::Hang => {
            let _ = stream.read(&mut [0]);
            return Ok(false);
        }
    };
    stream.write_all(answer.as_bytes())?;
    Ok(stays)
}
