//! Arguments of `import`.

use clap::{Args, ValueEnum};

pub(super) const EXAMPLES: &str = "\
CrateDB Cloud does the import: it fetches a URL itself, and a local file is uploaded to it first.

Examples:
  cargo cratedb import --cluster-name ci https://example.org/weather.csv.gz --table weather
  cargo cratedb import --cluster-name ci readings.json --table doc.readings --no-create-table";

#[derive(Args, Debug)]
pub(crate) struct Import {
    /// A URL (http or https) or a local file.
    #[arg(value_name = "URL|FILE")]
    pub(crate) source: String,
    /// The table.
    #[arg(long, value_name = "NAME")]
    pub(crate) table: String,
    /// The format; told from the name if not given.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The compression; told from the name if not given.
    #[arg(long, value_enum)]
    pub(crate) compression: Option<Compression>,
    /// Fail if the table does not exist, instead of creating it.
    #[arg(long)]
    pub(crate) no_create_table: bool,
}

/// What can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Json,
    Parquet,
}

/// How it may be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    None,
    Gzip,
}

/// Format and compression of a file, as far as its name tells.
pub(crate) fn guess(name: &str) -> (Option<Format>, Option<Compression>) {
    let name = name.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let (name, compression) = match name.strip_suffix(".gz") {
        Some(name) => (name, Some(Compression::Gzip)),
        None => (name.as_str(), None),
    };
    let format = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => Some(Format::Csv),
        Some("json" | "ndjson" | "jsonl") => Some(Format::Json),
        Some("parquet") => Some(Format::Parquet),
        _ => None,
    };
    (format, compression)
}

impl Format {
    /// As the Cloud API writes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}

impl Compression {
    /// As the Cloud API writes it; nothing is said of files that are not compressed.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_and_compression_are_told_from_the_name() {
        for (name, expected) in [
            ("a.csv", (Some(Format::Csv), None)),
            ("https://x/A.NDJSON.gz?version=1.csv", (Some(Format::Json), Some(Compression::Gzip))),
            ("dir.csv/data.parquet", (Some(Format::Parquet), None)),
            ("https://x/csv", (None, None)),
            ("data.gz", (None, Some(Compression::Gzip))),
        ] {
            assert_eq!(guess(name), expected, "{name}");
        }
    }
}
