//! Parser of expressions: operators and predicates, by precedence.

use crate::engine::ast::{Ast, FunctionCall, Step};
use crate::engine::error::{Result, refuse, syntax, unsupported};
use crate::engine::lex::Token;
use crate::engine::parse::Parser;

const COMPARISONS: [&str; 11] = ["=", "<>", "!=", "<", "<=", ">", ">=", "~", "!~", "~*", "!~*"];
const QUANTIFIABLE: [&str; 7] = ["=", "<>", "!=", "<", "<=", ">", ">="];
const LEVELS: [&[&str]; 4] = [&["&", "|", "#"], &["+", "-"], &["*", "/", "%"], &["^"]];

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Result<Ast> {
        self.deeper(|p| {
            let (first, mut steps) = (p.and()?, vec![]);
            while p.word("or") {
                steps.push(Step("OR", p.and()?));
            }
            Ok(Ast::chain(first, steps))
        })
    }

    fn and(&mut self) -> Result<Ast> {
        let (first, mut steps) = (self.not()?, vec![]);
        while self.word("and") {
            steps.push(Step("AND", self.not()?));
        }
        Ok(Ast::chain(first, steps))
    }

    fn not(&mut self) -> Result<Ast> {
        if self.word("not") {
            return self.deeper(|p| Ok(Ast::Not(Box::new(p.not()?))));
        }
        self.predicate()
    }

    /// Parses a value, and at most one predicate on it.
    fn predicate(&mut self) -> Result<Ast> {
        let left = self.value()?;
        if let Token::Op(op) = *self.peek()
            && let Some(op) = COMPARISONS.iter().find(|c| **c == op)
        {
            self.next();
            return self.comparison(left, if *op == "!=" { "<>" } else { op });
        }
        if self.word("is") {
            let negated = self.word("not");
            if self.word("null") {
                return Ok(Ast::IsNull(Box::new(left), negated));
            }
            let out = if self.word("distinct") {
                self.expect_word("from")?;
                Ast::Binary("IS DISTINCT FROM", Box::new(left), Box::new(self.value()?))
            } else if self.is_word("true") || self.is_word("false") {
                let wanted = self.next() == Token::Word("true".into());
                call("op_is", vec![left, Ast::Bool(wanted)])
            } else {
                return Err(refuse("this IS predicate"));
            };
            return Ok(if negated { Ast::Not(Box::new(out)) } else { out });
        }
        // After the default of a column.
        if self.is_word("not") && matches!(self.peek_at(1), Token::Word(w) if w == "null") {
            return Ok(left);
        }
        let negated = self.word("not");
        let out = if self.word("between") {
            let low = self.value()?;
            self.expect_word("and")?;
            Ast::Between(Box::new(left), Box::new(low), Box::new(self.value()?))
        } else if self.word("in") {
            self.in_list(left)?
        } else if self.is_word("like") || self.is_word("ilike") {
            self.like(left)?
        } else if negated {
            return Err(refuse("NOT at this place"));
        } else {
            return Ok(left);
        };
        Ok(if negated { Ast::Not(Box::new(out)) } else { out })
    }

    fn like(&mut self, left: Ast) -> Result<Ast> {
        let fold = self.next() == Token::Word("ilike".into());
        if self.is_word("any") || self.is_word("all") || self.is_word("some") {
            return Err(refuse("LIKE ANY and LIKE ALL"));
        }
        let pattern = Box::new(self.value()?);
        let escape = if self.word("escape") { Some(Box::new(self.primary()?)) } else { None };
        Ok(Ast::Like { value: Box::new(left), pattern, escape, fold })
    }

    fn comparison(&mut self, left: Ast, op: &'static str) -> Result<Ast> {
        if self.is_word("any") || self.is_word("some") || self.is_word("all") {
            let all = self.next() == Token::Word("all".into());
            if !QUANTIFIABLE.contains(&op) || !self.is_op("(") {
                return Err(refuse("this quantified comparison"));
            }
            let array = Box::new(self.primary()?);
            return Ok(Ast::Quantified { op, all, value: Box::new(left), array });
        }
        Ok(Ast::Binary(op, Box::new(left), Box::new(self.value()?)))
    }

    fn in_list(&mut self, left: Ast) -> Result<Ast> {
        self.expect_op("(")?;
        let out = if self.is_query() {
            Ast::InQuery(Box::new(left), Box::new(self.query()?))
        } else {
            Ast::In(Box::new(left), self.list(Self::expr)?)
        };
        self.expect_op(")")?;
        Ok(out)
    }

    /// Parses operators: `&&` binds loosest, then `||`, bits, sums, products, powers.
    pub(super) fn value(&mut self) -> Result<Ast> {
        self.deeper(|p| {
            let left = p.concatenation()?;
            if !p.op("&&") {
                return Ok(left);
            }
            let right = p.concatenation()?;
            if p.is_op("&&") {
                Err(refuse("several && in a row"))
            } else {
                Ok(call("array_overlap", vec![left, right]))
            }
        })
    }

    fn concatenation(&mut self) -> Result<Ast> {
        let (first, mut steps) = (self.binary(0)?, vec![]);
        while self.op("||") {
            steps.push(Step("||", self.binary(0)?));
        }
        Ok(Ast::chain(first, steps))
    }

    fn binary(&mut self, level: usize) -> Result<Ast> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let (first, mut steps) = (self.binary(level + 1)?, vec![]);
        while let Token::Op(op) = *self.peek()
            && let Some(op) = operators.iter().find(|o| **o == op)
        {
            self.next();
            steps.push(Step(op, self.binary(level + 1)?));
        }
        Ok(Ast::chain(first, steps))
    }

    fn unary(&mut self) -> Result<Ast> {
        if self.op("-") {
            return self.deeper(|p| Ok(Ast::Negate(Box::new(p.unary()?))));
        }
        if self.op("+") {
            return self.deeper(Self::unary);
        }
        self.postfix()
    }

    /// Parses a primary expression with subscripts, casts and time zones.
    fn postfix(&mut self) -> Result<Ast> {
        self.scope(|p| {
            let mut out = p.primary()?;
            loop {
                if p.op("[") {
                    out = p.subscript(out)?;
                } else if p.op("::") {
                    out = Ast::Cast { value: Box::new(out), to: p.type_name()?, lenient: false };
                } else if p.words(&["at", "time", "zone"]) {
                    out = call("timezone", vec![p.primary()?, out]);
                } else {
                    return Ok(out);
                }
                p.wrap()?;
            }
        })
    }

    fn subscript(&mut self, base: Ast) -> Result<Ast> {
        if matches!(base, Ast::Param(_)) {
            return Err(unsupported("An expression of type ParameterExpression cannot have an index accessor ([])"));
        }
        let base = Box::new(base);
        let from = if self.is_op(":") { None } else { Some(Box::new(self.value()?)) };
        if self.op(":") {
            let to = if self.is_op("]") { None } else { Some(Box::new(self.value()?)) };
            self.expect_op("]")?;
            return Ok(Ast::Slice(base, from, to));
        }
        self.expect_op("]")?;
        match from {
            Some(index) if matches!(*index, Ast::Param(_)) => {
                Err(unsupported("Parameter substitution is not supported in subscript index"))
            }
            Some(index) => Ok(Ast::Subscript(base, index)),
            None => Err(syntax("a subscript without index")),
        }
    }

    fn parenthesized(&mut self) -> Result<Ast> {
        self.expect_op("(")?;
        let out = if self.is_query() { Ast::Subquery(Box::new(self.query()?)) } else { self.expr()? };
        self.expect_op(")")?;
        Ok(out)
    }

    pub(super) fn primary(&mut self) -> Result<Ast> {
        match self.peek().clone() {
            Token::Text(text) => Ok(self.literal(Ast::Text(text))),
            Token::Escaped(raw, text) => Ok(self.literal(Ast::Escaped(raw, text))),
            Token::Bits(bits) => Ok(self.literal(Ast::Bits(bits))),
            Token::Number(number) => {
                self.next();
                self.number(&number)
            }
            Token::Param(n) => {
                self.next();
                self.params += usize::from(n == 0);
                Ok(Ast::Param(if n == 0 { self.params } else { n }))
            }
            Token::Op("(") => self.parenthesized(),
            Token::Op("[") => {
                self.next();
                self.array()
            }
            Token::Op("[]") => Ok(self.literal(Ast::Array(vec![]))),
            Token::Op("{") => self.object(),
            Token::Word(word) => self.word_primary(&word),
            Token::Quoted(_) => self.column_or_call(),
            Token::End | Token::Op(_) => Err(syntax("an expression is expected")),
        }
    }

    /// Parses the value of LIMIT and OFFSET: a whole number or a parameter.
    pub(super) fn count(&mut self) -> Result<Ast> {
        match self.peek().clone() {
            Token::Number(n) if n.bytes().all(|b| b.is_ascii_digit()) => self.primary(),
            Token::Param(_) => self.primary(),
            Token::Word(_) | Token::Op("(") => Err(refuse("this LIMIT")),
            _ => Err(syntax("no viable alternative in LIMIT")),
        }
    }
}

/// Makes a plain function call.
pub(super) fn call(name: &str, args: Vec<Ast>) -> Ast {
    let name = vec![name.into()];
    Ast::Call(Box::new(FunctionCall { name, args, star: false, distinct: false, filter: None, over: None }))
}
