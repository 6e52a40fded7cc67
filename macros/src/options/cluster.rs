//! The arguments about the cluster: `version = "…"`, `versions("…", …)`, `nodes = …`, `auth = "password"`.

use proc_macro2::{Ident, TokenStream};
use syn::parse::{ParseStream, Parser};
use syn::{LitInt, LitStr};

use super::Options;
use super::syntax::{expect_list, expect_value, wrong_value};
use crate::errors::Errors;

pub(super) const VERSION: &str = "`version = \"6.4\"` for its newest patch, `version = \"6.4.3\"`";
pub(super) const VERSIONS: &str = "`versions(\"5.10\", \"6.4\")`";
pub(super) const NODES: &str = "`nodes = 1` to `nodes = 9`";
pub(super) const AUTH: &str = "`auth = \"password\"`";

/// Each node is a server of its own, with a heap of its own.
const MOST_NODES: u32 = 9;

impl Options {
    /// Refuses `version` and `versions` together, which say the same thing in two ways.
    pub(super) fn excluded(&self, name: &Ident, errors: &mut Errors) {
        let other = match name.to_string().as_str() {
            "version" => "versions",
            "versions" => "version",
            _ => return,
        };
        if self.met.iter().any(|met| met == other) {
            errors.on(name, format!("`{name}` beside `{other}`; accepted: one of them"));
        }
    }

    pub(super) fn version(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        expect_value(name, VERSION, input)?;
        self.version = Some(release(input, VERSION)?);
        Ok(())
    }

    /// Parses the list and reports each mistake in it.
    pub(super) fn versions(&mut self, name: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        for entry in expect_list(name, VERSIONS, input, errors)? {
            if let Err(error) = self.one_of_versions(entry) {
                errors.add(error);
            }
        }
        Ok(())
    }

    fn one_of_versions(&mut self, entry: TokenStream) -> syn::Result<()> {
        let read = |input: ParseStream<'_>| {
            let version = release(input, VERSIONS)?;
            match input.is_empty() {
                true => Ok(version),
                false => Err(input.error("a comma is missing before this")),
            }
        };
        let version = read.parse2(entry.clone())?;
        if self.versions.contains(&version) {
            return Err(syn::Error::new_spanned(entry, format!("{version} is listed twice; accepted: once")));
        }
        self.versions.push(version);
        Ok(())
    }

    pub(super) fn nodes(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        expect_value(name, NODES, input)?;
        if !input.peek(LitInt) {
            return Err(wrong_value(input, format!("`nodes` takes a number; accepted: {NODES}")));
        }
        let literal: LitInt = input.parse()?;
        let number = literal.base10_parse().ok().filter(|_| literal.suffix().is_empty());
        self.nodes = match number {
            Some(nodes @ 1..=MOST_NODES) => Some(nodes),
            _ => {
                let message = format!("a cluster can't have `{literal}` nodes; accepted: {NODES}");
                return Err(syn::Error::new_spanned(literal, message));
            }
        };
        Ok(())
    }

    pub(super) fn auth(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        expect_value(name, AUTH, input)?;
        if !input.peek(LitStr) {
            return Err(wrong_value(input, format!("`auth` takes a string; accepted: {AUTH}")));
        }
        let value: LitStr = input.parse()?;
        self.password = value.value() == "password";
        match self.password {
            true => Ok(()),
            false => {
                let message = format!("`auth` can't be {:?}; accepted: {AUTH}", value.value());
                Err(syn::Error::new_spanned(value, message))
            }
        }
    }
}

/// Parses two or three numbers in a string. As a number, `6.10` would be `6.1`.
fn release(input: ParseStream<'_>, accepted: &str) -> syn::Result<String> {
    if !input.peek(LitStr) {
        return Err(wrong_value(input, format!("a version is a string; accepted: {accepted}")));
    }
    let literal: LitStr = input.parse()?;
    let text = literal.value();
    // Not `06`: tags and files of releases are never named so.
    let number = |part: &str| part.parse::<u32>().is_ok_and(|number| number.to_string() == part);
    match matches!(text.split('.').count(), 2 | 3) && text.split('.').all(number) {
        true => Ok(text),
        false => {
            Err(syn::Error::new_spanned(literal, format!("{text:?} is not a version of CrateDB; accepted: {accepted}")))
        }
    }
}
