//! `init`: writes what a package needs for its first test, and says what to type next.

mod files;
mod templates;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use cratedb_test::private::control::Examination;
use serde::Serialize;

use self::files::{Outcome, Wanted};
use super::package::{HARNESS, Package, cargo};
use super::{doctor, working_directory};
use crate::arguments::{Ci, Init};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Document, People};

/// The result.
#[derive(Serialize)]
struct Report {
    package: String,
    files: Vec<Wanted>,
    dependency: Dependency,
    /// The findings about a test run now.
    examination: Examination,
    /// The commands to type, in their order.
    next: Vec<String>,
}

/// The dependency on the harness, and what became of it.
#[derive(Serialize)]
struct Dependency {
    outcome: Addition,
    /// The command that adds it.
    command: String,
    /// The reason that it could not be added.
    problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Addition {
    WouldAdd,
    Added,
    Exists,
    Failed,
}

pub(super) fn run(_: &Context, wanted: &Init) -> Result<Document, Failure> {
    let (here, options) = (working_directory()?, wanted);
    let dir = here.join(options.dir.as_deref().unwrap_or(Path::new("")));
    let package = Package::find(&dir, options.manifest_path.as_deref())?;
    let dependency_path = options.dependency_path.as_ref().map(|path| here.join(path));
    let mut files = wanted_files(&package, options.ci);
    if !options.dry_run {
        files.iter_mut().try_for_each(Wanted::write)?;
    }
    let dependency = Dependency::add(&package, dependency_path.or_else(checkout), options.dry_run);
    let examination = doctor::examine(package.dir())?;
    let next = next(&package, &here, &dependency, &examination);
    let failed = dependency.outcome == Addition::Failed;
    let report = Report { package: package.name.clone(), files, dependency, examination, next };
    let text = report.text(package.dir());
    Ok(Document::new(&report, People::Text(text))?.failed_if(failed))
}

/// Plans the files of a package: its test beside its sources, the others where the programs that read them look.
fn wanted_files(package: &Package, ci: Option<Ci>) -> Vec<Wanted> {
    let test = package.first_test.clone().unwrap_or_else(|| package.dir().join("tests/cratedb.rs"));
    let mut files = vec![
        Wanted::new(test, templates::first_test(&package.edition)),
        Wanted::new(package.root.join(".env.example"), templates::ENV),
        Wanted::new(package.root.join(".config/nextest.toml"), templates::NEXTEST).snippet(),
    ];
    let repository = repository(&package.root);
    let below = package.root.strip_prefix(repository).unwrap_or(Path::new(""));
    let name = package.is_member().then_some(&*package.name);
    match ci.unwrap_or_else(|| service_of(repository)) {
        Ci::Github => {
            let path = repository.join(".github/workflows/cratedb.yml");
            files.push(Wanted::new(path, templates::github(below, name)));
        }
        Ci::Gitlab => {
            files.push(Wanted::new(repository.join(".gitlab-ci.yml"), templates::gitlab(below, name)).snippet());
        }
        Ci::None => {}
    }
    files
}

/// Returns the root of the repository that a directory is in, else the directory.
fn repository(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(dir)
}

/// Returns the CI service of which a repository has files.
fn service_of(repository: &Path) -> Ci {
    match (repository.join(".github").is_dir(), repository.join(".gitlab-ci.yml").exists()) {
        (true, _) => Ci::Github,
        (false, true) => Ci::Gitlab,
        (false, false) => Ci::None,
    }
}

/// Returns the directory of the harness, if this program was built in a clone of its repository that is still there.
fn checkout() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let is_it = std::fs::read_to_string(root.join("Cargo.toml"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == format!("name = \"{HARNESS}\"")));
    is_it.then(|| root.to_owned())
}

impl Dependency {
    /// Lets cargo add the harness to the dev-dependencies, unless the package depends on it already.
    fn add(package: &Package, path: Option<PathBuf>, dry_run: bool) -> Self {
        let mut arguments: Vec<OsString> = vec!["add".into(), "--dev".into()];
        match path {
            Some(path) => arguments.extend([HARNESS.into(), "--path".into(), path.into()]),
            None => arguments.push(format!("{HARNESS}@{}", env!("CARGO_PKG_VERSION")).into()),
        }
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        let command = format!("cargo {}", words.join(" "));
        let of = |outcome, problem| Self { outcome, command: command.clone(), problem };
        match (&package.harness, dry_run) {
            (Some(_), _) => return of(Addition::Exists, None),
            (None, true) => return of(Addition::WouldAdd, None),
            (None, false) => {}
        }
        let output = cargo().args(&arguments).arg("--manifest-path").arg(&package.manifest).output();
        match output {
            Ok(output) if output.status.success() => of(Addition::Added, None),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let errors: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("error")).collect();
                of(Addition::Failed, Some(errors.join("\n").trim_start_matches("error: ").to_owned()))
            }
            Err(error) => of(Addition::Failed, Some(error.to_string())),
        }
    }
}

/// Returns the commands that follow, in the order in which they are typed.
fn next(package: &Package, here: &Path, dependency: &Dependency, found: &Examination) -> Vec<String> {
    let mut next = Vec::new();
    if here.canonicalize().ok() != package.dir().canonicalize().ok() {
        next.push(format!("cd {}", package.dir().display()));
    }
    if matches!(dependency.outcome, Addition::Failed | Addition::WouldAdd) {
        next.push(dependency.command.clone());
    }
    if found.is_blocked() {
        next.push(
            "cargo cratedb doctor       # once the problem above is solved: what a run would use, and why".to_owned(),
        );
    }
    next.push("cargo test --test cratedb".to_owned());
    let env = package.root.join(".env");
    if is_tracked(&env) {
        next.push(format!(
            "echo .env >> {}    # so that its secrets are not committed",
            package.root.join(".gitignore").display()
        ));
    }
    if env.symlink_metadata().is_err() {
        let to_root = if package.is_member() { format!("{}/", package.root.display()) } else { String::new() };
        next.push(format!("cp {to_root}.env.example {to_root}.env    # to choose another server or cluster"));
    }
    next
}

/// Returns whether git would add a file.
fn is_tracked(path: &Path) -> bool {
    let dir = path.parent().unwrap_or(path);
    let mut git = Command::new("git");
    git.args(["check-ignore", "--quiet", "--no-index"]).arg(path).current_dir(dir);
    // 0 means ignored, 1 not ignored; all else is no repository.
    git.output().is_ok_and(|output| output.status.code() == Some(1))
}

/// The ways to a server, for a machine that can start none.
const WAYS: &str = "\
The shortest ways to one:
  start Docker or Podman; or
  extract a release of CrateDB and set CRATEDB_HOME to its directory; or
  set CRATEDB_CLUSTER_URL to the address of a server, or CRATEDB_CLUSTER_NAME and an API key of CrateDB Cloud
";

impl Report {
    /// Returns what was done and what follows, for people. Paths below `dir` are relative to it.
    fn text(&self, dir: &Path) -> String {
        let mut text = String::new();
        for file in &self.files {
            let path = file.path.strip_prefix(dir).unwrap_or(&file.path).display();
            let outcome = match file.outcome {
                Outcome::WouldWrite => "would write",
                Outcome::Written => "written",
                Outcome::Exists => "exists, left alone",
            };
            text += &format!("{outcome:<18}  {path}\n");
            match file.outcome {
                Outcome::WouldWrite => text += &indented(&file.content),
                Outcome::Exists if file.is_snippet && !self.has(file) => {
                    text += "  if it lacks this, add it:\n";
                    text += &indented(&file.content);
                }
                _ => {}
            }
        }
        let outcome = match self.dependency.outcome {
            Addition::WouldAdd => "would run",
            Addition::Added => "done",
            Addition::Exists => "not needed",
            Addition::Failed => "failed",
        };
        text += &format!("{outcome:<18}  {}\n", self.dependency.command);
        text += &self.dependency.problem.as_deref().map(indented).unwrap_or_default();
        text += "\n";
        match &self.examination.cluster {
            Some(cluster) => text += &format!("A test run would use {}.\n", cluster.what),
            None => text += "A test run could not start:\n",
        }
        for problem in &self.examination.problems {
            text += &indented(&problem.message);
        }
        if self.examination.cluster.is_none() {
            text += WAYS;
        }
        text + "\nNext:\n" + &indented(&self.next.join("\n"))
    }

    /// Returns whether an existing file is the one that would have been written.
    fn has(&self, file: &Wanted) -> bool {
        std::fs::read(&file.path).is_ok_and(|content| content == file.content.as_bytes())
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_the_one_that_the_repository_has_files_of() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(service_of(root), Ci::None);
        std::fs::write(root.join(".gitlab-ci.yml"), "").unwrap();
        assert_eq!(service_of(root), Ci::Gitlab);
        std::fs::create_dir(root.join(".github")).unwrap();
        assert_eq!(service_of(root), Ci::Github);
    }

    #[test]
    fn this_program_was_built_in_a_clone() {
        assert!(checkout().unwrap().join("cli").is_dir());
    }
}
