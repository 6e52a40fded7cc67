//! Splits a text into the statements of CrateDB that it holds, without understanding them.
//!
//! CrateDB executes one statement per request, so somebody has to know which semicolons end one. What counts is the
//! server's own lexer, with its own rules for what a string and a comment is.

/// The statements of `text`, without the semicolons between them, without comments before them, and none that is empty.
///
/// What the server's lexer would not accept, a string without an end for example, is left for the server to refuse.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = statement_end(rest);
        let statement = without_leading_comments(&rest[..end]).trim_end_matches(BLANK);
        if !statement.is_empty() {
            statements.push(statement);
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    statements
}

/// The statement itself, without what is written above it.
pub(crate) fn without_leading_comments(text: &str) -> &str {
    let mut text = text.trim_start_matches(BLANK);
    while let Some(length) = comment(text) {
        text = text[length..].trim_start_matches(BLANK);
    }
    text
}

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// Where the first statement of `text` ends: at its semicolon or at the end of the text.
fn statement_end(text: &str) -> usize {
    let mut at = 0;
    let mut after_word = false;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c == ';' {
            return at;
        }
        let skipped = match c {
            '\'' => quoted(rest, '\''),
            '"' => quoted(rest, '"'),
            '`' => quoted(rest, '`'),
            'e' | 'E' if !after_word => escaped_string(rest).unwrap_or(1),
            '$' => dollar_quoted(rest).unwrap_or(1),
            '-' | '/' => comment(rest).unwrap_or(1),
            c => c.len_utf8(),
        };
        after_word = skipped == 1 && is_word(c);
        at += skipped;
    }
    text.len()
}

/// A statement without its texts, of whatever form, and without comments: what may hold a secret.
pub(crate) fn without_texts(statement: &str) -> String {
    let (mut all, mut at, mut after_word) = (String::new(), 0, false);
    while let Some(c) = statement[at..].chars().next() {
        let rest = &statement[at..];
        let text = match c {
            '\'' => Some(quoted(rest, '\'')),
            'e' | 'E' if !after_word => escaped_string(rest),
            '$' => dollar_quoted(rest),
            _ => None,
        };
        let hidden = text.map(|length| (length, "'…'"));
        let hidden = hidden.or_else(|| comment(rest).map(|length| (length, " ")));
        let skipped = match (hidden, c) {
            (Some((length, shown)), _) => {
                all.push_str(shown);
                length
            }
            (None, '"' | '`') => {
                let length = quoted(rest, c);
                all.push_str(&rest[..length]);
                length
            }
            (None, _) => {
                all.push(c);
                c.len_utf8()
            }
        };
        after_word = skipped == 1 && is_word(c);
        at += skipped;
    }
    all
}

pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '@'
}

/// The length of what stands between quotes at the beginning of `text`; a doubled quote is one inside.
pub(super) fn quoted(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// The length of an `E'…'` at the beginning of `text`. A run of backslashes takes the character after it along, however
/// many they are: so the server reads them, unlike PostgreSQL.
pub(super) fn escaped_string(text: &str) -> Option<usize> {
    let body = text.get(1..)?.strip_prefix('\'')?;
    let mut characters = body.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => {
                while characters.next_if(|(_, next)| *next == '\\').is_some() {}
                characters.next();
            }
            '\'' if characters.next_if(|(_, next)| *next == '\'').is_none() => return Some(at + "E''".len()),
            _ => {}
        }
    }
    Some(text.len())
}

/// The length of a `$tag$ … $tag$` at the beginning of `text`; `$1` is none.
pub(super) fn dollar_quoted(text: &str) -> Option<usize> {
    let tag_end = 1 + text.get(1..)?.find(|c| !is_word(c))?;
    let tag = text.get(..=tag_end).filter(|tag| tag.ends_with('$'))?;
    if !tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$') {
        return None;
    }
    let body = &text[tag.len()..];
    Some(body.find(tag).map_or(text.len(), |end| tag.len() + end + tag.len()))
}

/// The length of a comment at the beginning of `text`. Comments of several lines don't nest, and one without an end is
/// none.
pub(super) fn comment(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find(['\r', '\n']).unwrap_or(text.len()));
    }
    let body = text.strip_prefix("/*")?;
    Some("/*".len() + body.find("*/")? + "*/".len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn semicolons_end_statements() {
        assert_eq!(split("SELECT 1; SELECT 2;\n\nSELECT 3"), ["SELECT 1", "SELECT 2", "SELECT 3"]);
    }

    #[test]
    fn texts_of_all_forms_are_hidden_and_names_are_not() {
        for (statement, shown) in [
            ("CREATE USER a WITH (password = 'it''s')", "CREATE USER a WITH (password = '…')"),
            ("/* don't */ CREATE USER a WITH (password = 'geheim')", "  CREATE USER a WITH (password = '…')"),
            ("-- it's\nSET x = 'geheim'", " \nSET x = '…'"),
            ("SET password = E'a\\'geheim'", "SET password = '…'"),
            ("SET password = $$geheim$$ AND $1", "SET password = '…' AND $1"),
            ("CREATE USER \"it's\" WITH (password = 'geheim", "CREATE USER \"it's\" WITH (password = '…'"),
        ] {
            assert_eq!(without_texts(statement), shown);
        }
    }

    #[test]
    fn there_are_no_empty_statements() {
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split(" ;; \n;-- nothing\n;/* ; */; SELECT 1;;"), ["SELECT 1"]);
    }

    #[test]
    fn semicolons_in_strings_and_names_end_nothing() {
        for statement in [
            "SELECT 'a;b'",
            "SELECT 'it''s; fine'",
            "SELECT '\\'",
            "SELECT \"a;\"\"b;\" FROM t",
            "SELECT E'it\\'s; fine'",
            "SELECT e'it''s; \\\\x; fine'",
            "SELECT `a;b`",
            "SELECT $$a;'b$$",
            "SELECT $a$;$$;$b$;$a$",
            "SELECT $a_1@$;$a_1@$",
            "SELECT 'größer; kleiner'",
        ] {
            let twice = format!("{statement};{statement}");
            assert_eq!(split(&twice), [statement, statement]);
        }
    }

    #[test]
    fn comments_end_nothing_and_those_before_a_statement_are_left_out() {
        assert_eq!(
            split("-- first; one\nSELECT 1 -- ; 'still\n + 1; /* second; 'one */ -- x\n SELECT /* ; */ 2"),
            ["SELECT 1 -- ; 'still\n + 1", "SELECT /* ; */ 2"]
        );
        assert_eq!(split("SELECT 1 /* /* ; */; SELECT 2"), ["SELECT 1 /* /* ; */", "SELECT 2"]);
    }

    #[test]
    fn what_looks_like_the_beginning_of_something_is_not() {
        assert_eq!(split("SELECT $1; SELECT $2"), ["SELECT $1", "SELECT $2"]);
        assert_eq!(split("SELECT a$b; SELECT 1"), ["SELECT a$b", "SELECT 1"]);
        assert_eq!(split("SELECT 1 - 2 / 3; SELECT 1"), ["SELECT 1 - 2 / 3", "SELECT 1"]);
        assert_eq!(split("SELECT type'a\\'; SELECT 1"), ["SELECT type'a\\'", "SELECT 1"]);
        assert_eq!(split("SELECT e; SELECT 1"), ["SELECT e", "SELECT 1"]);
    }

    #[test]
    fn what_has_no_end_goes_to_the_server_as_it_is() {
        for text in ["SELECT 'a; b", "SELECT \"a; b", "SELECT E'a\\'; b", "SELECT $$a; b", "SELECT $a$a; b$$"] {
            assert_eq!(split(text), [text]);
        }
        assert_eq!(split("SELECT 1 /* a; b"), ["SELECT 1 /* a", "b"]);
    }

    /// Pieces of statements, each complete in itself.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z0-9_@(),.?=*<>äß ]{0,8}",
            "'([^']|''){0,8}'",
            "\"([^\"]|\"\"){0,8}\"",
            " E'([^'\\\\]|''|\\\\[^\\\\]){0,8}'",
            "\\$\\$[^$]{0,8}\\$\\$",
            "\\$t\\$[^$]{0,8}\\$t\\$",
            "--[^\r\n]{0,8}\n",
            "/\\*[^*]{0,8}\\*/",
        ]
    }

    proptest! {
        #[test]
        fn statements_are_found_again(statements in prop::collection::vec(prop::collection::vec(piece(), 0..6), 0..6)) {
            let statements: Vec<String> = statements.iter().map(|pieces| format!("SELECT {}", pieces.join(" "))).collect();
            let expected: Vec<&str> = statements.iter().map(|statement| statement.trim_end_matches(BLANK)).collect();
            let joined = statements.join(";");
            prop_assert_eq!(split(&joined), expected);
        }

        #[test]
        fn any_text_is_split_without_losing_anything_but_blanks_comments_and_semicolons(text in "[ae'\"`$\\\\;/*\n -]{0,40}") {
            let mut rest = text.as_str();
            for statement in split(&text) {
                let at = statement.as_ptr().addr() - rest.as_ptr().addr();
                prop_assert!(split(&rest[..at]).is_empty(), "nothing is left out before `{}`", statement);
                prop_assert_eq!(split(statement), [statement]);
                rest = &rest[at + statement.len()..];
            }
            prop_assert!(split(rest).is_empty());
        }
    }
}
