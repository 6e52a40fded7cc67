//! The parser: tools for every part of the grammar, and the choice of statement.
//!
//! The grammar is a whitelist. Unknown syntax is refused; it is a syntax error only if CrateDB's grammar certainly
//! rejects it.

mod ddl;
mod expr;
mod primary;
mod query;
mod statement;

use super::ast::{Name, Statement};
use super::error::{Fault, Result, SqlError, invalid, refuse, syntax};
use super::lex::{Token, is_reserved, tokens};
use super::types::Type;
use super::value::{Value, java_double};
use std::collections::BTreeSet;

/// The deepest nesting of a statement's tree: no input may exhaust the stack. Operators of one precedence are one node,
/// however many there are; all that makes the tree deeper is counted by [`Parser::wrap`].
const DEPTH: usize = 60;

/// Words with which a statement of CrateDB can begin.
const BEGINNINGS: &str = " select deallocate fetch end with create alter kill close begin start commit analyze discard explain show \
optimize refresh restore drop insert values delete update set reset copy grant deny revoke declare ";

pub(crate) struct Parser<'a> {
    sql: &'a str,
    tokens: Vec<Token>,
    at: usize,
    /// Levels around this place.
    depth: usize,
    /// Levels of the deepest part that was parsed in the innermost scope.
    height: usize,
    /// Number of `?` seen.
    params: usize,
}

/// Parses exactly one statement.
pub(crate) fn statement(sql: &str) -> Result<Statement> {
    let mut parser = Parser::new(sql)?;
    match parser.peek() {
        Token::End => return Ok(Statement::Nothing),
        Token::Word(word) if BEGINNINGS.contains(&format!(" {word} ")) => {}
        Token::Op(";") if *parser.peek_at(1) == Token::End => return Ok(Statement::Nothing),
        Token::Op(";") => return Err(syntax("extraneous input ';'")),
        _ => return Err(syntax("a statement can't begin like this")),
    }
    let statement = parser.statement()?;
    let ended = parser.op(";");
    match parser.peek() {
        Token::End => Ok(statement),
        _ if ended => Err(syntax("only one statement is accepted")),
        // None of these continues the statement so far.
        Token::Text(_)
        | Token::Number(_)
        | Token::Escaped(..)
        | Token::Bits(_)
        | Token::Op("@" | "~" | ")" | "]" | "}") => Err(syntax("extraneous input after the statement")),
        Token::Word(word) if word == "select" || word == "using" => Err(syntax(format!("extraneous input '{word}'"))),
        // ORDER and GROUP without BY.
        Token::Word(word) if word == "order" || word == "group" => {
            Err(syntax(format!("mismatched input after {word}")))
        }
        _ if is_whole(&statement) => Err(syntax("extraneous input after the statement")),
        token => Err(refuse(format!("the statement from {token:?} on"))),
    }
}

/// Returns whether this engine's grammar of a statement is all of CrateDB's, so that nothing more can follow.
fn is_whole(statement: &Statement) -> bool {
    match statement {
        Statement::DropTable(..)
        | Statement::DropView(..)
        | Statement::DropUser(..)
        | Statement::DropSchema { .. }
        | Statement::Analyze
        | Statement::CreateUser { .. } => true,
        Statement::CreateTable(create) => create.query.is_none() && create.like.is_none(),
        _ => false,
    }
}

/// Parses any number of statements, separated by `;`. Parameters have no values then.
pub(crate) fn statements(sql: &str) -> Result<Vec<Statement>> {
    let mut parser = Parser::new(sql)?;
    let mut out = vec![];
    while *parser.peek() != Token::End {
        match parser.peek() {
            Token::Word(word) if BEGINNINGS.contains(&format!(" {word} ")) => {}
            Token::Op(";") => {
                parser.next();
                continue;
            }
            _ => return Err(syntax("a statement can't begin like this")),
        }
        out.push(parser.statement()?);
        match parser.peek() {
            Token::End => {}
            Token::Op(";") => drop(parser.next()),
            token => return Err(refuse(format!("the statement from {token:?} on"))),
        }
    }
    Ok(out)
}

/// Returns the name of the table or view that `sql` would make, as far as it can be read.
pub(crate) fn made(sql: &str) -> Option<Name> {
    let mut parser = Parser::new(sql).ok()?;
    if !parser.word("create") {
        return None;
    }
    let _ = parser.words(&["or", "replace"]) || parser.word("blob") || parser.word("foreign");
    if !parser.word("table") && !parser.word("view") {
        return None;
    }
    parser.words(&["if", "not", "exists"]);
    parser.name().ok()
}

/// Returns the highest number of a parameter in `sql`.
pub(crate) fn parameters(sql: &str) -> Result<usize> {
    let tokens = tokens(sql)?;
    let unnumbered = tokens.iter().filter(|token| **token == Token::Param(0)).count();
    let numbered = tokens.iter().map(|token| if let Token::Param(n) = token { *n } else { 0 }).max();
    Ok(unnumbered.max(numbered.unwrap_or(0)))
}

/// Words the error of a conversion as CrateDB does for a literal, whose type it knows. Arguments and values of columns
/// are shown without.
pub(crate) fn conversion_error(e: SqlError, sql: &str, args: &[(Value, Type)]) -> SqlError {
    let Fault::Conversion(value, to) = &e.fault else { return e };
    let is_argument = args.iter().any(|(argument, _)| match argument {
        Value::Text(t) => t == value,
        Value::Int(n) => n.to_string() == *value,
        _ => false,
    });
    if is_argument || to == "object" {
        return e;
    }
    let literal = tokens(sql).unwrap_or_default().into_iter().find_map(|token| match token {
        Token::Text(t) if t == *value => Some((format!("'{}'", t.replace('\'', "''")), "text")),
        Token::Number(n) if n == *value => match n.parse::<i64>() {
            Ok(n) if i32::try_from(n).is_ok() => Some((n.to_string(), "integer")),
            Ok(n) => Some((format!("{n}::bigint"), "bigint")),
            Err(_) => None,
        },
        Token::Number(n) if n.parse().is_ok_and(|d| java_double(d) == *value) => {
            Some((value.clone(), "double precision"))
        }
        _ => None,
    });
    match literal {
        Some((shown, from)) => invalid(format!("Cannot cast `{shown}` of type `{from}` to type `{to}`")),
        None => e,
    }
}

/// Returns whether a parameter has a number while one before it is missing.
pub(crate) fn skips_parameters(sql: &str) -> Result<bool> {
    if !sql.contains('$') {
        return Ok(false);
    }
    let tokens = tokens(sql)?;
    let mut unnumbered = 0;
    let numbers: BTreeSet<usize> = tokens
        .iter()
        .filter_map(|token| if let Token::Param(n) = token { Some(*n) } else { None })
        .map(|n| {
            unnumbered += usize::from(n == 0);
            if n == 0 { unnumbered } else { n }
        })
        .collect();
    Ok(numbers.last().is_some_and(|last| *last > numbers.len()))
}

impl<'a> Parser<'a> {
    fn new(sql: &'a str) -> Result<Parser<'a>> {
        Ok(Parser { sql, tokens: tokens(sql)?, at: 0, depth: 0, height: 0, params: 0 })
    }
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn peek_at(&self, offset: usize) -> &Token {
        self.tokens.get(self.at + offset).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if w == word)
    }

    fn is_op(&self, op: &str) -> bool {
        matches!(self.peek(), Token::Op(o) if *o == op)
    }

    fn op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        if found {
            self.next();
        }
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    /// Takes all of `words` in a row, or none.
    fn words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(i, word)| matches!(self.peek_at(i), Token::Word(w) if w == word));
        if found {
            self.at += words.len();
        }
        found
    }

    /// Returns the error for an unknown token, which CrateDB may know.
    fn unexpected(&self) -> SqlError {
        match self.peek() {
            Token::End => syntax("unexpected end of the statement"),
            Token::Op("@") => syntax("unexpected @"),
            token => refuse(format!("{token:?} at this place")),
        }
    }

    fn expect_op(&mut self, op: &str) -> Result<()> {
        if self.op(op) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_words(&mut self, words: &[&str]) -> Result<()> {
        words.iter().try_for_each(|word| self.expect_word(word))
    }

    /// Parses a name of one part.
    fn ident(&mut self) -> Result<String> {
        match self.peek() {
            Token::Word(word) if is_reserved(word) => Err(syntax(format!("{word} is reserved"))),
            Token::Word(_) | Token::Quoted(_) => match self.next() {
                Token::Word(word) | Token::Quoted(word) => Ok(word),
                _ => unreachable!("peeked at a word"),
            },
            Token::Text(_) | Token::Number(_) => Err(syntax("a name is expected")),
            _ => Err(self.unexpected()),
        }
    }

    fn name(&mut self) -> Result<Name> {
        let mut parts = vec![self.ident()?];
        while self.op(".") {
            parts.push(self.ident()?);
        }
        Ok(parts)
    }

    fn names(&mut self) -> Result<Vec<Name>> {
        self.list(Self::name)
    }

    /// Parses one or more, separated by commas.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut out = vec![item(self)?];
        while self.op(",") {
            out.push(item(self)?);
        }
        Ok(out)
    }

    /// Parses one or more in parentheses.
    fn in_parens<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_op("(")?;
        let out = self.list(item)?;
        self.expect_op(")")?;
        Ok(out)
    }

    fn text(&mut self) -> Result<String> {
        match self.next() {
            Token::Text(text) => Ok(text),
            token => Err(refuse(format!("{token:?} where a string is expected"))),
        }
    }

    /// Parses a part that is one level deeper than this place.
    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH {
            return Err(refuse("a statement nested this deep"));
        }
        self.depth += 1;
        let out = self.scope(|parser| {
            let out = work(parser)?;
            parser.wrap()?;
            Ok(out)
        });
        self.depth -= 1;
        out
    }

    /// Parses a part whose levels are counted apart from those of the parts beside it.
    fn scope<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let beside = std::mem::take(&mut self.height);
        let out = work(self);
        self.height = self.height.max(beside);
        out
    }

    /// Counts a level around all that was parsed in this scope, as each further join or cast is one.
    fn wrap(&mut self) -> Result<()> {
        self.height += 1;
        if self.height > DEPTH { Err(refuse("a statement nested this deep")) } else { Ok(()) }
    }
}
