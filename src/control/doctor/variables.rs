//! The variables of the harness, in the order of `docs/settings.md`, and how much of their values may be shown.

/// The part of a value that may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Value,
    /// An address, which may contain a password.
    Address,
    Never,
}

use Shown::{Address, Never, Value};

pub(super) const ALL: [(&str, Shown); 41] = [
    ("CRATEDB_CLUSTER_URL", Address),
    ("CRATEDB_CLUSTER_ID", Value),
    ("CRATEDB_CLUSTER_NAME", Value),
    ("CRATEDB_CLOUD_API_KEY", Never),
    ("CRATEDB_CLOUD_API_SECRET", Never),
    ("CRATEDB_CLOUD_ENDPOINT", Address),
    ("CRATEDB_CLOUD_DEPLOY", Value),
    ("CRATEDB_CLOUD_ORGANIZATION_ID", Value),
    ("CRATEDB_CLOUD_PROJECT_ID", Value),
    ("CRATEDB_CLOUD_REGION", Value),
    ("CRATEDB_CLOUD_SUBSCRIPTION_ID", Value),
    ("CRATEDB_CLOUD_PRODUCT", Value),
    ("CRATEDB_CLOUD_TIER", Value),
    ("CRATEDB_CHANNEL", Value),
    ("CRATEDB_CLOUD_TIMEOUT", Value),
    ("CRATEDB_VERSION", Value),
    ("CRATEDB_HOME", Value),
    ("CRATEDB_USERNAME", Value),
    ("CRATEDB_PASSWORD", Never),
    ("CRATEDB_ALLOW_PLAIN_HTTP", Value),
    ("CRATEDB_TEST_PROVIDER", Value),
    ("CRATEDB_TEST_ON_EXIT", Value),
    ("CRATEDB_TEST_ON_SUSPENDED", Value),
    ("CRATEDB_TEST_KEEP_WARM", Value),
    ("CRATEDB_TEST_KEEP_SCHEMA", Value),
    ("CRATEDB_TEST_MAX_LIFETIME", Value),
    ("CRATEDB_TEST_START_TIMEOUT", Value),
    ("CRATEDB_TEST_IMAGE", Value),
    ("CRATEDB_TEST_SETTINGS", Never),
    ("CRATEDB_TEST_AUTH", Value),
    ("CRATEDB_TEST_TLS", Value),
    ("CRATEDB_TEST_JVM_CACHE", Value),
    ("CRATEDB_TEST_MIRROR", Address),
    ("CRATEDB_TEST_SHA256", Value),
    ("CRATEDB_TEST_DIR", Value),
    ("CRATEDB_TEST_LOG", Value),
    ("CRATEDB_TEST_PRICE", Value),
    ("CRATEDB_TEST_REPORT", Never),
    ("CRATEDB_TEST_OUTER", Value),
    ("CRATEDB_TEST_SESSION", Value),
    ("CRATEDB_TEST_SESSION_IDLE", Value),
];

/// A variable that `cargo cratedb test` sets for its command.
const SET_FOR_COMMANDS: &str = "CRATEDB_TEST_SESSION_URL";

/// Returns whether the harness reads a variable, or sets it for commands.
pub(super) fn is_known(name: &str) -> bool {
    name == SET_FOR_COMMANDS || ALL.iter().any(|(known, _)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_that_of_the_guide() {
        let guide = include_str!("../../../docs/settings.md");
        let rows = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let documented: Vec<&str> = rows.map(|(name, _)| name).filter(|name| name.starts_with("CRATEDB_")).collect();
        let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        assert_eq!(known, documented);
    }

    #[test]
    fn no_name_of_a_secret_is_shown() {
        for (name, shown) in ALL {
            let secret = ["KEY", "SECRET", "PASSWORD"].iter().any(|word| name.ends_with(word));
            assert!(!secret || shown == Never, "{name}");
        }
    }
}
