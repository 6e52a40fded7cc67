//! The attribute macro of `cratedb-test`.
//!
//! It parses (`options`, `function`), checks (`check`) and expands (`expand`). If there are mistakes, the expansion is
//! the errors and a stand-in for the user's function (`fallback`).

use proc_macro2::TokenStream;

mod attributes;
mod check;
mod errors;
mod expand;
mod fallback;
mod function;
mod options;
mod parameter;
mod returns;

#[cfg(test)]
mod tests;

use errors::Errors;
use function::Function;
use options::Options;

/// A test that runs against the session's CrateDB cluster, in a schema of its own.
#[proc_macro_attribute]
pub fn cratedb_cluster(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    attribute(arguments.into(), item.into()).into()
}

/// The same as `#[cratedb_cluster]`, under a name that `#[rstest]` recognises as a test attribute.
#[proc_macro_attribute]
pub fn test(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    attribute(arguments.into(), item.into()).into()
}

/// Expands the attribute under either of its names.
fn attribute(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = Options::parse(arguments, &mut errors);
    let Some(function) = Function::parse(&item, &mut errors) else {
        return fallback::item(&item, errors);
    };
    check::all(&function, &options, &mut errors);
    if errors.is_empty() { expand::test(&function, &options) } else { fallback::function(&function, errors) }
}
