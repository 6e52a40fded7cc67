//! The work of jobs: reads files, loads them into clusters, writes exports.

mod csv;
mod export;
mod fetch;
mod import;
mod infer;

use std::io::{Read, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::gateway::Gateways;
use crate::state::Work;
use crate::state::jobs::Progress;

/// The largest file, compressed or not: all of it is in memory.
const LARGEST_FILE: u64 = 512 << 20;

/// Does jobs as they come, each in a task of its own.
pub(crate) async fn labour(gateways: Arc<Gateways>, mut orders: UnboundedReceiver<Work>) {
    while let Some(work) = orders.recv().await {
        let gateways = gateways.clone();
        tokio::spawn(async move {
            let (job, (progress, failure)) = match &work {
                Work::Import { job } => (job, import::import(&gateways, job).await),
                Work::Export { job } => (job, export::export(&gateways, job).await),
                // Done at once by the store.
                Work::Snapshot { .. } | Work::Restore { .. } => return,
            };
            gateways.store.change(|state, now| {
                state.job_done(now, job, progress, failure);
                state.advance(now);
            });
        });
    }
}

/// The progress of a job, and the reason of its failure.
type Done = (Progress, Option<String>);

fn failed(progress: Progress, why: impl Into<String>) -> Done {
    (progress, Some(why.into()))
}

fn unzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(LARGEST_FILE + 1).read_to_end(&mut out);
    match read {
        Ok(size) if size as u64 > LARGEST_FILE => Err("The file is too large for the simulator.".into()),
        Ok(_) => Ok(out),
        Err(error) => Err(format!("The file is not compressed with gzip: {error}.")),
    }
}

fn zip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}
