//! Points on earth as an index keeps them: in 32 bits for each coordinate.

use crate::engine::context::Context;
use crate::engine::error::{Result, refuse};
use crate::engine::store::Definition;
use crate::engine::types::Type;
use crate::engine::value::{Row, Value};

/// Returns the places of a table's columns of points.
pub(super) fn columns(definition: &Definition) -> Vec<usize> {
    let points = definition.columns.iter().enumerate().filter(|(_, column)| column.ty == Type::GeoPoint);
    points.map(|(place, _)| place).collect()
}

/// Returns a row as a search reads it: points as the index has them. A query that orders or limits its rows reads the
/// points of some of its plans as they were written.
pub(super) fn search(mut row: Row, points: &[usize], context: &Context) -> Result<Row> {
    for place in points {
        let indexed = indexed(&row[*place]);
        if context.fetches.get() && indexed != row[*place] {
            return Err(refuse("a rounded geo_point in a query with ORDER BY, LIMIT or OFFSET"));
        }
        row[*place] = indexed;
    }
    Ok(row)
}

/// Returns whether an object holds a point that its index rounds.
pub(crate) fn is_rounded_within(value: &Value, ty: &Type) -> bool {
    let (Value::Object(fields), Type::Object(object)) = (value, ty) else { return false };
    fields.iter().any(|(key, inner)| match object.field(key).map(|field| &field.ty) {
        Some(Type::GeoPoint) => indexed(inner) != *inner,
        Some(ty) => is_rounded_within(inner, ty),
        None => false,
    })
}

fn indexed(point: &Value) -> Value {
    match point {
        Value::Array(items) => match items.as_slice() {
            [Value::Double(longitude), Value::Double(latitude)] => {
                Value::Array(vec![rounded(*longitude, 180.0), rounded(*latitude, 90.0)])
            }
            _ => point.clone(),
        },
        _ => point.clone(),
    }
}

/// Rounds a coordinate down to the grid of 2³² values between `-most` and `most`, of which `most` itself is none.
fn rounded(coordinate: f64, most: f64) -> Value {
    let step = 2.0 * most / 4_294_967_296.0;
    let below = if coordinate == most { most.next_down() } else { coordinate };
    Value::Double((below / step).floor() * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_rounded_as_lucene_does() {
        let point = |x, y| Value::Array(vec![Value::Double(x), Value::Double(y)]);
        for (written, read) in [
            ((9.7, 47.4), (9.699_999_941_512_942, 47.399_999_974_295_5)),
            ((180.0, 90.0), (179.999_999_916_180_97, 89.999_999_958_090_48)),
            ((-180.0, -90.0), (-180.0, -90.0)),
            ((1.0, 2.0), (0.999_999_940_395_355_2, 1.999_999_964_609_742_2)),
            ((0.0, 0.0), (0.0, 0.0)),
        ] {
            let once = indexed(&point(written.0, written.1));
            assert_eq!(once, point(read.0, read.1));
            assert_eq!(indexed(&once), once);
        }
    }
}
