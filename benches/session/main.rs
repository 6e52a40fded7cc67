//! Times whole test runs: what the harness costs a process, a test and a run, and how fast it releases the cluster.
//!
//! `cargo bench --bench session` prints a table, `-- --quick` a rough one. `docs/benchmarks.md` explains each number.
//! All of them come from real runs of `tests/consumers/bench` against the simulator in this process.

#![allow(unreachable_pub)] // the modules of a program have no users outside it

mod attach;
mod by_hand;
mod empty;
mod ending;
mod keeper;
mod memory;
mod migrations;
mod module;
mod project;
mod samples;
mod start;
mod support;
mod table;

use project::{Build, Project};
use support::run::{Runner, runners};
use table::Table;

/// How many samples are taken.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Fresh processes, at most two hundred.
    pub processes: usize,
    /// Runs that end, of each kind.
    pub ends: usize,
    /// Pairs of runs that are compared.
    pub pairs: usize,
}

const FULL: Scale = Scale { processes: 200, ends: 100, pairs: 10 };
const QUICK: Scale = Scale { processes: 20, ends: 10, pairs: 2 };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` starts benchmarks too, but only to check that they start.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return println!("nothing is measured without --bench: use `cargo bench --bench session`");
    }
    if !runners().contains(&Runner::Nextest) {
        return println!("nothing was measured: most of the numbers need cargo-nextest");
    }
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let scale = if has("--quick") { QUICK } else { FULL };
    // If parts are named, only they are measured; otherwise all are.
    let parts: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|name| *name == part);

    let debug = Project::build(Build::Debug);
    let mut table = Table::begin();
    if wanted("ending") {
        ending::measure(&debug, scale, &mut table);
    }
    if wanted("empty") {
        empty::measure(&debug, scale, &mut table);
    }
    if wanted("by_hand") {
        by_hand::measure(&debug, scale, &mut table);
    }
    if wanted("start") {
        start::measure(&debug, scale, &mut table);
    }
    if wanted("memory") {
        memory::measure(&debug, scale, &mut table);
    }
    if wanted("migrations") {
        migrations::measure(&debug, scale, &mut table);
    }
    let both = ["attach", "keeper", "migrations_release"].into_iter().filter(|part| wanted(part)).collect::<Vec<_>>();
    if both.is_empty() {
        return;
    }
    let release = Project::build(Build::Release);
    if wanted("migrations_release") {
        migrations::measure_release(&release, scale, &mut table);
    }
    for project in [&debug, &release] {
        if wanted("attach") {
            attach::measure(project, scale, &mut table);
        }
        if wanted("keeper") {
            keeper::measure(project, &mut table);
        }
    }
}
