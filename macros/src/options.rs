//! The arguments of the attribute: `exclusive`, `keep_schema = "…"`, `crate = path`.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{LitStr, Path, Token, token};

use crate::errors::Errors;

const EXCLUSIVE: &str = "`exclusive`";
const KEEP_SCHEMA: &str = "`keep_schema = \"always\"`, `\"never\"` or `\"on-failure\"`";
const CRATE: &str = "`crate = path::to::cratedb_test`";

/// What stands in the parentheses of the attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// The test wants to be alone on the cluster.
    pub(crate) exclusive: bool,
    /// When the schema outlives the test; the session decides if it is not said.
    pub(crate) keep_schema: Option<KeepSchema>,
    /// Under which path the user's crate knows `cratedb_test`.
    krate: Option<Path>,
    /// Names met so far, to find those given twice.
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
    /// Reads all arguments. What is wrong with one does not hide what is wrong with the next.
    pub(crate) fn parse(arguments: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        for part in split_at_commas(arguments, errors) {
            let parser = |input: ParseStream<'_>| {
                options.part(input, errors);
                Ok(())
            };
            // `part` always reads its input to the end, so that `parse2` has nothing to add.
            if let Err(error) = parser.parse2(part) {
                errors.add(error);
            }
        }
        options
    }

    /// The path that stands before `::private` in the expansion.
    pub(crate) fn krate(&self) -> TokenStream {
        self.krate.as_ref().map_or_else(|| quote!(::cratedb_test), Path::to_token_stream)
    }

    /// What stands between two commas: one argument, or several where a comma was forgotten.
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
        if !["exclusive", "keep_schema", "crate"].contains(&text.as_str()) {
            skip(input);
            return Err(syn::Error::new_spanned(&name, format!("unknown argument `{name}`; accepted: {}", known())));
        }
        if self.met.contains(&text) {
            errors.on(&name, format!("`{name}` is given twice; accepted: once"));
        }
        match text.as_str() {
            "exclusive" => self.exclusive(input)?,
            "keep_schema" => self.keep_schema(&name, input)?,
            _ => self.path(&name, input)?,
        }
        self.met.push(text);
        Ok(())
    }

    fn exclusive(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if input.peek(Token![=]) || input.peek(token::Paren) {
            let rest: TokenStream = input.parse()?;
            return Err(syn::Error::new_spanned(rest, format!("`exclusive` takes no value; accepted: {EXCLUSIVE}")));
        }
        self.exclusive = true;
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
                let message = format!("`keep_schema` knows no {other:?}; accepted: {KEEP_SCHEMA}");
                return Err(syn::Error::new_spanned(value, message));
            }
        };
        Ok(())
    }

    fn path(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        expect_value(name, CRATE, input)?;
        if input.peek(LitStr) {
            return Err(wrong_value(input, format!("`crate` takes a path without quotes; accepted: {CRATE}")));
        }
        let Ok(path) = input.call(Path::parse_mod_style) else {
            return Err(wrong_value(input, format!("`crate` takes a path; accepted: {CRATE}")));
        };
        self.krate = Some(path);
        Ok(())
    }
}

fn known() -> String {
    format!("{EXCLUSIVE}; {KEEP_SCHEMA}; {CRATE}")
}

/// Reads the `=` and makes sure that something follows it.
fn expect_value(name: &Ident, accepted: &str, input: ParseStream<'_>) -> syn::Result<()> {
    if input.peek(token::Paren) {
        let list: Group = input.parse()?;
        return Err(syn::Error::new_spanned(list, format!("`{name}` takes its value after `=`; accepted: {accepted}")));
    }
    let equals = input.parse::<Option<Token![=]>>()?;
    if equals.is_none() || input.is_empty() {
        return Err(syn::Error::new_spanned(name, format!("`{name}` needs a value; accepted: {accepted}")));
    }
    Ok(())
}

/// The error on the one token that stands where the value should be.
fn wrong_value(input: ParseStream<'_>, message: String) -> syn::Error {
    match input.parse::<TokenTree>() {
        Ok(token) => syn::Error::new_spanned(token, message),
        Err(error) => error,
    }
}

fn skip(input: ParseStream<'_>) {
    while input.parse::<TokenTree>().is_ok() {}
}

/// The parts between the commas at the top level; an empty one is a mistake unless it is the last.
fn split_at_commas(arguments: TokenStream, errors: &mut Errors) -> Vec<TokenStream> {
    let mut parts = Vec::new();
    let mut part = TokenStream::new();
    for token in ungrouped(arguments) {
        match token {
            TokenTree::Punct(comma) if comma.as_char() == ',' => {
                if part.is_empty() {
                    errors.on(comma, "an argument is missing before this comma");
                }
                parts.push(std::mem::take(&mut part));
            }
            token => part.extend([token]),
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Takes away the invisible delimiters that `macro_rules!` puts around what it substitutes.
fn ungrouped(tokens: TokenStream) -> Vec<TokenTree> {
    let mut all = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => all.extend(ungrouped(group.stream())),
            token => all.push(token),
        }
    }
    all
}
