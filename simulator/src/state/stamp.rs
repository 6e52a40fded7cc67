//! Timestamps as the service writes them.

use time::OffsetDateTime;

use super::Micros;

fn civil(at: Micros) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `2026-01-05T10:00:00.456000`: how `health.last_seen` is written.
pub(crate) fn naive(at: Micros) -> String {
    let t = civil(at);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.microsecond()
    )
}

/// `2026-01-05T10:00:00.456000+00:00`: everything else.
pub(crate) fn utc(at: Micros) -> String {
    naive(at) + "+00:00"
}

/// The creation and modification pair that most objects carry.
pub(crate) fn dc(created: Micros, modified: Micros) -> serde_json::Value {
    serde_json::json!({ "created": utc(created), "modified": utc(modified) })
}

/// Reads `2021-11-16T13:00:00Z`, the form of the filters `start` and `end`.
pub(crate) fn parse(text: &str) -> Option<Micros> {
    let at = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    Micros::try_from(at.unix_timestamp_nanos() / 1000).ok()
}

/// Reads the same, a date without a time, and a time without an offset, which is in UTC.
pub(crate) fn parse_date(text: &str) -> Option<Micros> {
    // A plus sign in a query is a space unless it was escaped.
    let text = text.replace(' ', "+");
    let whole = || format!("{text}T00:00:00Z");
    parse(&text).or_else(|| parse(&format!("{text}Z"))).or_else(|| parse(&whole()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_microseconds_and_only_dc_has_an_offset() {
        let at = parse("2026-01-05T10:00:00Z").unwrap() + 456_000;
        assert_eq!(naive(at), "2026-01-05T10:00:00.456000");
        assert_eq!(dc(at, at)["modified"], "2026-01-05T10:00:00.456000+00:00");
    }

    #[test]
    fn refuses_what_is_no_date() {
        assert_eq!((parse("yesterday"), parse_date("yesterday")), (None, None));
    }

    #[test]
    fn reads_dates_as_clients_write_them() {
        let at = parse("2026-01-03T10:00:00Z");
        for text in ["2026-01-03T10:00:00.000000+00:00", "2026-01-03T10:00:00.000000 00:00", "2026-01-03T10:00:00"] {
            assert_eq!(parse_date(text), at, "{text}");
        }
        assert_eq!(parse_date("2026-01-03"), at.map(|at| at - 36_000_000_000));
    }
}
