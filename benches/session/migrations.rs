//! Times how long tests with ten tables wait for them: made ahead by the keeper, shared, and created by each test.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Scale;
use crate::module::Module;
use crate::project::{Project, time};
use crate::samples::{Samples, millis};
use crate::support::run::Runner;
use crate::support::server::{self, Server, Start};
use crate::support::{processes, wait_for};
use crate::table::{Table, Target};

/// The settings that the harness uses.
const SETTINGS: [&str; 2] =
    ["auth.host_based.enabled=false", "cluster.routing.allocation.node_initial_primaries_recoveries=64"];
const JVM: &str = "-XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC";
/// The tests by how they come by their tables.
const WAYS: [&str; 3] = ["each", "ahead", "readonly"];
/// The duration of the tests' bodies, beside their statements, in milliseconds.
const BODIES: [&str; 2] = ["0", "500"];

fn server() -> Option<Server> {
    let home = server::home()?;
    let settings = SETTINGS.map(str::to_owned).into();
    let base = Some("/dev/shm".into());
    Some(Server::start(&home, &Start { settings, java_options: Some(JVM.into()), base }))
}

/// Measures a release build: in a debug build, joining the session spends most of its time in unoptimised code.
pub fn measure_release(project: &Project, scale: Scale, table: &mut Table) {
    let Some(server) = server() else { return };
    run(project, &server, Runner::Cargo, "ahead", "0", true);
    eprintln!("migrations: nextest, ahead, bodies of 500 ms, release build");
    let done = run(project, &server, Runner::Nextest, "ahead", "500", scale.processes < 100);
    done.tell(table, "ahead", "nextest, bodies of 500 ms, release build");
}

pub fn measure(project: &Project, scale: Scale, table: &mut Table) {
    let Some(server) = server() else { return };
    let quick = scale.processes < 100;
    // Warms up what later runs use.
    run(project, &server, Runner::Cargo, "ahead", "0", true);
    for runner in [Runner::Cargo, Runner::Nextest] {
        for body in BODIES {
            for way in WAYS {
                let name = if runner == Runner::Cargo { "cargo test" } else { "nextest" };
                eprintln!("migrations: {name}, {way}, bodies of {body} ms");
                let done = run(project, &server, runner, way, body, quick);
                done.tell(table, way, &format!("{name}, bodies of {body} ms"));
            }
        }
    }
    drop(server);
    if let Some(module) = Module::find() {
        in_containers(&module, table);
    }
}

/// Runs only the first tests, since all of them would take half an hour.
fn in_containers(module: &Module, table: &mut Table) {
    let out = tempfile::NamedTempFile::new().unwrap();
    // Builds the tests, if the search for the module did not do so.
    assert!(module.test("migrations", out.path(), &["--list"]).status.success());
    eprintln!("migrations: a container for each of 20 tests");
    let began = Instant::now();
    let run = module.test("migrations", out.path(), &["--test-threads=4"]);
    let whole = millis(began.elapsed());
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    let done = Done { samples: read(out.path()), whole, shards: 0 };
    let how = module.name();
    table.row(&format!("ten tables in a container of the test's own ({how})"), "ms", &[], &done.of(&["container"]));
    table.row("… the whole run of 20 tests", "ms", &[], &Samples::new(vec![done.whole]));
}

/// The results of one run.
struct Done {
    samples: String,
    whole: f64,
    shards: u64,
}

impl Done {
    fn of(&self, kinds: &[&str]) -> Samples {
        let of = |line: &str| {
            let (kind, nanos) = line.split_once(' ')?;
            kinds.contains(&kind).then(|| nanos.parse::<f64>().ok().map(|nanos| nanos / 1e6))?
        };
        Samples::new(self.samples.lines().filter_map(of).collect())
    }

    fn tell(&self, table: &mut Table, way: &str, how: &str) {
        match way {
            "each" => table.row(&format!("ten tables made by each test ({how})"), "ms", &[], &self.of(&["each"])),
            "readonly" => table.row(&format!("ten tables that tests share ({how})"), "ms", &[], &self.of(&["shared"])),
            _ => self.tell_ahead(table, how),
        }
        table.row(&format!("… the whole run ({way}, {how})"), "ms", &[], &Samples::new(vec![self.whole]));
        table.row(
            &format!("… most shards at a time ({way}, {how})"),
            "shards",
            &[],
            &Samples::new(vec![self.shards as f64]),
        );
    }

    fn tell_ahead(&self, table: &mut Table, how: &str) {
        table.row(&format!("ten tables made ahead, all tests ({how})"), "ms", &[], &self.of(&["ready", "missed"]));
        let kinds: [(&str, &str, Target); 2] =
            [("ready", "the keeper had made them", &[(50, 5.0)]), ("missed", "a test had made them", &[])];
        for (kind, what, target) in kinds {
            let samples = self.of(&[kind]);
            if samples.count() > 0 {
                table.row(&format!("… of these, where {what} ({how})"), "ms", target, &samples);
            }
        }
    }
}

fn run(project: &Project, server: &Server, runner: Runner, way: &str, body: &str, quick: bool) -> Done {
    let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
    let out = dir.path().join("out");
    let plan = project.plan(runner, "migrations");
    let plan = match (runner, quick) {
        (Runner::Cargo, false) => plan.args(&["--", "--test-threads=4", way]),
        (Runner::Cargo, true) => {
            let [one, other] = others(way);
            plan.args(&["--", "--test-threads=4", "::t00", "--skip", one, "--skip", other])
        }
        (Runner::Nextest, false) => plan.args(&["-j4", "-E", &format!("test(/::{way}$/)")]),
        (Runner::Nextest, true) => plan.args(&["-j4", "-E", &format!("test(/::t00.::{way}$/)")]),
    };
    let plan = plan.env("CRATEDB_CLUSTER_URL", format!("http://{}", server.address)).env("BENCH_BODY", body);
    let plan =
        plan.env("CRATEDB_TEST_DIR", dir.path().display().to_string()).env("BENCH_OUT", out.display().to_string());
    let over = AtomicBool::new(false);
    let (whole, shards) = std::thread::scope(|scope| {
        let most = scope.spawn(|| most_shards(server, &over));
        let whole = millis(time(&plan, &dir.path().join("output")));
        wait_for("the keeper's end", || match processes::keepers(dir.path()) {
            none if none.is_empty() => Ok(()),
            some => Err(some),
        });
        over.store(true, Ordering::Release);
        (whole, most.join().unwrap())
    });
    let left =
        server.ask("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'cratedb_test_%'");
    assert!(left.contains("\"rowcount\":0"), "schemas are left: {left}");
    Done { samples: read(&out), whole, shards }
}

fn others(way: &str) -> [&'static str; 2] {
    match way {
        "each" => ["ahead", "readonly"],
        "ahead" => ["each", "readonly"],
        _ => ["each", "ahead"],
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Returns the largest number of shards until the run is over, looking ten times a second.
fn most_shards(server: &Server, over: &AtomicBool) -> u64 {
    let mut most = 0;
    while !over.load(Ordering::Acquire) {
        let answer = server.ask("SELECT count(*) FROM sys.shards");
        let count = answer.split_once("\"rows\":[[").and_then(|(_, rest)| rest.split_once(']')?.0.parse().ok());
        most = most.max(count.unwrap_or(0));
        std::thread::park_timeout(Duration::from_millis(100));
    }
    most
}
