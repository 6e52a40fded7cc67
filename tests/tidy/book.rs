//! The site of the guides: it has every guide, nothing leads out of it by a relative link, and each equivalent in the
//! tables for those who come from elsewhere is in code that runs.

use std::collections::BTreeSet;
use std::fs;

use super::{read, root};

/// A link that leads out of the site has to be a whole address, since a site has no file above it.
const REPOSITORY: &str = "https://github.com/crate/cratedb-test/";

/// Returns the targets of the links on a page.
pub(crate) fn links(page: &str) -> Vec<&str> {
    page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// Returns the path in this repository to which an address leads, with its anchor.
pub(crate) fn in_repository(target: &str) -> Option<&str> {
    let rest = target.strip_prefix(REPOSITORY)?;
    ["blob/main/", "tree/main/"].into_iter().find_map(|branch| rest.strip_prefix(branch))
}

/// Returns the names of all pages in `docs/` but the summary.
fn pages() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("docs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect()
}

#[test]
fn the_summary_has_each_guide_once() {
    let summary = read("docs/SUMMARY.md");
    let all = links(&summary);
    let once: BTreeSet<String> = all.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(once.len(), all.len(), "{all:?}");
    assert_eq!(once, pages());
}

#[test]
fn the_first_page_leads_to_each_guide() {
    let first = read("docs/README.md");
    let linked: BTreeSet<&str> = links(&first).into_iter().collect();
    let missing: Vec<_> = pages().into_iter().filter(|page| page != "README.md" && !linked.contains(&**page)).collect();
    assert!(missing.is_empty(), "docs/README.md does not link to {missing:?}");
}

#[test]
fn no_relative_link_leads_out_of_the_site() {
    for page in pages() {
        let text = read(&format!("docs/{page}"));
        let out: Vec<_> = links(&text).into_iter().filter(|target| target.starts_with("..")).collect();
        assert!(out.is_empty(), "docs/{page} links to {out:?}; write {REPOSITORY}blob/main/…");
    }
}

/// Returns the blocks of code on a page, with blanks as they are compared.
fn code(page: &str) -> String {
    let blocks = page.split("```").skip(1).step_by(2);
    squeezed(&blocks.collect::<Vec<_>>().join("\n"))
}

/// Joins all lines: a block may break what a table has on one.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(" .", ".")
}

/// Returns the rows of the tables whose second column has this heading: the spans of code in their second cells.
fn equivalents(page: &str, heading: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        // A bar in a cell has a backslash.
        let line = line.replace("\\|", "\u{1}");
        let cell = line.strip_prefix('|').and_then(|row| row.split('|').nth(1)).map(str::trim);
        match cell {
            Some(cell) if cell == heading => inside = true,
            Some(cell) if inside => {
                found.extend(cell.split('`').skip(1).step_by(2).map(|span| span.replace('\u{1}', "|")));
            }
            Some(_) => {}
            None => inside = false,
        }
    }
    assert!(!found.is_empty(), "no table has the column `{heading}`");
    found
}

/// Tells whether code contains an equivalent, in which `…` stands for anything.
fn contains(code: &str, equivalent: &str) -> bool {
    let mut parts = equivalent.split('…').map(squeezed);
    let first = parts.next().unwrap_or_default();
    let parts: Vec<_> = parts.collect();
    code.match_indices(&first).any(|(at, _)| {
        let mut rest = &code[at + first.len()..];
        parts.iter().all(|part| rest.find(&**part).map(|at| rest = &rest[at + part.len()..]).is_some())
    })
}

/// Tells whether CI runs an equivalent. The guides run all commands, and the variables are compared with the code.
fn runs(equivalent: &str, code: &str) -> bool {
    if let Some(command) = equivalent.strip_prefix("cargo cratedb ") {
        return is_command(command);
    }
    let name = equivalent.split('=').next().unwrap_or_default();
    match name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        true => read("docs/settings.md").contains(&format!("| `{name}` |")) || name == "DOCKER_HOST",
        false => contains(code, equivalent),
    }
}

/// Tells whether the command line has a command with these options. The files with its help are compared with it.
fn is_command(command: &str) -> bool {
    let words: Vec<_> = command.split(' ').collect();
    let name: Vec<_> = words.iter().copied().take_while(|word| word.chars().all(char::is_lowercase)).collect();
    // An option alone is one of all commands.
    let name = if name.is_empty() { "cargo-cratedb".to_owned() } else { name.join("-") };
    let Ok(help) = fs::read_to_string(root().join(format!("cli/tests/help/{name}.txt"))) else { return false };
    words.iter().filter(|word| word.starts_with("--")).all(|option| help.contains(option))
}

#[track_caller]
fn all_run(page: &str, found: Vec<String>, code: &str) {
    let missing: Vec<_> = found.into_iter().filter(|one| !runs(one, code)).collect();
    assert!(missing.is_empty(), "CI runs nothing with {missing:#?}, which {page} names");
}

#[test]
fn each_equivalent_for_those_who_come_from_elsewhere_runs() {
    for page in ["docs/coming-from-testcontainers.md", "docs/coming-from-sqlx-test.md"] {
        let text = read(page);
        all_run(page, equivalents(&text, "here"), &code(&text));
    }
}

#[test]
fn each_equivalent_of_ctk_runs() {
    let page = "docs/coming-from-ctk-and-croud.md";
    let text = read(page);
    let commands = equivalents(&text, "`cargo cratedb`").into_iter().filter(|span| !span.starts_with("cloud::"));
    all_run(page, commands.map(|command| format!("cargo cratedb {command}")).collect(), "");
    // The fixtures of pytest are the attribute's, of which the guides to tests are full.
    all_run(page, equivalents(&text, "`cratedb_test`"), &(code(&text) + &code(&read("docs/testing.md"))));
}

#[test]
fn an_equivalent_is_found_across_lines_and_not_in_prose() {
    let page = "says `a.b()`\n```rust\nlet x = a\n    .c(1)?\n    .d();\n```\n";
    assert!(contains(&code(page), "a.c(…)?.d()") && contains(&code(page), "a.c(1)?"));
    assert!(!contains(&code(page), "a.b()") && !contains(&code(page), "a.d(…).c()"));
    let table = "| x | here |\n|---|---|\n| `y` | `z` and `w` |\n| a |  |\n\n| x | there |\n| `v` | `u` |\n";
    assert_eq!(equivalents(table, "here"), ["z", "w"]);
}
