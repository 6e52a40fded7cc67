//! An installation of CrateDB for the process provider, either the stand-in as `bin/crate` or a real one, and a view of
//! the servers started from it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{executable, processes, standin, wait_for};

/// One test's view: an installation and keeper files of its own, so that tests don't see each other's servers.
pub struct TestHome {
    home: PathBuf,
    /// `CRATEDB_TEST_DIR` of the runs.
    pub dir: tempfile::TempDir,
    /// `XDG_CACHE_HOME`, where the JVM's caches are to be made.
    caches: Option<PathBuf>,
    files: tempfile::TempDir,
}

impl TestHome {
    pub fn with_stand_in() -> Self {
        Self::with(|program| executable::copy(&standin::binary(), program))
    }

    /// With a shell script of this text as `bin/crate`.
    pub fn with_script(text: &str) -> Self {
        Self::with(|program| executable::script(program, text))
    }

    /// A stand-in whose start script acts as one with a JVM of 25, and makes its caches.
    pub fn with_jvm() -> Self {
        Self::with_jvm_that("")
    }

    /// The same, but for what this shell command does before anything else.
    pub fn with_jvm_that(does: &str) -> Self {
        let script = include_str!("../../src/provider/process/standin.sh").replacen('\n', &format!("\n{does}\n"), 1);
        let mut made = Self::with(|program| executable::script(program, &script));
        executable::copy(&standin::binary(), &made.home.join("lib/simulator"));
        for dir in ["jdk", "cache"] {
            fs::create_dir(made.home.join(dir)).unwrap();
        }
        fs::write(made.home.join("jdk/release"), "JAVA_VERSION=\"25.0.3\"\n").unwrap();
        for part in ["jdk", "cache", "jdk/release"] {
            fs::set_permissions(made.home.join(part), fs::Permissions::from_mode(0o755)).unwrap();
        }
        made.caches = Some(made.home.join("cache"));
        made
    }

    /// Makes an installation that the user `nobody` can read: these tests may run as root, and servers never do.
    fn with(write: impl FnOnce(&Path)) -> Self {
        let files = tempfile::tempdir().unwrap();
        let home = files.path().to_owned();
        for dir in ["bin", "lib"] {
            fs::create_dir(home.join(dir)).unwrap();
        }
        write(&home.join("bin/crate"));
        // What tells its version.
        fs::write(home.join("lib/crate-app-6.4.3.jar"), "").unwrap();
        for part in ["", "bin", "lib"] {
            fs::set_permissions(home.join(part), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { home, dir: keeper_files(), caches: None, files }
    }

    /// The same with caches of its JVM, in a place of its own.
    pub fn real_with_caches() -> Option<Self> {
        let mut real = Self::real()?;
        fs::set_permissions(real.files.path(), fs::Permissions::from_mode(0o755)).unwrap();
        real.caches = Some(real.files.path().to_owned());
        Some(real)
    }

    /// The real one that `CRATEDB_HOME` names; none where there is none, with the reason on descriptor 2.
    pub fn real() -> Option<Self> {
        let Some(home) = std::env::var_os("CRATEDB_HOME").map(PathBuf::from) else {
            super::skip("crate", "CRATEDB_HOME names no CrateDB");
            return None;
        };
        Some(Self { home, dir: keeper_files(), caches: None, files: tempfile::tempdir().unwrap() })
    }

    pub fn environment(&self) -> HashMap<String, String> {
        let jvm = match &self.caches {
            Some(caches) => ("XDG_CACHE_HOME", caches.display().to_string()),
            None => ("CRATEDB_TEST_JVM_CACHE", "0".into()),
        };
        [
            jvm,
            ("CRATEDB_HOME", self.home.display().to_string()),
            ("CRATEDB_TEST_DIR", self.dir.path().display().to_string()),
            ("CRATEDB_TEST_LOG", "debug".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Counts the servers that were started, according to the keepers' log.
    pub fn made(&self) -> usize {
        let started = format!("CrateDB from {}", self.home.display());
        self.log().lines().filter(|line| line.contains("starting ") && line.contains(&started)).count()
    }

    /// The JVM's caches that are whole.
    pub fn caches(&self) -> Vec<PathBuf> {
        let root = self.caches.as_ref().map(|dir| dir.join("cratedb-test/jvm"));
        let all =
            root.and_then(|root| fs::read_dir(root).ok()).into_iter().flatten().map(|entry| entry.unwrap().path());
        all.filter(|dir| dir.join("about.json").is_file()).map(|dir| dir.join("crate.aot")).collect()
    }

    pub fn trainers(&self) -> Vec<u32> {
        processes::named("cratedb-trainer", self.dir.path())
    }

    /// The servers that live, each with its directory.
    pub fn servers(&self) -> Vec<(u32, PathBuf)> {
        processes::marked("CRATEDB_TEST_SERVER").into_iter().filter(|(_, dir)| self.is_ours(dir)).collect()
    }

    /// Returns true if the keepers of this test made that directory, according to their logs.
    fn is_ours(&self, dir: &Path) -> bool {
        const LENGTH: usize = "cratedb-test-0123456789abcdef".len();
        let name = dir.file_name().unwrap().to_string_lossy();
        name.len() == LENGTH && self.log().contains(&*name)
    }

    /// Directories of servers that the keepers' logs name and that are there.
    pub fn directories(&self) -> Vec<PathBuf> {
        let bases = [PathBuf::from("/dev/shm"), "/var/tmp".into(), std::env::temp_dir()];
        let all = bases.iter().filter_map(|base| fs::read_dir(base).ok()).flatten();
        let paths = all.map(|entry| entry.unwrap().path());
        let named =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cratedb-test-"));
        paths.filter(|path| named(path) && self.is_ours(path)).collect()
    }

    /// Waits until all keepers and servers are gone, compares the number of servers, and checks that nothing is left.
    #[track_caller]
    pub fn ends_with(&self, made: usize) {
        wait_for("the keeper's end", || match processes::keepers(self.dir.path()) {
            none if none.is_empty() => Ok(()),
            some => Err((some, self.log())),
        });
        assert_eq!(self.servers(), [], "servers are left; the keeper's log:\n{}", self.log());
        assert_eq!(self.directories(), Vec::<PathBuf>::new(), "data is left; the keeper's log:\n{}", self.log());
        assert_eq!(self.made(), made, "the keeper's log:\n{}", self.log());
    }

    pub fn log(&self) -> String {
        let files = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        logs.map(|path| fs::read_to_string(path).unwrap_or_default()).collect()
    }
}

impl Drop for TestHome {
    fn drop(&mut self) {
        self.trainers().into_iter().for_each(processes::kill_and_wait);
        for (server, dir) in self.servers() {
            processes::kill_and_wait(server);
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Short, for the socket's path.
fn keeper_files() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap()
}
