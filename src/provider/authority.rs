//! A certificate authority for one server. It signs as it is made, and its key is forgotten at once.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{Certificate, KeyUsagePurpose};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use crate::error::{Error, Kind, Result};

/// The certificates of a server, and what proves its superuser.
pub(super) struct Certificates {
    /// The authority's certificate, by which clients know the server.
    pub(super) ca_pem: String,
    /// The server's key and certificates, as Java reads them. No password is needed to read it: one that lies beside it
    /// would protect nothing that the file's mode does not.
    pub(super) keystore: Vec<u8>,
    /// A certificate in the name of the superuser, and its key.
    pub(super) superuser: (CertificateDer<'static>, Vec<u8>),
}

/// The user that no password can be given to.
pub(super) const SUPERUSER: &str = "crate";

/// A run lasts hours, and a server that stands may last weeks. Clocks of containers may differ a little.
const VALID: Duration = Duration::days(365);
const EARLIER: Duration = Duration::days(1);

/// The length of a SHA-1 digest, and of the random bytes that stand for the first.
const SALT: usize = 20;

impl Certificates {
    /// Makes an authority, and what it signs for a server at these names and addresses.
    pub(super) fn for_hosts(hosts: &[&str]) -> Result<Self> {
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(failed)?;
        Self::signed(hosts, salt).map_err(failed)
    }

    fn signed(hosts: &[&str], salt: [u8; SALT]) -> Result<Self, rcgen::Error> {
        let mut authority = valid_now(&[], "cratedb-test, for one server")?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_key = KeyPair::generate()?;
        let ca = authority.self_signed(&ca_key)?;
        let issuer = Issuer::new(authority, ca_key);
        let signed = |hosts: &[&str], name: &str, usage| -> Result<(Certificate, KeyPair), rcgen::Error> {
            let (mut params, key) = (valid_now(hosts, name)?, KeyPair::generate()?);
            params.extended_key_usages = vec![usage];
            Ok((params.signed_by(&key, &issuer)?, key))
        };
        let named = hosts.first().copied().unwrap_or_default();
        let (server, key) = signed(hosts, named, ExtendedKeyUsagePurpose::ServerAuth)?;
        let (superuser, superusers_key) = signed(&[], SUPERUSER, ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(Self {
            ca_pem: ca.pem(),
            keystore: keystore(&key.serialize_der(), &[server.der(), ca.der()], salt),
            superuser: (superuser.der().clone(), superusers_key.serialize_der()),
        })
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Provider, "cannot make a certificate for the server").because(error.to_string())
}

fn valid_now(hosts: &[&str], name: &str) -> Result<CertificateParams, rcgen::Error> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let (mut params, now) = (CertificateParams::new(hosts)?, OffsetDateTime::now_utc());
    (params.not_before, params.not_after) = (now - EARLIER, now + VALID);
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// Writes a keystore in Java's first format, JKS, which every JVM recognises in a file of its default format. PKCS #12
/// would take thirty more crates, for ciphers that hide the key from readers who know the password.
fn keystore(key: &[u8], chain: &[&[u8]], salt: [u8; SALT]) -> Vec<u8> {
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
    bytes(&mut out, &hidden(key, salt));
    out.extend((chain.len() as u32).to_be_bytes());
    for certificate in chain {
        text(&mut out, "X.509");
        bytes(&mut out, certificate);
    }
    let digest = sha1(&[b"Mighty Aphrodite", &out]);
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

/// Hides a key as JKS does, under a stream of digests of the password, here an empty one, each with the one before. The
/// first is random.
fn hidden(key: &[u8], salt: [u8; SALT]) -> Vec<u8> {
    /// 1.3.6.1.4.1.42.2.17.1.1, and its parameters: none.
    const METHOD: [u8; 16] =
        [0x30, 0x0E, 0x06, 0x0A, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x2A, 0x02, 0x11, 0x01, 0x01, 0x05, 0x00];
    let mut all = salt.to_vec();
    all.extend(masked(key, &salt));
    all.extend(sha1(&[key]));
    let octets = der(0x04, &all);
    der(0x30, &[&METHOD[..], &octets].concat())
}

fn masked(key: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut digest = salt.to_vec();
    let mask = |part: &[u8]| -> Vec<u8> {
        digest = sha1(&[&digest]);
        part.iter().zip(&digest).map(|(byte, mask)| byte ^ mask).collect()
    };
    key.chunks(SALT).flat_map(mask).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Authority;

    /// Returns the key in a keystore, if the digests of the file and of the key are right.
    fn opened(keystore: &[u8]) -> Option<Vec<u8>> {
        let (content, digest) = keystore.split_at(keystore.len() - SALT);
        if sha1(&[b"Mighty Aphrodite", content]) != digest {
            return None;
        }
        // The magic number, the version, how many entries there are, the entry's kind, its name and its time.
        let entry = &content[16 + 2 + "server".len() + 8..];
        let key = &entry[4..4 + u32::from_be_bytes(entry[..4].try_into().unwrap()) as usize];
        // Two headers with two bytes of length each, and the method.
        let (salt, rest) = key[3 + 16 + 3..].split_at(SALT);
        let (hidden, digest) = rest.split_at(rest.len() - SALT);
        let key = masked(hidden, salt);
        (sha1(&[&key]) == digest).then_some(key)
    }

    #[test]
    fn the_keystore_holds_a_key_and_tells_when_a_byte_is_another() {
        let mut made = Certificates::for_hosts(&["localhost", "127.0.0.1"]).unwrap();
        let key = opened(&made.keystore).expect("its digests are right");
        assert!(KeyPair::try_from(key).is_ok());
        made.keystore[40] ^= 1;
        assert_eq!(opened(&made.keystore), None);
    }

    #[test]
    fn each_server_has_an_authority_and_a_key_of_its_own() {
        let made = || Certificates::for_hosts(&["localhost"]).unwrap();
        let (one, other) = (made(), made());
        assert_ne!(one.ca_pem, other.ca_pem);
        assert_ne!(opened(&one.keystore), opened(&other.keystore));
        assert!(!one.ca_pem.contains("PRIVATE"), "{}", one.ca_pem);
    }

    #[test]
    fn the_superusers_certificate_and_key_belong_together() {
        let made = Certificates::for_hosts(&["localhost"]).unwrap();
        let authority = Authority::new(made.ca_pem, "/x".into());
        let (certificate, key) = made.superuser;
        authority.tls_as(certificate.clone(), key).unwrap();
        let other = Certificates::for_hosts(&["localhost"]).unwrap();
        assert!(authority.tls_as(certificate, other.superuser.1).is_err());
    }
}
