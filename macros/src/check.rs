//! The rules for tests, one in each function. Each mistake is reported on the token at fault.

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, ReturnType, Safety};

use crate::attributes::{ends_in, should_panic};
use crate::errors::Errors;
use crate::function::Function;
use crate::options::Options;
use crate::returns::{Returns, find_impl};

/// Attributes of rstest and test_case that remove parameters, so they must be expanded before ours.
const ABOVE_OURS: [&str; 4] = ["rstest", "rstest_parametrize", "test_case", "test_matrix"];

/// Attributes that mean something only below `#[rstest]`.
const OF_RSTEST: [&str; 11] =
    ["case", "values", "values_with", "with", "from", "future", "files", "default", "by_ref", "notrace", "once"];

/// Applies all rules, in the order of the source.
pub(crate) fn all(function: &Function, options: &Options, errors: &mut Errors) {
    order_of_attributes(function, errors);
    given_twice(function, options, errors);
    qualifiers(function, errors);
    generics(function, errors);
    parameters(function, errors);
    should_panic_returns_nothing(function, errors);
    nothing_writes_to_what_is_shared(options, errors);
}

fn nothing_writes_to_what_is_shared(options: &Options, errors: &mut Errors) {
    let word = options.migrations.as_ref().and_then(|migrations| migrations.word.as_ref());
    let Some(word) = word.filter(|word| *word == "readonly") else { return };
    let others = [
        ("setup", options.setup.is_some()),
        ("sql", !options.sql.is_empty()),
        ("data", !options.data.is_empty()),
        ("keep_schema", options.keep_schema.is_some()),
    ];
    for (name, _) in others.iter().filter(|(_, given)| *given) {
        errors.on(
            word,
            format!(
                "`{name}` is for a schema of the test's own, and `readonly` shares one; accepted: one of the two, and \
                 statements and rows for all tests in a migration"
            ),
        );
    }
}

fn order_of_attributes(function: &Function, errors: &mut Errors) {
    let mut wrong = function.attributes.iter().filter(|attribute| ends_in(attribute, &ABOVE_OURS)).peekable();
    if wrong.peek().is_none() {
        return rstest_is_missing(function, errors);
    }
    for attribute in wrong {
        let name = attribute.path().segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        errors.on(
            attribute.path(),
            format!("`#[{name}]` must stand above this attribute; accepted: `#[{name}] … #[cratedb_test::test]`"),
        );
    }
}

/// Reports one mistake for all attributes and parameters that need rstest, on the first of them.
fn rstest_is_missing(function: &Function, errors: &mut Errors) {
    let inputs = function.signature.inputs.iter();
    let of_parameters = inputs.flat_map(|input| match input {
        FnArg::Receiver(receiver) => &receiver.attrs,
        FnArg::Typed(typed) => &typed.attrs,
    });
    let mut all = function.attributes.iter().chain(of_parameters);
    if let Some(attribute) = all.find(|attribute| belongs_to_rstest(attribute)) {
        errors.on(
            attribute.path(),
            "this attribute needs `#[rstest]` above; accepted: `#[rstest] #[case(…)] … #[cratedb_test::test]`",
        );
    }
}

fn belongs_to_rstest(attribute: &Attribute) -> bool {
    let path = attribute.path();
    ends_in(attribute, &OF_RSTEST) && (path.get_ident().is_some() || path.segments[0].ident == "rstest")
        || path.segments[0].ident == "case"
}

fn given_twice(function: &Function, options: &Options, errors: &mut Errors) {
    let krate = options.krate().to_string();
    let is_ours = |attribute: &&Attribute| {
        let path = attribute.path().to_token_stream().to_string();
        let is_second_name =
            path == format!("{krate} :: test") || path.trim_start_matches(":: ") == "cratedb_test :: test";
        is_second_name || ends_in(attribute, &["cratedb_cluster"])
    };
    for attribute in function.attributes.iter().filter(is_ours) {
        errors.on(attribute.path(), "this attribute is given twice; accepted: once, with all its arguments");
    }
}

fn qualifiers(function: &Function, errors: &mut Errors) {
    let signature = &function.signature;
    let accepted = "accepted: `fn` and `async fn`";
    if let Some(constness) = &signature.constness {
        errors.on(constness, format!("a test is not `const`; {accepted}"));
    }
    match &signature.safety {
        Safety::Unsafe(token) => errors.on(token, format!("a test is not `unsafe`; {accepted}")),
        Safety::Safe(token) => errors.on(token, format!("a test is not `safe`; {accepted}")),
        Safety::Default => {}
    }
    if let Some(abi) = &signature.abi {
        errors.on(abi, format!("a test is not `extern`; {accepted}"));
    }
}

fn generics(function: &Function, errors: &mut Errors) {
    let generics = &function.signature.generics;
    // rstest 0.25 writes `fn name<>()`.
    if !generics.params.is_empty() {
        errors.on(generics, "a test is not generic: nothing chooses its types; accepted: `fn name(…)`");
    }
    if let Some(clause) = &generics.where_clause {
        errors.on(clause, "a test has no `where` clause; accepted: `fn name(…) -> … { … }`");
    }
}

fn parameters(function: &Function, errors: &mut Errors) {
    const ACCEPTED: &str = "accepted: any type that implements `FromCluster`, such as `cluster: Cluster`";
    for input in &function.signature.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                errors.at(
                    receiver.self_token.span(),
                    "a test is a free function without `self`; accepted: `async fn name(cluster: Cluster) { … }`",
                );
            }
            FnArg::Typed(typed) => {
                if let Some(token) = find_impl(typed.ty.to_token_stream()) {
                    errors.on(token, format!("a parameter of a test needs a type with a name; {ACCEPTED}"));
                }
            }
        }
    }
    if let Some(variadic) = &function.signature.variadic {
        errors.on(variadic, format!("a test has no variable number of arguments; {ACCEPTED}"));
    }
}

/// Applies a rule of rustc, whose own error names no place that the user wrote.
fn should_panic_returns_nothing(function: &Function, errors: &mut Errors) {
    let ReturnType::Type(_, ty) = &function.signature.output else { return };
    let nothing = matches!(Returns::new(&function.signature.output), Returns::Nothing | Returns::Never);
    if should_panic(&function.attributes) && !nothing {
        errors
            .on(ty, "a test with `#[should_panic]` returns nothing; accepted: no return type, `unwrap` instead of `?`");
    }
}
