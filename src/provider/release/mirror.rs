//! Where releases are: the vendor's server or what is named in its place, with the same layout below.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::platform::Platform;
use crate::error::{Error, Kind, Result};
use crate::sql::connections::is_loopback;
use crate::target::Origin;
use crate::version::Version;

const VENDOR: &str = "https://cdn.crate.io/downloads/releases/cratedb/";

/// Below it, an archive is `<platform>/crate-<version>.tar.gz`.
#[derive(Clone)]
pub(super) enum Mirror {
    /// Its path ends with a slash.
    Http(Url),
    Directory(PathBuf),
}

/// One thing at a mirror.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Location {
    Http(Url),
    File(PathBuf),
}

impl Mirror {
    pub(super) fn of(origin: &Origin) -> Result<Self> {
        let named = match &origin.mirror {
            Some(path) if path.expose().starts_with('/') => return Ok(Self::Directory(path.expose().into())),
            Some(address) => address.expose(),
            None => VENDOR,
        };
        let mut url = Url::parse(named).map_err(|error| {
            Error::new(Kind::Setting, "cannot use CRATEDB_TEST_MIRROR as an address").because(error)
        })?;
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self::Http(url))
    }

    pub(super) fn archive(&self, platform: Platform, version: Version) -> Location {
        self.below(&format!("{platform}/crate-{version}.tar.gz"))
    }

    /// Where all archives for a platform are.
    pub(super) fn index(&self, platform: Platform) -> Location {
        self.below(&format!("{platform}/"))
    }

    fn below(&self, path: &str) -> Location {
        match self {
            Self::Http(base) => {
                let mut url = base.clone();
                url.set_path(&format!("{}{path}", base.path()));
                Location::Http(url)
            }
            Self::Directory(base) => Location::File(base.join(path)),
        }
    }
}

impl Location {
    /// Beside this one.
    pub(super) fn with_suffix(&self, suffix: &str) -> Self {
        match self {
            Self::Http(url) => {
                let mut url = url.clone();
                url.set_path(&format!("{}{suffix}", self.path()));
                Self::Http(url)
            }
            Self::File(path) => {
                let mut name = path.clone().into_os_string();
                name.push(suffix);
                Self::File(name.into())
            }
        }
    }

    fn path(&self) -> &str {
        match self {
            Self::Http(url) => url.path(),
            Self::File(_) => "",
        }
    }

    /// Whether nobody on the way can change what comes from there.
    pub(super) fn is_authentic(&self) -> bool {
        match self {
            Self::Http(url) => is_authentic(url),
            Self::File(_) => true,
        }
    }
}

/// TLS, or not on any way at all.
pub(super) fn is_authentic(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// For people: without credentials.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both can only fail for addresses without a host, which have no credentials.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.into()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => f.write_str(&shown(url)),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn archive(mirror: Option<&str>) -> Location {
        let platform = Platform::of("linux", "x86_64").unwrap();
        let origin = Origin { mirror: mirror.map(Secret::new), digests: Vec::new() };
        let version = Version { major: 6, minor: 4, patch: 3 };
        Mirror::of(&origin).unwrap().archive(platform, version)
    }

    #[test]
    fn a_mirror_has_the_layout_of_the_vendor() {
        for (mirror, address) in [
            (None, "https://cdn.crate.io/downloads/releases/cratedb/x64_linux/crate-6.4.3.tar.gz"),
            (Some("http://10.0.0.1:8081/a/b"), "http://10.0.0.1:8081/a/b/x64_linux/crate-6.4.3.tar.gz"),
            (Some("https://mirror.example/?key=1"), "https://mirror.example/x64_linux/crate-6.4.3.tar.gz"),
            (Some("/srv/crate"), "/srv/crate/x64_linux/crate-6.4.3.tar.gz"),
        ] {
            assert_eq!(archive(mirror).to_string(), address);
            assert_eq!(archive(mirror).with_suffix(".sha256").to_string(), format!("{address}.sha256"));
        }
    }

    #[test]
    fn credentials_are_sent_and_not_shown() {
        let Location::Http(url) = archive(Some("https://ada:geheim@mirror.example/x?token=geheim")) else { panic!() };
        assert_eq!((url.username(), url.password(), url.query()), ("ada", Some("geheim"), Some("token=geheim")));
        assert!(!shown(&url).contains("geheim"));
    }

    #[test]
    fn only_tls_this_machine_and_files_are_authentic() {
        for (mirror, authentic) in [
            (None, true),
            (Some("https://mirror.example"), true),
            (Some("http://127.0.0.1:8081"), true),
            (Some("http://[::1]:8081"), true),
            (Some("/srv/crate"), true),
            (Some("http://mirror.example"), false),
            (Some("http://10.0.0.1"), false),
        ] {
            assert_eq!(archive(mirror).is_authentic(), authentic, "{mirror:?}");
        }
    }
}
