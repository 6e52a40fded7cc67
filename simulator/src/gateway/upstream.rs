//! A connection to a real CrateDB: one for each client connection, since a connection is a session there.

use std::io;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::http::{Exchange, Reply};

/// An open connection to the server behind a gateway.
#[derive(Debug)]
pub(crate) struct Upstream(SendRequest<Full<Bytes>>);

/// These belong to one connection and are not passed on.
const HOP_BY_HOP: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

impl Upstream {
    pub(super) async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Ends when the sender is dropped, with the client's connection.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Passes a request on. After an error the session is lost, and the client's connection must end too.
    pub(super) async fn forward(&mut self, exchange: &Exchange) -> io::Result<Reply> {
        let target = match exchange.query.is_empty() {
            true => exchange.path.clone(),
            false => format!("{}?{}", exchange.path, exchange.query),
        };
        let mut request = hyper::Request::builder().method(exchange.method.as_str()).uri(target);
        for (name, value) in exchange.headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(name)) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(exchange.body.clone())).map_err(io::Error::other)?;
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
