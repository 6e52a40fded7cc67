//! The lexical rules of CrateDB: where a statement ends, what is text in it, and which names it uses.
//!
//! CrateDB executes one statement per request, so a client has to know which semicolons end one. These rules are those
//! of the server's own lexer, which differ from PostgreSQL's in strings and comments.

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits a text into statements, without the semicolons between them and the comments before them. Leaves out empty
/// ones, and the byte order mark that an editor on Windows may have put before the first.
///
/// Input that the server's lexer would not accept, such as a string without an end, is left for the server to refuse.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut statements, mut begin, mut at) = (Vec::new(), 0, 0);
    // As if a semicolon ended the last one, too.
    for (piece, part) in pieces(text).chain([(Piece::Other, ";")]) {
        if piece == Piece::Other && part == ";" {
            let statement = without_leading_comments(&text[begin..at]).trim_end_matches(BLANK);
            statements.extend(Some(statement).filter(|statement| !statement.is_empty()));
            begin = at + part.len();
        }
        at += part.len();
    }
    statements
}

/// Returns a statement without the comments above it.
pub(crate) fn without_leading_comments(text: &str) -> &str {
    let mut text = text.trim_start_matches(BLANK);
    while let Some(length) = comment(text) {
        text = text[length..].trim_start_matches(BLANK);
    }
    text
}

/// Reports whether the first word of a statement is one of `keywords`.
pub(crate) fn begins_with(statement: &str, keywords: &[&str]) -> bool {
    let word = leading(without_leading_comments(statement), |c| c.is_ascii_alphabetic());
    keywords.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Returns a statement without its texts, which may hold secrets, and without comments.
pub(crate) fn without_texts(statement: &str) -> String {
    let shown = |(piece, part)| match piece {
        Piece::Text => "'…'",
        Piece::Comment => " ",
        _ => part,
    };
    pieces(statement).map(shown).collect()
}

/// Words that end a list of relations.
const AFTER_RELATIONS: [&str; 15] = [
    "WHERE",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "SELECT",
    "WINDOW",
    "SET",
    "VALUES",
    "RETURNING",
    "FETCH",
];

/// A token of a statement, as far as they matter for the names that it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword, or a name without quotes.
    Word(&'a str),
    /// A name in quotes, without them. Doubled quotes inside are still doubled.
    Quoted(&'a str),
    /// A string or a number.
    Value,
    Sign(char),
}

impl Token<'_> {
    pub(crate) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    pub(crate) fn is_one_of(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    /// Returns true for a word before which a list of relations ends.
    pub(crate) fn ends_relations(&self) -> bool {
        self.is_one_of(&AFTER_RELATIONS)
    }

    /// Returns the name as the server would look it up, if this is one.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.to_lowercase()),
            Self::Quoted(text) => Some(text.replace("\"\"", "\"")),
            Self::Value | Self::Sign(_) => None,
        }
    }
}

/// Returns all tokens of a text, without comments and blanks.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some((piece, mut part)) = next_piece(rest) {
        let first = part.chars().next().unwrap_or_default();
        tokens.extend(match piece {
            Piece::Comment => None,
            Piece::Text => Some(Token::Value),
            Piece::Name => Some(Token::Quoted(part[1..].strip_suffix(first).unwrap_or(&part[1..]))),
            Piece::Word if first.is_ascii_digit() => {
                // With everything that may follow: `1.5`, `1e-5` up to its sign, `0x1f`.
                part = leading(rest, |c| is_word(c) || c == '.');
                Some(Token::Value)
            }
            Piece::Word => Some(Token::Word(part)),
            Piece::Other if first.is_ascii_whitespace() => None,
            Piece::Other => Some(Token::Sign(first)),
        });
        rest = &rest[part.len()..];
    }
    tokens
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// A string of any form.
    Text,
    /// A name in quotes.
    Name,
    Comment,
    /// A run of the characters of words and numbers.
    Word,
    /// One character of another kind.
    Other,
}

fn pieces(mut text: &str) -> impl Iterator<Item = (Piece, &str)> {
    std::iter::from_fn(move || {
        let (piece, part) = next_piece(text)?;
        text = &text[part.len()..];
        Some((piece, part))
    })
}

/// Returns the first piece of a text.
fn next_piece(text: &str) -> Option<(Piece, &str)> {
    let first = text.chars().next()?;
    let found = match first {
        '\'' => Some((Piece::Text, quoted(text, '\''))),
        '"' | '`' => Some((Piece::Name, quoted(text, first))),
        'e' | 'E' => escaped_string(text).map(|length| (Piece::Text, length)),
        '$' => dollar_quoted(text).map(|length| (Piece::Text, length)),
        _ => comment(text).map(|length| (Piece::Comment, length)),
    };
    let (piece, length) = found.unwrap_or_else(|| match leading(text, is_word).len() {
        0 => (Piece::Other, first.len_utf8()),
        length => (Piece::Word, length),
    });
    Some((piece, &text[..length]))
}

fn leading(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !belongs(c)).unwrap_or(text.len())]
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '@'
}

/// Returns the length of the quoted text at the beginning of `text`. A doubled quote is one inside.
fn quoted(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// Returns the length of an `E'…'` at the beginning of `text`. A run of backslashes escapes the character after it,
/// however many they are: the server reads them like this, unlike PostgreSQL.
fn escaped_string(text: &str) -> Option<usize> {
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

/// Returns the length of a `$tag$ … $tag$` at the beginning of `text`; `$1` is not one.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag_end = 1 + text.get(1..)?.find(|c| !is_word(c))?;
    let tag = text.get(..=tag_end).filter(|tag| tag.ends_with('$'))?;
    if !tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$') {
        return None;
    }
    let body = &text[tag.len()..];
    Some(body.find(tag).map_or(text.len(), |end| tag.len() + end + tag.len()))
}

/// Returns the length of a comment at the beginning of `text`. Comments of several lines don't nest, and one without an
/// end is not a comment.
fn comment(text: &str) -> Option<usize> {
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
    fn a_byte_order_mark_is_no_part_of_a_statement() {
        assert_eq!(split("\u{feff}SELECT 1; SELECT '\u{feff}'"), ["SELECT 1", "SELECT '\u{feff}'"]);
        assert_eq!(split("\u{feff}-- only this"), [""; 0]);
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

    #[test]
    fn names_values_and_signs_are_told_apart() {
        use super::Token::*;
        let text = "INSERT INTO \"Doc\".t -- doc.x\n VALUES ('a.b', E'\\'', $$ c.d $$, 1.5, /* e.f */ $1)";
        let expected = [
            Word("INSERT"),
            Word("INTO"),
            Quoted("Doc"),
            Sign('.'),
            Word("t"),
            Word("VALUES"),
            Sign('('),
            Value,
            Sign(','),
            Value,
            Sign(','),
            Value,
            Sign(','),
            Value,
            Sign(','),
            Sign('$'),
            Value,
            Sign(')'),
        ];
        assert_eq!(tokens(text), expected);
    }

    #[test]
    fn a_word_that_ends_in_e_begins_no_string() {
        use super::Token::*;
        assert_eq!(tokens("type'a\\'b"), [Word("type"), Value, Word("b")]);
        assert_eq!(tokens("e.x"), [Word("e"), Sign('.'), Word("x")]);
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

        #[test]
        fn any_text_has_tokens(text in "[ae.'\"`$\\\\;/*\n ß1-]{0,40}") {
            tokens(&text);
        }
    }
}
