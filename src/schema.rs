//! Names the schema of one attempt, and recognises it later, to drop it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The beginning of every schema of the harness.
const PREFIX: &str = "cratedb_test_";
/// The length of the random part, which keeps two attempts of one minute apart.
const RANDOM: usize = 8;
/// The length of the readable part: `schema.table` is limited to 255 bytes, and tables have names too.
const SLUG: usize = 24;
/// The age from which a schema is a left-over: a younger one may belong to a run on another machine.
pub(crate) const LEFT_OVER_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a new name: `cratedb_test_<minutes, base 36>_<8 random>_<slug>`.
pub(crate) fn name(test: &str, now: SystemTime) -> String {
    format!("{PREFIX}{}_{}", stamp(now), slug(test))
}

/// Makes the part that makes a name new and tells its age: `<minutes, base 36>_<8 random>`.
pub(crate) fn stamp(now: SystemTime) -> String {
    let minutes = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 60;
    let random: String = std::iter::repeat_with(|| digit(fastrand::u64(..36))).take(RANDOM).collect();
    format!("{}_{random}", base36(minutes))
}

/// Returns when a stamp was made; none for any other text.
pub(crate) fn stamped(text: &str) -> Option<SystemTime> {
    let ours = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let (minutes, random) = text.split_once('_')?;
    let fits = ours(minutes) && random.len() == RANDOM && ours(random);
    let minutes = u64::from_str_radix(minutes, 36).ok().filter(|_| fits)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(minutes.checked_mul(60)?))
}

/// Returns when a schema of the harness was named; none for any other name.
pub(crate) fn born(name: &str) -> Option<SystemTime> {
    let rest = name.strip_prefix(PREFIX)?;
    let end_of_minutes = rest.find('_')?;
    let (stamp, slug) = rest.split_at_checked(end_of_minutes + 1 + RANDOM)?;
    let slug = slug.strip_prefix('_')?;
    let fits = slug.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit());
    stamped(stamp).filter(|_| fits && !slug.is_empty() && slug.len() <= SLUG)
}

/// Says until when a kept schema is left alone.
pub(crate) fn kept_until(name: &str) -> Option<String> {
    let until = time::OffsetDateTime::from(born(name)?.checked_add(LEFT_OVER_AGE)?);
    let (hour, minute) = (until.hour(), until.minute());
    Some(format!("{} {hour:02}:{minute:02} UTC", until.date()))
}

/// Tells whether a schema was left behind by a run that is long over.
pub(crate) fn is_left_over(name: &str, now: SystemTime) -> bool {
    born(name).is_some_and(|born| now.duration_since(born).is_ok_and(|age| age > LEFT_OVER_AGE))
}

/// Returns the last, telling part of a test's path, in characters that need no quotes.
fn slug(test: &str) -> String {
    let last = test.rsplit("::").next().unwrap_or(test);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let slug: String = last.trim_start_matches("r#").chars().map(plain).take(SLUG).collect();
    if slug.is_empty() { "test".into() } else { slug }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(digit(number % 36));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

fn digit(value: u64) -> char {
    char::from_digit(value as u32, 36).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_age_and_its_test() {
        let now = UNIX_EPOCH + Duration::from_secs(1_790_000_040);
        let name = name("module::tests::Inserts_are_visible_after_refresh", now);
        assert!(name.starts_with("cratedb_test_hrfjq_"), "{name}");
        assert!(name.ends_with("_inserts_are_visible_afte"), "{name}");
        assert_eq!(born(&name), Some(UNIX_EPOCH + Duration::from_secs(1_790_000_040 / 60 * 60)));
        assert!(!is_left_over(&name, now + LEFT_OVER_AGE));
        assert!(is_left_over(&name, now + LEFT_OVER_AGE + Duration::from_secs(120)));
    }

    #[test]
    fn is_kept_for_a_day() {
        let name = name("t", UNIX_EPOCH + Duration::from_secs(1_790_000_040));
        assert_eq!(kept_until(&name).unwrap(), "2026-09-22 14:14 UTC");
        assert_eq!(kept_until("doc"), None);
    }

    #[test]
    fn only_names_of_the_full_pattern_are_ours() {
        for other in [
            "doc",
            "cratedb_test_",
            "cratedb_test_data",
            "cratedb_test_orders_2024_backup",
            "cratedb_test_htr3k0_ABCDEFGH_x",
            "cratedb_test_htr3k0_abcdefgh_",
            "cratedb_test_htr3k0_abcdefgh_a_name_of_more_than_24_characters",
        ] {
            assert_eq!(born(other), None, "{other}");
        }
    }

    #[test]
    fn every_test_gets_a_slug() {
        let slugs = [("", "test"), ("r#type", "type"), ("a::b::case_1_ünï", "case_1__n_"), ("::", "test")];
        for (test, expected) in slugs {
            assert_eq!(slug(test), expected);
        }
    }
}
