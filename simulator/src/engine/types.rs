//! CrateDB's data types: ids, names, families.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Type {
    Undefined,
    Byte,
    Boolean,
    /// TEXT, or VARCHAR with a length.
    Text(Option<u32>),
    Char(u32),
    Ip,
    Double,
    Real,
    SmallInt,
    Integer,
    BigInt,
    TimestampTz,
    Timestamp,
    Object(Object),
    GeoPoint,
    Interval,
    TimeTz,
    /// Precision and scale.
    Numeric(Option<(u32, u32)>),
    Regclass,
    Date,
    Bit(u32),
    Json,
    Vector(u32),
    Uuid,
    Array(Box<Type>),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Policy {
    Dynamic,
    Strict,
    Ignored,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) policy: Policy,
    pub(crate) fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// Place in `information_schema.columns`; 0 outside of tables.
    pub(crate) position: u32,
}

/// The highest precision of a NUMERIC that is stored.
pub(crate) const MOST_DIGITS: u32 = 38;

pub(crate) const TEXT: Type = Type::Text(None);
pub(crate) const NUMERIC: Type = Type::Numeric(None);

impl Object {
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

impl Type {
    pub(crate) fn object() -> Type {
        Type::Object(Object { policy: Policy::Dynamic, fields: vec![] })
    }

    pub(crate) fn array(of: Type) -> Type {
        Type::Array(Box::new(of))
    }

    /// Returns the number that CrateDB sends in `col_types`.
    fn id(&self) -> u32 {
        match self {
            Type::Undefined => 0,
            Type::Byte => 2,
            Type::Boolean => 3,
            Type::Text(_) => 4,
            Type::Ip => 5,
            Type::Double => 6,
            Type::Real => 7,
            Type::SmallInt => 8,
            Type::Integer => 9,
            Type::BigInt => 10,
            Type::TimestampTz => 11,
            Type::Object(_) => 12,
            Type::GeoPoint => 13,
            Type::Timestamp => 15,
            Type::Interval => 17,
            Type::TimeTz => 20,
            Type::Numeric(_) => 22,
            Type::Regclass => 23,
            Type::Date => 24,
            Type::Bit(_) => 25,
            Type::Json => 26,
            Type::Char(_) => 27,
            Type::Vector(_) => 28,
            Type::Uuid => 29,
            Type::Array(_) => 100,
        }
    }

    pub(crate) fn write_id(&self, out: &mut String) {
        if let Type::Array(of) = self {
            out.push_str("[100,");
            of.write_id(out);
            out.push(']');
        } else {
            let _ = write!(out, "{}", self.id());
        }
    }

    /// Returns the name in messages and in `information_schema.columns.data_type`.
    pub(crate) fn name(&self) -> String {
        let name = match self {
            Type::Undefined => "undefined",
            Type::Byte => "byte",
            Type::Boolean => "boolean",
            Type::Text(_) => "text",
            Type::Ip => "ip",
            Type::Double => "double precision",
            Type::Real => "real",
            Type::SmallInt => "smallint",
            Type::Integer => "integer",
            Type::BigInt => "bigint",
            Type::TimestampTz => "timestamp with time zone",
            Type::Object(_) => "object",
            Type::GeoPoint => "geo_point",
            Type::Timestamp => "timestamp without time zone",
            Type::Interval => "interval",
            Type::TimeTz => "time with time zone",
            Type::Numeric(_) => "numeric",
            Type::Regclass => "regclass",
            Type::Date => "date",
            Type::Bit(_) => "bit",
            Type::Json => "json",
            Type::Char(_) => "character",
            Type::Vector(_) => "float_vector",
            Type::Uuid => "uuid",
            Type::Array(of) => return format!("{}_array", of.name()),
        };
        name.into()
    }

    pub(crate) fn is_integer(&self) -> bool {
        matches!(self, Type::Byte | Type::SmallInt | Type::Integer | Type::BigInt)
    }

    pub(crate) fn is_number(&self) -> bool {
        self.is_integer() || matches!(self, Type::Real | Type::Double | Type::Numeric(_))
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Type::Text(_) | Type::Char(_))
    }

    pub(crate) fn is_time(&self) -> bool {
        matches!(self, Type::Timestamp | Type::TimestampTz | Type::Date)
    }

    /// Returns the width of a number type. The wider type wins in an expression.
    pub(crate) fn width(&self) -> u32 {
        match self {
            Type::Byte => 1,
            Type::SmallInt => 2,
            Type::Integer => 3,
            Type::BigInt => 4,
            Type::Real => 5,
            Type::Double => 6,
            Type::Numeric(_) => 7,
            _ => 0,
        }
    }

    /// Returns the smallest and the largest value of an integer type.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        match self {
            Type::Byte => Some((i8::MIN.into(), i8::MAX.into())),
            Type::SmallInt => Some((i16::MIN.into(), i16::MAX.into())),
            Type::Integer => Some((i32::MIN.into(), i32::MAX.into())),
            Type::BigInt => Some((i64::MIN, i64::MAX)),
            _ => None,
        }
    }

    /// Returns whether both are the same except for lengths, precisions and inner columns.
    pub(crate) fn same_family(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Array(a), Type::Array(b)) => a.same_family(b),
            (a, b) => a.id() == b.id(),
        }
    }

    /// Returns the type of a simple name, in lower case.
    pub(crate) fn simple(name: &str) -> Option<Type> {
        Some(match name {
            "boolean" => Type::Boolean,
            "byte" => Type::Byte,
            "short" | "int2" | "smallint" => Type::SmallInt,
            "int" | "integer" | "int4" => Type::Integer,
            "long" | "bigint" | "int8" => Type::BigInt,
            "float" | "real" | "float4" => Type::Real,
            "double" | "float8" => Type::Double,
            "text" | "string" | "varchar" => TEXT,
            "timestamp" => Type::Timestamp,
            "timestamptz" => Type::TimestampTz,
            "ip" => Type::Ip,
            "interval" => Type::Interval,
            "numeric" | "decimal" => NUMERIC,
            "date" => Type::Date,
            "json" => Type::Json,
            "uuid" => Type::Uuid,
            "geo_point" => Type::GeoPoint,
            "char" | "character" => Type::Char(1),
            "bit" => Type::Bit(1),
            "regclass" => Type::Regclass,
            "timetz" => Type::TimeTz,
            _ => return None,
        })
    }

    /// Types that this engine doesn't have, or not everywhere. They are refused by name.
    pub(crate) fn is_known_elsewhere(name: &str) -> bool {
        const OTHERS: &str =
            " geo_shape regproc regtype oidvector record undefined bool name float_vector object array \"char\" ";
        OTHERS.contains(&format!(" {name} "))
    }
}
