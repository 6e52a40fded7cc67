//! A session as Markdown, for the summary of a job. It stays small, however many tests there were.

use std::fmt::Write as _;

use cratedb_test::private::control::report::{Attempt, AttemptResult, ClusterUse, Session, span};
use cratedb_test::private::foreign;

use super::{bill, clock, cluster, end, tests, waited};

/// The most tests that did not pass which are named.
const FAILED: usize = 20;
/// The longest text of a cell, in characters.
const LONGEST: usize = 300;

pub(super) fn summary(session: &Session) -> String {
    let name = session.name.as_ref().unwrap_or(&session.id);
    let mut rows =
        vec![("began", clock(session.began_at_ms)), ("length", format!("{}, {}", span(session.length), end(session)))];
    rows.extend(session.clusters.iter().map(|used| ("cluster", cluster(used))));
    rows.extend([("tests", tests(session)), ("bill", bill(&session.bill))]);
    rows.extend(session.notes.iter().map(|note| ("note", note.clone())));
    let mut text = format!("### CrateDB session {}\n\n| | |\n|---|---|\n", code(name));
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {} |", plain(&value));
    }
    failed(&mut text, session);
    if !session.slowest_waits.is_empty() {
        text += "\n<details><summary>Slowest waits</summary>\n\n| waited | |\n|--:|---|\n";
        for wait in &session.slowest_waits {
            let _ = writeln!(text, "| {} | {} |", span(wait.length), plain(&waited(wait)));
        }
        text += "\n</details>\n";
    }
    text + "\n"
}

/// Adds the tests that did not pass.
fn failed(text: &mut String, session: &Session) {
    let of = |used: &'_ ClusterUse, one: &'_ Attempt| {
        let pid = used.processes.get(one.process).map_or(0, |process| process.pid);
        let why = match &one.result {
            AttemptResult::Refused(why) => format!("{}: {why}", one.result.word()),
            result => result.word().to_owned(),
        };
        let schema = if one.kept { code(&one.schema) } else { String::new() };
        format!("| {} | {} | {pid} | {schema} |\n", code(&one.test), plain(&why))
    };
    let bad = |one: &&Attempt| !one.inside && !matches!(one.result, AttemptResult::Passed | AttemptResult::Open);
    let all: Vec<String> =
        session.clusters.iter().flat_map(|used| used.attempts.iter().filter(bad).map(|one| of(used, one))).collect();
    if all.is_empty() {
        return;
    }
    *text += "\n| test that did not pass | result | process | schema that is kept |\n|---|---|--:|---|\n";
    all.iter().take(FAILED).for_each(|row| *text += row);
    if all.len() > FAILED {
        let _ = writeln!(text, "| and {} more | | | |", all.len() - FAILED);
    }
}

/// Returns a text that is neither Markdown nor HTML, in one line.
fn plain(text: &str) -> String {
    let mut shown = String::new();
    for c in foreign::line(text, LONGEST).chars() {
        match c {
            '&' | '<' | '>' | '|' | '*' | '_' | '`' | '[' | ']' | '~' | '@' | '#' | '\\' | '$' => {
                let _ = write!(shown, "&#{};", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Returns a name in the font of code.
fn code(text: &str) -> String {
    let text = foreign::line(text, LONGEST).replace('`', "'").replace('|', "\\|");
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_is_text() {
        let bad = "</td><script>alert(1)</script> **bold** @team [x](http://y) a|b `c`\n# title";
        let shown = plain(bad);
        assert!(!shown.contains(['<', '*', '@', '[', '|', '`', '\n']), "{shown}");
        assert_eq!(code("a`b|c\nd"), "`a'b\\|c d`");
        assert!(plain(&"x".repeat(5000)).chars().count() <= LONGEST + 1);
    }
}
