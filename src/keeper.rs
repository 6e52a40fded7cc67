//! The keeper: the one process per user and resource that acquires a cluster, holds it and releases it.
//!
//! Elsewhere such a process is called a reaper. Three pure cores decide, without I/O, clock or task: [`machine`] when
//! the cluster is acquired, granted and released, [`premade`] which schemas are made ahead for tests with migrations,
//! and [`setups`] which process does a setup that is done once per session. [`globals`] is pure too: it says what an
//! exclusive test changed outside its schema, and what restores it.
//!
//! [`run`] is the loop around them, with all I/O: it turns what happens into their events and does what they say.
//! [`clients`], [`connection`] and [`watch`] belong to it. [`takeover`] turns a test binary into a keeper, [`log`] is
//! the keeper's log, and [`journal`] has everything that must survive a killed keeper.

mod clients;
mod connection;
mod globals;
mod journal;
mod log;
mod machine;
mod premade;
mod recorder;
mod replay;
mod run;
mod setups;
mod takeover;
mod watch;

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

pub(crate) use journal::{Journal, Left, Record};
pub(crate) use machine::Word;
pub(crate) use run::drop_schema;

/// Returns the time of day in milliseconds since the Unix epoch.
fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the time of day in seconds since the Unix epoch.
fn unix_seconds() -> i64 {
    i64::try_from(unix_millis() / 1000).unwrap_or(i64::MAX)
}

/// Formats a time in UTC, since the local time zone is unknown.
pub(crate) fn clock(at: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(at) else { return at.to_string() };
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC", u8::from(month))
}
