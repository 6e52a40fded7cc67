//! The other attributes of the function, and what they mean for the test.

use syn::{Attribute, Meta, Path};

/// The attribute that registers the test and runs its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// No other attribute: the expansion adds `#[test]`.
    Ours,
    /// A plain `#[test]` below, or one that behaves like it: `#[test_log::test]`.
    Plain,
    /// An attribute such as `#[tokio::test]`, which runs an `async fn` on a runtime of its own.
    Runtime,
}

/// Returns how the attributes below ours register the test.
pub(crate) fn registration(attributes: &[Attribute]) -> Registration {
    let mut registration = Registration::Ours;
    for attribute in attributes.iter().filter(|attribute| is_test(attribute)) {
        if is_runtime(attribute) {
            return Registration::Runtime;
        }
        registration = Registration::Plain;
    }
    registration
}

/// Returns whether the path is `test` or ends in `::test`.
pub(crate) fn is_test(attribute: &Attribute) -> bool {
    ends_in(attribute, &["test"])
}

fn is_runtime(attribute: &Attribute) -> bool {
    let path = attribute.path();
    if path.get_ident().is_some() || path.segments.iter().any(|segment| segment.ident == "prelude") {
        return false;
    }
    // `#[test_log::test]` is a plain test. `#[test_log::test(tokio::test)]` is of the kind of its argument.
    match &attribute.meta {
        Meta::List(list) if path.segments[0].ident == "test_log" => {
            list.parse_args::<Path>().is_ok_and(|path| path.segments.len() > 1)
        }
        _ => path.segments[0].ident != "test_log",
    }
}

/// Returns whether the function is marked `#[should_panic]`.
pub(crate) fn should_panic(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("should_panic"))
}

/// Returns whether the last segment of the attribute's path is one of `names`.
pub(crate) fn ends_in(attribute: &Attribute, names: &[&str]) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|segment| names.iter().any(|name| segment.ident == name))
}
