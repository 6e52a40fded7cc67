//! The commands at the prompts of a page, and what it shows below them.

use std::path::Path;

use super::page::blocks;

/// Matches any text within a line, or any number of lines if it is alone on one.
const ANYTHING: char = '…';

/// A command and the lines that stand below it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) printed: Vec<String>,
}

/// The commands of a page.
pub(crate) fn steps(page: &Path) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks(page, "console").iter().flat_map(|block| block.lines()) {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), printed: Vec::new() }),
            (None, Some(step)) => step.printed.push(line.to_owned()),
            (None, None) => panic!("`{line}` stands before any command"),
        }
    }
    steps
}

impl Step {
    /// Returns true if a command printed what the page shows. If the page shows nothing, any output fits.
    #[track_caller]
    pub(crate) fn shows(&self, out: &str, told: &str) {
        let shown: Vec<&str> = self.printed.iter().map(String::as_str).collect();
        let lines: Vec<&str> = out.lines().collect();
        let fits = shown.is_empty() || fits(&shown, &lines);
        assert!(fits, "$ {}\n{out}{told}\nis not as the page shows it:\n{}", self.command, shown.join("\n"));
    }
}

/// Returns true if lines are as a page shows them.
fn fits(shown: &[&str], lines: &[&str]) -> bool {
    match (shown, lines) {
        ([], lines) => lines.is_empty(),
        ([first, rest @ ..], lines) if first.trim() == ANYTHING.to_string() => {
            (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..]))
        }
        ([first, rest @ ..], [line, others @ ..]) => line_fits(first.trim_end(), line.trim_end()) && fits(rest, others),
        (_, []) => false,
    }
}

fn line_fits(shown: &str, line: &str) -> bool {
    let Some((before, after)) = shown.split_once(ANYTHING) else { return shown == line };
    let Some(rest) = line.strip_prefix(before) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_fits(after, &rest[at..]))
}

#[test]
fn anything_stands_for_parts_of_lines_and_for_lines() {
    assert!(line_fits("id … of …", "id 7 of ci") && line_fits("…", "") && line_fits("a…", "a"));
    assert!(!line_fits("id … of", "id 7 of ci") && !line_fits("a", "ab"));
    assert!(fits(&["a", "…", "b"], &["a", "b"]) && fits(&["a", "…", "b"], &["a", "x", "y", "b"]) && fits(&["…"], &[]));
    assert!(!fits(&["a", "…", "b"], &["a", "b", "c"]) && !fits(&["a"], &[]) && !fits(&[], &["a"]));
}
