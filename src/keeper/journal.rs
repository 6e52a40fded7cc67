//! What a keeper owes, on disk before it happens: the only thing that survives a killed keeper.
//!
//! One file of fixed size with two slots, written in turn, so that a crash in the middle of a write leaves the
//! other slot whole. The space is allocated before the first intent: a disk that fills up later can't stop a record.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::globals::Globals;
use super::machine::Word;
use crate::error::{Error, Kind, Result};
use crate::host::fnv64;
use crate::host::process::Identity;
use crate::provider::Held;
use crate::wire::Policy;

/// Of one slot. Two runners and a cluster id take 1 KiB.
const SLOT: usize = 32 * 1024;
/// Length and checksum, as text, before the JSON.
const HEADER: usize = 32;
/// Changes when a record can't be read by older code any more.
const VERSION: u32 = 1;

/// The last thing that was said. No secrets: what needs them gets them from the next client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    /// Counts up; the slot with the larger number holds.
    pub(crate) sequence: u64,
    pub(crate) word: Word,
    /// The key in clear, for whoever looks at the file.
    pub(crate) key: String,
    /// What the provider wrote: names and labels chosen, ids.
    pub(crate) held: Option<Held>,
    pub(crate) policy: Option<Policy>,
    pub(crate) runners: Vec<Identity>,
    /// Schemas that a release did not wait for.
    #[serde(default)]
    pub(crate) undropped: Vec<String>,
    /// Schemas that were made ahead and that no test has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) prepared: Vec<String>,
    /// The exclusive attempt whose changes are not put back yet, and what there was before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exclusive: Option<Exclusive>,
    /// Unix seconds.
    pub(crate) at: i64,
}

/// What an exclusive attempt may have changed outside its schema is the difference to this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Exclusive {
    pub(crate) test: String,
    pub(crate) before: Globals,
}

impl Record {
    fn new(key: &str) -> Self {
        Self {
            version: VERSION,
            sequence: 0,
            word: Word::Clean,
            key: key.to_owned(),
            held: None,
            policy: None,
            runners: Vec::new(),
            undropped: Vec::new(),
            prepared: Vec::new(),
            exclusive: None,
            at: 0,
        }
    }
}

/// What every format has, so that none is taken for a torn write.
#[derive(Debug, Deserialize)]
struct Stamp {
    version: u32,
    sequence: u64,
    word: String,
}

/// The record of a slot that is whole. One of another format says nothing that could be repaired here: it may only be
/// forgotten if nothing is owed.
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

/// What lies at the place of a journal, for somebody who only looks.
#[derive(Debug)]
pub(crate) enum Left {
    /// No keeper ever wrote there.
    Nothing,
    Record(Box<Record>),
    /// Of another format, and it owes something: its version, word and key, as far as they can be read.
    Foreign {
        version: u32,
        word: String,
        key: String,
    },
    /// Something is there, but nothing of it can be read.
    Damaged,
}

#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    pub(crate) record: Record,
}

impl Journal {
    /// Opens the journal of `key`, with what a predecessor wrote last.
    pub(crate) fn open(path: &Path, key: &str) -> Result<Self> {
        let fail = |error: std::io::Error| cannot("open", path).because(error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
            .open(path)
            .map_err(fail)?;
        allocate(&file).map_err(|error| {
            cannot("reserve space for", path)
                .because(error)
                .hint("nothing is started without a journal; make room on that disk or set CRATEDB_TEST_DIR")
        })?;
        let mut newest: Option<(Stamp, Vec<u8>)> = None;
        for slot in 0..2 {
            let read = read_slot(&file, slot).map_err(fail)?;
            newest = newest.into_iter().chain(read).max_by_key(|(stamp, _)| stamp.sequence);
        }
        let record = match newest {
            Some((stamp, json)) => understood(&stamp, &json, key).map_err(|cause| {
                cannot("use", path)
                    .because(cause)
                    .hint("run the tests once with that version, which lets go of what it holds; or let go of it by hand and remove the file")
            })?,
            None => Record::new(key),
        };
        Ok(Self { file, path: path.to_owned(), record })
    }

    /// Reads what a keeper left, without reserving or changing anything.
    pub(crate) fn look(path: &Path) -> Result<Left> {
        let fail = |error: std::io::Error| cannot("read", path).because(error);
        let file =
            OpenOptions::new().read(true).custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW).open(path).map_err(fail)?;
        let mut newest: Option<(Stamp, Vec<u8>)> = None;
        for slot in 0..2 {
            let read = read_slot(&file, slot).map_err(fail)?;
            newest = newest.into_iter().chain(read).max_by_key(|(stamp, _)| stamp.sequence);
        }
        let Some((stamp, json)) = newest else {
            let mut bytes = Vec::new();
            (&file).read_to_end(&mut bytes).map_err(fail)?;
            return Ok(if bytes.iter().all(|byte| *byte == 0) { Left::Nothing } else { Left::Damaged });
        };
        let key = || {
            let value: Option<serde_json::Value> = serde_json::from_slice(&json).ok();
            value.and_then(|value| Some(value["key"].as_str()?.to_owned())).unwrap_or_default()
        };
        Ok(match understood(&stamp, &json, "") {
            Ok(record) => Left::Record(Box::new(record)),
            Err(_) if stamp.version == VERSION => Left::Damaged,
            Err(_) => Left::Foreign { version: stamp.version, key: key(), word: stamp.word },
        })
    }

    /// Changes the record and returns once it would survive a crash of this machine: for intents.
    pub(crate) fn write_synced(&mut self, change: impl FnOnce(&mut Record)) -> Result<()> {
        self.write(change)?;
        self.file.sync_data().map_err(|error| cannot("write", &self.path).because(error))
    }

    /// Changes the record; it survives the death of this process. Enough for everything but an intent: whatever older
    /// record a crash of the machine brings back, its reader looks at the cluster before it believes it.
    pub(crate) fn write(&mut self, change: impl FnOnce(&mut Record)) -> Result<()> {
        let mut record = self.record.clone();
        change(&mut record);
        record.sequence += 1;
        record.at = time::OffsetDateTime::now_utc().unix_timestamp();
        let json = serde_json::to_vec(&record).map_err(|error| cannot("write", &self.path).because(error))?;
        if json.len() > SLOT - HEADER {
            return Err(cannot("write", &self.path).because(format!("a record of {} bytes is too long", json.len())));
        }
        let mut bytes = format!("{:08x} {:016x}", json.len(), checksum(&json)).into_bytes();
        bytes.resize(HEADER, b' ');
        bytes[HEADER - 1] = b'\n';
        bytes.extend(&json);
        let offset = (record.sequence % 2) * SLOT as u64;
        let written = self.file.write_all_at(&bytes, offset);
        written.map_err(|error| cannot("write", &self.path).because(error))?;
        self.record = record;
        Ok(())
    }
}

fn cannot(what: &str, path: &Path) -> Error {
    Error::new(Kind::Session, format!("cannot {what} the journal {}", path.display()))
}

/// Reserves both slots. Where the file system can't, zeros do.
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

/// A slot that is empty or torn is none.
fn read_slot(file: &File, slot: u64) -> std::io::Result<Option<(Stamp, Vec<u8>)>> {
    let mut bytes = vec![0; SLOT];
    let mut read = 0;
    while read < SLOT {
        match file.read_at(&mut bytes[read..], slot * SLOT as u64 + read as u64)? {
            0 => break,
            count => read += count,
        }
    }
    Ok(parse(&bytes[..read]))
}

fn parse(bytes: &[u8]) -> Option<(Stamp, Vec<u8>)> {
    let header = std::str::from_utf8(bytes.get(..HEADER)?).ok()?;
    let mut words = header.split_ascii_whitespace();
    let length = usize::from_str_radix(words.next()?, 16).ok()?;
    let sum = u64::from_str_radix(words.next()?, 16).ok()?;
    let json = bytes.get(HEADER..HEADER.checked_add(length)?)?;
    let stamp = (checksum(json) == sum).then(|| serde_json::from_slice(json).ok())??;
    Some((stamp, json.to_vec()))
}

/// Returns the checksum of a record, which finds torn writes.
fn checksum(bytes: &[u8]) -> u64 {
    fnv64(bytes.iter().copied())
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

    /// Writes a record of a later format, whose fields nobody here knows.
    fn write_foreign(journal: &Journal, word: &str) {
        let json = format!(r#"{{"version":2,"sequence":41,"word":"{word}","held":["somewhere else"]}}"#);
        let header = format!("{:08x} {:016x}", json.len(), checksum(json.as_bytes()));
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
