//! The certificate authority of one server, by which clients know that server and no other.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};

use super::connections::{no_tls, tls};
use crate::error::{Error, Kind, Result};

/// An authority that was made with a server, and that no platform trusts.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Authority {
    pem: String,
    /// A file with the certificate, for programs that take a path. It goes with the server.
    file: PathBuf,
}

// Only local servers have one.
#[cfg_attr(not(feature = "harness"), allow(dead_code))]
impl Authority {
    pub(crate) fn new(pem: String, file: PathBuf) -> Self {
        Self { pem, file }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns TLS settings that trust this authority and no other.
    pub(crate) fn tls(&self) -> Result<ClientConfig> {
        Ok(tls()?.with_root_certificates(self.roots()?).with_no_client_auth())
    }

    /// Returns the same for a client that shows a certificate.
    #[cfg(any(feature = "container", feature = "process"))]
    pub(crate) fn tls_as(&self, certificate: CertificateDer<'static>, key: Vec<u8>) -> Result<ClientConfig> {
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key).into();
        let shown = tls()?.with_root_certificates(self.roots()?).with_client_auth_cert(vec![certificate], key);
        shown.map_err(|error| no_tls(&error))
    }

    fn roots(&self) -> Result<RootCertStore> {
        let unreadable = |error: &dyn std::fmt::Display| {
            Error::new(Kind::Transport, "cannot read the certificate of the server's authority").because(error)
        };
        let certificate = CertificateDer::from_pem_slice(self.pem.as_bytes()).map_err(|error| unreadable(&error))?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(|error| unreadable(&error))?;
        Ok(roots)
    }
}

/// Shows the file: the certificate itself is long and tells people nothing.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authority").field(&self.file).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_an_error() {
        for text in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = Authority::new(text.into(), "/x".into()).tls().map(drop).unwrap_err().to_string();
            assert!(error.starts_with("cannot read the certificate of the server's authority: "), "{error}");
        }
        let known = Authority::new(include_str!("../faults/localhost.pem").into(), "/x".into());
        known.tls().unwrap();
    }
}
