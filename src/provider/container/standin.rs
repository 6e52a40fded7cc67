//! Test support: an image of the simulator's stand-in for CrateDB, made when it is first needed.
//!
//! It has no dependencies and uses nothing of this crate, so that integration tests can include the file by its path.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Returns the tag of an image that starts as the official one does, or none with the reason on descriptor 2.
///
/// If `CRATEDB_TEST_REQUIRE` contains `docker`, a missing engine is a panic instead.
pub(crate) fn image() -> Option<String> {
    if let Err(why) = docker(&["version", "--format", "{{.Server.Version}}"]) {
        let required =
            std::env::var("CRATEDB_TEST_REQUIRE").is_ok_and(|names| names.split(',').any(|name| name == "docker"));
        assert!(!required, "CRATEDB_TEST_REQUIRE asks for a container engine, and there is none: {why}");
        skipped(&why);
        return None;
    }
    static TAG: OnceLock<String> = OnceLock::new();
    Some(TAG.get_or_init(make).clone())
}

/// Builds the binary and, if there is no image of it, the image. One process does so at a time.
fn make() -> String {
    let (directory, _lock) = directory();
    let binary = build(&directory);
    let tag = format!("cratedb-test-standin:{:016x}", hash(&std::fs::read(&binary).expect("the binary was built")));
    if docker(&["image", "inspect", &tag]).is_err() {
        import(&binary, &tag);
    }
    tag
}

/// Returns the stand-in's program, which needs no engine. Started under the name `crate`, it is a server.
#[allow(dead_code)] // A test that includes this file may need the image only.
pub(crate) fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let (directory, _lock) = directory();
        build(&directory)
    };
    BINARY.get_or_init(make).clone()
}

/// Returns the root of the workspace: tests of the command line include this file, too.
fn workspace() -> &'static Path {
    let is_root = |dir: &&Path| dir.join("simulator/Cargo.toml").is_file();
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(is_root).expect("the simulator is in the workspace")
}

/// Returns the directory of the build, locked until the file is dropped.
fn directory() -> (PathBuf, File) {
    let directory = workspace().join("target/standin");
    std::fs::create_dir_all(&directory).unwrap();
    let lock = File::create(directory.join(".image")).unwrap();
    lock.lock().unwrap();
    (directory, lock)
}

/// Returns what `docker` printed. The error says why it failed.
pub(crate) fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("the program `docker` can't be started: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!("docker {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Writes past the print macros, whose output the test runner captures.
fn skipped(why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: no container engine ({why})");
}

/// Builds the simulator's program as `cargo demo` does, so that it is compiled once. Returns a copy without symbols,
/// which is quicker to pack. Cargo keeps the program up to date, and one build waits for another.
fn build(directory: &Path) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // Variables that cargo sets for tests must not affect this build.
    let kept = ["CARGO_HOME", "CARGO_INCREMENTAL"];
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_") && !kept.contains(&name.as_str())) {
        cargo.env_remove(name);
    }
    let root = workspace();
    let output = cargo
        .args(["build", "--package", "cratedb-cloud-simulator"])
        .current_dir(root)
        .output()
        .expect("cargo runs, since it runs this test");
    assert!(output.status.success(), "building the stand-in failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let (built, copy) = (root.join("target/debug/cratedb-cloud-simulator"), directory.join("cratedb-cloud-simulator"));
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    if !changed(&copy).is_ok_and(|copied| changed(&built).is_ok_and(|built| built < copied)) {
        // Another process may be running the old copy: it keeps its file.
        let new = copy.with_extension("new");
        if !Command::new("strip").arg("-o").arg(&new).arg(&built).status().is_ok_and(|status| status.success()) {
            std::fs::copy(&built, &new).unwrap();
        }
        std::fs::rename(&new, &copy).unwrap();
    }
    copy
}

/// Returns the absolute paths of the shared libraries that a program needs, its loader among them.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("a system with shared libraries has ldd");
    // `libm.so.6 => /lib/libm.so.6 (0x7f…)`, or `/lib64/ld-linux-x86-64.so.2 (0x7f…)`. A static program has none.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Puts the binary into an image with the entry point, ports and volume of the official one.
fn import(binary: &Path, tag: &str) {
    let root = std::env::temp_dir().join(format!("cratedb-test-standin-{}", std::process::id()));
    std::fs::create_dir_all(root.join("data")).unwrap();
    std::fs::create_dir_all(root.join("also")).unwrap();
    std::fs::copy(binary, root.join("docker-entrypoint.sh")).unwrap();
    // The image has nothing else in it.
    for library in libraries(binary) {
        let within = root.join(library.strip_prefix("/").unwrap());
        std::fs::create_dir_all(within.parent().unwrap()).unwrap();
        std::fs::copy(&library, &within).unwrap();
    }
    let archive = root.with_extension("tar");
    let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status().unwrap();
    assert!(packed.success(), "tar failed");
    let changes = [
        r#"ENTRYPOINT ["/docker-entrypoint.sh"]"#,
        r#"CMD ["crate"]"#,
        "EXPOSE 4200 4300 5432",
        "VOLUME /data",
        // A volume that no mount covers, so that tests see whether it is removed.
        "VOLUME /also",
    ];
    let mut arguments = vec!["import"];
    changes.iter().for_each(|change| arguments.extend(["--change", change]));
    let archive_name = archive.to_string_lossy().into_owned();
    arguments.extend([archive_name.as_str(), tag]);
    docker(&arguments).unwrap();
    let _ = (std::fs::remove_dir_all(&root), std::fs::remove_file(&archive));
}

/// Returns a hash that tells a build from another one.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
