//! The PostgreSQL protocol in front of the embedded engine: connections and frames.
//!
//! The crate `pgwire` encodes and decodes messages. Their order and contents follow CrateDB and are decided here. One
//! task serves each connection and ends when its cluster stops running.

mod door;
mod failure;
mod input;
mod output;
mod session;
mod types;

use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::{Authentication, Startup};
use pgwire::messages::{DecodeContext, Message as _, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use door::Greeting;
pub(crate) use door::{Client, Entry, Server};
use session::{Conversation, Next};

use crate::tls::{Encryption, Stream};
use failure::{Failure, fatal, rejection};

/// Time that a client may take for its start-up.
const PATIENCE: Duration = Duration::from_secs(30);
const LARGEST_GREETING: usize = 10_000;
/// The same as for a request over HTTP.
const LARGEST_MESSAGE: usize = 100 << 20;

const SSL_REQUEST: i32 = 80_877_103;
const CANCEL_REQUEST: i32 = 80_877_102;

static CONNECTIONS: AtomicI32 = AtomicI32::new(1);

/// Accepts connections until the server is gone. `changes` says when to look whether it is.
pub(crate) async fn serve<S: Server>(listener: TcpListener, server: Arc<S>, mut changes: watch::Receiver<u64>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tokio::spawn(connection(stream, peer.ip(), server.clone(), changes.clone()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            changed = changes.changed() => if changed.is_err() || server.is_gone() { return },
        }
    }
}

/// Serves a connection until the client leaves or its server ends.
async fn connection<S: Server>(stream: TcpStream, from: IpAddr, server: Arc<S>, mut changes: watch::Receiver<u64>) {
    let _ = stream.set_nodelay(true);
    // Closed at once, as by a load balancer without a server behind it.
    let Some(period) = server.period() else { return };
    let mut wire = Wire { stream: Some(Stream::Plain(stream)), read: BytesMut::new(), write: BytesMut::new() };
    let talk = async {
        let greeted = tokio::time::timeout(PATIENCE, greet(&mut wire, from, &*server)).await;
        if let Ok(Ok(Some(session))) = greeted {
            let _ = talk(&mut wire, session, &*server).await;
        }
    };
    let ended = async {
        while changes.changed().await.is_ok() {
            if server.is_gone() || server.period() != Some(period) {
                return;
            }
        }
    };
    tokio::select! {
        () = talk => {}
        () = ended => {}
    }
}

/// A connection's bytes.
struct Wire {
    /// None if its encryption failed.
    stream: Option<Stream>,
    read: BytesMut,
    write: BytesMut,
}

impl Wire {
    /// Waits until this number of bytes is there.
    async fn need(&mut self, count: usize) -> io::Result<()> {
        while self.read.len() < count {
            let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
            if stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Returns the length field at this offset.
    fn length(&self, at: usize) -> usize {
        (&self.read[at..]).get_i32().try_into().unwrap_or(0)
    }

    fn put(&mut self, messages: &[PgWireBackendMessage]) -> io::Result<()> {
        messages.iter().try_for_each(|message| message.encode(&mut self.write)).map_err(io::Error::other)
    }

    async fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        stream.write_all_buf(&mut self.write).await?;
        stream.flush().await
    }

    /// Answers whether the connection is encrypted from here on, and encrypts it.
    async fn encrypt(&mut self, encryption: Option<Encryption>) -> io::Result<()> {
        match (self.stream.take(), encryption) {
            // Bytes that came before the answer were sent in the clear, perhaps by a program in between.
            (Some(Stream::Plain(mut tcp)), Some(encryption)) if self.read.is_empty() => {
                tcp.write_all(b"S").await?;
                self.stream = Some(encryption.accept(tcp).await?);
            }
            (Some(Stream::Plain(mut tcp)), None) => {
                tcp.write_all(b"N").await?;
                self.stream = Some(Stream::Plain(tcp));
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(())
    }

    async fn send(&mut self, messages: &[PgWireBackendMessage]) -> io::Result<()> {
        self.put(messages)?;
        self.flush().await
    }

    /// Reads a packet of the start-up: its code, and the whole packet.
    async fn packet(&mut self) -> io::Result<Option<(i32, BytesMut)>> {
        self.need(8).await?;
        let length = self.length(0);
        if !(8..=LARGEST_GREETING).contains(&length) {
            self.send(&[PgWireBackendMessage::ErrorResponse(fatal("invalid length of startup packet"))]).await?;
            return Ok(None);
        }
        self.need(length).await?;
        let packet = self.read.split_to(length);
        Ok(Some(((&packet[4..]).get_i32(), packet)))
    }

    /// Reads a message: its letter, and the whole message.
    async fn message(&mut self, largest: usize) -> io::Result<Option<(u8, BytesMut)>> {
        self.need(5).await?;
        let length = self.length(1);
        if !(4..=largest).contains(&length) {
            self.send(&[PgWireBackendMessage::ErrorResponse(fatal("a message of this length is not accepted"))])
                .await?;
            return Ok(None);
        }
        self.need(length + 1).await?;
        let message = self.read.split_to(length + 1);
        Ok(Some((message[0], message)))
    }
}

/// Lets a client in, or answers with the reason why not.
async fn greet<S: Server>(wire: &mut Wire, from: IpAddr, server: &S) -> io::Result<Option<Conversation>> {
    let startup = loop {
        let Some((code, packet)) = wire.packet().await? else { return Ok(None) };
        match code {
            SSL_REQUEST => wire.encrypt(server.encryption()).await?,
            // No statement runs long enough to be cancelled.
            CANCEL_REQUEST => {
                let _ = decoded(packet, CancelRequest::decode);
                return Ok(None);
            }
            _ if code >> 16 == 3 => match decoded(packet, Startup::decode) {
                Some(startup) => break startup,
                None => return Ok(None),
            },
            _ => {
                let (major, minor) = (code >> 16, code & 0xFFFF);
                let text = format!("Unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0");
                wire.send(&[PgWireBackendMessage::ErrorResponse(fatal(&text))]).await?;
                return Ok(None);
            }
        }
    };
    let mut out = vec![];
    let greeting = Greeting::read(&startup, &mut out);
    let encrypted = wire.stream.as_ref().is_some_and(Stream::is_encrypted);
    let client = Client { address: from, encrypted, shown: wire.stream.as_ref().and_then(Stream::shown_name) };
    let refused = match server.entry(&greeting.user, &client) {
        None => return Ok(None),
        Some(Entry::Trust) => None,
        Some(Entry::Closed(why)) => Some(why),
        Some(Entry::Password) => {
            out.push(PgWireBackendMessage::Authentication(Authentication::CleartextPassword));
            wire.send(&out).await?;
            out.clear();
            match password(wire).await? {
                Some(password) if server.knows(&greeting.user, &password) => None,
                Some(_) => Some(format!("password authentication failed for user \"{}\"", greeting.user)),
                None => return Ok(None),
            }
        }
    };
    let opened = match (refused, server.connect()) {
        (None, Some(engine)) => greeting.open(engine, CONNECTIONS.fetch_add(1, Ordering::Relaxed), &mut out),
        (None, None) => return Ok(None),
        (Some(why), _) => Err(why),
    };
    let session = match opened {
        Ok(session) => Some(session),
        Err(why) => {
            out.push(PgWireBackendMessage::ErrorResponse(rejection(&why)));
            None
        }
    };
    wire.send(&out).await?;
    Ok(session)
}

/// Reads a password.
async fn password(wire: &mut Wire) -> io::Result<Option<String>> {
    let Some((b'p', message)) = wire.message(LARGEST_GREETING).await? else { return Ok(None) };
    let text = message.get(5..).and_then(|body| body.strip_suffix(&[0]));
    Ok(text.and_then(|text| String::from_utf8(text.to_vec()).ok()))
}

/// Answers messages until the client leaves.
async fn talk<S: Server>(wire: &mut Wire, mut session: Conversation, server: &S) -> io::Result<()> {
    let mut out = vec![];
    loop {
        let Some((letter, message)) = wire.message(LARGEST_MESSAGE).await? else { return Ok(()) };
        server.used();
        if !b"QPBDECHSX".contains(&letter) {
            let failure = Failure::internal(format!("Unsupported messageType: {letter}"));
            wire.send(&[PgWireBackendMessage::ErrorResponse(failure.response())]).await?;
            continue;
        }
        let Some(message) = decoded(message, PgWireFrontendMessage::decode) else {
            return wire.send(&[PgWireBackendMessage::ErrorResponse(fatal("a message that ends early"))]).await;
        };
        let waits = matches!(letter, b'Q' | b'S' | b'H');
        let next = session.handle(message, &mut out);
        wire.put(&out)?;
        out.clear();
        if waits || next == Next::End {
            server.changed();
            wire.flush().await?;
        }
        if next == Next::End {
            return Ok(());
        }
    }
}

/// Decodes a frame whose length is right. The crate panics if the contents are malformed.
fn decoded<T, E>(
    mut frame: BytesMut,
    decode: impl FnOnce(&mut BytesMut, &DecodeContext) -> Result<Option<T>, E>,
) -> Option<T> {
    let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    (context.awaiting_frontend_ssl, context.awaiting_frontend_startup) = (false, false);
    catch_unwind(AssertUnwindSafe(|| decode(&mut frame, &context).ok().flatten())).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(letter: u8, body: &[u8]) -> BytesMut {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        BytesMut::from(&[&[letter][..], &length, body].concat()[..])
    }

    #[test]
    fn what_is_no_message_is_no_panic() {
        for letter in *b"QPBDECHSX" {
            for body in [&b""[..], b"\0", b"a", b"\0\0\xff\xff", b"a\0b\0\x7f\xff\x7f\xff", &[0xff; 64]] {
                // Some of these mean something; none ends the thread.
                let _ = decoded(frame(letter, body), PgWireFrontendMessage::decode);
            }
        }
        assert!(decoded(frame(b'B', b"\0\0\0\0\0\x01\0\0\0\x10short"), PgWireFrontendMessage::decode).is_none());
    }

    #[test]
    fn a_message_is_read_from_its_frame() {
        let query = decoded(frame(b'Q', b"SELECT 1\0"), PgWireFrontendMessage::decode);
        let Some(PgWireFrontendMessage::Query(query)) = query else { panic!("{query:?}") };
        assert_eq!(query.query, "SELECT 1");
    }
}
