//! Splits a statement into tokens.

use super::error::{Result, refuse, syntax};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// Unquoted, folded to lower case. Keywords are words, too.
    Word(String),
    Quoted(String),
    Text(String),
    /// `E'…'`: as written, and its value.
    Escaped(String, String),
    Bits(String),
    Number(String),
    /// `?` is 0, `$n` is n.
    Param(usize),
    Op(&'static str),
    End,
}

/// Operators, longest first.
const OPERATORS: [&str; 36] = [
    "!~*", "::", "<>", "!=", "<=", ">=", "<<", "||", "&&", "~*", "!~", "[]", "<", ">", "=", "~", "+", "-", "*", "/",
    "%", "^", "&", "|", "#", "(", ")", "[", "]", "{", "}", ",", ".", ";", ":", "@",
];

/// Words that can't be used as a name without quotes.
const RESERVED: &str = " add all alter and any array as asc between by called case cast column constraint costs create cross \
current_catalog current_role current_user default delete deny desc describe directory distinct drop else end escape except \
exists extract false first for from full function grant group having if in index inner input insert intersect into is join last \
left like limit match natural not null nulls object offset on or order outer persistent recursive reset returns revoke right \
select session_user set some stratify table then transient true try_cast unbounded union update user using when where with ";

pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&format!(" {word} "))
}

/// Returns the tokens of `sql`, ended by `Token::End`.
pub(crate) fn tokens(sql: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { sql, at: 0 };
    let mut out = Vec::new();
    while let Some(token) = lexer.next()? {
        out.push(token);
    }
    out.push(Token::End);
    Ok(out)
}

struct Lexer<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.sql[self.at..]
    }

    fn skip_space(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("--") {
                self.at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                let end = comment.find("*/").ok_or_else(|| refuse("an unfinished comment"))?;
                self.at += end + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Option<Token>> {
        self.skip_space()?;
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return Ok(None) };
        let token = match c {
            '\'' => Token::Text(self.delimited(1, '\'')?),
            '"' => Token::Quoted(self.delimited(1, '"')?),
            'e' | 'E' if rest[1..].starts_with('\'') => self.escaped()?,
            'b' | 'B' if rest[1..].starts_with('\'') => {
                let bits = self.delimited(2, '\'')?;
                if bits.bytes().any(|b| b != b'0' && b != b'1') {
                    return Err(syntax("a bit string may only contain 0 and 1"));
                }
                Token::Bits(bits)
            }
            'a'..='z' | 'A'..='Z' | '_' => self.word(),
            '0'..='9' => self.number()?,
            '.' if rest[1..].starts_with(|d: char| d.is_ascii_digit()) => self.number()?,
            '$' => self.dollar()?,
            '?' => {
                self.at += 1;
                Token::Param(0)
            }
            _ => self.operator(c)?,
        };
        Ok(Some(token))
    }

    /// Reads a text up to its closing `quote`. A doubled one stands for itself.
    fn delimited(&mut self, open: usize, quote: char) -> Result<String> {
        self.at += open;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let end = rest.find(quote).ok_or_else(|| syntax(format!("unfinished {quote}")))?;
            out.push_str(&rest[..end]);
            self.at += end + 1;
            if !self.rest().starts_with(quote) {
                return Ok(out);
            }
            out.push(quote);
            self.at += 1;
        }
    }

    fn escaped(&mut self) -> Result<Token> {
        let raw_start = self.at + 2;
        self.at = raw_start;
        let mut out = String::new();
        let mut chars = self.rest().char_indices().peekable();
        while let Some((i, c)) = chars.next() {
            match c {
                '\'' if chars.peek().is_some_and(|p| p.1 == '\'') => {
                    chars.next();
                    out.push('\'');
                }
                '\'' => {
                    let raw = self.sql[raw_start..raw_start + i].to_owned();
                    self.at = raw_start + i + 1;
                    return Ok(Token::Escaped(raw, out));
                }
                '\\' => match chars.next().map(|p| p.1) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('b') => out.push('\u{8}'),
                    Some('f') => out.push('\u{c}'),
                    Some(c @ ('\\' | '\'')) => out.push(c),
                    _ => return Err(refuse("this escape in an E'' string")),
                },
                c => out.push(c),
            }
        }
        Err(syntax("unfinished E''"))
    }

    fn word(&mut self) -> Token {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '@')).unwrap_or(rest.len());
        self.at += end;
        Token::Word(rest[..end].to_ascii_lowercase())
    }

    fn number(&mut self) -> Result<Token> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut end = digits(0);
        if bytes.get(end) == Some(&b'.') {
            end += 1 + digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits((end + 1 + sign).min(bytes.len()));
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
        match bytes.get(end) {
            Some(b'_') => Err(refuse("a number grouped with underscores")),
            Some(b) if b.is_ascii_alphabetic() || *b == b'@' => Err(syntax("identifiers must not start with a digit")),
            _ => {
                self.at += end;
                Ok(Token::Number(rest[..end].to_owned()))
            }
        }
    }

    fn dollar(&mut self) -> Result<Token> {
        let rest = &self.rest()[1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            self.at += 1 + digits;
            let n =
                rest[..digits].parse::<u16>().ok().filter(|n| *n > 0).ok_or_else(|| refuse("this parameter number"))?;
            return Ok(Token::Param(n.into()));
        }
        let tag_end = rest.find('$').ok_or_else(|| refuse("a lone $"))?;
        let tag = &rest[..tag_end];
        if tag.starts_with(|c: char| c.is_ascii_digit())
            || tag.bytes().any(|b| !(b.is_ascii_alphanumeric() || b == b'_'))
        {
            return Err(refuse("a lone $"));
        }
        let (body, close) = (&rest[tag_end + 1..], format!("${tag}$"));
        let end = body.find(&close).ok_or_else(|| refuse("an unfinished dollar-quoted string"))?;
        self.at += 1 + tag_end + 1 + end + close.len();
        Ok(Token::Text(body[..end].to_owned()))
    }

    fn operator(&mut self, c: char) -> Result<Token> {
        let rest = self.rest();
        match OPERATORS.iter().find(|op| rest.starts_with(**op)) {
            Some(op) => {
                self.at += op.len();
                Ok(Token::Op(op))
            }
            None => Err(refuse(format!("the character {c}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fold_and_quotes_do_not() {
        let got = tokens("Ab \"Cd\"\"e\" 'it''s' E'a\\n' $$d$$ $2 ? 1.5e3 .5 -- end").unwrap();
        let want = [
            Token::Word("ab".into()),
            Token::Quoted("Cd\"e".into()),
            Token::Text("it's".into()),
            Token::Escaped("a\\n".into(), "a\n".into()),
            Token::Text("d".into()),
            Token::Param(2),
            Token::Param(0),
            Token::Number("1.5e3".into()),
            Token::Number(".5".into()),
            Token::End,
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn unfinished_things_are_errors() {
        for bad in ["'", "\"", "E'", "$$", "/*", "0x1F", "1abc", "b'2'"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }
}
