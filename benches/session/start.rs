//! Times how long a local server takes to become usable: started by default, and by the harness.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Scale;
use crate::module::Module;
use crate::project::{Project, time};
use crate::samples::{Samples, millis};
use crate::support::run::{Plan, Runner};
use crate::support::server::{self, Server, Start};
use crate::support::{processes, wait_for, wait_within};
use crate::table::Table;

/// The time limit for making the cache, which takes a start, some statements and a slow stop.
const TRAINING: Duration = Duration::from_secs(180);

pub fn measure(project: &Project, scale: Scale, table: &mut Table) {
    if let Some(home) = server::home() {
        let ours = Ours::new(project, ("CRATEDB_HOME", home.display().to_string()));
        compare("a process", &ours, scale, table, ("the script's own flags", &|| by_default(&home)));
    }
    let Some(module) = Module::find() else { return };
    let ours = Ours::new(project, ("CRATEDB_TEST_PROVIDER", "container".to_owned()));
    compare("a container", &ours, scale, table, (module.name(), &|| module.start().expect("a container")));
}

/// Times all kinds of start in turn, so that other work on the machine affects all of them.
fn compare(what: &str, ours: &Ours<'_>, scale: Scale, table: &mut Table, (default, start): (&str, &dyn Fn() -> f64)) {
    eprintln!("start: making the cache for {what}");
    ours.run("1");
    wait_within(TRAINING, "the cache of the JVM", || if ours.is_trained() { Ok(()) } else { Err(ours.log()) });
    ours.until_the_keeper_ends();
    eprintln!("start: {what}, {} times each", scale.pairs);
    let mut samples = [const { Vec::new() }; 3];
    for _ in 0..scale.pairs {
        samples[0].push(start());
        samples[1].push(ours.run("0"));
        samples[2].push(ours.run("1"));
    }
    let ratios = samples[0].iter().zip(&samples[2]).map(|(default, ours)| ours / default).collect();
    let [theirs, tuned, cached] = samples.map(Samples::new);
    table.row(&format!("start of {what}, {default}"), "ms", &[], &theirs);
    table.row("the same as the harness starts it, without cache", "ms", &[], &tuned);
    table.row("the same with the cache", "ms", &[], &cached);
    table.row(&format!("with the cache against {default}"), "×", &[(50, 0.5)], &Samples::new(ratios));
}

/// Returns the milliseconds until the cluster is healthy, with its data on disk.
fn by_default(home: &Path) -> f64 {
    let began = Instant::now();
    let server = Server::start(home, &Start::default());
    let took = millis(began.elapsed());
    drop(server);
    took
}

struct Ours<'a> {
    project: &'a Project,
    /// The setting that chooses the provider.
    choice: (&'static str, String),
    /// The directory of the keeper's files and the report.
    dir: tempfile::TempDir,
    caches: tempfile::TempDir,
}

impl<'a> Ours<'a> {
    fn new(project: &'a Project, choice: (&'static str, String)) -> Self {
        let dir = || tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
        let caches = dir();
        // If this runs as root, the server runs as another user.
        std::fs::set_permissions(caches.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { project, choice, dir: dir(), caches }
    }

    fn plan(&self, cache: &str) -> Plan {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let plan = self.project.plan(Runner::Cargo, "trivial").args(&["--", "--exact", "t000"]);
        plan.env(self.choice.0, &self.choice.1)
            .env("CRATEDB_TEST_DIR", self.dir.path().display().to_string())
            .env("CRATEDB_TEST_REPORT", path("report"))
            .env("CRATEDB_TEST_JVM_CACHE", cache)
            .env("XDG_CACHE_HOME", self.caches.path().display().to_string())
    }

    /// Returns the milliseconds from the first request of the session until its cluster is available, as the keeper
    /// reports them.
    fn run(&self, cache: &str) -> f64 {
        let report = self.dir.path().join("report");
        let _ = std::fs::remove_file(&report);
        time(&self.plan(cache), &self.dir.path().join("output"));
        self.until_the_keeper_ends();
        let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
        line["ready_after_ms"].as_f64().unwrap_or_else(|| panic!("no cluster: {line}"))
    }

    fn until_the_keeper_ends(&self) {
        wait_for("the keeper's end", || match processes::keepers(self.dir.path()) {
            none if none.is_empty() => Ok(()),
            some => Err(some),
        });
    }

    fn is_trained(&self) -> bool {
        let entries = std::fs::read_dir(self.caches.path().join("cratedb-test/jvm"));
        entries.is_ok_and(|mut entries| entries.any(|entry| entry.unwrap().path().join("about.json").exists()))
    }

    fn log(&self) -> String {
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        logs.map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }
}
