//! The context of a command: its options, its terminal, its cluster, and how to wait for work.

use std::cell::{Cell, OnceCell};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cratedb_test::ManagedCluster;
use cratedb_test::cloud::{Client, ManagedClusterBuilder};

use crate::arguments::{Address, Global};
use crate::failure::{Code, Failure};
use crate::interrupt::asked_to_end;
use crate::progress::Progress;
use crate::terminal::Terminal;

/// The time for which this deadline gives way to one with a better message.
const GRACE: Duration = Duration::from_secs(2);

/// The context of one command.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) terminal: Terminal,
    pub(crate) progress: Progress,
    /// The operation that continues in CrateDB Cloud after an interruption.
    ongoing: OnceCell<String>,
    /// Set if the work has a deadline of its own, whose message says more.
    has_deadline: Cell<bool>,
}

impl Context {
    pub(crate) fn new(global: Global, terminal: &Terminal) -> Self {
        Self {
            global,
            terminal: terminal.clone(),
            progress: terminal.progress(),
            ongoing: OnceCell::new(),
            has_deadline: Cell::new(false),
        }
    }

    /// Returns a client of the Cloud API, with the credentials of the settings.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let builder = Client::builder();
        let builder = match self.global.endpoint() {
            Some(endpoint) => builder.endpoint(endpoint),
            None => builder,
        };
        Ok(builder.build()?)
    }

    /// Returns the cluster of the options, else of the settings.
    pub(crate) fn cluster(&self) -> Result<ManagedCluster, Failure> {
        self.cluster_with(|builder| builder)
    }

    /// Does the same with more settings.
    pub(crate) fn cluster_with(
        &self,
        more: impl FnOnce(ManagedClusterBuilder) -> ManagedClusterBuilder,
    ) -> Result<ManagedCluster, Failure> {
        let (progress, built) = (self.progress.clone(), Arc::new(AtomicBool::new(false)));
        let is_built = built.clone();
        let mut builder = ManagedCluster::builder().on_progress(move |text| {
            // Earlier messages are among the notes below.
            if is_built.load(Ordering::Relaxed) {
                progress.say(text);
            }
        });
        builder = match self.global.address() {
            Some(Address::Id(id)) => builder.cluster_id(id),
            Some(Address::Name(name)) => builder.cluster_name(name),
            Some(Address::Url(url)) => builder.cluster_url(url),
            None => builder,
        };
        if let Some(endpoint) = self.global.endpoint() {
            builder = builder.endpoint(endpoint);
        }
        if let Some(timeout) = self.global.timeout {
            builder = builder.start_timeout(timeout);
        }
        let cluster = more(builder).build().map_err(|error| self.unnamed(error))?;
        built.store(true, Ordering::Relaxed);
        cluster.notes().iter().for_each(|note| self.terminal.note(note));
        Ok(cluster)
    }

    /// Names the options in an error that says that no setting names a cluster.
    fn unnamed(&self, error: cratedb_test::Error) -> Failure {
        let failure = Failure::from(error);
        match self.global.address() {
            None if failure.to_string().contains("which cluster is meant") => {
                let options = "give --cluster-name, --cluster-id or --cluster-url";
                failure.with_names(&[("call cluster_name(…) of the builder", options)])
            }
            _ => failure,
        }
    }

    /// Names the operation in CrateDB Cloud that an interruption from now on does not end.
    pub(crate) fn goes_on(&self, what: impl Into<String>) {
        let _ = self.ongoing.set(what.into());
        self.has_a_deadline();
    }

    /// Tells that the work from now on heeds `--timeout` itself, with a message that says more.
    pub(crate) fn has_a_deadline(&self) {
        self.has_deadline.set(true);
    }

    /// Does the work of a command, unless a signal or the end of its time comes first.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
        let done = runtime.block_on(async {
            tokio::select! {
                // In this order, so that the work does not begin before an interruption is noticed.
                biased;
                code = asked_to_end() => Err(self.interrupted(code)),
                done = work => done,
                () = self.late() => Err(self.timed_out()),
            }
        });
        // A thread may wait for an answer on the terminal that never comes. It must not be waited for.
        runtime.shutdown_background();
        self.progress.clear();
        done
    }

    /// Waits until the command's time is up, forever if there is no limit.
    async fn late(&self) {
        let Some(timeout) = self.global.timeout else { return std::future::pending().await };
        tokio::time::sleep(timeout).await;
        if self.has_deadline.get() {
            tokio::time::sleep(GRACE).await;
        }
    }

    /// Notes how the work ended, with the time it took if there was anything to wait for.
    pub(crate) fn note_done(&self, text: &str) {
        match self.progress.last() {
            Some(_) => self.terminal.note(&format!("{text} after {:.1} s", self.progress.seconds())),
            None => self.terminal.note(text),
        }
    }

    fn interrupted(&self, code: Code) -> Failure {
        self.progress.clear();
        self.with_ongoing(Failure::new(code, format!("interrupted{}", self.doing())))
    }

    fn timed_out(&self) -> Failure {
        let time = humantime::format_duration(self.global.timeout.unwrap_or_default());
        let late = Failure::new(Code::TimedOut, format!("not done within {time}{}", self.doing()));
        self.with_ongoing(late).hint("--timeout is how long a command may take")
    }

    /// Returns the last step of the work as the end of a sentence, nothing if there was none.
    pub(crate) fn doing(&self) -> String {
        self.progress.last().map(|last| format!(" while {last}")).unwrap_or_default()
    }

    fn with_ongoing(&self, failure: Failure) -> Failure {
        // Nothing was said, so nothing had begun.
        match self.ongoing.get().filter(|_| self.progress.last().is_some()) {
            Some(what) => {
                failure.hint(format!("{what} continues in CrateDB Cloud; `{}` shows its progress", self.info()))
            }
            None => failure,
        }
    }

    /// Returns the command that shows the same cluster.
    fn info(&self) -> String {
        let cluster = match self.global.address() {
            Some(Address::Id(id)) => format!(" --cluster-id {id}"),
            Some(Address::Name(name)) => format!(" --cluster-name {name}"),
            Some(Address::Url(url)) => format!(" --cluster-url {}", without_credentials(&url)),
            None => String::new(),
        };
        format!("cargo cratedb info{cluster}")
    }
}

/// Returns an address as it may be shown.
fn without_credentials(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, host)) => format!("{scheme}://{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_credentials() {
        assert_eq!(without_credentials("https://ada:a@b@host:4200"), "https://host:4200");
        assert_eq!(without_credentials("http://localhost:4200"), "http://localhost:4200");
    }
}
