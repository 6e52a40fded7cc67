//! A string that must not be printed: passwords, API secrets, tokens.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(any(feature = "cloud", feature = "container", feature = "process"))]
use crate::error::{Error, Kind, Result};

/// A secret. `Debug` hides it. It is serialized in clear text, since it has to reach the keeper: only the messages of
/// the keeper's socket may contain a secret, never the journal, the log or an error.
#[derive(Clone, Default)]
pub(crate) struct Secret(SecretString);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// Makes a password of 32 characters that never need quoting.
    #[cfg(any(feature = "cloud", feature = "container", feature = "process"))]
    pub(crate) fn random() -> Result<Self> {
        const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bytes = [0; 32];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut bytes)
            .map_err(|error| Error::new(Kind::Provider, "cannot make a password").because(format!("{error:?}")))?;
        Ok(Self::new(bytes.iter().map(|byte| char::from(CHARACTERS[usize::from(byte % 64)])).collect::<String>()))
    }

    /// Returns the secret itself. The name makes every use stand out.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_not_printed() {
        assert!(!format!("{:?}", Some(Secret::new("hunter2"))).contains("hunter2"));
    }

    #[cfg(feature = "cloud")]
    #[test]
    fn passwords_are_long_random_and_plain() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_eq!(one.expose().len(), 32);
        assert_ne!(one, other);
        assert!(one.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    }
}
