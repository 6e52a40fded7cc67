//! What is left of an item whose attribute can't be expanded: the errors, and enough to cause no others.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, FnArg, Signature};

use crate::attributes::ends_in;
use crate::errors::Errors;
use crate::function::Function;

/// Something that is no function stays as it is.
pub(crate) fn item(item: &TokenStream, errors: Errors) -> TokenStream {
    let errors = errors.into_compile_errors();
    quote!(#item #errors)
}

/// The user's function stays, so that its body is checked and what it uses is used, but it is no test any more.
pub(crate) fn function(function: &Function, errors: Errors) -> TokenStream {
    let Function { attributes, visibility, signature, body } = function;
    let attributes = attributes.iter().filter(|attribute| is_harmless(attribute));
    let signature = tolerable(signature);
    let errors = errors.into_compile_errors();
    quote! {
        #(#attributes)*
        #[allow(dead_code, unused, clippy::all, clippy::pedantic)]
        #visibility #signature #body
        #errors
    }
}

/// Whether an attribute can stay on a function that is no test any more.
fn is_harmless(attribute: &Attribute) -> bool {
    ends_in(attribute, &["cfg", "doc", "allow", "warn", "deny"])
}

/// Without the attributes of parameters, which others would have taken away, and without the qualifiers for which rustc
/// has rules of its own, which it would report on top of ours.
fn tolerable(signature: &Signature) -> Signature {
    let mut signature = Signature { constness: None, abi: None, ..signature.clone() };
    for input in &mut signature.inputs {
        match input {
            FnArg::Receiver(receiver) => receiver.attrs.clear(),
            FnArg::Typed(typed) => typed.attrs.clear(),
        }
    }
    signature
}
