//! A certificate authority for one server: it lives as long as the call that makes it, and signs one certificate.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use ring::rand::{SecureRandom as _, SystemRandom};
use time::{Duration, OffsetDateTime};

use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// The certificate of a server, as files.
pub(crate) struct ServerCertificate {
    /// The authority's certificate, by which clients know the server.
    pub(crate) ca_pem: String,
    /// The server's key and certificates, as Java reads them.
    pub(crate) keystore: Vec<u8>,
}

/// A run lasts hours. Clocks of containers and of this machine may differ a little.
const VALID: Duration = Duration::days(7);
const EARLIER: Duration = Duration::days(1);

impl ServerCertificate {
    /// Makes an authority and a certificate for these names and addresses. The authority's key is forgotten.
    pub(crate) fn for_hosts(hosts: &[&str], password: &Secret) -> Result<Self> {
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(failed)?;
        Self::signed(hosts, password.expose(), salt).map_err(failed)
    }

    fn signed(hosts: &[&str], password: &str, salt: [u8; SALT]) -> Result<Self, rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let mut authority = valid_now(CertificateParams::new(Vec::new())?);
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        authority.distinguished_name.push(DnType::CommonName, "cratedb-test, for one run");
        let ca = authority.self_signed(&ca_key)?;
        let key = KeyPair::generate()?;
        let named: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut server = valid_now(CertificateParams::new(named)?);
        server.distinguished_name.push(DnType::CommonName, hosts.first().copied().unwrap_or_default());
        let certificate = server.signed_by(&key, &Issuer::new(authority, ca_key))?;
        let chain = [certificate.der().as_ref(), ca.der().as_ref()];
        Ok(Self { ca_pem: ca.pem(), keystore: keystore(&key.serialize_der(), &chain, password, salt) })
    }
}

/// The length of a SHA-1 digest, and of the random bytes that stand for the first.
const SALT: usize = 20;

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Provider, "cannot make a certificate for the server").because(error.to_string())
}

fn valid_now(mut params: CertificateParams) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - EARLIER, now + VALID);
    params
}

/// Writes a keystore in Java's first format, JKS, which every JVM reads as its default format. PKCS #12 would take
/// thirty more crates, for ciphers that hide the key from those who don't know a password which lies beside it.
fn keystore(key: &[u8], chain: &[&[u8]], password: &str, salt: [u8; SALT]) -> Vec<u8> {
    const MAGIC: u32 = 0xFEED_FEED;
    const VERSION: u32 = 2;
    const KEY_ENTRY: u32 = 1;
    let mut out = Vec::new();
    for number in [MAGIC, VERSION, 1, KEY_ENTRY] {
        out.extend(number.to_be_bytes());
    }
    text(&mut out, "server");
    // The time of its creation, in milliseconds.
    out.extend(0_u64.to_be_bytes());
    bytes(&mut out, &hidden(key, password, salt));
    out.extend((chain.len() as u32).to_be_bytes());
    for certificate in chain {
        text(&mut out, "X.509");
        bytes(&mut out, certificate);
    }
    let digest = sha1(&[&utf16(password), b"Mighty Aphrodite", &out]);
    out.extend(digest);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

/// Hides a key as JKS does: under a stream of digests of the password, each with the one before. The first is random.
fn hidden(key: &[u8], password: &str, salt: [u8; SALT]) -> Vec<u8> {
    /// 1.3.6.1.4.1.42.2.17.1.1, and its parameters: none.
    const METHOD: [u8; 16] =
        [0x30, 0x0E, 0x06, 0x0A, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x2A, 0x02, 0x11, 0x01, 0x01, 0x05, 0x00];
    let password = utf16(password);
    let mut digest = salt.to_vec();
    let mut all = digest.clone();
    for part in key.chunks(SALT) {
        digest = sha1(&[&password, &digest]);
        all.extend(part.iter().zip(&digest).map(|(byte, mask)| byte ^ mask));
    }
    all.extend(sha1(&[&password, key]));
    let octets = der(0x04, &all);
    der(0x30, &[&METHOD[..], &octets].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16).to_be_bytes();
    let length = match content.len() {
        0..128 => vec![length[1]],
        128..256 => vec![0x81, length[1]],
        _ => [&[0x82], &length[..]].concat(),
    };
    [&[tag], &length[..], content].concat()
}

fn sha1(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().to_vec()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the key in a keystore, if the password is right for the whole file and for the key.
    fn opened(keystore: &[u8], password: &str) -> Option<Vec<u8>> {
        let (content, digest) = keystore.split_at(keystore.len() - SALT);
        if sha1(&[&utf16(password), b"Mighty Aphrodite", content]) != digest {
            return None;
        }
        // The magic number, the version, how many entries there are, the entry's kind, its name and its time.
        let entry = &content[16 + 2 + "server".len() + 8..];
        let key = &entry[4..4 + u32::from_be_bytes(entry[..4].try_into().unwrap()) as usize];
        // The length of what is hidden stands in its last header of three bytes.
        let header = 3 + 16 + 3;
        let hidden = &key[key.len() - (key.len() - header)..];
        let (salt, rest) = hidden.split_at(SALT);
        let (masked, digest) = rest.split_at(rest.len() - SALT);
        let mut mask = salt.to_vec();
        let mut all = Vec::new();
        for part in masked.chunks(SALT) {
            mask = sha1(&[&utf16(password), &mask]);
            all.extend(part.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
        }
        (sha1(&[&utf16(password), &all]) == digest).then_some(all)
    }

    #[test]
    fn only_the_password_opens_the_keystore() {
        let made = ServerCertificate::for_hosts(&["localhost", "127.0.0.1"], &Secret::new("geheim")).unwrap();
        let key = opened(&made.keystore, "geheim").expect("the password is right");
        assert!(KeyPair::try_from(key).is_ok());
        assert_eq!(opened(&made.keystore, "falsch"), None);
        assert!(made.ca_pem.starts_with("-----BEGIN CERTIFICATE-----"), "{}", made.ca_pem);
    }

    #[test]
    fn each_server_has_an_authority_and_a_key_of_its_own() {
        let made = || ServerCertificate::for_hosts(&["localhost"], &Secret::new("geheim")).unwrap();
        let (one, other) = (made(), made());
        assert_ne!(one.ca_pem, other.ca_pem);
        assert_ne!(opened(&one.keystore, "geheim"), opened(&other.keystore, "geheim"));
    }
}
