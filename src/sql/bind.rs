//! Turns Rust values into the arguments of a statement. `serde_json` alone would silently turn NaN and infinities into
//! NULL, and would send integers and bytes in forms that the server misreads.

use serde::ser::{self, Error as _, Impossible, Serialize, Serializer};
use serde_json::Error;
use serde_json::value::RawValue;

/// Writes one argument. The error says why the value can't be one.
pub(crate) fn bind(value: &(impl Serialize + ?Sized)) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(json(value)?)
}

/// Writes the arguments of one row: a tuple or a sequence has one for each element, any other value is the only one.
pub(crate) fn bind_row(value: &(impl Serialize + ?Sized)) -> Result<Vec<Box<RawValue>>, Error> {
    let json = json(value)?;
    match json.as_bytes().first() {
        Some(b'[') => serde_json::from_str(&json),
        Some(b'{') => Err(Error::custom("a row has to be a tuple or a sequence: what has names has no positions")),
        _ => Ok(vec![RawValue::from_string(json)?]),
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, Error> {
    value.serialize(Json)
}

fn quoted(text: impl AsRef<str>) -> Result<String, Error> {
    serde_json::to_string(text.as_ref())
}

/// Writes a value as JSON.
struct Json;

/// The names under which `serde_json` serializes raw texts and, with a feature that any crate may enable, numbers.
const RAW_TEXTS: [&str; 2] = ["$serde_json::private::RawValue", "$serde_json::private::Number"];

macro_rules! as_displayed {
    ($write:ident: $($method:ident: $type:ty)*) => {$(
        fn $method(self, value: $type) -> Result<String, Error> {
            $write(value.to_string())
        }
    )*};
}

impl Serializer for Json {
    type Ok = String;
    type Error = Error;
    type SerializeSeq = ListWriter;
    type SerializeTuple = ListWriter;
    type SerializeTupleStruct = ListWriter;
    type SerializeTupleVariant = Impossible<String, Error>;
    type SerializeMap = ObjectWriter;
    type SerializeStruct = ObjectWriter;
    type SerializeStructVariant = Impossible<String, Error>;

    as_displayed! { Ok: serialize_bool: bool serialize_i8: i8 serialize_i16: i16 serialize_i32: i32 serialize_i64: i64
    serialize_u8: u8 serialize_u16: u16 serialize_u32: u32 }
    as_displayed! { quoted: serialize_i128: i128 serialize_u128: u128 serialize_char: char }

    /// No type of CrateDB except NUMERIC holds more than 63 bits, and a NUMERIC is sent as text.
    fn serialize_u64(self, value: u64) -> Result<String, Error> {
        i64::try_from(value).map_or_else(|_| quoted(value.to_string()), |value| self.serialize_i64(value))
    }

    fn serialize_f32(self, value: f32) -> Result<String, Error> {
        float(f64::from(value), format!("{value:?}"))
    }

    fn serialize_f64(self, value: f64) -> Result<String, Error> {
        float(value, format!("{value:?}"))
    }

    fn serialize_str(self, value: &str) -> Result<String, Error> {
        quoted(value)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<String, Error> {
        Err(Error::custom("CrateDB has no type for bytes: send them as text, in hexadecimal or base64"))
    }

    fn serialize_none(self) -> Result<String, Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<String, Error> {
        Ok("null".into())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<String, Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<String, Error> {
        quoted(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<String, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<String, Error> {
        Err(variant_with_data(name, variant))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ListWriter, Error> {
        Ok(ListWriter(Vec::new()))
    }

    fn serialize_tuple(self, _: usize) -> Result<ListWriter, Error> {
        Ok(ListWriter(Vec::new()))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<ListWriter, Error> {
        Ok(ListWriter(Vec::new()))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(variant_with_data(name, variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<ObjectWriter, Error> {
        Ok(ObjectWriter::default())
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<ObjectWriter, Error> {
        Ok(ObjectWriter { is_raw: RAW_TEXTS.contains(&name), ..ObjectWriter::default() })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(variant_with_data(name, variant))
    }
}

/// Writes NaN and infinities, for which JSON has no numbers, as the strings that CrateDB reads as such.
fn float(value: f64, written: String) -> Result<String, Error> {
    match value {
        _ if value.is_finite() => Ok(written),
        _ if value.is_nan() => quoted("NaN"),
        _ if value > 0.0 => quoted("Infinity"),
        _ => quoted("-Infinity"),
    }
}

fn variant_with_data(name: &str, variant: &str) -> Error {
    Error::custom(format_args!("`{name}::{variant}` is an enum variant with data, which no type of CrateDB stands for"))
}

struct ListWriter(Vec<String>);

macro_rules! list_of {
    ($($kind:ident::$method:ident)*) => {$(
        impl ser::$kind for ListWriter {
            type Ok = String;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.0.push(json(value)?);
                Ok(())
            }

            fn end(self) -> Result<String, Error> {
                Ok(format!("[{}]", self.0.join(",")))
            }
        }
    )*};
}

list_of! { SerializeSeq::serialize_element SerializeTuple::serialize_element SerializeTupleStruct::serialize_field }

#[derive(Default)]
struct ObjectWriter {
    entries: Vec<String>,
    key: Option<String>,
    is_raw: bool,
}

impl ObjectWriter {
    fn written(self) -> String {
        if self.is_raw { self.entries.concat() } else { format!("{{{}}}", self.entries.join(",")) }
    }
}

impl ser::SerializeMap for ObjectWriter {
    type Ok = String;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let key = json(key)?;
        self.key = Some(match key.as_bytes().first() {
            Some(b'"') => key,
            Some(b'[' | b'{' | b'n') => return Err(Error::custom(format_args!("`{key}` can't be a key of an object"))),
            _ => quoted(&key)?,
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = self.key.take().ok_or_else(|| Error::custom("a map gave a value before its key"))?;
        self.entries.push(format!("{key}:{}", json(value)?));
        Ok(())
    }

    fn end(self) -> Result<String, Error> {
        Ok(self.written())
    }
}

impl ser::SerializeStruct for ObjectWriter {
    type Ok = String;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        let value = json(value)?;
        self.entries.push(match self.is_raw {
            true => serde_json::from_str(&value)?,
            false => format!("{}:{value}", quoted(name)?),
        });
        Ok(())
    }

    fn end(self) -> Result<String, Error> {
        Ok(self.written())
    }
}

#[cfg(test)]
mod tests;
