//! The keeper's log: a file beside its journal. `CRATEDB_TEST_LOG` filters it, and comes with the first client.
//!
//! A thread writes it, since the disk may not answer. What the disk does not take is lost: a log must never hold up a
//! release, nor end it by an error.

use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

/// A handle that changes the filter of the log.
pub(super) struct Filter(reload::Handle<Targets, Registry>);

/// The only crate whose lines are logged: an HTTP library at its most verbose level would log tokens.
const OWN: &str = env!("CARGO_CRATE_NAME");
/// So many lines may wait for the disk.
const LINES: usize = 1024;
/// The time that the last lines may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The way to the thread that writes; none where there could be no thread.
static WRITER: OnceLock<Option<SyncSender<Line>>> = OnceLock::new();
/// The number of lines that found no place.
static LOST: AtomicUsize = AtomicUsize::new(0);

enum Line {
    Text(Vec<u8>),
    /// Everything before it is written before the sender hears of it.
    End(SyncSender<()>),
}

/// Begins to write to standard error, which is the log file.
pub(super) fn start() -> Filter {
    let (filter, handle) = reload::Layer::new(Targets::new().with_target(OWN, LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Writer).with_ansi(false).with_filter(filter);
    let _ = tracing_subscriber::registry().with(lines).try_init();
    Filter(handle)
}

/// Waits until everything is written, or for a second.
pub(super) fn end() {
    if let Some(Some(lines)) = WRITER.get() {
        let (done, written) = sync_channel(1);
        if lines.try_send(Line::End(done)).is_ok() {
            let _ = written.recv_timeout(FAREWELL);
        }
    }
}

/// Takes whole lines and never fails: tracing would report a failure on standard error, and panic if that failed, too.
struct Writer;

impl io::Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match WRITER.get_or_init(writer) {
            Some(lines) if lines.try_send(Line::Text(line.to_owned())).is_err() => {
                LOST.fetch_add(1, Ordering::Relaxed);
            }
            Some(_) => {}
            None => drop(io::stderr().write_all(line)),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn writer() -> Option<SyncSender<Line>> {
    let (sender, lines) = sync_channel(LINES);
    thread::Builder::new().name("cratedb-log".to_owned()).spawn(|| write(lines)).ok().map(|_| sender)
}

fn write(lines: Receiver<Line>) {
    for line in lines {
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = io::stderr().write_all(format!("{lost} lines were lost: the disk did not take them\n").as_bytes());
        }
        match line {
            Line::Text(text) => drop(io::stderr().write_all(&text)),
            Line::End(done) => drop(done.send(())),
        }
    }
}

impl Filter {
    /// Sets a level (`debug`) or several (`cratedb_test::keeper=debug,info`), of which only those of this crate count.
    pub(super) fn set(&self, text: &str) {
        let filter = match (text.parse::<LevelFilter>(), text.parse::<Targets>()) {
            (Ok(level), _) => Targets::new().with_target(OWN, level),
            (_, Ok(targets)) => {
                let own = targets.iter().filter(|(target, _)| target.starts_with(OWN));
                let default = targets.default_level().unwrap_or(LevelFilter::INFO);
                Targets::new().with_target(OWN, default).with_targets(own.collect::<Vec<_>>())
            }
            _ => {
                tracing::warn!(
                    filter = text,
                    "CRATEDB_TEST_LOG can't be read; accepted: error, warn, info, debug, trace"
                );
                return;
            }
        };
        let _ = self.0.reload(filter);
    }
}
