//! `doctor`: shows what the next test run would use and why, and what would keep it from starting.

use std::path::{Path, PathBuf};

use cratedb_test::private::control::{self, Cached, EngineSeen, Examination, Problem};
use serde::Serialize;

use super::cache::mib;
use super::package::{Package, cargo};
use super::working_directory;
use crate::arguments::Doctor;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Document, People};

/// All that is shown.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    examination: Examination,
    /// The programs that run tests.
    runners: Vec<String>,
    /// The contents of the cache.
    cache: Vec<Cached>,
    /// The answer of the cluster, with `--online`.
    online: Option<serde_json::Value>,
    /// The fate of the clusters of killed runs, with `--drill`.
    #[cfg(feature = "drill")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drill: Vec<super::drill::Drilled>,
}

pub(super) fn run(context: &Context, wanted: &Doctor) -> Result<Document, Failure> {
    let here = working_directory()?;
    let package = Package::find(&here, None);
    let mut report = Report {
        examination: examine(package.as_ref().map_or(here.as_path(), Package::dir))?,
        runners: runners(),
        cache: control::cached().unwrap_or_default(),
        online: None,
        #[cfg(feature = "drill")]
        drill: Vec::new(),
    };
    report.add_package(package);
    if wanted.online {
        report.ask(context);
    }
    #[cfg(feature = "drill")]
    if wanted.drill {
        report.kill_runs(context)?;
    }
    let blocked = report.examination.is_blocked();
    let text = report.text();
    Ok(Document::new(&report, People::Text(text))?.failed_if(blocked))
}

/// Examines the package in a directory. That becomes the working directory, as cargo and nextest have it for tests.
pub(super) fn examine(dir: &Path) -> Result<Examination, Failure> {
    std::env::set_current_dir(dir)
        .map_err(|error| Failure::failed(format!("cannot go to {}: {error}", dir.display())))?;
    Ok(control::examine(dir)?)
}

/// Returns the versions of cargo and of nextest.
fn runners() -> Vec<String> {
    let version = |arguments: &[&str]| {
        let output = cargo().args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
    };
    let cargo = version(&["--version"]).unwrap_or_else(|| "cargo: not found".to_owned());
    let nextest = version(&["nextest", "--version"]).unwrap_or_else(|| "cargo-nextest: not installed".to_owned());
    vec![cargo, nextest]
}

impl Report {
    /// Compares the manifest of the package with what its tests would need.
    fn add_package(&mut self, package: Result<Package, Failure>) {
        let notes = &mut self.examination.notes;
        notes.extend(set_by_cargo(&self.examination.package));
        match package.map(|package| package.harness) {
            Err(failure) => notes.push(failure.to_string()),
            Ok(None) => {
                notes.push("the package does not depend on cratedb-test; `cargo cratedb init` adds it".to_owned())
            }
            Ok(Some(harness)) => {
                let provider = self.examination.cluster.as_ref().map(|cluster| cluster.provider);
                let needed = ["cloud", "container", "process"].into_iter().filter(|name| Some(*name) == provider);
                let needed: Vec<&str> = ["harness"].into_iter().chain(needed).collect();
                notes.extend(harness.lacks(&needed).into_iter().map(|feature| {
                    format!(
                        "Cargo.toml does not turn on the feature `{feature}` of cratedb-test, which this answer needs; \
                         the tests have it only if another package turns it on"
                    )
                }));
            }
        }
    }

    /// Asks the cluster how it is. That changes nothing.
    fn ask(&mut self, context: &Context) {
        let asked = matches!(&self.examination.cluster, Some(cluster) if matches!(cluster.provider, "url" | "cloud"));
        if !asked {
            self.examination.notes.push("--online has no server to ask".to_owned());
            return;
        }
        let health = context.wait(async { Ok(context.cluster()?.health().await?) });
        let problem = match health.map(|health| (serde_json::to_value(&health), health)) {
            Ok((Ok(json), health)) => {
                self.online = Some(json);
                health.problem.map(|why| format!("{} is not well: {why}", health.cluster))
            }
            Ok((Err(error), _)) => Some(error.to_string()),
            Err(failure) => Some(failure.to_string()),
        };
        self.examination.problems.extend(problem.map(|message| Problem { message, blocks: true }));
    }

    /// Kills runs of its own. A cluster that runs on is a problem.
    #[cfg(feature = "drill")]
    fn kill_runs(&mut self, context: &Context) -> Result<(), Failure> {
        context.progress.say("killing runs in a simulated CrateDB Cloud");
        let drilled = super::drill::run();
        context.progress.clear();
        self.drill = drilled?;
        let problems = self.drill.iter().filter_map(super::drill::Drilled::problem);
        self.examination.problems.extend(problems.map(|message| Problem { message, blocks: true }));
        Ok(())
    }

    /// Returns the report for people, with the problems last.
    fn text(&self) -> String {
        let found = &self.examination;
        let mut text = Sections::default();
        let cluster = found.cluster.as_ref();
        let nothing = "nothing: a test run could not start";
        text.add("would use", [cluster.map_or(nothing, |cluster| &cluster.what).to_owned()]);
        text.add("because", cluster.map(|cluster| cluster.because.clone()).unwrap_or_default());
        text.add("cluster says", self.online.iter().map(said));
        let project = (found.project != found.package).then(|| format!(" of the project {}", found.project.display()));
        text.add("package", [format!("{}{}", found.package.display(), project.unwrap_or_default())]);
        text.add("session", found.session.iter().map(|name| format!("`{name}`, by CRATEDB_TEST_SESSION")));
        let settings = found.settings.iter().map(|one| {
            let value = one.value.as_deref().map_or(" (not shown)".to_owned(), |value| format!("={value}"));
            format!("{}{value}, from {}", one.name, one.from)
        });
        text.add("settings", settings.chain(found.looked.clone()));
        let credentials = found.credentials.as_ref().map_or("none".to_owned(), |credentials| {
            format!("for {}, from {}", credentials.endpoint, credentials.from)
        });
        text.add("credentials", [credentials]);
        text.add("engines", engines(&found.engines));
        text.add("runners", self.runners.clone());
        let cached =
            |one: &Cached| format!("{} {}, {} MiB, last used {}", one.kind, one.name, mib(one.size), one.last_used);
        text.add("cache", self.cache.iter().map(cached));
        text.add(
            "directories",
            found.directories.iter().map(|directory| {
                let exists = if directory.exists { "" } else { " (not made yet)" };
                format!("{}: {}{exists}", directory.holds, directory.path.display())
            }),
        );
        text.add("owed", found.owed.iter().map(ToString::to_string));
        #[cfg(feature = "drill")]
        text.add("drill", self.drill.iter().map(ToString::to_string));
        text.add("notes", found.notes.clone());
        let problems: Vec<String> = found.problems.iter().map(|problem| problem.message.clone()).collect();
        text.add("problems", if problems.is_empty() { vec!["none".to_owned()] } else { problems });
        text.0
    }
}

/// Lists the places at which an engine was looked for, those without a socket in one line.
fn engines(all: &[EngineSeen]) -> Vec<String> {
    let (mut lines, mut absent) = (Vec::new(), Vec::new());
    for engine in all {
        let address = engine.address.as_deref().unwrap_or("no address");
        let path = address.strip_prefix("unix://").unwrap_or(address);
        match &engine.problem {
            Some(why) if *why == format!("there is no {path}") => absent.push(path),
            why => {
                let why = why.as_deref().unwrap_or("it answers");
                lines.push(format!("{address} ({}): {why}", engine.named_by));
            }
        }
    }
    lines.extend((!absent.is_empty()).then(|| format!("no socket at {}", absent.join(", "))));
    lines
}

/// Names the configurations of cargo that set variables of the harness. Cargo sets them for tests, and not for this
/// program.
fn set_by_cargo(dir: &Path) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let of = |dir: PathBuf| [dir.join("config.toml"), dir.join("config")];
    let files = dir.ancestors().map(|dir| dir.join(".cargo")).chain(home).flat_map(of);
    let sets = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().any(|line| line.trim_start().trim_start_matches("env.").starts_with("CRATEDB_"))
    };
    let mut found: Vec<PathBuf> = files.filter(sets).collect();
    found.dedup();
    let note = |path: PathBuf| {
        format!("{} sets CRATEDB_ variables, which cargo sets for tests and which are not seen here", path.display())
    };
    found.into_iter().map(note).collect()
}

/// Says in one line how a cluster is.
fn said(health: &serde_json::Value) -> String {
    let word = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let suspended = (health["suspended"] == true).then(|| "suspended".to_owned());
    let parts = [word(&health["cluster"]), suspended, word(&health["sql"]["status"]), word(&health["sql"]["version"])];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Text of paragraphs with a label beside each one's first line.
#[derive(Default)]
struct Sections(String);

impl Sections {
    /// Adds a paragraph, unless it is empty. A line of an entry that is not its first is indented further.
    fn add(&mut self, label: &str, entries: impl IntoIterator<Item = String>) {
        let lines = entries.into_iter().flat_map(|entry| entry.lines().map(str::to_owned).collect::<Vec<_>>());
        for (at, line) in lines.enumerate() {
            let label = if at == 0 { label } else { "" };
            self.0 += format!("{label:<12}  {line}\n").trim_start_matches('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_that_are_not_there_take_one_line() {
        let seen = |path: &str, problem: Option<&str>| EngineSeen {
            named_by: "Docker".to_owned(),
            address: Some(format!("unix://{path}")),
            problem: problem.map(str::to_owned),
        };
        let all = [seen("/a", Some("there is no /a")), seen("/b", None), seen("/c", Some("there is no /c"))];
        assert_eq!(engines(&all), ["unix:///b (Docker): it answers", "no socket at /a, /c"]);
    }

    #[test]
    fn a_configuration_of_cargo_that_sets_variables_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (below, cargo) = (dir.path().join("orders"), dir.path().join(".cargo"));
        [&below, &cargo].iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
        let named = || set_by_cargo(&below).iter().any(|note| note.starts_with(&cargo.display().to_string()));
        for (text, sets) in
            [("[env]\nOTHER = 'x'", false), ("[env]\nCRATEDB_HOME = '/x'", true), ("env.CRATEDB_HOME='x'", true)]
        {
            std::fs::write(cargo.join("config.toml"), text).unwrap();
            assert_eq!(named(), sets, "{text}");
        }
    }

    #[test]
    fn a_label_stands_beside_the_first_line_only() {
        let mut text = Sections::default();
        text.add("empty", []);
        text.add("problems", ["one\n  its remedy".to_owned(), "two".to_owned()]);
        assert_eq!(text.0, "problems      one\n                its remedy\n              two\n");
    }
}
