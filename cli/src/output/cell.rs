//! One value of a result as text: what CrateDB writes in JSON, in a form for people and spreadsheets.

use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The text of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Text(String),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Returns whether values of a type are aligned to the right.
pub(crate) fn is_number(kind: &str) -> bool {
    matches!(kind, "BYTE" | "SMALLINT" | "INTEGER" | "BIGINT" | "REAL" | "DOUBLE PRECISION" | "NUMERIC")
}

impl Cell {
    /// Makes a cell of a value as CrateDB wrote it, and of the name that CrateDB gives its type.
    pub(crate) fn of(raw: &RawValue, kind: &str) -> Self {
        let raw = raw.get().trim();
        if raw == "null" {
            return Self::Null;
        }
        Self::Text(
            moment(raw, kind).or_else(|| elements(raw, kind)).or_else(|| text(raw)).unwrap_or_else(|| raw.into()),
        )
    }
}

/// Returns the text of a JSON string.
fn text(raw: &str) -> Option<String> {
    raw.starts_with('"').then(|| serde_json::from_str(raw).ok()).flatten()
}

/// Formats a moment or a time of day. Returns nothing for other types, and for years of more than four digits.
fn moment(raw: &str, kind: &str) -> Option<String> {
    match kind {
        "TIMESTAMP WITH TIME ZONE" => rfc3339(raw),
        "TIMESTAMP WITHOUT TIME ZONE" => rfc3339(raw).map(|text| text.trim_end_matches('Z').to_owned()),
        "DATE" => rfc3339(raw).and_then(|text| Some(text.split_once('T')?.0.to_owned())),
        "TIME WITH TIME ZONE" => time_of_day(raw),
        _ => None,
    }
}

fn rfc3339(raw: &str) -> Option<String> {
    let milliseconds: i128 = raw.parse().ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(milliseconds * 1_000_000).ok()?.format(&Rfc3339).ok()
}

/// Formats `[microseconds of the day, seconds east of UTC]`.
fn time_of_day(raw: &str) -> Option<String> {
    let (micros, offset): (u64, i64) = serde_json::from_str(raw).ok()?;
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        text += format!(".{fraction:06}").trim_end_matches('0');
    }
    let (sign, east) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    Some(format!("{text}{sign}{:02}:{:02}", east / 3600, east / 60 % 60))
}

/// Formats an array, with its moments as JSON strings.
fn elements(raw: &str, kind: &str) -> Option<String> {
    let inner = kind.strip_prefix("ARRAY(")?.strip_suffix(')')?;
    let all: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    let each = all.iter().map(|element| {
        let said = moment(element.get(), inner).and_then(|text| serde_json::to_string(&text).ok());
        said.or_else(|| elements(element.get(), inner)).unwrap_or_else(|| element.get().to_owned())
    });
    Some(format!("[{}]", each.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(raw: &str, kind: &str) -> String {
        match Cell::of(&RawValue::from_string(raw.to_owned()).unwrap(), kind) {
            Cell::Null => "(null)".to_owned(),
            Cell::Text(text) => text,
        }
    }

    #[test]
    fn every_type_is_said_as_people_read_it() {
        for (kind, raw, expected) in [
            ("TEXT", r#""a \"b\" \u00e4""#, "a \"b\" ä"),
            ("TEXT", "null", "(null)"),
            ("TEXT", r#""null""#, "null"),
            ("TEXT", r#""""#, ""),
            ("BOOLEAN", "true", "true"),
            ("BIGINT", "9223372036854775807", "9223372036854775807"),
            ("DOUBLE PRECISION", "1.0E-10", "1.0E-10"),
            ("DOUBLE PRECISION", r#""NaN""#, "NaN"),
            ("NUMERIC", "12345678901234567890.123456789", "12345678901234567890.123456789"),
            ("TIMESTAMP WITH TIME ZONE", "1767610800123", "2026-01-05T11:00:00.123Z"),
            ("TIMESTAMP WITHOUT TIME ZONE", "1767610800000", "2026-01-05T11:00:00"),
            ("TIMESTAMP WITH TIME ZONE", "-1", "1969-12-31T23:59:59.999Z"),
            ("TIMESTAMP WITH TIME ZONE", "999999999999999", "999999999999999"),
            ("DATE", "1767571200000", "2026-01-05"),
            ("TIME WITH TIME ZONE", "[45296789000, 7200]", "12:34:56.789+02:00"),
            ("TIME WITH TIME ZONE", "[0, -19800]", "00:00:00-05:30"),
            ("OBJECT", r#"{"a":{"b":[1,null]}}"#, r#"{"a":{"b":[1,null]}}"#),
            ("GEO_POINT", "[8.5,47.4]", "[8.5,47.4]"),
            ("ARRAY(TEXT)", r#"["a","b,c",null]"#, r#"["a", "b,c", null]"#),
            ("ARRAY(ARRAY(DATE))", "[[1767571200000],[]]", r#"[["2026-01-05"], []]"#),
            ("BIT", r#""B'0110'""#, "B'0110'"),
            ("type 77", r#"{"x":1}"#, r#"{"x":1}"#),
        ] {
            assert_eq!(cell(raw, kind), expected, "{kind} {raw}");
        }
    }
}
