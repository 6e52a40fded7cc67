//! HTTP/1.1 of both planes: accepts connections, plays faults, keeps the record.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE,
    USER_AGENT,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::fault::Action;
use crate::gateway::embedded::decompressed;
use crate::requests::{Request, at_ms};
use crate::shared::Shared;
use crate::state::Micros;

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
    /// A header as text, if it is there and readable.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What goes back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// Whether the connection ends with it.
    pub(crate) close: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let content_type = (CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, headers: vec![content_type], body: body.into(), close: false }
    }

    /// No body and no type of one.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), close: false }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// To somewhere else, for browsers; clients of the API never follow.
    pub(crate) fn redirect(to: &str) -> Self {
        Self::empty(302).with_text(LOCATION, to)
    }

    /// With a new token for the session.
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

/// What of a request goes into the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Everything,
    WithoutBody,
    /// And no fault is meant for it either.
    Nothing,
}

/// One of the two planes: what lives as long as a connection, and what a request gets.
pub(crate) trait Plane: Send + Sync + 'static {
    /// State of one TCP connection.
    type Session: Send + 'static;

    fn open(&self) -> Self::Session;

    /// `None` closes the connection without an answer.
    fn answer(&self, session: &mut Self::Session, exchange: &Exchange) -> impl Future<Output = Option<Reply>> + Send;

    /// The cluster behind it, for the record.
    fn cluster(&self) -> Option<&str> {
        None
    }

    fn recorded(&self, _: &Exchange) -> Recorded {
        Recorded::Everything
    }

    /// Differs once the connections opened before must end.
    fn period(&self) -> Option<Micros> {
        None
    }

    /// Whether nobody shall be accepted any more.
    fn is_gone(&self) -> bool {
        false
    }
}

/// Numbers of connections; unique in the process is enough.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Accepts connections until the plane is gone.
pub(crate) async fn serve<P: Plane>(shared: Arc<Shared>, listener: TcpListener, plane: Arc<P>) {
    let mut changes = shared.changes();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tokio::spawn(connection(shared.clone(), stream, peer, plane.clone()));
                }
                // Out of descriptors, most likely: give others the time to close some.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
            changed = changes.changed() => if changed.is_err() || plane.is_gone() { return },
        }
    }
}

async fn connection<P: Plane>(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, plane: Arc<P>) {
    // Answers are small and latency is what clients measure.
    let _ = stream.set_nodelay(true);
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let period = plane.period();
    let session = Arc::new(Mutex::new(plane.open()));
    let mut changes = shared.changes();
    let service = {
        let plane = plane.clone();
        service_fn(move |request| {
            let (shared, plane, session) = (shared.clone(), plane.clone(), session.clone());
            async move {
                respond(&shared, &*plane, &session, Arrival { number, peer, at: crate::shared::now() }, request).await
            }
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

/// Where and when a request came in.
#[derive(Clone, Copy)]
struct Arrival {
    number: u64,
    peer: SocketAddr,
    at: Micros,
}

async fn respond<P: Plane>(
    shared: &Shared,
    plane: &P,
    session: &Mutex<P::Session>,
    arrival: Arrival,
    request: hyper::Request<Incoming>,
) -> io::Result<hyper::Response<Full<Bytes>>> {
    let exchange = read(shared, arrival, request).await?;
    let recorded = plane.recorded(&exchange);
    if recorded == Recorded::Nothing {
        return answered(plane.answer(&mut *session.lock().await, &exchange).await);
    }
    let mut record = describe(shared, plane, arrival, &exchange, recorded);
    let reply = match shared.take_fault(&exchange.method, &exchange.path) {
        Some(Action::Hang) => {
            shared.record.add(record);
            return std::future::pending().await;
        }
        Some(Action::Drop) => None,
        Some(Action::Answer { status, body }) => Some(Reply::new(status, json_or_text(&body), body)),
        // Carried out at once and answered late: whoever doesn't wait for the answer loses the answer only.
        Some(Action::Delay(delay)) => {
            let reply = plane.answer(&mut *session.lock().await, &exchange).await;
            record.status = reply.as_ref().map_or(0, |reply| reply.status);
            shared.record.add(record);
            tokio::time::sleep(delay).await;
            return answered(reply);
        }
        None => plane.answer(&mut *session.lock().await, &exchange).await,
    };
    record.status = reply.as_ref().map_or(0, |reply| reply.status);
    shared.record.add(record);
    answered(reply)
}

fn answered(reply: Option<Reply>) -> io::Result<hyper::Response<Full<Bytes>>> {
    reply.map(response).ok_or_else(|| io::Error::other("closed without an answer, as told"))
}

fn describe<P: Plane>(
    shared: &Shared,
    plane: &P,
    arrival: Arrival,
    exchange: &Exchange,
    recorded: Recorded,
) -> Request {
    let body = || decompressed(exchange).unwrap_or_else(|| exchange.body.clone());
    let text = |name: HeaderName| exchange.header(name.as_str()).unwrap_or_default().to_owned();
    Request {
        at_ms: at_ms(arrival.at),
        method: exchange.method.clone(),
        path: exchange.path.clone(),
        query: shared.record.query(&exchange.query),
        status: 0,
        body: if recorded == Recorded::Everything { shared.record.body(&body()) } else { Value::Null },
        cluster: plane.cluster().map(str::to_owned),
        connection: arrival.number,
        user_agent: text(USER_AGENT),
        auth: scheme(exchange),
        region: exchange.header("x-region").map(str::to_owned),
    }
}

/// How a client says who it is.
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

async fn read(shared: &Shared, arrival: Arrival, request: hyper::Request<Incoming>) -> io::Result<Exchange> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Exchange {
        at: arrival.at + shared.clock_offset(),
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
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect()
}

/// Percent-decoding; `+` is a space.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
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
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%41"), "%zzA");
    }
}
