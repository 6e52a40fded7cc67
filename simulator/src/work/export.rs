//! One export job: reads a table and writes a file.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{Done, csv, failed, zip};
use crate::shared::Shared;
use crate::state::exports::Export;
use crate::state::imports::Format;
use crate::state::jobs::{Order, Progress};

/// Does one job; tells how far it came, and why not further.
pub(super) async fn export(shared: &Shared, job: &str) -> Done {
    let order = shared.look(|state| state.job(job).map(|job| (job.cluster.clone(), job.order.clone())));
    let Some((cluster, Order::Export(order))) = order else { return failed(Progress::default(), "The job is gone.") };
    match write(shared, &cluster, &order).await {
        Ok((bytes, records)) => {
            let size = bytes.len() as u64;
            let progress = Progress { records, total_records: Some(records), bytes: size, failed_records: 0 };
            let file = shared.change(|state, now| state.export_file(now, job, size));
            if let Some(id) = file {
                shared.hide_file(&id);
                shared.keep_file(&id, bytes.into());
            }
            (progress, None)
        }
        Err(why) => failed(Progress::default(), why),
    }
}

async fn write(shared: &Shared, cluster: &str, order: &Export) -> Result<(Vec<u8>, u64), String> {
    let gateway = shared.gateway(cluster).ok_or("The cluster is gone.")?;
    let mut database = gateway.inside().await?;
    let answer = database.sql(&json!({ "stmt": format!("SELECT * FROM {}", order.table.quoted()) })).await?;
    let nothing = Vec::new();
    let columns: Vec<&str> = answer["cols"].as_array().unwrap_or(&nothing).iter().filter_map(Value::as_str).collect();
    let rows = answer["rows"].as_array().unwrap_or(&nothing);
    let mut out = String::new();
    match order.format {
        Format::Csv => write_csv(&mut out, &columns, rows),
        Format::Json => write_json(&mut out, &columns, rows),
    }
    let bytes = out.into_bytes();
    let bytes = if order.gzip { zip(&bytes).map_err(|error| error.to_string())? } else { bytes };
    Ok((bytes, rows.len() as u64))
}

fn write_csv(out: &mut String, columns: &[&str], rows: &[Value]) {
    csv::write(out, columns.iter().map(|name| Cow::Borrowed(*name)));
    for row in rows.iter().filter_map(Value::as_array) {
        csv::write(
            out,
            row.iter().map(|value| match value {
                Value::Null => Cow::Borrowed(""),
                Value::String(text) => Cow::Borrowed(text.as_str()),
                other => Cow::Owned(other.to_string()),
            }),
        );
    }
}

/// One object a line.
fn write_json(out: &mut String, columns: &[&str], rows: &[Value]) {
    for row in rows.iter().filter_map(Value::as_array) {
        let fields = columns.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.clone()));
        out.push_str(&Value::Object(fields.collect::<Map<_, _>>()).to_string());
        out.push('\n');
    }
}
