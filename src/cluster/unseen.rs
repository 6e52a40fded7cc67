//! Finds reads that could not see what the test had just written: CrateDB shows new rows to searches only after a
//! refresh.
//!
//! It knows what the test sent and how many rows each answer told of, and nothing of the server. So it stays silent
//! where a table may have been refreshed by itself, and where a read looks rows up by their key, which needs none.

mod statement;

use std::collections::HashMap;
use std::time::Duration;

use self::statement::{Act, Read, parse};
use crate::foreign;

/// A server refreshes each table once a second, unless the table says otherwise. Within this time it hardly did.
const BY_ITSELF: Duration = Duration::from_millis(500);
/// The part of a statement that is read. Only statements that write rows are longer, and these say first into which
/// table.
const PARSED: usize = 16 << 10;
/// The most tables that a report names.
const NAMED: usize = 3;

/// The tables that one test wrote, and the reads that missed rows of them.
#[derive(Default)]
pub(super) struct Unseen {
    tables: HashMap<String, Rows>,
    /// The reads that missed rows, with their tables, the oldest first.
    missed: Vec<(String, String)>,
}

/// The knowledge of a table's rows.
#[derive(Default)]
struct Rows {
    /// When the last rows were written that no refresh followed.
    written: Option<Duration>,
    /// The table was made by this test, and no row of it was ever visible.
    none_visible: bool,
    /// The columns of the primary key, if this test made the table.
    key: Option<Vec<String>>,
}

impl Unseen {
    /// Notes a statement that succeeded: when it was sent and answered, and the rows that it returned or changed.
    pub(super) fn note(&mut self, stmt: &str, sent: Duration, answered: Duration, rows: u64) {
        let part = foreign::shortest(stmt, PARSED);
        let whole = part.len() == stmt.len();
        for act in parse(part).into_iter().filter(|act| whole || matches!(act, Act::Write(_))) {
            match act {
                Act::Make { table, key } => {
                    self.forget(&table);
                    self.tables.insert(table, Rows { key: Some(key), none_visible: true, written: None });
                }
                Act::Read(read) => self.read(&read, sent, rows),
                Act::Write(table) if rows > 0 => self.tables.entry(table).or_default().written = Some(answered),
                Act::Write(_) => {}
                Act::Refresh(table) => self.refreshed(&table),
                Act::RefreshAll => {
                    let tables: Vec<String> = self.tables.keys().cloned().collect();
                    tables.iter().for_each(|table| self.refreshed(table));
                }
                Act::Forget(table) => self.forget(&table),
                Act::ForgetAll => *self = Self::default(),
            }
        }
    }

    fn read(&mut self, read: &Read, sent: Duration, rows: u64) {
        // Of a statement that changes what it finds, only one that found nothing tells.
        if read.changes && rows > 0 {
            return;
        }
        for table in &read.tables {
            let Some(known) = self.tables.get_mut(table) else { continue };
            // A read that was sent before the write was answered is not expected to see it.
            let Some(since) = known.written.and_then(|written| sent.checked_sub(written)) else { continue };
            if read.looks_up(known.key.as_deref()) {
                continue;
            }
            let nothing = rows == 0 && !read.aggregates;
            let sees = rows > 0 && !read.aggregates && read.tables.len() == 1;
            if known.none_visible && sees {
                // The server refreshed it by itself.
                (known.none_visible, known.written) = (false, None);
                self.missed.retain(|(missed, _)| missed != table);
                continue;
            }
            let surely = nothing && known.none_visible && !read.filters;
            if surely || since < BY_ITSELF {
                let found = if nothing { format!(" that {} nothing", read.verb()) } else { String::new() };
                let text = format!("`{table}` was written {} ms before the {}{found}", since.as_millis(), read.kind);
                self.missed.retain(|(missed, _)| missed != table);
                self.missed.push((table.clone(), text));
            }
        }
    }

    fn refreshed(&mut self, table: &str) {
        if let Some(known) = self.tables.get_mut(table) {
            (known.written, known.none_visible) = (None, false);
        }
        self.missed.retain(|(missed, _)| missed != table);
    }

    fn forget(&mut self, table: &str) {
        self.tables.remove(table);
        self.missed.retain(|(missed, _)| missed != table);
    }

    /// Says which reads missed rows, for people; none if no read did, or what was missed was refreshed later.
    pub(super) fn told(&self) -> Option<String> {
        let lines: Vec<&str> = self.missed.iter().rev().take(NAMED).map(|(_, text)| text.as_str()).collect();
        (!lines.is_empty()).then(|| {
            format!(
                "{}, without a refresh in between: searches see rows only after `cluster.refresh()`, `REFRESH TABLE`, \
                 or the table's refresh interval",
                lines.join("; ")
            )
        })
    }
}

#[cfg(test)]
mod tests;
