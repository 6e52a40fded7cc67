//! The return type of a test, as far as the expansion depends on it.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{ReturnType, Type};

use crate::parameter::visible;

/// The kinds of return type.
pub(crate) enum Returns<'a> {
    /// The type `()`, written or not.
    Nothing,
    /// The type `!`.
    Never,
    /// A type that can be written a second time.
    Named(&'a Type),
    /// `impl Termination`, or a type with an `impl` somewhere inside.
    Opaque,
}

impl<'a> Returns<'a> {
    pub(crate) fn new(output: &'a ReturnType) -> Self {
        let ReturnType::Type(_, ty) = output else { return Self::Nothing };
        match visible(ty) {
            Type::Tuple(tuple) if tuple.elems.is_empty() => Self::Nothing,
            Type::Never(_) => Self::Never,
            ty if find_impl(ty.to_token_stream()).is_some() => Self::Opaque,
            ty => Self::Named(ty),
        }
    }
}

/// Returns the first `impl` in a type.
pub(crate) fn find_impl(tokens: TokenStream) -> Option<Ident> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Ident(word) if word == "impl" => Some(word),
        TokenTree::Group(group) => find_impl(group.stream()),
        _ => None,
    })
}
