//! The recording of a session: a file of one line of JSON for each event, which a keeper writes and the command line
//! reads. No line has a secret, a statement, or more than [`TEXT`] bytes of a text from elsewhere.
//!
//! The format changes by new kinds of events and new fields with a default. A reader passes over what it does not know,
//! so [`FORMAT`] is raised only if an old reader would take what it reads for something else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::host::process::Identity;
use crate::wait::Millis;

/// The version of the format.
pub(crate) const FORMAT: u32 = 1;
/// The number of sessions of a project that are kept.
pub(crate) const SESSIONS: usize = 20;
/// The most bytes of one recording for what happens per test: some 20,000 attempts.
pub(crate) const LARGEST: usize = 6 << 20;
/// The bytes beyond that for what happens per cluster, so that the end of a long session is known.
pub(crate) const SPARE: usize = 256 << 10;
/// The most bytes of all recordings of a user.
pub(crate) const ALL: u64 = 256 << 20;
/// The most bytes of one text.
pub(crate) const TEXT: usize = 400;
/// The ending of a recording's name.
pub(crate) const SUFFIX: &str = "ndjson";

/// The first line of a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) format: u32,
    /// The directory of the project.
    pub(crate) project: String,
    /// The sign of the run, the same in the recordings of all its keepers: a hash of its runner or of its name.
    pub(crate) run: String,
    /// The name of an explicit session. A later session may have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The hash of the key, which stands for the cluster.
    pub(crate) key: String,
    pub(crate) keeper: Identity,
    /// When the recording began, by this machine's clock, in milliseconds since the Unix epoch.
    pub(crate) began: Millis,
    /// The version of this crate.
    pub(crate) version: String,
}

/// A line after the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Milliseconds since the recording began, by a clock that is never set.
    pub(crate) t: Millis,
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// An event. Clients (`c`) and attempts (`a`) are numbers of the keeper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
pub(crate) enum Event {
    /// A process joined the session.
    Joined { c: u64, pid: u32, binary: String },
    /// A process was told of the cluster.
    Ready { c: u64 },
    /// A process is gone.
    Left { c: u64 },
    /// The cluster is known.
    Cluster(Cluster),
    /// The keeper is in this state from now on.
    State { is: State },
    /// The call that is under way says what it waits for.
    Says { text: String },
    /// A test wants its turn.
    Begin {
        c: u64,
        a: u64,
        test: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        exclusive: bool,
        /// It begins inside another attempt.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        inside: bool,
    },
    /// It is the turn of an attempt, which may still wait for a schema.
    Turn { c: u64, a: u64 },
    /// An attempt begins.
    Grant {
        c: u64,
        a: u64,
        schema: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        premade: bool,
        /// Another keeper had granted it, and was killed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// An attempt gets no turn.
    Refuse { c: u64, a: u64, why: String },
    /// An attempt ended.
    End {
        c: u64,
        a: u64,
        passed: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        kept: bool,
    },
    /// The keeper does something for the time until the same step ends, or looks at something.
    Step { step: Step, on: bool },
    /// Nodes of the cluster ended by themselves.
    Lost { all: bool },
    /// Nothing else was to be told for a while, and the keeper lived.
    Alive,
    /// The session is over, and the recording goes on until it is known what becomes of the cluster.
    Over,
    /// The last line.
    Closed {
        outcome: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
        #[serde(default, skip_serializing_if = "RecycledCounts::is_empty")]
        recycled: RecycledCounts,
    },
    /// So many lines found no place on their way to the disk.
    Gap { lines: u64 },
    /// The recording has reached its limit: nothing that happens per test is recorded after this.
    Full,
    /// An event of a later version.
    #[serde(other)]
    Unknown,
}

/// The facts of a cluster that people want to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) provider: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The way in which it came: `started`, `resumed`, `deployed` or `found running`.
    pub(crate) how: String,
    /// The id of a cluster of CrateDB Cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
}

/// The state of a keeper, as far as its cluster is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Looking,
    Down,
    Acquiring,
    Up,
    Warm,
    Releasing,
    Owed,
    Failed,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// A step of a keeper beside the states of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Schemas and users are dropped.
    Cleaning,
    /// The state before an exclusive test is looked at.
    Look,
    /// Changes of an exclusive test are put back.
    Restore,
    /// A step of a later version.
    #[serde(other)]
    Unknown,
}

/// The number of premade schemas by their fates after their tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecycledCounts {
    /// Given to another test as they were.
    pub untouched: u64,
    /// Given to another test after their rows were deleted.
    pub emptied: u64,
    /// Dropped, by the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
}

impl RecycledCounts {
    pub(crate) fn drop(&mut self, reason: &str) {
        *self.dropped.entry(reason.to_owned()).or_default() += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The name of a recording's file. Its number rises with each recording, whatever the clock says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) project: String,
    pub(crate) number: u64,
    pub(crate) run: String,
    pub(crate) key: String,
}

impl Name {
    /// Reads a file's name; none if it is not that of a recording.
    pub(crate) fn read(name: &str) -> Option<Self> {
        let mut parts = name.split('.');
        let mut hash = || parts.next().filter(|part| is_hash(part)).map(str::to_owned);
        let (project, number, run, key) = (hash()?, hash()?, hash()?, hash()?);
        let number = u64::from_str_radix(&number, 16).ok()?;
        (parts.next() == Some(SUFFIX) && parts.next().is_none()).then_some(Self { project, number, run, key })
    }

    pub(crate) fn written(&self) -> String {
        let Self { project, number, run, key } = self;
        format!("{project}.{number:016x}.{run}.{key}.{SUFFIX}")
    }
}

fn is_hash(part: &str) -> bool {
    part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns which recordings are removed before a new one begins, so that a project keeps those of its last sessions and
/// a user no more than [`ALL`] bytes. Each comes with its size and the place of its last change among all, the oldest
/// first.
///
/// Sessions of one name have one sign. So a project also keeps no more than [`SESSIONS`] recordings of one sign and one
/// cluster.
pub(crate) fn outdated(all: &[(Name, u64)], project: &str) -> Vec<Name> {
    let mut kept = Vec::new();
    let mut removed = Vec::new();
    let mut runs: Vec<&str> = Vec::new();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut own: Vec<&(Name, u64)> = all.iter().filter(|(name, _)| name.project == project).collect();
    own.sort_by_key(|(name, _)| std::cmp::Reverse(name.number));
    for one in own {
        let name = &one.0;
        if !runs.contains(&&*name.run) {
            runs.push(&name.run);
        }
        let count = counts.entry((&name.run, &name.key)).or_default();
        *count += 1;
        // The new one makes one more.
        let fits = runs.len() < SESSIONS && *count < SESSIONS;
        if fits { kept.push(name) } else { removed.push(name.clone()) }
    }
    let mut bytes = 0;
    for (name, size) in all.iter().rev().filter(|(name, _)| name.project != project || kept.contains(&name)) {
        bytes += size;
        if bytes > ALL {
            removed.push(name.clone());
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(project: u64, number: u64, run: u64) -> Name {
        let hash = |n: u64| format!("{n:016x}");
        Name { project: hash(project), number, run: hash(run), key: hash(9) }
    }

    #[test]
    fn names_are_read_as_they_were_written_and_others_are_none() {
        let one = name(1, 255, 3);
        assert_eq!(one.written(), "0000000000000001.00000000000000ff.0000000000000003.0000000000000009.ndjson");
        assert_eq!(Name::read(&one.written()), Some(one.clone()));
        let written = one.written();
        for bad in [
            "".to_owned(),
            "x.ndjson".to_owned(),
            written.replace(".ndjson", ".json"),
            written.replace("00ff", "00fg"),
            format!("{written}.bak"),
            written[1..].to_owned(),
        ] {
            assert_eq!(Name::read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_oldest_sessions_of_the_project_go_and_those_of_others_stay() {
        let mut all: Vec<_> = (0..25).map(|n| (name(1, n, n), 10)).collect();
        all.push((name(2, 0, 0), 10));
        let gone: Vec<u64> = outdated(&all, &name(1, 0, 0).project).iter().map(|name| name.number).collect();
        assert_eq!(gone, [5, 4, 3, 2, 1, 0], "19 stay beside the new one");
        assert!(outdated(&all[..19], &name(1, 0, 0).project).is_empty());
    }

    #[test]
    fn all_recordings_of_a_session_stay_and_a_name_that_is_used_again_and_again_does_not_fill_the_disk() {
        let project = name(1, 0, 0).project;
        let other = |n: u64| Name { key: format!("{n:016x}"), ..name(1, n, 7) };
        let of_one_run: Vec<_> = (0..60).map(|n| (other(n), 10)).collect();
        assert!(outdated(&of_one_run, &project).is_empty());
        let of_one_name: Vec<_> = (0..60).map(|n| (name(1, n, 7), 10)).collect();
        assert_eq!(outdated(&of_one_name, &project).len(), 41);
    }

    #[test]
    fn the_oldest_of_all_projects_go_if_there_are_too_many_bytes() {
        let all = [(name(2, 9, 1), ALL / 2), (name(1, 0, 1), ALL / 2), (name(3, 0, 1), ALL / 2)];
        assert_eq!(outdated(&all, &name(4, 0, 0).project), [name(2, 9, 1)]);
    }

    #[test]
    fn what_a_later_version_writes_is_passed_over() {
        let line = |text: &str| serde_json::from_str::<Line>(text).map(|line| line.event).ok();
        assert_eq!(line(r#"{"t":1,"e":"danced","how":"well"}"#), Some(Event::Unknown));
        assert_eq!(line(r#"{"t":1,"e":"state","is":"asleep"}"#), Some(Event::State { is: State::Unknown }));
        assert_eq!(line(r#"{"t":1,"e":"ready","c":2,"more":[]}"#), Some(Event::Ready { c: 2 }));
        assert_eq!(line(r#"{"t":1,"e":"ready"}"#), None);
    }

    #[test]
    fn the_format_is_frozen() {
        let golden = include_str!("recording/golden-v1.ndjson");
        let (first, rest) = golden.split_once('\n').unwrap();
        let head: Head = serde_json::from_str(first).unwrap();
        assert_eq!((head.format, head.began), (FORMAT, 1_790_000_040_123));
        assert_eq!(serde_json::to_string(&head).unwrap(), first);
        for text in rest.lines() {
            let line: Line = serde_json::from_str(text).unwrap();
            assert_ne!(line.event, Event::Unknown, "{text}");
            assert_eq!(serde_json::to_string(&line).unwrap(), text);
        }
    }
}
