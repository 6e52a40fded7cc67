//! Import jobs: the checks of a request, and the JSON of a job.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::checks::{Problems, is_uuid};
use super::jobs::{Job, JobOrder};
use super::{ApiAnswer, Micros, State};

/// The formats of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Format {
    Csv,
    Json,
}

/// The source of the data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ImportSource {
    Url(String),
    /// A file of the organization.
    File(String),
    /// A bucket or container, as it was named, which the simulator can't read.
    Elsewhere(Value),
}

/// A column that the request defines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ImportColumn {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) extra: Option<String>,
}

/// The order of an import job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) source: ImportSource,
    pub(crate) format: Format,
    pub(crate) gzip: bool,
    pub(crate) table: TableName,
    pub(crate) create_table: bool,
    pub(crate) columns: Vec<ImportColumn>,
    /// Shows the parts of the request that a job repeats.
    shown: Value,
}

/// A table as requests name it: `t`, `s.t`, `"s"."t"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableName {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
}

impl TableName {
    /// A name without quotes is taken as it is: the service quotes it itself.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (first, rest) = part(text)?;
        let parsed = match rest.strip_prefix('.') {
            None if rest.is_empty() => Self { schema: None, name: first },
            None => return None,
            Some(rest) => match part(rest)? {
                (name, "") => Self { schema: Some(first), name },
                _ => return None,
            },
        };
        Some(parsed)
    }

    /// Returns the name for a statement.
    pub(crate) fn quoted(&self) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let schema = self.schema.as_deref().map(|schema| quoted(schema) + ".");
        schema.unwrap_or_default() + &quoted(&self.name)
    }

    /// Returns the name as the service shows it, which is not valid SQL.
    fn bare(&self) -> String {
        self.schema.iter().map(|schema| format!("{schema}.")).collect::<String>() + &self.name
    }
}

/// Splits one name off.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return Some((name.to_owned(), rest)).filter(|_| !name.is_empty() && !name.contains('"'));
    };
    let mut name = String::new();
    let mut rest = inner;
    loop {
        let end = rest.find('"')?;
        name += &rest[..end];
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, rest)).filter(|(name, _)| !name.is_empty()),
        }
    }
}

impl State {
    pub(super) fn create_import_job(&mut self, now: Micros, cluster: &str, body: &Value) -> ApiAnswer {
        let Some(organization) = self.by_id(cluster).map(|one| self.organization_of(one).cloned()) else {
            return ApiAnswer::not_found();
        };
        let mut problems = Problems::of(
            body,
            &["type", "format", "compression", "destination", "schema", "url", "file", "s3", "azureblob"],
        );
        if body.get("schema").is_some_and(|schema| !schema.is_object() && !schema.is_null()) {
            problems.add("schema", "Not a valid object.");
        }
        let format = read_format(body, &mut problems);
        let gzip = read_compression(body, &mut problems);
        let destination = read_destination(body, &mut problems);
        let source = self.read_source(&organization.unwrap_or_default(), body, &mut problems);
        let (Some(format), Some(source), Some((table, create_table, columns)), false) =
            (format, source, destination, problems.any())
        else {
            return problems.refuse();
        };
        let shown = shown(body, &table, create_table);
        let order = Import { source, format, gzip, table, create_table, columns, shown };
        let id = self.begin_job(now, cluster, JobOrder::Import(order));
        self.job(&id).map_or_else(ApiAnswer::not_found, |job| ApiAnswer::created(self.show_import(job)))
    }

    fn read_source(&self, organization: &str, body: &Value, problems: &mut Problems) -> Option<ImportSource> {
        let kind = problems.text(body, "type")?;
        let known = |kind: &str| ["url", "file", "s3", "azureblob"].contains(&kind);
        if !known(&kind) {
            problems.add("type", "Must be one of: url, file, s3, azureblob.");
            return None;
        }
        let Some(place) = body.get(&kind) else {
            problems.add(&kind, "Missing data for required field.");
            return None;
        };
        let mut inner = Problems::of(
            place,
            match kind.as_str() {
                "url" => &["url"],
                "file" => &["id", "name", "status", "file_size", "upload_url", "download_url"],
                "s3" => &["bucket", "file_path", "secret_id", "endpoint"],
                _ => &["container_name", "blob_name", "secret_id"],
            },
        );
        let source = match kind.as_str() {
            _ if !place.is_object() => None,
            "url" => read_url(place, &mut inner),
            "file" => self.read_file(organization, place, &mut inner),
            "s3" => self.read_elsewhere(organization, place, ["bucket", "file_path"], &mut inner),
            _ => self.read_elsewhere(organization, place, ["container_name", "blob_name"], &mut inner),
        };
        problems.nest(&kind, inner);
        source
    }

    fn read_file(&self, organization: &str, place: &Value, problems: &mut Problems) -> Option<ImportSource> {
        let id = problems.text(place, "id")?;
        match self.file(organization, &id) {
            None => problems.add("id", "No such file."),
            Some(file) if file.size.is_none() => problems.add("id", "The file was not uploaded yet."),
            Some(_) => {}
        }
        Some(ImportSource::File(id))
    }

    fn read_elsewhere(
        &self,
        organization: &str,
        place: &Value,
        fields: [&str; 2],
        problems: &mut Problems,
    ) -> Option<ImportSource> {
        for field in fields {
            problems.name(place, field);
        }
        let secret = problems.text(place, "secret_id");
        let known = |id: &str| self.integrations.iter().any(|one| one.id == id && one.organization_id == organization);
        if secret.as_deref().is_some_and(|id| !is_uuid(id)) {
            problems.add("secret_id", "String does not match expected pattern.");
        } else if secret.as_deref().is_some_and(|id| !known(id)) {
            problems.add("secret_id", "No such secret.");
        }
        Some(ImportSource::Elsewhere(place.clone()))
    }

    /// Returns the name of the file that an import reads.
    pub(super) fn import_file(&self, import: &Import) -> String {
        let last =
            |text: &str| text.split(['?', '#']).next().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
        let name = match &import.source {
            ImportSource::Url(url) => last(url),
            ImportSource::File(id) => self.files.iter().find(|file| file.id == *id).map(|file| file.name.clone()),
            ImportSource::Elsewhere(place) => {
                place["file_path"].as_str().or(place["blob_name"].as_str()).and_then(last)
            }
        };
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| "data".into())
    }

    /// Newest first.
    pub(super) fn import_jobs(&self, cluster: &str) -> ApiAnswer {
        // The vendor's document has no 404 here.
        let mine =
            self.jobs.iter().rev().filter(|job| job.cluster == cluster && matches!(job.order, JobOrder::Import(_)));
        ApiAnswer::ok(mine.map(|job| self.show_import(job)).collect())
    }

    pub(super) fn import_job(&self, cluster: &str, id: &str) -> ApiAnswer {
        let found = self.job_of(cluster, id).filter(|job| matches!(job.order, JobOrder::Import(_)));
        found.map_or_else(ApiAnswer::not_found, |job| ApiAnswer::ok(self.show_import(job)))
    }

    fn show_import(&self, job: &Job) -> Value {
        let JobOrder::Import(import) = &job.order else { return Value::Null };
        let mut shown = import.shown.clone();
        if let ImportSource::File(id) = &import.source
            && let Some(file) = self.files.iter().find(|one| one.id == *id)
        {
            shown["file"] = json!({ "id": id, "name": file.name, "status": "UPLOADED", "file_size": file.size });
        }
        job.show(shown)
    }
}

fn read_url(place: &Value, problems: &mut Problems) -> Option<ImportSource> {
    let url = problems.text(place, "url")?;
    if !["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
        problems.add("url", "Not a valid URL.");
    }
    Some(ImportSource::Url(url))
}

pub(super) fn read_format(body: &Value, problems: &mut Problems) -> Option<Format> {
    match problems.text(body, "format")?.as_str() {
        "csv" => return Some(Format::Csv),
        "json" => return Some(Format::Json),
        "parquet" => problems.add("format", "The simulator reads and writes csv and json only."),
        _ => problems.add("format", "Must be one of: csv, json, parquet."),
    }
    None
}

/// Returns whether it is gzip. Absent, null, empty and `none` mean no compression.
pub(super) fn read_compression(body: &Value, problems: &mut Problems) -> bool {
    match body.get("compression") {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) if text.is_empty() || text == "none" => false,
        Some(Value::String(text)) if text == "gzip" => true,
        Some(_) => {
            problems.add("compression", "Must be one of: gzip, none.");
            false
        }
    }
}

fn read_destination(body: &Value, problems: &mut Problems) -> Option<(TableName, bool, Vec<ImportColumn>)> {
    let Some(given) = body.get("destination") else {
        problems.add("destination", "Missing data for required field.");
        return None;
    };
    let mut inner = Problems::of(given, &["table", "create_table", "table_definition"]);
    let table = read_table(given, &mut inner);
    let create = given.get("create_table").map_or(Some(true), |_| inner.boolean(given, "create_table"));
    let columns = read_columns(given, &mut inner);
    problems.nest("destination", inner);
    Some((table?, create?, columns))
}

pub(super) fn read_table(place: &Value, problems: &mut Problems) -> Option<TableName> {
    let text = if place.is_object() { problems.name(place, "table")? } else { return None };
    let table = TableName::parse(&text);
    if table.is_none() {
        problems.add("table", "Not a valid name of a table.");
    }
    table
}

fn read_columns(place: &Value, problems: &mut Problems) -> Vec<ImportColumn> {
    let mut all = Problems::default();
    let definition = &place["table_definition"];
    if !definition.is_null() && !definition.is_array() {
        problems.add("table_definition", "Not a valid list.");
    }
    let given = definition.as_array().into_iter().flatten().enumerate();
    let columns = given.filter_map(|(at, one)| {
        let mut inner = Problems::of(one, &["name", "type", "extra"]);
        let (name, kind) = (inner.text(one, "name"), inner.text(one, "type"));
        let extra = one.get("extra").filter(|extra| !extra.is_null()).and_then(|_| inner.optional_text(one, "extra"));
        all.nest(&at.to_string(), inner);
        Some(ImportColumn { name: name?, kind: kind?, extra })
    });
    let columns = columns.collect();
    problems.nest("table_definition", all);
    columns
}

fn shown(body: &Value, table: &TableName, create_table: bool) -> Value {
    // Only the source that counts was checked.
    let place = body["type"].as_str().unwrap_or_default();
    let mut shown = Map::new();
    for field in ["type", "format", "compression", "schema", place] {
        if let Some(value) = body.get(field).filter(|value| *value != "") {
            shown.insert(field.into(), value.clone());
        }
    }
    let mut destination = json!({ "table": table.bare(), "create_table": create_table });
    if let Some(definition) = body["destination"].get("table_definition") {
        destination["table_definition"] = definition.clone();
    }
    shown.insert("destination".into(), destination);
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, String)> {
        TableName::parse(text).map(|table| (table.quoted(), table.bare()))
    }

    #[test]
    fn tables_are_named_with_and_without_schema_and_quotes() {
        assert_eq!(read("weather"), Some(("\"weather\"".into(), "weather".into())));
        assert_eq!(read("Doc.My-T"), Some(("\"Doc\".\"My-T\"".into(), "Doc.My-T".into())));
        assert_eq!(read("\"a.b\".\"c\"\"d\""), Some(("\"a.b\".\"c\"\"d\"".into(), "a.b.c\"d".into())));
        for bad in ["", ".", "a.", ".a", "a.b.c", "\"a", "\"\"", "a\"b", "\"a\"b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
