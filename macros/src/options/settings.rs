//! The argument `settings("stats.jobs_log_size" = 100, …)`: settings with which the server is started.

use proc_macro2::{Ident, TokenStream};
use quote::quote_spanned;
use syn::parse::{ParseStream, Parser};
use syn::{Lit, LitStr, Token};

use super::Options;
use super::reserved::{name_problem, value_problem};
use super::syntax::{expect_list, wrong_value};
use crate::errors::Errors;

pub(super) const SETTINGS: &str =
    "`settings(\"stats.jobs_log_size\" = 100, \"udc.enabled\" = false, \"bulk.request_timeout\" = \"10s\")`";

/// A setting of CrateDB and its value as a text, which is what a server's command takes.
pub(crate) struct Setting {
    name: LitStr,
    value: String,
}

impl Setting {
    /// Returns a pair of texts.
    pub(crate) fn pair(&self) -> TokenStream {
        let Self { name, value } = self;
        quote_spanned!(proc_macro2::Span::mixed_site()=> (#name, #value))
    }
}

impl Options {
    /// Parses the list and reports each mistake in it.
    pub(super) fn settings(&mut self, name: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        for entry in expect_list(name, SETTINGS, input, errors)? {
            match setting.parse2(entry) {
                Ok(setting) if self.settings.iter().any(|other| other.name.value() == setting.name.value()) => {
                    let message = format!("{:?} is listed twice; accepted: once", setting.name.value());
                    errors.on(setting.name, message);
                }
                Ok(setting) => self.settings.push(setting),
                Err(error) => errors.add(error),
            }
        }
        // The same settings make the same server, in whatever order they stand.
        self.settings.sort_by_key(|setting| setting.name.value());
        Ok(())
    }
}

/// Parses `"stats.jobs_log_size" = 100`.
fn setting(input: ParseStream<'_>) -> syn::Result<Setting> {
    if !input.peek(LitStr) {
        return Err(wrong_value(input, format!("a setting is named by a string; accepted: {SETTINGS}")));
    }
    let name: LitStr = input.parse()?;
    if let Some(problem) = name_problem(&name.value()) {
        return Err(syn::Error::new_spanned(name, problem));
    }
    if input.parse::<Option<Token![=]>>()?.is_none() || input.is_empty() {
        let message = format!("the setting needs a value after `=`; accepted: {SETTINGS}");
        return Err(syn::Error::new_spanned(name, message));
    }
    let value = value(input)?;
    match input.is_empty() {
        true => Ok(Setting { name, value }),
        false => Err(input.error("a comma is missing before this")),
    }
}

/// Parses a string, a number or a boolean.
fn value(input: ParseStream<'_>) -> syn::Result<String> {
    let wrong = || format!("the value of a setting is a string, a number or a boolean; accepted: {SETTINGS}");
    if !input.peek(Lit) {
        return Err(wrong_value(input, wrong()));
    }
    let literal: Lit = input.parse()?;
    let text = match &literal {
        Lit::Str(text) => text.value(),
        Lit::Bool(truth) => truth.value.to_string(),
        // Without the underscores and the base that Rust allows.
        Lit::Int(number) if number.suffix().is_empty() => number.base10_digits().to_owned(),
        Lit::Float(number) if number.suffix().is_empty() => number.base10_digits().to_owned(),
        _ => return Err(syn::Error::new_spanned(literal, wrong())),
    };
    match value_problem(&text) {
        Some(problem) => Err(syn::Error::new_spanned(literal, format!("{problem}; accepted: {SETTINGS}"))),
        None => Ok(text),
    }
}
