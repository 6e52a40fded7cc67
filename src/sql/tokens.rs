//! The tokens of a statement, as far as somebody needs them who asks which names it uses.

use super::split::{comment, dollar_quoted, escaped_string, is_word, quoted};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword, or a name without quotes.
    Word(&'a str),
    /// What stands between quotes that make a name of it; doubled ones inside are still doubled.
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

    /// The name that this is, as the server would look for it; none for what is no name.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.to_lowercase()),
            Self::Quoted(text) => Some(text.replace("\"\"", "\"")),
            Self::Value | Self::Sign(_) => None,
        }
    }
}

/// All of them, without comments and blanks. Read by the rules of the server's lexer, as [`super::split()`] is.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, token) = token(rest, c);
        tokens.extend(token);
        at += length;
    }
    tokens
}

/// What `rest` begins with, and how long it is.
fn token(rest: &str, first: char) -> (usize, Option<Token<'_>>) {
    let named = |length: usize| {
        let inner = &rest[1..length];
        (length, Some(Token::Quoted(inner.strip_suffix(first).unwrap_or(inner))))
    };
    let sign = (first.len_utf8(), Some(Token::Sign(first)));
    match first {
        c if c.is_ascii_whitespace() => (1, None),
        '\'' => (quoted(rest, '\''), Some(Token::Value)),
        '"' | '`' => named(quoted(rest, first)),
        'e' | 'E' if rest[1..].starts_with('\'') => (escaped_string(rest).unwrap_or(rest.len()), Some(Token::Value)),
        '$' => dollar_quoted(rest).map_or(sign, |length| (length, Some(Token::Value))),
        '-' | '/' => comment(rest).map_or(sign, |length| (length, None)),
        // With all that may follow: `1.5`, `1e-5` but for its sign, `0x1f`.
        c if c.is_ascii_digit() => (run(rest, |c| is_word(c) || c == '.'), Some(Token::Value)),
        c if is_word(c) => {
            let length = run(rest, is_word);
            (length, Some(Token::Word(&rest[..length])))
        }
        _ => sign,
    }
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Token::*;
    use super::*;

    #[test]
    fn names_values_and_signs_are_told_apart() {
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
        assert_eq!(tokens("type'a\\'b"), [Word("type"), Value, Word("b")]);
        assert_eq!(tokens("e.x"), [Word("e"), Sign('.'), Word("x")]);
    }

    proptest! {
        #[test]
        fn any_text_has_tokens(text in "[ae.'\"`$\\\\;/*\n ß1-]{0,40}") {
            tokens(&text);
        }
    }
}
