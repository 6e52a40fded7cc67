//! A parameter of a test: the value that is made for it, and how the function takes it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, Pat, PatType, Type};

use crate::expand::Runner;

/// The way in which the function takes the value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Value,
    Shared,
    Exclusive,
}

/// A parameter, for which a value of a `FromCluster` type is made.
pub(crate) struct Parameter<'a> {
    index: usize,
    declared: &'a PatType,
    made: &'a Type,
    taken: Taken,
}

impl<'a> Parameter<'a> {
    /// Returns nothing for `self`, which `check` refuses.
    pub(crate) fn new(index: usize, argument: &'a FnArg) -> Option<Self> {
        let FnArg::Typed(declared) = argument else { return None };
        let (made, taken) = match visible(&declared.ty) {
            Type::Reference(reference) if reference.mutability.is_some() => (&*reference.elem, Taken::Exclusive),
            Type::Reference(reference) => (&*reference.elem, Taken::Shared),
            owned => (owned, Taken::Value),
        };
        Some(Self { index, declared, made, taken })
    }

    /// Returns `let … = extract::<T>(…)…?;`.
    pub(crate) fn extraction(&self, krate: &TokenStream, context: &Ident, runner: Runner) -> TokenStream {
        let (span, made, name) = (self.span(), self.made, self.name());
        let variable = self.variable();
        let mutability = (self.taken == Taken::Exclusive).then(|| quote_spanned!(span=> mut));
        // Every token lies on the type. Otherwise rustc reports one bad parameter three times, in three places.
        let (extract, awaited) = match runner {
            Runner::Sync => (quote_spanned!(span=> extract_sync), None),
            Runner::Async => (quote_spanned!(span=> extract), Some(quote_spanned!(span=> .await))),
            Runner::Awaited => (quote_spanned!(span=> extract_awaited), Some(quote_spanned!(span=> .await))),
        };
        quote_spanned! {span=>
            let #mutability #variable = #krate::private::#extract::<#made>(#context, #name) #awaited ?;
        }
    }

    /// Returns the argument in the call of the user's function.
    pub(crate) fn handed_over(&self) -> TokenStream {
        let (span, variable) = (self.span(), self.variable());
        match self.taken {
            Taken::Value => variable.to_token_stream(),
            Taken::Shared => quote_spanned!(span=> &#variable),
            Taken::Exclusive => quote_spanned!(span=> &mut #variable),
        }
    }

    /// Returns a name that no constant or function of the user can have, since those are not hygienic.
    fn variable(&self) -> Ident {
        format_ident!("__cratedb_test_argument_{}", self.index, span = self.span())
    }

    fn span(&self) -> Span {
        Span::mixed_site().located_at(self.declared.ty.span())
    }

    /// Returns the parameter's name in error messages.
    fn name(&self) -> String {
        match &*self.declared.pat {
            Pat::Ident(pattern) => pattern.ident.to_string(),
            _ => self.made.to_token_stream().to_string(),
        }
    }
}

/// Returns the type without parentheses and without the invisible delimiters of `macro_rules!`.
pub(crate) fn visible(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => visible(&group.elem),
        Type::Paren(paren) => visible(&paren.elem),
        other => other,
    }
}
