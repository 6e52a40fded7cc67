//! Where settings come from, highest first: the environment, then `.env` files. Read into maps, never into the process.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::values;
use crate::error::{Error, Kind, Result};

/// One place that gives settings.
#[derive(Debug)]
pub(crate) enum Source {
    Environment(HashMap<String, String>),
    File(PathBuf, HashMap<String, String>),
}

#[derive(Debug)]
pub(crate) struct Sources {
    each: Vec<Source>,
    /// Where `croud` keeps logins; none in tests of settings, which must not depend on who runs them.
    profile_file: Option<PathBuf>,
}

impl Source {
    /// The value of a variable; an empty one counts as not given.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let (Self::Environment(map) | Self::File(_, map)) = self;
        map.get(name).map(|value| value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
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

impl Sources {
    /// The environment of this process, and every `.env` from the package's directory up to its project's, then the one
    /// of the working directory.
    pub(crate) fn of_process(manifest_dir: &Path, project: &Path) -> Result<Self> {
        let mut dirs: Vec<PathBuf> = Vec::new();
        for dir in manifest_dir.ancestors().take_while(|dir| dir.starts_with(project)) {
            dirs.push(dir.to_owned());
        }
        dirs.extend(std::env::current_dir().ok().filter(|dir| !dirs.contains(dir)));
        Self::of(environment()?, &dirs)?.with_profile_file()
    }

    /// The environment of this process and the `.env` of the working directory: what a program has.
    pub(crate) fn of_program() -> Result<Self> {
        let dirs: Vec<PathBuf> = std::env::current_dir().ok().into_iter().collect();
        Self::of(environment()?, &dirs)?.with_profile_file()
    }

    /// Nothing at all: code says everything.
    pub(crate) fn none() -> Self {
        Self { each: Vec::new(), profile_file: None }
    }

    fn with_profile_file(self) -> Result<Self> {
        #[cfg(feature = "cloud")]
        return Ok(Self { profile_file: super::profile::ProfileFile::default_path(), ..self });
        #[cfg(not(feature = "cloud"))]
        Ok(self)
    }

    /// A given environment, and the `.env` files in `dirs`.
    pub(crate) fn of(environment: HashMap<String, String>, dirs: &[PathBuf]) -> Result<Self> {
        let mut sources = vec![Source::Environment(environment)];
        for dir in dirs {
            let path = dir.join(".env");
            if path.is_file() {
                let map = read_file(&path)?;
                sources.push(Source::File(path, map));
            }
        }
        Ok(Self { each: sources, profile_file: None })
    }

    #[cfg(all(test, feature = "cloud"))]
    pub(crate) fn with_logins_of(self, path: PathBuf) -> Self {
        Self { profile_file: Some(path), ..self }
    }

    /// Where logins are kept; the file need not exist.
    pub(crate) fn profile_file(&self) -> Option<&Path> {
        self.profile_file.as_deref()
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = &Source> {
        self.each.iter()
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.each.iter().find_map(|source| source.get(name))
    }

    /// The value of a variable and where it was found, for people.
    pub(crate) fn get_with_origin(&self, name: &str) -> Option<(String, String)> {
        self.each.iter().find_map(|source| {
            let origin = match source {
                Source::Environment(_) => "the environment".to_owned(),
                Source::File(path, _) => path.display().to_string(),
            };
            Some((source.get(name)?, origin))
        })
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&self, name: &str, forms: &[(&str, T)], default: T) -> Result<T> {
        let Some(value) = self.get(name) else { return Ok(default) };
        match forms.iter().find(|(form, _)| *form == value) {
            Some((_, choice)) => Ok(*choice),
            None => {
                let accepted: Vec<&str> = forms.iter().map(|(form, _)| *form).collect();
                Err(values::unreadable(name, &value).hint(format!("accepted: {}", accepted.join(", "))))
            }
        }
    }

    pub(crate) fn duration(&self, name: &str, default: Duration) -> Result<Duration> {
        self.get(name).map_or(Ok(default), |value| values::duration(name, &value))
    }

    /// A duration that must not be zero: nothing can happen in no time.
    pub(crate) fn lasting(&self, name: &str, default: Duration) -> Result<Duration> {
        match self.duration(name, default)? {
            Duration::ZERO => Err(values::unreadable(name, "0").hint("accepted: 250ms, 10s, 10m or 2h")),
            lasting => Ok(lasting),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u32>> {
        let parse =
            |value: String| value.parse().map_err(|_| values::unreadable(name, &value).hint("accepted: a process id"));
        self.get(name).map(parse).transpose()
    }
}

/// Only ours: a variable that is not UTF-8 is none of them.
fn environment() -> Result<HashMap<String, String>> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| is_ours(name))
        .map(|(name, value)| {
            let value = value.into_string().map_err(|_| {
                Error::new(Kind::Setting, format!("cannot read {name}")).because("its value is not UTF-8")
            })?;
            Ok((name, value))
        })
        .collect()
}

/// Whether a variable is ours, or tells us something.
fn is_ours(name: &str) -> bool {
    name.starts_with("CRATEDB_") || name == "CI"
}

/// Reads what is ours. Other programs have other forms of this file, so lines of theirs need not be readable.
fn read_file(path: &Path) -> Result<HashMap<String, String>> {
    let fail = |cause: String| {
        // What stands there is not shown: it may hold a secret.
        Error::new(Kind::Setting, format!("cannot read {}", path.display()))
            .because(cause)
            .hint("accepted: lines of the form NAME=value, with quotes around values that hold spaces")
    };
    let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}');
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    // All that could be read so far: values may refer to those before them.
    let (mut readable, mut at) = (String::new(), 0);
    while at < lines.len() {
        match readable_until(&readable, &lines[at..]) {
            Some(count) => {
                readable.extend(lines[at..at + count].iter().copied());
                at += count;
            }
            None if is_ours(name_in(lines[at])) => return Err(fail(format!("line {} can't be parsed", at + 1))),
            None => at += 1,
        }
    }
    let map = read_lines(&readable).map_err(|_| fail("it can't be parsed".into()))?;
    Ok(map.into_iter().filter(|(name, _)| is_ours(name)).collect())
}

/// How many lines the first entry takes: more than one if a quote is open at its end. None if it can't be read. An open
/// quote of somebody else's ends before what is ours.
fn readable_until(before: &str, lines: &[&str]) -> Option<usize> {
    let mut tried = before.to_owned();
    for (count, line) in lines.iter().enumerate() {
        if count > 0 && (is_ours(name_in(line)) || !lines[0].contains(['\'', '"', '\\'])) {
            return None;
        }
        tried.push_str(line);
        if read_lines(&tried).is_ok() {
            return Some(count + 1);
        }
    }
    None
}

fn read_lines(text: &str) -> std::result::Result<HashMap<String, String>, dotenvy::Error> {
    dotenvy::from_read_iter(text.as_bytes()).collect()
}

/// The name that a line would set.
fn name_in(line: &str) -> &str {
    let line = line.trim_start_matches('\u{feff}').trim_start();
    line.strip_prefix("export ").unwrap_or(line).split('=').next().unwrap_or_default().trim()
}
