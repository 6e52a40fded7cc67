//! The work of jobs: reads files, loads them into clusters, writes what is exported.

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

use crate::shared::Shared;
use crate::state::Work;
use crate::state::jobs::Progress;

/// What a file may have, compressed or not: all of it is in memory.
const LARGEST_FILE: u64 = 512 << 20;

/// Does what comes, each job on its own.
pub(crate) async fn labour(shared: Arc<Shared>, mut orders: UnboundedReceiver<Work>) {
    while let Some(work) = orders.recv().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let (job, (progress, failure)) = match &work {
                Work::Import { job } => (job, import::import(&shared, job).await),
                Work::Export { job } => (job, export::export(&shared, job).await),
                // Done at once by whoever saw it first.
                Work::Snapshot { .. } | Work::Restore { .. } => return,
            };
            shared.change(|state, now| {
                state.job_done(now, job, progress, failure);
                state.advance(now);
            });
        });
    }
}

/// How far a job came, and why not further.
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
