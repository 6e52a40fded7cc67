//! Trust in an archive: its SHA-256 digest, and the source that says which digest it must have.
//!
//! The sources, in this order: digests of a setting; the digest that this cache remembers of the same version; the file
//! `<archive>.sha256` beside it; else the first digest that is seen, which is remembered. OpenPGP signatures, which the
//! vendor publishes as `<archive>.asc`, are not checked.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// The source of an archive's expected digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trust {
    /// `CRATEDB_TEST_SHA256`.
    Pinned,
    /// The record of an earlier download.
    Remembered,
    /// The file beside the archive.
    Beside,
    /// No source, but the archive could not be forged on the way.
    FirstUse,
}

/// The digests that are expected before the archive has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExpectedDigests {
    pub(super) pinned: Vec<String>,
    pub(super) remembered: Option<String>,
    pub(super) beside: Option<String>,
}

impl ExpectedDigests {
    /// Returns whether a source other than the archive's server names the digest.
    pub(super) fn is_enough(&self) -> bool {
        !self.pinned.is_empty() || self.remembered.is_some()
    }

    /// Judges an archive by its digest. The error names the expected digest and its source.
    pub(super) fn judge(&self, digest: &str) -> Result<Trust, String> {
        if !self.pinned.is_empty() {
            return match self.pinned.iter().any(|pinned| pinned == digest) {
                true => Ok(Trust::Pinned),
                false => {
                    Err(format!("its SHA-256 is {digest}, and CRATEDB_TEST_SHA256 has {}", self.pinned.join(", ")))
                }
            };
        }
        for (known, who, trust) in [
            (&self.remembered, "an earlier download of this release had", Trust::Remembered),
            (&self.beside, "the file .sha256 beside it has", Trust::Beside),
        ] {
            match known {
                Some(known) if known == digest => return Ok(trust),
                Some(known) => return Err(format!("its SHA-256 is {digest}, and {who} {known}")),
                None => {}
            }
        }
        Ok(Trust::FirstUse)
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pinned => "as CRATEDB_TEST_SHA256 says",
            Self::Remembered => "as the last time",
            Self::Beside => "as the file .sha256 beside it says",
            Self::FirstUse => "trusted on first use",
        })
    }
}

/// Returns the digest in a file as `sha256sum` writes it, or alone.
pub(super) fn digest_in(text: &str) -> Option<String> {
    let digest = text.split_whitespace().next()?;
    let is_one = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| digest.to_ascii_lowercase())
}

/// Returns the SHA-256 of a file in hexadecimal digits, or none if `stop` ended it.
pub(super) fn digest_of(file: &Path, stop: &AtomicBool) -> io::Result<Option<String>> {
    let (mut file, mut context) = (File::open(file)?, Context::new(&SHA256));
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => context.update(&buffer[..count]),
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
    }
    Ok(Some(hex(context)))
}

/// Returns a digest in hexadecimal digits.
pub(super) fn hex(context: Context) -> String {
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(pinned: &[&str], remembered: Option<&str>, beside: Option<&str>) -> ExpectedDigests {
        let own = |text: &str| text.to_owned();
        ExpectedDigests {
            pinned: pinned.iter().copied().map(own).collect(),
            remembered: remembered.map(own),
            beside: beside.map(own),
        }
    }

    #[test]
    fn what_is_said_first_counts() {
        for (known, trust) in [
            (known(&["b", "a"], Some("x"), Some("y")), Trust::Pinned),
            (known(&[], Some("a"), Some("y")), Trust::Remembered),
            (known(&[], None, Some("a")), Trust::Beside),
            (known(&[], None, None), Trust::FirstUse),
        ] {
            assert_eq!(known.judge("a"), Ok(trust), "{known:?}");
        }
    }

    #[test]
    fn another_digest_is_refused_whoever_else_agrees() {
        for (known, who) in [
            (known(&["b", "c"], Some("a"), Some("a")), "CRATEDB_TEST_SHA256 has b, c"),
            (known(&[], Some("b"), Some("a")), "an earlier download of this release had b"),
            (known(&[], None, Some("b")), "beside it has b"),
        ] {
            let why = known.judge("a").unwrap_err();
            assert!(why.starts_with("its SHA-256 is a, and ") && why.contains(who), "{why}");
        }
    }

    #[test]
    fn a_digest_stands_alone_or_before_a_name() {
        let digest = "E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [digest.to_owned(), format!("{digest}  crate-6.4.3.tar.gz\n")] {
            assert_eq!(digest_in(&text), Some(digest.to_ascii_lowercase()));
        }
        for text in ["", "<html>", &digest[1..], &format!("{digest}0"), &digest.replace('E', "g")] {
            assert_eq!(digest_in(text), None, "{text}");
        }
    }

    #[test]
    fn the_digest_of_a_file_is_its_sha_256() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        // The example of FIPS 180-4.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest_of(file.path(), &AtomicBool::new(false)).unwrap().as_deref(), Some(expected));
        std::fs::write(file.path(), vec![0; 1 << 20]).unwrap();
        assert_eq!(digest_of(file.path(), &AtomicBool::new(true)).unwrap(), None);
    }
}
