//! The same tasks for `ctk` and for our command line: the requests of each to the Cloud, as listed in
//! `side_by_side.md`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::support::cloud::{Cloud, PASSWORD, USER};
use super::support::program::Home;
use super::support::python;

const TABLE: &str = include_str!("side_by_side.md");

/// One row: the request of the toolkit, ours, and the reason for a difference. Empty if one of them asks nothing.
struct Row {
    theirs: String,
    ours: String,
    why: String,
}

/// Returns the rows below a heading.
#[track_caller]
fn rows(heading: &str) -> Vec<Row> {
    let below = TABLE.split("\n## ").find_map(|part| part.strip_prefix(heading)?.strip_prefix('\n'));
    let below = below.unwrap_or_else(|| panic!("side_by_side.md has no `## {heading}`"));
    let cells = |line: &str| {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
        let [theirs, ours, why] = cells.try_into().unwrap_or_else(|_| panic!("no three cells: {line}"));
        Row { theirs, ours, why }
    };
    below.lines().filter(|line| line.starts_with("| ")).skip(1).map(cells).collect()
}

/// Checks that both did what their columns say, and that every difference has a reason.
#[track_caller]
fn compare(heading: &str, theirs: &[String], ours: &[String]) {
    let rows = rows(heading);
    let column = |cell: fn(&Row) -> &String| -> Vec<String> {
        rows.iter().map(cell).filter(|cell| !cell.is_empty()).cloned().collect()
    };
    let written = (column(|row| &row.theirs), column(|row| &row.ours));
    assert!(written.0 == theirs && written.1 == ours, "{heading}: ctk asked {theirs:#?}, we asked {ours:#?}");
    for row in &rows {
        assert_eq!(row.why.is_empty(), row.theirs == row.ours, "{heading}: a reason where they differ: {}", row.ours);
    }
}

/// Builds our command line with the profile of this test, and returns its path.
fn cargo_cratedb() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let beside = Path::new(env!("CARGO_BIN_EXE_cratedb-cloud-simulator")).parent().unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            // With the features that the tests of the workspace are built with, so that it is built once.
            .args(["build", "--quiet", "--locked", "--workspace", "--bin", "cargo-cratedb", "--test", "cli"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if beside.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        beside.join(format!("cargo-cratedb{}", std::env::consts::EXE_SUFFIX))
    })
}

/// Lets one of the two work with a simulator of its own, and returns the requests.
#[track_caller]
fn asked(clusters: &[&str], act: impl FnOnce(&Cloud, Home)) -> Option<(Vec<String>, Vec<String>)> {
    let environment = python::clients()?;
    let arguments: Vec<&str> = clusters.iter().flat_map(|cluster| ["--cluster", *cluster]).collect();
    let cloud = Cloud::serve(&arguments);
    let home = Home::new(environment, &cloud);
    act(&cloud, home.with("CRATEDB_USERNAME", USER).with("CRATEDB_PASSWORD", PASSWORD));
    Some((cloud.asked(), cloud.heard()))
}

/// Gives the same command to both, about the cluster `ci`, by id or by name.
#[track_caller]
fn check(heading: &str, command: &str, by: &str, state: &str) {
    let address = |cloud: &Cloud| if by == "--cluster-id" { cloud.id("ci").to_owned() } else { "ci".to_owned() };
    let cluster = format!("name=ci,state={state}");
    let theirs = asked(&[&cluster], |cloud, home| {
        home.run("ctk", &["cluster", command, by, &address(cloud)]).exits(0);
    });
    let Some((theirs, _)) = theirs else { return };
    let ours = asked(&[&cluster], |cloud, home| {
        home.run(cargo_cratedb().to_str().unwrap(), &[command, by, &address(cloud)]).exits(0);
    });
    compare(heading, &theirs, &ours.unwrap().0);
}

#[test]
fn info() {
    check("info by id", "info", "--cluster-id", "running");
    check("info by name", "info", "--cluster-name", "running");
}

#[test]
fn start() {
    check("start of a running cluster", "start", "--cluster-id", "running");
    check("start of a suspended cluster", "start", "--cluster-id", "suspended");
}

#[test]
fn stop() {
    check("stop by id", "stop", "--cluster-id", "running");
    check("stop by name", "stop", "--cluster-name", "running");
}

#[test]
fn deploy() {
    let theirs = asked(&[], |_, home| {
        let home = home.with("CRATEDB_CLOUD_PRODUCT", "cr1").with("CRATEDB_VERSION", "6.4.3");
        home.run_script("deploy.py", &["new"]).exits(0);
    });
    let Some((theirs, _)) = theirs else { return };
    let ours = asked(&[], |_, home| {
        let command = "deploy --cluster-name new --product cr1 --version 6.4.3 --region eks1.eu-west-1.aws";
        home.run(cargo_cratedb().to_str().unwrap(), &command.split(' ').collect::<Vec<_>>()).exits(0);
    });
    compare("deploy", &theirs, &ours.unwrap().0);
}

#[test]
fn who_asks() {
    let theirs = asked(&["name=ci"], |cloud, home| {
        home.run("ctk", &["cluster", "info", "--cluster-id", cloud.id("ci")]).exits(0);
    });
    let Some((_, theirs)) = theirs else { return };
    let ours = asked(&["name=ci"], |cloud, home| {
        home.run(cargo_cratedb().to_str().unwrap(), &["info", "--cluster-id", cloud.id("ci")]).exits(0);
    });
    compare("credentials and region", &theirs, &ours.unwrap().1);
}
