//! Reads settings from the environment and from `.env` files, in this order of precedence, and parses their values.
//!
//! The files are read into maps and never change the environment of the process.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// A place where settings are found.
#[derive(Debug)]
pub(crate) enum Source {
    Environment(HashMap<String, String>),
    File(PathBuf, HashMap<String, String>),
}

/// All places where settings are found, highest precedence first.
#[derive(Debug)]
pub(crate) struct Sources {
    each: Vec<Source>,
    /// The file in which `croud` keeps logins. Tests of settings have none, so that they do not depend on the user.
    profile_file: Option<PathBuf>,
}

impl Source {
    /// Returns the value of a variable. An empty one counts as not set.
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
    /// Reads the environment of this process, every `.env` from the package's directory up to the project's, and the
    /// `.env` of the working directory.
    pub(crate) fn of_process(manifest_dir: &Path, project: &Path) -> Result<Self> {
        let mut dirs: Vec<PathBuf> = Vec::new();
        for dir in manifest_dir.ancestors().take_while(|dir| dir.starts_with(project)) {
            dirs.push(dir.to_owned());
        }
        dirs.extend(std::env::current_dir().ok().filter(|dir| !dirs.contains(dir)));
        Self::of(environment()?, &dirs)?.with_profile_file()
    }

    /// Reads the environment of this process and the `.env` of the working directory, as programs do.
    pub(crate) fn of_program() -> Result<Self> {
        let dirs: Vec<PathBuf> = std::env::current_dir().ok().into_iter().collect();
        Self::of(environment()?, &dirs)?.with_profile_file()
    }

    /// Returns no sources, for callers that give all settings in code.
    pub(crate) fn none() -> Self {
        Self { each: Vec::new(), profile_file: None }
    }

    fn with_profile_file(self) -> Result<Self> {
        #[cfg(feature = "cloud")]
        return Ok(Self { profile_file: super::profile::ProfileFile::default_path(), ..self });
        #[cfg(not(feature = "cloud"))]
        Ok(self)
    }

    /// Reads the `.env` files in `dirs` below the given environment.
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

    /// Returns the value of a variable and a description of where it was found.
    pub(crate) fn get_with_origin(&self, name: &str) -> Option<(String, String)> {
        self.each.iter().find_map(|source| {
            let origin = match source {
                Source::Environment(_) => "the environment".to_owned(),
                Source::File(path, _) => path.display().to_string(),
            };
            Some((source.get(name)?, origin))
        })
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

/// Reads the variables of this crate. A variable whose name is not UTF-8 is not one of them.
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

/// Returns true for a variable that this crate reads.
fn is_ours(name: &str) -> bool {
    name.starts_with("CRATEDB_") || name == "CI"
}

/// Reads the variables of this crate. Lines of other programs may have another syntax and are skipped if unreadable.
fn read_file(path: &Path) -> Result<HashMap<String, String>> {
    let fail = |cause: String| {
        // The line is not shown: it may contain a secret.
        Error::new(Kind::Setting, format!("cannot read {}", path.display()))
            .because(cause)
            .hint("accepted: lines of the form NAME=value, with quotes around values that hold spaces")
    };
    let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}');
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    // The entries read so far, since values may refer to earlier ones.
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

/// Returns the number of lines of the first entry, which is more than one if a quoted value spans lines, or `None` if
/// the entry can't be read. A quote that another program's line leaves open ends before the next variable of this
/// crate.
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

/// Returns the name that a line would set.
fn name_in(line: &str) -> &str {
    let line = line.trim_start_matches('\u{feff}').trim_start();
    line.strip_prefix("export ").unwrap_or(line).split('=').next().unwrap_or_default().trim()
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

/// Parses an http or https URL. The error does not show the value, which may contain a password.
pub(crate) fn http_url(name: &str, value: &str) -> Result<url::Url> {
    let refuse = |cause: String| {
        Error::new(Kind::Setting, format!("cannot read {name}"))
            .because(cause)
            .hint("accepted: http://host:port or https://host:port, with user:password@ before the host if need be")
    };
    let url = url::Url::parse(value).map_err(|error| refuse(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(format!("its scheme is `{}`", url.scheme())));
    }
    Ok(url)
}

/// Decodes percent-encoding, which URLs use for credentials.
pub(crate) fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_has_two_hexadecimal_digits() {
        for (text, decoded) in
            [("a%40b%3A", "a@b:"), ("%c3%A4", "ä"), ("%+f%4", "%+f%4"), ("100%", "100%"), ("ä%zz", "ä%zz")]
        {
            assert_eq!(percent_decoded(text), decoded, "{text}");
        }
    }
}
