//! One value of a row as a serde deserializer. The target says what it wants, and the column's type says what is there.
//! A value that doesn't fit without loss is an error.

use std::borrow::Cow;
use std::str::FromStr;

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::answer::{ColumnType, Writing};
use super::row::Error;
use crate::foreign;

/// No DOUBLE is written with more digits than this. A number with more digits is exact only as text.
const DOUBLE_DIGITS: usize = 17;
const VALUE_CHARS: usize = 60;

/// A value as it was written, with its type.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'de> {
    json: &'de str,
    kind: &'de ColumnType,
}

impl<'de> Cell<'de> {
    pub(crate) fn new(json: &'de str, kind: &'de ColumnType) -> Self {
        Self { json, kind }
    }

    /// Reports whether a target asks for the JSON itself, as `Box<RawValue>` does.
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

    fn parsed<T: de::Deserialize<'de>>(self) -> Result<T, Error> {
        serde_json::from_str(self.json).map_err(Error::custom)
    }

    /// Names a number in errors.
    fn number(self) -> String {
        format!("number `{}`", foreign::line(self.json, VALUE_CHARS))
    }

    fn mismatch<T>(self, expected: &dyn de::Expected) -> Result<T, Error> {
        let text = match self.first() {
            b'"' => foreign::line(&self.parsed::<String>()?, VALUE_CHARS),
            _ => self.number(),
        };
        let unexpected = match self.first() {
            b'n' => Unexpected::Unit,
            b't' => Unexpected::Bool(true),
            b'f' => Unexpected::Bool(false),
            b'"' => Unexpected::Str(&text),
            b'[' => Unexpected::Seq,
            b'{' => Unexpected::Map,
            _ => Unexpected::Other(&text),
        };
        Err(Error::invalid_type(unexpected, expected))
    }

    fn out_of_range<T>(self, expected: &dyn de::Expected) -> Result<T, Error> {
        Err(Error::invalid_value(Unexpected::Other(&self.number()), expected))
    }

    fn integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.integer_as(visitor, V::visit_i64, V::visit_u64)
    }

    fn wide_integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.integer_as(visitor, V::visit_i128, V::visit_u128)
    }

    fn integer_as<V: Visitor<'de>, S: FromStr, U: FromStr>(
        self,
        visitor: V,
        signed: fn(V, S) -> Result<V::Value, Error>,
        unsigned: fn(V, U) -> Result<V::Value, Error>,
    ) -> Result<V::Value, Error> {
        match (self.json.parse(), self.json.parse()) {
            _ if !self.is_integer() => self.mismatch(&visitor),
            (Ok(value), _) => signed(visitor, value),
            (_, Ok(value)) => unsigned(visitor, value),
            _ => self.out_of_range(&visitor),
        }
    }

    fn float<V: Visitor<'de>, T: FromStr + Copy + Into<f64>>(
        self,
        visitor: V,
        visit: fn(V, T) -> Result<V::Value, Error>,
    ) -> Result<V::Value, Error> {
        if let Some(value) = self.not_a_number() {
            return visitor.visit_f64(value);
        }
        let exact = |value: f64| value.is_finite() && self.keeps_integer(value as i128);
        match self.json.parse::<T>() {
            _ if !self.is_number() => self.mismatch(&visitor),
            Ok(value) if exact(value.into()) => visit(visitor, value),
            _ => self.out_of_range(&visitor),
        }
    }

    /// Reads the strings that CrateDB writes for values that JSON has no numbers for.
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

    /// Returns the value as text, if only text holds all its digits or its type has no form of its own in JSON.
    fn text(self) -> Result<Option<Cow<'de, str>>, Error> {
        match self.kind.writing() {
            _ if self.first() == b'"' => self.parsed::<String>().map(|text| Some(text.into())),
            _ if !self.is_number() => Ok(None),
            Writing::Plain => Ok(None),
            Writing::Numeric | Writing::Unknown => Ok(Some(self.json.into())),
            writing => self.date_and_time(writing).map(|text| Some(text.into())),
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
        let values: Vec<&RawValue> = self.parsed()?;
        let count = values.len();
        let mut elements = Elements { values: values.into_iter(), kind: self.kind.element(), number: 0 };
        let value = visitor.visit_seq(&mut elements)?;
        match elements.values.len() {
            0 => Ok(value),
            rest => Err(Error::custom(format_args!("an array of {count} elements, expected {}", count - rest))),
        }
    }

    /// Reads the value for a struct, which may be the target for what CrateDB writes as an array: a point, a row.
    fn elements_or_entries<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.first() == b'[' { self.visit_elements(visitor) } else { self.deserialize_map(visitor) }
    }

    /// Reports whether an integer keeps its value as a float. A fraction and a NUMERIC may be rounded.
    fn keeps_integer(self, rounded: i128) -> bool {
        self.kind.writing() == Writing::Numeric || self.json.parse::<i128>().map_or(true, |exact| exact == rounded)
    }

    /// Reads the value as an enum variant with data: an object whose only key is the name of the variant.
    fn variant(self) -> Result<Variant<'de>, Error> {
        let mut entries = self.parsed::<RawObject<'de>>()?.0.into_iter();
        match (entries.next(), entries.next()) {
            (Some((name, value)), None) => Ok(Variant { name, value }),
            _ => Err(Error::invalid_value(Unexpected::Map, &"an object with one key, the name of a variant")),
        }
    }
}

/// Makes methods of a deserializer that do the same as another one, whatever else they are given.
macro_rules! read_alike {
    ($($how:ident: $($method:ident $(($($unused:ty),+))?)+;)+) => {$($(
        fn $method<V: Visitor<'de>>(self, $($(_: $unused,)+)? visitor: V) -> Result<V::Value, Error> {
            self.$how(visitor)
        }
    )+)+};
}
pub(super) use read_alike;

impl<'de> Deserializer<'de> for Cell<'de> {
    type Error = Error;

    /// Numbers that neither 64 bits nor a double hold exactly are read as strings, a NUMERIC always.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.first() {
            b'n' => visitor.visit_unit(),
            b't' | b'f' => self.deserialize_bool(visitor),
            b'"' => visitor.visit_string(self.parsed()?),
            b'[' => self.visit_elements(visitor),
            b'{' => visitor.visit_map(self.parsed::<RawObject<'de>>()?.entries()),
            _ if self.kind.writing() == Writing::Numeric => visitor.visit_str(self.json),
            _ if self.is_integer() && (self.json.parse::<i64>().is_ok() || self.json.parse::<u64>().is_ok()) => {
                self.integer(visitor)
            }
            _ if !self.is_integer() && digits(self.json) <= DOUBLE_DIGITS => visitor.visit_f64(self.parsed()?),
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

    read_alike! {
        integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64;
        wide_integer: deserialize_i128 deserialize_u128;
        deserialize_string: deserialize_str deserialize_char deserialize_identifier;
        deserialize_bytes: deserialize_byte_buf;
        deserialize_unit: deserialize_unit_struct(&'static str);
        deserialize_seq: deserialize_tuple(usize) deserialize_tuple_struct(&'static str, usize);
        elements_or_entries: deserialize_struct(&'static str, &'static [&'static str]);
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // From the text, not by way of a double, so that it is rounded only once.
        self.float(visitor, V::visit_f32)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.float(visitor, V::visit_f64)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text()? {
            Some(text) => visitor.visit_string(text.into_owned()),
            None => self.mismatch(&visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.first() {
            b'[' => self.visit_elements(visitor),
            _ => self.deserialize_str(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_unit() } else { self.mismatch(&visitor) }
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

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.first() {
            b'{' => visitor.visit_map(self.parsed::<RawObject<'de>>()?.entries()),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.first() {
            b'"' => visitor.visit_enum(self.parsed::<String>()?.into_deserializer()),
            b'{' => visitor.visit_enum(self.variant()?),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// Counts the significant digits of a number.
fn digits(number: &str) -> usize {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').trim_end_matches('0').len()
}
/// Makes a cell of a value in an object, whose type the answer does not say.
fn inside(value: &RawValue) -> Cell<'_> {
    Cell::new(value.get(), &ColumnType::Unknown)
}

/// The elements of an array.
struct Elements<'de> {
    values: std::vec::IntoIter<&'de RawValue>,
    kind: &'de ColumnType,
    number: usize,
}

impl<'de> SeqAccess<'de> for &mut Elements<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.values.next() else { return Ok(None) };
        self.number += 1;
        let element = Cell::new(value.get(), self.kind);
        seed.deserialize(element).map(Some).map_err(|error| error.below(format_args!("[{}]", self.number)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

/// The entries of a JSON object in the order in which they were written, with their values unread.
pub(crate) struct RawObject<'de>(pub(crate) Vec<(String, &'de RawValue)>);

impl<'de> de::Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(RawObject(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The entries of an object, one after another.
struct Entries<'de> {
    entries: std::vec::IntoIter<(String, &'de RawValue)>,
    value: Option<(String, &'de RawValue)>,
}

impl<'de> RawObject<'de> {
    fn entries(self) -> Entries<'de> {
        Entries { entries: self.0.into_iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.value = self.entries.next();
        match &self.value {
            Some((key, _)) => seed.deserialize(ObjectKey(key.clone())).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (key, value) = self.value.take().ok_or_else(|| Error::custom("a value was asked for before its key"))?;
        seed.deserialize(inside(value)).map_err(|error| error.below(format_args!("['{key}']")))
    }
}

/// A key of an object. The keys of a map may be numbers, which JSON writes as strings.
struct ObjectKey(String);

impl ObjectKey {
    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Ok(value) = self.0.parse() {
            visitor.visit_i64(value)
        } else if let Ok(value) = self.0.parse() {
            visitor.visit_u64(value)
        } else if let Ok(value) = self.0.parse() {
            visitor.visit_i128(value)
        } else {
            visitor.visit_string(self.0)
        }
    }
}

impl<'de> Deserializer<'de> for ObjectKey {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(StringDeserializer::new(self.0))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    read_alike! {
        number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128;
    }

    serde::forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// An enum variant with data.
struct Variant<'de> {
    name: String,
    value: &'de RawValue,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Cell<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Cell<'de>), Error> {
        Ok((seed.deserialize(ObjectKey(self.name))?, inside(self.value)))
    }
}

impl<'de> VariantAccess<'de> for Cell<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}
