//! One export job: reads a table and writes a file.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{Done, csv, failed, zip};
use crate::gateway::Gateways;
use crate::state::exports::Export;
use crate::state::imports::Format;
use crate::state::jobs::{JobOrder, Progress};

/// Does one job.
pub(super) async fn export(gateways: &Gateways, job: &str) -> Done {
    let order = gateways.store.look(|state| state.job(job).map(|job| (job.cluster.clone(), job.order.clone())));
    let Some((cluster, JobOrder::Export(order))) = order else {
        return failed(Progress::default(), "The job is gone.");
    };
    match write(gateways, &cluster, &order).await {
        Ok((bytes, records)) => {
            let size = bytes.len() as u64;
            let progress = Progress { records, total_records: Some(records), bytes: size, failed_records: 0 };
            let file = gateways.store.change(|state, now| state.export_file(now, job, size));
            if let Some(id) = file {
                gateways.store.hide_file(&id);
                gateways.store.keep_file(&id, bytes.into());
            }
            (progress, None)
        }
        Err(why) => failed(Progress::default(), why),
    }
}

async fn write(gateways: &Gateways, cluster: &str, order: &Export) -> Result<(Vec<u8>, u64), String> {
    let gateway = gateways.get(cluster).ok_or("The cluster is gone.")?;
    let mut database = gateway.inside().await?;
    let answer = database.sql(&json!({ "stmt": format!("SELECT * FROM {}", order.table.quoted()) })).await?;
    let nothing = Vec::new();
    let columns: Vec<&str> = answer["cols"].as_array().unwrap_or(&nothing).iter().filter_map(Value::as_str).collect();
    let rows = answer["rows"].as_array().unwrap_or(&nothing);
    let bytes = match order.format {
        Format::Csv => as_csv(&columns, rows)?,
        Format::Json => as_json_lines(&columns, rows),
    };
    let bytes = if order.gzip { zip(&bytes).map_err(|error| error.to_string())? } else { bytes };
    Ok((bytes, rows.len() as u64))
}

fn as_csv(columns: &[&str], rows: &[Value]) -> Result<Vec<u8>, String> {
    let mut out = csv::Writer::new();
    out.write(columns.iter().map(|name| Cow::Borrowed(*name)))?;
    for row in rows.iter().filter_map(Value::as_array) {
        out.write(row.iter().map(|value| match value {
            Value::Null => Cow::Borrowed(""),
            Value::String(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_string()),
        }))?;
    }
    out.into_bytes()
}

/// One object a line.
fn as_json_lines(columns: &[&str], rows: &[Value]) -> Vec<u8> {
    let mut out = String::new();
    for row in rows.iter().filter_map(Value::as_array) {
        let fields = columns.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.clone()));
        out.push_str(&Value::Object(fields.collect::<Map<_, _>>()).to_string());
        out.push('\n');
    }
    out.into_bytes()
}
