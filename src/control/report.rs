//! Reports of sessions, from the recordings that keepers wrote. Only this file reads the disk: the rest is pure.

mod bill;
mod model;
mod price;
mod sessions;
mod tape;
mod text;
mod uses;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use self::tape::{Tape, Unreadable};
use super::status::working_directory;
use crate::environment::project_of;
use crate::error::{Error, Kind, Result};
use crate::host::{Places, open_regular, paths_in};
use crate::recording::{LARGEST, Name, SESSIONS, SPARE};
use crate::settings::Settings;

pub use self::model::{
    Attempt, AttemptResult, Bill, ClusterUse, Cost, End, Phase, PhaseKind, Process, RecycledCounts, Session, Wait,
    WaitReason,
};
pub use self::price::Price;
pub use self::text::span;

/// More than a keeper writes.
const LONGEST: u64 = (LARGEST + 2 * SPARE) as u64;

/// The sessions that are recorded.
#[derive(Debug)]
pub struct Recorded {
    /// The last one first; as many as a project keeps, or all of all projects.
    pub sessions: Vec<Session>,
    /// The recordings of which nothing can be read, and why.
    pub unreadable: Vec<String>,
    /// The directory of the project, unless all were asked for.
    pub project: Option<PathBuf>,
}

/// Reads the sessions of the working directory's project, or those of `all` projects.
///
/// # Errors
///
/// When the directory of recordings can't be used. A recording that can't be read is named in the result.
pub fn recorded(all: bool) -> Result<Recorded> {
    let directory = Places::planned()?.recordings();
    let project = if all { None } else { Some(project_of(&working_directory()?)) };
    let own = project.as_ref().map(|project| project.display().to_string());
    let (mut tapes, mut unreadable) = (Vec::new(), Vec::new());
    for (path, name) in listed(&directory, own.as_deref()) {
        match read(&path) {
            // A hash may belong to two projects.
            Ok(tape) if own.as_deref().is_none_or(|own| own == tape.head.project) => tapes.push((name.number, tape)),
            Ok(_) => {}
            Err(why) => unreadable.push(format!("{}: {why}", path.display())),
        }
    }
    tapes.sort_by_key(|(number, tape)| (*number, tape.head.began));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    let mut sessions = sessions::sessions(tapes.into_iter().map(|(_, tape)| tape).collect(), now);
    if !all {
        sessions.truncate(SESSIONS);
    }
    Ok(Recorded { sessions, unreadable, project })
}

fn listed(directory: &Path, project: Option<&str>) -> Vec<(PathBuf, Name)> {
    let project = project.map(crate::host::short_hash);
    let read = |path: PathBuf| Some((path.clone(), Name::read(path.file_name()?.to_str()?)?));
    let all = paths_in(directory).filter_map(read);
    all.filter(|(_, name)| project.as_ref().is_none_or(|project| *project == name.project)).collect()
}

fn read(path: &Path) -> Result<Tape, String> {
    let file = open_regular(std::fs::OpenOptions::new().read(true), path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let mut tape = Tape::read(&bytes).map_err(|why| match why {
        Unreadable::Damaged => "it is damaged: its first line can't be read".to_owned(),
        Unreadable::Newer { format, version } => {
            format!("it was written by a newer version of cratedb-test ({version}, format {format})")
        }
    })?;
    tape.alive = tape.head.keeper.is_alive();
    Ok(tape)
}

/// Selects a session by its id, the beginning of its id, or its name; of several with the name the last.
///
/// # Errors
///
/// When none or several ids begin so.
pub fn select(sessions: Vec<Session>, selector: &str) -> Result<Session> {
    let fits = |one: &Session| selector.len() >= 4 && one.id.starts_with(selector);
    let ids: Vec<&str> = sessions.iter().filter(|one| fits(one)).map(|one| &*one.id).collect();
    if ids.len() > 1 {
        let ids = ids.join(", ");
        return Err(Error::new(Kind::Usage, format!("several recorded sessions are called `{selector}`")).because(ids));
    }
    let found = sessions.into_iter().find(|one| fits(one) || one.name.as_deref() == Some(selector));
    found.ok_or_else(|| {
        Error::new(Kind::Usage, format!("no recorded session is called `{selector}`"))
            .hint("`cargo cratedb report --list` lists those of this project, with --all of all projects")
    })
}

/// Returns the bill of all these sessions together. Time that they shared counts once.
pub fn sum(sessions: &[Session]) -> Bill {
    let mut sum = bill::bill(sessions);
    sum.cost = price::cost_of(sessions);
    sum
}

/// Returns the price of the settings of the working directory, if they have one.
///
/// # Errors
///
/// When the settings can't be read, or the price is none.
pub fn price_of_settings() -> Result<Option<Price>> {
    const NAME: &str = "CRATEDB_TEST_PRICE";
    let text = Settings::price(&working_directory()?)?;
    text.map(|text| Price::read(&text, NAME)).transpose()
}
