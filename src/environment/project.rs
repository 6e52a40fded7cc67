//! The directories that settings are looked for in: the package whose tests run, and the project that it is a part of.

use std::path::{Component, Path, PathBuf};

/// The directory of a package, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) dir: PathBuf,
    /// Says that the package was built elsewhere, if nothing that runs it says where it is now.
    pub(crate) note: Option<String>,
}

impl Package {
    /// Finds the package whose tests run. `frozen` is where it was when it was built, which may be another machine:
    /// `cargo nextest archive` moves test programs.
    pub(crate) fn of_process(frozen: &Path) -> Self {
        let named = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        Self::found(named, frozen, std::env::current_dir().ok())
    }

    /// Returns the directory that cargo and nextest name for the process, else the one in which it was built, if it is
    /// there, else the package around the working directory. A name that belongs to another package is that of a
    /// program of cargo's above the test, such as `cargo run`.
    fn found(named: Option<PathBuf>, frozen: &Path, working: Option<PathBuf>) -> Self {
        let is_there = |dir: &Path| !dir.as_os_str().is_empty() && dir.is_dir();
        let name = |dir: &Path| manifest(dir).and_then(|found| found.name);
        let is_other = |dir: &Path| is_there(frozen) && name(frozen).is_some() && name(dir) != name(frozen);
        if let Some(named) = named.filter(|dir| is_there(dir) && !is_other(dir)) {
            return Self { dir: named, note: None };
        }
        let Some(working) = working.filter(|_| !is_there(frozen)) else {
            return Self { dir: frozen.to_owned(), note: None };
        };
        let dir = working.ancestors().find(|dir| manifest(dir).is_some()).unwrap_or(&working).to_owned();
        let moved = !frozen.as_os_str().is_empty();
        let note = moved.then(|| {
            format!(
                "the settings are those of {}: these tests were built in {}, which is not here, and CARGO_MANIFEST_DIR \
                 names no directory",
                dir.display(),
                frozen.display()
            )
        });
        Self { dir, note }
    }
}

/// Returns the root of the project that a directory belongs to: that of its workspace, as cargo finds it, else its
/// package. Without any manifest it is the topmost directory with a `Cargo.lock`.
pub(crate) fn project_of(dir: &Path) -> PathBuf {
    let Some((package, own)) = dir.ancestors().find_map(|dir| Some((dir, manifest(dir)?))) else {
        let locked = dir.ancestors().filter(|dir| dir.join("Cargo.lock").is_file()).last();
        return locked.unwrap_or(dir).to_owned();
    };
    if let Some(root) = own.root {
        return straightened(&package.join(root));
    }
    let holds = |root: &&Path| {
        manifest(root).is_some_and(|found| {
            found.is_workspace && !found.excluded.iter().any(|part| package.starts_with(straightened(&root.join(part))))
        })
    };
    package.ancestors().find(holds).unwrap_or(package).to_owned()
}

/// Returns the directories whose `.env` counts for tests or a program in `dir`, the nearest first: from there up to the
/// root of the project, and the working directory.
pub(super) fn directories(dir: &Path, project: &Path, working: Option<PathBuf>) -> Vec<PathBuf> {
    let inside = dir.starts_with(project);
    let up: Vec<&Path> = match inside {
        true => dir.ancestors().take_while(|dir| dir.starts_with(project)).collect(),
        false => vec![dir, project],
    };
    let mut all: Vec<PathBuf> = up.into_iter().map(Path::to_owned).collect();
    // The same directory under another name would be read twice.
    let known = |new: &Path| all.iter().any(|dir| dir == new || same(dir, new));
    let working = working.filter(|working| !known(working));
    all.extend(working);
    all
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Removes `.` and `..` without looking at links, as cargo does.
fn straightened(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(straight.pop()),
            part => straight.push(part),
        }
    }
    straight
}

/// The statements of a `Cargo.toml` about its package and its workspace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Manifest {
    /// `package.name`.
    name: Option<String>,
    is_workspace: bool,
    /// `workspace.exclude`.
    excluded: Vec<String>,
    /// `package.workspace`: the root, if it is not in a directory above.
    root: Option<String>,
}

fn manifest(dir: &Path) -> Option<Manifest> {
    let text = std::fs::read(dir.join("Cargo.toml")).ok()?;
    Some(Manifest::read(&String::from_utf8_lossy(&text)))
}

impl Manifest {
    /// Reads the things of interest, in the forms in which manifests have them. A whole parser of TOML would be
    /// another dependency of every test.
    fn read(text: &str) -> Self {
        let (mut read, mut table, mut in_list) = (Self::default(), String::new(), false);
        for line in text.lines() {
            let line = without_comment(line).trim();
            if in_list {
                read.excluded.extend(quoted(line));
                in_list = !line.contains(']');
                continue;
            }
            if let Some(header) = line.strip_prefix('[') {
                table = header.trim_matches(['[', ']', ' ', '\t']).to_owned();
                read.is_workspace |= table == "workspace" || table.starts_with("workspace.");
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim(), value.trim());
            let full = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            match full.as_str() {
                "workspace.exclude" => {
                    read.is_workspace = true;
                    read.excluded.extend(quoted(value));
                    in_list = !value.contains(']');
                }
                "package.name" => read.name = quoted(value).next(),
                "package.workspace" => read.root = quoted(value).next(),
                _ => read.is_workspace |= full == "workspace" || full.starts_with("workspace."),
            }
        }
        read
    }
}

/// Removes a comment. A `#` in a text between quotes begins none.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, sign) in line.char_indices() {
        match (quote, sign) {
            (None, '#') => return &line[..at],
            (None, '"' | '\'') => quote = Some(sign),
            (Some(open), sign) if open == sign => quote = None,
            _ => {}
        }
    }
    line
}

/// Returns the texts between quotes.
fn quoted(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(['"', '\'']).skip(1).step_by(2).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: &str =
        "[package]\nname = \"a\"\nversion.workspace = true\n\n[dependencies.serde]\nworkspace = true\n";

    /// Makes a directory with these files below it.
    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for (name, text) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        (dir, root)
    }

    #[test]
    fn an_old_lock_in_a_member_makes_it_no_project() {
        let (_dir, root) = tree(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"deep/b\"]\n"),
            ("Cargo.lock", ""),
            ("a/Cargo.toml", MEMBER),
            ("a/Cargo.lock", ""),
            ("deep/Cargo.lock", ""),
            ("deep/b/Cargo.toml", MEMBER),
            ("deep/b/src/lib.rs", ""),
        ]);
        for inside in ["", "a", "deep", "deep/b", "deep/b/src"] {
            assert_eq!(project_of(&root.join(inside)), root, "{inside}");
        }
    }

    #[test]
    fn a_workspace_is_found_as_cargo_finds_it() {
        let (_dir, root) = tree(&[
            ("Cargo.toml", "[package]\nname = \"r\"\n[workspace.package]\nversion = \"1\"\n"),
            ("own/Cargo.toml", "# [workspace]\n[package]\nname = \"own\"\n\n[ workspace ]\n"),
            ("own/part/Cargo.toml", MEMBER),
            ("dotted/Cargo.toml", "workspace.members = [\"x\"]\n[package]\nname = \"d\"\n"),
            ("dotted/x/Cargo.toml", MEMBER),
        ]);
        assert_eq!(project_of(&root.join("own/part")), root.join("own"));
        assert_eq!(project_of(&root.join("dotted/x")), root.join("dotted"));
        assert_eq!(project_of(&root.join("src")), root);
    }

    #[test]
    fn what_a_workspace_excludes_is_a_project_of_its_own() {
        let list = "[workspace]\nexclude = [\n  \"outside\", # not \"inside\"\n  'deep/er',\n]\nresolver = \"3\"\n";
        let (_dir, root) = tree(&[
            ("Cargo.toml", list),
            ("outside/Cargo.toml", "[package]\nname = \"o\"\n"),
            ("outside/Cargo.lock", ""),
            ("deep/er/Cargo.toml", "[package]\nname = \"e\"\n"),
            ("inside/Cargo.toml", MEMBER),
            ("elsewhere/Cargo.toml", "[package]\nname = \"w\"\nworkspace = \"../second\"\n"),
            ("second/Cargo.toml", "[workspace]\n"),
        ]);
        assert_eq!(project_of(&root.join("outside")), root.join("outside"));
        assert_eq!(project_of(&root.join("deep/er")), root.join("deep/er"));
        assert_eq!(project_of(&root.join("inside")), root);
        assert_eq!(project_of(&root.join("elsewhere")), root.join("second"));
    }

    #[test]
    fn without_a_manifest_the_topmost_lock_is_the_root() {
        let (_dir, root) = tree(&[("a/Cargo.lock", ""), ("a/b/Cargo.lock", ""), ("a/b/c/x", "")]);
        assert_eq!(project_of(&root.join("a/b/c")), root.join("a"));
        let nowhere = Path::new("/nowhere/at/all");
        assert_eq!(project_of(nowhere), nowhere);
        // A package alone is one, whatever lies above it.
        let (_dir, root) = tree(&[("Cargo.lock", ""), ("p/Cargo.toml", "[package]\nname = \"p\"\n")]);
        assert_eq!(project_of(&root.join("p")), root.join("p"));
    }

    #[test]
    fn the_package_is_the_one_that_runs_and_not_the_one_that_was_built() {
        let other = "[package]\nname = \"other\"\n";
        let (_dir, root) = tree(&[
            ("built/Cargo.toml", MEMBER),
            ("runs/Cargo.toml", MEMBER),
            ("runs/src/x", ""),
            ("other/Cargo.toml", other),
        ]);
        let (built, runs) = (root.join("built"), root.join("runs"));
        let found = |named: Option<&Path>, frozen: &Path, working: &Path| {
            Package::found(named.map(Path::to_owned), frozen, Some(working.to_owned()))
        };
        let silent = |dir: &Path| Package { dir: dir.to_owned(), note: None };
        assert_eq!(found(Some(&runs), &built, &root), silent(&runs));
        assert_eq!(found(None, &built, &runs), silent(&built));
        // What is named may be gone as well.
        assert_eq!(found(Some(&root.join("gone")), &built, &runs), silent(&built));
        // So may a program of cargo's that runs the tests.
        assert_eq!(found(Some(&root.join("other")), &built, &runs), silent(&built));
        assert_eq!(found(Some(&root.join("other")), &root.join("gone"), &runs), silent(&root.join("other")));
        let moved = found(None, &root.join("gone"), &runs.join("src"));
        assert_eq!(moved.dir, runs);
        let note = moved.note.unwrap();
        assert!(note.contains(&runs.display().to_string()) && note.contains("gone, which is not here"), "{note}");
        // A program has no place in which it was built.
        assert_eq!(found(None, Path::new(""), &runs.join("src")), silent(&runs));
        assert_eq!(found(None, Path::new(""), &root), silent(&root));
    }

    #[cfg(unix)]
    #[test]
    fn no_directory_is_looked_into_twice() {
        let (_dir, root) = tree(&[("a/b/x", "")]);
        let link = root.join("link");
        std::os::unix::fs::symlink(root.join("a/b"), &link).unwrap();
        let up = [root.join("a/b"), root.join("a"), root.clone()];
        assert_eq!(directories(&root.join("a/b"), &root, Some(root.join("a"))), up);
        assert_eq!(directories(&root.join("a/b"), &root, Some(link.clone())), up);
        assert_eq!(directories(&root.join("a"), &root, Some(link.clone())), [root.join("a"), root.clone(), link]);
        assert_eq!(directories(&root.join("a"), &root.join("b"), None), [root.join("a"), root.join("b")]);
    }
}
