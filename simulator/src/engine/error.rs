//! Errors of statements, in CrateDB's shape.

/// Every refusal of this engine contains these words.
pub(crate) const REFUSAL: &str = "not supported by the embedded engine";

/// An error answer: CrateDB's code, its exception class and text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SqlError {
    pub(crate) code: u32,
    pub(crate) message: String,
}

pub(crate) type Result<T, E = SqlError> = std::result::Result<T, E>;

impl SqlError {
    pub(crate) fn new(code: u32, class: &str, text: impl AsRef<str>) -> Self {
        SqlError { code, message: format!("{class}[{}]", text.as_ref()) }
    }

    /// Returns the HTTP status that CrateDB sends with this code.
    pub(crate) fn status(&self) -> u16 {
        match self.code {
            4010 | 4011 => 401,
            _ => {
                let mut head = self.code;
                while head >= 1000 {
                    head /= 10;
                }
                head as u16
            }
        }
    }

    /// Returns whether a number grew too large or was divided by zero.
    pub(crate) fn is_arithmetic(&self) -> bool {
        self.code == 4000 && (self.message.contains("by zero") || self.message.contains(" overflow"))
    }

    pub(crate) fn is_refusal(&self) -> bool {
        self.message.contains(REFUSAL)
    }
}

/// Makes a refusal: CrateDB's answer is not known here.
pub(crate) fn refuse(what: impl AsRef<str>) -> SqlError {
    SqlError::new(4004, "UnsupportedFeatureException", format!("{} is {REFUSAL}", what.as_ref()))
}

/// Makes a syntax error: CrateDB's parser doesn't accept this either.
pub(crate) fn syntax(text: impl AsRef<str>) -> SqlError {
    SqlError::new(4000, "ParsingException", text)
}

pub(crate) fn invalid(text: impl AsRef<str>) -> SqlError {
    SqlError::new(4000, "SQLParseException", text)
}

pub(crate) fn unsupported(text: impl AsRef<str>) -> SqlError {
    SqlError::new(4004, "UnsupportedFeatureException", text)
}

pub(crate) fn no_function(text: impl AsRef<str>) -> SqlError {
    SqlError::new(4004, "UnsupportedFunctionException", text)
}

pub(crate) fn no_column(name: impl AsRef<str>) -> SqlError {
    SqlError::new(4043, "ColumnUnknownException", format!("Column {} unknown", name.as_ref()))
}

pub(crate) fn no_relation(name: impl AsRef<str>) -> SqlError {
    SqlError::new(4041, "RelationUnknown", format!("Relation '{}' unknown", name.as_ref()))
}

pub(crate) fn no_schema(name: impl AsRef<str>) -> SqlError {
    SqlError::new(4045, "SchemaUnknownException", format!("Schema '{}' unknown", name.as_ref()))
}

pub(crate) fn inaccessible(relation: impl AsRef<str>, operation: &str) -> SqlError {
    let text = format!("The relation \"{}\" doesn't support or allow {operation} operations", relation.as_ref());
    SqlError::new(4007, "OperationOnInaccessibleRelationException", text)
}

pub(crate) fn bad_value(column: &str, text: impl AsRef<str>) -> SqlError {
    SqlError::new(4003, "ColumnValidationException", format!("Validation failed for {column}: {}", text.as_ref()))
}

pub(crate) fn duplicate_key() -> SqlError {
    SqlError::new(4091, "DuplicateKeyException", "A document with the same primary key exists already")
}
