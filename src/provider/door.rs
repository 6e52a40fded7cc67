//! The superuser's way into a server that asks for passwords: CrateDB gives `crate` none, and lets it in by a
//! certificate over the PostgreSQL protocol. The harness goes this way once, to make the user for everything else.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authority::SUPERUSER;
use crate::secret::Secret;

/// Asks whether the server encrypts: the length, and a number.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// The protocol's version, 3.0.
const VERSION: u32 = 3 << 16;
/// The type of a text parameter.
const VARCHAR: u32 = 1043;
/// The most bytes of one message. A server that starts says little.
const MOST: u32 = 1 << 16;

/// The reason that a statement was not executed.
pub(super) enum Shut {
    /// The server lets nobody in by this certificate, and never will.
    Refused(String),
    /// The server refused a statement.
    Statement(String),
    /// There was no connection, or it broke, as it does while the server starts. An engine answers before its container
    /// does, and breaks connections in changing ways.
    Broken,
}

impl fmt::Display for Shut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(message) | Self::Statement(message) => f.write_str(message),
            Self::Broken => f.write_str("the server does not answer yet"),
        }
    }
}

impl From<io::Error> for Shut {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A certificate that is not accepted, or bytes of another protocol: waiting changes neither.
            io::ErrorKind::InvalidData | io::ErrorKind::Other => Self::Refused(error.to_string()),
            _ => Self::Broken,
        }
    }
}

/// A connection as the superuser.
pub(super) struct Door(TlsStream<TcpStream>);

/// A message of the server, without its length.
struct Message {
    kind: u8,
    body: Vec<u8>,
}

impl Door {
    /// Connects with the superuser's certificate, which `tls` shows.
    pub(super) async fn open(host: &str, port: u16, tls: ClientConfig) -> Result<Self, Shut> {
        let mut tcp = TcpStream::connect((host, port)).await?;
        tcp.write_all(&SSL_REQUEST).await?;
        if tcp.read_u8().await? != b'S' {
            return Err(Shut::Refused("the server does not encrypt".into()));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut door = Self(TlsConnector::from(Arc::new(tls)).connect(name, tcp).await?);
        let mut startup = VERSION.to_be_bytes().to_vec();
        ["user", SUPERUSER, "database", "doc", ""].iter().for_each(|word| put_text(&mut startup, word));
        door.0.write_all(&with_length(startup)).await?;
        loop {
            let Message { kind, body } = door.message().await?;
            match (kind, body.as_slice()) {
                (b'R', [0, 0, 0, 0]) => {}
                (b'R', _) => return Err(Shut::Refused("the server asks the superuser for a password".into())),
                (b'E', body) => return Err(Shut::Refused(message_of(body))),
                (b'Z', _) => return Ok(door),
                _ => {}
            }
        }
    }

    /// Executes a statement. What is secret stands in its arguments, which the server writes to no log.
    pub(super) async fn execute(&mut self, stmt: &str, arguments: &[&Secret]) -> Result<(), Shut> {
        let count = u16::try_from(arguments.len()).map_err(io::Error::other)?;
        let (mut parse, mut bind, mut execute) = (Vec::new(), Vec::new(), Vec::new());
        ["", stmt].iter().for_each(|text| put_text(&mut parse, text));
        parse.extend(count.to_be_bytes());
        arguments.iter().for_each(|_| parse.extend(VARCHAR.to_be_bytes()));
        // No name, no formats: all are texts.
        ["", ""].iter().for_each(|text| put_text(&mut bind, text));
        bind.extend([&[0, 0], &count.to_be_bytes()[..]].concat());
        for argument in arguments {
            let text = argument.expose().as_bytes();
            bind.extend(u32::try_from(text.len()).map_err(io::Error::other)?.to_be_bytes());
            bind.extend(text);
        }
        bind.extend([0, 0]);
        put_text(&mut execute, "");
        execute.extend([0; 4]);
        let mut all = Vec::new();
        for (kind, body) in [(b'P', parse), (b'B', bind), (b'E', execute), (b'S', Vec::new())] {
            all.push(kind);
            all.extend(with_length(body));
        }
        self.0.write_all(&all).await?;
        let mut refused = Ok(());
        loop {
            match self.message().await? {
                Message { kind: b'E', body } => {
                    refused = Err(Shut::Statement(message_of(&body)));
                }
                Message { kind: b'Z', .. } => return refused,
                _ => {}
            }
        }
    }

    async fn message(&mut self) -> io::Result<Message> {
        let kind = self.0.read_u8().await?;
        let length = self.0.read_u32().await?;
        if !(4..=MOST).contains(&length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the server does not speak PostgreSQL"));
        }
        let mut body = vec![0; length as usize - 4];
        self.0.read_exact(&mut body).await?;
        Ok(Message { kind, body })
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.as_bytes());
    out.push(0);
}

fn with_length(body: Vec<u8>) -> Vec<u8> {
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

/// Returns the message of an error.
fn message_of(body: &[u8]) -> String {
    let mut fields = body.split(|byte| *byte == 0);
    let found = fields.find_map(|field| field.split_first().filter(|(kind, _)| **kind == b'M'));
    found.map_or_else(|| "no reason is told".into(), |(_, text)| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_its_message() {
        let body = b"SERROR\0VERROR\0C42710\0MRole already exists\0\0";
        assert_eq!(message_of(body), "Role already exists");
        assert_eq!(message_of(b"\0"), "no reason is told");
        assert_eq!(message_of(b""), "no reason is told");
    }
}
