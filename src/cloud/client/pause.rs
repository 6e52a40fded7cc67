//! The pause that a service asks for with `Retry-After`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// The longest pause that is kept. What the client is to do may end costs, so a service that wants more rest is asked
/// once a minute.
const LONGEST: Duration = Duration::from_secs(60);

/// The moment until which a client sends nothing.
#[derive(Default)]
pub(super) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    /// Takes over the pause that a refusal asks for.
    pub(super) fn hear(&self, headers: &HeaderMap) {
        if let Some(wanted) = wanted(headers, OffsetDateTime::now_utc()) {
            let until = Instant::now() + wanted.min(LONGEST);
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *known = (*known).max(Some(until));
        }
    }

    /// Waits until the pause is over, also if it is made longer meanwhile.
    pub(super) async fn over(&self) {
        while let Some(left) = self.left() {
            tokio::time::sleep(left).await;
        }
    }

    /// Returns how much of a pause is left.
    pub(super) fn left(&self) -> Option<Duration> {
        let until = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }
}

/// Returns how long a service wants to be left alone: a number of seconds or a date. What is neither counts as nothing.
///
/// A date is compared with the date of the answer, since the clock of this machine may differ from the service's.
fn wanted(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let after = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if after.bytes().all(|byte| byte.is_ascii_digit()) && !after.is_empty() {
        return Some(after.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let until = OffsetDateTime::parse(after, &Rfc2822).ok()?;
    // A date that is past is no pause.
    Some(Duration::try_from(until - super::answered_at(headers).unwrap_or(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{DATE, HeaderName};

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn asked(after: &str) -> Option<Duration> {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        wanted(&headers(&[(RETRY_AFTER, after)]), now)
    }

    #[test]
    fn seconds_and_dates_are_read_and_nonsense_is_no_pause() {
        let seconds = |count| Some(Duration::from_secs(count));
        assert_eq!([asked("2"), asked(" 120 "), asked("0")], [seconds(2), seconds(120), seconds(0)]);
        // The test's now is Fri, 15 Jan 2027 08:00:00 GMT.
        assert_eq!(asked("Fri, 15 Jan 2027 08:00:30 GMT"), seconds(30));
        assert_eq!(asked("Fri, 15 Jan 2027 07:00:00 GMT"), seconds(0));
        assert_eq!(asked("99999999999999999999999"), Some(Duration::MAX));
        for nonsense in ["", "soon", "-5", "1.5", "2s", "Fri, 99 Jan 2027 08:00:30 GMT"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_date_is_compared_with_the_clock_that_made_it() {
        let far = OffsetDateTime::from_unix_timestamp(0).unwrap();
        let both = headers(&[(DATE, "Wed, 21 Oct 2015 07:28:00 GMT"), (RETRY_AFTER, "Wed, 21 Oct 2015 07:28:05 GMT")]);
        assert_eq!(wanted(&both, far), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_shorter_pause_does_not_end_a_longer_one_and_none_is_longer_than_a_minute() {
        let pause = Pause::default();
        pause.hear(&headers(&[(RETRY_AFTER, "86400")]));
        pause.hear(&headers(&[(RETRY_AFTER, "1")]));
        let left = pause.left().unwrap();
        assert!(left > Duration::from_secs(50) && left <= LONGEST, "{left:?}");
    }
}
