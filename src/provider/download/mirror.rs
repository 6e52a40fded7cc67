//! The source of archives: the vendor's server or a mirror with the same layout, platforms, and the newest patch.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::suffixed;
use crate::error::{Error, Kind, Result};
use crate::sql::connections::is_loopback;
use crate::target::Origin;
use crate::version::{RequestedVersion, Version};

const VENDOR: &str = "https://cdn.crate.io/downloads/releases/cratedb/";

/// A directory of archives, in which one is `<platform>/crate-<version>.tar.gz`. Its path ends with a slash.
#[derive(Clone)]
pub(super) struct Mirror(Location);

/// The address of a file or directory at a mirror.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Location {
    Http(Url),
    File(PathBuf),
}

impl Mirror {
    pub(super) fn of(origin: &Origin) -> Result<Self> {
        let named = origin.mirror.as_ref().map_or(VENDOR, |mirror| mirror.expose());
        if named.starts_with('/') {
            return Ok(Self(Location::File(format!("{}/", named.trim_end_matches('/')).into())));
        }
        let url = Url::parse(named).map_err(|error| {
            Error::new(Kind::Setting, "cannot use CRATEDB_TEST_MIRROR as an address").because(error)
        })?;
        let missing = if url.path().ends_with('/') { "" } else { "/" };
        Ok(Self(Location::Http(url).with_suffix(missing)))
    }

    pub(super) fn archive(&self, platform: Platform, version: Version) -> Location {
        self.0.with_suffix(&format!("{platform}/crate-{version}.tar.gz"))
    }

    /// Returns the directory of all archives for a platform.
    pub(super) fn index(&self, platform: Platform) -> Location {
        self.0.with_suffix(&format!("{platform}/"))
    }
}

impl Location {
    /// Returns the location whose path has `suffix` in addition.
    pub(super) fn with_suffix(&self, suffix: &str) -> Self {
        match self {
            Self::Http(url) => {
                let mut url = url.clone();
                let path = format!("{}{suffix}", url.path());
                url.set_path(&path);
                Self::Http(url)
            }
            Self::File(path) => Self::File(suffixed(path, suffix)),
        }
    }

    /// Returns whether content from there can't be forged on the way.
    pub(super) fn is_authentic(&self) -> bool {
        match self {
            Self::Http(url) => is_authentic(url),
            Self::File(_) => true,
        }
    }
}

/// Returns whether the address has TLS or is on this machine.
pub(super) fn is_authentic(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// Returns the address without credentials, for people.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses without a host, which have no credentials.
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

/// A platform with archives, as the vendor's addresses name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Platform(&'static str);

impl Platform {
    pub(super) fn of_this_machine() -> Result<Self> {
        Self::of(std::env::consts::OS, std::env::consts::ARCH)
    }

    /// Takes the terms of [`std::env::consts`].
    fn of(os: &str, arch: &str) -> Result<Self> {
        match (os, arch) {
            ("linux", "x86_64") => Ok(Self("x64_linux")),
            ("linux", "aarch64") => Ok(Self("aarch64_linux")),
            ("macos", "x86_64") => Ok(Self("x64_mac")),
            _ => {
                let error = Error::new(Kind::Provider, format!("there is no release of CrateDB for {os} on {arch}"))
                    .because("there are releases for Linux on x86_64 and aarch64, and for macOS on x86_64");
                Err(match os {
                    "macos" => error.hint(
                        "use a container, or extract the release for x86_64, which needs Rosetta 2, and set CRATEDB_HOME to its directory",
                    ),
                    _ => error.hint("use a container, or build CrateDB and set CRATEDB_HOME to its directory"),
                })
            }
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The newest patches at the release of this crate, by minor version.
const KNOWN: [Version; 6] = [
    Version { major: 5, minor: 10, patch: 16 },
    Version { major: 6, minor: 0, patch: 8 },
    Version { major: 6, minor: 1, patch: 6 },
    Version { major: 6, minor: 2, patch: 11 },
    Version { major: 6, minor: 3, patch: 7 },
    Version { major: 6, minor: 4, patch: 3 },
];

/// The source that tells which patch is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchSource {
    /// The test asks for it.
    Wanted,
    Mirror,
    /// It is the newest one in the cache.
    Cache,
    /// It was the newest one at the release of this crate.
    Table,
}

/// Returns the newest patch of `wanted`. `index` is what the mirror lists, if it does.
pub(super) fn newest(
    wanted: RequestedVersion,
    index: Option<&[Version]>,
    cached: &[Version],
) -> Option<(Version, PatchSource)> {
    let of = |versions: &[Version]| versions.iter().copied().filter(|version| wanted.includes(*version)).max();
    let (major, minor) = (wanted.major, wanted.minor);
    wanted
        .patch
        .map(|patch| (Version { major, minor, patch }, PatchSource::Wanted))
        .or_else(|| Some((of(index?)?, PatchSource::Mirror)))
        .or_else(|| Some((of(cached)?, PatchSource::Cache)))
        .or_else(|| Some((of(&KNOWN)?, PatchSource::Table)))
}

/// Returns the versions that a listing names, whatever its form.
pub(super) fn named_in(page: &str) -> Vec<Version> {
    let words = page.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')));
    let version = |word: &str| {
        let release: RequestedVersion = word.strip_prefix("crate-")?.strip_suffix(".tar.gz")?.parse().ok()?;
        Some(Version { major: release.major, minor: release.minor, patch: release.patch? })
    };
    words.filter_map(version).collect()
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

    #[test]
    fn are_called_as_the_vendor_calls_them() {
        let called = |os, arch| Platform::of(os, arch).unwrap().to_string();
        assert_eq!(called("linux", "x86_64"), "x64_linux");
        assert_eq!(called("linux", "aarch64"), "aarch64_linux");
        assert_eq!(called("macos", "x86_64"), "x64_mac");
    }

    #[test]
    fn without_a_release_there_is_another_way() {
        for (os, arch, help) in [("macos", "aarch64", "Rosetta 2"), ("freebsd", "x86_64", "build CrateDB")] {
            let error = Platform::of(os, arch).unwrap_err().to_string();
            assert!(error.contains(&format!("for {os} on {arch}")) && error.contains(help), "{error}");
        }
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn newest_of(wanted: &str, index: Option<&[&str]>, cached: &[&str]) -> Option<(String, PatchSource)> {
        let all = |texts: &[&str]| texts.iter().map(|text| version(text)).collect::<Vec<_>>();
        let found = newest(wanted.parse().unwrap(), index.map(all).as_deref(), &all(cached))?;
        Some((found.0.to_string(), found.1))
    }

    #[test]
    fn the_mirror_knows_best_then_the_cache_then_the_table() {
        let is = |version: &str, said| Some((version.to_owned(), said));
        let index = ["5.10.2", "5.10.11", "5.1.99", "6.4.3"];
        assert_eq!(newest_of("5.10", Some(&index), &["5.10.99"]), is("5.10.11", PatchSource::Mirror));
        assert_eq!(newest_of("5.10", Some(&["6.4.3"]), &["5.10.9", "5.10.10"]), is("5.10.10", PatchSource::Cache));
        assert_eq!(newest_of("5.10", None, &["5.10.9"]), is("5.10.9", PatchSource::Cache));
        assert_eq!(newest_of("5.10", None, &["5.1.9"]), is("5.10.16", PatchSource::Table));
        assert_eq!(newest_of("6.4.1", Some(&index), &["6.4.9"]), is("6.4.1", PatchSource::Wanted));
        assert_eq!(newest_of("6.9", Some(&index), &[]), None);
    }

    #[test]
    fn releases_are_found_in_listings_of_all_kinds() {
        let page = r#"<a href="crate-5.10.9.tar.gz">crate-5.10.9..&gt;</a> <a href='/x64_linux/crate-5.10.11.tar.gz'>x</a>
            <a href=crate-6.4.3.tar.gz.asc>sig</a> <a href="crate-6.5.0-nightly.tar.gz">n</a> crate-6.4.tar.gz
            <Key>releases/cratedb/x64_linux/crate-6.1.0.tar.gz</Key> crate-6.4.3.zip xcrate-9.9.9.tar.gz"#;
        let found: Vec<String> = named_in(page).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["5.10.9", "5.10.11", "6.1.0"]);
    }

    #[test]
    fn the_table_has_one_patch_of_a_minor_version() {
        assert!(KNOWN.windows(2).all(|pair| (pair[0].major, pair[0].minor) < (pair[1].major, pair[1].minor)));
        assert!(KNOWN.iter().all(|version| newest_of(&format!("{}.{}", version.major, version.minor), None, &[])
            == Some((version.to_string(), PatchSource::Table))));
    }
}
