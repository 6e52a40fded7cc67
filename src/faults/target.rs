//! The server behind the proxy, and the connection to it, encrypted where the server wants that.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client of PostgreSQL asks with these bytes whether the server encrypts: their length, and a number.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A server's address, and how it is spoken to.
pub(crate) struct Target {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// None where the server does not want it.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Encryption begins with a question, as PostgreSQL has it, and not with the connection.
    pub(crate) asks_first: bool,
}

/// A connection to a server.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {
    /// Returns the connection below all encryption.
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Target {
    /// Connects, and checks the certificate against the server's own name.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Wire>> {
        let mut tcp = TcpStream::connect((&*self.host, self.port)).await?;
        let _ = tcp.set_nodelay(true);
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        if self.asks_first {
            tcp.write_all(&SSL_REQUEST).await?;
            if tcp.read_u8().await? != b'S' {
                return Err(io::Error::other("the server does not encrypt, and the address demands it"));
            }
        }
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(tls.clone()).connect(name, tcp).await?))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
