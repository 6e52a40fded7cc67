//! The arguments of the attribute, such as `exclusive`, `keep_schema = "…"` and `crate = path`.

mod cluster;
mod files;
mod migrations;
mod reserved;
mod settings;
mod syntax;

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{LitStr, Path, Token, token};

pub(crate) use self::files::File;
pub(crate) use self::migrations::Migrations;
pub(crate) use self::settings::Setting;
use self::syntax::{expect_value, skip, split_at_commas, wrong_value};
use crate::errors::Errors;

const EXCLUSIVE: &str = "`exclusive`";
const TLS: &str = "`tls`";
const KEEP_SCHEMA: &str = "`keep_schema = \"always\"`, `\"never\"` or `\"on-failure\"`";
const SETUP: &str = "`setup = path::to::function`";
const CRATE: &str = "`crate = path::to::cratedb_test`";

/// The names of all arguments.
const KNOWN: [&str; 13] = [
    "exclusive",
    "version",
    "versions",
    "nodes",
    "settings",
    "auth",
    "tls",
    "migrations",
    "setup",
    "sql",
    "data",
    "keep_schema",
    "crate",
];

/// The arguments in the parentheses of the attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// The test has to be alone on the cluster.
    pub(crate) exclusive: bool,
    /// The version of CrateDB that the cluster has to have, such as `6.4` or `6.4.3`.
    pub(crate) version: Option<String>,
    /// The versions with a test for each. If there are any, `version` is none.
    pub(crate) versions: Vec<String>,
    /// The number of nodes that the cluster has to have.
    pub(crate) nodes: Option<u32>,
    /// The settings with which the servers have to be started, in the order of their names.
    pub(crate) settings: Vec<Setting>,
    /// The server has to ask for a password.
    pub(crate) password: bool,
    /// The server has to encrypt.
    pub(crate) tls: bool,
    /// The migrations that make the tables.
    pub(crate) migrations: Option<Migrations>,
    /// The set-up function, which runs after the migrations.
    pub(crate) setup: Option<Path>,
    /// Files of statements that are executed before the test.
    pub(crate) sql: Vec<File>,
    /// Files of rows that are inserted after the statements.
    pub(crate) data: Vec<File>,
    /// When the schema outlives the test. If it is none, the session decides.
    pub(crate) keep_schema: Option<KeepSchema>,
    /// The path under which the user's crate knows `cratedb_test`.
    krate: Option<Path>,
    /// The names met so far, to find those that are given twice.
    met: Vec<String>,
}

/// When the schema of a test outlives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepSchema {
    Always,
    Never,
    OnFailure,
}

impl Options {
    /// Parses all arguments. A mistake in one does not hide a mistake in the next.
    pub(crate) fn parse(arguments: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        for part in split_at_commas(arguments, errors) {
            let parser = |input: ParseStream<'_>| {
                options.part(input, errors);
                Ok(())
            };
            // `part` always reads its input to the end, so `parse2` has nothing to add.
            if let Err(error) = parser.parse2(part) {
                errors.add(error);
            }
        }
        options
    }

    /// Returns the path before `::private` in the expansion.
    pub(crate) fn krate(&self) -> TokenStream {
        self.krate.as_ref().map_or_else(|| quote!(::cratedb_test), Path::to_token_stream)
    }

    /// Parses the part between two commas: one argument, or several where a comma was forgotten.
    fn part(&mut self, input: ParseStream<'_>, errors: &mut Errors) {
        loop {
            let read = self.argument(input, errors);
            if let Err(error) = read {
                errors.add(error);
                skip(input);
            }
            if input.is_empty() {
                return;
            }
            errors.at(input.span(), "a comma is missing before this");
        }
    }

    fn argument(&mut self, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        let Ok(name) = input.call(Ident::parse_any) else {
            return Err(input.error(format!("not the name of an argument; accepted: {}", known())));
        };
        let text = name.to_string();
        if !KNOWN.contains(&text.as_str()) {
            skip(input);
            return Err(syn::Error::new_spanned(&name, format!("unknown argument `{name}`; accepted: {}", known())));
        }
        if self.met.contains(&text) {
            errors.on(&name, format!("`{name}` is given twice; accepted: once"));
        } else {
            self.excluded(&name, errors);
        }
        // Even if its value is wrong, since giving it twice is a mistake of its own.
        self.met.push(text.clone());
        match text.as_str() {
            "exclusive" => self.exclusive = flag(&name, EXCLUSIVE, input)?,
            "version" => self.version(&name, input)?,
            "versions" => self.versions(&name, input, errors)?,
            "nodes" => self.nodes(&name, input)?,
            "settings" => self.settings(&name, input, errors)?,
            "auth" => self.auth(&name, input)?,
            "tls" => self.tls = flag(&name, TLS, input)?,
            "migrations" => self.migrations(&name, input)?,
            "setup" => self.setup = Some(path(&name, SETUP, input)?),
            "sql" => self.sql(&name, input, errors)?,
            "data" => self.data(&name, input, errors)?,
            "keep_schema" => self.keep_schema(&name, input)?,
            _ => self.krate = Some(path(&name, CRATE, input)?),
        }
        Ok(())
    }

    fn keep_schema(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        expect_value(name, KEEP_SCHEMA, input)?;
        if !input.peek(LitStr) {
            return Err(wrong_value(input, format!("`keep_schema` takes a string; accepted: {KEEP_SCHEMA}")));
        }
        let value: LitStr = input.parse()?;
        self.keep_schema = match value.value().as_str() {
            "always" => Some(KeepSchema::Always),
            "never" => Some(KeepSchema::Never),
            "on-failure" => Some(KeepSchema::OnFailure),
            other => {
                let message = format!("`keep_schema` can't be {other:?}; accepted: {KEEP_SCHEMA}");
                return Err(syn::Error::new_spanned(value, message));
            }
        };
        Ok(())
    }
}

/// Parses what follows an argument that is there or not: nothing.
fn flag(name: &Ident, accepted: &str, input: ParseStream<'_>) -> syn::Result<bool> {
    if input.peek(Token![=]) || input.peek(token::Paren) {
        let rest: TokenStream = input.parse()?;
        return Err(syn::Error::new_spanned(rest, format!("`{name}` takes no value; accepted: {accepted}")));
    }
    Ok(true)
}

/// Parses the value of an argument that is a path.
fn path(name: &Ident, accepted: &str, input: ParseStream<'_>) -> syn::Result<Path> {
    expect_value(name, accepted, input)?;
    if input.peek(LitStr) {
        return Err(wrong_value(input, format!("`{name}` takes a path without quotes; accepted: {accepted}")));
    }
    let read = input.call(Path::parse_mod_style);
    read.map_err(|_| wrong_value(input, format!("`{name}` takes a path; accepted: {accepted}")))
}

fn known() -> String {
    use cluster::{AUTH, NODES, VERSION, VERSIONS};
    use files::{DATA, SQL};
    use migrations::MIGRATIONS;
    use settings::SETTINGS;
    let of_servers = [VERSION, VERSIONS, NODES, SETTINGS, AUTH, TLS];
    let others = [MIGRATIONS, SETUP, SQL, DATA, KEEP_SCHEMA, CRATE];
    [&[EXCLUSIVE], &of_servers[..], &others].concat().join("; ")
}
