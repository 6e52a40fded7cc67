//! For which machines there are releases, and how the vendor calls them.

use std::fmt;

use crate::error::{Error, Kind, Result};

/// A machine as the vendor's addresses name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Platform(&'static str);

impl Platform {
    pub(super) fn of_this_machine() -> Result<Self> {
        Self::of(std::env::consts::OS, std::env::consts::ARCH)
    }

    /// In the words of [`std::env::consts`].
    pub(super) fn of(os: &str, arch: &str) -> Result<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
