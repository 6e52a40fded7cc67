//! Times how long a process takes to join an existing session, and a test to get its schema.

use std::path::Path;

use crate::Scale;
use crate::project::{Project, time};
use crate::samples::Samples;
use crate::support::cloud::TestCloud;
use crate::support::run::Runner;
use crate::table::Table;

pub fn measure(project: &Project, scale: Scale, table: &mut Table) {
    let cloud = TestCloud::suspended();
    let dir = tempfile::tempdir().unwrap();
    let filter = format!("test(/^t{}/)", if scale.processes < 100 { "00" } else { "" });
    for file in ["attach", "first"] {
        eprintln!("{file}: fresh processes join ({})", project.name());
        let out = dir.path().join(file);
        let plan = project.plan(Runner::Nextest, file).args(&["-j1", "-E", &filter]).cloud(&cloud);
        let plan = plan.env("CRATEDB_TEST_LOG", "info").env("BENCH_OUT", out.display().to_string());
        time(&plan, &dir.path().join("log"));
        cloud.ends_with(cloud.counts().0, cloud.counts().0);
    }
    let build = project.name();
    let read = |file: &str, what: &str, skipped: usize| samples(&dir.path().join(file), what, skipped);
    // The first process of a run starts the keeper and waits for the cluster.
    let row = "a fresh process joins a ready session";
    table.row(&format!("{row} ({build})"), "ms", &[(50, 0.6), (99, 1.5)], &read("attach", "attach", 1));
    table.row(&format!("an attempt on it ({build})"), "ms", &[(50, 0.1)], &read("attach", "attempt", 0));
    table.row(&format!("the first attempt of a process ({build})"), "ms", &[], &read("attach", "first", 0));
    let row = "both, as the first annotated test of a process waits for them";
    table.row(&format!("{row} ({build})"), "ms", &[], &read("first", "first_test", 1));
}

fn samples(path: &Path, what: &str, skipped: usize) -> Samples {
    let text = std::fs::read_to_string(path).unwrap();
    let of = |line: &str| line.strip_prefix(what)?.strip_prefix(' ')?.parse::<f64>().ok();
    Samples::new(text.lines().filter_map(of).skip(skipped).map(|nanos| nanos / 1e6).collect())
}
