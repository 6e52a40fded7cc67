//! Values as clients send them: in text or in binary form.

use bytes::Buf;

use super::types::is_json;
use crate::engine::{Decimal, Interval, SqlError, Type, Value, invalid, json_value, refuse, time};

type Result<T> = std::result::Result<T, SqlError>;

const EPOCH_MILLIS: i64 = 946_684_800_000;
const EPOCH_DAYS: i64 = 10_957;

/// A parameter's value.
pub(super) fn read(bytes: &[u8], ty: &Type, binary: bool) -> Result<Value> {
    if binary { read_binary(bytes, ty) } else { read_text(utf8(bytes)?, ty) }
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| refuse("a text that isn't UTF-8"))
}

fn read_text(text: &str, ty: &Type) -> Result<Value> {
    let number = || invalid(format!("For input string: \"{text}\""));
    Ok(match ty {
        Type::Undefined | Type::Text(_) => Value::text(text),
        Type::Ip => ip(text)?,
        Type::GeoPoint => point(text)?,
        Type::Byte | Type::SmallInt | Type::Integer | Type::BigInt => {
            let (low, high) = ty.range().unwrap_or((i64::MIN, i64::MAX));
            let found = text.parse::<i64>().ok().filter(|n| (low..=high).contains(n));
            Value::Int(found.ok_or_else(number)?)
        }
        // Any other text is false.
        Type::Boolean => Value::Bool(["1", "t", "T", "true", "TRUE"].contains(&text)),
        Type::Double | Type::Real => float(text, ty)?,
        Type::Numeric(_) => Value::Numeric(Decimal::parse(text).ok_or_else(|| refuse("this number"))?),
        Type::TimestampTz | Type::Timestamp => {
            let millis = time::parse_timestamp(text, *ty == Type::TimestampTz);
            Value::Int(millis.ok_or_else(|| refuse(format!("the time '{text}' as a parameter")))?)
        }
        Type::Date => {
            let millis = time::parse_timestamp(text, true).filter(|_| text.len() == 10);
            Value::Int(millis.ok_or_else(|| refuse(format!("the date '{text}' as a parameter")))?)
        }
        Type::Interval => {
            Value::Interval(Interval::parse(text).ok_or_else(|| refuse(format!("the interval '{text}'")))?)
        }
        Type::Uuid => uuid_text(text)?,
        Type::Array(of) => match &**of {
            Type::Array(_) | Type::Object(_) | Type::Undefined | Type::GeoPoint => {
                return Err(refuse("an array of this as text"));
            }
            of => {
                let items = elements(text)?.into_iter();
                let read = |item: Option<String>| item.map_or(Ok(Value::Null), |text| read_text(&text, of));
                Value::Array(items.map(read).collect::<Result<_>>()?)
            }
        },
        ty if is_json(ty) => object(text)?,
        ty => return Err(refuse(format!("a parameter of type {} as text", ty.name()))),
    })
}

fn float(text: &str, ty: &Type) -> Result<Value> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'e' | b'E'));
    let special = matches!(text, "NaN" | "Infinity" | "-Infinity");
    if !plain && !special {
        return Err(refuse(format!("the number '{text}'")));
    }
    let wrong = |_| refuse(format!("the number '{text}'"));
    Ok(match ty {
        Type::Real => Value::Real(text.parse().map_err(wrong)?),
        _ => Value::Double(text.parse().map_err(wrong)?),
    })
}

fn ip(text: &str) -> Result<Value> {
    match text.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(ip)) => Ok(Value::Text(ip.to_string())),
        _ => Err(refuse(format!("the address '{text}' as a parameter"))),
    }
}

/// `(x,y)`
fn point(text: &str) -> Result<Value> {
    let inner = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let numbers =
        inner.and_then(|inner| inner.split_once(',')).map(|(x, y)| [x, y].map(|n| float(n.trim(), &Type::Double)));
    match numbers {
        Some([x, y]) => Ok(Value::Array(vec![x?, y?])),
        None => Err(refuse(format!("the point '{text}'"))),
    }
}

fn uuid_text(text: &str) -> Result<Value> {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    let lower = text.to_ascii_lowercase();
    if parts != [8, 4, 4, 4, 12] || !lower.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
        return Err(refuse("this form of a UUID"));
    }
    Ok(Value::Text(lower))
}

fn object(text: &str) -> Result<Value> {
    match json_value(text) {
        Some(value @ (Value::Object(_) | Value::Array(_))) => Ok(value),
        _ => Err(refuse("JSON like this as a parameter")),
    }
}

/// Reads the elements of `{a,"b",NULL}`.
fn elements(text: &str) -> Result<Vec<Option<String>>> {
    let strange = || refuse(format!("the array '{text}'"));
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(strange)?;
    if inner.is_empty() {
        return Ok(vec![]);
    }
    let mut out = vec![];
    let mut chars = inner.chars().peekable();
    loop {
        let mut item = String::new();
        let quoted = chars.next_if_eq(&'"').is_some();
        loop {
            match chars.peek() {
                Some('"') if quoted => break,
                Some(',') | None if !quoted => break,
                None | Some('{' | '}' | '"' | '\\' | ' ') if !quoted => return Err(strange()),
                None => return Err(strange()),
                Some('\\') => {
                    chars.next();
                    item.push(chars.next().filter(|c| matches!(c, '"' | '\\')).ok_or_else(strange)?);
                }
                Some(c) => {
                    item.push(*c);
                    chars.next();
                }
            }
        }
        if quoted {
            chars.next();
        } else if item.is_empty() {
            return Err(strange());
        }
        out.push((quoted || !item.eq_ignore_ascii_case("null")).then_some(item));
        match chars.next() {
            None => return Ok(out),
            Some(',') => {}
            Some(_) => return Err(strange()),
        }
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| refuse(format!("a binary value of {} bytes instead of {N}", bytes.len())))
}

fn read_binary(bytes: &[u8], ty: &Type) -> Result<Value> {
    Ok(match ty {
        Type::Undefined | Type::Text(_) => Value::text(utf8(bytes)?),
        Type::Ip => ip(utf8(bytes)?)?,
        Type::Byte => Value::Int(i8::from_be_bytes(fixed(bytes)?).into()),
        Type::SmallInt => Value::Int(i16::from_be_bytes(fixed(bytes)?).into()),
        Type::Integer => Value::Int(i32::from_be_bytes(fixed(bytes)?).into()),
        Type::BigInt => Value::Int(i64::from_be_bytes(fixed(bytes)?)),
        Type::Real => Value::Real(f32::from_be_bytes(fixed(bytes)?)),
        Type::Double => Value::Double(f64::from_be_bytes(fixed(bytes)?)),
        Type::Boolean => match fixed::<1>(bytes)? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            [other] => return Err(invalid(format!("Unsupported binary bool: {other}"))),
        },
        Type::TimestampTz | Type::Timestamp => {
            let millis = (i64::from_be_bytes(fixed(bytes)?) / 1000).checked_add(EPOCH_MILLIS);
            Value::Int(millis.ok_or_else(|| refuse("a time this far"))?)
        }
        Type::Date => Value::Int((i64::from(i32::from_be_bytes(fixed(bytes)?)) + EPOCH_DAYS) * time::DAY),
        Type::Interval => interval(bytes)?,
        Type::Numeric(_) => Value::Numeric(numeric(bytes)?),
        Type::Uuid => {
            let hex = format!("{:032x}", u128::from_be_bytes(fixed(bytes)?));
            Value::Text([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
        }
        Type::GeoPoint => {
            let [x, y] = [fixed(bytes.get(..8).unwrap_or(bytes))?, fixed(bytes.get(8..).unwrap_or(bytes))?];
            Value::Array(vec![Value::Double(f64::from_be_bytes(x)), Value::Double(f64::from_be_bytes(y))])
        }
        Type::Array(of) if !matches!(**of, Type::Array(_) | Type::Undefined) => array(bytes, of)?,
        ty if is_json(ty) => object(utf8(bytes)?)?,
        ty => return Err(refuse(format!("a parameter of type {} in binary form", ty.name()))),
    })
}

fn interval(bytes: &[u8]) -> Result<Value> {
    let mut rest = &fixed::<16>(bytes)?[..];
    let (micros, days, months) = (rest.get_i64(), rest.get_i32(), rest.get_i32());
    Ok(Value::Interval(Interval { months: months.into(), days: days.into(), millis: micros / 1000 }))
}

/// Reads one dimension. The element type in it is ignored.
fn array(bytes: &[u8], of: &Type) -> Result<Value> {
    let broken = |_| refuse("a binary array that ends early");
    let mut rest = bytes;
    let dimensions = rest.try_get_i32().map_err(broken)?;
    rest.try_get_i64().map_err(broken)?;
    if dimensions == 0 {
        return Ok(Value::Array(vec![]));
    }
    if dimensions != 1 {
        return Err(refuse("a binary array of several dimensions"));
    }
    let count = rest.try_get_i32().map_err(broken)?;
    rest.try_get_i32().map_err(broken)?;
    let mut items = vec![];
    for _ in 0..count {
        let length = rest.try_get_i32().map_err(broken)?;
        if length < 0 {
            items.push(Value::Null);
            continue;
        }
        let (item, behind) =
            rest.split_at_checked(length as usize).ok_or_else(|| refuse("a binary array that ends early"))?;
        items.push(read_binary(item, of)?);
        rest = behind;
    }
    Ok(Value::Array(items))
}

fn numeric(bytes: &[u8]) -> Result<Decimal> {
    let strange = || refuse("this binary number");
    let mut rest = bytes;
    let mut next = || rest.try_get_i16().map_err(|_| strange());
    let (count, weight, sign, scale) = (next()?, next()?, next()?, next()?);
    if !matches!(sign, 0 | 0x4000) || count < 0 || scale < 0 {
        return Err(strange());
    }
    let mut text = String::from(if sign == 0 { "" } else { "-" });
    for _ in 0..count {
        let group = next()?;
        if !(0..10_000).contains(&group) {
            return Err(strange());
        }
        text.push_str(&format!("{group:04}"));
    }
    if count == 0 {
        text.push('0');
    }
    // The digits are whole groups of four; the weight gives the place of the point.
    let exponent = 4 * (i32::from(weight) - i32::from(count) + 1);
    let number = if count == 0 { Decimal::parse(&text) } else { Decimal::parse(&format!("{text}e{exponent}")) };
    number.and_then(|number| number.rescale(scale.into())).ok_or_else(strange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_from_text() {
        let read = |text| elements(text).ok();
        assert_eq!(read("{1,NULL,\"N,\\\"U\"}"), Some(vec![Some("1".into()), None, Some("N,\"U".into())]));
        assert_eq!(read("{}"), Some(vec![]));
        for strange in ["", "{", "{1,}", "{{1}}", "{\"a}", "{a b}", "{\"a\"b}"] {
            assert_eq!(read(strange), None, "{strange}");
        }
    }

    #[test]
    fn numbers_are_read_from_groups() {
        let read = |words: &[i16]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            numeric(&bytes).map(|number| number.to_string()).ok()
        };
        assert_eq!(read(&[3, 1, 0, 3, 1, 2345, 6780]).as_deref(), Some("12345.678"));
        assert_eq!(read(&[1, -1, 0x4000, 2, 2500]).as_deref(), Some("-0.25"));
        assert_eq!(read(&[1, 1, 0, 0, 1]).as_deref(), Some("10000"));
        assert_eq!(read(&[0, 0, 0, 0]).as_deref(), Some("0"));
        // NaN, or a number that ends early.
        assert_eq!(read(&[0, 0, -16384, 0]), None);
        assert_eq!(read(&[2, 0, 0, 0, 1]), None);
    }

    #[test]
    fn nothing_of_another_length_is_read() {
        for ty in [Type::Integer, Type::Uuid, Type::Boolean, Type::Interval, Type::GeoPoint, Type::array(Type::Real)] {
            assert!(read(&[1, 2, 3], &ty, true).is_err(), "{}", ty.name());
        }
    }
}
