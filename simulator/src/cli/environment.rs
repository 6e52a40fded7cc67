//! The environment of the command under `run`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::options::Options;

/// What a client sends if any key and secret are accepted.
const ANY_KEY: &str = "simulated-key";
const ANY_SECRET: &str = "simulated-secret";

/// Whether a variable of ours must not reach the command: what Cargo told *this* process, and settings for other clusters.
pub(super) fn is_stale(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CRATEDB_") || (name.starts_with("CARGO_") && name != "CARGO_HOME")
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
    fn what_cargo_told_this_process_is_stale_but_its_home_is_not() {
        let stale = |name: &str| is_stale(OsStr::new(name));
        assert!(stale("CARGO_MANIFEST_DIR") && stale("CRATEDB_CLUSTER_URL") && stale("CRATEDB_TEST_DIR"));
        assert!(!stale("CARGO_HOME") && !stale("PATH") && !stale("CARGO"));
    }
}
