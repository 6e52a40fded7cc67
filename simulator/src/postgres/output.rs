//! Values as clients read them: in text or in binary form.

use bytes::{BufMut, BytesMut};

use super::types::{is_json, shape};
use crate::engine::{Decimal, SqlError, Type, Value, java_double, java_float, refuse, time};

type Result<T> = std::result::Result<T, SqlError>;

/// From 1970 to 2000, where PostgreSQL begins to count.
const EPOCH_MILLIS: i64 = 946_684_800_000;
const EPOCH_DAYS: i64 = 10_957;
/// The first millisecond of the year 1.
const AFTER_CHRIST: i64 = -62_135_596_800_000;

/// Appends the value with its length. The length of null is -1.
pub(super) fn write(out: &mut BytesMut, value: &Value, ty: &Type, binary: bool) -> Result<()> {
    if value.is_null() {
        out.put_i32(-1);
        return Ok(());
    }
    let place = out.len();
    out.put_i32(0);
    match binary {
        true => write_binary(out, value, ty)?,
        false => out.put_slice(text(value, ty)?.as_bytes()),
    }
    let length = i32::try_from(out.len() - place - 4).map_err(|_| refuse("a value this long"))?;
    out[place..place + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn json(value: &Value) -> String {
    let mut out = String::new();
    value.write_json(&mut out);
    out
}

fn text(value: &Value, ty: &Type) -> Result<String> {
    Ok(match (value, ty) {
        (Value::Text(text), Type::Bit(_)) => text.trim_start_matches("B'").trim_end_matches('\'').to_owned(),
        (Value::Text(text), _) => text.clone(),
        (value, ty) if is_json(ty) => json(value),
        (Value::Bool(b), _) => if *b { "t" } else { "f" }.into(),
        (Value::Int(millis), Type::TimestampTz) => timestamp(*millis, "+00")?,
        (Value::Int(millis), Type::Timestamp) => timestamp(*millis, "")?,
        (Value::Int(millis), Type::Date) => date(millis.div_euclid(time::DAY))?,
        (Value::Int(number), _) => number.to_string(),
        (Value::Real(number), _) => java_float(*number),
        (Value::Double(number), _) => java_double(*number),
        (Value::Numeric(number), _) => number.to_string(),
        (Value::Interval(interval), _) => interval.to_string(),
        (Value::Array(items), Type::GeoPoint) => {
            let (x, y) = point(items)?;
            format!("({},{})", java_double(x), java_double(y))
        }
        (Value::Array(items), Type::Vector(_)) => array(items, &Type::Real)?,
        (Value::Array(items), Type::Array(of)) => array(items, of)?,
        _ => return Err(refuse(format!("a value of type {} over the PostgreSQL protocol", ty.name()))),
    })
}

/// Writes every element in quotes. Only elements of JSON are escaped.
fn array(items: &[Value], of: &Type) -> Result<String> {
    // CrateDB writes elements without a type as JSON.
    let escape = shape(of).oid == 114 || *of == Type::Undefined;
    let mut out = String::from("{");
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        if item.is_null() {
            out.push_str("NULL");
            continue;
        }
        let shown = match *of {
            Type::Undefined => return Err(refuse("an array of values without a type")),
            _ => text(item, of)?,
        };
        out.push('"');
        for c in shown.chars() {
            if escape && (c == '"' || c == '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push('}');
    Ok(out)
}

fn point(items: &[Value]) -> Result<(f64, f64)> {
    match items {
        [Value::Double(x), Value::Double(y)] => Ok((*x, *y)),
        _ => Err(refuse("this point")),
    }
}

fn date(days: i64) -> Result<String> {
    let (year, month, day) = time::date_of(days);
    if !(1..=9999).contains(&year) {
        return Err(refuse("a date this far over the PostgreSQL protocol"));
    }
    Ok(format!("{year:04}-{month:02}-{day:02}"))
}

fn timestamp(millis: i64, zone: &str) -> Result<String> {
    let (days, of_day) = (millis.div_euclid(time::DAY), millis.rem_euclid(time::DAY));
    let (mut year, month, day) = time::date_of(days);
    let era = if millis >= AFTER_CHRIST { "" } else { " BC" };
    if !era.is_empty() {
        year = 1 - year;
    }
    if year > 9999 {
        return Err(refuse("a time this far over the PostgreSQL protocol"));
    }
    let (seconds, fraction) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Ok(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{fraction:03}{zone}{era}"))
}

fn write_binary(out: &mut BytesMut, value: &Value, ty: &Type) -> Result<()> {
    match (value, ty) {
        (Value::Text(text), Type::Bit(_)) => bits(out, text.trim_start_matches("B'").trim_end_matches('\'')),
        (Value::Text(text), Type::Uuid) => {
            let digits: String = text.chars().filter(|c| *c != '-').collect();
            let number = u128::from_str_radix(&digits, 16).map_err(|_| refuse("this UUID"))?;
            out.put_u128(number);
        }
        (Value::Text(text), _) => out.put_slice(text.as_bytes()),
        (value, ty) if is_json(ty) => out.put_slice(json(value).as_bytes()),
        (Value::Bool(b), Type::Boolean) => out.put_u8(u8::from(*b)),
        (Value::Int(millis), Type::TimestampTz | Type::Timestamp) => {
            let micros = millis.checked_sub(EPOCH_MILLIS).and_then(|millis| millis.checked_mul(1000));
            out.put_i64(micros.ok_or_else(|| refuse("a time this far over the PostgreSQL protocol"))?);
        }
        (Value::Int(millis), Type::Date) => match i32::try_from(millis / time::DAY - EPOCH_DAYS) {
            Ok(days) => out.put_i32(days),
            Err(_) => return Err(refuse("a date this far over the PostgreSQL protocol")),
        },
        (Value::Int(number), Type::Byte) => out.put_i8(*number as i8),
        (Value::Int(number), Type::SmallInt) => out.put_i16(*number as i16),
        (Value::Int(number), Type::Integer | Type::Regclass) => out.put_i32(*number as i32),
        (Value::Int(number), Type::BigInt) => out.put_i64(*number),
        (Value::Real(number), Type::Real) => out.put_f32(*number),
        (Value::Double(number), Type::Double) => out.put_f64(*number),
        (Value::Numeric(number), _) => numeric(out, *number)?,
        (Value::Interval(interval), _) => {
            let small = |n: i64| i32::try_from(n).map_err(|_| refuse("an interval this long"));
            let micros = interval.millis.checked_mul(1000).ok_or_else(|| refuse("an interval this long"))?;
            out.put_i64(micros);
            out.put_i32(small(interval.days)?);
            out.put_i32(small(interval.months)?);
        }
        (Value::Array(items), Type::GeoPoint) => {
            let (x, y) = point(items)?;
            out.put_f64(x);
            out.put_f64(y);
        }
        // CrateDB's flags: a vector has no nulls; an array always claims that it may.
        (Value::Array(items), Type::Vector(_)) => array_binary(out, items, &Type::Real, 0)?,
        (Value::Array(_), Type::Array(of)) if **of == Type::Undefined => {
            return Err(refuse("an array of values without a type"));
        }
        (Value::Array(items), Type::Array(of)) => array_binary(out, items, of, 1)?,
        // A value without a type is text.
        (value, Type::Undefined) => out.put_slice(text(value, ty)?.as_bytes()),
        _ => return Err(refuse(format!("a value of type {} in binary form", ty.name()))),
    }
    Ok(())
}

/// Writes one dimension, whose lower bound CrateDB gives as its length.
fn array_binary(out: &mut BytesMut, items: &[Value], of: &Type, flags: i32) -> Result<()> {
    let length = i32::try_from(items.len()).map_err(|_| refuse("an array this long"))?;
    out.put_i32(1);
    out.put_i32(flags);
    out.put_u32(shape(of).oid);
    out.put_i32(length);
    out.put_i32(length);
    items.iter().try_for_each(|item| write(out, item, of, true))
}

fn bits(out: &mut BytesMut, digits: &str) {
    let mut bytes = vec![0u8; digits.len().div_ceil(8)];
    for (i, _) in digits.bytes().enumerate().filter(|(_, digit)| *digit == b'1') {
        bytes[i / 8] |= 0x80 >> (i % 8);
    }
    out.put_i32(digits.len() as i32);
    out.put_slice(&bytes);
}

/// Groups of four decimal digits, the weight of the first, the sign and the digits after the point.
fn numeric(out: &mut BytesMut, number: Decimal) -> Result<()> {
    let far = || refuse("a number with this many digits in binary form");
    let (mut digits, mut scale) = (number.digits.unsigned_abs(), number.scale);
    if scale < 0 {
        digits = 10u128.checked_pow(scale.unsigned_abs()).and_then(|by| digits.checked_mul(by)).ok_or_else(far)?;
        scale = 0;
    }
    let display = u16::try_from(scale).map_err(|_| far())?;
    if digits == 0 {
        out.put_i16(0);
        out.put_i16(-1);
        out.put_u16(0);
        out.put_u16(display);
        return Ok(());
    }
    let unit = 10u128.checked_pow(scale as u32).ok_or_else(far)?;
    let (mut whole, mut fraction) = (digits / unit, digits % unit);
    let mut groups: Vec<u16> = vec![];
    while whole > 0 {
        groups.insert(0, (whole % 10_000) as u16);
        whole /= 10_000;
    }
    let mut weight = groups.len() as i16 - 1;
    let mut left = scale;
    while left > 0 && fraction > 0 {
        // The next four digits after the point.
        let group =
            if left >= 4 { fraction / 10u128.pow(left as u32 - 4) } else { fraction * 10u128.pow(4 - left as u32) };
        fraction = if left >= 4 { fraction % 10u128.pow(left as u32 - 4) } else { 0 };
        left -= 4;
        groups.push(group as u16);
    }
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    out.put_i16(groups.len() as i16);
    out.put_i16(weight);
    out.put_u16(if number.digits < 0 { 0x4000 } else { 0 });
    out.put_u16(display);
    groups.iter().for_each(|group| out.put_u16(*group));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: Value, ty: &Type) -> String {
        text(&value, ty).unwrap()
    }

    #[test]
    fn times_have_milliseconds_and_an_era_before_christ() {
        assert_eq!(shown(Value::Int(1_704_165_845_006), &Type::TimestampTz), "2024-01-02 03:24:05.006+00");
        assert_eq!(shown(Value::Int(-1), &Type::Timestamp), "1969-12-31 23:59:59.999");
        assert_eq!(shown(Value::Int(AFTER_CHRIST - 1), &Type::Timestamp), "0001-12-31 23:59:59.999 BC");
    }

    #[test]
    fn elements_are_quoted_and_only_json_is_escaped() {
        let texts = Value::Array(vec![Value::text("a\"b"), Value::Null]);
        assert_eq!(shown(texts, &Type::array(Type::Text(None))), "{\"a\"b\",NULL}");
        let objects = Value::Array(vec![Value::Object(vec![("k".into(), Value::text("v"))])]);
        assert_eq!(shown(objects, &Type::array(Type::object())), "{\"{\\\"k\\\":\\\"v\\\"}\"}");
    }

    #[test]
    fn numbers_go_in_groups_of_four_digits() {
        let encoded = |text: &str| {
            let mut out = BytesMut::new();
            numeric(&mut out, Decimal::parse(text).unwrap()).unwrap();
            out.chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect::<Vec<_>>()
        };
        assert_eq!(encoded("12345.678"), [3, 1, 0, 3, 1, 2345, 6780]);
        assert_eq!(encoded("-0.00012"), [2, -1, 0x4000, 5, 1, 2000]);
        assert_eq!(encoded("0.0000000012"), [1, -3, 0, 10, 12 * 100]);
        assert_eq!(encoded("10000"), [1, 1, 0, 0, 1]);
        assert_eq!(encoded("0.00"), [0, -1, 0, 2]);
    }
}
