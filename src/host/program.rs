//! The own program and its environment, as they were when the process started.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

/// Returns the path that starts this program again. On Linux it works after the file was replaced or removed.
pub(crate) fn own_program() -> OsString {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    env::current_exe().map_or_else(|_| env::args_os().next().unwrap_or_default(), Into::into)
}

/// Returns a variable as it was when the process started: tests change variables. Where the system does not keep the
/// initial environment, it is the current value.
pub(crate) fn initial_environment(name: &str) -> Option<OsString> {
    let Ok(environment) = fs::read("/proc/self/environ") else { return env::var_os(name) };
    let prefix = format!("{name}=").into_bytes();
    let entry = environment.split(|byte| *byte == 0).find(|entry| entry.starts_with(&prefix))?;
    Some(OsString::from_vec(entry[prefix.len()..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_environment_does_not_change() {
        assert_eq!(initial_environment("PATH"), env::var_os("PATH"));
        assert_eq!(initial_environment("CRATEDB_TEST_NOT_SET_ANYWHERE"), None);
    }
}
