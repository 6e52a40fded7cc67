//! Reads the text of a `.env` file as the Python tools that share it do (python-dotenv), with two differences: nothing
//! is replaced in single quotes, and an unquoted value of this crate's variables must hold no blank.

use std::collections::HashMap;
use std::fmt;

/// The value of a variable in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) value: String,
    /// The text that was put in place of each `${NAME}`.
    pub(crate) taken: Vec<Taken>,
    /// The value is that of one variable of the environment, with nothing around it.
    pub(crate) lent: bool,
}

/// A `${NAME}` in a value that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) by: By,
}

/// The source of the text that replaced a `${NAME}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The value that the variable has in the environment, which comes before the file.
    Environment,
    /// The value that an earlier line gives it.
    File,
    /// The text after `:-`.
    Default,
    Nothing,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            By::Environment => "the value that the environment has",
            By::File => "the value of an earlier line",
            By::Default => "its default",
            By::Nothing => "nothing, since that is not set",
        };
        write!(f, "for ${{{}}} {by}", self.name)
    }
}

/// Reads the variables of this crate and those that they refer to. `ours` tells the first from the second: a line of
/// another program may have another syntax and is skipped, while one of ours is an error, of which the number of the
/// line is returned.
pub(super) fn read(
    text: &str,
    ours: impl Fn(&str) -> bool,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<HashMap<String, Entry>, usize> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut entries: HashMap<String, Entry> = HashMap::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let line = first_line(rest);
        match assignment(rest, &ours) {
            Some(Line { set: Some((name, raw)), length }) => {
                let entry = raw.replaced(&entries, &environment);
                entries.insert(name, entry);
                at += length;
            }
            Some(Line { set: None, length }) => at += length,
            None if ours(name_in(line)) => return Err(text[..at].matches('\n').count() + 1),
            None => at += line.len() + 1,
        }
    }
    Ok(entries)
}

/// A line that was understood, which is several if quotes span them.
struct Line {
    set: Option<(String, Raw)>,
    /// Its length with the end of the line.
    length: usize,
}

/// A value as it is written, without its quotes.
struct Raw {
    text: String,
    /// True if `${NAME}` means a variable.
    replaces: bool,
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\n'
}

fn without_export(line: &str) -> (&str, bool) {
    let line = line.trim_start();
    match line.strip_prefix("export").filter(|rest| rest.starts_with(is_blank)) {
        Some(rest) => (rest.trim_start(), true),
        None => (line, false),
    }
}

/// Returns the name that a line would set, if it were mended.
fn name_in(line: &str) -> &str {
    let (line, _) = without_export(line);
    line[..end_of_name(line)].trim_matches('\'')
}

fn end_of_name(text: &str) -> usize {
    text.find(|c: char| matches!(c, '=' | '#') || c.is_whitespace()).unwrap_or(text.len())
}

/// Returns the name at the beginning of a line, which may stand in single quotes, and what stands behind it.
fn name_and_rest(line: &str) -> Option<(&str, &str)> {
    let found = match line.strip_prefix('\'') {
        Some(quoted) => quoted.split_once('\'')?,
        None => line.split_at(end_of_name(line)),
    };
    (!found.0.is_empty()).then_some(found)
}

/// Reads the assignment at the beginning of `text`; none if it is none.
fn assignment(text: &str, ours: &impl Fn(&str) -> bool) -> Option<Line> {
    let line = first_line(text);
    let nothing = Some(Line { set: None, length: line.len() + 1 });
    let (body, exported) = without_export(line);
    if body.is_empty() || body.starts_with('#') {
        return nothing;
    }
    let (name, behind) = name_and_rest(body)?;
    let behind = behind.trim_start();
    let Some(value) = behind.strip_prefix('=') else {
        // `export NAME` exports what an earlier line sets.
        return if exported && is_comment(behind) { nothing } else { None };
    };
    let written = value.trim_start();
    let start = line.len() - written.len();
    let (raw, end) = match written.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            quoted(&text[start + 1..], quote, ours).map(|(raw, end)| (raw, start + 1 + end))?
        }
        _ => (unquoted(value, ours(name))?, line.len()),
    };
    let last = first_line(&text[end..]);
    is_comment(last).then(|| Line { set: Some((name.to_owned(), raw)), length: end + last.len() + 1 })
}

/// Reports whether nothing but a comment stands there.
fn is_comment(text: &str) -> bool {
    let text = text.trim_start();
    text.is_empty() || text.starts_with('#')
}

/// Reads up to the closing quote, and returns what stands before it and the place after it. The quotes end before the
/// next variable of this crate: a quote that another program's line leaves open must not swallow it.
fn quoted(text: &str, quote: char, ours: &impl Fn(&str) -> bool) -> Option<(Raw, usize)> {
    let mut value = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' => match signs.next() {
                Some((_, next)) => match escaped(next, quote) {
                    Some(meant) => value.push(meant),
                    None => value.extend(['\\', next]),
                },
                None => return None,
            },
            '\n' if ours(name_in(first_line(&text[at + 1..]))) => return None,
            _ if sign == quote => return Some((Raw { text: value, replaces: quote == '"' }, at + 1)),
            _ => value.push(sign),
        }
    }
    None
}

/// Returns what a sign means behind a backslash; none if the backslash stands for itself.
fn escaped(sign: char, quote: char) -> Option<char> {
    match (sign, quote) {
        ('\\' | '\'', _) => Some(sign),
        (_, '\'') => None,
        ('"', _) => Some('"'),
        ('a', _) => Some('\u{7}'),
        ('b', _) => Some('\u{8}'),
        ('f', _) => Some('\u{c}'),
        ('n', _) => Some('\n'),
        ('r', _) => Some('\r'),
        ('t', _) => Some('\t'),
        ('v', _) => Some('\u{b}'),
        _ => None,
    }
}

/// Reads a value without quotes, of which all signs stand for themselves, up to a comment. One of this crate holds no
/// blanks: programs disagree about them.
fn unquoted(value: &str, ours: bool) -> Option<Raw> {
    let mut end = value.len();
    for (at, _) in value.match_indices('#') {
        if value[..at].ends_with(char::is_whitespace) {
            end = at;
            break;
        }
    }
    let text = value[..end].trim();
    let divided = ours && text.contains(char::is_whitespace);
    (!divided).then(|| Raw { text: text.to_owned(), replaces: true })
}

impl Raw {
    /// Puts values in place of `${NAME}` and `${NAME:-default}`. A `$` without braces stands for itself.
    fn replaced(self, earlier: &HashMap<String, Entry>, environment: impl Fn(&str) -> Option<String>) -> Entry {
        let mut entry = Entry { value: String::new(), taken: Vec::new(), lent: false };
        if !self.replaces {
            return Entry { value: self.text, ..entry };
        }
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find("${") {
            let (before, reference) = rest.split_at(at);
            entry.value.push_str(before);
            let Some((name, default, length)) = reference_in(reference) else {
                entry.value.push_str("${");
                rest = &reference[2..];
                continue;
            };
            let alone = length == self.text.len();
            entry.take(name, default, earlier, environment(name));
            entry.lent = alone && entry.lent;
            rest = &reference[length..];
        }
        entry.value.push_str(rest);
        entry
    }
}

impl Entry {
    fn take(&mut self, name: &str, default: Option<&str>, earlier: &HashMap<String, Self>, set: Option<String>) {
        let by = match (set, earlier.get(name), default) {
            (Some(value), ..) => {
                self.value.push_str(&value);
                self.lent = true;
                By::Environment
            }
            (None, Some(of_file), _) => {
                self.value.push_str(&of_file.value);
                self.lent = of_file.lent;
                self.taken.extend(of_file.taken.iter().cloned());
                By::File
            }
            (None, None, Some(default)) => {
                self.value.push_str(default);
                By::Default
            }
            (None, None, None) => By::Nothing,
        };
        self.taken.push(Taken { name: name.to_owned(), by });
    }
}

/// Returns name, default and length of the reference at the beginning of a text; none if it is not one.
fn reference_in(text: &str) -> Option<(&str, Option<&str>, usize)> {
    let end = text.find('}')?;
    let inside = &text[2..end];
    let (name, default) = match inside.split_once(':') {
        Some((name, rest)) => (name, Some(rest.strip_prefix('-')?)),
        None => (inside, None),
    };
    Some((name, default, end + 1))
}

#[cfg(test)]
mod tests;
