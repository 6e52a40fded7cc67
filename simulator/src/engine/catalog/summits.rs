//! `sys.summits`: some of the mountains that CrateDB lists. Analysis refuses queries that need all of them.

use super::CatalogTable;
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Row;
use crate::engine::value::Value;

/// A mountain: name, height, prominence, longitude, latitude, country, year of the first ascent, classification, range
/// and
/// region.
type Summit = (&'static str, i64, i64, f64, f64, &'static str, i64, &'static str, &'static str, &'static str);

/// The number of mountains here: the highest, in CrateDB's order. No two are equally high.
pub(crate) const LENGTH: usize = 24;

const SUMMITS: [Summit; LENGTH] = [
    ("Mont Blanc", 4808, 4695, 6.86444, 45.8325, "FR/IT", 1786, "I/B-07.V-B", "U-Savoy/Aosta", "Mont Blanc massif"),
    ("Monte Rosa", 4634, 2165, 7.86694, 45.93694, "CH", 1855, "I/B-09.III-A", "Valais", "Monte Rosa Alps"),
    ("Dom", 4545, 1046, 7.85889, 46.09389, "CH", 1858, "I/B-09.V-A", "Valais", "Mischabel"),
    ("Liskamm", 4527, 376, 7.83556, 45.92222, "CH/IT", 1861, "I/B-09.III-A", "Valais/Aosta", "Monte Rosa Alps"),
    ("Weisshorn", 4506, 1235, 7.71583, 46.10139, "CH", 1861, "I/B-09.II-D", "Valais", "Weisshorn-Matterhorn"),
    ("Matterhorn", 4478, 1042, 7.65861, 45.97639, "CH/IT", 1865, "I/B-09.II-A", "Valais/Aosta", "Weisshorn-Matterhorn"),
    ("Dent Blanche", 4357, 915, 7.61194, 46.03417, "CH", 1862, "I/B-09.II-C", "Valais", "Weisshorn-Matterhorn"),
    ("Grand Combin", 4314, 1517, 7.29917, 45.9375, "CH", 1859, "I/B-09.I-B", "Valais", "Grand Combin Alps"),
    ("Finsteraarhorn", 4274, 2280, 8.12611, 46.53722, "CH", 1829, "I/B-12.II-A", "Bern/Valais", "Bernese Alps"),
    ("Zinalrothorn", 4221, 490, 7.69028, 46.065, "CH", 1864, "I/B-09.II-D", "Valais", "Weisshorn-Matterhorn"),
    (
        "Grandes Jorasses",
        4208,
        843,
        6.98833,
        45.86917,
        "FR/IT",
        1868,
        "I/B-07.V-B",
        "U-Savoy/Aosta",
        "Mont Blanc massif",
    ),
    ("Alphubel", 4206, 359, 7.86389, 46.06306, "CH", 1860, "I/B-09.V-A", "Valais", "Mischabel"),
    ("Rimpfischhorn", 4199, 642, 7.88417, 46.02333, "CH", 1859, "I/B-09.V-A", "Valais", "Mischabel"),
    ("Aletschhorn", 4193, 1029, 7.99389, 46.465, "CH", 1859, "I/B-12.II-E", "Valais", "Bernese Alps"),
    ("Strahlhorn", 4190, 401, 7.90167, 46.01333, "CH", 1854, "I/B-09.V-A", "Valais", "Mischabel"),
    ("Dent d'Hérens", 4174, 701, 7.60528, 45.97, "CH/IT", 1863, "I/B-09.II-A", "Valais/Aosta", "Weisshorn-Matterhorn"),
    ("Breithorn", 4164, 439, 7.74889, 45.94111, "CH/IT", 1813, "I/B-09.III-A", "Valais/Aosta", "Monte Rosa Alps"),
    ("Jungfrau", 4158, 687, 7.9625, 46.53667, "CH", 1811, "I/B-12.II-B", "Bern/Valais", "Bernese Alps"),
    ("Aiguille Verte", 4122, 689, 6.97028, 45.93472, "FR", 1865, "I/B-07.V-B", "Upper Savoy", "Mont Blanc massif"),
    ("Mönch", 4107, 584, 7.99722, 46.55833, "CH", 1857, "I/B-12.II-B", "Bern/Valais", "Bernese Alps"),
    ("Barre des Écrins", 4102, 2045, 6.36, 44.9225, "FR", 1864, "I/A-05.III-A", "Hautes-Alpes", "Massif des Écrins"),
    ("Schreckhorn", 4078, 792, 8.11806, 46.59, "CH", 1861, "I/B-12.II-C", "Bern", "Bernese Alps"),
    ("Ober Gabelhorn", 4063, 536, 7.66806, 46.03861, "CH", 1865, "I/B-09.II-D", "Valais", "Weisshorn-Matterhorn"),
    ("Gran Paradiso", 4061, 1888, 7.26722, 45.51806, "IT", 1860, "I/B-07.IV-A", "Aosta Valley", "Gran Paradiso Alps"),
];

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
    let row = |s: &Summit| -> Row {
        vec![
            Value::text(s.7),
            Value::Array(vec![Value::Double(s.3), Value::Double(s.4)]),
            Value::text(s.5),
            Value::Int(s.6),
            Value::Int(s.1),
            Value::text(s.0),
            Value::Int(s.2),
            Value::text(s.8),
            Value::text(s.9),
        ]
    };
    (columns(), SUMMITS.iter().map(row).collect())
}
