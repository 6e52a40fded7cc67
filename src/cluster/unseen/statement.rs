//! Reads from a statement which tables it makes, writes, reads and refreshes, as far as its words tell.

use crate::sql::{Token, tokens};

/// Schemas whose tables no test writes. Their rows need no refresh.
const OF_THE_SERVER: [&str; 4] = ["sys", "information_schema", "pg_catalog", "blob"];
/// Functions that return a row whether they find one or not.
const AGGREGATES: [&str; 8] = ["count", "sum", "avg", "min", "max", "mean", "any_value", "array_agg"];

/// The effect of a statement on what searches see. Tables are named without their schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Makes a table with this primary key.
    Make {
        table: String,
        key: Vec<String>,
    },
    Read(Read),
    Write(String),
    Refresh(String),
    RefreshAll,
    Forget(String),
    ForgetAll,
}

/// A search.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) tables: Vec<String>,
    /// The word that it begins with.
    pub(super) kind: &'static str,
    /// It changes the rows that it finds.
    pub(super) changes: bool,
    /// It returns a row also if it finds none.
    pub(super) aggregates: bool,
    /// It has a condition or a limit.
    pub(super) filters: bool,
    /// The columns that have to be equal to a value, if all other conditions are joined by AND.
    pinned: Vec<String>,
}

impl Read {
    /// Returns true if the server looks rows up by their primary key, and so sees them without a refresh. Of a table
    /// that the test did not make, `id` is taken for its key.
    pub(super) fn looks_up(&self, key: Option<&[String]>) -> bool {
        let pins = |column: &str| self.pinned.iter().any(|pinned| pinned == column);
        let by_key = match key {
            Some(key) => !key.is_empty() && key.iter().all(|column| pins(column)),
            None => pins("id"),
        };
        self.tables.len() == 1 && (by_key || pins("_id"))
    }

    pub(super) fn verb(&self) -> &'static str {
        match self.kind {
            "SELECT" => "found",
            "COPY" => "exported",
            "INSERT" => "inserted",
            _ => "changed",
        }
    }
}

/// Returns the effects of a statement, in their order.
pub(super) fn parse(stmt: &str) -> Vec<Act> {
    let tokens = tokens(stmt);
    let starts = |words: &[&str]| words.iter().enumerate().all(|(at, word)| tokens.get(at).is_some_and(|t| t.is(word)));
    let named = |at: usize| name_at(&tokens, skip_if_exists(&tokens, at)).map(|(name, _)| name);
    let found = |kind, changes| search(&tokens, kind, changes).map(Act::Read);
    if starts(&["SELECT"]) || starts(&["WITH"]) || tokens.first() == Some(&Token::Sign('(')) {
        found("SELECT", false).into_iter().collect()
    } else if starts(&["INSERT", "INTO"]) {
        found("INSERT", true).into_iter().chain(named(2).map(Act::Write)).collect()
    } else if starts(&["UPDATE"]) {
        changed(&tokens, named(1), "UPDATE")
    } else if starts(&["DELETE", "FROM"]) {
        changed(&tokens, named(2), "DELETE")
    } else if starts(&["COPY"]) {
        copied(&tokens)
    } else if starts(&["CREATE", "TABLE"]) {
        made(&tokens)
    } else if starts(&["REFRESH", "TABLE"]) || starts(&["OPTIMIZE", "TABLE"]) {
        list(&tokens, 2).into_iter().map(Act::Refresh).collect()
    } else if starts(&["REFRESH"]) {
        vec![Act::RefreshAll]
    } else if starts(&["DROP", "TABLE"]) || starts(&["ALTER", "TABLE"]) {
        named(2).map(Act::Forget).into_iter().collect()
    } else if starts(&["ALTER", "CLUSTER"]) || starts(&["DROP", "SCHEMA"]) || starts(&["RESTORE"]) {
        vec![Act::ForgetAll]
    } else {
        Vec::new()
    }
}

/// Returns the effects of a statement that changes rows of a table. It finds them by a search, unless by their key.
fn changed(tokens: &[Token<'_>], table: Option<String>, kind: &'static str) -> Vec<Act> {
    let Some(table) = table else { return Vec::new() };
    let mut read = search(tokens, kind, true).unwrap_or_default();
    (read.kind, read.changes) = (kind, true);
    if !read.tables.contains(&table) {
        read.tables.insert(0, table.clone());
    }
    conditions(tokens, &mut read);
    vec![Act::Read(read), Act::Write(table)]
}

fn copied(tokens: &[Token<'_>]) -> Vec<Act> {
    match (name_at(tokens, 1), tokens.iter().find(|token| token.is_one_of(&["FROM", "TO"]))) {
        (Some((table, _)), Some(word)) if word.is("FROM") => vec![Act::Write(table)],
        (Some((table, _)), Some(_)) => {
            vec![Act::Read(Read { tables: vec![table], kind: "COPY", changes: true, ..Read::default() })]
        }
        _ => search(tokens, "COPY", true).map(Act::Read).into_iter().collect(),
    }
}

fn made(tokens: &[Token<'_>]) -> Vec<Act> {
    let Some((table, next)) = name_at(tokens, skip_if_exists(tokens, 2)) else { return Vec::new() };
    // One that may have been there is not known.
    if tokens.get(2).is_some_and(|token| token.is("IF")) {
        return vec![Act::Forget(table)];
    }
    let key = if tokens.get(next) == Some(&Token::Sign('(')) { key(&tokens[next..]) } else { Vec::new() };
    let make = Act::Make { table: table.clone(), key };
    match search(&tokens[next..], "INSERT", true) {
        Some(read) => vec![Act::Read(read), make, Act::Write(table)],
        None => vec![make],
    }
}

/// Returns the columns of the primary key. The tokens begin with the parenthesis before the first column.
fn key(tokens: &[Token<'_>]) -> Vec<String> {
    let (mut depth, mut at, mut column, mut begins) = (0, 0, None, true);
    let mut key = Vec::new();
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Sign('(' | '[') => depth += 1,
            Token::Sign(')' | ']') => depth -= 1,
            Token::Sign(',') if depth == 1 => begins = true,
            Token::Word(_) if depth == 1 && token.is("PRIMARY") => match tokens.get(at + 2) {
                Some(Token::Sign('(')) => key.extend(list(tokens, at + 3)),
                _ => key.extend(column.clone()),
            },
            _ if depth == 1 && begins => (column, begins) = (token.name(), false),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        at += 1;
    }
    key
}

/// Reads the search in a statement; none if it reads no table.
fn search(tokens: &[Token<'_>], kind: &'static str, changes: bool) -> Option<Read> {
    let mut read = Read { kind, changes, ..Read::default() };
    // Of each parenthesis: it holds a SELECT, and names of tables may follow after a comma.
    let (mut frames, mut expected, mut at) = (vec![(false, false)], false, 0);
    while let Some(token) = tokens.get(at) {
        let last = frames.len() - 1;
        let before = at.checked_sub(1).map(|before| tokens[before]);
        match token {
            Token::Sign('(') => frames.push((false, false)),
            Token::Sign(')') if last > 0 => drop(frames.pop()),
            Token::Sign(',') => {
                expected = frames[last].1;
                at += 1;
                continue;
            }
            Token::Word(_) if token.is("SELECT") => frames[last] = (true, false),
            Token::Word(_) if token.is("FROM") && frames[last].0 => {
                let list = !before.is_some_and(|before| before.is("DISTINCT"));
                (frames[last].1, expected) = (list, list);
                at += 1;
                continue;
            }
            Token::Word(_) if token.is("JOIN") => {
                expected = true;
                at += 1;
                continue;
            }
            Token::Word(_) if token.ends_relations() => frames[last].1 = false,
            Token::Word(_) | Token::Quoted(_) if expected => {
                if let Some((name, next)) = name_at(tokens, at).filter(|(_, next)| !opens(tokens, *next)) {
                    read.tables.extend(Some(name).filter(|name| !read.tables.contains(name)));
                    at = next - 1;
                }
            }
            Token::Word(word) if opens(tokens, at + 1) => {
                read.aggregates |= AGGREGATES.iter().any(|name| word.eq_ignore_ascii_case(name));
            }
            _ => {}
        }
        expected = false;
        at += 1;
    }
    // A group that has no row is not there.
    read.aggregates &= !tokens.iter().any(|token| token.is("GROUP"));
    conditions(tokens, &mut read);
    (!read.tables.is_empty()).then_some(read)
}

/// Reads the conditions outside of parentheses.
fn conditions(tokens: &[Token<'_>], read: &mut Read) {
    let Some(begin) = tokens.iter().position(|token| token.is("WHERE")) else {
        read.filters = tokens.iter().any(|token| token.is_one_of(&["LIMIT", "OFFSET", "HAVING"]));
        return;
    };
    read.filters = true;
    let (mut depth, mut pinned) = (0, Vec::new());
    for (at, token) in tokens.iter().enumerate().skip(begin + 1) {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            Token::Word(_) if depth == 0 && token.is("OR") => return,
            Token::Word(_) if depth == 0 && token.ends_relations() => break,
            _ if depth == 0 => {
                let next = tokens.get(at + 1);
                if next == Some(&Token::Sign('=')) || next.is_some_and(|next| next.is("IN")) {
                    pinned.extend(token.name());
                }
            }
            _ => {}
        }
    }
    read.pinned = pinned;
}

/// Returns the names of a list, which ends where no comma follows.
fn list(tokens: &[Token<'_>], mut at: usize) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((name, next)) = name_at(tokens, at) {
        names.push(name);
        at = next;
        // `REFRESH TABLE t PARTITION (day = 1)`
        if tokens.get(at).is_some_and(|token| token.is("PARTITION")) {
            at += tokens[at..].iter().position(|token| *token == Token::Sign(')')).map_or(1, |end| end + 1);
        }
        if tokens.get(at) != Some(&Token::Sign(',')) {
            break;
        }
        at += 1;
    }
    names
}

/// Returns the last name of a chain of names, and where the chain ends; none for one of the server's own tables.
fn name_at(tokens: &[Token<'_>], at: usize) -> Option<(String, usize)> {
    let mut names = vec![tokens.get(at)?.name()?];
    let mut next = at + 1;
    while tokens.get(next) == Some(&Token::Sign('.')) {
        names.push(tokens.get(next + 1)?.name()?);
        next += 2;
    }
    let own = names.len() < 2 || !OF_THE_SERVER.contains(&names[names.len() - 2].as_str());
    Some((names.pop()?, next)).filter(|_| own)
}

fn skip_if_exists(tokens: &[Token<'_>], at: usize) -> usize {
    at + tokens[at.min(tokens.len())..].iter().take_while(|token| token.is_one_of(&["IF", "NOT", "EXISTS"])).count()
}

fn opens(tokens: &[Token<'_>], at: usize) -> bool {
    tokens.get(at) == Some(&Token::Sign('('))
}
