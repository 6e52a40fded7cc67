//! How long a local server takes until it can be used: as it is started by default, and as the harness starts it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::Scale;
use crate::project::{Project, time};
use crate::samples::{Samples, millis};
use crate::support::run::{Plan, Runner};
use crate::support::server::{self, Server, Start};
use crate::support::{processes, wait_for, wait_within};
use crate::table::Table;

/// Making the cache takes a start, some statements and a slow stop.
const TRAINING: Duration = Duration::from_secs(120);

pub fn measure(project: &Project, scale: Scale, table: &mut Table) {
    let Some(home) = server::home() else { return };
    let files = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
    let ours = Ours { project, home: &home, dir: files.path() };
    eprintln!("start: making the cache of the JVM");
    ours.run("1");
    wait_within(TRAINING, "the cache of the JVM", || if ours.is_trained() { Ok(()) } else { Err(ours.log()) });
    eprintln!("start: a process, in turn");
    let mut samples = [const { Vec::new() }; 3];
    for _ in 0..scale.pairs {
        samples[0].push(by_default(&home));
        samples[1].push(ours.run("0"));
        samples[2].push(ours.run("1"));
    }
    let ratios = samples[0].iter().zip(&samples[2]).map(|(default, ours)| ours / default).collect();
    let [default, tuned, cached] = samples.map(Samples::new);
    table.row("start of a process, the script's own flags", "ms", &[], &default);
    table.row("the same as the harness starts it, without cache", "ms", &[], &tuned);
    table.row("the same with the cache", "ms", &[], &cached);
    table.row("with the cache against the script's own flags", "×", &[(50, 0.5)], &Samples::new(ratios));
}

/// To a healthy cluster, data on disk.
fn by_default(home: &Path) -> f64 {
    let began = Instant::now();
    let server = Server::start(home, &Start::default());
    let took = millis(began.elapsed());
    drop(server);
    took
}

struct Ours<'a> {
    project: &'a Project,
    home: &'a Path,
    /// The keeper's files, the report, and caches.
    dir: &'a Path,
}

impl Ours<'_> {
    fn plan(&self, cache: &str) -> Plan {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let plan = self.project.plan(Runner::Cargo, "trivial").args(&["--", "--exact", "t000"]);
        plan.env("CRATEDB_HOME", self.home.display().to_string())
            .env("CRATEDB_TEST_DIR", self.dir.display().to_string())
            .env("CRATEDB_TEST_REPORT", path("report"))
            .env("CRATEDB_TEST_JVM_CACHE", cache)
            .env("XDG_CACHE_HOME", path("cache"))
    }

    /// From the first request of the session until its cluster was there, as the keeper reports it.
    fn run(&self, cache: &str) -> f64 {
        let report = self.dir.join("report");
        let _ = std::fs::remove_file(&report);
        time(&self.plan(cache), &self.dir.join("output"));
        wait_for("the keeper's end", || match processes::keepers(self.dir) {
            none if none.is_empty() => Ok(()),
            some => Err(some),
        });
        let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
        line["ready_after_ms"].as_f64().unwrap_or_else(|| panic!("no cluster: {line}"))
    }

    fn is_trained(&self) -> bool {
        let entries = std::fs::read_dir(self.dir.join("cache/cratedb-test/jvm"));
        entries.is_ok_and(|mut entries| entries.any(|entry| entry.unwrap().path().join("about.json").exists()))
    }

    fn log(&self) -> String {
        let files = std::fs::read_dir(self.dir).unwrap().map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect()
    }
}
