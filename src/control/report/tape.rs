//! Reads the lines of one recording, which may be damaged, cut off, or of another version.

use crate::recording::{Event, FORMAT, Head, Line};
use crate::wait::Millis;

/// A recording as it was read.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    pub(super) head: Head,
    /// Their times never step back.
    pub(super) events: Vec<(Millis, Event)>,
    /// The number of lines that can't be read.
    pub(super) damaged: usize,
    /// The last line is not whole.
    pub(super) cut: bool,
    /// The keeper that writes it is alive.
    pub(super) alive: bool,
}

/// The reason why nothing of a recording can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It has no whole first line.
    Damaged,
    /// It was written by a later version.
    Newer { format: u32, version: String },
}

impl Tape {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let head = lines.next().filter(|line| line.ends_with(b"\n")).ok_or(Unreadable::Damaged)?;
        let head: Head = serde_json::from_slice(head).map_err(|_| strange(head))?;
        if head.format > FORMAT {
            return Err(Unreadable::Newer { format: head.format, version: head.version });
        }
        let mut tape = Self { head, events: Vec::new(), damaged: 0, cut: false, alive: false };
        let mut last = 0;
        for line in lines {
            if !line.ends_with(b"\n") {
                tape.cut = true;
                break;
            }
            match serde_json::from_slice::<Line>(line) {
                Ok(Line { event: Event::Unknown, .. }) => {}
                Ok(Line { t, event }) => {
                    last = t.max(last);
                    tape.events.push((last, event));
                }
                Err(_) => tape.damaged += 1,
            }
        }
        Ok(tape)
    }

    /// Returns the time of the last event.
    pub(super) fn length(&self) -> Millis {
        self.events.last().map_or(0, |(t, _)| *t)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.events.iter().any(|(_, event)| matches!(event, Event::Closed { .. }))
    }
}

/// Returns why a first line is not understood. A later format need not have the fields of this one.
fn strange(line: &[u8]) -> Unreadable {
    #[derive(serde::Deserialize)]
    struct Stamp {
        format: u32,
        #[serde(default)]
        version: String,
    }
    match serde_json::from_slice::<Stamp>(line) {
        Ok(Stamp { format, version }) if format > FORMAT => Unreadable::Newer { format, version },
        _ => Unreadable::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../recording/golden-v1.ndjson");

    #[test]
    fn any_cut_leaves_the_whole_lines() {
        let whole = Tape::read(GOLDEN.as_bytes()).unwrap();
        assert_eq!((whole.damaged, whole.cut, whole.length()), (0, false, 2500));
        for length in 0..GOLDEN.len() {
            let cut = &GOLDEN.as_bytes()[..length];
            let lines = cut.iter().filter(|byte| **byte == b'\n').count();
            match Tape::read(cut) {
                Err(error) => assert_eq!((error, lines), (Unreadable::Damaged, 0)),
                Ok(tape) => {
                    assert_eq!(tape.events.len(), lines - 1, "{length}");
                    assert_eq!(tape.cut, cut.last() != Some(&b'\n'));
                    assert_eq!(tape.events[..], whole.events[..lines - 1]);
                }
            }
        }
    }

    #[test]
    fn a_damaged_line_is_counted_and_the_others_are_read() {
        let lines: Vec<&str> = GOLDEN.lines().collect();
        for at in 1..lines.len() {
            for bad in ["", "{", "\0\0\0\0", "{\"t\":-1,\"e\":\"full\"}", "[]", "\u{fffd}", "{\"t\":1}"] {
                let mut damaged = lines.clone();
                damaged[at] = bad;
                let tape = Tape::read((damaged.join("\n") + "\n").as_bytes()).unwrap();
                assert_eq!((tape.damaged, tape.events.len()), (1, lines.len() - 2), "{bad:?} at {at}");
            }
        }
        assert_eq!(Tape::read(b"\xff\xfe\n").unwrap_err(), Unreadable::Damaged);
    }

    #[test]
    fn a_later_format_is_told_apart_from_damage() {
        let later = GOLDEN.replacen("\"format\":1", "\"format\":2", 1);
        let newer = Unreadable::Newer { format: 2, version: "0.1.0".into() };
        assert_eq!(Tape::read(later.as_bytes()).unwrap_err(), newer);
        let strange = Tape::read(b"{\"format\":7,\"all\":\"new\"}\n").unwrap_err();
        assert_eq!(strange, Unreadable::Newer { format: 7, version: String::new() });
        assert_eq!(Tape::read(b"{\"format\":1}\n").unwrap_err(), Unreadable::Damaged);
    }

    #[test]
    fn times_that_step_back_stand_still() {
        let golden: Vec<&str> = GOLDEN.lines().collect();
        let text = format!("{}\n{}\n{}\n", golden[0], golden[7], golden[1]);
        let tape = Tape::read(text.as_bytes()).unwrap();
        assert_eq!(tape.events.iter().map(|(t, _)| *t).collect::<Vec<_>>(), [2001, 2001]);
    }
}
