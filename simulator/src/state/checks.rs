//! Collects the problems of a request's body, field by field.

use serde_json::{Map, Value, json};

use super::{ApiAnswer, catalog};

const LONGEST_TEXT: usize = 512;

/// Problems by field, nested like the body.
#[derive(Debug, Default)]
pub(super) struct Problems {
    fields: Map<String, Value>,
}

impl Problems {
    /// Checks that `body` is an object of known fields.
    pub(super) fn of(body: &Value, known: &[&str]) -> Self {
        let mut problems = Self::default();
        match body.as_object() {
            Some(object) => {
                for unknown in object.keys().filter(|key| !known.contains(&key.as_str())) {
                    problems.add(unknown, "Unknown field.");
                }
            }
            None => problems.add("_schema", "Invalid input type."),
        }
        problems
    }

    pub(super) fn add(&mut self, field: &str, problem: &str) {
        let list = self.fields.entry(field).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(problem.into());
        }
    }

    /// Takes the problems of a part of the body.
    pub(super) fn nest(&mut self, field: &str, inner: Self) {
        if inner.any() {
            self.fields.insert(field.into(), Value::Object(inner.fields));
        }
    }

    pub(super) fn any(&self) -> bool {
        !self.fields.is_empty()
    }

    pub(super) fn refuse(self) -> ApiAnswer {
        ApiAnswer::invalid(Value::Object(self.fields))
    }

    /// A required, non-empty string.
    pub(super) fn text(&mut self, body: &Value, field: &str) -> Option<String> {
        match body.get(field) {
            None => {
                self.add(field, "Missing data for required field.");
                None
            }
            Some(Value::String(text)) if text.is_empty() => {
                self.add(field, "Shorter than minimum length 1.");
                None
            }
            Some(_) => self.optional_text(body, field),
        }
    }

    /// A required, non-empty string of the usual length.
    pub(super) fn name(&mut self, body: &Value, field: &str) -> Option<String> {
        let text = self.text(body, field);
        self.check_length(field, text.as_deref());
        text
    }

    /// Most texts have this limit; addresses and secrets don't.
    pub(super) fn check_length(&mut self, field: &str, text: Option<&str>) {
        if text.is_some_and(|text| text.chars().count() > LONGEST_TEXT) {
            self.add(field, &format!("Longer than maximum length {LONGEST_TEXT}."));
        }
    }

    /// An optional string.
    pub(super) fn optional_text(&mut self, body: &Value, field: &str) -> Option<String> {
        match body.get(field)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => {
                self.add(field, "Field may not be null.");
                None
            }
            _ => {
                self.add(field, "Not a valid string.");
                None
            }
        }
    }

    /// A required boolean; `"true"` and `1` are not accepted.
    pub(super) fn boolean(&mut self, body: &Value, field: &str) -> Option<bool> {
        match body.get(field) {
            Some(Value::Bool(value)) => Some(*value),
            Some(_) => {
                self.add(field, "Not a valid boolean.");
                None
            }
            None => {
                self.add(field, "Missing data for required field.");
                None
            }
        }
    }

    /// An optional integer.
    pub(super) fn optional_integer(&mut self, body: &Value, field: &str) -> Option<i64> {
        let value = body.get(field)?;
        if value.as_i64().is_none() {
            self.add(field, "Not a valid integer.");
        }
        value.as_i64()
    }

    /// A required integer.
    pub(super) fn integer(&mut self, body: &Value, field: &str) -> Option<i64> {
        if body.get(field).is_none() {
            self.add(field, "Missing data for required field.");
        }
        self.optional_integer(body, field)
    }

    /// An optional region. Without one the service chooses.
    pub(super) fn check_region(&mut self, region: &str) {
        if !region.is_empty() && !catalog::region_names().contains(&region) {
            let known = catalog::region_names().join(", ");
            self.add("region", &format!("No such region. There are: {known}."));
        }
    }
}

const PASSWORD_LENGTH: (usize, usize) = (24, 128);

pub(super) fn check_password(password: Option<&str>, problems: &mut Problems) {
    let Some(length) = password.map(|password| password.chars().count()) else { return };
    if length < PASSWORD_LENGTH.0 {
        problems.add("password", &format!("Shorter than minimum length {}.", PASSWORD_LENGTH.0));
    }
    if length > PASSWORD_LENGTH.1 {
        problems.add("password", &format!("Longer than maximum length {}.", PASSWORD_LENGTH.1));
    }
}

/// The service's ids: lower-case UUIDs.
pub(crate) fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match dashes.contains(&at) {
            true => byte == b'-',
            false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}
