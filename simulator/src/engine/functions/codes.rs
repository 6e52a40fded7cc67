//! Functions that encode texts: digests, hexadecimal digits, base64.

use super::strings::t;
use crate::engine::context::Context;
use crate::engine::error::{Result, SqlError, invalid, refuse};
use crate::engine::value::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn md5(_: &Context, v: Vec<Value>) -> Result<Value> {
    Ok(Value::Text(hex(&Md5::digest(t(&v[0])))))
}

pub(super) fn sha1(_: &Context, v: Vec<Value>) -> Result<Value> {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, t(&v[0]).as_bytes());
    Ok(Value::Text(hex(digest.as_ref())))
}

fn unknown(format: &str) -> SqlError {
    invalid(format!("Encoding format '{format}' is not supported"))
}

/// Encodes a text. Backslashes have a meaning, and CrateDB turns other letters than those of ASCII into single bytes.
pub(super) fn encode(_: &Context, v: Vec<Value>) -> Result<Value> {
    let (text, format) = (t(&v[0]), t(&v[1]));
    let plain = text.is_ascii() && !text.contains('\\');
    match format.to_ascii_lowercase().as_str() {
        _ if !plain => Err(refuse("encoding these characters")),
        "hex" => Ok(Value::Text(hex(text.as_bytes()))),
        "base64" if text.len() <= 50 => Ok(Value::Text(STANDARD.encode(text))),
        "base64" => Err(refuse("base64 of several lines")),
        "escape" => Ok(Value::text(text)),
        _ => Err(unknown(format)),
    }
}

pub(super) fn decode(_: &Context, v: Vec<Value>) -> Result<Value> {
    let (text, format) = (t(&v[0]), t(&v[1]));
    let bytes = match format.to_ascii_lowercase().as_str() {
        "hex" if text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            return Ok(Value::Text(format!("\\x{text}")));
        }
        "base64" => STANDARD.decode(text).ok(),
        "escape" if text.is_ascii() && !text.contains('\\') => Some(text.as_bytes().to_vec()),
        "hex" | "escape" => None,
        _ => return Err(unknown(format)),
    };
    bytes.map(|bytes| Value::Text(format!("\\x{}", hex(&bytes)))).ok_or_else(|| refuse("decoding this text"))
}
