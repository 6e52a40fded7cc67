//! Tells whether a statement stays in the schema in which it is executed.
//!
//! Doubtful cases count as reaching beyond: a kind of statement that is not listed here may touch the whole cluster,
//! and a name that may have a schema before it may be shared by all tests. The price of a mistake in that direction is
//! time.

use std::collections::BTreeSet;

use crate::sql::{Token, tokens};

/// The first words of statements that act on relations and functions of the current schema, if no name says otherwise.
const WITHIN: [&[&str]; 26] = [
    &["CREATE", "TABLE"],
    &["CREATE", "VIEW"],
    &["CREATE", "OR", "REPLACE", "VIEW"],
    &["CREATE", "FUNCTION"],
    &["CREATE", "OR", "REPLACE", "FUNCTION"],
    &["ALTER", "TABLE"],
    &["DROP", "TABLE"],
    &["DROP", "VIEW"],
    &["DROP", "FUNCTION"],
    &["INSERT", "INTO"],
    &["UPDATE"],
    &["DELETE", "FROM"],
    &["COPY"],
    &["REFRESH", "TABLE"],
    &["OPTIMIZE", "TABLE"],
    &["SELECT"],
    &["WITH"],
    &["VALUES"],
    &["EXPLAIN"],
    &["BEGIN"],
    &["START", "TRANSACTION"],
    &["COMMIT"],
    &["END"],
    &["DISCARD"],
    &["DEALLOCATE"],
    &["CLOSE"],
];

/// Words before the name of a relation or a function.
const BEFORE_RELATIONS: [&str; 10] =
    ["JOIN", "INTO", "UPDATE", "TABLE", "VIEW", "FUNCTION", "COPY", "ONLY", "REFERENCES", "TO"];
/// Words that may stand between the word that announces a relation and its name.
const BETWEEN: [&str; 3] = ["IF", "NOT", "EXISTS"];

/// Says why a statement may reach beyond its schema; none if it does not.
pub(super) fn beyond(statement: &str) -> Option<String> {
    let tokens = tokens(statement);
    let begins =
        |words: &&[&str]| words.iter().enumerate().all(|(at, word)| tokens.get(at).is_some_and(|token| token.is(word)));
    if !WITHIN.iter().any(begins) {
        return Some(format!("`{}` may reach beyond the schema", kind(&tokens)));
    }
    if tokens[0].is("COPY") && tokens.iter().any(|token| token.is("TO")) {
        return Some("`COPY TO` writes outside the schema".into());
    }
    if let Some(sign) = tokens.iter().find_map(|token| match token {
        Token::Sign(sign) if !sign.is_ascii() => Some(*sign),
        _ => None,
    }) {
        return Some(format!("`{sign}` outside of quotes, so that its names can't be told"));
    }
    Names::of(&tokens).qualified()
}

/// Returns the words at the beginning that name the kind of statement.
fn kind(tokens: &[Token<'_>]) -> String {
    let words = tokens.iter().map_while(|token| match token {
        Token::Word(word) => Some(word.to_uppercase()),
        _ => None,
    });
    words.take(2).collect::<Vec<_>>().join(" ")
}

/// The names that a statement uses.
#[derive(Default)]
struct Names {
    /// Relations without a schema, and their aliases in the statement.
    relations: BTreeSet<String>,
    /// Relations with something before their name.
    with_schema: Vec<Vec<String>>,
    /// Everything else with a dot in it, and whether arguments follow.
    others: Vec<(Vec<String>, bool)>,
}

/// The state of reading between two parentheses.
#[derive(Clone, Copy, Default)]
struct Frame {
    /// Options such as those of `WITH (…)`, whose names have dots.
    options: bool,
    /// A `FROM` belongs to a `SELECT`, and not to `extract(… FROM …)`.
    selects: bool,
    /// Another relation follows after a comma.
    list: bool,
}

impl Names {
    fn of(tokens: &[Token<'_>]) -> Self {
        let mut names = Self::default();
        let mut frames = vec![Frame { selects: !tokens[0].is("COPY"), ..Frame::default() }];
        let (mut at, mut expected) = (0, false);
        while let Some(token) = tokens.get(at) {
            let last = frames.len() - 1;
            let before = at.checked_sub(1).map(|before| tokens[before]);
            match token {
                Token::Sign('(') => {
                    let options = before.is_some_and(|before| before.is_one_of(&["WITH", "SET", "RESET"]));
                    frames.push(Frame { options, ..Frame::default() });
                    expected = false;
                }
                Token::Sign(')') if last > 0 => {
                    frames.pop();
                    names.called(&tokens[at + 1..]);
                    expected = false;
                }
                Token::Sign(',') => expected = frames[last].list,
                Token::Sign(_) | Token::Value => expected = false,
                Token::Word(_) if token.is("FROM") => {
                    let relation = frames[last].selects && !before.is_some_and(|before| before.is("DISTINCT"));
                    frames[last].list |= relation;
                    expected = relation;
                }
                Token::Word(_) if token.is_one_of(&BEFORE_RELATIONS) && !followed_by_dot(tokens, at) => {
                    frames[last].list |= token.is_one_of(&["TABLE", "VIEW", "FUNCTION"]);
                    expected = true;
                }
                Token::Word(_) if token.ends_relations() && !followed_by_dot(tokens, at) => {
                    frames[last].list = false;
                    frames[last].selects |= token.is("SELECT");
                    expected = false;
                }
                Token::Word(_) if expected && token.is_one_of(&BETWEEN) => {}
                Token::Word(_) | Token::Quoted(_) => {
                    let (chain, length) = chain(&tokens[at..]);
                    let arguments = tokens.get(at + length) == Some(&Token::Sign('('));
                    match (expected, chain.len()) {
                        (true, 1) => {
                            names.relations.extend(chain);
                            names.called(&tokens[at + length..]);
                        }
                        (true, _) => names.with_schema.push(chain),
                        (false, 1) => {}
                        (false, _) if frames[last].options => {}
                        (false, _) => names.others.push((chain, arguments)),
                    }
                    expected = false;
                    at += length - 1;
                }
            }
            at += 1;
        }
        names
    }

    /// Notes the alias of a relation: `AS b`, or `b` alone.
    fn called(&mut self, after: &[Token<'_>]) {
        let name = match after {
            [word, name, ..] if word.is("AS") => name,
            [name, ..] => name,
            [] => return,
        };
        self.relations.extend(name.name());
    }

    /// Returns the first name that may have a schema before it.
    fn qualified(&self) -> Option<String> {
        let told = |chain: &[String]| format!("`{}` may name a schema", chain.join("."));
        if let Some(chain) = self.with_schema.first() {
            return Some(told(chain));
        }
        let within = |(chain, arguments): &&(Vec<String>, bool)| match (chain.as_slice(), arguments) {
            ([schema, ..], true) => schema == "pg_catalog",
            ([relation, _], false) => relation == "excluded" || self.relations.contains(relation),
            _ => false,
        };
        self.others.iter().find(|other| !within(other)).map(|(chain, _)| told(chain))
    }
}

/// Returns the names with dots between them at the beginning of `tokens`, and how many tokens they are. A `*` is a name
/// too.
fn chain(tokens: &[Token<'_>]) -> (Vec<String>, usize) {
    let mut names: Vec<String> = tokens[0].name().into_iter().collect();
    let mut length = 1;
    while let [Token::Sign('.'), next, ..] = &tokens[length..] {
        match (next.name(), next) {
            (Some(name), _) => names.push(name),
            (None, Token::Sign('*')) => names.push("*".into()),
            _ => break,
        }
        length += 2;
    }
    (names, length)
}

fn followed_by_dot(tokens: &[Token<'_>], at: usize) -> bool {
    tokens.get(at + 1) == Some(&Token::Sign('.'))
}

#[cfg(test)]
mod tests;
