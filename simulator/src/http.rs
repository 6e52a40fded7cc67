//! HTTP/1.1 of both planes: accepts connections, injects faults, keeps the record.

use std::future::Future;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{GzDecoder, ZlibDecoder};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER, SET_COOKIE, USER_AGENT,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, watch};

use crate::clock::{self, Clock};
use crate::fault::{Action, Faults};
use crate::requests::{Record, Request, at_ms};
use crate::state::Micros;
use crate::tls::{Encryption, Stream};

/// The limit that CrateDB has for a decompressed request.
const LARGEST_BODY: u64 = 100 << 20;

/// The requests of both planes: when they come, their record, and the faults that hit them.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) clock: Clock,
    pub(crate) record: Record,
    faults: Mutex<Faults>,
}

impl Traffic {
    pub(crate) fn new(clock: Clock, record: Record) -> Self {
        Self { clock, record, faults: Mutex::default() }
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }
}

/// One request, read to its end.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// By the simulator's clock.
    pub(crate) at: Micros,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) peer: SocketAddr,
}

impl Exchange {
    /// Returns a header as text, if it is there and readable.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns path and query.
    pub(crate) fn target(&self) -> String {
        match self.query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, self.query),
        }
    }

    /// Returns user and password of a Basic header.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let (scheme, encoded) = self.header(AUTHORIZATION.as_str())?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    }

    /// Returns the body without its compression. `crate-python` compresses from 8 KiB on.
    pub(crate) fn decompressed(&self) -> Option<Bytes> {
        let compressed: &[u8] = &self.body;
        let mut body = Vec::new();
        match self.header(CONTENT_ENCODING.as_str()) {
            None | Some("identity") => return Some(self.body.clone()),
            Some("gzip" | "x-gzip") => GzDecoder::new(compressed).take(LARGEST_BODY).read_to_end(&mut body).ok()?,
            Some("deflate") => ZlibDecoder::new(compressed).take(LARGEST_BODY).read_to_end(&mut body).ok()?,
            Some(_) => return None,
        };
        Some(body.into())
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// True if the connection ends with it.
    pub(crate) close: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let content_type = (CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, headers: vec![content_type], body: body.into(), close: false }
    }

    /// An answer without a body and without its type.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), close: false }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// A redirection for browsers. Clients of the API never follow.
    pub(crate) fn redirect(to: &str) -> Self {
        Self::empty(302).with_text(LOCATION, to)
    }

    /// Adds a new token for the session.
    pub(crate) fn with_cookie(self, token: &str) -> Self {
        self.with_text(SET_COOKIE, &format!("session={token}; Path=/; HttpOnly"))
    }

    fn with_text(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

/// The part of a request that goes into the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Everything,
    WithoutBody,
    /// Faults leave such requests alone, too.
    Nothing,
}

/// One of the two planes: it has a session for each connection and answers requests.
pub(crate) trait Plane: Send + Sync + 'static {
    /// State of one TCP connection.
    type Session: Send + 'static;

    fn open(&self) -> Self::Session;

    /// Answers a request; `None` closes the connection without an answer.
    fn answer(&self, session: &mut Self::Session, exchange: &Exchange) -> impl Future<Output = Option<Reply>> + Send;

    /// Returns the cluster behind it, for the record.
    fn cluster(&self) -> Option<&str> {
        None
    }

    fn recorded(&self, _: &Exchange) -> Recorded {
        Recorded::Everything
    }

    /// Returns a value that differs once the connections opened before must end.
    fn period(&self) -> Option<Micros> {
        None
    }

    /// Returns whether no connection is accepted any more.
    fn is_gone(&self) -> bool {
        false
    }

    /// Returns the encryption of its connections, if they are encrypted.
    fn encryption(&self) -> Option<Encryption> {
        None
    }
}

/// Numbers of connections; unique in the process is enough.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Accepts connections until the plane is gone. `changes` says when to look whether it is.
pub(crate) async fn serve<P: Plane>(
    traffic: Arc<Traffic>,
    listener: TcpListener,
    plane: Arc<P>,
    mut changes: watch::Receiver<u64>,
) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Answers are small and latency is what clients measure.
                    let _ = stream.set_nodelay(true);
                    let (traffic, plane, changes) = (traffic.clone(), plane.clone(), changes.clone());
                    tokio::spawn(async move {
                        let stream = match plane.encryption() {
                            Some(encryption) => encryption.accept(stream).await,
                            None => Ok(Stream::Plain(stream)),
                        };
                        if let Ok(stream) = stream {
                            connection(traffic, stream, peer, plane, changes).await;
                        }
                    });
                }
                // Out of descriptors, most likely: give others the time to close some.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
            changed = changes.changed() => if changed.is_err() || plane.is_gone() { return },
        }
    }
}

async fn connection<P: Plane>(
    traffic: Arc<Traffic>,
    stream: Stream,
    peer: SocketAddr,
    plane: Arc<P>,
    mut changes: watch::Receiver<u64>,
) {
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let period = plane.period();
    let session = Arc::new(AsyncMutex::new(plane.open()));
    let service = {
        let plane = plane.clone();
        service_fn(move |request| {
            let (traffic, plane, session) = (traffic.clone(), plane.clone(), session.clone());
            async move { respond(&traffic, &*plane, &session, Arrival { number, peer, at: clock::now() }, request).await }
        })
    };
    let mut serving = std::pin::pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            _ = serving.as_mut() => return,
            changed = changes.changed() => {
                if changed.is_err() || plane.is_gone() || plane.period() != period {
                    break serving.as_mut().graceful_shutdown();
                }
            }
        }
    }
    let _ = serving.await;
}

/// The connection and the time of a request.
#[derive(Clone, Copy)]
struct Arrival {
    number: u64,
    peer: SocketAddr,
    at: Micros,
}

async fn respond<P: Plane>(
    traffic: &Traffic,
    plane: &P,
    session: &AsyncMutex<P::Session>,
    arrival: Arrival,
    request: hyper::Request<Incoming>,
) -> io::Result<hyper::Response<Full<Bytes>>> {
    let exchange = read(traffic, arrival, request).await?;
    let recorded = plane.recorded(&exchange);
    if recorded == Recorded::Nothing {
        return answered(plane.answer(&mut *session.lock().await, &exchange).await);
    }
    let mut record = describe(traffic, plane, arrival, &exchange, recorded);
    let action = traffic.faults().take(&exchange.method, &exchange.path);
    let reply = match action {
        Some(Action::Hang) => {
            traffic.record.add(record);
            return std::future::pending().await;
        }
        Some(Action::Drop) => None,
        Some(Action::Answer { status, body, retry_after }) => {
            let reply = Reply::new(status, json_or_text(&body), body);
            Some(match retry_after {
                Some(seconds) => reply.with_text(RETRY_AFTER, &seconds.to_string()),
                None => reply,
            })
        }
        // Carried out at once and answered late: a client that gives up loses only the answer.
        Some(Action::Delay(delay)) => {
            let reply = plane.answer(&mut *session.lock().await, &exchange).await;
            record.status = reply.as_ref().map_or(0, |reply| reply.status);
            traffic.record.add(record);
            tokio::time::sleep(delay).await;
            return answered(reply);
        }
        None => plane.answer(&mut *session.lock().await, &exchange).await,
    };
    record.status = reply.as_ref().map_or(0, |reply| reply.status);
    traffic.record.add(record);
    answered(reply)
}

fn answered(reply: Option<Reply>) -> io::Result<hyper::Response<Full<Bytes>>> {
    reply.map(response).ok_or_else(|| io::Error::other("closed without an answer, by a fault"))
}

fn describe<P: Plane>(
    traffic: &Traffic,
    plane: &P,
    arrival: Arrival,
    exchange: &Exchange,
    recorded: Recorded,
) -> Request {
    let body = || exchange.decompressed().unwrap_or_else(|| exchange.body.clone());
    let text = |name: HeaderName| exchange.header(name.as_str()).unwrap_or_default().to_owned();
    Request {
        at_ms: at_ms(arrival.at),
        method: exchange.method.clone(),
        path: exchange.path.clone(),
        query: traffic.record.query(&exchange.query),
        status: 0,
        body: if recorded == Recorded::Everything { traffic.record.body(&body()) } else { Value::Null },
        cluster: plane.cluster().map(str::to_owned),
        connection: arrival.number,
        user_agent: text(USER_AGENT),
        auth: scheme(exchange),
        region: exchange.header("x-region").map(str::to_owned),
    }
}

/// Returns the kind of credentials of a request.
fn scheme(exchange: &Exchange) -> &'static str {
    let scheme = exchange.header(AUTHORIZATION.as_str()).and_then(|header| header.split(' ').next());
    match scheme.map(str::to_ascii_lowercase).as_deref() {
        Some("basic") => "basic",
        Some("bearer") => "bearer",
        Some(_) => "other",
        None if exchange.header(COOKIE.as_str()).is_some_and(|cookies| cookies.contains("session=")) => "session",
        None => "none",
    }
}

async fn read(traffic: &Traffic, arrival: Arrival, request: hyper::Request<Incoming>) -> io::Result<Exchange> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Exchange {
        at: arrival.at + traffic.clock.ahead(),
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        peer: arrival.peer,
    })
}

fn json_or_text(body: &str) -> &'static str {
    if body.starts_with(['{', '[']) { "application/json" } else { "text/plain; charset=utf-8" }
}

fn response(reply: Reply) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(reply.body));
    *response.status_mut() = hyper::StatusCode::from_u16(reply.status).unwrap_or(hyper::StatusCode::BAD_GATEWAY);
    for (name, value) in reply.headers {
        response.headers_mut().append(name, value);
    }
    if reply.close {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Splits a query into decoded pairs.
pub(crate) fn parse_query(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_and_keep_their_order() {
        let pairs = parse_query("statuses=SENT&statuses=FAILED&start=2026-01-03T10%3A00%3A00Z&x=a+b&flag");
        let shown: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(shown, ["statuses=SENT", "statuses=FAILED", "start=2026-01-03T10:00:00Z", "x=a b", "flag="]);
    }

    #[test]
    fn broken_escapes_are_kept() {
        assert_eq!(parse_query("100%=%zz%41"), [("100%".to_owned(), "%zzA".to_owned())]);
    }
}
