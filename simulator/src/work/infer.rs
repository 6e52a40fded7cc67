//! Types of columns from the values in them: for tables that an import makes itself.

use serde_json::Value;

use crate::state::stamp;

/// Types in SQL, from narrow to wide within a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// Only nulls so far.
    Unknown,
    Boolean,
    Whole,
    Fraction,
    Moment,
    Object,
    Text,
}

impl Guess {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Whole => "BIGINT",
            Self::Fraction => "DOUBLE PRECISION",
            Self::Moment => "TIMESTAMP WITH TIME ZONE",
            Self::Object => "OBJECT(DYNAMIC)",
            Self::Unknown | Self::Text => "TEXT",
        }
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Unknown,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_i64() => Self::Whole,
            Value::Number(_) => Self::Fraction,
            Value::Object(_) => Self::Object,
            Value::String(text) if is_moment(text) => Self::Moment,
            Value::String(_) | Value::Array(_) => Self::Text,
        }
    }

    fn with(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Unknown, other) | (other, Self::Unknown) => other,
            (Self::Whole, Self::Fraction) | (Self::Fraction, Self::Whole) => Self::Fraction,
            _ => Self::Text,
        }
    }
}

/// A date with a time; a bare date could be many things.
fn is_moment(text: &str) -> bool {
    text.len() >= 19 && text.as_bytes()[10].eq_ignore_ascii_case(&b'T') && stamp::parse_date(text).is_some()
}

/// Returns the SQL type that fits all values of a column.
pub(super) fn column<'a>(values: impl Iterator<Item = &'a Value> + Clone) -> String {
    let items = values.clone().filter_map(Value::as_array);
    if items.clone().next().is_some() && values.clone().all(|value| value.is_array() || value.is_null()) {
        let inner = items.flatten().map(Guess::of).fold(Guess::Unknown, Guess::with);
        return format!("ARRAY({})", inner.sql());
    }
    values.map(Guess::of).fold(Guess::Unknown, Guess::with).sql().into()
}

/// Returns the value of a field of a CSV file. An empty field is null.
pub(super) fn field(text: &str) -> Value {
    let bare = text.trim();
    match bare {
        "" => return Value::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        _ => {}
    }
    // Codes such as `007` and `+49` are texts.
    let digits = bare.strip_prefix('-').unwrap_or(bare);
    let coded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit()) && !coded;
    let whole = bare.parse::<i64>().ok().filter(|_| numeric).map(Value::from);
    let fraction = || bare.parse::<f64>().ok().filter(|number| numeric && number.is_finite()).map(Value::from);
    whole.or_else(fraction).or_else(|| structure(bare)).unwrap_or_else(|| text.into())
}

/// Objects and arrays are written as JSON in CSV.
fn structure(text: &str) -> Option<Value> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(values: Value) -> String {
        column(values.as_array().unwrap().iter())
    }

    #[test]
    fn a_column_gets_the_narrowest_type_that_fits_all_of_it() {
        assert_eq!(of(json!([1, null, 2])), "BIGINT");
        assert_eq!(of(json!([1, 2.5])), "DOUBLE PRECISION");
        assert_eq!(of(json!([1, "x"])), "TEXT");
        assert_eq!(of(json!([true, null])), "BOOLEAN");
        assert_eq!(of(json!([null])), "TEXT");
        assert_eq!(of(json!(["2026-01-05T10:00:00Z", "2026-01-05T10:00:00.5"])), "TIMESTAMP WITH TIME ZONE");
        assert_eq!(of(json!(["2026-01-05"])), "TEXT");
        assert_eq!(of(json!([{ "a": 1 }])), "OBJECT(DYNAMIC)");
        assert_eq!(of(json!([[1], [], null])), "ARRAY(BIGINT)");
        assert_eq!(of(json!([[1], 1])), "TEXT");
    }

    #[test]
    fn fields_that_look_like_codes_stay_texts() {
        assert_eq!(
            [field("12"), field("-1.5"), field("0.5"), field("1e3")],
            [json!(12), json!(-1.5), json!(0.5), json!(1000.0)]
        );
        assert_eq!([field("007"), field("+49"), field("1-2"), field("inf")].map(|v| v.is_string()), [true; 4]);
        assert_eq!([field(""), field("true"), field("{\"a\":1}")], [Value::Null, json!(true), json!({ "a": 1 })]);
    }
}
