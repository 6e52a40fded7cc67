//! Checks of prose that a program can make: how long its lines are, how doc comments open, and which words they use.

use std::iter;

/// A longer line does not fit beside code in an editor.
const WIDTH: usize = 120;

/// A doc comment that opens with one of these says what a thing is about, and not what it is or does.
const BARE: [&str; 8] = ["What", "Whether", "How", "Who", "Where", "Why", "Of", "That"];

/// Words that hide the actor: the client, the keeper, the command line.
const VAGUE: [&str; 3] = ["somebody", "whoever", "nobody's"];

/// A comment on one line of a Rust source.
struct Comment<'a> {
    /// Counted from 1.
    number: usize,
    /// The whole line, with the code before the comment.
    line: &'a str,
    /// The comment, from its marker to the end of the line.
    text: &'a str,
}

impl<'a> Comment<'a> {
    /// Returns the marker and the text of a doc comment. Four slashes make a plain comment.
    fn doc(&self) -> Option<(&'a str, &'a str)> {
        let marker = ["///", "//!"].into_iter().find(|marker| self.text.starts_with(marker))?;
        let text = &self.text[marker.len()..];
        (!text.starts_with('/')).then_some((marker, text))
    }
}

/// Lists the lines of prose in a page of Markdown that are too long.
pub(crate) fn long_lines(page: &str) -> Vec<String> {
    let mut fences = Fences::default();
    let prose = |(number, line): &(usize, &str)| !fences.hold(line) && is_too_long(line, line) && *number > 0;
    iter::zip(1.., page.lines()).filter(prose).map(|(number, line)| shown(number, line)).collect()
}

/// Lists the lines of a Rust source that are too long and have a comment on them. Code without comment is for rustfmt.
pub(crate) fn long_comments(source: &str) -> Vec<String> {
    let (mut fences, mut last) = (Fences::default(), 0);
    let mut found = Vec::new();
    for comment in comments(source) {
        let in_code = match comment.doc() {
            Some((_, text)) => {
                if comment.number != last + 1 {
                    fences = Fences::default();
                }
                last = comment.number;
                fences.hold(text)
            }
            None => false,
        };
        let text = comment.text.trim_start_matches(['/', '!', '*']);
        if !in_code && is_too_long(comment.line, text) {
            found.push(shown(comment.number, comment.line));
        }
    }
    found
}

/// Lists the doc comments of a Rust source that open with a bare question word or the like.
pub(crate) fn bare_openings(source: &str) -> Vec<String> {
    let mut before = None;
    let mut found = Vec::new();
    for comment in comments(source) {
        let Some((marker, text)) = comment.doc() else { continue };
        let opens = before != Some((marker, comment.number - 1));
        before = Some((marker, comment.number));
        let first = text.split_whitespace().next().unwrap_or_default().trim_end_matches([',', ':', '.', '?']);
        if opens && BARE.contains(&first) {
            found.push(shown(comment.number, comment.text));
        }
    }
    found
}

/// Lists the doc comments of a Rust source that do not name the actor.
pub(crate) fn vague_docs(source: &str) -> Vec<String> {
    let docs = comments(source).into_iter().filter(|comment| comment.doc().is_some());
    docs.filter(|comment| is_vague(comment.text)).map(|comment| shown(comment.number, comment.text)).collect()
}

/// Lists the lines of a page that do not name the actor.
pub(crate) fn vague_lines(page: &str) -> Vec<String> {
    iter::zip(1.., page.lines()).filter(|(_, line)| is_vague(line)).map(|(number, line)| shown(number, line)).collect()
}

fn is_vague(text: &str) -> bool {
    let text = text.to_lowercase().replace('’', "'");
    text.split(|c: char| !c.is_alphanumeric() && c != '\'').any(|word| VAGUE.contains(&word))
}

/// Tells whether a line has to be broken. Rows of tables and single words, such as addresses, can't be.
fn is_too_long(line: &str, text: &str) -> bool {
    let text = text.trim();
    let text = ["- ", "* "].into_iter().find_map(|bullet| text.strip_prefix(bullet)).unwrap_or(text);
    line.chars().count() > WIDTH && !text.starts_with('|') && text.contains(' ')
}

fn shown(number: usize, line: &str) -> String {
    format!("{number}: {}", line.trim().chars().take(60).collect::<String>())
}

/// Follows the fences around code in Markdown.
#[derive(Default)]
struct Fences {
    open: bool,
}

impl Fences {
    /// Takes the next line, and tells whether it is code or a fence.
    fn hold(&mut self, line: &str) -> bool {
        let fence = line.trim_start().starts_with("```");
        self.open ^= fence;
        self.open || fence
    }
}

/// The construct of Rust's grammar that a line ends in.
#[derive(Clone, Copy)]
enum Inside {
    Code,
    /// A string: `None` if it has escapes, else the number of `#` around it.
    Text(Option<usize>),
    /// As many nested block comments.
    Block(usize),
}

/// Finds all comments of a Rust source, and none in its strings.
fn comments(source: &str) -> Vec<Comment<'_>> {
    let mut inside = Inside::Code;
    let mut found = Vec::new();
    for (number, line) in iter::zip(1.., source.lines()) {
        let start = scan(line, &mut inside);
        found.extend(start.map(|start| Comment { number, line, text: &line[start..] }));
    }
    found
}

/// Returns where the first comment of a line begins, and leaves in `inside` what the next line begins in.
fn scan(line: &str, inside: &mut Inside) -> Option<usize> {
    let mut start = matches!(inside, Inside::Block(_)).then_some(0);
    let mut at = 0;
    while let Some(first) = line[at..].chars().next() {
        let rest = &line[at..];
        let step;
        (*inside, step) = match *inside {
            Inside::Code if rest.starts_with("//") => return start.or(Some(at)),
            Inside::Code if rest.starts_with("/*") => {
                start = start.or(Some(at));
                (Inside::Block(1), 2)
            }
            Inside::Code if first == '"' => (Inside::Text(None), 1),
            Inside::Code if first == '\'' => (Inside::Code, length_of_char(rest)),
            Inside::Code => match raw_string(rest, line[..at].chars().next_back()) {
                Some(hashes) => (Inside::Text(Some(hashes)), hashes + 2),
                None => (Inside::Code, first.len_utf8()),
            },
            Inside::Text(None) if first == '\\' => {
                (Inside::Text(None), 1 + rest[1..].chars().next().map_or(0, char::len_utf8))
            }
            Inside::Text(hashes) => {
                let end = format!("\"{}", "#".repeat(hashes.unwrap_or(0)));
                if rest.starts_with(&end) { (Inside::Code, end.len()) } else { (*inside, first.len_utf8()) }
            }
            Inside::Block(depth) if rest.starts_with("/*") => (Inside::Block(depth + 1), 2),
            Inside::Block(1) if rest.starts_with("*/") => (Inside::Code, 2),
            Inside::Block(depth) if rest.starts_with("*/") => (Inside::Block(depth - 1), 2),
            Inside::Block(_) => (*inside, first.len_utf8()),
        };
        at += step;
    }
    start
}

/// Returns the number of `#` of the raw string that begins here. The `r` of a name such as `for` begins none.
fn raw_string(rest: &str, before: Option<char>) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let in_name = before.is_some_and(|c| (c.is_alphanumeric() || c == '_') && !matches!(c, 'b' | 'c'));
    (after[hashes..].starts_with('"') && !in_name).then_some(hashes)
}

/// Returns the length of the character literal that begins here, or 1 if the quote begins a lifetime.
fn length_of_char(rest: &str) -> usize {
    let mut inner = rest[1..].char_indices();
    match (inner.next(), inner.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let from = 1 + at + escaped.len_utf8();
            rest[from..].find('\'').map_or(1, |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => 1 + at + 1,
        _ => 1,
    }
}

#[test]
fn long_lines_of_pages_are_found() {
    let (fits, long) = (format!("{}b", "a ".repeat(59)), "a ".repeat(61));
    assert_eq!(long_lines(&format!("# Page\n\n{fits}\n\n{long}\n- {long}\n")).len(), 2);
    assert!(long_lines(&long)[0].starts_with("1: a a"));
    // Neither code nor tables, nor what has no place to break at. Characters are counted, not bytes.
    let word = "a".repeat(130);
    let page =
        format!("```rust\n{long}\n```\n  ```\n{long}\n  ```\n| {long} |\n- {word}\n{word}\n{}\n", "ä ".repeat(60));
    assert_eq!(long_lines(&page), [""; 0]);
    assert_eq!(long_lines(&format!("```\n{long}\n```\n{long}\n")), [format!("4: {}", &long[..60])]);
}

#[test]
fn long_comments_of_sources_are_found() {
    let long = "a ".repeat(61);
    for marker in ["//", "///", "//!", "    // ", "let a = 1; //", "/* ", "let a = r#\"//\"#; //", "let a = '\"'; // "]
    {
        assert_eq!(long_comments(&format!("fn f() {{}}\n{marker} {long}\n")).len(), 1, "{marker}");
    }
    assert_eq!(long_comments(&format!("/* a\n{long}\n*/\n// {long}\n")).len(), 2);
    for code in [format!("let a = \"// {long}\";"), format!("r##\"\n/// \"# {long}\n\"##"), format!("\"\n// {long}\"")]
    {
        assert_eq!(long_comments(&code), [""; 0], "{code}");
    }
    // As on pages. A fence that is never closed ends with its doc comment.
    let doc = format!("/// ```\n/// {long}\n/// ```\n//! | {long} |\n// {}\n", "a".repeat(130));
    assert_eq!(long_comments(&doc), [""; 0]);
    assert_eq!(long_comments(&format!("/// ```\nfn f() {{}}\n/// {long}\n")).len(), 1);
}

#[test]
fn bare_openings_are_found() {
    for word in BARE {
        assert_eq!(bare_openings(&format!("/// {word} is there.\n")).len(), 1, "{word}");
        assert_eq!(bare_openings(&format!("//! {word}: this.\n")).len(), 1, "{word}");
    }
    let source = "//! Good.\n/// What is there.\n    /// Where it is.\nfn f() {}\n\n    /// Why\n//// Who\n// How\n";
    assert_eq!(bare_openings(source), ["2: /// What is there.", "6: /// Why"]);
    let good = "/// Whatever.\n/// Where it is.\n//! What's\n/// Off\nlet a = \"\n/// What\n\";\n//\n//! Howl\n";
    assert_eq!(bare_openings(good), [""; 0]);
}

#[test]
fn vague_words_are_found() {
    let source =
        "/// Somebody's\n/// for Whoever comes\n// whoever\n//! is nobody’s, and\n/// `somebody`.\n/// nobody\n";
    assert_eq!(vague_docs(source).len(), 3);
    assert_eq!(vague_lines("whoever\n\nwhosoever, somebody else\n").len(), 2);
}

#[test]
fn characters_and_lifetimes_hide_no_comment() {
    let found = |line: &str| comments(line).first().map(|comment| comment.text.to_owned());
    for line in
        ["'\"' // c", "'\\'' // c", "b'\\\\' // c", "&'a str // c", "'\\u{e4}' // c", "r\"\\\" // c", "\"\\\"\" // c"]
    {
        assert_eq!(found(line).as_deref(), Some("// c"), "{line}");
    }
    for line in ["\"// c\"", "br#\"\"// c\"#", "\"\\\"// c\"", "r\"// c\"", "a / b"] {
        assert_eq!(found(line), None, "{line}");
    }
    assert_eq!(found("for\"// c\"; // d").as_deref(), Some("// d"));
}
