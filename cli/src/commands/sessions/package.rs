//! The package in a directory, as cargo sees it. Cargo is asked for its own manifests only: it resolves nothing, and
//! needs no network.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::failure::{Code, Failure};

/// The name of the harness, as a package.
pub(super) const HARNESS: &str = "cratedb-test";

/// A package and its workspace.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) edition: String,
    pub(super) manifest: PathBuf,
    /// The root of its workspace, which is its own directory if it is in none.
    pub(super) root: PathBuf,
    /// The sources of its integration test `cratedb`, if it has one.
    pub(super) first_test: Option<PathBuf>,
    /// Its dependency on the harness.
    pub(super) harness: Option<Dependency>,
}

/// A dependency, as a manifest has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Dependency {
    name: String,
    uses_default_features: bool,
    features: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Listed>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    edition: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

impl Package {
    /// Finds the package whose `Cargo.toml` is at `manifest`, or that a directory is in.
    pub(super) fn find(dir: &Path, manifest: Option<&Path>) -> Result<Self, Failure> {
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version=1", "--color=never"]).current_dir(dir);
        command.args(manifest.iter().flat_map(|path| ["--manifest-path".as_ref(), path.as_os_str()]));
        let place = manifest.unwrap_or(dir).display();
        let output = command
            .output()
            .map_err(|error| Failure::failed(format!("cannot run cargo: {error}")).hint("cargo has to be in PATH"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().trim_start_matches("error: ").replace('\n', "\n  ");
            let failure = Failure::new(Code::Usage, format!("there is no package at {place}: {said}"));
            return Err(failure.hint("`cargo init` makes one; a directory or --manifest-path names another one"));
        }
        let read: Metadata = serde_json::from_slice(&output.stdout)
            .map_err(|error| Failure::failed(format!("cannot read what cargo says of {place}: {error}")))?;
        read.package_at(&wanted(dir, manifest)?)
    }

    pub(super) fn dir(&self) -> &Path {
        self.manifest.parent().unwrap_or(&self.manifest)
    }

    /// Returns whether it is one of a workspace, and not its root.
    pub(super) fn is_member(&self) -> bool {
        self.dir() != self.root
    }
}

impl Metadata {
    /// Returns the package of a manifest.
    fn package_at(self, manifest: &Path) -> Result<Package, Failure> {
        let known: Vec<String> = self.packages.iter().map(|one| one.name.clone()).collect();
        let is_it = |one: &Listed| one.manifest_path.canonicalize().is_ok_and(|path| path == manifest);
        let Some(found) = self.packages.into_iter().find(is_it) else {
            let text = format!("{} is that of a workspace, and of no package", manifest.display());
            let packages = match known.len() {
                0 => "its workspace has no package yet; `cargo new` makes one".to_owned(),
                _ => format!("go to the directory of one of its packages: {}", known.join(", ")),
            };
            return Err(Failure::usage(text).hint(packages));
        };
        let is_first = |one: &Target| one.name == "cratedb" && one.kind.iter().any(|kind| kind == "test");
        Ok(Package {
            name: found.name,
            edition: found.edition,
            manifest: found.manifest_path,
            root: self.workspace_root,
            first_test: found.targets.into_iter().find(is_first).map(|target| target.src_path),
            harness: found.dependencies.into_iter().find(|one| one.name == HARNESS),
        })
    }
}

impl Dependency {
    /// Names the features among these, all of them default ones, that the manifest does not turn on.
    pub(super) fn lacks<'a>(&self, features: &[&'a str]) -> Vec<&'a str> {
        let is_off = |feature: &&&str| !self.uses_default_features && !self.features.iter().any(|on| on == *feature);
        features.iter().filter(is_off).copied().collect()
    }
}

/// Returns the manifest that is meant, as cargo looks for it: in the directory, else in the nearest one above.
fn wanted(dir: &Path, manifest: Option<&Path>) -> Result<PathBuf, Failure> {
    let found = match manifest {
        Some(path) => dir.join(path),
        None => dir.ancestors().map(|dir| dir.join("Cargo.toml")).find(|path| path.exists()).unwrap_or_default(),
    };
    found.canonicalize().map_err(|error| Failure::usage(format!("cannot find {}: {error}", found.display())))
}

/// Prepares a run of the cargo that runs this program, else of the one in PATH.
pub(super) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_those_of_the_manifest() {
        let dependency = |uses_default_features, features: &[&str]| Dependency {
            name: HARNESS.to_owned(),
            uses_default_features,
            features: features.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(dependency(true, &[]).lacks(&["container", "harness"]), [""; 0]);
        assert_eq!(dependency(false, &["harness"]).lacks(&["container", "harness"]), ["container"]);
    }
}
