//! Which patch is meant where none is named: the newest that the mirror has, that is here, or that was known.

use crate::version::{RequestedVersion, Version};

/// What was out when this crate was released, by minor version.
const KNOWN: [Version; 6] = [
    Version { major: 5, minor: 10, patch: 16 },
    Version { major: 6, minor: 0, patch: 8 },
    Version { major: 6, minor: 1, patch: 6 },
    Version { major: 6, minor: 2, patch: 11 },
    Version { major: 6, minor: 3, patch: 7 },
    Version { major: 6, minor: 4, patch: 3 },
];

/// Who said which patch is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It was asked for.
    Wanted,
    Mirror,
    /// It is the newest one here.
    Cache,
    /// It was the newest one when this crate was released.
    Table,
}

/// The newest patch of `wanted`. `index` is what the mirror has, if it said.
pub(super) fn newest(
    wanted: RequestedVersion,
    index: Option<&[Version]>,
    cached: &[Version],
) -> Option<(Version, Said)> {
    let of = |versions: &[Version]| versions.iter().copied().filter(|version| wanted.includes(*version)).max();
    let (major, minor) = (wanted.major, wanted.minor);
    wanted
        .patch
        .map(|patch| (Version { major, minor, patch }, Said::Wanted))
        .or_else(|| Some((of(index?)?, Said::Mirror)))
        .or_else(|| Some((of(cached)?, Said::Cache)))
        .or_else(|| Some((of(&KNOWN)?, Said::Table)))
}

/// The releases that a page names, whatever its form.
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

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn newest_of(wanted: &str, index: Option<&[&str]>, cached: &[&str]) -> Option<(String, Said)> {
        let all = |texts: &[&str]| texts.iter().map(|text| version(text)).collect::<Vec<_>>();
        let found = newest(wanted.parse().unwrap(), index.map(all).as_deref(), &all(cached))?;
        Some((found.0.to_string(), found.1))
    }

    #[test]
    fn the_mirror_knows_best_then_the_cache_then_the_table() {
        let is = |version: &str, said| Some((version.to_owned(), said));
        let index = ["5.10.2", "5.10.11", "5.1.99", "6.4.3"];
        assert_eq!(newest_of("5.10", Some(&index), &["5.10.99"]), is("5.10.11", Said::Mirror));
        assert_eq!(newest_of("5.10", Some(&["6.4.3"]), &["5.10.9", "5.10.10"]), is("5.10.10", Said::Cache));
        assert_eq!(newest_of("5.10", None, &["5.10.9"]), is("5.10.9", Said::Cache));
        assert_eq!(newest_of("5.10", None, &["5.1.9"]), is("5.10.16", Said::Table));
        assert_eq!(newest_of("6.4.1", Some(&index), &["6.4.9"]), is("6.4.1", Said::Wanted));
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
            == Some((version.to_string(), Said::Table))));
    }
}
