//! Serde forms of the values that derived code can't write or read back exactly.

use super::error::{Result as SqlResult, refuse};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::HashSet;
use std::sync::Mutex;

/// A word of the grammar. An alias, since derived code would borrow a `&str` from its input.
pub(crate) type Word = &'static str;

/// Returns the constant for a word of the grammar. There are few, and each is leaked once.
pub(crate) fn intern(word: &str) -> &'static str {
    static KNOWN: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(known) = known.get(word) {
        return known;
    }
    let leaked: &'static str = Box::leak(word.to_owned().into_boxed_str());
    known.insert(leaked);
    leaked
}

pub(crate) fn word<'de, D: Deserializer<'de>>(from: D) -> Result<&'static str, D::Error> {
    Ok(intern(&String::deserialize(from)?))
}

/// The deepest JSON of a definition. A reader of the file gives up at 128 levels, and the file has some around it.
const DEEPEST: usize = 110;

/// Refuses a definition that could be written to the file, but not read back.
pub(crate) fn check(definition: &impl Serialize) -> SqlResult<()> {
    let text = serde_json::to_string(definition).map_err(|e| refuse(format!("keeping this ({e})")))?;
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => (depth, deepest) = (depth + 1, deepest.max(depth + 1)),
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    if deepest > DEEPEST { Err(refuse("a definition nested this deep")) } else { Ok(()) }
}

/// JSON has no infinities, and decimal digits would lose the last bits.
macro_rules! bits {
    ($name:ident, $float:ty, $bits:ty) => {
        pub(crate) mod $name {
            use serde::{Deserialize, Deserializer, Serializer};

            pub(crate) fn serialize<S: Serializer>(value: &$float, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_u64(value.to_bits().into())
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$float, D::Error> {
                <$bits>::deserialize(from).map(<$float>::from_bits)
            }
        }
    };
}

bits!(double, f64, u64);
bits!(real, f32, u32);

/// As a text: most readers of JSON have smaller numbers.
pub(crate) mod digits {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &i128, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.to_string())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i128, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
