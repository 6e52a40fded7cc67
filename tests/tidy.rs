//! Checks that the documentation agrees with the code, and that the sources keep their rules of layout and prose.

#[path = "tidy/book.rs"]
mod book;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/prose.rs"]
mod prose;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The documentation, apart from the crate's own page.
const PAPERS: [&str; 28] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "cli/README.md",
    "macros/README.md",
    "simulator/README.md",
    "ci/action/README.md",
    "docs/README.md",
    "docs/SUMMARY.md",
    "docs/other-ways.md",
    "docs/coming-from-testcontainers.md",
    "docs/coming-from-sqlx-test.md",
    "docs/benchmarks.md",
    "docs/reliability.md",
    "docs/settings.md",
    "docs/limits.md",
    "docs/testing.md",
    "docs/fixtures.md",
    "docs/local-servers.md",
    "docs/failures.md",
    "docs/failover.md",
    "docs/report.md",
    "docs/ci.md",
    "docs/postgres.md",
    "docs/migrations.md",
    "docs/sdk.md",
    "docs/command-line.md",
    "docs/coming-from-ctk-and-croud.md",
];

/// Longer files hold more than one noun. A shorter limit made one noun into several files, which are harder to read.
const LONGEST_FILE: usize = 700;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The crate's own page, as text.
fn crate_doc() -> String {
    let code = read("src/lib.rs");
    let lines = code.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Returns the words in a text that look like variables of this project.
fn variables(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let ours = |name: &&str| name.starts_with("CRATEDB_") && !name.ends_with('_');
    text.split(word).filter(ours).map(str::to_owned).collect()
}

/// Every row of the table of all variables: they stand in backticks at its beginning.
fn rows_of_variables(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("| `CRATEDB_")).collect()
}

fn table_of_variables(text: &str) -> BTreeSet<String> {
    let name = |row: &str| row.split('`').nth(1).unwrap_or_default().to_owned();
    rows_of_variables(text).into_iter().map(name).collect()
}

/// The variables that the sources read, wherever these files are put next.
fn settings_of_the_code() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for path in files_below(&["src"]) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        if ["src/settings", "src/environment"].iter().any(|reads| name.starts_with(reads)) && !name.contains("tests") {
            all.extend(variables(&text));
        }
        // The only one that is read elsewhere, since it must not come from a `.env` file.
        if text.contains("\"CRATEDB_TEST_DIR\"") {
            all.insert("CRATEDB_TEST_DIR".to_owned());
        }
    }
    all
}

/// The code of the first fence of a text, without what rustdoc hides.
fn first_example(text: &str) -> Vec<&str> {
    let inside = text.lines().skip_while(|line| !line.starts_with("```rust") && !line.starts_with("```no_run")).skip(1);
    inside.take_while(|line| !line.starts_with("```")).filter(|line| !line.starts_with("# ")).collect()
}

/// All Rust files below a directory.
fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn files_below(dirs: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    dirs.iter().for_each(|dir| rust_files(&root().join(dir), &mut found));
    assert!(!found.is_empty());
    found
}

#[test]
fn the_tables_of_variables_name_every_setting_and_no_other() {
    let expected = settings_of_the_code();
    assert!(expected.len() > 20, "{expected:?}");
    let (page, doc) = (read("docs/settings.md"), crate_doc());
    assert_eq!(table_of_variables(&page), expected, "docs/settings.md");
    assert_eq!(rows_of_variables(&page), rows_of_variables(&doc), "docs/settings.md and src/lib.rs");
}

#[test]
fn no_paper_names_a_variable_that_does_not_exist() {
    let mut known = settings_of_the_code();
    // Read by the benchmark alone.
    known.insert("CRATEDB_BENCH_URL".to_owned());
    // Given to children by `Cluster::env` and by `cargo cratedb test`, and never read.
    known.extend(["CRATEDB_CA_FILE", "CRATEDB_SCHEMA", "CRATEDB_TOKEN", "CRATEDB_TEST_SESSION_URL"].map(str::to_owned));
    for path in PAPERS.into_iter().chain(["src/lib.rs", "src/cratedb_cluster.md"]) {
        let unknown: Vec<_> = variables(&read(path)).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}");
    }
}

#[test]
fn readme_installs_this_version() {
    let line = format!("cratedb-test = \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(read("README.md").lines().any(|found| found == line), "README.md lacks `{line}`");
}

#[test]
fn readme_and_manifest_name_the_same_rust_version() {
    let version = env!("CARGO_PKG_RUST_VERSION");
    for (path, text) in [("README.md", read("README.md")), ("src/lib.rs", crate_doc())] {
        assert!(text.contains(&format!("{version}. Raising it")), "{path} does not name Rust {version}");
    }
}

#[test]
fn changelog_has_this_version() {
    let heading = format!("## {}", env!("CARGO_PKG_VERSION"));
    assert!(read("CHANGELOG.md").lines().any(|line| line.starts_with(&heading)), "CHANGELOG.md lacks `{heading}`");
}

#[test]
fn readme_and_crate_doc_open_with_the_same_test() {
    let (readme, doc) = (read("README.md"), crate_doc());
    let example = first_example(&readme);
    assert!(example.iter().any(|line| line.contains("#[cratedb_cluster]")), "{example:?}");
    assert_eq!(example, first_example(&doc));
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for path in files_below(&["src", "macros/src", "simulator/src", "cli", "tests", "simulator/tests", "examples"]) {
        // Golden inputs of the compiler's own words begin with what they are about.
        if path.components().any(|part| part.as_os_str() == "ui" || part.as_os_str() == "consumers") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not begin with `//! `", path.display());
    }
}

#[test]
fn the_attribute_refuses_the_settings_that_the_library_refuses() {
    assert_eq!(read("src/target/reserved.rs"), read("macros/src/options/reserved.rs"));
}

#[test]
fn no_file_is_too_long() {
    for path in files_below(&["src", "macros", "simulator", "cli", "tests", "examples"]) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines, at most {LONGEST_FILE} are allowed", path.display());
    }
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings.map(|heading| heading.to_lowercase().replace(|c| !kept(c), "").replace(' ', "-")).collect()
}

/// Links to files of this repository and to headings of its pages; those to pages elsewhere are not followed.
#[test]
fn links_of_the_papers_lead_somewhere() {
    for paper in PAPERS {
        let (text, from) = (read(paper), root().join(paper));
        for target in book::links(&text) {
            let ours = book::in_repository(target);
            if ours.is_none() && target.contains("://") {
                continue;
            }
            let (file, anchor) = ours.unwrap_or(target).split_once('#').unwrap_or((ours.unwrap_or(target), ""));
            let base = if ours.is_some() { root() } else { from.parent().unwrap().to_owned() };
            let file = if file.is_empty() { from.clone() } else { base.join(file) };
            assert!(file.exists(), "{paper} links to `{target}`");
            if !anchor.is_empty() {
                let page = fs::read_to_string(&file).unwrap();
                assert!(anchors(&page).contains(anchor), "{paper} links to `{target}`, which has no such heading");
            }
        }
    }
}

/// The page of the attribute is a doc comment in a file of its own.
const ATTRIBUTE: &str = "src/cratedb_cluster.md";

/// Applies a check to files, and fails with all that it found.
fn all_pass(files: impl IntoIterator<Item = PathBuf>, check: fn(&str) -> Vec<String>) {
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        found.extend(check(&text).into_iter().map(|line| format!("{name}:{line}")));
    }
    assert!(found.is_empty(), "{} lines:\n{}", found.len(), found.join("\n"));
}

#[test]
fn lines_of_the_papers_are_not_too_long() {
    all_pass(PAPERS.into_iter().chain([ATTRIBUTE]).map(|path| root().join(path)), prose::long_lines);
}

#[test]
fn lines_of_comments_are_not_too_long() {
    let sources = files_below(&["src", "macros", "simulator", "cli", "tests", "benches", "examples"]);
    all_pass(sources, prose::long_comments);
}

#[test]
fn doc_comments_open_with_a_noun_or_a_verb() {
    all_pass(files_below(&["src", "macros/src", "simulator/src", "cli/src"]), prose::bare_openings);
}

#[test]
fn docs_of_the_library_name_the_actor() {
    all_pass(files_below(&["src"]), prose::vague_docs);
    all_pass([root().join(ATTRIBUTE)], prose::vague_lines);
}

#[test]
fn papers_name_the_actor() {
    all_pass(PAPERS.map(|path| root().join(path)), prose::vague_lines);
}

/// The code map must name every directory and file at the top of the sources.
#[test]
fn the_code_map_names_every_directory_of_the_sources() {
    let map = read("ARCHITECTURE.md");
    for base in ["src", "macros/src", "simulator/src", "cli/src"] {
        for entry in fs::read_dir(root().join(base)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let code = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
            if code && !["main", "tests"].contains(&name) {
                assert!(map.contains(&format!("`{name}")), "ARCHITECTURE.md does not name {base}/{name}");
            }
        }
    }
}

/// A difference between systems has one place. Of tests in `src/`, too: what they need of a system is in the same
/// place.
#[test]
fn only_the_platform_module_asks_for_the_system() {
    let asking =
        files_below(&["src"]).into_iter().filter(|path| fs::read_to_string(path).unwrap().contains("target_os"));
    let asking: Vec<_> = asking.map(|path| path.strip_prefix(root()).unwrap().display().to_string()).collect();
    assert!(asking.iter().all(|path| path.starts_with("src/host/platform")), "{asking:?}");
}
