//! Paths of the API: what stands between the slashes is encoded, and never nothing.

use url::Url;

use crate::error::{Error, Kind, Result};

/// The path of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(String);

impl Path {
    /// Below the API's prefix; ends with a slash, as nearly every path of the API does.
    pub(super) fn of(segments: &[&str]) -> Result<Self> {
        Self::without_slash(segments).map(|path| Self(path.0 + "/"))
    }

    /// Below the API's prefix, without a slash at the end.
    pub(super) fn without_slash(segments: &[&str]) -> Result<Self> {
        let mut path = "/api/v2".to_owned();
        for segment in segments {
            // `.` and `..` would be another path, and so would nothing: DELETE of a thing without an id is DELETE of all.
            if segment.chars().all(|each| each == '.') {
                return Err(Error::new(Kind::Usage, format!("cannot ask CrateDB Cloud for {}", segments.join("/")))
                    .because(format!("`{segment}` is no id")));
            }
            path.push('/');
            encode(segment, &mut path);
        }
        Ok(Self(path))
    }

    /// Outside of the API.
    pub(super) fn root(path: &str) -> Self {
        Self(format!("/{path}"))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an answer to this path holds something that must not be shown: a token, the secret of a new key.
    pub(super) fn brings_secrets(&self) -> bool {
        // Addresses of files are good without credentials.
        let files = self.0.contains("/files/") || self.0.contains("/export-jobs/");
        files || ["/jwt/", "/jwt/refresh/", "/api-keys/"].iter().any(|end| self.0.ends_with(end))
    }

    /// The API lives at the root of its host, but a prefix someone put before it does no harm.
    pub(super) fn on(&self, endpoint: &Url) -> Url {
        let mut url = endpoint.clone();
        url.set_path(&format!("{}{}", endpoint.path().trim_end_matches('/'), self.0));
        url
    }
}

fn encode(segment: &str, path: &mut String) {
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'@' => path.push(char::from(byte)),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_leave_their_place() {
        let path = Path::of(&["clusters", "a/../b?c#d e", "jwt"]).unwrap();
        assert_eq!(path.as_str(), "/api/v2/clusters/a%2F..%2Fb%3Fc%23d%20e/jwt/");
        let url = path.on(&Url::parse("http://host/prefix/").unwrap());
        assert_eq!(url.as_str(), "http://host/prefix/api/v2/clusters/a%2F..%2Fb%3Fc%23d%20e/jwt/");
        for nothing in ["", ".", ".."] {
            let error = Path::of(&["clusters", nothing]).unwrap_err().to_string();
            assert!(error.contains("is no id"), "{error}");
        }
    }
}
