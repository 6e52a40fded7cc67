//! `sys.summits`: some of the mountains that CrateDB lists. Analysis refuses queries that need all of them.

use super::CatalogTable;
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Row;
use crate::engine::value::Value;

/// Name, height, prominence (0: not said), longitude, latitude, country, year of the first ascent (0: not said).
type Summit = (&'static str, i64, i64, f64, f64, &'static str, i64);

/// The number of mountains here.
pub(crate) const LENGTH: usize = 28;

/// Returns the rows, highest first.
const SUMMITS: [Summit; LENGTH] = [
    ("Mont Blanc", 4808, 4695, 6.86444, 45.8325, "FR/IT", 1786),
    ("Monte Rosa", 4634, 2165, 7.86694, 45.93694, "CH", 1855),
    ("Dom", 4545, 1046, 7.85889, 46.09389, "CH", 1858),
    ("Liskamm", 4527, 376, 7.83556, 45.9225, "CH/IT", 1861),
    ("Weisshorn", 4506, 1235, 7.71611, 46.10167, "CH", 1861),
    ("Matterhorn", 4478, 1042, 7.65861, 45.97639, "CH/IT", 1865),
    ("Dent Blanche", 4357, 915, 7.61194, 46.03417, "CH", 1862),
    ("Grand Combin", 4314, 1517, 7.29917, 45.9375, "CH", 1859),
    ("Finsteraarhorn", 4274, 2280, 8.12611, 46.53722, "CH", 0),
    ("Zinalrothorn", 4221, 0, 7.69, 46.065, "CH", 1864),
    ("Aletschhorn", 4193, 0, 7.99361, 46.465, "CH", 1859),
    ("Jungfrau", 4158, 0, 7.9625, 46.53667, "CH", 1811),
    ("Barre des Ecrins", 4102, 0, 6.35944, 44.92222, "FR", 1864),
    ("Schreckhorn", 4078, 0, 8.11833, 46.59, "CH", 1861),
    ("Ober Gabelhorn", 4063, 0, 7.66806, 46.03889, "CH", 1865),
    ("Gran Paradiso", 4061, 0, 7.26611, 45.51778, "IT", 1860),
    ("Piz Bernina", 4049, 2234, 9.90806, 46.38222, "CH", 1850),
    ("Eiger", 3970, 0, 8.00528, 46.5775, "CH", 1858),
    ("Ortler", 3905, 0, 10.545, 46.50889, "IT", 1804),
    ("Monte Viso", 3841, 0, 7.09083, 44.66722, "IT", 1861),
    ("Großglockner", 3798, 2423, 12.695, 47.07444, "AT", 1800),
    ("Wildspitze", 3768, 0, 10.86722, 46.88528, "AT", 0),
    ("Großvenediger", 3666, 0, 12.34639, 47.10917, "AT", 1841),
    ("Marmolada", 3343, 0, 11.85, 46.43472, "IT", 1864),
    ("Zugspitze", 2962, 0, 10.98528, 47.42111, "AT/DE", 1820),
    ("Triglav", 2864, 0, 13.83667, 46.37833, "SI", 1778),
    ("Watzmann", 2713, 0, 12.92222, 47.55444, "DE", 1800),
    ("Säntis", 2502, 0, 9.34333, 47.24944, "CH", 0),
];

/// This number of them are CrateDB's highest, in this order.
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

pub(super) fn table() -> CatalogTable {
    let said = |n: i64| if n == 0 { Value::Null } else { Value::Int(n) };
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
            said(s.6),
            Value::Int(s.1),
            Value::text(s.0),
            said(s.2),
            mont_blanc("U-Savoy/Aosta"),
            if region.is_empty() { Value::Null } else { Value::text(region) },
        ]
    };
    (columns(), SUMMITS.iter().map(row).collect())
}
