//! One value of a row as a serde deserializer. The target says what it wants, the column's type says what is there, and
//! what doesn't fit without loss is an error.

mod nested;

use std::borrow::Cow;

use serde::de::{self, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use time::OffsetDateTime;

use super::failure::excerpt;
use super::row::Error;
use super::types::{ColumnType, Writing};
use nested::{Elements, Object};

/// More digits than this no DOUBLE is written with: a number that has them is exact only as text.
const DOUBLE_DIGITS: usize = 17;
const VALUE_CHARS: usize = 60;

/// A value as it was written, and its type.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'de> {
    json: &'de str,
    kind: &'de ColumnType,
}

impl<'de> Cell<'de> {
    pub(crate) fn new(json: &'de str, kind: &'de ColumnType) -> Self {
        Self { json, kind }
    }

    /// Whether a target asks for the JSON itself, as `Box<RawValue>` does.
    pub(crate) fn is_raw(newtype: &str) -> bool {
        newtype == "$serde_json::private::RawValue"
    }

    fn first(self) -> u8 {
        self.json.as_bytes().first().copied().unwrap_or(b' ')
    }

    fn is_null(self) -> bool {
        self.json == "null"
    }

    fn is_number(self) -> bool {
        matches!(self.first(), b'-' | b'0'..=b'9')
    }

    fn is_integer(self) -> bool {
        self.is_number() && !self.json.contains(['.', 'e', 'E'])
    }

    fn string(self) -> Result<String, Error> {
        self.parsed()
    }

    fn parsed<T: de::Deserialize<'de>>(self) -> Result<T, Error> {
        serde_json::from_str(self.json).map_err(Error::custom)
    }

    fn mismatch<T>(self, expected: &dyn de::Expected) -> Result<T, Error> {
        let shown = || excerpt(self.json, VALUE_CHARS);
        let text;
        let unexpected = match self.first() {
            b'n' => Unexpected::Unit,
            b't' => Unexpected::Bool(true),
            b'f' => Unexpected::Bool(false),
            b'"' => {
                text = self.string()?;
                return Err(Error::invalid_type(Unexpected::Str(&excerpt(&text, VALUE_CHARS)), expected));
            }
            b'[' => Unexpected::Seq,
            b'{' => Unexpected::Map,
            _ => {
                text = format!("number `{}`", shown());
                Unexpected::Other(&text)
            }
        };
        Err(Error::invalid_type(unexpected, expected))
    }

    fn out_of_range<T>(self, expected: &dyn de::Expected) -> Result<T, Error> {
        let text = format!("number `{}`", excerpt(self.json, VALUE_CHARS));
        Err(Error::invalid_value(Unexpected::Other(&text), expected))
    }

    fn integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !self.is_integer() {
            return self.mismatch(&visitor);
        }
        if let Ok(value) = self.json.parse() {
            visitor.visit_i64(value)
        } else if let Ok(value) = self.json.parse() {
            visitor.visit_u64(value)
        } else {
            self.out_of_range(&visitor)
        }
    }

    fn wide_integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !self.is_integer() {
            return self.mismatch(&visitor);
        }
        if let Ok(value) = self.json.parse() {
            visitor.visit_i128(value)
        } else if let Ok(value) = self.json.parse() {
            visitor.visit_u128(value)
        } else {
            self.out_of_range(&visitor)
        }
    }

    /// CrateDB writes what JSON has no numbers for as strings.
    fn not_a_number(self) -> Option<f64> {
        let is_text = matches!(self.kind, ColumnType::Scalar(4 | 27));
        match self.json {
            _ if is_text => None,
            r#""NaN""# => Some(f64::NAN),
            r#""Infinity""# => Some(f64::INFINITY),
            r#""-Infinity""# => Some(f64::NEG_INFINITY),
            _ => None,
        }
    }

    /// The number as text, where only text holds all its digits, or where a type without a JSON form asks for it.
    fn text(self) -> Result<Option<Cow<'de, str>>, Error> {
        let writing = self.kind.writing();
        if self.first() == b'"' {
            return self.string().map(|text| Some(text.into()));
        }
        if !self.is_number() {
            return Ok(None);
        }
        match writing {
            Writing::Plain => Ok(None),
            Writing::Numeric | Writing::Unknown => Ok(Some(self.json.into())),
            Writing::TimestampWithTimeZone | Writing::Timestamp | Writing::Date => {
                self.date_and_time(writing).map(|text| Some(text.into()))
            }
        }
    }

    fn date_and_time(self, writing: Writing) -> Result<String, Error> {
        let unreadable = || Error::custom(format_args!("`{}` is outside of the years that can be written", self.json));
        let milliseconds: i64 = self.json.parse().map_err(|_| unreadable())?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
            .map_err(|_| unreadable())?;
        let date = at.date();
        if writing == Writing::Date {
            return Ok(date.to_string());
        }
        let (hour, minute, second, millisecond) = at.time().as_hms_milli();
        let zone = if writing == Writing::TimestampWithTimeZone { "Z" } else { "" };
        Ok(format!("{date}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}{zone}"))
    }

    fn visit_elements<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut elements = Elements::new(self.parsed()?, self.kind.element());
        let count = elements.rest();
        let value = visitor.visit_seq(&mut elements)?;
        match elements.rest() {
            0 => Ok(value),
            rest => Err(Error::custom(format_args!("an array of {count} elements, expected {}", count - rest))),
        }
    }

    /// Whether an integer is still the same as a float. Of a fraction nobody expects it, and of a NUMERIC neither.
    fn keeps_integer(self, rounded: i128) -> bool {
        self.kind.writing() == Writing::Numeric || self.json.parse::<i128>().map_or(true, |exact| exact == rounded)
    }

    fn object(self) -> Result<Object<'de>, Error> {
        self.parsed()
    }
}

macro_rules! integers {
    ($how:ident: $($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$how(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Cell<'de> {
    type Error = Error;

    /// Numbers that neither 64 bits nor a double hold exactly come as strings, NUMERIC always.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.first() {
            b'n' => visitor.visit_unit(),
            b't' | b'f' => self.deserialize_bool(visitor),
            b'"' => visitor.visit_string(self.string()?),
            b'[' => self.visit_elements(visitor),
            b'{' => visitor.visit_map(self.object()?.entries()),
            _ if self.kind.writing() == Writing::Numeric => visitor.visit_str(self.json),
            _ if self.is_integer() && (self.json.parse::<i64>().is_ok() || self.json.parse::<u64>().is_ok()) => {
                self.integer(visitor)
            }
            _ if !self.is_integer() && digits(self.json) <= DOUBLE_DIGITS => {
                let value: f64 = self.parsed()?;
                visitor.visit_f64(value)
            }
            _ => visitor.visit_str(self.json),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.json {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => self.mismatch(&visitor),
        }
    }

    integers! { integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
    deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 }
    integers! { wide_integer: deserialize_i128 deserialize_u128 }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !self.is_number() {
            return self.deserialize_f64(visitor);
        }
        // From the text, not by way of a double: rounded once.
        match self.json.parse::<f32>() {
            Ok(value) if value.is_finite() && self.keeps_integer(value as i128) => visitor.visit_f32(value),
            _ => self.out_of_range(&visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(value) = self.not_a_number() {
            return visitor.visit_f64(value);
        }
        if !self.is_number() {
            return self.mismatch(&visitor);
        }
        match self.json.parse::<f64>() {
            Ok(value) if value.is_finite() && self.keeps_integer(value as i128) => visitor.visit_f64(value),
            _ => self.out_of_range(&visitor),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text()? {
            Some(text) => visitor.visit_str(&text),
            None => self.mismatch(&visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text()? {
            Some(text) => visitor.visit_string(text.into_owned()),
            None => self.mismatch(&visitor),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.first() {
            b'[' => self.visit_elements(visitor),
            _ => self.deserialize_str(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_unit() } else { self.mismatch(&visitor) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if Self::is_raw(name) {
            let mut json = serde_json::Deserializer::from_str(self.json);
            return json.deserialize_newtype_struct(name, visitor).map_err(Error::custom);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.first() == b'[' { self.visit_elements(visitor) } else { self.mismatch(&visitor) }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.first() == b'{' { visitor.visit_map(self.object()?.entries()) } else { self.mismatch(&visitor) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        // A struct may stand for what CrateDB writes as an array: a point, a row.
        if self.first() == b'[' { self.visit_elements(visitor) } else { self.deserialize_map(visitor) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.first() {
            b'"' => visitor.visit_enum(self.string()?.into_deserializer()),
            b'{' => visitor.visit_enum(self.object()?.variant()?),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// How many digits of a number count.
fn digits(number: &str) -> usize {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').trim_end_matches('0').len()
}
