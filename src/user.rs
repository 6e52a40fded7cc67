//! Names the database user that is made with a cluster for drivers that can't use its token, and recognises it later.

use std::time::{Duration, SystemTime};

use crate::schema;

/// The beginning of every user of the harness. None of its schemas begins so: there the first part after
/// `cratedb_test_` is followed by eight characters.
const PREFIX: &str = "cratedb_test_user_";
/// The age from which a user is a left-over: a younger one may be in use, since a cluster that is kept warm has one
/// user for all runs.
const LEFT_OVER_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Makes a new name: `cratedb_test_user_<minutes, base 36>_<8 random>`.
pub(crate) fn name(now: SystemTime) -> String {
    format!("{PREFIX}{}", schema::stamp(now))
}

/// Tells whether a name is that of a user of the harness.
pub(crate) fn is_ours(name: &str) -> bool {
    born(name).is_some()
}

/// Tells whether a user was left behind by a run that is long over.
pub(crate) fn is_left_over(name: &str, now: SystemTime) -> bool {
    born(name).is_some_and(|born| now.duration_since(born).is_ok_and(|age| age > LEFT_OVER_AGE))
}

fn born(name: &str) -> Option<SystemTime> {
    schema::stamped(name.strip_prefix(PREFIX)?)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_name_tells_its_age_and_is_no_schemas() {
        let now = UNIX_EPOCH + Duration::from_secs(1_790_000_040);
        let name = name(now);
        assert!(name.starts_with("cratedb_test_user_hrfjq_"), "{name}");
        assert!(is_ours(&name) && schema::born(&name).is_none());
        assert!(!is_left_over(&name, now + LEFT_OVER_AGE));
        assert!(is_left_over(&name, now + LEFT_OVER_AGE + Duration::from_secs(120)));
    }

    #[test]
    fn only_names_of_the_full_pattern_are_ours() {
        let schemas = ["user", "users", "user_hrfjq_abcdefgh"].map(|test| schema::name(test, SystemTime::now()));
        for other in schemas.iter().map(String::as_str).chain([
            "crate",
            "cratedb_test_user",
            "cratedb_test_user_",
            "cratedb_test_user_hrfjq",
            "cratedb_test_user_hrfjq_abcdefg",
            "cratedb_test_user_hrfjq_ABCDEFGH",
            "cratedb_test_user_hrfjq_abcdefgh_",
        ]) {
            assert!(!is_ours(other), "{other}");
        }
    }
}
