//! The annotated function, with its attributes and signature parsed and its body kept as it was written.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Signature, Visibility};

use crate::errors::Errors;

/// A function as far as this macro needs to understand it.
///
/// The body is not parsed. In a half-typed one, rustc finds the mistakes and reports them once.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: TokenStream,
}

impl Function {
    /// Parses the annotated item. If it is not a function, it adds an error and returns nothing.
    pub(crate) fn parse(item: &TokenStream, errors: &mut Errors) -> Option<Self> {
        let item = ungrouped(item.clone());
        if let Err(error) = expect_function.parse2(item.clone()) {
            errors.add(error);
            return None;
        }
        match syn::parse2(item) {
            Ok(function) => Some(function),
            Err(error) => {
                errors.add(error);
                None
            }
        }
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let function = Self {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            signature: input.parse()?,
            body: input.parse()?,
        };
        match ungrouped(function.body.clone()).into_iter().next() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => Ok(function),
            Some(token) => Err(syn::Error::new_spanned(token, "a test needs a body: `{ … }`")),
            None => Err(syn::Error::new_spanned(function.signature, "a test needs a body: `{ … }`")),
        }
    }
}

/// Tells functions from other items by the words before `fn`. Reads to the end.
fn expect_function(input: ParseStream<'_>) -> syn::Result<()> {
    input.call(Attribute::parse_outer)?;
    input.parse::<Visibility>()?;
    let tokens: Vec<TokenTree> = input.parse::<TokenStream>()?.into_iter().collect();
    let is_qualifier = |token: &&TokenTree| match token {
        TokenTree::Ident(word) => ["const", "async", "unsafe", "safe", "extern", "gen"].iter().any(|w| word == w),
        TokenTree::Literal(_) => true,
        _ => false,
    };
    match tokens.iter().find(|token| !is_qualifier(token)) {
        Some(TokenTree::Ident(word)) if word == "fn" => Ok(()),
        _ => {
            let place = tokens.first().map(ToTokens::to_token_stream);
            Err(syn::Error::new_spanned(
                place,
                "not a function; accepted: `async fn name(cluster: Cluster) { … }`, or without `async`",
            ))
        }
    }
}

/// Removes invisible delimiters around the whole, which `macro_rules!` puts around `$item:item` and `$body:block`.
fn ungrouped(tokens: TokenStream) -> TokenStream {
    let mut trees = tokens.clone().into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::None => ungrouped(group.stream()),
        _ => tokens,
    }
}
