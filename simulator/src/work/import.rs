//! One import job: fetches and reads a file, makes the table if it may, and inserts.

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::{Done, csv, failed, fetch, infer, unzip};
use crate::gateway::Gateways;
use crate::gateway::inside::Inside;
use crate::state::imports::{Format, Import, ImportSource, TableName};
use crate::state::jobs::{JobOrder, Progress};
use crate::store::Store;

/// Number of rows in one request.
const BATCH: usize = 500;
/// The row count of a row that failed.
const FAILED_ROW: i64 = -2;

/// Columns and rows of a file.
struct Records {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    /// The same as texts, if the file has texts.
    texts: Option<Vec<Vec<String>>>,
}

/// Does one job.
pub(super) async fn import(gateways: &Gateways, job: &str) -> Done {
    let order = gateways.store.look(|state| state.job(job).map(|job| (job.cluster.clone(), job.order.clone())));
    let Some((cluster, JobOrder::Import(order))) = order else {
        return failed(Progress::default(), "The job is gone.");
    };
    let mut progress = Progress::default();
    let data = match read(&gateways.store, &order, &mut progress).await {
        Ok(data) => data,
        Err(why) => return failed(progress, why),
    };
    progress.total_records = Some(data.rows.len() as u64);
    gateways.store.change(|state, _| state.job_progress(job, progress.clone()));
    match load(gateways, job, &cluster, &order, data, &mut progress).await {
        Ok(()) => (progress, None),
        Err(why) => failed(progress, why),
    }
}

async fn read(store: &Store, order: &Import, progress: &mut Progress) -> Result<Records, String> {
    let bytes = match &order.source {
        ImportSource::Url(url) => fetch::fetch(url).await?,
        ImportSource::File(id) => store.file_bytes(id).ok_or("The file does not exist any more.")?,
        ImportSource::Elsewhere(_) => return Err("The simulator cannot reach buckets and containers.".into()),
    };
    progress.bytes = bytes.len() as u64;
    let bytes = if order.gzip { unzip(&bytes)?.into() } else { bytes };
    parse(&bytes, order.format)
}

fn parse(bytes: &Bytes, format: Format) -> Result<Records, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "The file is not text in UTF-8.")?;
    match format {
        Format::Csv => parse_csv(text),
        Format::Json => parse_json(text),
    }
}

fn parse_csv(text: &str) -> Result<Records, String> {
    let mut records = csv::read(text)?.into_iter();
    let columns = records.next().ok_or("The file is empty.")?;
    let texts: Vec<_> = records.collect();
    if let Some(at) = texts.iter().position(|record| record.len() != columns.len()) {
        let (found, wanted) = (texts[at].len(), columns.len());
        return Err(format!("Record {}: {found} fields where the header has {wanted}.", at + 2));
    }
    let rows = texts.iter().map(|record| record.iter().map(|field| infer::field(field)).collect()).collect();
    Ok(Records { columns, rows, texts: Some(texts) })
}

/// One object a line, or an array of them.
fn parse_json(text: &str) -> Result<Records, String> {
    let wrong = |at: usize| format!("Record {}: not a JSON object.", at + 1);
    let documents: Vec<Value> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|error| format!("The file is not JSON: {error}."))?
    } else {
        let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>().enumerate();
        documents.map(|(at, one)| one.map_err(|error| format!("{} {error}.", wrong(at)))).collect::<Result<_, _>>()?
    };
    let mut columns: Vec<String> = Vec::new();
    for (at, document) in documents.iter().enumerate() {
        for name in document.as_object().ok_or_else(|| wrong(at))?.keys() {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
    }
    let row = |document: &Value| columns.iter().map(|name| document[name].clone()).collect();
    Ok(Records { rows: documents.iter().map(row).collect(), columns, texts: None })
}

async fn load(
    gateways: &Gateways,
    job: &str,
    cluster: &str,
    order: &Import,
    mut data: Records,
    progress: &mut Progress,
) -> Result<(), String> {
    let gateway = gateways.get(cluster).ok_or("The cluster is gone.")?;
    let mut database = gateway.inside().await?;
    if order.create_table {
        database.sql(&json!({ "stmt": create(order, &data) })).await?;
    }
    keep_texts(&mut database, &order.table, &mut data).await?;
    let stmt = insert(&order.table, &data.columns);
    let mut first_problem = None;
    for rows in data.rows.chunks(BATCH) {
        let answer = database.sql(&json!({ "stmt": stmt, "bulk_args": rows })).await?;
        for result in answer["results"].as_array().into_iter().flatten() {
            if result["rowcount"].as_i64() == Some(FAILED_ROW) {
                progress.failed_records += 1;
                first_problem = first_problem.or_else(|| result["error"]["message"].as_str().map(str::to_owned));
            } else {
                progress.records += 1;
            }
        }
        gateways.store.change(|state, _| state.job_progress(job, progress.clone()));
        // The embedded engine answers without ever waiting.
        tokio::task::yield_now().await;
    }
    database.sql(&json!({ "stmt": format!("REFRESH TABLE {}", order.table.quoted()) })).await?;
    match progress.records {
        0 if progress.failed_records > 0 => Err(first_problem.unwrap_or_else(|| "No record could be loaded.".into())),
        _ => Ok(()),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the statement that makes the table unless it is there: as the request defines it, or from the data.
fn create(order: &Import, data: &Records) -> String {
    let defined = order.columns.iter().map(|column| {
        let extra = column.extra.iter().map(|extra| format!(" {extra}")).collect::<String>();
        format!("{} {}{extra}", quoted(&column.name), column.kind)
    });
    let found = data.columns.iter().enumerate().map(|(at, name)| {
        let kind = infer::column(data.rows.iter().map(|row| &row[at]));
        format!("{} {kind}", quoted(name))
    });
    let columns: Vec<_> = if order.columns.is_empty() { found.collect() } else { defined.collect() };
    format!("CREATE TABLE IF NOT EXISTS {} ({})", order.table.quoted(), columns.join(", "))
}

fn insert(table: &TableName, columns: &[String]) -> String {
    let names: Vec<_> = columns.iter().map(|name| quoted(name)).collect();
    let places = vec!["?"; columns.len()].join(", ");
    format!("INSERT INTO {} ({}) VALUES ({places})", table.quoted(), names.join(", "))
}

/// Keeps values of text columns as they were written: `1.50` is not `1.5`.
async fn keep_texts(database: &mut Inside, table: &TableName, data: &mut Records) -> Result<(), String> {
    let Some(texts) = data.texts.take() else { return Ok(()) };
    let stmt =
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = ? AND table_name = ?";
    let schema = table.schema.as_deref().unwrap_or("doc");
    let found = database.sql(&json!({ "stmt": stmt, "args": [schema, table.name] })).await?;
    let rows = found["rows"].as_array().into_iter().flatten();
    let of_text: Vec<_> = rows.filter(|row| row[1].as_str().is_some_and(|kind| kind.starts_with("text"))).collect();
    for (at, name) in data.columns.iter().enumerate() {
        if !of_text.iter().any(|row| row[0] == name.as_str()) {
            continue;
        }
        for (row, texts) in data.rows.iter_mut().zip(&texts) {
            if !row[at].is_null() {
                row[at] = texts[at].as_str().into();
            }
        }
    }
    Ok(())
}
