//! A test without mistakes becomes a `#[test]` that keeps the user's function whole inside.
//!
//! The expansion uses no name that the user could have: every path is absolute, what it binds begins with
//! `__cratedb_test`, and the only item in it is the user's own function.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;

use crate::attributes::{Registration, registration, should_panic};
use crate::function::Function;
use crate::options::{KeepSchema, Options};
use crate::parameter::Parameter;
use crate::returns::Returns;

/// Expands a function that `check` had nothing against.
pub(crate) fn test(function: &Function, options: &Options) -> TokenStream {
    let runner = Runner::of(function);
    let Function { attributes, visibility, signature, .. } = function;
    let registered = (registration(attributes) == Registration::Ours)
        .then(|| quote_spanned!(Span::mixed_site()=> #[::core::prelude::v1::test]));
    let asyncness = (runner == Runner::Awaited).then_some(&signature.asyncness);
    let name = &signature.ident;
    let panics = should_panic(attributes);
    // `should_panic` allows no return type, and nothing can be returned where the type is `!`.
    let output = match Returns::new(&signature.output) {
        Returns::Never => None,
        _ if panics => None,
        _ => Some(&signature.output),
    };
    let inner = inner_function(function);
    let last_step = last_step(&options.krate(), panics, run(function, options, runner));
    quote! {
        #registered
        #(#attributes)*
        #visibility #asyncness fn #name() #output {
            #inner
            #last_step
        }
    }
}

/// Which function of `private` runs the test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// A sync test.
    Sync,
    /// An async test, on a runtime that is made for it.
    Async,
    /// An async test, on the runtime of an attribute that stands below ours.
    Awaited,
}

impl Runner {
    fn of(function: &Function) -> Self {
        match (function.signature.asyncness, registration(&function.attributes)) {
            (None, _) => Self::Sync,
            (Some(_), Registration::Runtime) => Self::Awaited,
            (Some(_), _) => Self::Async,
        }
    }

    fn is_async(self) -> bool {
        self != Self::Sync
    }
}

/// The user's function as it was written, but for its attributes, which stay outside.
fn inner_function(function: &Function) -> TokenStream {
    let Function { signature, body, .. } = function;
    quote! {
        // The user may like these lints; a test takes its parameters as the harness makes them.
        #[allow(clippy::needless_pass_by_value, clippy::unused_async)]
        #signature #body
    }
}

/// A harness error is a value until here: as a panic, `#[should_panic]` would take it for success.
fn last_step(krate: &TokenStream, panics: bool, outcome: TokenStream) -> TokenStream {
    if panics {
        quote_spanned!(Span::mixed_site()=> #krate::private::report(#outcome);)
    } else {
        quote_spanned!(Span::mixed_site()=> #krate::private::raise(#outcome))
    }
}

/// The call that begins the attempt, runs the function in it and ends it.
fn run(function: &Function, options: &Options, runner: Runner) -> TokenStream {
    let krate = options.krate();
    let test = description(function, options);
    let body = body(function, &krate, runner);
    let failed = failed(function, &krate);
    let span = Span::mixed_site();
    match runner {
        Runner::Sync => quote_spanned!(span=> #krate::private::run_sync(#test, #body, #failed)),
        Runner::Async => quote_spanned!(span=> #krate::private::run_async(#test, #body, #failed)),
        Runner::Awaited => quote_spanned!(span=> #krate::private::run_awaited(#test, #body, #failed).await),
    }
}

/// What the harness must know of the test, and what only the user's crate knows of itself.
fn description(function: &Function, options: &Options) -> TokenStream {
    let krate = options.krate();
    let name = function.signature.ident.unraw().to_string();
    let (exclusive, should_panic) = (options.exclusive, should_panic(&function.attributes));
    let keep_schema = match options.keep_schema {
        None => quote!(::core::option::Option::None),
        Some(keep) => {
            let variant = match keep {
                KeepSchema::Always => format_ident!("Always"),
                KeepSchema::Never => format_ident!("Never"),
                KeepSchema::OnFailure => format_ident!("OnFailure"),
            };
            quote!(::core::option::Option::Some(#krate::private::KeepSchema::#variant))
        }
    };
    quote_spanned! {Span::mixed_site()=>
        #krate::private::Test {
            module: ::core::module_path!(),
            name: #name,
            manifest_dir: ::core::env!("CARGO_MANIFEST_DIR"),
            exclusive: #exclusive,
            should_panic: #should_panic,
            keep_schema: #keep_schema,
        }
    }
}

/// The closure that makes the parameters and calls the user's function with them.
fn body(function: &Function, krate: &TokenStream, runner: Runner) -> TokenStream {
    let span = Span::mixed_site();
    let context = Ident::new("__cratedb_test_context", span);
    let inputs = function.signature.inputs.iter().enumerate();
    let parameters: Vec<_> = inputs.filter_map(|(index, input)| Parameter::new(index, input)).collect();
    let extractions = parameters.iter().map(|parameter| parameter.extraction(krate, &context, runner));
    let arguments = parameters.iter().map(Parameter::handed_over);
    let (asyncness, awaited) = if runner.is_async() {
        (quote_spanned!(span=> async), quote_spanned!(span=> .await))
    } else {
        Default::default()
    };
    let name = &function.signature.ident;
    let call = quote_spanned!(span=> #name(#(#arguments),*) #awaited);
    // Code after a call that never returns would be unreachable, and rustc would say so to the user.
    let (value, result) = match Returns::new(&function.signature.output) {
        Returns::Never => (quote_spanned!(span=> ()), call),
        _ => (quote_spanned!(span=> _), quote_spanned!(span=> #krate::private::Outcome::Ok(#call))),
    };
    quote_spanned! {span=>
        #asyncness |#context: &#krate::private::Context| -> #krate::private::Outcome<#value> {
            #(#extractions)*
            #result
        }
    }
}

/// The closure that tells a value that means failure, without taking it.
fn failed(function: &Function, krate: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    match Returns::new(&function.signature.output) {
        Returns::Named(ty) => {
            let value = Ident::new("__cratedb_test_value", span);
            let ty = ty.to_token_stream();
            quote_spanned! {span=>
                |#value: &#ty| {
                    use #krate::private::Failed as _;
                    (&&&#krate::private::Probe(#value)).__cratedb_test_failed()
                }
            }
        }
        _ => quote_spanned!(span=> |_| false),
    }
}
