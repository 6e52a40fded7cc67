//! Consumer projects: copied out of the workspace, so that they stand on their own as a user's project does.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::run::Runner;

/// A project of `tests/consumers/`, built.
pub struct Consumer {
    pub dir: PathBuf,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Builds of all consumers; apart from the workspace's own, whose lock is held while these tests are built.
pub fn target_dir() -> PathBuf {
    root().join("target/consumers")
}

impl Consumer {
    /// Copies the project to a place that stays the same, so that it is built once, and builds it for `runner`.
    pub fn of(name: &str, runner: Runner) -> Self {
        Self::checkout(name, name, runner)
    }

    /// The same with cargo features of the project; its runs have to name them, too.
    pub fn with_features(name: &str, features: &str, runner: Runner) -> Self {
        Self::built(name, name, runner, &["--features", features])
    }

    /// The same under another directory name, as if the project had been cloned twice.
    pub fn checkout(name: &str, directory: &str, runner: Runner) -> Self {
        Self::built(name, directory, runner, &[])
    }

    fn built(name: &str, directory: &str, runner: Runner, arguments: &[&str]) -> Self {
        let consumer = Self { dir: target_dir().join("src").join(directory) };
        consumer.copy(&root().join("tests/consumers").join(name), name, directory);
        let mut build = clean(Command::new("cargo"));
        build.current_dir(&consumer.dir).args(match runner {
            Runner::Cargo => ["test", "--no-run", "--workspace"].as_slice(),
            Runner::Nextest => ["nextest", "run", "--no-run", "--workspace"].as_slice(),
        });
        build.args(arguments);
        let built = build.output().unwrap();
        assert!(built.status.success(), "{name} does not build:\n{}", String::from_utf8_lossy(&built.stderr));
        consumer
    }

    fn copy(&self, from: &Path, name: &str, directory: &str) {
        copy_tree(from, &self.dir, &|manifest| renamed(manifest, name, directory));
        // The root's versions, without another resolution; cargo drops what this project does not use.
        let (lock, stamp) = (root().join("Cargo.lock"), self.dir.join(".root-lock"));
        let wanted = fs::read(&lock).unwrap();
        if fs::read(&stamp).ok().as_ref() != Some(&wanted) {
            fs::write(self.dir.join("Cargo.lock"), &wanted).unwrap();
            fs::write(stamp, &wanted).unwrap();
        }
    }
}

/// Gives the package of a second checkout a name of its own. cargo takes two packages of one name in two directories
/// for the same, and in one target directory the build of one would replace the tests of the other.
fn renamed(manifest: String, name: &str, directory: &str) -> String {
    if name == directory {
        return manifest;
    }
    let package = format!("name = \"{name}\"");
    assert!(manifest.contains(&package) && !manifest.contains("[lib]"), "{manifest}");
    format!("{}\n[lib]\nname = \"{name}\"\n", manifest.replacen(&package, &format!("name = \"{directory}\""), 1))
}

/// Copies what changed; manifests get the crate's real place.
fn copy_tree(from: &Path, to: &Path, renamed: &dyn Fn(String) -> String) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != "target" {
                copy_tree(&entry.path(), &target, renamed);
            }
            continue;
        }
        let mut text = fs::read_to_string(entry.path()).unwrap();
        if entry.file_name() == "Cargo.toml" {
            let crates = root().display().to_string();
            text = renamed(text.replace("../../../..", &crates).replace("../../..", &crates));
        }
        if fs::read_to_string(&target).ok().as_ref() != Some(&text) {
            // In one step: another test may build the same project now.
            let own = format!("{}.{:?}", std::process::id(), std::thread::current().id());
            let new = to.join(format!(".{}.{own}", entry.file_name().to_string_lossy()));
            fs::write(&new, text).unwrap();
            fs::rename(new, &target).unwrap();
        }
    }
}

/// A command without what this test run left in the environment.
pub fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let cargo = text.starts_with("CARGO") && !["CARGO_HOME", "CARGO_INCREMENTAL"].contains(&&*text);
        if cargo
            || ["NEXTEST", "RUSTDOC", "CRATEDB_", "RUST_BACKTRACE", "RUST_TEST_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command.env_remove("CI");
    command.env("CARGO_TARGET_DIR", target_dir());
    // Debug information of a hundred small binaries is only slow to link.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0");
    command.env("CRATEDB_TEST_OUTER", std::process::id().to_string());
    // The tests must not use the login of the user who runs them.
    command.env("XDG_CONFIG_HOME", target_dir().join("no-config"));
    // No test downloads anything from the vendor.
    command.env("CRATEDB_TEST_MIRROR", "http://127.0.0.1:1/");
    // A shell that starts these tests in the background may have set Ctrl-C to be ignored.
    // SAFETY: a plain system call, allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    command
}
