//! Parser of queries.

use crate::engine::ast::{Ast, FromItem, Item, JoinKind, On, Query, QueryBody, Select};
use crate::engine::error::{Result, refuse, syntax};
use crate::engine::lex::{Token, is_reserved};
use crate::engine::parse::Parser;

/// Words after a relation or an item that are no alias there, although CrateDB doesn't reserve them.
const NO_ALIAS: &str = " window returning fetch tablesample using ";

impl Parser<'_> {
    /// Returns whether a query begins here.
    pub(super) fn is_query(&self) -> bool {
        self.is_word("select") || self.is_word("with") || (self.is_word("values") && *self.peek_at(1) == Token::Op("("))
    }

    pub(super) fn query(&mut self) -> Result<Query> {
        self.deeper(Self::query_here)
    }

    fn query_here(&mut self) -> Result<Query> {
        let with = if self.word("with") { self.list(Self::common_table)? } else { vec![] };
        let mut body = self.body()?;
        loop {
            if self.word("union") {
                let all = self.word("all");
                if !all {
                    self.word("distinct");
                }
                let right = self.body()?;
                match &mut body {
                    QueryBody::Union { more, .. } => more.push((all, right)),
                    _ => body = QueryBody::Union { left: Box::new(body), right: Box::new(right), all, more: vec![] },
                }
            } else if self.is_word("except") || self.is_word("intersect") {
                let name = if self.next() == Token::Word("except".into()) { "EXCEPT" } else { "INTERSECT" };
                self.body()?;
                body = QueryBody::Unsupported(name);
            } else {
                break;
            }
        }
        let order = if self.words(&["order", "by"]) { self.list(Self::order_item)? } else { vec![] };
        let (limit, offset) = self.window_of_rows()?;
        Ok(Query { with, body, order, limit, offset })
    }

    fn window_of_rows(&mut self) -> Result<(Option<Ast>, Option<Ast>)> {
        let (mut limit, mut offset) = (None, None);
        for _ in 0..2 {
            if limit.is_none() && self.word("limit") {
                limit = Some(if self.word("all") { Ast::Null } else { self.count()? });
            } else if limit.is_none() && self.word("fetch") {
                if !self.word("first") {
                    self.expect_word("next")?;
                }
                limit = Some(self.count()?);
                if !self.word("rows") {
                    self.expect_word("row")?;
                }
                self.expect_word("only")?;
            } else if offset.is_none() && self.word("offset") {
                offset = Some(self.count()?);
                if !self.word("rows") {
                    self.word("row");
                }
            }
        }
        Ok((limit, offset))
    }

    fn common_table(&mut self) -> Result<(String, Query)> {
        let name = self.ident()?;
        let columns = if self.is_op("(") { self.in_parens(Self::ident)? } else { vec![] };
        self.expect_word("as")?;
        self.expect_op("(")?;
        let query = self.query()?;
        self.expect_op(")")?;
        if columns.is_empty() {
            return Ok((name, query));
        }
        let source = FromItem::Alias(Box::new(FromItem::Query(Box::new(query))), name.clone(), columns);
        let renamed = Select {
            distinct: false,
            items: vec![Item::All(None)],
            from: Some(source),
            filter: None,
            group: vec![],
            having: None,
            windows: vec![],
        };
        let body = QueryBody::Select(Box::new(renamed));
        Ok((name, Query { with: vec![], body, order: vec![], limit: None, offset: None }))
    }

    fn body(&mut self) -> Result<QueryBody> {
        if self.word("values") {
            return Ok(QueryBody::Values(self.list(|p| p.in_parens(Self::expr))?));
        }
        if self.is_op("(") {
            return Err(refuse("a query in parentheses"));
        }
        self.expect_word("select")?;
        Ok(QueryBody::Select(Box::new(self.select()?)))
    }

    fn select(&mut self) -> Result<Select> {
        let distinct = self.word("distinct");
        if !distinct {
            self.word("all");
        }
        if self.is_word("from") {
            return Err(syntax("no viable alternative at input 'FROM'"));
        }
        if *self.peek() == Token::End || self.is_op(";") {
            return Err(refuse("SELECT without outputs"));
        }
        let items = self.list(Self::item)?;
        let mut from = None;
        if self.word("from") {
            let mut source = self.source()?;
            while self.op(",") {
                self.wrap()?;
                let right = Box::new(self.source()?);
                source = FromItem::Join { left: Box::new(source), right, kind: JoinKind::Comma, on: None };
            }
            from = Some(source);
        }
        let filter = if self.word("where") { Some(self.expr()?) } else { None };
        let group = if self.words(&["group", "by"]) { self.list(Self::expr)? } else { vec![] };
        let having = if self.word("having") { Some(self.expr()?) } else { None };
        let mut windows = vec![];
        if self.word("window") {
            windows = self.list(|p| {
                let name = p.ident()?;
                p.expect_word("as")?;
                Ok((name, p.window()?))
            })?;
        }
        Ok(Select { distinct, items, from, filter, group, having, windows })
    }

    pub(super) fn item(&mut self) -> Result<Item> {
        if self.op("*") {
            return Ok(Item::All(None));
        }
        let start = self.at;
        if let (Token::Word(_) | Token::Quoted(_), Token::Op(".")) = (self.peek(), self.peek_at(1)) {
            let mut name = vec![];
            while let (Token::Word(part) | Token::Quoted(part), Token::Op(".")) = (self.peek().clone(), self.peek_at(1))
            {
                name.push(part);
                self.at += 2;
                if self.op("*") {
                    return Ok(Item::All(Some(name)));
                }
            }
            self.at = start;
        }
        let expr = self.expr()?;
        Ok(Item::Expr(expr, self.alias()?))
    }

    fn alias(&mut self) -> Result<Option<String>> {
        if self.word("as") {
            return self.ident().map(Some);
        }
        match self.peek() {
            Token::Word(word) if is_reserved(word) || NO_ALIAS.contains(&format!(" {word} ")) => Ok(None),
            Token::Word(_) | Token::Quoted(_) => self.ident().map(Some),
            _ => Ok(None),
        }
    }

    fn source(&mut self) -> Result<FromItem> {
        self.deeper(|p| {
            let mut left = p.source_item()?;
            while let Some(kind) = p.join()? {
                p.wrap()?;
                let right = Box::new(p.source_item()?);
                let on = if kind == JoinKind::Cross || kind == JoinKind::Natural {
                    None
                } else if p.word("on") {
                    Some(On::Condition(p.expr()?))
                } else if p.word("using") {
                    p.expect_op("(")?;
                    let columns = p.list(Self::ident)?;
                    p.expect_op(")")?;
                    Some(On::Columns(columns))
                } else {
                    return Err(refuse("a join without ON and USING"));
                };
                left = FromItem::Join { left: Box::new(left), right, kind, on };
            }
            Ok(left)
        })
    }

    fn join(&mut self) -> Result<Option<JoinKind>> {
        let kind = if self.word("cross") {
            JoinKind::Cross
        } else if self.word("inner") {
            JoinKind::Inner
        } else if self.word("left") {
            self.word("outer");
            JoinKind::Left
        } else if self.word("right") {
            self.word("outer");
            JoinKind::Right
        } else if self.word("full") {
            self.word("outer");
            JoinKind::Full
        } else if self.word("natural") {
            JoinKind::Natural
        } else if self.word("join") {
            return Ok(Some(JoinKind::Inner));
        } else {
            return Ok(None);
        };
        self.expect_word("join")?;
        Ok(Some(kind))
    }

    fn source_item(&mut self) -> Result<FromItem> {
        let source = if self.op("(") {
            if !self.is_query() {
                let source = self.source()?;
                self.expect_op(")")?;
                return match self.alias()? {
                    None => Ok(source),
                    Some(_) => Err(refuse("an alias of a relation in parentheses")),
                };
            }
            let query = self.query()?;
            self.expect_op(")")?;
            FromItem::Query(Box::new(query))
        } else {
            let name = self.name()?;
            if self.op("(") {
                let args = if self.is_op(")") { vec![] } else { self.list(Self::expr)? };
                self.expect_op(")")?;
                FromItem::Function(name, args)
            } else {
                FromItem::Relation(name)
            }
        };
        let Some(alias) = self.alias()? else {
            return match source {
                FromItem::Query(_) if self.is_op("(") => Err(syntax("a query needs a name")),
                source => Ok(source),
            };
        };
        let columns = if self.is_op("(") { self.in_parens(Self::ident)? } else { vec![] };
        Ok(FromItem::Alias(Box::new(source), alias, columns))
    }
}
