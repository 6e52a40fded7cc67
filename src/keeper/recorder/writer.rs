//! Writes recordings, on a thread of its own: the disk may be slow, full, or never answer. What it does not take is
//! lost, and the recording says so.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use super::line;
use crate::host::{make_with_mode, paths_in, private_file};
use crate::recording::{Event, LARGEST, Name, SPARE, outdated};
use crate::wire::Millis;

/// So many lines of tests and steps may wait for the disk. Beginnings and ends are few, and always find a place.
const LINES: usize = 8192;
/// The time between two writes. So many milliseconds are lost if the keeper is killed.
const PAUSE: Duration = Duration::from_millis(100);
/// The time that the last lines may take.
const FAREWELL: Duration = Duration::from_secs(1);

enum Job {
    Open {
        file: u64,
        directory: PathBuf,
        name: Name,
        head: Vec<u8>,
    },
    Line {
        file: u64,
        t: Millis,
        kind: Kind,
        line: Vec<u8>,
    },
    Close {
        file: u64,
    },
    /// Everything before it is written before the sender hears of it.
    End(SyncSender<()>),
}

/// The kind of a line, which says how long there is room for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is one of some for each test.
    Test,
    Cluster,
    /// It always has room.
    Last,
}

fn kind(event: &Event) -> Kind {
    match event {
        Event::Closed { .. } => Kind::Last,
        Event::Cluster(_)
        | Event::State { .. }
        | Event::Says { .. }
        | Event::Lost { .. }
        | Event::Alive
        | Event::Over => Kind::Cluster,
        _ => Kind::Test,
    }
}

/// The way to the thread. It starts with the first recording.
pub(super) struct Writer {
    /// Is told once why nothing is recorded.
    tell: Arc<dyn Fn(String) + Send + Sync>,
    jobs: Option<(Sender<Job>, Thread)>,
    /// The number of jobs that the thread has not taken yet.
    waiting: Arc<AtomicUsize>,
    /// The number of lines of each recording that found no place.
    lost: HashMap<u64, u64>,
}

impl Writer {
    pub(super) fn new(tell: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell), jobs: None, waiting: Arc::default(), lost: HashMap::new() }
    }

    /// Begins a recording. The number in its name is chosen beside those that are there.
    pub(super) fn open(&mut self, file: u64, directory: PathBuf, name: Name, head: Vec<u8>) {
        if self.jobs.is_none() {
            let (sender, jobs) = channel();
            let (tell, waiting) = (self.tell.clone(), self.waiting.clone());
            let write = move || write(jobs, &waiting, &*tell);
            match thread::Builder::new().name("cratedb-record".to_owned()).spawn(write) {
                Ok(thread) => self.jobs = Some((sender, thread.thread().clone())),
                Err(error) => (self.tell)(error.to_string()),
            }
        }
        self.send(Job::Open { file, directory, name, head });
    }

    /// Writes a line some time from now.
    pub(super) fn line(&mut self, file: u64, t: Millis, event: &Event) {
        let kind = kind(event);
        if kind != Kind::Last && self.waiting.load(Ordering::Relaxed) >= LINES {
            *self.lost.entry(file).or_default() += 1;
            return;
        }
        if let Some(lines) = self.lost.remove(&file) {
            self.send(Job::Line { file, t, kind: Kind::Cluster, line: line(t, Event::Gap { lines }) });
        }
        self.send(Job::Line { file, t, kind, line: line(t, event.clone()) });
    }

    pub(super) fn close(&mut self, file: u64) {
        self.lost.remove(&file);
        self.send(Job::Close { file });
        // A report is often asked for as soon as the session is over.
        if let Some((_, thread)) = &self.jobs {
            thread.unpark();
        }
    }

    /// Waits until everything is written, or for a second.
    pub(super) fn end(&mut self) {
        let Some((jobs, thread)) = self.jobs.take() else { return };
        let (done, written) = sync_channel(1);
        if jobs.send(Job::End(done)).is_ok() {
            thread.unpark();
            let _ = written.recv_timeout(FAREWELL);
        }
    }

    fn send(&self, job: Job) {
        if let Some((jobs, _)) = &self.jobs {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let _ = jobs.send(job);
        }
    }
}

/// A recording that is being written.
struct Open {
    file: File,
    written: usize,
    full: bool,
    waiting: Vec<u8>,
}

impl Open {
    fn add(&mut self, t: Millis, kind: Kind, bytes: &[u8]) {
        let length = self.written + self.waiting.len() + bytes.len();
        let limit = match kind {
            Kind::Test => LARGEST,
            Kind::Cluster => LARGEST + SPARE,
            Kind::Last => usize::MAX,
        };
        if length <= limit && !(self.full && kind == Kind::Test) {
            self.waiting.extend(bytes);
        } else if !std::mem::replace(&mut self.full, true) {
            self.waiting.extend(line(t, Event::Full));
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.waiting)?;
        self.written += self.waiting.len();
        self.waiting.clear();
        Ok(())
    }
}

/// Writes what comes, several lines at once. Says once why it can't.
fn write(jobs: Receiver<Job>, waiting: &AtomicUsize, trouble: &dyn Fn(String)) {
    let mut files: HashMap<u64, Open> = HashMap::new();
    let mut told = false;
    let mut tell = |path: &str, error: io::Error| {
        if !std::mem::replace(&mut told, true) {
            trouble(format!("{path}: {error}"));
        }
    };
    while let Ok(first) = jobs.recv() {
        let mut ends = Vec::new();
        for job in std::iter::once(first).chain(jobs.try_iter()) {
            waiting.fetch_sub(1, Ordering::Relaxed);
            match job {
                Job::Open { file, directory, name, head } => match open(&directory, name) {
                    Ok(opened) => {
                        files.insert(file, Open { file: opened, written: 0, full: false, waiting: head });
                    }
                    Err(error) => tell(&directory.display().to_string(), error),
                },
                Job::Line { file, t, kind, line } => {
                    if let Some(open) = files.get_mut(&file) {
                        open.add(t, kind, &line);
                    }
                }
                Job::Close { file } => {
                    if let Some(Err(error)) = files.remove(&file).map(|mut open| open.flush()) {
                        tell("a recording", error);
                    }
                }
                Job::End(done) => ends.push(done),
            }
        }
        files.retain(|_, open| open.flush().map_err(|error| tell("a recording", error)).is_ok());
        match ends.is_empty() {
            // Until then nothing wakes this thread, so that a line costs the loop no more than its own making.
            true => thread::park_timeout(PAUSE),
            false => ends.into_iter().for_each(|done: SyncSender<()>| {
                let _ = done.send(());
            }),
        }
    }
}

/// Makes the file of a recording, after removing old ones.
fn open(directory: &Path, mut name: Name) -> io::Result<File> {
    make_with_mode(directory, 0o700)?;
    let mut all = listed(directory);
    all.sort_by_key(|(_, meta)| meta.modified().ok());
    let all: Vec<(Name, u64)> = all.into_iter().map(|(name, meta)| (name, meta.len())).collect();
    for old in outdated(&all, &name.project) {
        // Another keeper may have been quicker.
        let _ = std::fs::remove_file(directory.join(old.written()));
    }
    // Not the time: a clock that is set back would make a new recording the oldest.
    name.number = all.iter().map(|(name, _)| name.number).max().map_or(0, |last| last.saturating_add(1));
    private_file().write(true).create_new(true).open(directory.join(name.written()))
}

fn listed(directory: &Path) -> Vec<(Name, std::fs::Metadata)> {
    let read = |path: PathBuf| {
        let name = Name::read(path.file_name()?.to_str()?)?;
        Some((name, path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?))
    };
    paths_in(directory).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;
    use crate::recording::{Line, RecycledCounts, State};

    fn name() -> Name {
        let hash = |digit: &str| digit.repeat(16);
        Name { project: hash("1"), number: 0, run: hash("2"), key: hash("3") }
    }

    fn writer() -> (Writer, Arc<Mutex<Vec<String>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        (Writer::new(move |why| tell.lock().unwrap().push(why)), told)
    }

    fn lines(directory: &Path) -> Vec<Event> {
        let (name, _) = listed(directory).into_iter().max_by_key(|(name, _)| name.number).unwrap();
        let text = std::fs::read_to_string(directory.join(name.written())).unwrap();
        let rest = text.lines().skip(1);
        rest.map(|line| serde_json::from_str::<Line>(line).unwrap().event).collect()
    }

    fn closed() -> Event {
        Event::Closed { outcome: "left".into(), detail: String::new(), recycled: RecycledCounts::default() }
    }

    #[test]
    fn the_end_waits_for_the_lines_and_not_for_the_pause() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("recordings");
        for number in 0..3 {
            let (mut writer, told) = writer();
            let began = Instant::now();
            writer.open(1, directory.clone(), name(), b"{}\n".to_vec());
            (0..100).for_each(|t| writer.line(1, t, &Event::Ready { c: t }));
            writer.end();
            assert!(began.elapsed() < FAREWELL);
            assert_eq!(lines(&directory).len(), 100);
            assert_eq!((listed(&directory).len(), told.lock().unwrap().len()), (number + 1, 0));
        }
    }

    #[test]
    fn a_full_recording_has_no_more_tests_but_what_became_of_the_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let mut open =
            Open { file: tempfile::tempfile().unwrap(), written: LARGEST - 100, full: false, waiting: Vec::new() };
        let test = line(1, Event::Ready { c: 1 });
        (0..50).for_each(|t| open.add(t, kind(&Event::Ready { c: 1 }), &test));
        let waiting = String::from_utf8(open.waiting.clone()).unwrap();
        assert_eq!(waiting.matches("ready").count(), 100 / test.len());
        assert!(waiting.ends_with("\"e\":\"full\"}\n") && waiting.matches("full").count() == 1, "{waiting}");
        let state = Event::State { is: State::Releasing };
        open.add(60, kind(&state), &line(60, state.clone()));
        assert!(open.waiting.ends_with(b"releasing\"}\n"));
        open.written = LARGEST + SPARE;
        let before = open.waiting.len();
        open.add(61, kind(&state), &line(61, state.clone()));
        assert_eq!(open.waiting.len(), before);
        open.add(62, kind(&closed()), &line(62, closed()));
        assert!(open.waiting.len() > before, "the end has always room");
        drop(dir);
    }

    #[test]
    fn a_directory_that_can_not_be_made_is_told_once_and_holds_nothing_up() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let (mut writer, told) = writer();
        for number in 1..4 {
            writer.open(number, file.clone(), name(), b"{}\n".to_vec());
            (0..10).for_each(|t| writer.line(number, t, &Event::Over));
            writer.close(number);
        }
        writer.end();
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&file.display().to_string()), "{told:?}");
    }

    #[test]
    fn lines_that_find_no_place_are_counted_and_the_others_go_on() {
        let (mut writer, _) = writer();
        let (sender, jobs) = channel();
        writer.jobs = Some((sender, thread::current()));
        writer.waiting.store(LINES - 2, Ordering::Relaxed);
        let began = Instant::now();
        (0..10).for_each(|t| writer.line(1, t, &Event::Over));
        assert!(began.elapsed() < PAUSE, "a disk that does not answer is not waited for");
        let texts = |jobs: &Receiver<Job>| -> Vec<String> {
            let line = |job| match job {
                Job::Line { line, .. } => String::from_utf8(line).unwrap(),
                _ => String::new(),
            };
            jobs.try_iter().map(line).collect()
        };
        assert_eq!(texts(&jobs).len(), 2);
        writer.line(2, 10, &closed());
        let end = texts(&jobs);
        assert!(end.len() == 1 && end[0].contains("\"closed\""), "an end finds a place: {end:?}");
        writer.waiting.store(0, Ordering::Relaxed);
        writer.line(1, 11, &Event::Over);
        let after = texts(&jobs);
        assert!(after[0].contains("\"gap\",\"lines\":8") && after[1].contains("\"over\""), "{after:?}");
        // Also before an end that comes while there is no place for others.
        writer.waiting.store(LINES, Ordering::Relaxed);
        writer.line(1, 12, &Event::Over);
        writer.line(1, 13, &closed());
        let last = texts(&jobs);
        assert!(last[0].contains("\"gap\",\"lines\":1") && last[1].contains("\"closed\""), "{last:?}");
    }
}
