//! A connection to a real CrateDB: one for each client connection, since a connection is a session there.

use std::io;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::http::{Exchange, Reply};

/// Headers that belong to one connection and are not passed on.
const HOP_BY_HOP: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// A connection to a real CrateDB.
#[derive(Debug)]
pub(crate) struct Upstream(SendRequest<Full<Bytes>>);

impl Upstream {
    pub(super) async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Ends when the sender is dropped, with the client's connection.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Passes a request on as it came. After an error the session is lost, and the client's connection must end too.
    pub(super) async fn forward(&mut self, exchange: &Exchange) -> io::Result<Reply> {
        self.send(&exchange.method, &exchange.target(), &exchange.headers, exchange.body.clone()).await
    }

    /// Passes a request on with other credentials than the client's, or without any.
    pub(super) async fn forward_as(&mut self, exchange: &Exchange, who: Option<&HeaderValue>) -> io::Result<Reply> {
        let mut headers = exchange.headers.clone();
        headers.remove(AUTHORIZATION);
        headers.extend(who.map(|who| (AUTHORIZATION, who.clone())));
        self.send(&exchange.method, &exchange.target(), &headers, exchange.body.clone()).await
    }

    /// Executes a statement of the simulator's own: the body of a request to `_sql`. Returns the status and the answer,
    /// as text if it is no JSON.
    pub(super) async fn ask(&mut self, headers: &HeaderMap, body: &Value) -> io::Result<(u16, Value)> {
        let reply = self.send("POST", "/_sql", headers, body.to_string().into()).await?;
        let text = || Value::String(String::from_utf8_lossy(&reply.body).trim().to_owned());
        Ok((reply.status, serde_json::from_slice(&reply.body).unwrap_or_else(|_| text())))
    }

    async fn send(&mut self, method: &str, target: &str, headers: &HeaderMap, body: Bytes) -> io::Result<Reply> {
        let mut request = hyper::Request::builder().method(method).uri(target);
        for (name, value) in headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(name)) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(io::Error::other)?;
        self.0.ready().await.map_err(io::Error::other)?;
        let (head, body) = self.0.send_request(request).await.map_err(io::Error::other)?.into_parts();
        let close = head.headers.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        let headers = head.headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(name));
        Ok(Reply {
            status: head.status.as_u16(),
            headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
            body: body.collect().await.map_err(io::Error::other)?.to_bytes(),
            close: close || self.0.is_closed(),
        })
    }
}

/// Returns the headers of the simulator's own requests.
pub(super) fn headers(address: &str, authorization: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(HeaderValue::from_str(address).ok().map(|host| (HOST, host)));
    headers.extend(authorization.map(|secret| (AUTHORIZATION, secret.clone())));
    headers
}
