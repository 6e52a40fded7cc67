//! One line of JSON per session for `CRATEDB_TEST_REPORT`: when it is over where others go on, with the release where
//! it was the last.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::{Keeper, MachineState};
use crate::host::{DiskThread, writable};
use crate::keeper::machine::SessionId;
use crate::keeper::recorder::Fate;
use crate::keeper::unix_millis;
use crate::recording::RecycledCounts;
use crate::wire::{ClusterOutcome, FromKeeper};

/// The time that the disk may take for a line. A release that comes after it must not wait for long.
const PATIENCE: Duration = Duration::from_secs(2);

/// The line of one session.
#[derive(Debug, Default, Serialize)]
pub(in crate::keeper) struct Report {
    /// The number of the session in this keeper, from 1.
    session: u64,
    /// The name of an explicit session.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    pub(super) provider: String,
    /// The cluster or container, for people.
    pub(super) resource: String,
    /// The number of attempts but for those made inside another. A retried test counts again.
    pub(super) tests: u64,
    processes: u64,
    binaries: usize,
    /// Milliseconds since the Unix epoch.
    pub(super) began_at_ms: u64,
    /// From the first request of the session until the cluster was there; none if it never was.
    pub(super) ready_after_ms: Option<u64>,
    /// When the release was done, if it was.
    released_at_ms: Option<u64>,
    /// The fate of the cluster: `suspended`, `removed`, `deleted`, `left`, `found running`, `failed`, `owed`; where the
    /// session was not the last one `shared`, and `warm` where the cluster waits for the next one.
    outcome: Option<ClusterOutcome>,
    /// The fates of premade schemas whose tests ended; none if no test had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recycled: Option<RecycledCounts>,
    /// More about the outcome, for people.
    detail: String,
    /// True once people were told which cluster it is.
    #[serde(skip)]
    pub(super) told: bool,
    #[serde(skip)]
    path: Option<String>,
    #[serde(skip)]
    seen: BTreeSet<String>,
}

impl Report {
    pub(in crate::keeper) fn new(session: u64, name: Option<String>, path: Option<String>) -> Self {
        Self { session, name, path, began_at_ms: unix_millis(), ..Self::default() }
    }

    pub(in crate::keeper) fn joined(&mut self, binary: &str) {
        self.processes += 1;
        self.seen.insert(binary.to_owned());
        self.binaries = self.seen.len();
    }

    /// Returns the end of the session, for its recording.
    fn fate(&self) -> Fate {
        let outcome = self.outcome.unwrap_or(ClusterOutcome::Unknown);
        Fate { outcome, detail: self.detail.clone(), recycled: self.recycled.clone().unwrap_or_default() }
    }

    fn write(&self, disk: &DiskThread) {
        tracing::info!(report = %serde_json::to_string(self).unwrap_or_default(), "a session is over");
        let Some(path) = self.path.clone() else { return };
        let Ok(mut line) = serde_json::to_vec(self) else { return };
        line.push(b'\n');
        if let Err(error) = in_time(disk, path.clone(), move |path| append(path, &line)) {
            tracing::warn!(%error, path, "CRATEDB_TEST_REPORT was not written");
        }
    }
}

fn in_time(
    disk: &DiskThread,
    path: String,
    call: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let done = disk.run(PATIENCE, move || call(Path::new(&path)));
    done.unwrap_or_else(|| Err(io::Error::other("the disk does not answer")))
}

/// Appends a line in one write, so that two keepers don't mix theirs. A FIFO gets it only if a process reads there:
/// opening it without the flag would wait for one.
fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).custom_flags(libc::O_NONBLOCK).open(path);
    match file.and_then(|mut file| file.write_all(line)) {
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Err(io::Error::other("no process reads there")),
        done => done,
    }
}

/// Tells whether a report can be written at all, without changing anything.
fn check(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        // Its reader may come later, and would take an opening and closing now for the end of all reports.
        Ok(meta) if meta.file_type().is_fifo() => Ok(()),
        Ok(_) => OpenOptions::new().append(true).custom_flags(libc::O_NONBLOCK).open(path).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            writable(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("/")))
        }
        Err(error) => Err(error),
    }
}

impl Keeper {
    /// Writes the lines of sessions that are over while the cluster stays.
    pub(super) fn report_ended(&mut self) {
        let ended = self.clients.forget_ended(&self.machine);
        if ended.is_empty() {
            return;
        }
        let outcome = match self.machine.state() {
            MachineState::Warm { .. } => ClusterOutcome::Warm,
            MachineState::Up if self.clients.sessions().next().is_some() => ClusterOutcome::Shared,
            // What becomes of the cluster now is what became of this session.
            _ => return,
        };
        for session in ended {
            self.report(session, outcome);
        }
    }

    fn report(&mut self, session: SessionId, outcome: ClusterOutcome) {
        if let Some(mut report) = self.clients.reports.remove(&session) {
            report.outcome = Some(outcome);
            report.write(&self.reports);
            let stays = outcome == ClusterOutcome::Warm;
            self.recorder.over(self.now(), session, &report.fate(), stays);
        }
    }

    /// Returns what people should know of `CRATEDB_TEST_REPORT`: that it can't be written.
    pub(super) fn unreported(&self, path: &str) -> Option<String> {
        let error = in_time(&self.reports, path.to_owned(), check).err()?;
        Some(format!("CRATEDB_TEST_REPORT=`{path}` will not be written: {error}"))
    }

    /// Sessions are not recorded. They go on, and people are told once.
    pub(super) fn unrecorded(&mut self, why: &str) {
        tracing::warn!(why, "sessions are not recorded");
        self.clients
            .notify_any(format!("`cargo cratedb report` will have nothing, or not all, of this session: {why}"));
    }

    /// Reports how a release ended, for all whose session is over, and to observers that watch.
    pub(super) fn report_release(&mut self, outcome: ClusterOutcome, detail: &str, ok: bool) {
        for report in self.clients.reports.values_mut() {
            (report.outcome, report.detail) = (Some(outcome), detail.to_owned());
            report.released_at_ms = ok.then(unix_millis);
        }
        if ok {
            // A later acquisition is not theirs any more.
            let over: Vec<SessionId> =
                self.clients.reports.keys().filter(|id| !self.machine.has(**id)).copied().collect();
            over.into_iter().for_each(|session| self.report(session, outcome));
            self.recorder.released(self.now(), outcome, detail);
        }
        // Of a cluster that is not released, observers see that its keeper ends.
        if outcome != ClusterOutcome::FoundRunning {
            self.tell_watching(&FromKeeper::Released { outcome, detail: detail.to_owned() });
        }
    }

    /// Writes the lines that are left, as the last thing that a keeper does.
    pub(super) fn write_reports(&mut self) {
        let (outcome, detail) = match &self.supply.resource {
            Some(_) => (ClusterOutcome::FoundRunning, String::new()),
            None => (ClusterOutcome::Failed, self.supply.failure.as_ref().map(ToString::to_string).unwrap_or_default()),
        };
        let now = self.now();
        for (session, report) in &mut self.clients.reports {
            if report.outcome.is_none() {
                (report.outcome, report.detail) = (Some(outcome), detail.clone());
            }
            report.write(&self.reports);
            self.recorder.over(now, *session, &report.fate(), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    fn fifo() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        (dir, path)
    }

    #[test]
    fn a_fifo_without_a_reader_is_an_error_at_once_and_one_with_a_reader_gets_the_line() {
        let (_dir, path) = fifo();
        check(&path).unwrap();
        let began = Instant::now();
        assert_eq!(append(&path, b"{}\n").unwrap_err().to_string(), "no process reads there");
        assert!(began.elapsed() < PATIENCE);
        let mut options = OpenOptions::new();
        let mut reader = options.read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        append(&path, b"{}\n").unwrap();
        let mut line = String::new();
        io::Read::read_to_string(&mut reader, &mut line).unwrap();
        assert_eq!(line, "{}\n");
    }

    #[test]
    fn lines_are_appended_and_what_can_not_be_written_is_known_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report");
        check(&path).unwrap();
        assert!(!path.exists(), "looking makes nothing");
        append(&path, b"{}\n").unwrap();
        append(&path, b"{}\n").unwrap();
        check(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n{}\n");
        for bad in [dir.path().to_owned(), dir.path().join("gone/report"), path.join("below")] {
            assert!(check(&bad).is_err() && append(&bad, b"{}\n").is_err(), "{}", bad.display());
        }
    }

    #[test]
    fn a_disk_that_does_not_answer_is_given_up() {
        let (disk, (answer, hangs)) = (DiskThread::new(), std::sync::mpsc::channel::<()>());
        assert_eq!(disk.run(Duration::ZERO, move || hangs.recv().is_ok()), None);
        let error = in_time(&disk, "/nowhere".to_owned(), |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "the disk does not answer");
        drop(answer);
    }
}
