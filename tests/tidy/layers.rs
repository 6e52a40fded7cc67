//! Dependencies of the library point down: every path of its sources is read and compared with the list of layers.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The modules of `src/`, the lowest first. A module may name those of lower layers and none of its own or of a higher
/// one.
const LAYERS: &[&[&str]] = &[
    &["foreign"],
    &["error", "explore"],
    &["background", "faults", "host", "schema", "secret", "version", "wait"],
    &["clock", "eventually", "recording", "sharing", "sql", "target", "user"],
    &["environment", "imprint", "probe", "query", "wire"],
    &["cloud", "cluster"],
    &["seed"],
    &["migrations"],
    &["provider", "settings"],
    &["keeper", "session"],
    &["blocking", "control"],
    &["extract"],
    &["fixture", "private"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Collects the top-level modules that the code of a module names, by `crate::`, by the crate's own name, or by as many
/// `super::` as lead to the root. `depth` is how many modules deep the code stands.
fn named(tokens: TokenStream, depth: usize, found: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let word = |at: usize| match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => ident.to_string(),
        _ => String::new(),
    };
    let colons = |at: usize| {
        let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        colon(at) && colon(at + 1)
    };
    let mut at = 0;
    while at < tokens.len() {
        if let TokenTree::Group(group) = &tokens[at] {
            let inside = at >= 2 && word(at - 2) == "mod" && group.delimiter() == Delimiter::Brace;
            named(group.stream(), depth + usize::from(inside), found);
        }
        let follows_a_path = at >= 2 && colons(at - 2);
        let mut end = at;
        match word(at).as_str() {
            "crate" | "cratedb_test" if !follows_a_path && colons(at + 1) => end = at + 3,
            "super" if !follows_a_path => {
                let mut supers = 0;
                while word(end) == "super" && colons(end + 1) {
                    supers += 1;
                    end += 3;
                }
                if supers < depth {
                    end = at;
                }
            }
            _ => {}
        }
        if end > at {
            match tokens.get(end) {
                Some(TokenTree::Group(group)) => found.extend(heads(group.stream())),
                _ => drop(found.insert(word(end))),
            }
        }
        at += 1;
    }
}

/// Returns the first word of each path in a `{…}` of a `use`.
fn heads(group: TokenStream) -> Vec<String> {
    let mut first = true;
    let mut heads = Vec::new();
    for token in group {
        match token {
            TokenTree::Ident(ident) if first => heads.push(ident.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == ',' => {
                first = true;
                continue;
            }
            _ => {}
        }
        first = false;
    }
    heads
}

/// Says of each path that does not point down which module names which.
fn faults(path: &str, text: &str) -> Vec<String> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let (own, depth) = (inside.split('/').next().unwrap_or_default(), inside.split('/').count());
    let Some(rank) = layer(own) else { return vec![format!("{path}: `{own}` stands in no layer")] };
    let tokens = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut found = BTreeSet::new();
    named(tokens, depth, &mut found);
    let up = |module: &&String| *module != own && layer(module).is_some_and(|other| other >= rank);
    found.iter().filter(up).map(|module| format!("{path}: `{own}` names `{module}`, which is not below it")).collect()
}

#[test]
fn dependencies_of_the_library_point_down() {
    let root = super::root();
    let mut all = Vec::new();
    for path in super::files_below(&["src"]) {
        let path = path.strip_prefix(&root).unwrap().to_str().unwrap();
        // It declares and exports the modules, and has no logic.
        if Path::new(path) != Path::new("src/lib.rs") {
            all.extend(faults(path, &super::read(path)));
        }
    }
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

#[test]
fn a_path_that_points_up_is_found_however_it_is_written() {
    let up = [
        "use crate::keeper::Journal;",
        "use crate::{error::Error, keeper::{self, Journal}};",
        "use super::super::keeper;",
        "fn f() { matches!(crate::keeper::X, _) }",
        "mod tests { use super::super::super::keeper::X; }",
        "fn f(x: <crate::keeper::X as T>::Y) {}",
        "use cratedb_test::keeper;",
    ];
    for text in up {
        let told = faults("src/session/link.rs", text);
        assert_eq!(told, ["src/session/link.rs: `session` names `keeper`, which is not below it"], "{text}");
    }
    for text in
        ["use crate::wire::X;", "// crate::keeper::X", "use super::keeper::X;", "const X: &str = \"crate::keeper::X\";"]
    {
        assert!(faults("src/session/link.rs", text).is_empty(), "{text}");
    }
    assert_eq!(faults("src/sql/row.rs", "use crate::session::X;").len(), 1);
    assert_eq!(faults("src/nowhere.rs", "")[0], "src/nowhere.rs: `nowhere` stands in no layer");
}
