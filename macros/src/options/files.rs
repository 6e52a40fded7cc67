//! The arguments about the contents of the schema: `sql("…", …)`, `data("…" => "…", …)`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::parse::{ParseStream, Parser};
use syn::{LitStr, Token};

use super::Options;
use super::syntax::{expect_list, wrong_value};
use crate::errors::Errors;

pub(super) const SQL: &str = "`sql(\"users\", \"./orders.sql\")`";
pub(super) const DATA: &str = "`data(\"readings.ndjson\" => \"readings\", \"./stations.csv\" => \"stations\")`";

/// The folder of files that are given by their name alone.
const FOLDER: &str = "fixtures";

/// A file that becomes part of the test binary.
#[derive(Clone)]
pub(crate) struct File {
    /// Relative to the file in which the test is written.
    path: String,
    kind: Kind,
    /// The place where its name is written.
    span: Span,
}

#[derive(Clone)]
enum Kind {
    Sql,
    /// One JSON object on each line, and the table.
    Ndjson(String),
    /// CSV with column names in the first line, and the table.
    Csv(String),
}

impl File {
    /// Returns a value of `private::Seed`. Its tokens lie on the file's name, so that rustc shows that place if there
    /// is no such file.
    pub(crate) fn seed(&self, krate: &TokenStream) -> TokenStream {
        let span = Span::mixed_site().located_at(self.span);
        let path = LitStr::new(&self.path, span);
        let text = quote_spanned!(span=> ::core::include_str!(#path));
        match &self.kind {
            Kind::Sql => quote_spanned!(span=> #krate::private::Seed::sql(#path, #text)),
            Kind::Ndjson(table) => quote_spanned!(span=> #krate::private::Seed::ndjson(#path, #text, #table)),
            Kind::Csv(table) => quote_spanned!(span=> #krate::private::Seed::csv(#path, #text, #table)),
        }
    }
}

impl Options {
    pub(super) fn sql(&mut self, name: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        let mut files: Vec<File> = Vec::new();
        for entry in expect_list(name, SQL, input, errors)? {
            let read = |input: ParseStream<'_>| {
                let literal = text(input, "a file of statements is named by a string", SQL)?;
                match input.is_empty() {
                    true => Ok(literal),
                    false => Err(input.error("a comma is missing before this")),
                }
            };
            let file = read.parse2(entry).map(|literal| File {
                path: script(&literal.value()),
                kind: Kind::Sql,
                span: literal.span(),
            });
            match file {
                Ok(file) if files.iter().any(|other| other.path == file.path) => {
                    errors.at(file.span, format!("`{}` is listed twice; accepted: once", file.path));
                }
                Ok(file) => files.push(file),
                Err(error) => errors.add(error),
            }
        }
        self.sql = files;
        Ok(())
    }

    pub(super) fn data(&mut self, name: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        for entry in expect_list(name, DATA, input, errors)? {
            match rows.parse2(entry) {
                Ok(file) => self.data.push(file),
                Err(error) => errors.add(error),
            }
        }
        Ok(())
    }
}

/// Parses `"readings.ndjson" => "readings"`.
fn rows(input: ParseStream<'_>) -> syn::Result<File> {
    let literal = text(input, "a file of rows is named by a string", DATA)?;
    if !input.peek(Token![=>]) {
        let message = format!("the file needs a table; accepted: {DATA}");
        return Err(syn::Error::new_spanned(literal, message));
    }
    input.parse::<Token![=>]>()?;
    let table = text(input, "a table is named by a string, as a statement would name it", DATA)?.value();
    if !input.is_empty() {
        return Err(input.error("a comma is missing before this"));
    }
    let name = literal.value();
    let kind = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("ndjson" | "jsonl") => Kind::Ndjson(table),
        Some("csv") => Kind::Csv(table),
        _ => {
            let message = format!("{name:?} is neither `.ndjson` nor `.jsonl` nor `.csv`; accepted: {DATA}");
            return Err(syn::Error::new_spanned(literal, message));
        }
    };
    let path = if name.contains('/') { name } else { format!("{FOLDER}/{name}") };
    Ok(File { path, kind, span: literal.span() })
}

/// Parses a string that is not empty.
fn text(input: ParseStream<'_>, what: &str, accepted: &str) -> syn::Result<LitStr> {
    if !input.peek(LitStr) {
        return Err(match input.is_empty() {
            true => input.error(format!("{what}; accepted: {accepted}")),
            false => wrong_value(input, format!("{what}; accepted: {accepted}")),
        });
    }
    let literal: LitStr = input.parse()?;
    match literal.value().trim().is_empty() {
        true => Err(syn::Error::new_spanned(literal, format!("a name is empty; accepted: {accepted}"))),
        false => Ok(literal),
    }
}

/// Returns the path of a script. A name alone is that of a script in the folder. With a slash or its ending it is a
/// path.
fn script(name: &str) -> String {
    match (name.contains('/'), name.ends_with(".sql")) {
        (_, true) => name.to_owned(),
        (true, false) => format!("{name}.sql"),
        (false, false) => format!("{FOLDER}/{name}.sql"),
    }
}
