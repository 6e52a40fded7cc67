//! TLS of the stand-in: a key and certificates from a keystore of Java, and the names in the certificates of clients.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ring::digest;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{Error as TlsError, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The length of a SHA-1 digest.
const DIGEST: usize = 20;

/// A connection, encrypted or not.
pub(crate) enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// Encrypts the connections of a listener.
#[derive(Clone)]
pub(crate) struct Encryption(TlsAcceptor);

impl Encryption {
    /// Takes the key and the certificates of a keystore. Clients may show a certificate that the last of them signed.
    pub(crate) fn of(keystore: &Keystore) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        keystore.chain.last().map_or(Ok(()), |root| roots.add(root.clone()))?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let clients = clients.allow_unauthenticated().build().map_err(|error| TlsError::General(error.to_string()))?;
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(keystore.key.clone()));
        let config = config.with_client_cert_verifier(clients).with_single_cert(keystore.chain.clone(), key)?;
        Ok(Self(Arc::new(config).into()))
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        Ok(Stream::Encrypted(Box::new(self.0.accept(stream).await?)))
    }
}

impl Stream {
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Encrypted(_))
    }

    /// Returns the name in the certificate that the client showed.
    pub(crate) fn shown_name(&self) -> Option<String> {
        let Self::Encrypted(stream) = self else { return None };
        common_name(stream.get_ref().1.peer_certificates()?.first()?)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Returns the last common name in a certificate, which is its subject's: the issuer's stands before it.
fn common_name(certificate: &[u8]) -> Option<String> {
    /// 2.5.4.3
    const COMMON_NAME: [u8; 5] = [6, 3, 0x55, 4, 3];
    let at = certificate.windows(COMMON_NAME.len()).rposition(|bytes| bytes == COMMON_NAME)?;
    let [_kind, length, text @ ..] = &certificate[at + COMMON_NAME.len()..] else { return None };
    String::from_utf8(text.get(..usize::from(*length))?.to_vec()).ok()
}

/// A key and the certificates that belong to it, the authority's last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keystore {
    key: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
}

impl Keystore {
    /// Reads a keystore in the format JKS, with one key and no password.
    pub(crate) fn read(file: &[u8]) -> Result<Self, &'static str> {
        const OTHER: &str = "Invalid keystore format";
        const ALTERED: &str = "Keystore was tampered with, or password was incorrect";
        if !file.starts_with(&[0xFE, 0xED, 0xFE, 0xED]) || file.len() < DIGEST {
            return Err(OTHER);
        }
        let (content, digest) = file.split_at(file.len() - DIGEST);
        if sha1(&[b"Mighty Aphrodite", content]) != digest {
            return Err(ALTERED);
        }
        let mut rest = Rest(&content[4..]);
        let (version, entries, kind) = (rest.number(), rest.number(), rest.number());
        if (version, entries, kind) != (Some(2), Some(1), Some(1)) {
            return Err("the embedded engine takes a keystore of one key");
        }
        let read = |rest: &mut Rest<'_>| {
            rest.short()?;
            // The time of its creation.
            rest.take(8)?;
            let key = revealed(rest.long()?)?;
            let chain = (0..rest.number()?).map(|_| {
                rest.short()?;
                Some(CertificateDer::from(rest.long()?.to_vec()))
            });
            Some(Self { key, chain: chain.collect::<Option<_>>()? })
        };
        read(&mut rest).ok_or(OTHER)
    }
}

/// The part of a keystore that is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Takes bytes that stand behind their length, of two bytes.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        self.take(length.into())
    }

    /// Takes bytes that stand behind their length, of four bytes.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }
}

/// Returns a key that is hidden under a stream of digests, each of the one before, as JKS does without a password.
fn revealed(hidden: &[u8]) -> Option<Vec<u8>> {
    /// The method's object identifier, 1.3.6.1.4.1.42.2.17.1.1, with its header.
    const METHOD: [u8; 12] = [6, 10, 0x2B, 6, 1, 4, 1, 0x2A, 2, 17, 1, 1];
    let at = hidden.windows(METHOD.len()).position(|bytes| bytes == METHOD)?;
    // Perhaps a word for no parameters; then bytes with a length of one to three bytes.
    let rest = hidden.get(at + METHOD.len()..)?;
    let octets = rest.strip_prefix(&[5, 0]).unwrap_or(rest);
    let header = match octets {
        [4, 0x82, ..] => 4,
        [4, 0x81, ..] => 3,
        [4, ..] => 2,
        _ => return None,
    };
    let (salt, rest) = octets.get(header..)?.split_at_checked(DIGEST)?;
    let (masked, proof) = rest.split_at_checked(rest.len().checked_sub(DIGEST)?)?;
    let mut mask = salt.to_vec();
    let mut key = Vec::with_capacity(masked.len());
    for part in masked.chunks(DIGEST) {
        mask = sha1(&[&mask]);
        key.extend(part.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
    }
    (sha1(&[&key]) == proof).then_some(key)
}

fn sha1(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A keystore of `keytool -genkeypair -storetype JKS -keyalg RSA`, whose password the JVM's own classes
    /// took away.
    const JAVAS: &[u8] = include_bytes!("tls/java.keystore");

    #[test]
    fn what_java_wrote_is_read_and_serves() {
        let keystore = Keystore::read(JAVAS).unwrap();
        assert_eq!(keystore.chain.len(), 1);
        assert_eq!(common_name(&keystore.chain[0]).as_deref(), Some("standin"));
        Encryption::of(&keystore).unwrap();
    }

    #[test]
    fn a_file_that_is_altered_cut_or_of_another_format_is_refused() {
        let mut altered = JAVAS.to_vec();
        altered[60] ^= 1;
        assert_eq!(Keystore::read(&altered), Err("Keystore was tampered with, or password was incorrect"));
        assert!((0..JAVAS.len()).all(|length| Keystore::read(&JAVAS[..length]).is_err()));
        assert_eq!(Keystore::read(b"PKCS #12, perhaps"), Err("Invalid keystore format"));
    }

    #[test]
    fn a_certificate_without_a_name_has_none() {
        for bytes in [&b""[..], b"x", &[6, 3, 0x55, 4, 3], &[6, 3, 0x55, 4, 3, 0x0C, 9, b'a']] {
            assert_eq!(common_name(bytes), None, "{bytes:?}");
        }
        assert_eq!(common_name(&[6, 3, 0x55, 4, 3, 0x0C, 1, b'a']).as_deref(), Some("a"));
    }
}
