//! A key in lines for people.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;

use super::{KeyStatus, SessionStatus, TestStatus};

impl fmt::Display for KeyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { "unknown key" } else { &self.key };
        writeln!(f, "{key} [{}]", self.hash)?;
        if let Some(resource) = &self.resource {
            writeln!(f, "  {}: {resource}", if self.provider.is_empty() { "resource" } else { &self.provider })?;
        }
        write!(f, "  state: {}", self.phase)?;
        if let Some(until) = self.until {
            write!(f, ", at the latest until {}", clock(until))?;
        }
        if let Some(pid) = self.keeper.filter(|pid| *pid != 0) {
            write!(f, " (keeper: process {pid})")?;
        }
        if let Some(problem) = &self.problem {
            write!(f, "\n  problem: {problem}")?;
        }
        for session in &self.sessions {
            write!(f, "\n{session}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "  session `{name}`")?,
            None => f.write_str("  test run")?,
        }
        write!(f, " since {}, {} connected; ends with {}", clock(self.since), processes(self.processes), self.ends)?;
        if let Some(until) = self.until {
            write!(f, " (at {})", clock(until))?;
        }
        for runner in &self.runners {
            write!(f, "\n    {} (process {})", runner.command, runner.pid)?;
        }
        for test in &self.tests {
            write!(f, "\n    {test}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TestStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.runs, self.exclusive) {
            (true, false) => "runs",
            (true, true) => "runs alone",
            (false, false) => "waits",
            (false, true) => "waits to run alone",
        };
        let since = OffsetDateTime::now_utc().unix_timestamp().saturating_sub(self.since);
        let since = Duration::from_secs(u64::try_from(since).unwrap_or(0));
        write!(f, "`{}` {what} for {} in process {}", self.test, humantime::format_duration(since), self.pid)
    }
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

/// Date and time in UTC: no other clock is known here.
fn clock(at: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(at) else { return at.to_string() };
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}
