//! CrateDB's types as PostgreSQL's: object ids, sizes, and the type for an id that a client names.

use crate::engine::Type;

/// The type of a column in a row description.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) oid: u32,
    /// Bytes of a value; negative if that varies.
    pub(super) size: i16,
    pub(super) modifier: i32,
}

/// Types as object id, size, and object id of an array of it. Objects are JSON, and arrays of objects are arrays of
/// JSON.
const JSON: (u32, i16, u32) = (114, -1, 199);
const UNKNOWN: u32 = 705;

fn scalar(ty: &Type) -> Option<(u32, i16, u32)> {
    Some(match ty {
        Type::Undefined => (UNKNOWN, -2, JSON.2),
        Type::Byte => (18, 1, 1002),
        Type::Boolean => (16, 1, 1000),
        Type::Text(_) | Type::Ip => (1043, -1, 1015),
        Type::Char(_) => (1042, -1, 1014),
        Type::Double => (701, 8, 1022),
        Type::Real => (700, 4, 1021),
        Type::SmallInt => (21, 2, 1005),
        Type::Integer => (23, 4, 1007),
        Type::BigInt => (20, 8, 1016),
        Type::TimestampTz => (1184, 8, 1185),
        Type::Timestamp => (1114, 8, 1115),
        Type::Date => (1082, 4, 1182),
        Type::TimeTz => (1266, 12, 1270),
        Type::Interval => (1186, 16, 1187),
        Type::Numeric(_) => (1700, -1, 1231),
        Type::Object(_) | Type::Json => JSON,
        Type::GeoPoint => (600, 16, 1017),
        Type::Regclass => (2205, 4, 2210),
        Type::Bit(_) => (1560, -1, 1561),
        Type::Uuid => (2950, 16, 2951),
        Type::Array(_) | Type::Vector(_) => return None,
    })
}

/// Returns the description of a type.
pub(super) fn shape(ty: &Type) -> Shape {
    let plain = |oid, size| Shape { oid, size, modifier: -1 };
    match ty {
        // A vector is an array of reals to clients.
        Type::Vector(_) => plain(1021, -1),
        Type::Bit(length) => Shape { modifier: i32::try_from(*length).unwrap_or(-1), ..plain(1560, -1) },
        // Arrays of arrays may have rows of different length, which PostgreSQL's can't.
        Type::Array(of) => match scalar(of) {
            Some((_, _, array)) => plain(array, -1),
            None => plain(JSON.0, JSON.1),
        },
        ty => scalar(ty).map_or(plain(UNKNOWN, -2), |(oid, size, _)| plain(oid, size)),
    }
}

/// Returns whether a value of this type is written as JSON.
pub(super) fn is_json(ty: &Type) -> bool {
    shape(ty).oid == JSON.0
}

/// Returns the type for an object id. `Err` for ids that CrateDB doesn't know.
pub(super) fn of_oid(oid: u32) -> Result<Type, UnknownOid> {
    const SCALARS: [Type; 16] = [
        Type::Byte,
        Type::Boolean,
        Type::Text(None),
        Type::Double,
        Type::Real,
        Type::SmallInt,
        Type::Integer,
        Type::BigInt,
        Type::TimestampTz,
        Type::Timestamp,
        Type::Date,
        Type::Interval,
        Type::Numeric(None),
        Type::GeoPoint,
        Type::Regclass,
        Type::Uuid,
    ];
    for ty in SCALARS {
        let Some((own, _, array)) = scalar(&ty) else { continue };
        if own == oid {
            return Ok(ty);
        }
        if array == oid {
            return Ok(Type::array(ty));
        }
    }
    match oid {
        // None, unknown, any.
        0 | UNKNOWN | 2276 => Ok(Type::Undefined),
        // text and name, with arrays of text.
        25 | 19 => Ok(Type::Text(None)),
        1009 => Ok(Type::array(Type::Text(None))),
        26 => Ok(Type::Integer),
        114 => Ok(Type::object()),
        199 => Ok(Type::array(Type::object())),
        // character, regproc, oidvector, bit, timetz, record, regtype and arrays of them: CrateDB's, not the engine's.
        24 | 30 | 1008 | 1014 | 1042 | 1266 | 1270 | 1560 | 1561 | 2206 | 2211 | 2249 | 2277 | 2287 => {
            Err(UnknownOid::Elsewhere)
        }
        _ => Err(UnknownOid::Nowhere),
    }
}

/// The reason why an object id gives no type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum UnknownOid {
    /// CrateDB knows it, the engine doesn't.
    Elsewhere,
    Nowhere,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_back_to_the_type_they_came_from() {
        for ty in [Type::Boolean, Type::BigInt, Type::Uuid, Type::TimestampTz, Type::array(Type::Real)] {
            assert_eq!(of_oid(shape(&ty).oid), Ok(ty));
        }
    }

    #[test]
    fn nested_arrays_and_objects_are_json() {
        assert!(is_json(&Type::array(Type::array(Type::Integer))) && is_json(&Type::object()));
        assert_eq!(shape(&Type::array(Type::object())).oid, 199);
        assert_eq!(shape(&Type::Bit(5)).modifier, 5);
    }

    #[test]
    fn foreign_types_are_unknown() {
        // bytea, jsonb, inet
        for oid in [17, 3802, 869] {
            assert_eq!(of_oid(oid), Err(UnknownOid::Nowhere));
        }
        assert_eq!(of_oid(1560), Err(UnknownOid::Elsewhere));
    }
}
