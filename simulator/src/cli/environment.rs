//! The environment of the command under `run`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::options::Options;

/// What a client sends if any key and secret are accepted.
const ANY_KEY: &str = "simulated-key";
const ANY_SECRET: &str = "simulated-secret";

/// What says which cluster, where and as whom: it would lead to another one than the simulated.
const OTHER_CLUSTERS: [&str; 7] = [
    "CRATEDB_CLUSTER_",
    "CRATEDB_CLOUD_",
    "CRATEDB_USERNAME",
    "CRATEDB_PASSWORD",
    "CRATEDB_TEST_PROVIDER",
    "CRATEDB_TEST_OUTER",
    "CRATEDB_TEST_REPORT",
];

/// What Cargo tells a program that it runs or builds; the user's own settings of Cargo have other names.
/// Source: <https://doc.rust-lang.org/cargo/reference/environment-variables.html>.
const CARGOS_WORDS: [&str; 8] = [
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_MAKEFLAGS",
    "CARGO_TARGET_TMPDIR",
    "CARGO_RUSTC_CURRENT_DIR",
];

/// Whether a variable must not reach the command: what Cargo told *this* process, and settings for other clusters.
pub(super) fn is_stale(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    OTHER_CLUSTERS.iter().chain(&CARGOS_WORDS).any(|stale| name.starts_with(stale))
}

/// What the command is told.
pub(super) fn variables(options: &Options, endpoint: &str, report: &Path) -> Vec<(&'static str, OsString)> {
    let given = |value: &Option<String>, any: &str| value.clone().unwrap_or_else(|| any.into()).into();
    let mut variables = vec![
        ("CRATEDB_CLOUD_ENDPOINT", endpoint.into()),
        ("CRATEDB_CLOUD_API_KEY", given(&options.api_key, ANY_KEY)),
        ("CRATEDB_CLOUD_API_SECRET", given(&options.api_secret, ANY_SECRET)),
        // This process and everything above it are no runners: the session ends with the command.
        ("CRATEDB_TEST_OUTER", std::process::id().to_string().into()),
        ("CRATEDB_TEST_REPORT", report.into()),
    ];
    if let Some(cluster) = options.clusters.first() {
        variables.push(("CRATEDB_CLUSTER_NAME", cluster.name().into()));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_told_this_process_is_stale_but_the_users_settings_are_not() {
        let stale = |name: &str| is_stale(OsStr::new(name));
        assert!(stale("CARGO_MANIFEST_DIR") && stale("CARGO_PKG_NAME") && stale("CRATEDB_CLUSTER_URL"));
        for kept in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "CRATEDB_TEST_KEEP_WARM", "PATH", "CARGO"] {
            assert!(!stale(kept), "{kept}");
        }
    }
}
