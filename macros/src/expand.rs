//! The expansion of a test without mistakes: a `#[test]` with the user's whole function inside.
//!
//! The expansion uses no name that the user could have. Every path is absolute, its bindings begin with
//! `__cratedb_test`, and its only items are the user's function and its tests.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use crate::attributes::{Registration, ends_in, registration, should_panic};
use crate::function::Function;
use crate::options::{KeepSchema, Options, Setting};
use crate::parameter::Parameter;
use crate::returns::Returns;

/// Expands a function that `check` accepted.
pub(crate) fn test(function: &Function, options: &Options) -> TokenStream {
    let name = &function.signature.ident;
    if options.versions.is_empty() {
        let inner = inner_function(function);
        let version = options.version.as_deref();
        return registered(function, &Variant { name: name.clone(), version, inner: Some(inner) }, options);
    }
    let tests = options.versions.iter().map(|version| {
        let name = format_ident!("{}_on_{}", name.unraw(), version.replace('.', "_"), span = name.span());
        registered(function, &Variant { name, version: Some(version), inner: None }, options)
    });
    let kept = kept_function(function);
    quote!(#kept #(#tests)*)
}

/// One of the tests that a function becomes.
struct Variant<'a> {
    name: Ident,
    version: Option<&'a str>,
    /// The user's function, unless it is beside the test.
    inner: Option<TokenStream>,
}

fn registered(function: &Function, variant: &Variant<'_>, options: &Options) -> TokenStream {
    let runner = Runner::of(function);
    let Function { attributes, visibility, signature, .. } = function;
    let registered = (registration(attributes) == Registration::Ours)
        .then(|| quote_spanned!(Span::mixed_site()=> #[::core::prelude::v1::test]));
    let asyncness = (runner == Runner::Awaited).then_some(&signature.asyncness);
    let panics = should_panic(attributes);
    // `should_panic` allows no return type, and nothing can be returned where the type is `!`.
    let output = match Returns::new(&signature.output) {
        Returns::Never => None,
        _ if panics => None,
        _ => Some(&signature.output),
    };
    let Variant { name, inner, .. } = variant;
    // `expect` belongs to the function, where the lint fires.
    let attributes = attributes.iter().filter(|attribute| inner.is_some() || !ends_in(attribute, &["expect"]));
    let last_step = last_step(&options.krate(), panics, run(function, variant, options, runner));
    quote! {
        #registered
        #(#attributes)*
        #visibility #asyncness fn #name() #output {
            #inner
            #last_step
        }
    }
}

/// Attributes that apply to the function rather than to the test.
const OF_THE_FUNCTION: [&str; 7] = ["cfg", "doc", "allow", "warn", "deny", "forbid", "expect"];

/// The function of `private` that runs the test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// A sync test.
    Sync,
    /// An async test, on a runtime that is made for it.
    Async,
    /// An async test, on the runtime of an attribute below ours.
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

/// Returns the user's function as it was written, without its attributes, which stay outside.
fn inner_function(function: &Function) -> TokenStream {
    let Function { signature, body, .. } = function;
    as_expanded(quote!(#signature #body))
}

/// Gives the first token of an item the span of an expansion, at the place where it is.
///
/// Lints about a function as a whole, such as `clippy::needless_pass_by_value` and `clippy::unused_async`, skip items
/// that begin in an expansion: a test takes its parameters as the harness makes them. An `#[allow]` would be an error
/// under the user's `#![forbid]` (E0453). The body keeps its spans, and so its lints and its edition.
fn as_expanded(item: TokenStream) -> TokenStream {
    let mut tokens = item.into_iter();
    let first = tokens.next().map(|mut token| {
        token.set_span(Span::mixed_site().located_at(token.span()));
        token
    });
    first.into_iter().chain(tokens).collect()
}

/// Returns the user's function for a place beside the tests that call it, with the attributes that compilers and
/// readers look for. It exists only where tests are compiled.
fn kept_function(function: &Function) -> TokenStream {
    let Function { attributes, visibility, signature, body } = function;
    let attributes = attributes.iter().filter(|attribute| ends_in(attribute, &OF_THE_FUNCTION));
    let (name, item) = (&signature.ident, as_expanded(quote!(#visibility #signature #body)));
    // Without a test harness, the tests that call the function vanish, and it is no dead code all the same.
    let used = quote_spanned!(Span::mixed_site()=> #[cfg(test)] const _: () = { let _ = #name; };);
    quote! {
        #[cfg(test)]
        #(#attributes)*
        #item
        #used
    }
}

/// Turns a harness error, which is a value until here, into a failure. `#[should_panic]` would take a panic for
/// success.
fn last_step(krate: &TokenStream, panics: bool, outcome: TokenStream) -> TokenStream {
    if panics {
        quote_spanned!(Span::mixed_site()=> #krate::private::report(#outcome);)
    } else {
        quote_spanned!(Span::mixed_site()=> #krate::private::raise(#outcome))
    }
}

/// Returns the call that begins the attempt, runs the function in it and ends it.
fn run(function: &Function, variant: &Variant<'_>, options: &Options, runner: Runner) -> TokenStream {
    let krate = options.krate();
    let test = description(function, variant, options);
    let body = body(function, options, runner);
    let failed = failed(function, &krate);
    let span = Span::mixed_site();
    match runner {
        Runner::Sync => quote_spanned!(span=> #krate::private::run_sync(#test, #body, #failed)),
        Runner::Async => quote_spanned!(span=> #krate::private::run_async(#test, #body, #failed)),
        Runner::Awaited => quote_spanned!(span=> #krate::private::run_awaited(#test, #body, #failed).await),
    }
}

/// Returns the facts about the test that the harness needs, some of which only the user's crate knows. Those that have
/// their usual value are left out.
fn description(function: &Function, variant: &Variant<'_>, options: &Options) -> TokenStream {
    let (krate, span) = (options.krate(), Span::mixed_site());
    let name = variant.name.unraw().to_string();
    let some = |value: TokenStream| quote_spanned!(span=> ::core::option::Option::Some(#value));
    let exclusive = options.exclusive.then(|| quote_spanned!(span=> exclusive: true,));
    let should_panic = should_panic(&function.attributes).then(|| quote_spanned!(span=> should_panic: true,));
    let version = variant.version.map(|version| {
        let version = some(quote!(#version));
        quote_spanned!(span=> version: #version,)
    });
    let nodes = options.nodes.map(|nodes| {
        let nodes = some(Literal::u32_unsuffixed(nodes).into_token_stream());
        quote_spanned!(span=> nodes: #nodes,)
    });
    let settings = (!options.settings.is_empty()).then(|| {
        let pairs = options.settings.iter().map(Setting::pair);
        quote_spanned!(span=> settings: &[#(#pairs),*],)
    });
    let password = options.password.then(|| quote_spanned!(span=> password: true,));
    let tls = options.tls.then(|| quote_spanned!(span=> tls: true,));
    let keep_schema = options.keep_schema.map(|keep| {
        let variant = match keep {
            KeepSchema::Always => format_ident!("Always"),
            KeepSchema::Never => format_ident!("Never"),
            KeepSchema::OnFailure => format_ident!("OnFailure"),
        };
        let keep = some(quote!(#krate::private::KeepSchema::#variant));
        quote_spanned!(span=> keep_schema: #keep,)
    });
    let migrations = options.migrations.as_ref().map(|migrations| {
        let migrations = some(migrations.value(&krate));
        quote_spanned!(span=> migrations: #migrations,)
    });
    quote_spanned! {span=>
        #krate::private::Test {
            module: ::core::module_path!(),
            name: #name,
            manifest_dir: ::core::env!("CARGO_MANIFEST_DIR"),
            #exclusive
            #should_panic
            #version
            #nodes
            #settings
            #password
            #tls
            #keep_schema
            #migrations
            ..#krate::private::Test::USUAL
        }
    }
}

/// Returns the closure that sets up the schema, makes the parameters and calls the user's function with them.
fn body(function: &Function, options: &Options, runner: Runner) -> TokenStream {
    let (span, krate) = (Span::mixed_site(), &options.krate());
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
    let setup = set_up(options, &context, runner);
    let name = &function.signature.ident;
    let call = quote_spanned!(span=> #name(#(#arguments),*) #awaited);
    // Code after a call that never returns would be unreachable, and rustc would warn the user about it.
    let (value, result) = match Returns::new(&function.signature.output) {
        Returns::Never => (quote_spanned!(span=> ()), call),
        _ => (quote_spanned!(span=> _), quote_spanned!(span=> #krate::private::TestResult::Ok(#call))),
    };
    quote_spanned! {span=>
        #asyncness |#context: &#krate::private::Context| -> #krate::private::TestResult<#value> {
            #setup
            #(#extractions)*
            #result
        }
    }
}

/// Returns the calls that set up the schema: first the setup function, then statements, then rows.
fn set_up(options: &Options, context: &Ident, runner: Runner) -> TokenStream {
    let krate = &options.krate();
    let call = |name: &str, span: Span, arguments: TokenStream| {
        let (function, awaited) = (Ident::new(name, span), runner.is_async().then(|| quote_spanned!(span=> .await)));
        quote_spanned!(span=> #krate::private::#function(#context, #arguments) #awaited ?;)
    };
    let (setup, seed) = match runner {
        Runner::Sync => ("setup_sync", "seed_sync"),
        Runner::Async => ("setup", "seed"),
        Runner::Awaited => ("setup_awaited", "seed"),
    };
    let set_up = options.setup.as_ref().map(|path| {
        // Its tokens lie on the path, which is at fault if it names no setup function.
        call(setup, Span::mixed_site().located_at(path.span()), path.to_token_stream())
    });
    let mut files = options.sql.iter().chain(&options.data).map(|file| file.seed(krate)).peekable();
    let seeded = files.peek().is_some().then(|| {
        let span = Span::mixed_site();
        call(seed, span, quote_spanned!(span=> ::core::file!(), &[#(#files),*]))
    });
    quote!(#set_up #seeded)
}

/// Returns the closure that recognises a value that means failure, without consuming it.
fn failed(function: &Function, krate: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    match Returns::new(&function.signature.output) {
        Returns::Named(ty) => {
            let value = Ident::new("__cratedb_test_value", span);
            let ty = ty.to_token_stream();
            quote_spanned! {span=>
                |#value: &#ty| {
                    use #krate::private::TellsFailure as _;
                    (&&&#krate::private::Probe(#value)).__cratedb_test_failed()
                }
            }
        }
        _ => quote_spanned!(span=> |_| false),
    }
}
