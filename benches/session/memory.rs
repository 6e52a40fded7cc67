//! Measures the time saved by keeping the data of a local server in memory: `CREATE TABLE`, and whole runs.

use std::time::Instant;

use crate::Scale;
use crate::project::{Project, time};
use crate::samples::{Samples, millis};
use crate::support::run::Runner;
use crate::support::server::{self, Server, Start};
use crate::support::{processes, wait_for};
use crate::table::Table;

/// The harness's own settings and JVM flags, so that only the place of the data differs.
const SETTINGS: [&str; 2] =
    ["auth.host_based.enabled=false", "cluster.routing.allocation.node_initial_primaries_recoveries=64"];
const JVM: &str = "-XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC";
const TABLES: usize = 50;

pub fn measure(project: &Project, scale: Scale, table: &mut Table) {
    let Some(home) = server::home() else { return };
    eprintln!("memory: the same on disk and in memory");
    let places = [("on disk", "/var/tmp"), ("in memory", "/dev/shm")];
    let servers = places.map(|(_, base)| {
        let settings = SETTINGS.map(str::to_owned).into();
        Server::start(&home, &Start { settings, java_options: Some(JVM.into()), base: Some(base.into()) })
    });
    let mut tables = [const { Vec::new() }; 2];
    let mut runs = [const { Vec::new() }; 2];
    for (place, server) in servers.iter().enumerate() {
        // The first tables warm up what later ones use.
        make_tables(server, "warm");
        run(project, server, place);
    }
    for pair in 0..scale.pairs {
        for (place, server) in servers.iter().enumerate() {
            tables[place].extend(make_tables(server, &format!("t{pair}")));
            runs[place].push(run(project, server, place));
        }
    }
    for (((place, _), tables), runs) in places.iter().zip(tables).zip(runs) {
        table.row(&format!("CREATE TABLE, one shard, data {place}"), "ms", &[], &Samples::new(tables));
        table.row(&format!("200 tests, data {place}"), "ms", &[], &Samples::new(runs));
    }
}

fn make_tables(server: &Server, schema: &str) -> Vec<f64> {
    let made = (0..TABLES).map(|number| {
        let stmt = format!(
            "CREATE TABLE {schema}.t{number} (id INT PRIMARY KEY, value DOUBLE) CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0)"
        );
        let began = Instant::now();
        let answer = server.ask(&stmt);
        assert!(answer.contains("\"rowcount\":1"), "{answer}");
        millis(began.elapsed())
    });
    let made = made.collect();
    let answer = server.ask(&format!("DROP SCHEMA {schema} CASCADE"));
    assert!(answer.contains("rowcount"), "{answer}");
    made
}

fn run(project: &Project, server: &Server, place: usize) -> f64 {
    let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
    let plan = project.plan(Runner::Cargo, "trivial").env("CRATEDB_CLUSTER_URL", format!("http://{}", server.address));
    let plan = plan.env("CRATEDB_TEST_DIR", dir.path().display().to_string());
    let took = millis(time(&plan, &dir.path().join(format!("output{place}"))));
    wait_for("the keeper's end", || match processes::keepers(dir.path()) {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    });
    took
}
