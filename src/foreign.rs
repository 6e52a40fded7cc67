//! Text from elsewhere (servers, archives, engines), made fit to show and short.
//!
//! Such a text can hold what controls a terminal, or what a CI service takes for a command: GitHub reads `::error …::`
//! at the start of a line and `##[…]` anywhere in it. Here both are escaped visibly. That is for people: data that a
//! program reads keeps its value.

use std::borrow::Cow;

/// Returns a text of several lines in a form that controls neither a terminal nor a CI service. A second call changes
/// nothing.
pub fn block(text: &str) -> Cow<'_, str> {
    match escaped(text, |c| matches!(c, '\n' | '\t')) {
        Cow::Borrowed(text) => without_commands(text),
        Cow::Owned(text) => Cow::Owned(without_commands(&text).into_owned()),
    }
}

/// Returns the text of a cell of a table, which is one line. The finished table needs [`without_commands`], since only
/// its lines tell what begins one.
pub fn cell(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Returns the beginning of a text in one line: at most so many of its characters, with one space for all white space
/// between two words.
pub fn line(text: &str, chars: usize) -> String {
    let mut short = String::new();
    for word in text.split_whitespace() {
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(shortest(word, 4 * (chars + 1)));
        if short.len() > 4 * chars {
            break;
        }
    }
    if let Some((end, _)) = short.char_indices().nth(chars) {
        short.truncate(end);
        short.push('…');
    }
    block(&short).into_owned()
}

/// Returns the beginning of a text if it has more bytes than `limit`, and how much was left out.
pub fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let start = shortest(text, limit);
    Cow::Owned(format!("{start}… ({} bytes more)", text.len() - start.len()))
}

/// Returns the longest beginning of a text that has no more bytes than `limit`.
pub(crate) fn shortest(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Returns a JSON document with the same data that controls neither a terminal nor a CI service.
pub fn json(document: &str) -> Cow<'_, str> {
    // JSON has these characters in its strings only. Those below the space are escaped there already.
    let mut tame = String::new();
    let mut rest = document;
    while let Some(at) = rest.find(|c: char| c == '#' || controls(c) && c >= '\u{7f}') {
        let (before, here) = rest.split_at(at);
        tame.push_str(before);
        let Some(c) = here.chars().next() else { break };
        match c == '#' && !begins_marked_command(here) {
            true => tame.push(c),
            // All of these are in the basic plane.
            false => tame.push_str(&format!("\\u{:04x}", c as u32)),
        }
        rest = &here[c.len_utf8()..];
    }
    if tame.is_empty() {
        return Cow::Borrowed(document);
    }
    tame.push_str(rest);
    Cow::Owned(tame)
}

/// Escapes what a CI service takes for a command: `::name …::` at the start of a line, and `##[…]`, `##vso[…]` or
/// `##teamcity[…]` anywhere.
pub fn without_commands(text: &str) -> Cow<'_, str> {
    if !text.contains("::") && !text.contains("##") {
        return Cow::Borrowed(text);
    }
    let mut tame = String::with_capacity(text.len() + 8);
    for line in text.split_inclusive('\n') {
        let inner = line.trim_start();
        let (space, mut rest) = line.split_at(line.len() - inner.len());
        tame.push_str(space);
        // An address such as `::1` alone is none.
        if let Some(after) = rest.strip_prefix("::").filter(|after| after.contains("::")) {
            tame.push_str("\\u{3a}:");
            rest = after;
        }
        while let Some(at) = rest.find("##") {
            tame.push_str(&rest[..at]);
            tame.push_str(if begins_marked_command(&rest[at..]) { "\\u{23}" } else { "#" });
            rest = &rest[at + 1..];
        }
        tame.push_str(rest);
    }
    Cow::Owned(tame)
}

fn begins_marked_command(text: &str) -> bool {
    let word = text.strip_prefix("##").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()));
    word.is_some_and(|rest| rest.starts_with('['))
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_bad = |c: char| controls(c) && !keep(c);
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut fit = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match is_bad(c) {
            // The end of a line, as some write it.
            true if c == '\r' && keep('\n') && chars.peek() == Some(&'\n') => {}
            true => fit.extend(c.escape_default()),
            false => fit.push(c),
        }
    }
    Cow::Owned(fit)
}

/// Returns whether a character controls a terminal, ends a line, or changes the direction of what follows.
fn controls(c: char) -> bool {
    let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || ends_line || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that a terminal or a viewer obeys, in the forms in which servers can send them.
    const NASTY: [&str; 9] = [
        "\u{1b}[2Jgone",
        "\u{1b}]0;title\u{7}",
        "\u{9b}31mred",
        "done\rfailed",
        "back\u{8}\u{8}",
        "\0",
        "\u{7f}",
        "abc\u{202e}fdp.exe",
        "one\u{2028}::error::two",
    ];

    fn is_tame(text: &str) -> bool {
        !text.contains(|c| controls(c) && !matches!(c, '\n' | '\t'))
    }

    #[test]
    fn nothing_that_controls_a_terminal_is_left_and_nothing_is_lost() {
        for text in NASTY {
            for fit in [block(text), cell(text)] {
                assert!(is_tame(&fit) && fit.contains('\\'), "{text:?}: {fit}");
            }
            assert!(is_tame(&line(text, 100)), "{text:?}");
        }
        assert_eq!(block("\u{1b}[31mred\u{1b}[0m"), "\\u{1b}[31mred\\u{1b}[0m");
        assert_eq!(cell("a\tb\nc\r\nd"), "a\\tb\\nc\\r\\nd");
        assert_eq!(block("a\tb\nc\r\nd\re"), "a\tb\nc\nd\\re");
    }

    #[test]
    fn good_text_of_any_language_is_left_alone() {
        for text in ["", "größer 富士山 e\u{301} 🏔️ \\u{1b}", "a::b ::1 # ## [x] #[test]\n\ttwo", "http://[::1]:4200/"]
        {
            assert!(matches!(block(text), Cow::Borrowed(_)) || block(text) == text, "{text}");
            assert_eq!(json(text), text);
        }
    }

    #[test]
    fn no_line_begins_a_command_of_a_ci_service() {
        for (text, tame) in [
            ("::error file=a::b", "\\u{3a}:error file=a::b"),
            ("ok\n  ::add-mask::x", "ok\n  \\u{3a}:add-mask::x"),
            ("\u{3000}::stop-commands::x", "\u{3000}\\u{3a}:stop-commands::x"),
            ("x ##[error]y", "x \\u{23}#[error]y"),
            ("###[group]y", "#\\u{23}#[group]y"),
            ("##vso[task.setvariable variable=a]b", "\\u{23}#vso[task.setvariable variable=a]b"),
            ("##teamcity[x]", "\\u{23}#teamcity[x]"),
        ] {
            assert_eq!(block(text), tame);
            assert_eq!(block(tame), tame, "a second time");
        }
        // An address, and what is no command because it stands within a line.
        for text in ["::1", "x ::error::y", "## heading [1]"] {
            assert_eq!(block(text), text);
        }
        assert!(!line("one\n::error::two", 100).contains('\n'));
    }

    #[test]
    fn a_line_is_short_whatever_comes() {
        assert_eq!(line("  SELECT\n\t 1 ", 20), "SELECT 1");
        assert_eq!(line("größer als es sein darf", 6), "größer…");
        assert_eq!(line(&"x ".repeat(100_000), 3), "x x…");
        assert_eq!(line(&"ä".repeat(100_000), 3), "äää…");
        assert_eq!(line("abc", 3), "abc");
        assert_eq!(line("", 3), "");
    }

    #[test]
    fn what_is_left_out_is_counted() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcdef", 4), "abcd… (2 bytes more)");
        assert_eq!(shortened("ääää", 3), "ä… (6 bytes more)");
    }

    #[test]
    fn json_keeps_its_data() {
        for text in NASTY.iter().chain(&["##[error]x", "#", "a##b", "##vso[x", "plain"]) {
            let document = serde_json::to_string(text).unwrap();
            let fit = json(&document);
            assert!(is_tame(&fit) && !fit.contains("##[") && !fit.contains("##vso["), "{fit}");
            assert_eq!(serde_json::from_str::<String>(&fit).unwrap(), *text);
        }
    }
}
