//! A page of `docs/`: its blocks of code, and what the commands in them are to print.

use std::fs;
use std::path::Path;

/// Stands for whatever is there: within a line, or alone for any number of lines.
const ANYTHING: char = '…';

/// The blocks of one language, as they stand.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)).unwrap();
    let (mut found, mut inside): (Vec<String>, Option<bool>) = (Vec::new(), None);
    for line in text.lines() {
        match (inside, line.strip_prefix("```")) {
            (None, Some(name)) => {
                inside = Some(name == language);
                found.extend((name == language).then(String::new));
            }
            (Some(_), Some(_)) => inside = None,
            (Some(true), None) => {
                let block = found.last_mut().unwrap();
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    assert!(inside.is_none(), "{page}: a block does not end");
    assert!(!found.is_empty(), "{page} has no block of {language}");
    found
}

/// A command and the lines that stand below it.
#[derive(Debug)]
pub struct Step {
    pub command: String,
    pub printed: Vec<String>,
}

/// What a page says at a prompt.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks(page, "console").iter().flat_map(|block| block.lines()) {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), printed: Vec::new() }),
            (None, Some(step)) => step.printed.push(line.to_owned()),
            (None, None) => panic!("{page}: `{line}` stands before any command"),
        }
    }
    steps
}

/// Whether lines are as a page shows them.
pub fn fits(shown: &[&str], lines: &[&str]) -> bool {
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
