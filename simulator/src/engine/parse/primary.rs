//! Parser of literals, function calls and windows.

use super::expr::call;
use crate::engine::ast::{Ast, Following, Frame, FunctionCall, Order, Window};
use crate::engine::decimal::Decimal;
use crate::engine::error::{Result, refuse, syntax};
use crate::engine::lex::{Token, is_reserved};
use crate::engine::parse::Parser;

const SPECIAL: [&str; 7] = [
    "current_timestamp",
    "current_date",
    "current_time",
    "current_schema",
    "current_user",
    "current_catalog",
    "session_user",
];

impl Parser<'_> {
    pub(super) fn literal(&mut self, ast: Ast) -> Ast {
        self.next();
        ast
    }

    pub(super) fn number(&mut self, text: &str) -> Result<Ast> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let digits = text.trim_start_matches('0');
            return Ok(Ast::Int(if digits.is_empty() { "0".into() } else { digits.into() }));
        }
        let precise = Decimal::parse(text).ok_or_else(|| refuse(format!("the number {text}")));
        if !text.contains(['e', 'E']) && precise?.digits.unsigned_abs() >= 10u128.pow(18) {
            return Ok(Ast::Numeric(text.into()));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Ast::Double(number)),
            _ => Err(refuse(format!("the number {text}"))),
        }
    }

    pub(super) fn array(&mut self) -> Result<Ast> {
        let items = if self.is_op("]") { vec![] } else { self.list(Self::expr)? };
        self.expect_op("]")?;
        Ok(Ast::Array(items))
    }

    pub(super) fn object(&mut self) -> Result<Ast> {
        self.expect_op("{")?;
        let mut fields: Vec<(String, Ast)> = vec![];
        if !self.is_op("}") {
            fields = self.list(|p| {
                let key = p.ident()?;
                p.expect_op("=")?;
                Ok((key, p.expr()?))
            })?;
        }
        self.expect_op("}")?;
        let twice = fields.iter().enumerate().any(|(i, f)| fields[..i].iter().any(|g| g.0 == f.0));
        if twice { Err(refuse("an object with one key twice")) } else { Ok(Ast::Object(fields)) }
    }

    pub(super) fn word_primary(&mut self, word: &str) -> Result<Ast> {
        let called = *self.peek_at(1) == Token::Op("(");
        if !called && *self.peek_at(1) != Token::Op(".") {
            if let Some(special) = SPECIAL.iter().find(|s| **s == word) {
                return Ok(self.literal(Ast::Special(special)));
            }
            if word == "user" || word == "current_role" {
                return Ok(self.literal(Ast::Special("current_user")));
            }
        }
        match word {
            "null" => Ok(self.literal(Ast::Null)),
            "true" => Ok(self.literal(Ast::Bool(true))),
            "false" => Ok(self.literal(Ast::Bool(false))),
            "case" => self.case(),
            "cast" | "try_cast" => self.cast(word == "try_cast"),
            "exists" => {
                self.next();
                self.expect_op("(")?;
                let query = self.query()?;
                self.expect_op(")")?;
                Ok(Ast::Exists(Box::new(query)))
            }
            "array" => self.array_word(),
            "interval" if matches!(self.peek_at(1), Token::Text(_)) => self.interval(),
            "left" | "right" | "if" | "substring" | "position" | "trim" | "extract" if called => {
                self.special_call(word)
            }
            "match" | "default" => Err(refuse(word.to_ascii_uppercase())),
            _ if is_reserved(word) => Err(syntax(format!("{word} is reserved"))),
            // A type before a string is a cast.
            "timestamp" if matches!(self.peek_at(1), Token::Word(w) if w == "with" || w == "without") => {
                self.typed_literal()
            }
            _ if matches!(self.peek_at(1), Token::Text(_)) => self.typed_literal(),
            _ => self.column_or_call(),
        }
    }

    fn typed_literal(&mut self) -> Result<Ast> {
        let to = self.type_name()?;
        Ok(Ast::Cast { value: Box::new(Ast::Text(self.text()?)), to, lenient: false })
    }

    fn interval(&mut self) -> Result<Ast> {
        const UNITS: [&str; 6] = ["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"];
        self.next();
        let text = self.text()?;
        let Some(unit) = UNITS.into_iter().find(|unit| self.word(&unit.to_ascii_lowercase())) else {
            return Ok(Ast::Interval(text));
        };
        match text.parse() {
            Ok(n) if !self.is_word("to") && !text.starts_with('+') => Ok(Ast::IntervalOf(n, unit)),
            _ => Err(refuse("an interval with these fields")),
        }
    }

    fn array_word(&mut self) -> Result<Ast> {
        self.next();
        match self.next() {
            Token::Op("[") => self.array(),
            Token::Op("[]") => Ok(Ast::Array(vec![])),
            Token::Op("(") if self.is_query() => {
                let query = self.query()?;
                self.expect_op(")")?;
                Ok(Ast::ArrayQuery(Box::new(query)))
            }
            _ => Err(refuse("ARRAY at this place")),
        }
    }

    fn case(&mut self) -> Result<Ast> {
        self.next();
        let operand = if self.is_word("when") { None } else { Some(Box::new(self.expr()?)) };
        let mut whens = vec![];
        while self.word("when") {
            let condition = self.expr()?;
            self.expect_word("then")?;
            whens.push((condition, self.expr()?));
        }
        let otherwise = if self.word("else") { Some(Box::new(self.expr()?)) } else { None };
        self.expect_word("end")?;
        if whens.is_empty() { Err(syntax("CASE without WHEN")) } else { Ok(Ast::Case { operand, whens, otherwise }) }
    }

    fn cast(&mut self, lenient: bool) -> Result<Ast> {
        self.next();
        self.expect_op("(")?;
        let value = Box::new(self.expr()?);
        self.expect_word("as")?;
        let to = self.type_name()?;
        self.expect_op(")")?;
        Ok(Ast::Cast { value, to, lenient })
    }

    /// Parses functions with a grammar of their own.
    fn special_call(&mut self, word: &str) -> Result<Ast> {
        self.next();
        self.expect_op("(")?;
        let out = match word {
            "extract" => {
                let (Token::Word(field) | Token::Text(field)) = self.next() else { return Err(refuse("this EXTRACT")) };
                self.expect_word("from")?;
                Ast::Extract(field.to_ascii_uppercase(), Box::new(self.expr()?))
            }
            "position" => {
                let part = self.value()?;
                self.expect_word("in")?;
                call("strpos", vec![self.expr()?, part])
            }
            "trim" => self.trim()?,
            "if" => {
                let mut args = self.list(Self::expr)?.into_iter().map(Box::new);
                match (args.next(), args.next(), args.next(), args.next()) {
                    (Some(a), Some(b), c, None) => Ast::If(a, b, c),
                    _ => return Err(syntax("IF takes two or three arguments")),
                }
            }
            "substring" => {
                let mut args = vec![self.expr()?];
                if self.op(",") {
                    args.extend(self.list(Self::expr)?);
                    self.expect_op(")")?;
                    return Ok(call(word, args));
                }
                self.expect_word("from")?;
                args.push(self.expr()?);
                if self.word("for") {
                    args.push(self.expr()?);
                }
                call(word, args)
            }
            _ => call(word, self.list(Self::expr)?),
        };
        self.expect_op(")")?;
        Ok(out)
    }

    fn trim(&mut self) -> Result<Ast> {
        let mode = ["leading", "trailing", "both"].into_iter().find(|mode| self.word(mode));
        let of = |target, characters| {
            let mode = mode.unwrap_or("both").to_ascii_uppercase();
            call("trim", vec![target, characters, Ast::Text(mode)])
        };
        if self.word("from") {
            return Ok(of(self.expr()?, Ast::Text(" ".into())));
        }
        let first = self.expr()?;
        if self.word("from") {
            return Ok(of(self.expr()?, first));
        }
        if mode.is_none() {
            let rest = if self.op(",") { self.list(Self::expr)? } else { vec![] };
            return Ok(call("trim", std::iter::once(first).chain(rest).collect()));
        }
        Err(refuse("this TRIM"))
    }

    pub(super) fn column_or_call(&mut self) -> Result<Ast> {
        let name = self.name()?;
        if !self.op("(") {
            return Ok(Ast::Column(name));
        }
        let mut call = FunctionCall { name, args: vec![], star: false, distinct: false, filter: None, over: None };
        if self.op("*") {
            call.star = true;
            if !self.is_op(")") {
                return Err(syntax("only ) can follow *"));
            }
        } else if !self.is_op(")") {
            call.distinct = self.word("distinct");
            if self.is_word("all") {
                return Err(refuse("ALL in a function call"));
            }
            if call.distinct && self.is_op(")") {
                return Err(syntax("DISTINCT without argument"));
            }
            call.args = self.list(Self::expr)?;
        }
        self.expect_op(")")?;
        if self.is_word("filter") && *self.peek_at(1) == Token::Op("(") {
            self.next();
            self.expect_op("(")?;
            self.expect_word("where")?;
            call.filter = Some(self.expr()?);
            self.expect_op(")")?;
        }
        if (self.is_word("ignore") || self.is_word("respect")) && *self.peek_at(1) == Token::Word("nulls".into()) {
            return Err(refuse("IGNORE NULLS and RESPECT NULLS"));
        }
        if self.word("over") {
            call.over = Some(self.window()?);
        }
        Ok(Ast::Call(Box::new(call)))
    }

    pub(super) fn window(&mut self) -> Result<Window> {
        let mut window = Window { named: None, partition: vec![], order: vec![], frame: None };
        if !self.op("(") {
            window.named = Some(self.ident()?);
            return Ok(window);
        }
        let begins = ["partition", "order", "rows", "range"].into_iter().any(|word| self.is_word(word));
        if !begins && !self.is_op(")") {
            return Err(refuse("a window that extends another one"));
        }
        if self.words(&["partition", "by"]) {
            window.partition = self.list(Self::expr)?;
        }
        if self.words(&["order", "by"]) {
            window.order = self.list(Self::order_item)?;
        }
        if self.word("rows") {
            window.frame = Some(self.frame()?);
        } else if self.word("range") {
            // Only the frame that a window has anyway.
            self.expect_words(&["between", "unbounded", "preceding", "and", "current", "row"])?;
        }
        self.expect_op(")")?;
        Ok(window)
    }

    fn frame(&mut self) -> Result<Frame> {
        if !self.is_word("between") {
            return Ok(Frame { preceding: self.bound("preceding")?, following: Following::Rows(0) });
        }
        self.expect_word("between")?;
        let preceding = self.bound("preceding")?;
        self.expect_word("and")?;
        let following = self.bound("following")?.map_or(Following::Unbounded, Following::Rows);
        Ok(Frame { preceding, following })
    }

    /// Parses the rows on one side of the current one; none is all.
    fn bound(&mut self, side: &str) -> Result<Option<usize>> {
        if self.words(&["unbounded", side]) {
            return Ok(None);
        }
        if self.words(&["current", "row"]) {
            return Ok(Some(0));
        }
        let Token::Number(n) = self.next() else { return Err(refuse("this frame bound")) };
        self.expect_word(side)?;
        n.parse::<u16>().map(|n| Some(n.into())).map_err(|_| refuse("this frame bound"))
    }

    pub(super) fn order_item(&mut self) -> Result<Order> {
        let by = self.expr()?;
        let descending = self.word("desc");
        if !descending {
            self.word("asc");
        }
        let mut nulls_first = descending;
        let nulls_named = self.word("nulls");
        if nulls_named {
            nulls_first = self.word("first");
            if !nulls_first && !self.word("last") {
                return Err(syntax("NULLS FIRST or NULLS LAST"));
            }
        }
        Ok(Order { by, descending, nulls_first, nulls_named })
    }
}
