//! Dependencies between the simulator's modules point down: every `crate::` and `super::` path of the sources is read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules of the crate, from the bottom up. A module may only name those that stand before it.
const CRATE: [&str; 19] = [
    "state",
    "clock",
    "engine",
    "fault",
    "requests",
    "jwt",
    "tls",
    "http",
    "postgres",
    "options",
    "server",
    "store",
    "gateway",
    "work",
    "cloud",
    "api",
    "simulator",
    "cli",
    "main",
];

/// The modules of the engine, from the bottom up.
const ENGINE: [&str; 28] = [
    "error",
    "persist",
    "decimal",
    "json",
    "time",
    "types",
    "value",
    "lex",
    "ast",
    "print",
    "parse",
    "cast",
    "store",
    "state",
    "instance",
    "data",
    "session",
    "context",
    "users",
    "plan",
    "catalog",
    "operators",
    "functions",
    "exec",
    "analyse",
    "dml",
    "ddl",
    "run",
];

/// These stand above all others of the engine.
const ENGINE_TOP: [&str; 2] = ["connection", "http"];

#[test]
fn dependencies_point_down() {
    let found = [violations(&sources(), &[], &CRATE), violations(&sources(), &["engine"], &engine())].concat();
    assert!(found.is_empty(), "paths that point up:\n{}", found.join("\n"));
}

#[test]
fn every_module_has_its_layer() {
    for (root, layers) in [("src", CRATE.to_vec()), ("src/engine", engine())] {
        let of_crate = |name: &String| name != "lib";
        let there: BTreeSet<_> = files(&source(root)).iter().map(|path| stem(path)).filter(of_crate).collect();
        let listed: BTreeSet<_> = layers.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(there, listed, "modules and layers of {root}");
    }
}

#[test]
fn a_path_that_points_up_is_found_wherever_it_stands() {
    let told = |text: &str| violations(&[(vec!["low".to_owned()], text.to_owned())], &[], &["low", "high"]);
    for text in [
        "use crate::high::X;",
        "use crate::{\n    low::{A, B as C},\n    high::X,\n};",
        "fn f() -> crate::high::X { todo!() }",
        "use super::{low, high};",
        "mod inner { use super::super::high::X; }",
    ] {
        assert_eq!(told(text).len(), 1, "{text}");
        assert!(told(text)[0].contains("low names high"), "{:?}", told(text));
    }
    for text in [
        "use crate::low::X;",
        "// crate::high::X",
        "const X: &str = \"crate::high::X\";",
        "#[cfg(test)]\nmod tests { use crate::high::X; }",
        "mod inner { use super::X; }",
    ] {
        assert_eq!(told(text), Vec::<String>::new(), "{text}");
    }
    assert!(told("use crate::Simulator;")[0].contains("low names `Simulator` of the root"));
}

fn engine() -> Vec<&'static str> {
    [&ENGINE[..], &ENGINE_TOP[..]].concat()
}

fn source(under: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(under)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The sources directly in a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Every source: the path of its module from the root of the crate, and its text. Tests in files of their own are left
/// out.
fn sources() -> Vec<(Vec<String>, String)> {
    let mut folders = vec![(vec![], source("src"))];
    let mut out = vec![];
    while let Some((module, folder)) = folders.pop() {
        let child = |name: String| module.iter().cloned().chain([name]).collect::<Vec<_>>();
        for path in files(&folder) {
            match stem(&path).as_str() {
                "lib" | "tests" => {}
                name => out.push((child(name.to_owned()), std::fs::read_to_string(&path).unwrap())),
            }
        }
        for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
        {
            folders.push((child(stem(&path)), path));
        }
    }
    out
}

/// The paths in sources below `root` by which a module names one that doesn't stand before it in `layers`.
fn violations(sources: &[(Vec<String>, String)], root: &[&str], layers: &[&str]) -> Vec<String> {
    let below = |path: &[String]| path.len() > root.len() && path.iter().zip(root).all(|(a, b)| a == b);
    let place = |name: &str| layers.iter().position(|layer| *layer == name);
    let mut out = vec![];
    for (module, text) in sources.iter().filter(|(module, _)| below(module)) {
        let from = module[root.len()].as_str();
        let at = place(from).unwrap_or_else(|| panic!("`{from}` has no layer"));
        for path in paths(module, text).into_iter().filter(|path| below(path)) {
            let to = path[root.len()].as_str();
            let told = format!("{}: {from} names ", module.join("::"));
            match place(to) {
                Some(target) if target <= at => {}
                Some(_) => out.push(format!("{told}{to} above it, by {}", path.join("::"))),
                None => out.push(format!("{told}`{to}` of the root, by {}", path.join("::"))),
            }
        }
    }
    out
}

/// Every path of a source that begins with `crate` or `super`, from the root of the crate. Tests are left out.
fn paths(module: &[String], text: &str) -> Vec<Vec<String>> {
    let tokens = tokens(text);
    let mut out = vec![];
    // The modules around a place, with the depth of braces at which each ends.
    let (mut inner, mut depth) = (vec![], 0usize);
    let mut at = 0;
    while at < tokens.len() {
        let begins_path = at == 0 || tokens[at - 1] != "::";
        match tokens[at].as_str() {
            "mod" if tokens.get(at + 2).is_some_and(|next| next == "{") => {
                let is_test = tokens[..at].ends_with(&["#", "[", "cfg", "(", "test", ")", "]"].map(str::to_owned));
                inner.push((tokens[at + 1].clone(), depth, is_test));
                (depth, at) = (depth + 1, at + 2);
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inner.retain(|(_, ends, _)| *ends < depth);
            }
            "crate" | "super" if begins_path && tokens.get(at + 1).is_some_and(|next| next == "::") => {
                let here = module.iter().chain(inner.iter().map(|(name, ..)| name)).cloned().collect();
                if !inner.iter().any(|(.., is_test)| *is_test) {
                    tree(&tokens, at, here, &mut out);
                }
            }
            _ => {}
        }
        at += 1;
    }
    out
}

/// Follows a path through its groups, from the module where it stands; returns where it ends.
fn tree(tokens: &[String], mut at: usize, mut path: Vec<String>, out: &mut Vec<Vec<String>>) -> usize {
    loop {
        match tokens.get(at).map_or("", String::as_str) {
            "crate" => path.clear(),
            "super" => drop(path.pop()),
            "self" | "*" => {}
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = tree(tokens, at, path.clone(), out);
                    // An `as`, the new name, and the comma.
                    while tokens.get(at).is_some_and(|token| token != "}" && token != ",") {
                        at += 1;
                    }
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return at + 1;
            }
            name => path.push(name.to_owned()),
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            out.push(path);
            return at;
        }
        at += 1;
    }
}

/// Words and signs of a source, without comments, texts and characters.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = vec![];
    let mut at = 0;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while at < chars.len() {
        let rest = &chars[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['r', '#', ..] | ['r', '"', ..] => raw_text(rest).unwrap_or(1),
            ['"', ..] => text_end(rest),
            ['\'', '\\', ..] => 3 + rest[3..].iter().position(|c| *c == '\'').unwrap_or(0) + 1,
            ['\'', _, '\'', ..] => 3,
            [':', ':', ..] => {
                out.push("::".to_owned());
                2
            }
            [c, ..] if is_word(*c) => {
                let end = rest.iter().position(|c| !is_word(*c)).unwrap_or(rest.len());
                out.push(rest[..end].iter().collect());
                end
            }
            [c, ..] => {
                out.extend((!c.is_whitespace()).then(|| c.to_string()));
                1
            }
            [] => 1,
        };
    }
    out
}

/// The length of a text in quotes.
fn text_end(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of a raw text, if one begins here.
fn raw_text(rest: &[char]) -> Option<usize> {
    let marks = rest[1..].iter().take_while(|c| **c == '#').count();
    (rest.get(1 + marks) == Some(&'"')).then_some(())?;
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', marks)).collect();
    let body = &rest[2 + marks..];
    let length = body.windows(end.len()).position(|part| part == end)?;
    Some(2 + marks + length + end.len())
}
