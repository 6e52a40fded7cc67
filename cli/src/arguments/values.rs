//! Values that options take, and what is accepted where one can't be read.

use std::time::Duration;

/// Ten years: more could not be added to the time of day everywhere.
const LONGEST: Duration = Duration::from_secs(10 * 31_557_600);

/// A time with its unit. Zero is none: nothing can happen in no time.
pub(crate) fn lasting(text: &str) -> Result<Duration, String> {
    let bare = text.parse::<f64>().is_ok();
    let read = humantime::parse_duration(text).ok().filter(|time| !bare && !time.is_zero() && *time <= LONGEST);
    read.ok_or_else(|| "accepted: a number with its unit, such as 250ms, 30s, 10m, 2h; at most 10y".into())
}

/// The name of a test session: it becomes part of a variable and of file names.
pub(crate) fn session(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("accepted: 1 to 64 letters, digits, `.`, `_` and `-`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_last() {
        assert_eq!(lasting("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(lasting("10y"), Ok(LONGEST));
        for bad in ["10", "0", "0s", "", "soon", "-1s", "11y", "300000000000y", "99999999999999999999y"] {
            assert!(lasting(bad).is_err_and(|text| text.starts_with("accepted: ")), "{bad}");
        }
    }

    #[test]
    fn names_of_sessions_hold_what_file_names_may() {
        assert_eq!(session("ci-42.a_B"), Ok("ci-42.a_B".into()));
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(session(bad).is_err(), "{bad}");
        }
    }
}
