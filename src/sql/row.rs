//! A row of an answer as a serde deserializer: reads tuples by position, structs and maps by column name, and any other
//! type from the only column.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use super::answer::AnswerColumn;
use super::cell::{Cell, read_alike};

/// An error lists this many columns; wide tables have hundreds.
const COLUMNS_SHOWN: usize = 20;

const MAY_BE_NULL: &str = "read it into an `Option` where it may be NULL";
const SAME_NAME: &str = "give each of them a name of its own with `AS`, or read the row into a tuple";

/// One row.
#[derive(Clone, Copy)]
pub(crate) struct Row<'de> {
    columns: &'de [AnswerColumn],
    cells: &'de [&'de RawValue],
}

/// The reason why a row or a cell can't be read.
#[derive(Debug)]
pub(crate) struct Error {
    message: String,
    /// The place in a cell, as SQL subscripts.
    path: String,
    /// The column, once it is known.
    column: Option<String>,
    hint: Option<&'static str>,
}

impl<'de> Row<'de> {
    pub(crate) fn new(columns: &'de [AnswerColumn], cells: &'de [&'de RawValue]) -> Result<Self, Error> {
        if columns.len() == cells.len() {
            return Ok(Self { columns, cells });
        }
        Err(de::Error::custom(format_args!("it has {} cells for {} columns", cells.len(), columns.len())))
    }

    /// Reads the only cell as a `T`.
    pub(crate) fn scalar<T: DeserializeOwned>(self) -> Result<T, Error> {
        self.only(|cell| T::deserialize(cell))
    }

    fn cell(self, index: usize) -> Cell<'de> {
        Cell::new(self.cells[index].get(), &self.columns[index].kind)
    }

    /// Adds the column's name and type to an error in a cell.
    fn at(self, index: usize, error: Error) -> Error {
        let AnswerColumn { name, kind, .. } = &self.columns[index];
        error.in_column(|path| format!("column {}, `{name}{path}` ({kind})", index + 1))
    }

    fn only<T>(self, read: impl FnOnce(Cell<'de>) -> Result<T, Error>) -> Result<T, Error> {
        match self.columns {
            [_] => read(self.cell(0)).map_err(|error| self.at(0, error)),
            _ => Err(de::Error::custom(format_args!("one value can't hold {}", self.described()))),
        }
    }

    fn by_position<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Positions { row: self, next: 0 }).map_err(|error| self.with_columns(error))
    }

    fn by_name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Positions { row: self, next: 0 }).map_err(|error| self.with_columns(error))
    }

    /// Reads into a target that has all names: a map would keep the last of several columns with one name. A struct
    /// names what it wants, and serde refuses that twice.
    fn by_unique_name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Some(AnswerColumn { name, .. }) = self.columns.iter().find(|column| column.repeats) else {
            return self.by_name(visitor);
        };
        let error: Error = de::Error::custom(format_args!("several columns have the name `{name}`"));
        Err(self.with_columns(Error { hint: Some(SAME_NAME), ..error }))
    }

    /// Adds a list of the columns to an error that is about no single one.
    fn with_columns(self, error: Error) -> Error {
        error.in_column(|_| format!("the row has {}", self.described()))
    }

    fn described(self) -> String {
        let count = self.columns.len();
        let shown = |AnswerColumn { name, kind, .. }: &AnswerColumn| format!("`{name}` ({kind})");
        let mut names: Vec<String> = self.columns.iter().take(COLUMNS_SHOWN).map(shown).collect();
        if count > COLUMNS_SHOWN {
            names.push("…".into());
        }
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} column{plural}, {}", names.join(", "))
    }
}

macro_rules! from_the_only_cell {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.only(|cell| cell.$method(visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for Row<'de> {
    type Error = Error;

    read_alike! {
        by_unique_name: deserialize_any deserialize_map;
        by_name: deserialize_struct(&'static str, &'static [&'static str]);
        by_position: deserialize_seq;
        deserialize_unit: deserialize_unit_struct(&'static str);
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        if len == self.columns.len() {
            return self.by_position(visitor);
        }
        Err(de::Error::custom(format_args!("a tuple of {len} can't hold {}", self.described())))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match self.columns {
            [_] if Cell::is_raw(name) => self.only(|cell| cell.deserialize_newtype_struct(name, visitor)),
            // Around a tuple, also of one, or around a value: all are read from here.
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.cells {
            [cell] if cell.get() == "null" => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.only(|cell| cell.deserialize_enum(name, variants, visitor))
    }

    from_the_only_cell! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_unit deserialize_identifier
    }
}

/// Walks over the cells of a row, with or without the names of their columns.
struct Positions<'de> {
    row: Row<'de>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Positions<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let more = self.next < self.row.cells.len();
        more.then(|| self.next_value_seed(seed)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.row.cells.len() - self.next)
    }
}

impl<'de> MapAccess<'de> for Positions<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.row.columns.get(self.next) {
            Some(column) => seed.deserialize(StrDeserializer::new(&column.name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let index = self.next;
        self.next += 1;
        seed.deserialize(self.row.cell(index)).map_err(|error| self.row.at(index, error))
    }
}

impl Error {
    /// Returns the same error one level further up, reached by `step`.
    pub(crate) fn below(mut self, step: impl fmt::Display) -> Self {
        self.path = format!("{step}{}", self.path);
        self
    }

    fn in_column(mut self, describe: impl FnOnce(&str) -> String) -> Self {
        self.column.get_or_insert_with(|| describe(&self.path));
        self
    }

    pub(crate) fn hint(&self) -> Option<&'static str> {
        self.hint
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), path: String::new(), column: None, hint: None }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        match unexpected {
            Unexpected::Unit | Unexpected::Option => {
                Self { hint: Some(MAY_BE_NULL), ..Self::custom(format_args!("it is NULL, expected {expected}")) }
            }
            unexpected => Self::custom(format_args!("invalid type: {unexpected}, expected {expected}")),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(column) = &self.column {
            write!(f, "{column}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
