//! Parser of statements other than queries.

use crate::engine::ast::{Ast, Grant, Ignored, Insert, Item, Name, OnConflict, Query, Statement};
use crate::engine::error::{Result, refuse, syntax};
use crate::engine::lex::Token;
use crate::engine::parse::Parser;

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Result<Statement> {
        if self.is_query() {
            return Ok(Statement::Query(self.query()?));
        }
        let Token::Word(word) = self.next() else { return Err(self.unexpected()) };
        match word.as_str() {
            "insert" => self.insert(),
            "update" => self.update(),
            "delete" => self.delete(),
            "create" => self.create(),
            "drop" => self.drop(),
            "alter" => self.alter(),
            "refresh" => {
                self.expect_word("table")?;
                let names = self.names()?;
                if self.is_word("partition") { Err(refuse("PARTITION")) } else { Ok(Statement::Refresh(names)) }
            }
            "optimize" => {
                self.expect_word("table")?;
                Ok(Statement::Optimize(self.names()?))
            }
            "analyze" => Ok(Statement::Analyze),
            "explain" => self.explain(),
            "show" => self.show(),
            "set" => self.set(),
            "reset" => self.reset(),
            "begin" | "start" | "commit" | "end" | "deallocate" | "discard" => self.ignored(&word),
            "grant" | "deny" | "revoke" => self.grant(&word),
            "kill" => Ok(Statement::Kill(self.text()?)),
            "values" => Err(syntax("VALUES without rows")),
            _ => Err(refuse(word.to_ascii_uppercase())),
        }
    }

    fn insert(&mut self) -> Result<Statement> {
        self.required("into")?;
        let table = self.name()?;
        let mut columns = vec![];
        if self.is_op("(")
            && !matches!(self.peek_at(1), Token::Word(w) if w == "select" || w == "with" || w == "values")
        {
            columns = self.in_parens(|p| {
                let name = p.ident()?;
                if p.is_op("[") {
                    return Err(refuse("an inner column in an INSERT list"));
                }
                Ok(name)
            })?;
        }
        let query = self.insert_source()?;
        let mut conflict = None;
        if self.word("on") {
            if self.is_word("duplicate") {
                return Err(syntax("no viable alternative at input 'ON DUPLICATE'"));
            }
            self.expect_word("conflict")?;
            conflict = Some(self.conflict()?);
        }
        Ok(Statement::Insert(Box::new(Insert { table, columns, query, conflict, returning: self.returning()? })))
    }

    fn insert_source(&mut self) -> Result<Query> {
        if self.op("(") {
            let query = self.query()?;
            self.expect_op(")")?;
            return Ok(query);
        }
        if self.is_query() { self.query() } else { Err(syntax("VALUES or a query is expected")) }
    }

    fn conflict(&mut self) -> Result<OnConflict> {
        let target = if self.is_op("(") { self.in_parens(Self::ident)? } else { vec![] };
        self.expect_word("do")?;
        if self.word("nothing") {
            return Ok(OnConflict { target, set: None });
        }
        self.expect_words(&["update", "set"])?;
        Ok(OnConflict { target, set: Some(self.assignments()?) })
    }

    fn assignments(&mut self) -> Result<Vec<(Ast, Ast)>> {
        self.list(|p| {
            let target = p.scope(|p| {
                let mut target = Ast::Column(vec![p.ident()?]);
                while p.op("[") {
                    let index = p.primary()?;
                    p.expect_op("]")?;
                    p.wrap()?;
                    target = Ast::Subscript(Box::new(target), Box::new(index));
                }
                Ok(target)
            })?;
            p.expect_op("=")?;
            if p.is_word("default") {
                return Err(syntax("mismatched input 'DEFAULT'"));
            }
            Ok((target, p.expr()?))
        })
    }

    fn returning(&mut self) -> Result<Option<Vec<Item>>> {
        if self.word("returning") { self.list(Self::item).map(Some) } else { Ok(None) }
    }

    fn update(&mut self) -> Result<Statement> {
        let table = self.name()?;
        if !self.is_word("set") {
            return Err(refuse("UPDATE with an alias"));
        }
        self.expect_word("set")?;
        let set = self.assignments()?;
        let filter = if self.word("where") { Some(self.expr()?) } else { None };
        Ok(Statement::Update { table, set, filter, returning: self.returning()? })
    }

    /// Takes a word that CrateDB's grammar has at this place in any case.
    fn required(&mut self, word: &str) -> Result<()> {
        if self.word(word) { Ok(()) } else { Err(syntax(format!("missing {word}"))) }
    }

    fn delete(&mut self) -> Result<Statement> {
        self.required("from")?;
        let table = self.name()?;
        let filter = if self.word("where") { Some(self.expr()?) } else { None };
        if self.is_word("returning") {
            return Err(syntax("mismatched input 'RETURNING'"));
        }
        Ok(Statement::Delete { table, filter })
    }

    fn create(&mut self) -> Result<Statement> {
        if self.word("table") {
            return Ok(Statement::CreateTable(Box::new(self.create_table()?)));
        }
        if self.word("schema") {
            let if_not_exists = self.words(&["if", "not", "exists"]);
            return Ok(Statement::CreateSchema(self.schema_name()?, if_not_exists));
        }
        if self.is_word("user") || self.is_word("role") {
            let is_role = self.next() == Token::Word("role".into());
            if self.is_word("if") {
                return Err(syntax("no viable alternative at input 'CREATE USER IF'"));
            }
            let name = self.ident()?;
            let options = if self.word("with") { self.properties()? } else { vec![] };
            return Ok(Statement::CreateUser { name, is_role, options });
        }
        let replace = self.words(&["or", "replace"]);
        if self.word("view") {
            let name = self.name()?;
            self.expect_word("as")?;
            let query = self.query()?;
            return Ok(Statement::CreateView { name, replace, query, text: self.sql.to_owned() });
        }
        const OTHERS: [&str; 9] = [
            "analyzer",
            "blob",
            "foreign",
            "function",
            "publication",
            "repository",
            "server",
            "snapshot",
            "subscription",
        ];
        let known = match replace {
            true => self.is_word("function"),
            false => self.is_word("user") || OTHERS.iter().any(|word| self.is_word(word)),
        };
        if known { Err(refuse("this CREATE")) } else { Err(syntax("no viable alternative at input 'CREATE'")) }
    }

    fn schema_name(&mut self) -> Result<String> {
        let name = self.name()?;
        if name.len() == 1 { Ok(name.concat()) } else { Err(refuse("a schema name of several parts")) }
    }

    fn drop(&mut self) -> Result<Statement> {
        let Token::Word(kind) = self.next() else { return Err(self.unexpected()) };
        let kind = match kind.as_str() {
            "blob" | "foreign" => {
                self.expect_word("table")?;
                kind
            }
            _ => kind,
        };
        let if_exists = self.words(&["if", "exists"]);
        match kind.as_str() {
            "table" => Ok(Statement::DropTable(self.name()?, if_exists)),
            "view" => Ok(Statement::DropView(self.names()?, if_exists)),
            "schema" => {
                let names = self.list(Self::schema_name)?;
                let cascade = if self.word("cascade") { Some(true) } else { self.word("restrict").then_some(false) };
                Ok(Statement::DropSchema { names, if_exists, cascade })
            }
            "user" | "role" => Ok(Statement::DropUser(self.ident()?, if_exists)),
            _ => self.drop_absent(&kind, if_exists),
        }
    }

    /// Kinds of objects that no statement of this engine makes.
    fn drop_absent(&mut self, kind: &str, if_exists: bool) -> Result<Statement> {
        if kind == "user" {
            return Err(refuse("DROP USER MAPPING"));
        }
        let name = self.name()?;
        let (code, class) = match kind {
            "function" => {
                let types: Vec<String> = {
                    self.expect_op("(")?;
                    let types = if self.is_op(")") { vec![] } else { self.list(|p| Ok(p.type_name()?.ty.name()))? };
                    self.expect_op(")")?;
                    types
                };
                let _ = types;
                (4049, "UserDefinedFunctionUnknownException")
            }
            "blob" => (4041, "RelationUnknown"),
            "subscription" | "publication" | "server" if if_exists => {
                self.word("cascade");
                (0, "")
            }
            "analyzer" | "foreign" | "publication" | "repository" | "server" | "snapshot" | "subscription" => {
                return Err(refuse(format!("DROP {}", kind.to_ascii_uppercase())));
            }
            _ => return Err(syntax(format!("no viable alternative at input 'DROP {kind}'"))),
        };
        Ok(Statement::DropAbsent { if_exists, code, class, name })
    }

    fn alter(&mut self) -> Result<Statement> {
        if self.word("table") {
            let name = self.name()?;
            return Ok(Statement::AlterTable(name, self.alter_table()?));
        }
        if self.word("user") || self.word("role") {
            let name = self.ident()?;
            self.expect_word("set")?;
            return Ok(Statement::AlterUser { name, options: self.properties()? });
        }
        let known = ["blob", "cluster", "publication", "server", "subscription"].into_iter().any(|w| self.is_word(w));
        if known { Err(refuse("this ALTER")) } else { Err(syntax("no viable alternative at input 'ALTER'")) }
    }

    fn explain(&mut self) -> Result<Statement> {
        let analyze = self.word("analyze");
        if self.op("(") {
            self.expect_words(&["costs", "false"])?;
            self.expect_op(")")?;
        }
        Ok(Statement::Explain { query: Box::new(self.deeper(Self::statement)?), analyze })
    }

    fn show(&mut self) -> Result<Statement> {
        if self.word("all") {
            return Ok(Statement::ShowAll);
        }
        if self.word("tables") {
            let schema = if self.word("from") || self.word("in") { Some(self.ident()?) } else { None };
            let pattern = if self.word("like") { Some(self.text()?) } else { None };
            return Ok(Statement::ShowTables(schema, pattern));
        }
        if self.words(&["schemas"]) {
            let pattern = if self.word("like") { Some(self.text()?) } else { None };
            return Ok(Statement::ShowSchemas(pattern));
        }
        if self.words(&["transaction", "isolation", "level"]) {
            return Ok(Statement::Show("transaction_isolation".into()));
        }
        if self.words(&["columns", "from"]) || self.words(&["columns", "in"]) {
            return Ok(Statement::ShowColumns(self.name()?));
        }
        if self.words(&["create", "table"]) {
            return Ok(Statement::ShowCreate(self.name()?));
        }
        if self.is_word("create") {
            return Err(syntax("missing 'TABLE'"));
        }
        if self.is_word("columns") {
            return Err(refuse("this SHOW"));
        }
        Ok(Statement::Show(self.name()?.join(".")))
    }

    fn set(&mut self) -> Result<Statement> {
        if self.word("global") {
            if !self.word("persistent") {
                self.word("transient");
            }
            let settings = self.list(|p| {
                let name = p.name()?.join(".");
                if !p.op("=") {
                    p.expect_word("to")?;
                }
                Ok((name, p.setting()?))
            })?;
            return Ok(Statement::SetGlobal(settings));
        }
        if self.words(&["session", "characteristics", "as", "transaction"]) {
            self.transaction_modes()?;
            return Ok(Statement::Ignored(Ignored::Other));
        }
        if self.words(&["session", "authorization", "default"]) {
            return Ok(Statement::Ignored(Ignored::Other));
        }
        if self.words(&["time", "zone"]) {
            self.setting()?;
            return Ok(Statement::Ignored(Ignored::Other));
        }
        if self.word("transaction") {
            self.transaction_modes()?;
            return Ok(Statement::Ignored(Ignored::Other));
        }
        if self.is_word("license") {
            return Err(refuse("this SET"));
        }
        let mut local = false;
        if !matches!(self.peek_at(1), Token::Op("=" | ".")) && !matches!(self.peek_at(1), Token::Word(w) if w == "to") {
            local = self.word("local");
            if !local {
                self.required("session")?;
            }
        }
        let name = self.name()?.join(".");
        if !self.op("=") {
            self.required("to")?;
        }
        let values = if self.word("default") { vec![] } else { self.list(Self::session_value)? };
        // There are no transactions, and so nothing that is local to one.
        Ok(if local { Statement::Ignored(Ignored::Other) } else { Statement::SetSession(name, values) })
    }

    fn session_value(&mut self) -> Result<Ast> {
        if self.word("on") { Ok(Ast::Text("on".into())) } else { self.setting() }
    }

    fn reset(&mut self) -> Result<Statement> {
        if self.words(&["session", "authorization"]) {
            return Ok(Statement::Ignored(Ignored::Other));
        }
        if !self.word("global") {
            return Err(syntax("no viable alternative at input 'RESET'"));
        }
        Ok(Statement::ResetGlobal(self.list(|p| Ok(p.name()?.join(".")))?))
    }

    fn transaction_modes(&mut self) -> Result<()> {
        self.expect_words(&["isolation", "level"])?;
        let known = self.word("serializable")
            || self.words(&["repeatable", "read"])
            || self.words(&["read", "committed"])
            || self.words(&["read", "uncommitted"]);
        if known { Ok(()) } else { Err(refuse("this transaction mode")) }
    }

    fn ignored(&mut self, word: &str) -> Result<Statement> {
        let ignored = match word {
            "begin" | "start" => {
                let transaction = self.word("transaction") || (word == "begin" && self.word("work"));
                if word == "start" && !transaction {
                    return Err(self.unexpected());
                }
                if self.is_word("isolation") {
                    self.transaction_modes()?;
                }
                Ignored::Begin
            }
            "deallocate" => {
                self.expect_word("all")?;
                Ignored::DeallocateAll
            }
            "discard" if self.word("all") => Ignored::DiscardAll,
            "discard" => {
                if !["plans", "sequences", "temporary", "temp"].into_iter().any(|w| self.word(w)) {
                    return Err(self.unexpected());
                }
                // The search path would be restored, which no recording shows.
                Ignored::Other
            }
            _ => {
                if !self.word("work") {
                    self.word("transaction");
                }
                Ignored::Commit
            }
        };
        Ok(Statement::Ignored(ignored))
    }

    fn grant(&mut self, verb: &str) -> Result<Statement> {
        let verb = match verb {
            "grant" => "GRANT",
            "deny" => "DENY",
            _ => "REVOKE",
        };
        let mut privileges = vec![];
        if self.word("all") {
            self.word("privileges");
        } else {
            privileges = self.list(Self::ident)?;
        }
        let (mut class, mut objects): (&'static str, Vec<Name>) = ("CLUSTER", vec![]);
        if self.word("on") {
            class = ["SCHEMA", "TABLE", "VIEW"]
                .into_iter()
                .find(|class| self.word(&class.to_ascii_lowercase()))
                .ok_or_else(|| refuse("this GRANT"))?;
            objects = self.names()?;
        }
        self.expect_word(if verb == "REVOKE" { "from" } else { "to" })?;
        let users = self.list(Self::ident)?;
        Ok(Statement::Grant(Grant { verb, privileges, class, objects, users }))
    }
}
