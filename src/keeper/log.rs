//! The keeper's log: a file beside its journal. `CRATEDB_TEST_LOG` filters it, and comes with the first client.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

/// A handle that changes the filter of the log.
pub(super) struct Filter(reload::Handle<Targets, Registry>);

/// The only crate whose lines are logged: an HTTP library at its most verbose level would log tokens.
const OWN: &str = env!("CARGO_CRATE_NAME");

/// Begins to write to standard error, which is the log file.
pub(super) fn start() -> Filter {
    let (filter, handle) = reload::Layer::new(Targets::new().with_target(OWN, LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_filter(filter);
    let _ = tracing_subscriber::registry().with(lines).try_init();
    Filter(handle)
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
