//! Reads settings from the environment and from `.env` files, in this order of precedence, and parses their values.
//!
//! The files are read into maps and never change the environment of the process.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dotenv::{self, By, Entry};
use super::file;
use super::project::{directories, project_of};
use super::setting::{Near, Setting};
use crate::error::{Error, Kind, Result};

/// A place where settings are found.
pub(crate) enum Source {
    Environment(HashMap<String, String>),
    File(PathBuf, HashMap<String, Entry>),
}

/// All places where settings are found, highest precedence first.
pub(crate) struct Sources {
    each: Vec<Source>,
    /// The directories that were looked into and have no `.env`.
    without: Vec<PathBuf>,
    /// The file in which `croud` keeps logins. Tests of settings have none, so that they do not depend on the user.
    profile_file: Option<PathBuf>,
}

impl Source {
    /// Returns the value of a variable. An empty one counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = match self {
            Self::Environment(map) => map.get(name)?,
            Self::File(_, map) => &map.get(name)?.value,
        };
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Returns a variable with its value. `place` is that of this source among all.
    pub(super) fn setting(&self, place: usize, name: &str) -> Option<Setting> {
        let value = self.get(name)?;
        let (origin, entry) = match self {
            Self::Environment(_) => ("the environment".to_owned(), None),
            Self::File(path, map) => (path.display().to_string(), map.get(name)),
        };
        let borrowed = |entry: &Entry| entry.taken.iter().find(|taken| taken.by == By::Environment).cloned();
        Some(Setting {
            name: name.to_owned(),
            value,
            origin,
            near: Near::of_source(place),
            borrowed: entry.and_then(borrowed).map(|taken| taken.name),
            lent: entry.is_some_and(|entry| entry.lent),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(_) => f.write_str("environment"),
            Self::File(path, _) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Debug for Sources {
    /// Values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.each.iter().map(ToString::to_string)).finish()
    }
}

impl Sources {
    /// Reads the environment of this process, every `.env` from a directory up to the project's, and the `.env` of the
    /// working directory.
    pub(crate) fn of_process(dir: &Path) -> Result<Self> {
        let dirs = directories(dir, &project_of(dir), std::env::current_dir().ok());
        Self::of(environment()?, &dirs)?.with_profile_file()
    }

    /// Reads the environment of this process and the `.env` files of the working directory and of the project that it
    /// is in, if any: those that tests there read.
    pub(crate) fn of_program() -> Result<Self> {
        match std::env::current_dir() {
            Ok(dir) => Self::of_process(&dir),
            Err(_) => Self::of(environment()?, &[])?.with_profile_file(),
        }
    }

    /// Returns no sources, for callers that give all settings in code.
    pub(crate) fn none() -> Self {
        Self { each: Vec::new(), without: Vec::new(), profile_file: None }
    }

    fn with_profile_file(self) -> Result<Self> {
        #[cfg(feature = "cloud")]
        return Ok(Self { profile_file: super::profile::ProfileFile::default_path(), ..self });
        #[cfg(not(feature = "cloud"))]
        Ok(self)
    }

    /// Reads the `.env` files in `dirs` below the given environment.
    pub(crate) fn of(environment: HashMap<String, String>, dirs: &[PathBuf]) -> Result<Self> {
        let (mut files, mut without) = (Vec::new(), Vec::new());
        for dir in dirs {
            let path = dir.join(".env");
            match file::read(&path)? {
                Some(text) => files.push(Source::File(path.clone(), entries(&path, &text, &environment)?)),
                None => without.push(dir.clone()),
            }
        }
        let each = std::iter::once(Source::Environment(environment)).chain(files).collect();
        Ok(Self { each, without, profile_file: None })
    }

    #[cfg(all(test, feature = "cloud"))]
    pub(crate) fn with_logins_of(self, path: PathBuf) -> Self {
        Self { profile_file: Some(path), ..self }
    }

    /// Returns the path of the file with logins, which need not exist.
    pub(crate) fn profile_file(&self) -> Option<&Path> {
        self.profile_file.as_deref()
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = &Source> {
        self.each.iter()
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.each.iter().find_map(|source| source.get(name))
    }

    /// Returns a variable with its value and its source.
    pub(crate) fn setting(&self, name: &str) -> Option<Setting> {
        self.each.iter().enumerate().find_map(|(place, source)| source.setting(place, name))
    }

    /// Returns a line for each variable of this crate in which something was put in place of `${…}`. A failure may come
    /// from that.
    pub(super) fn replaced(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (at, source) in self.each.iter().enumerate() {
            let Source::File(path, map) = source else { continue };
            let counts = |name: &str| is_ours(name) && !self.each[..at].iter().any(|nearer| nearer.get(name).is_some());
            let mut names: Vec<_> =
                map.iter().filter(|(name, entry)| counts(name) && !entry.taken.is_empty()).collect();
            names.sort_by_key(|(name, _)| *name);
            for (name, entry) in names {
                let parts: Vec<String> = entry.taken.iter().map(ToString::to_string).collect();
                lines.push(format!("{name} in {} has {}", path.display(), parts.join(", ")));
            }
        }
        lines
    }

    /// Says in which files settings were looked for; none if in no directory.
    pub(crate) fn looked(&self) -> Option<String> {
        let read =
            self.each.iter().filter(|one| matches!(one, Source::File(..))).map(|file| format!("{file} was read"));
        let without: Vec<String> = self.without.iter().map(|dir| dir.display().to_string()).collect();
        let without = (!without.is_empty()).then(|| format!("there is no .env in {}", without.join(" and ")));
        let all: Vec<String> = read.chain(without).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Returns the choice for a variable that accepts a few words.
    pub(crate) fn choice<T: Copy>(&self, name: &str, forms: &[(&str, T)], default: T) -> Result<T> {
        let Some(value) = self.get(name) else { return Ok(default) };
        match forms.iter().find(|(form, _)| *form == value) {
            Some((_, choice)) => Ok(*choice),
            None => {
                let accepted: Vec<&str> = forms.iter().map(|(form, _)| *form).collect();
                Err(unreadable(name, &value).hint(format!("accepted: {}", accepted.join(", "))))
            }
        }
    }

    pub(crate) fn duration(&self, name: &str, default: Duration) -> Result<Duration> {
        self.get(name).map_or(Ok(default), |value| duration(name, &value))
    }

    /// Returns a duration that must not be zero, such as a time limit.
    pub(crate) fn lasting(&self, name: &str, default: Duration) -> Result<Duration> {
        match self.duration(name, default)? {
            Duration::ZERO => Err(unreadable(name, "0").hint("accepted: 250ms, 10s, 10m or 2h")),
            lasting => Ok(lasting),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u32>> {
        let parse = |value: String| value.parse().map_err(|_| unreadable(name, &value).hint("accepted: a process id"));
        self.get(name).map(parse).transpose()
    }
}

/// Reads all variables, since a `.env` may refer to any. One that is not UTF-8 is an error if this crate reads it.
fn environment() -> Result<HashMap<String, String>> {
    let mut all = HashMap::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => drop(all.insert(name, value)),
            Err(_) if is_ours(&name) => {
                return Err(Error::new(Kind::Setting, format!("cannot read {name}")).because("its value is not UTF-8"));
            }
            Err(_) => {}
        }
    }
    Ok(all)
}

/// Returns true for a variable that this crate reads.
fn is_ours(name: &str) -> bool {
    name.starts_with("CRATEDB_") || name == "CI"
}

fn entries(path: &Path, text: &str, environment: &HashMap<String, String>) -> Result<HashMap<String, Entry>> {
    dotenv::read(text, is_ours, |name| environment.get(name).cloned()).map_err(|line| {
        // The line is not shown: it may contain a secret.
        Error::new(Kind::Setting, format!("cannot read {}", path.display()))
            .because(format!("line {line} can't be parsed"))
            .hint("accepted: lines of the form NAME=value, with quotes around values that hold spaces")
    })
}

/// The longest duration that a setting accepts. It exceeds every wait, and adding it to the time of day can't overflow.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Returns the error for a value that can't be read. The caller adds a hint with the accepted forms.
pub(crate) fn unreadable(name: &str, value: &str) -> Error {
    Error::new(Kind::Setting, format!("cannot read {name}=`{value}`"))
}

/// Parses `250ms`, `10s`, `10m`, `2h` or `0`. Any other number without a unit is an error.
fn duration(name: &str, value: &str) -> Result<Duration> {
    if value == "0" {
        return Ok(Duration::ZERO);
    }
    let refuse = |cause: String| unreadable(name, value).because(cause).hint("accepted: 250ms, 10s, 10m, 2h or 0");
    match humantime::parse_duration(value) {
        Ok(duration) if duration > LONGEST => Err(refuse("it is longer than ten years".to_owned())),
        Ok(duration) => Ok(duration),
        Err(error) => Err(refuse(error.to_string())),
    }
}
