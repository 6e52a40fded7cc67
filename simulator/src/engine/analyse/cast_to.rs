//! `CAST` and `::`.

use crate::engine::cast;
use crate::engine::error::{Result, refuse};
use crate::engine::operators::coerce;
use crate::engine::plan::{Expr, Kind};
use crate::engine::types::Type;

/// `CAST`: what CrateDB converts on request; the rest is refused.
pub(super) fn coerce_explicitly(value: Expr, to: Type, lenient: bool) -> Result<Expr> {
    if let Kind::Param(_) = &value.kind {
        return coerce(value, &to);
    }
    let known = match (&value.ty, &to) {
        (Type::Undefined, _) => true,
        (a, b) if a.same_family(b) => {
            !matches!(b, Type::Object(_) | Type::Numeric(_)) || *a == *b || matches!(b, Type::Numeric(_))
        }
        (a, b) if a.is_number() && b.is_number() => true,
        (a, Type::Boolean) if a.is_integer() || a.is_text() => true,
        (Type::Text(_), b) => !matches!(
            b,
            Type::Array(_) | Type::Vector(_) | Type::Bit(_) | Type::Char(_) | Type::Regclass | Type::TimeTz
        ),
        (a, Type::Text(_)) => {
            a.is_number()
                || a.is_time()
                || matches!(a, Type::Boolean | Type::Object(_) | Type::Interval | Type::Uuid | Type::Ip)
        }
        (a, b) if a.is_time() && b.is_time() => *b != Type::Date,
        (a, b) if a.is_integer() && b.is_time() => *b != Type::Date,
        (Type::Double, Type::Timestamp | Type::TimestampTz) => true,
        (a, Type::BigInt) => a.is_time(),
        (Type::Array(a), Type::Array(b)) => {
            (a.is_number() && (b.is_number() || b.is_text()))
                || (a.is_text() && (b.is_number() || b.is_text()))
                || **a == Type::Undefined
        }
        _ => false,
    };
    if !known {
        return Err(refuse(format!("a cast of {} to {}", value.ty.name(), to.name())));
    }
    if let (Some(v), false) = (value.as_literal(), lenient)
        && let Type::Object(_) = to
    {
        let converted = cast::cast(v, &value.ty, &to)?;
        return Ok(Expr::literal(converted, to));
    }
    Ok(Expr::new(Kind::Cast(Box::new(value), lenient), to))
}
