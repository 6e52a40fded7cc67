//! The forms of values, and the errors that name variable, value and what is accepted.

use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// Longer than anything that is waited for.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

pub(crate) fn unreadable(name: &str, value: &str) -> Error {
    Error::new(Kind::Setting, format!("cannot read {name}=`{value}`"))
}

/// `250ms`, `10s`, `10m`, `2h` or `0`. A bare number is an error: of what?
pub(crate) fn duration(name: &str, value: &str) -> Result<Duration> {
    if value == "0" {
        return Ok(Duration::ZERO);
    }
    let refuse = |cause: String| unreadable(name, value).because(cause).hint("accepted: 250ms, 10s, 10m, 2h or 0");
    match humantime::parse_duration(value) {
        // No clock can add what is longer to the time of day.
        Ok(duration) if duration > LONGEST => Err(refuse("it is longer than ten years".to_owned())),
        Ok(duration) => Ok(duration),
        Err(error) => Err(refuse(error.to_string())),
    }
}

/// An address with `http` or `https` and a host. What is refused is not shown: it may hold a password.
pub(crate) fn http_url(name: &str, value: &str) -> Result<url::Url> {
    let refuse = |cause: String| {
        Error::new(Kind::Setting, format!("cannot read {name}"))
            .because(cause)
            .hint("accepted: http://host:port or https://host:port, with user:password@ before the host if need be")
    };
    let url = url::Url::parse(value).map_err(|error| refuse(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(format!("its scheme is `{}`", url.scheme())));
    }
    Ok(url)
}

/// Undoes percent-encoding, in which URLs hold credentials.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex.filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
