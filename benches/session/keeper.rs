//! Measures the memory and processor time that the keeper uses while tests run.

use std::time::{Duration, Instant};

use crate::project::{Project, start};
use crate::samples::Samples;
use crate::support::cloud::TestCloud;
use crate::support::run::Runner;
use crate::support::{processes, wait_for};
use crate::table::{Table, Target};

const CLIENTS: usize = 100;
/// The time over which the processor time is measured.
const REST: Duration = Duration::from_secs(10);
const MEMORY: Target = &[(100, 12.0)];

pub fn measure(project: &Project, table: &mut Table) {
    let build = project.name();
    let (one, ticks) = with_clients(project, 1);
    table.row(&format!("keeper's resident memory, one client ({build})"), "MiB", MEMORY, &one);
    table.row(&format!("keeper's processor time in 10 s at rest ({build})"), "ticks", &[(100, 1.0)], &ticks);
    let (many, ticks) = with_clients(project, CLIENTS);
    table.row(&format!("keeper's resident memory, {CLIENTS} clients ({build})"), "MiB", MEMORY, &many);
    table.row(&format!("keeper's processor time in 10 s, {CLIENTS} clients at rest ({build})"), "ticks", &[], &ticks);
}

fn with_clients(project: &Project, clients: usize) -> (Samples, Samples) {
    eprintln!("keeper: {clients} clients ({})", project.name());
    let (cloud, dir) = (TestCloud::suspended(), tempfile::tempdir().unwrap());
    let filter = if clients == 1 { "test(=t000)" } else { "test(/^t0/)" };
    let jobs = format!("-j{clients}");
    let plan = project.plan(Runner::Nextest, "hold").args(&[&jobs, "-E", filter]).cloud(&cloud);
    let plan = plan.env("CRATEDB_TEST_LOG", "info").env("BENCH_DIR", dir.path().display().to_string());
    let mut run = start(&plan, &dir.path().join("log"));
    wait_for("all clients", || {
        let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let here = names.filter(|name| name.to_string_lossy().starts_with("here.")).count();
        if here == clients { Ok(()) } else { Err(here) }
    });
    let keeper = cloud.keeper();
    let (ticks, began) = (processes::cpu_ticks(keeper), Instant::now());
    while began.elapsed() < REST {
        std::thread::park_timeout(Duration::from_millis(500));
    }
    let used = processes::cpu_ticks(keeper) - ticks;
    let memory = resident(keeper);
    std::fs::write(dir.path().join("go"), "").unwrap();
    assert!(run.wait().unwrap().success());
    cloud.ends_with(1, 1);
    (Samples::new(vec![memory]), Samples::new(vec![used as f64]))
}

/// Returns the resident memory of a process in MiB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
