//! The types that CrateDB names for the columns of an answer.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The type of a column, as `?types` tells it: a number, or `[100, inner]` for an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Scalar(i64),
    Array(Box<ColumnType>),
    /// What stands inside an object, or an answer without types.
    Unknown,
}

const ARRAY: i64 = 100;
const ROW: i64 = 18;

/// How a value of some type is written in JSON, where JSON alone doesn't tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Plain,
    /// A number with as many digits as the value has.
    Numeric,
    /// Milliseconds since the epoch, in UTC.
    TimestampWithTimeZone,
    /// Milliseconds since the epoch, of a clock on some wall.
    Timestamp,
    /// Milliseconds since the epoch, always midnight.
    Date,
    /// Whatever stands inside an object.
    Unknown,
}

impl ColumnType {
    pub(crate) fn writing(&self) -> Writing {
        match self {
            Self::Scalar(11) => Writing::TimestampWithTimeZone,
            Self::Scalar(15) => Writing::Timestamp,
            Self::Scalar(22) => Writing::Numeric,
            Self::Scalar(24) => Writing::Date,
            Self::Unknown => Writing::Unknown,
            _ => Writing::Plain,
        }
    }

    /// The type of the elements, if values of this type are arrays.
    pub(crate) fn element(&self) -> &ColumnType {
        match self {
            Self::Array(inner) => inner,
            Self::Unknown | Self::Scalar(ROW) => &Self::Unknown,
            // GEO_POINT, TIMETZ, FLOAT_VECTOR, OIDVECTOR: numbers that JSON tells as they are.
            Self::Scalar(_) => &Self::Scalar(0),
        }
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(from_json(&Value::deserialize(deserializer)?))
    }
}

/// A form that this client doesn't know makes a type unknown, not an answer unreadable.
fn from_json(value: &Value) -> ColumnType {
    match value {
        Value::Number(id) => id.as_i64().map_or(ColumnType::Unknown, ColumnType::Scalar),
        Value::Array(parts) if parts.len() == 2 && parts[0] == ARRAY => {
            ColumnType::Array(Box::new(from_json(&parts[1])))
        }
        _ => ColumnType::Unknown,
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Array(inner) => return write!(f, "ARRAY({inner})"),
            Self::Unknown => "of unknown type",
            Self::Scalar(id) => match *id {
                0 => "NULL",
                2 => "BYTE",
                3 => "BOOLEAN",
                4 => "TEXT",
                5 => "IP",
                6 => "DOUBLE PRECISION",
                7 => "REAL",
                8 => "SMALLINT",
                9 => "INTEGER",
                10 => "BIGINT",
                11 => "TIMESTAMP WITH TIME ZONE",
                12 | 16 => "OBJECT",
                13 => "GEO_POINT",
                14 => "GEO_SHAPE",
                15 => "TIMESTAMP WITHOUT TIME ZONE",
                17 => "INTERVAL",
                ROW => "ROW",
                19 => "REGPROC",
                20 => "TIME WITH TIME ZONE",
                21 => "OIDVECTOR",
                22 => "NUMERIC",
                23 => "REGCLASS",
                24 => "DATE",
                25 => "BIT",
                26 => "JSON",
                27 => "CHARACTER",
                28 => "FLOAT_VECTOR",
                29 => "UUID",
                30 => "REGTYPE",
                id => return write!(f, "type {id}"),
            },
        };
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_read_from_numbers_and_nested_arrays() {
        let types: Vec<ColumnType> = serde_json::from_str("[9, [100, 4], [100, [100, 9]], 77, \"new\"]").unwrap();
        let names: Vec<String> = types.iter().map(ColumnType::to_string).collect();
        assert_eq!(names, ["INTEGER", "ARRAY(TEXT)", "ARRAY(ARRAY(INTEGER))", "type 77", "of unknown type"]);
    }
}
