//! The version of a CrateDB server, and the behaviour that depends on it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Kind, Result};

/// The version of a CrateDB server. Versions are compared as numbers.
///
/// ```
/// use cratedb_test::Version;
///
/// let version: Version = "6.4.3".parse()?;
/// assert!(version >= Version { major: 6, minor: 3, patch: 0 });
/// assert_eq!(version.to_string(), "6.4.3");
/// # Ok::<(), cratedb_test::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 6 in 6.4.3.
    pub major: u32,
    /// 4 in 6.4.3.
    pub minor: u32,
    /// 3 in 6.4.3.
    pub patch: u32,
}

impl FromStr for Version {
    type Err = Error;

    /// Reads `6.4.3`, also with a suffix such as `6.5.0-SNAPSHOT` or `6.5.0-nightly-20260821`.
    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once(['-', '+', ' ']).map_or(text, |(numbers, _suffix)| numbers);
        let numbers: Option<Vec<u32>> = numbers.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self { major, minor, patch }),
            _ => Err(Error::new(Kind::Decode, format!("cannot read `{text}` as a version of CrateDB"))
                .because("it has to be three numbers, as in 6.4.3")),
        }
    }
}

/// A version of CrateDB that is requested: `6.4.3`, or `6.4` for its newest patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestedVersion {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// None for the newest patch.
    pub(crate) patch: Option<u32>,
}

impl RequestedVersion {
    /// The accepted forms, for messages.
    pub(crate) const FORMS: &str = "6.4.3, or 6.4 for its newest patch";

    /// Reports whether a server of `version` satisfies the request.
    pub(crate) fn includes(self, version: Version) -> bool {
        (self.major, self.minor) == (version.major, version.minor)
            && self.patch.is_none_or(|patch| patch == version.patch)
    }
}

impl FromStr for RequestedVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // Not `+6` nor `06`, since no tag and no file has such a name.
        let number = |part: &str| part.parse().ok().filter(|number: &u32| number.to_string() == part);
        match text.split('.').map(number).collect::<Option<Vec<_>>>().as_deref() {
            Some(&[major, minor]) => Ok(Self { major, minor, patch: None }),
            Some(&[major, minor, patch]) => Ok(Self { major, minor, patch: Some(patch) }),
            _ => Err(Error::new(Kind::Setting, format!("cannot read `{text}` as a version of CrateDB"))
                .hint(format!("accepted: {}", Self::FORMS))),
        }
    }
}

impl fmt::Display for RequestedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

macro_rules! serialized_as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serialized_as_text! { Version RequestedVersion }

/// The abilities of a server of a version. Any behaviour that differs between versions is decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// `CREATE SCHEMA` and `DROP SCHEMA`. In older versions a schema exists as long as it has an object.
    pub(crate) drop_schema: bool,
    /// `DROP SCHEMA … CASCADE`. In older versions a schema has to be emptied object by object.
    pub(crate) drop_schema_cascade: bool,
}

impl Capabilities {
    pub(crate) fn of(version: Version) -> Self {
        let since = |major, minor| version >= Version { major, minor, patch: 0 };
        Self { drop_schema: since(6, 2), drop_schema_cascade: since(6, 3) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn are_compared_by_number() {
        assert!(version("5.10.16") > version("5.9.2"));
        assert!(version("6.4.3") > version("6.4.2"));
    }

    #[test]
    fn may_carry_a_suffix() {
        for text in ["6.5.0", "6.5.0-SNAPSHOT", "6.5.0-nightly-20260821", "6.5.0+build"] {
            assert_eq!(version(text), Version { major: 6, minor: 5, patch: 0 });
        }
    }

    #[test]
    fn are_refused_with_the_accepted_form() {
        for text in ["", "6", "6.4", "6.4.x", "6.4.3.1", "latest", "-6.4.3"] {
            let error = text.parse::<Version>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("6.4.3"), "{error}");
        }
    }

    #[test]
    fn that_are_asked_for_may_leave_the_patch_open() {
        let release = |text: &str| text.parse::<RequestedVersion>().unwrap();
        assert!(release("5.10").includes(version("5.10.16")) && release("5.10.16").includes(version("5.10.16")));
        assert!(!release("5.10").includes(version("5.1.0")) && !release("5.10.1").includes(version("5.10.16")));
        for text in ["5.10", "6.4.3"] {
            assert_eq!(release(text).to_string(), text);
        }
        for text in ["", "6", "6.", "6.4.", "6.4.3.1", "6.04", "+6.4", "latest", "6.4.3-nightly"] {
            let error = text.parse::<RequestedVersion>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("6.4 for"), "{error}");
        }
    }

    #[test]
    fn cross_a_socket_as_text() {
        let json = serde_json::to_string(&version("6.4.3")).unwrap();
        assert_eq!(json, r#""6.4.3""#);
        assert_eq!(serde_json::from_str::<Version>(&json).unwrap(), version("6.4.3"));
    }

    #[test]
    fn decide_how_a_schema_is_dropped() {
        let can = |text| Capabilities::of(version(text));
        assert_eq!(can("5.10.16"), Capabilities { drop_schema: false, drop_schema_cascade: false });
        assert_eq!(can("6.2.11"), Capabilities { drop_schema: true, drop_schema_cascade: false });
        assert_eq!(can("6.3.0"), Capabilities { drop_schema: true, drop_schema_cascade: true });
    }
}
