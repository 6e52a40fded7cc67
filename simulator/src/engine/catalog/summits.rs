//! `sys.summits`: some of the mountains CrateDB lists. Queries whose answer needs all of them are refused elsewhere.

use super::Table;
use crate::engine::exec::Row;
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;

/// Name, height, prominence, longitude, latitude, country, year of the first ascent; the highest first.
type Summit = (&'static str, i64, i64, f64, f64, &'static str, i64);

const SUMMITS: [Summit; 8] = [
    ("Mont Blanc", 4808, 4695, 6.86444, 45.8325, "FR/IT", 1786),
    ("Monte Rosa", 4634, 2165, 7.86694, 45.93694, "CH", 1855),
    ("Dom", 4545, 1046, 7.85889, 46.09389, "CH", 1858),
    ("Liskamm", 4527, 376, 7.83556, 45.9225, "CH/IT", 1861),
    ("Weisshorn", 4506, 1235, 7.71611, 46.10167, "CH", 1861),
    ("Matterhorn", 4478, 1042, 7.65861, 45.97639, "CH/IT", 1865),
    ("Dent Blanche", 4357, 915, 7.61194, 46.03417, "CH", 1862),
    ("Grand Combin", 4314, 1517, 7.29917, 45.9375, "CH", 1859),
];

/// So many of them are CrateDB's highest, in this order.
pub(crate) const HIGHEST: usize = 5;

pub(super) fn columns() -> Vec<(&'static str, Type)> {
    vec![
        ("classification", TEXT),
        ("coordinates", Type::GeoPoint),
        ("country", TEXT),
        ("first_ascent", Type::Integer),
        ("height", Type::Integer),
        ("mountain", TEXT),
        ("prominence", Type::Integer),
        ("range", TEXT),
        ("region", TEXT),
    ]
}

pub(super) fn table() -> Table {
    let row = |s: &Summit| -> Row {
        let mont_blanc = |text: &str| if s.0 == "Mont Blanc" { Value::text(text) } else { Value::Null };
        let region = match s.0 {
            "Mont Blanc" => "Mont Blanc massif",
            "Monte Rosa" => "Monte Rosa Alps",
            _ => "",
        };
        vec![
            mont_blanc("I/B-07.V-B"),
            Value::Array(vec![Value::Double(s.3), Value::Double(s.4)]),
            Value::text(s.5),
            Value::Int(s.6),
            Value::Int(s.1),
            Value::text(s.0),
            Value::Int(s.2),
            mont_blanc("U-Savoy/Aosta"),
            if region.is_empty() { Value::Null } else { Value::text(region) },
        ]
    };
    (columns(), SUMMITS.iter().map(row).collect())
}
