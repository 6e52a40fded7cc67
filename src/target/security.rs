//! How a server of this machine lets clients in: by whether it asks for a password, and by whether it encrypts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The security that tests want of their server. By default every client is let in as the superuser, in the clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Security {
    /// Clients are asked for a user and a password.
    pub(crate) password: bool,
    /// Both protocols are encrypted, and nothing else is answered.
    pub(crate) tls: bool,
}

impl Security {
    /// Returns whether every client is let in, in the clear.
    pub(crate) fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Returns what one of both demands.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { password: self.password || other.password, tls: self.tls || other.tls }
    }

    /// Reads the text of a key.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let all = [(true, false), (false, true), (true, true)].map(|(password, tls)| Self { password, tls });
        all.into_iter().find(|one| one.to_string() == text)
    }
}

/// Shows what is demanded, in the form that [`Security::parse`] reads.
impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.password, self.tls) {
            (false, false) => "",
            (true, false) => "password",
            (false, true) => "tls",
            (true, true) => "password,tls",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again_and_nothing_else_is() {
        for (password, tls) in [(true, false), (false, true), (true, true)] {
            let security = Security { password, tls };
            assert_eq!(Security::parse(&security.to_string()), Some(security));
        }
        for text in ["", "tls,password", "Password", "password,"] {
            assert_eq!(Security::parse(text), None, "{text}");
        }
    }

    #[test]
    fn of_two_wishes_each_counts() {
        let (password, tls) = (Security { password: true, tls: false }, Security { password: false, tls: true });
        assert_eq!(password.or(tls), Security { password: true, tls: true });
        assert_eq!(password.or(Security::default()), password);
        assert!(Security::default().is_open() && !tls.is_open());
    }
}
