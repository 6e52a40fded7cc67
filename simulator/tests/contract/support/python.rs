//! Python environments with the vendor's programs, made once below the target directory, under a lock, and reused.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::skip;

const OLDEST: (u32, u32) = (3, 10);
/// Time for which a failure is remembered: each test may be a process of its own, and should not wait for the same
/// time-outs.
const MEMORY: Duration = Duration::from_secs(120);

/// A virtual environment that has its packages.
pub(crate) struct Environment {
    /// Returns the path of one of its programs.
    pub(crate) bin: PathBuf,
}

struct Set {
    name: &'static str,
    /// Requirements and constraints, which decide whether an environment is still valid.
    pins: [&'static str; 2],
}

/// Returns the environment of `croud`, `ctk`, `crash` and the client `crate`; none if they can't be had, with the
/// reason on descriptor 2.
pub(crate) fn clients() -> Option<&'static Environment> {
    static MADE: OnceLock<Result<Environment, String>> = OnceLock::new();
    let pins = [include_str!("../requirements-clients.txt"), include_str!("../constraints-clients.txt")];
    let set = Set { name: "clients", pins };
    given(MADE.get_or_init(|| prepare(&set)))
}

/// Returns the environment of `st`; none if it can't be had.
pub(crate) fn schemathesis() -> Option<&'static Environment> {
    static MADE: OnceLock<Result<Environment, String>> = OnceLock::new();
    let pins = [include_str!("../requirements-schemathesis.txt"), include_str!("../constraints-schemathesis.txt")];
    let set = Set { name: "schemathesis", pins };
    given(MADE.get_or_init(|| prepare(&set)))
}

fn given(made: &'static Result<Environment, String>) -> Option<&'static Environment> {
    made.as_ref().inspect_err(|why| skip("python", why)).ok()
}

fn prepare(set: &Set) -> Result<Environment, String> {
    let version = python()?;
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let io = |error: std::io::Error| format!("{}: {error}", root.display());
    fs::create_dir_all(root).map_err(io)?;
    let lock = File::create(root.join(format!("contract-{}.lock", set.name))).map_err(io)?;
    lock.lock().map_err(io)?;
    // With its own path: programs in an environment name the interpreter by its absolute path, so a copy doesn't work.
    let mut hasher = DefaultHasher::new();
    (root, &version, set.pins).hash(&mut hasher);
    let dir = root.join(format!("contract-{}-{:016x}", set.name, hasher.finish()));
    let (complete, failed) = (dir.join("complete"), root.join(format!("contract-{}.failed", set.name)));
    if complete.exists() {
        return Ok(Environment { bin: dir.join("bin") });
    }
    if let Some(why) = recent(&failed) {
        return Err(why);
    }
    forget_others(root, set.name);
    let made = make(&dir, set).and_then(|()| File::create(&complete).map(drop).map_err(io));
    match made {
        Ok(()) => Ok(Environment { bin: dir.join("bin") }),
        Err(why) => {
            let _ = fs::write(&failed, &why);
            Err(why)
        }
    }
}

/// Returns the version of this machine's Python if it is new enough and can make environments.
fn python() -> Result<String, String> {
    let said =
        run(Command::new("python3")
            .args(["-c", "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3])"]))
        .map_err(|why| format!("there is no Python that can make virtual environments: {why}"))?;
    let version = said.trim();
    let mut numbers = version.split('.').filter_map(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => Ok(version.to_owned()),
        _ => Err(format!("Python {}.{} or newer is needed, and this is {version}", OLDEST.0, OLDEST.1)),
    }
}

fn make(dir: &Path, set: &Set) -> Result<(), String> {
    let _ = fs::remove_dir_all(dir);
    run(Command::new("python3").args(["-m", "venv"]).arg(dir))
        .map_err(|why| format!("no virtual environment: {why}"))?;
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract").join(name);
    let mut pip = Command::new(dir.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    pip.args(["--retries", "2", "--timeout", "30"]);
    pip.arg("--requirement").arg(file(&format!("requirements-{}.txt", set.name)));
    pip.arg("--constraint").arg(file(&format!("constraints-{}.txt", set.name)));
    run(&mut pip).map(drop).map_err(|why| format!("the packages of requirements-{}.txt can't be had: {why}", set.name))
}

/// Returns its output, or the end of its error output.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("ERROR: ")).collect();
    Err(if errors.is_empty() { text.lines().last().unwrap_or_default().to_owned() } else { errors.join(" / ") })
}

fn recent(failed: &Path) -> Option<String> {
    let age = fs::metadata(failed).and_then(|data| data.modified()).ok()?.elapsed().ok()?;
    if age < MEMORY { fs::read_to_string(failed).ok() } else { None }
}

/// Removes environments with other versions: each takes 100 MB.
fn forget_others(root: &Path, name: &str) {
    let prefix = format!("contract-{name}-");
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    for path in fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).filter(ours) {
        let _ = fs::remove_dir_all(path);
    }
}
