//! The expansion of an item with mistakes: the errors, and enough of the item to cause no others.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, FnArg, Signature};

use crate::attributes::ends_in;
use crate::errors::Errors;
use crate::function::Function;

/// Keeps an item that is not a function as it is.
pub(crate) fn item(item: &TokenStream, errors: Errors) -> TokenStream {
    let errors = errors.into_compile_errors();
    quote!(#item #errors)
}

/// Keeps the user's function, so that rustc checks its body and sees what it uses, but not as a test.
pub(crate) fn function(function: &Function, errors: Errors) -> TokenStream {
    let Function { attributes, visibility, signature, body } = function;
    let attributes = attributes.iter().filter(|attribute| is_harmless(attribute));
    let signature = tolerable(signature);
    let errors = errors.into_compile_errors();
    quote! {
        #(#attributes)*
        #visibility #signature #body
        #errors
    }
}

/// Returns whether an attribute can stay on a function that is no longer a test.
fn is_harmless(attribute: &Attribute) -> bool {
    ends_in(attribute, &["cfg", "doc", "allow", "warn", "deny"])
}

/// Removes the attributes of parameters, which other macros would have removed, and the qualifiers for which rustc has
/// rules of its own, since it would report them in addition to ours.
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
