//! The parts of arguments: values, lists, and the commas between them.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::parse::ParseStream;
use syn::{Token, token};

use crate::errors::Errors;

/// Parses the `=` and makes sure that something follows it.
pub(super) fn expect_value(name: &Ident, accepted: &str, input: ParseStream<'_>) -> syn::Result<()> {
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

/// Returns an error on the token in place of the value.
pub(super) fn wrong_value(input: ParseStream<'_>, message: String) -> syn::Error {
    match input.parse::<TokenTree>() {
        Ok(token) => syn::Error::new_spanned(token, message),
        Err(error) => error,
    }
}

pub(super) fn skip(input: ParseStream<'_>) {
    while input.parse::<TokenTree>().is_ok() {}
}

/// Parses the parentheses of a list and returns its entries, of which there has to be one.
pub(super) fn expect_list(
    name: &Ident,
    accepted: &str,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<Vec<TokenStream>> {
    if input.peek(Token![=]) {
        let rest: TokenStream = input.parse()?;
        return Err(syn::Error::new_spanned(
            rest,
            format!("`{name}` takes its values in parentheses; accepted: {accepted}"),
        ));
    }
    if !input.peek(token::Paren) {
        return Err(syn::Error::new_spanned(name, format!("`{name}` needs values; accepted: {accepted}")));
    }
    let list: Group = input.parse()?;
    let entries = split_at_commas(list.stream(), errors);
    match entries.is_empty() {
        true => Err(syn::Error::new_spanned(list, format!("`{name}` lists nothing; accepted: {accepted}"))),
        false => Ok(entries),
    }
}

/// Returns the parts between the commas at the top level. An empty part is a mistake unless it is the last.
pub(super) fn split_at_commas(arguments: TokenStream, errors: &mut Errors) -> Vec<TokenStream> {
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

/// Removes the invisible delimiters that `macro_rules!` puts around what it substitutes.
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
