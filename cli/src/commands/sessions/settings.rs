//! Options as settings: sessions are found by the same variables as tests find them.

use crate::arguments::{Address, Global};

/// Each says which cluster: the one that an option gives must be the only one.
const ADDRESSES: [&str; 3] = ["CRATEDB_CLUSTER_ID", "CRATEDB_CLUSTER_NAME", "CRATEDB_CLUSTER_URL"];

/// What the options say, as variables of this process and so of the command that it starts. None removes a variable.
fn variables(global: &Global) -> Vec<(&'static str, Option<String>)> {
    let mut all = Vec::new();
    if let Some(address) = global.address() {
        let (name, value) = match address {
            Address::Id(id) => (ADDRESSES[0], id),
            Address::Name(name) => (ADDRESSES[1], name),
            Address::Url(url) => (ADDRESSES[2], url),
        };
        all.extend(ADDRESSES.map(|address| (address, (address == name).then(|| value.clone()))));
    }
    all.extend(global.endpoint().map(|endpoint| ("CRATEDB_CLOUD_ENDPOINT", Some(endpoint))));
    let timeout = global.timeout.map(|timeout| humantime::format_duration(timeout).to_string().replace(' ', ""));
    all.extend(timeout.map(|timeout| ("CRATEDB_TEST_START_TIMEOUT", Some(timeout))));
    all
}

/// Makes the options count for whatever reads the environment of this process from now on.
pub(super) fn apply(global: &Global) {
    for (name, value) in variables(global) {
        // SAFETY: `main` has started no thread yet, so nobody else reads or writes the environment.
        unsafe {
            match value {
                Some(value) => std::env::set_var(name, value),
                None => std::env::remove_var(name),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::arguments;

    fn of(line: &str) -> Vec<(&'static str, Option<String>)> {
        variables(&arguments::read(line.split(' ').map(OsString::from)).unwrap().global)
    }

    #[test]
    fn an_address_is_the_only_one() {
        assert_eq!(
            of("x finish --cluster-name ci"),
            [("CRATEDB_CLUSTER_ID", None), ("CRATEDB_CLUSTER_NAME", Some("ci".into())), ("CRATEDB_CLUSTER_URL", None),]
        );
        assert_eq!(of("x finish"), []);
    }

    #[test]
    fn a_time_is_one_that_settings_take() {
        let expected = [
            ("CRATEDB_CLOUD_ENDPOINT", Some("http://x".to_owned())),
            ("CRATEDB_TEST_START_TIMEOUT", Some("1m30s".to_owned())),
        ];
        assert_eq!(of("x finish --timeout 90s --endpoint http://x"), expected);
    }
}
