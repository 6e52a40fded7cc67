//! What is inside a value: the elements of an array, the entries of an object, the data of a variant.

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde_json::value::RawValue;

use super::Cell;
use crate::sql::row::Error;
use crate::sql::types::ColumnType;

/// A value in an object, of whose type an answer says nothing.
fn inside(value: &RawValue) -> Cell<'_> {
    Cell::new(value.get(), &ColumnType::Unknown)
}

/// The elements of an array.
pub(super) struct Elements<'de> {
    values: std::vec::IntoIter<&'de RawValue>,
    kind: &'de ColumnType,
    number: usize,
}

impl<'de> Elements<'de> {
    pub(super) fn new(values: Vec<&'de RawValue>, kind: &'de ColumnType) -> Self {
        Self { values: values.into_iter(), kind, number: 0 }
    }

    /// How many are not read yet.
    pub(super) fn rest(&self) -> usize {
        self.values.len()
    }
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
        Some(self.rest())
    }
}

/// The entries of an object in the order in which they were written.
pub(super) struct Object<'de>(Vec<(String, &'de RawValue)>);

impl<'de> de::Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The entries of an object, one after another.
pub(super) struct Entries<'de> {
    entries: std::vec::IntoIter<(String, &'de RawValue)>,
    value: Option<(String, &'de RawValue)>,
}

impl<'de> Object<'de> {
    pub(super) fn entries(self) -> Entries<'de> {
        Entries { entries: self.0.into_iter(), value: None }
    }

    /// The only entry, which names a variant of an enum and holds its data.
    pub(super) fn variant(self) -> Result<Variant<'de>, Error> {
        let mut entries = self.0.into_iter();
        match (entries.next(), entries.next()) {
            (Some((name, value)), None) => Ok(Variant { name, value }),
            _ => Err(Error::invalid_value(Unexpected::Map, &"an object with one key, the name of a variant")),
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.value = self.entries.next();
        match &self.value {
            Some((key, _)) => seed.deserialize(Key(key.clone())).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (key, value) = self.value.take().ok_or_else(|| Error::custom("a value was asked for before its key"))?;
        seed.deserialize(inside(value)).map_err(|error| error.below(format_args!("['{key}']")))
    }
}

/// A key of an object. Maps may have numbers for keys, which JSON writes as strings.
struct Key(String);

impl Key {
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

macro_rules! number_keys {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.number(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Key {
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

    number_keys! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
    deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 }

    serde::forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// A variant with data.
pub(super) struct Variant<'de> {
    name: String,
    value: &'de RawValue,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Cell<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Cell<'de>), Error> {
        Ok((seed.deserialize(Key(self.name))?, inside(self.value)))
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
