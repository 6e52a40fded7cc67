//! The identity of a table, beside its name.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// A random UUID, shown as 22 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    pub(crate) fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let random = |n: u64| RandomState::new().hash_one(n);
        // Version 4, variant 1.
        Self(random(1) & !0xf000 | 0x4000, random(2) & !(0b11 << 62) | 0b10 << 62)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = (u128::from(self.0) << 64 | u128::from(self.1)).to_be_bytes();
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}
