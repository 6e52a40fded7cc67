//! Sessions: the user, the search path and the settings.

use super::error::{Result, invalid, refuse, unsupported};
use super::value::Value;
use std::collections::BTreeMap;

/// One client's session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    pub(crate) path: Vec<String>,
    pub(crate) settings: BTreeMap<&'static str, String>,
    /// The owner of the view that is being read: its privileges count.
    pub(crate) owner: Option<String>,
}

/// Settings that this engine shows: name, default.
const SETTINGS: [(&str, &str); 11] = [
    ("application_name", ""),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO"),
    ("enable_hashjoin", "true"),
    ("error_on_unknown_object_key", "true"),
    ("max_index_keys", "32"),
    ("max_identifier_length", "255"),
    ("server_version", "14.0"),
    ("server_version_num", "140000"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0s"),
];

/// Settings of CrateDB whose values this engine doesn't keep.
fn is_known_elsewhere(name: &str) -> bool {
    name.starts_with("optimizer")
        || ["insert_select_fail_fast", "memory.operation_limit", "transaction_isolation"].contains(&name)
}

/// Returns whether CrateDB has a setting of this name for sessions.
pub(crate) fn is_setting(name: &str) -> bool {
    name == "search_path" || is_known_elsewhere(name) || SETTINGS.iter().any(|s| s.0 == name)
}

impl Session {
    pub(crate) fn new(user: &str, schema: Option<&str>) -> Session {
        Session {
            user: user.into(),
            path: vec![schema.unwrap_or("doc").into()],
            settings: BTreeMap::new(),
            owner: None,
        }
    }

    /// Returns the user whose privileges count.
    pub(crate) fn rights(&self) -> &str {
        self.owner.as_deref().unwrap_or(&self.user)
    }

    /// Returns the schema of unqualified new tables, which is `current_schema`.
    pub(crate) fn schema(&self) -> &str {
        self.path.first().map_or("doc", String::as_str)
    }

    pub(crate) fn set(&mut self, name: &str, values: &[Value]) -> Result<()> {
        let texts: Vec<String> = values
            .iter()
            .map(|v| match v {
                Value::Text(t) => Ok(t.clone()),
                Value::Int(i) => Ok(i.to_string()),
                Value::Bool(b) => Ok(b.to_string()),
                _ => Err(refuse("this value of a setting")),
            })
            .collect::<Result<_>>()?;
        if name == "search_path" {
            if texts.iter().any(|t| t.contains(',')) {
                return Err(refuse("a comma in a schema name"));
            }
            self.path = if texts.is_empty() { vec!["doc".into()] } else { texts };
            return Ok(());
        }
        let Some((known, _)) = SETTINGS.iter().find(|s| s.0 == name) else {
            // Unknown names are accepted without effect.
            return if is_known_elsewhere(name) { Err(refuse(format!("SET {name}"))) } else { Ok(()) };
        };
        let [text] = texts.as_slice() else {
            return if texts.is_empty() {
                self.settings.remove(known);
                Ok(())
            } else {
                Err(refuse("several values"))
            };
        };
        let text = match *known {
            "statement_timeout" => timeout(text)?,
            "datestyle" if text.to_ascii_uppercase().starts_with("ISO") => "ISO".into(),
            "datestyle" => {
                let text = text.to_uppercase();
                return Err(invalid(format!(
                    "Invalid value for parameter \"datestyle\": \"{text}\". Valid values include: [\"ISO\"]."
                )));
            }
            "error_on_unknown_object_key" | "enable_hashjoin" if !["true", "false"].contains(&text.as_str()) => {
                return Err(refuse("this value of a setting"));
            }
            "application_name" | "error_on_unknown_object_key" | "enable_hashjoin" => text.clone(),
            // Accepted without effect.
            "client_encoding" => return Ok(()),
            "standard_conforming_strings" if ["on", "true"].contains(&text.as_str()) => return Ok(()),
            "standard_conforming_strings" if ["off", "false"].contains(&text.as_str()) => {
                return Err(unsupported("\"standard_conforming_strings\" cannot be changed."));
            }
            _ => return Err(refuse(format!("SET {name}"))),
        };
        self.settings.insert(known, text);
        Ok(())
    }

    /// Returns the value that SHOW gives.
    pub(crate) fn show(&self, name: &str) -> Result<Value> {
        if name == "search_path" {
            return Ok(Value::Text(self.path.join(", ")));
        }
        if name == "transaction_isolation" {
            return Ok(Value::text("read uncommitted"));
        }
        if is_known_elsewhere(name) {
            return Err(refuse(format!("SHOW {name}")));
        }
        let Some((known, default)) = SETTINGS.iter().find(|s| s.0 == name) else {
            return Err(invalid(format!("Unknown session setting name '{name}'.")));
        };
        Ok(match self.settings.get(known) {
            Some(text) => Value::text(text),
            None if *known == "application_name" => Value::Null,
            None => Value::text(*default),
        })
    }

    /// Returns whether unknown keys of objects give null instead of an error.
    pub(crate) fn forgives_unknown_keys(&self) -> bool {
        self.settings.get("error_on_unknown_object_key").is_some_and(|v| v == "false")
    }
}

/// Reads `5s` and `0`, the forms whose display is known.
fn timeout(text: &str) -> Result<String> {
    match text.strip_suffix('s').unwrap_or("x").parse::<u8>() {
        Ok(seconds) if seconds < 60 => Ok(format!("{seconds}s")),
        _ if text.bytes().all(|b| b.is_ascii_alphabetic()) => Err(invalid(format!("Invalid interval format: {text}"))),
        _ => Err(refuse(format!("the time-out {text}"))),
    }
}
