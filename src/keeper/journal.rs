//! The journal: what a keeper owes, on disk before it happens. Nothing else survives a killed keeper.
//!
//! It is one file of fixed size with two slots, which are written in turn, so that a crash in the middle of a write
//! leaves the other slot whole. The space is allocated before the first intent: a disk that fills up later can't stop a
//! record.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::globals::Globals;
use super::machine::Word;
use super::unix_seconds;
use crate::error::{Error, Kind, Result};
use crate::host::{DiskThread, fnv64, open_regular, private_file, process::Identity};
use crate::provider::Held;
use crate::sharing::new_id;
use crate::wire::Policy;

/// The bytes of one slot. Two runners and a cluster id take 1 KiB.
const SLOT: usize = 32 * 1024;
/// The bytes before the JSON: its length and checksum as text.
const HEADER: usize = 32;
/// The limit for writing a record, which the system does in memory. A disk that is slower must not hold up a release.
const WRITE: Duration = Duration::from_secs(5);
/// The limit for opening a journal and for writing an intent to the disk. No call is made before that is done.
const SYNC: Duration = Duration::from_secs(30);
/// The version of the format. It changes when older code can't read a record any more.
const VERSION: u32 = 1;

/// The last entry. It has no secrets: a keeper gets those from its next client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    /// Counts up: the slot with the larger number is the valid one.
    pub(crate) sequence: u64,
    pub(crate) word: Word,
    /// The key in clear, for people who look at the file.
    pub(crate) key: String,
    /// The names, labels and ids that the provider chose or found.
    pub(crate) held: Option<Held>,
    pub(crate) policy: Option<Policy>,
    pub(crate) runners: Vec<Identity>,
    /// The keeper has ended on its own account, without having released what it held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gave_up: bool,
    /// Schemas that a release did not wait for.
    #[serde(default)]
    pub(crate) undropped: Vec<String>,
    /// Schemas that were made ahead and that no test has.
    #[serde(rename = "prepared", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) premade: Vec<String>,
    /// The exclusive attempt whose changes are not restored yet, and the state before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exclusive: Option<Exclusive>,
    /// Set if a release was begun and did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) debt: Option<Debt>,
    /// The id under which keepers of other machines see this one and its successors, on a cluster that they share.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) lease: String,
    /// Unix seconds.
    pub(crate) at: i64,
}

/// A release that is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Debt {
    /// When the release was to be made. Unix seconds.
    pub(crate) since: i64,
    /// The reason why it did not succeed so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// The state before an exclusive attempt: the attempt may have changed, outside its schema, whatever differs from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Exclusive {
    pub(crate) test: String,
    pub(crate) before: Globals,
}

impl Record {
    fn new(key: &str) -> Self {
        Self { version: VERSION, key: key.to_owned(), ..Self::default() }
    }
}

/// The fields that every format has, so that no other format is taken for a torn write.
#[derive(Debug, Deserialize)]
struct Stamp {
    version: u32,
    sequence: u64,
    word: String,
}

/// Reads the record of a slot that is whole. What another format owes can't be repaired here, so such a record is an
/// error unless it says that nothing is owed.
fn understood(stamp: &Stamp, json: &[u8], key: &str) -> std::result::Result<Record, String> {
    if stamp.version == VERSION {
        return serde_json::from_slice(json).map_err(|error| error.to_string());
    }
    if stamp.word == "clean" {
        return Ok(Record { sequence: stamp.sequence, ..Record::new(key) });
    }
    let Stamp { version, word, .. } = stamp;
    Err(format!(
        "it was written by another version of cratedb-test (format {version}, here {VERSION}) and says `{word}`"
    ))
}

/// The content of a journal's file, for a program that only looks.
#[derive(Debug)]
pub(crate) enum Left {
    /// No keeper ever wrote to it.
    Nothing,
    /// It has a record.
    Record(Box<Record>),
    /// It is of another format, and something is owed: its version, word and key, as far as they can be read.
    Foreign { version: u32, word: String, key: String },
    /// It has content that can't be read.
    Damaged,
}

#[derive(Debug)]
pub(crate) struct Journal {
    file: Arc<File>,
    path: PathBuf,
    disk: DiskThread,
    pub(crate) record: Record,
}

impl Journal {
    /// Opens the journal of `key`, with the record that a predecessor wrote last.
    pub(crate) fn open(path: &Path, key: &str) -> Result<Self> {
        let fail = |error: std::io::Error| cannot("open", path).because(error);
        let mut options = private_file();
        let file = open_regular(options.read(true).write(true).create(true).truncate(false), path).map_err(fail)?;
        allocate(&file).map_err(|error| {
            let remedy = match error.raw_os_error() {
                Some(libc::EFBIG) => "`ulimit -f` limits files to less than its 64 KiB",
                _ => "make room on that disk or set CRATEDB_TEST_DIR",
            };
            cannot("reserve space for", path)
                .because(error)
                .hint(format!("nothing is started without a journal; {remedy}"))
        })?;
        let slots = read(&file).map_err(fail)?;
        let record = match newest(&slots) {
            Some((stamp, json)) => understood(&stamp, json, key).map_err(|cause| {
                cannot("use", path)
                    .because(cause)
                    .hint("run the tests once with that version, which releases what it holds; or release it by hand and remove the file")
            })?,
            None => Record::new(key),
        };
        Ok(Self { file: Arc::new(file), path: path.to_owned(), disk: DiskThread::new(), record })
    }

    /// Reads what a keeper left, without reserving or changing anything.
    pub(crate) fn look(path: &Path) -> Result<Left> {
        let fail = |error: std::io::Error| cannot("read", path).because(error);
        let file = open_regular(OpenOptions::new().read(true), path).map_err(fail)?;
        let slots = read(&file).map_err(fail)?;
        let Some((stamp, json)) = newest(&slots) else {
            return Ok(if slots.iter().all(|byte| *byte == 0) { Left::Nothing } else { Left::Damaged });
        };
        let key = || {
            let value: Option<serde_json::Value> = serde_json::from_slice(json).ok();
            value.and_then(|value| Some(value["key"].as_str()?.to_owned())).unwrap_or_default()
        };
        Ok(match understood(&stamp, json, "") {
            Ok(record) => Left::Record(Box::new(record)),
            Err(_) if stamp.version == VERSION => Left::Damaged,
            Err(_) => Left::Foreign { version: stamp.version, key: key(), word: stamp.word },
        })
    }

    /// Changes the record and returns once it would survive a crash of this machine. Intents are written so.
    pub(crate) fn write_synced(&mut self, change: impl FnOnce(&mut Record)) -> Result<()> {
        self.change(change, true)
    }

    /// Changes the record, which then survives the death of this process. That is enough for everything but an intent:
    /// if a crash of the machine brings an older record back, its reader looks at the cluster before it believes it.
    pub(crate) fn write(&mut self, change: impl FnOnce(&mut Record)) -> Result<()> {
        self.change(change, false)
    }

    fn change(&mut self, change: impl FnOnce(&mut Record), synced: bool) -> Result<()> {
        let mut record = self.record.clone();
        change(&mut record);
        record.sequence += 1;
        record.at = unix_seconds();
        let json = serde_json::to_vec(&record).map_err(|error| cannot("write", &self.path).because(error))?;
        if json.len() > SLOT - HEADER {
            return Err(cannot("write", &self.path).because(format!("a record of {} bytes is too long", json.len())));
        }
        let mut bytes = format!("{:08x} {:016x}", json.len(), fnv64(json.iter().copied())).into_bytes();
        bytes.resize(HEADER, b' ');
        bytes[HEADER - 1] = b'\n';
        bytes.extend(&json);
        let offset = (record.sequence % 2) * SLOT as u64;
        let (file, patience) = (self.file.clone(), if synced { SYNC } else { WRITE });
        let written = self.disk.run(patience, move || {
            file.write_all_at(&bytes, offset)?;
            if synced { file.sync_data() } else { Ok(()) }
        });
        // A record that arrives too late has the number, and so the slot, of the one that is written next.
        written.unwrap_or_else(|| Err(no_answer())).map_err(|error| cannot("write", &self.path).because(error))?;
        self.record = record;
        Ok(())
    }
}

/// The journal as the loop and its tasks share it, or the error that kept it from being opened.
#[derive(Clone)]
pub(super) struct SharedJournal(Arc<Mutex<Result<Journal>>>);

impl SharedJournal {
    /// Opens the journal. What is said of the end of a predecessor is over.
    pub(super) fn open(path: &Path) -> Self {
        let journal = open_in_time(path).map(|mut journal| {
            journal.record.gave_up = false;
            if journal.record.lease.is_empty() {
                journal.record.lease = new_id();
            }
            journal
        });
        let journal = journal.inspect_err(|error| tracing::error!(%error, "there is no journal"));
        Self(Arc::new(Mutex::new(journal)))
    }

    fn lock(&self) -> MutexGuard<'_, Result<Journal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Journal) -> Result<T>) -> Result<T> {
        match &mut *self.lock() {
            Ok(journal) => work(journal),
            Err(error) => Err(error.clone()),
        }
    }

    /// Returns something of the record; without a journal, its default.
    pub(super) fn read<T: Default>(&self, of: impl FnOnce(&Record) -> T) -> T {
        self.with(|journal| Ok(of(&journal.record))).unwrap_or_default()
    }

    /// Changes the record, unless it says the same already. Returns false if that failed, which the log says.
    pub(super) fn note(&self, what: &str, change: impl FnOnce(&mut Record)) -> bool {
        let noted = self.with(|journal| {
            let mut record = journal.record.clone();
            change(&mut record);
            if record == journal.record { Ok(()) } else { journal.write(|known| *known = record) }
        });
        noted.inspect_err(|error| tracing::warn!(%error, "not written down: {what}")).is_ok()
    }

    /// Writes the record into the file that is at the path now.
    pub(super) fn write_again(&self, path: &Path) -> Result<()> {
        let mut journal = self.lock();
        let Ok(known) = &*journal else { return Ok(()) };
        let record = known.record.clone();
        let mut again = open_in_time(path)?;
        again.write_synced(|new| *new = record)?;
        tracing::warn!("the journal was removed; it is written again");
        *journal = Ok(again);
        Ok(())
    }
}

fn open_in_time(path: &Path) -> Result<Journal> {
    let own = path.to_owned();
    let opened = DiskThread::new().run(SYNC, move || Journal::open(&own, ""));
    opened.unwrap_or_else(|| Err(cannot("open", path).because(no_answer())))
}

fn no_answer() -> std::io::Error {
    std::io::Error::other("the disk does not answer")
}

fn cannot(what: &str, path: &Path) -> Error {
    Error::new(Kind::Session, format!("cannot {what} the journal {}", path.display()))
}

/// Reserves both slots. If the file system can't, zeros are written.
fn allocate(file: &File) -> std::io::Result<()> {
    let size = 2 * SLOT as u64;
    if file.metadata()?.len() >= size {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size) {
        Ok(()) => {}
        Err(rustix::io::Errno::OPNOTSUPP) => file.write_all_at(&vec![0; size as usize], 0)?,
        Err(error) => return Err(error.into()),
    }
    file.sync_all()
}

/// Reads both slots.
fn read(mut file: &File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(2 * SLOT);
    file.read_to_end(&mut bytes).map(|_| bytes)
}

/// Returns the slot that was written last, if one is whole.
fn newest(slots: &[u8]) -> Option<(Stamp, &[u8])> {
    slots.chunks(SLOT).filter_map(parse).max_by_key(|(stamp, _)| stamp.sequence)
}

/// Returns what a slot says; `None` if it is empty or torn.
fn parse(bytes: &[u8]) -> Option<(Stamp, &[u8])> {
    let header = std::str::from_utf8(bytes.get(..HEADER)?).ok()?;
    let mut words = header.split_ascii_whitespace();
    let length = usize::from_str_radix(words.next()?, 16).ok()?;
    let sum = u64::from_str_radix(words.next()?, 16).ok()?;
    let json = bytes.get(HEADER..HEADER.checked_add(length)?)?;
    let stamp = (fnv64(json.iter().copied()) == sum).then(|| serde_json::from_slice(json).ok())??;
    Some((stamp, json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.journal");
        (dir, path)
    }

    #[test]
    fn remembers_the_last_record() {
        let (_dir, path) = journal();
        let mut journal = Journal::open(&path, "k").unwrap();
        assert_eq!(journal.record.word, Word::Clean);
        for word in [Word::MaybeUp, Word::Up, Word::MaybeDown] {
            journal.write(|record| record.word = word).unwrap();
            assert_eq!(Journal::open(&path, "k").unwrap().record.word, word);
        }
    }

    #[test]
    fn a_torn_write_leaves_the_record_before_it() {
        let (_dir, path) = journal();
        let mut journal = Journal::open(&path, "k").unwrap();
        journal.write(|record| record.word = Word::MaybeUp).unwrap();
        journal.write(|record| record.word = Word::Up).unwrap();
        let offset = (journal.record.sequence % 2) * SLOT as u64;
        journal.file.write_all_at(b"garbage", offset + 40).unwrap();
        assert_eq!(Journal::open(&path, "k").unwrap().record.word, Word::MaybeUp);
    }

    #[test]
    fn a_disk_that_does_not_answer_is_an_error_and_no_wait() {
        let (_dir, path) = journal();
        let shared = SharedJournal::open(&path);
        let (answer, hangs) = std::sync::mpsc::channel::<()>();
        let hang = |journal: &mut Journal| Ok(journal.disk.run(Duration::ZERO, move || hangs.recv().is_ok()));
        assert_eq!(shared.with(hang).unwrap(), None);
        let began = std::time::Instant::now();
        let up = |journal: &mut Journal| journal.write_synced(|record| record.word = Word::Up);
        assert!(shared.with(up).unwrap_err().to_string().contains("does not answer"));
        assert!(!shared.note("nothing", |record| record.key = "k".into()));
        assert!(began.elapsed() < WRITE, "only the first call is waited for");
        assert_eq!(shared.read(|record| Some(record.word)), Some(Word::Clean));
        answer.send(()).unwrap();
        while shared.with(up).is_err() {
            assert!(began.elapsed() < SYNC);
        }
        assert_eq!(Journal::open(&path, "").unwrap().record.word, Word::Up);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let (_dir, path) = journal();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        for error in [Journal::open(&path, "k").unwrap_err(), Journal::look(&path).unwrap_err()] {
            assert!(error.to_string().ends_with("it is no regular file"), "{error}");
        }
    }

    #[test]
    fn a_keeper_that_gave_up_has_said_so_until_the_next_one_writes() {
        let (_dir, path) = journal();
        SharedJournal::open(&path).note("the end", |record| record.gave_up = true);
        let next = SharedJournal::open(&path);
        let said = || Journal::open(&path, "k").unwrap().record.gave_up;
        assert!(said());
        next.with(|journal| journal.write(|record| record.word = Word::MaybeUp)).unwrap();
        assert!(!said());
    }

    /// Writes a record of a later format, with unknown fields.
    fn write_foreign(journal: &Journal, word: &str) {
        let json = format!(r#"{{"version":2,"sequence":41,"word":"{word}","held":["somewhere else"]}}"#);
        let header = format!("{:08x} {:016x}", json.len(), fnv64(json.bytes()));
        let bytes = format!("{header:<31}\n{json}");
        journal.file.write_all_at(bytes.as_bytes(), SLOT as u64).unwrap();
    }

    #[test]
    fn what_a_later_format_owes_is_not_forgotten() {
        let (_dir, path) = journal();
        write_foreign(&Journal::open(&path, "k").unwrap(), "asleep");
        let error = Journal::open(&path, "k").unwrap_err().to_string();
        assert!(error.contains("format 2, here 1") && error.contains("`asleep`"), "{error}");
    }

    #[test]
    fn a_later_format_that_owes_nothing_is_followed_by_ours() {
        let (_dir, path) = journal();
        write_foreign(&Journal::open(&path, "k").unwrap(), "clean");
        let mut journal = Journal::open(&path, "k").unwrap();
        assert_eq!((journal.record.word, journal.record.version), (Word::Clean, VERSION));
        journal.write(|record| record.word = Word::Up).unwrap();
        assert_eq!(Journal::open(&path, "k").unwrap().record.word, Word::Up);
    }

    #[test]
    fn does_not_grow() {
        let (_dir, path) = journal();
        let mut journal = Journal::open(&path, "k").unwrap();
        for _ in 0..100 {
            journal.write(|record| record.word = Word::Up).unwrap();
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * SLOT as u64);
    }

    #[test]
    fn refuses_a_record_that_does_not_fit_and_keeps_the_old_one() {
        let (_dir, path) = journal();
        let mut journal = Journal::open(&path, "k").unwrap();
        journal.write(|record| record.word = Word::Up).unwrap();
        let error = journal.write(|record| record.held = Some(Held::Unreadable("x".repeat(SLOT).into()))).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
        assert_eq!(Journal::open(&path, "k").unwrap().record.word, Word::Up);
    }

    #[test]
    fn the_format_is_frozen() {
        let golden = include_str!("journal/golden-v1.json");
        let record: Record = serde_json::from_str(golden).unwrap();
        assert_eq!((record.word, record.sequence), (Word::Up, 7));
        assert_eq!(serde_json::to_string_pretty(&record).unwrap(), golden.trim_end());
    }
}
