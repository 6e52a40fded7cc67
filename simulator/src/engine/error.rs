//! Errors of statements, in CrateDB's shape.

/// Every refusal of this engine contains these words.
pub(crate) const REFUSAL: &str = "not supported by the embedded engine";

/// An error answer: CrateDB's code, its exception class and text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SqlError {
    pub(crate) code: u32,
    pub(crate) message: String,
    pub(crate) fault: Fault,
}

/// The kind of an error, where the engine decides by it. Messages carry a client's text, so nothing is read from them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// One of which only code and message count.
    Plain,
    /// CrateDB's answer is not known here.
    Refused,
    /// A number grew too large or was divided by zero.
    Arithmetic,
    /// A value can't be converted: the value as it is shown, and the name of the type.
    Conversion(String, String),
    /// A parameter has no value.
    MissingArgument,
    /// An unknown column, by its name.
    Column(String),
    /// An aggregate stands where none may; its name.
    Aggregate(String),
    /// A window function stands where none may.
    Window,
    /// A condition is none.
    Condition,
    /// A query has rows of arguments.
    BulkQuery,
}

pub(crate) type Result<T, E = SqlError> = std::result::Result<T, E>;

impl SqlError {
    pub(crate) fn new(code: u32, class: &str, text: impl AsRef<str>) -> Self {
        SqlError { code, message: format!("{class}[{}]", text.as_ref()), fault: Fault::Plain }
    }

    pub(crate) fn with(self, fault: Fault) -> Self {
        SqlError { fault, ..self }
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
        self.fault == Fault::Arithmetic
    }

    pub(crate) fn is_refusal(&self) -> bool {
        self.fault == Fault::Refused
    }
}

/// Makes a refusal: CrateDB's answer is not known here.
pub(crate) fn refuse(what: impl AsRef<str>) -> SqlError {
    SqlError::new(4004, "UnsupportedFeatureException", format!("{} is {REFUSAL}", what.as_ref())).with(Fault::Refused)
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
    let name = name.as_ref();
    let text = format!("Column {name} unknown");
    SqlError::new(4043, "ColumnUnknownException", text).with(Fault::Column(name.to_owned()))
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
