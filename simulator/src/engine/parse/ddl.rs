//! Parser of data types and table definitions.

use crate::engine::ast::{Alter, Ast, Check, ColumnDef, CreateTable, TypeName};
use crate::engine::error::{Result, invalid, refuse, syntax};
use crate::engine::lex::Token;
use crate::engine::parse::Parser;
use crate::engine::types::{Field, Object, Policy, Type};

impl Parser<'_> {
    /// Parses a type name, with the text that CrateDB prints for it.
    pub(super) fn type_name(&mut self) -> Result<TypeName> {
        self.deeper(|p| {
            let mut out = p.base_type()?;
            loop {
                if p.is_op("[") && *p.peek_at(1) == Token::Op("]") {
                    p.at += 2;
                } else if !p.op("[]") {
                    return Ok(out);
                }
                p.wrap()?;
                out = TypeName { text: format!("ARRAY({})", out.text), ty: Type::array(out.ty) };
            }
        })
    }

    fn base_type(&mut self) -> Result<TypeName> {
        let word = match self.next() {
            Token::Word(word) => word,
            Token::Quoted(_) => return Err(refuse("this type name")),
            _ => return Err(syntax("a type is expected")),
        };
        let (text, ty) = match word.as_str() {
            "object" => return self.object_type(),
            "array" => {
                self.expect_op("(")?;
                let of = self.type_name()?;
                self.expect_op(")")?;
                (format!("ARRAY({})", of.text), Type::array(of.ty))
            }
            "time" if self.words(&["with", "time", "zone"]) => ("time with time zone".into(), Type::TimeTz),
            "double" if self.word("precision") => ("double precision".into(), Type::Double),
            "timestamp" if self.words(&["with", "time", "zone"]) => {
                ("timestamp with time zone".into(), Type::TimestampTz)
            }
            "timestamp" if self.words(&["without", "time", "zone"]) => {
                ("timestamp without time zone".into(), Type::Timestamp)
            }
            "character" | "char" | "national" if self.is_word("varying") => return Err(refuse("CHARACTER VARYING")),
            _ if self.is_op("(") => self.sized_type(&word)?,
            _ => match Type::simple(&word) {
                Some(ty) => (word, ty),
                None if Type::is_known_elsewhere(&word) && word != "bool" => {
                    return Err(refuse(format!("the type {word}")));
                }
                None if self.is_op(".") => return Err(refuse("a type with a schema")),
                None => return Err(invalid(format!("Cannot find data type: {word}"))),
            },
        };
        Ok(TypeName { text, ty })
    }

    fn sized_type(&mut self, word: &str) -> Result<(String, Type)> {
        let sizes = self.in_parens(|p| match p.next() {
            Token::Number(n) => n.parse::<u32>().map_err(|_| refuse("this length")),
            _ => Err(syntax("a length is expected")),
        })?;
        let ty = match (word, sizes.as_slice()) {
            ("varchar", [n]) if *n > 0 => Type::Text(Some(*n)),
            ("char" | "character", [n]) if *n > 0 => Type::Char(*n),
            ("varchar", [0]) => return Err(invalid("The text type length must be at least 1, received: 0")),
            ("numeric" | "decimal", [p]) if *p > 0 => Type::Numeric(Some((*p, 0))),
            ("numeric" | "decimal", [p, s]) if *p > 0 && s <= p => Type::Numeric(Some((*p, *s))),
            ("bit", [n]) if *n > 0 => Type::Bit(*n),
            ("float_vector", [n]) if *n > 0 && *n <= 2048 => Type::Vector(*n),
            _ => return Err(refuse(format!("the type {word} with these parameters"))),
        };
        let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
        Ok((format!("{word}({})", sizes.join(", ")), ty))
    }

    fn object_type(&mut self) -> Result<TypeName> {
        let mut policy = Policy::Dynamic;
        if self.op("(") {
            policy = match self.next() {
                Token::Word(w) if w == "dynamic" => Policy::Dynamic,
                Token::Word(w) if w == "strict" => Policy::Strict,
                Token::Word(w) if w == "ignored" => Policy::Ignored,
                _ => return Err(syntax("DYNAMIC, STRICT or IGNORED")),
            };
            self.expect_op(")")?;
        }
        let mut fields = vec![];
        if self.word("as") {
            fields = self.in_parens(|p| {
                let name = p.ident()?;
                let ty = p.type_name()?.ty;
                if matches!(p.peek(), Token::Word(_)) {
                    return Err(refuse("a constraint on an inner column"));
                }
                Ok(Field { name, ty, position: 0 })
            })?;
            let twice = fields.iter().enumerate().any(|(i, f)| fields[..i].iter().any(|g| g.name == f.name));
            if twice {
                return Err(refuse("an inner column twice"));
            }
        }
        Ok(TypeName { text: "object".into(), ty: Type::Object(Object { policy, fields }) })
    }

    pub(super) fn create_table(&mut self) -> Result<CreateTable> {
        let if_not_exists = self.words(&["if", "not", "exists"]);
        let mut table = CreateTable { name: self.name()?, if_not_exists, ..CreateTable::default() };
        if self.word("as") {
            table.query = Some(self.query()?);
            return Ok(table);
        }
        self.expect_op("(")?;
        if self.is_op(")") {
            return Err(syntax("no viable alternative at input ')'"));
        }
        if self.word("like") {
            let (name, mut defaults, mut constraints) = (self.name()?, false, false);
            while self.word("including") {
                if self.word("defaults") {
                    defaults = true;
                } else if self.word("constraints") {
                    constraints = true;
                } else {
                    return Err(refuse("this LIKE option"));
                }
            }
            self.expect_op(")")?;
            table.like = Some((name, defaults, constraints));
            return Ok(table);
        }
        loop {
            self.table_element(&mut table)?;
            if !self.op(",") {
                break;
            }
        }
        self.expect_op(")")?;
        self.table_options(&mut table)?;
        Ok(table)
    }

    fn table_element(&mut self, table: &mut CreateTable) -> Result<()> {
        if self.words(&["primary", "key"]) {
            if !table.primary.is_empty() {
                return Err(refuse("two primary keys"));
            }
            table.primary = self.in_parens(Self::ident)?;
            return Ok(());
        }
        if self.is_word("constraint") || (self.is_word("check") && *self.peek_at(1) == Token::Op("(")) {
            let name = if self.word("constraint") { Some(self.ident()?) } else { None };
            if self.is_word("primary") {
                return Err(refuse("a named primary key"));
            }
            let predicate = self.check()?;
            table.checks.push(Check { name, predicate, column: None });
            return Ok(());
        }
        if self.is_word("index") {
            return Err(refuse("an index definition"));
        }
        let name = self.ident()?;
        let (column, checks) = self.column(name)?;
        table.columns.push(column);
        table.checks.extend(checks);
        Ok(())
    }

    fn check(&mut self) -> Result<Ast> {
        self.expect_word("check")?;
        self.expect_op("(")?;
        let predicate = self.expr()?;
        self.expect_op(")")?;
        Ok(predicate)
    }

    /// Parses a column after its name.
    pub(super) fn column(&mut self, name: String) -> Result<(ColumnDef, Vec<Check>)> {
        if self.is_word("generated") || self.is_word("as") {
            return Err(refuse("a generated column without a type"));
        }
        if self.is_op(",") || self.is_op(")") {
            return Err(invalid(format!(
                "Column [{name}]: data type needs to be provided or column should be defined as a generated expression"
            )));
        }
        let ty = self.type_name()?.ty;
        let mut column = ColumnDef { name, ty, primary: false, not_null: false, default: None, generated: None };
        let (mut checks, mut nullable) = (vec![], false);
        loop {
            if self.words(&["primary", "key"]) {
                column.primary = true;
            } else if self.words(&["not", "null"]) {
                column.not_null = true;
            } else if self.word("null") {
                nullable = true;
            } else if self.word("default") && column.default.is_none() {
                column.default = Some(self.expr()?);
            } else if self.words(&["generated", "always", "as"]) {
                column.generated = Some(self.expr()?);
            } else if self.is_word("constraint") || self.is_word("check") {
                let name = if self.word("constraint") { Some(self.ident()?) } else { None };
                let predicate = self.check()?;
                checks.push(Check { name, predicate, column: Some(column.name.clone()) });
            } else if self.is_op(",") || self.is_op(")") || self.is_op(";") || *self.peek() == Token::End {
                let conflict = [(column.primary, "PRIMARY KEY"), (column.not_null, "NOT NULL")];
                if let (true, Some((_, other))) = (nullable, conflict.into_iter().find(|c| c.0)) {
                    let name = &column.name;
                    let text = format!("Column \"{name}\" is declared as {other}, therefore, cannot be declared NULL");
                    return Err(invalid(text));
                }
                return Ok((column, checks));
            } else if ["index", "storage", "default", "generated", "as"].into_iter().any(|word| self.is_word(word)) {
                return Err(refuse("this column constraint"));
            } else {
                return Err(syntax("extraneous input after a column"));
            }
        }
    }

    fn table_options(&mut self, table: &mut CreateTable) -> Result<()> {
        loop {
            if self.word("clustered") {
                if self.word("by") {
                    self.expect_op("(")?;
                    table.clustered_by = Some(self.ident()?);
                    self.expect_op(")")?;
                }
                if self.word("into") {
                    table.shards = Some(self.count()?);
                    self.expect_word("shards")?;
                }
            } else if self.is_word("partitioned") {
                return Err(refuse("PARTITIONED BY"));
            } else {
                break;
            }
        }
        if self.word("with") {
            table.options = self.properties()?;
        }
        Ok(())
    }

    /// Parses `(name = value, …)`.
    pub(super) fn properties(&mut self) -> Result<Vec<(String, Ast)>> {
        let out = self.in_parens(|p| {
            let name = p.name()?.join(".");
            p.expect_op("=")?;
            Ok((name, p.setting()?))
        })?;
        let twice = out.iter().enumerate().any(|(i, o)| out[..i].iter().any(|p| p.0 == o.0));
        if twice { Err(refuse("an option twice")) } else { Ok(out) }
    }

    /// Parses the value of an option: a literal, or a word, which stands for its text.
    pub(super) fn setting(&mut self) -> Result<Ast> {
        match self.peek().clone() {
            Token::Word(w) if !["true", "false", "null", "array", "cast", "case", "interval"].contains(&w.as_str()) => {
                self.next();
                Ok(Ast::Text(w))
            }
            Token::Quoted(w) => {
                self.next();
                Ok(Ast::Text(w))
            }
            Token::Op("{" | "[" | "(" | "[]") => Err(refuse("this value of an option")),
            _ => self.expr(),
        }
    }

    pub(super) fn alter_table(&mut self) -> Result<Alter> {
        if self.word("add") {
            let adds = self.list(|p| {
                if p.is_word("add") {
                    p.next();
                }
                p.word("column");
                let mut path = vec![p.ident()?];
                while p.op("[") {
                    path.push(p.text()?);
                    p.expect_op("]")?;
                }
                let (column, checks) = p.column(path.join("."))?;
                Ok((path, column, checks))
            })?;
            return Ok(Alter::Add(adds));
        }
        if self.word("drop") {
            if self.word("constraint") {
                return Ok(Alter::DropConstraint(self.ident()?));
            }
            self.word("column");
            let if_exists = self.words(&["if", "exists"]);
            return Ok(Alter::Drop(self.ident()?, if_exists));
        }
        if self.word("rename") {
            if self.word("to") {
                return Ok(Alter::RenameTable(self.ident()?));
            }
            self.word("column");
            let from = self.ident()?;
            self.expect_word("to")?;
            return Ok(Alter::Rename(from, self.ident()?));
        }
        if self.word("set") {
            return Ok(Alter::Set(self.properties()?));
        }
        if self.word("reset") {
            return Ok(Alter::Reset(self.in_parens(|p| Ok(p.name()?.join(".")))?));
        }
        if self.word("open") {
            return Ok(Alter::Open(true));
        }
        if self.word("close") {
            return Ok(Alter::Open(false));
        }
        if self.words(&["alter", "column"]) {
            return Err(syntax("no viable alternative at input ALTER COLUMN"));
        }
        let known = self.is_word("partition") || self.is_word("reroute");
        if known { Err(refuse("this ALTER TABLE")) } else { Err(syntax("no viable alternative at ALTER TABLE")) }
    }
}
