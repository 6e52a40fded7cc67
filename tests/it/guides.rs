//! Runs every Rust block of the guides in `docs/`, as a reader who follows them would. The tests of `cli/` and of the
//! simulator run the commands.

mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::cloud::TestCloud;
use crate::support::consumer::{Consumer, clean, target_dir};
use crate::support::home::TestHome;
use crate::support::run::{Plan, Runner};
use page::blocks;

fn guide(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)
}

/// Writes the blocks of a page into a folder, one file each, and removes the blocks of an earlier version of the page.
fn write(package: &str, folder: &str, blocks: &[String]) {
    let dir = target_dir().join("src").join(package).join(folder);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    for (index, block) in blocks.iter().enumerate() {
        fs::write(dir.join(format!("block_{}.rs", index + 1)), block).unwrap();
    }
}

#[test]
fn the_guides_to_tests_fixtures_and_failures() {
    let pages = ["testing.md", "fixtures.md", "failures.md"];
    let blocks: Vec<String> = pages.iter().flat_map(|page| blocks(&guide(page), "rust")).collect();
    write("guide-tests", "tests", &blocks);
    let consumer = Consumer::of("guide-tests", Runner::Cargo);
    let cloud = TestCloud::suspended();

    let finished = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).run();

    assert!(finished.status.success(), "{}", finished.output);
    cloud.ends_with(1, 1);
}

#[test]
fn the_guides_to_postgres_and_to_networks_that_fail() {
    let blocks: Vec<String> =
        ["postgres.md", "failover.md"].iter().flat_map(|page| blocks(&guide(page), "rust")).collect();
    write("guide-postgres", "tests", &blocks);
    let consumer = Consumer::of("guide-postgres", Runner::Cargo);
    let cloud = TestCloud::suspended();

    let finished = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).run();

    assert!(finished.status.success(), "{}", finished.output);
    cloud.ends_with(1, 1);
}

#[test]
fn the_guide_to_migrations() {
    let page = guide("migrations.md");
    write("guide-migrations", "tests", &blocks(&page, "rust"));
    let dir = target_dir().join("src/guide-migrations/migrations");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    for (text, name) in blocks(&page, "sql").iter().zip(["0001_stations.sql", "0002_readings.sql"]) {
        fs::write(dir.join(name), text).unwrap();
    }
    let consumer = Consumer::of("guide-migrations", Runner::Cargo);
    let cloud = TestCloud::suspended();

    let finished = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).run();

    assert!(finished.status.success(), "{}", finished.output);
    cloud.ends_with(1, 1);
}

/// The equivalents of testcontainers and of `sqlx::test`, on local servers: some ask for versions, nodes and settings.
#[test]
fn the_guides_for_those_who_come_from_elsewhere() {
    let (containers, sqlx) = (guide("coming-from-testcontainers.md"), guide("coming-from-sqlx-test.md"));
    write("guide-coming-from", "tests", &[blocks(&containers, "rust"), blocks(&sqlx, "rust")].concat());
    let [table, rows]: [String; 2] = blocks(&sqlx, "sql").try_into().unwrap();
    let data = blocks(&containers, "csv").remove(0);
    let files = [
        ("migrations/0001_users.sql", &table),
        ("tests/fixtures/users.sql", &rows),
        ("tests/data/users.sql", &rows),
        ("tests/fixtures/readings.csv", &data),
    ];
    for (name, text) in files {
        let path = target_dir().join("src/guide-coming-from").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let consumer = Consumer::of("guide-coming-from", Runner::Cargo);
    let home = TestHome::with_stand_in();

    let finished = Plan::new(&consumer, Runner::Cargo).home(&home).run();

    assert!(finished.status.success(), "{}", finished.output);
    // The default, a version, a set of settings, and three nodes.
    home.ends_with(4);
}

#[test]
fn the_guide_to_the_sdk() {
    let [sdk, toolkit] = ["sdk.md", "coming-from-ctk-and-croud.md"].map(|page| blocks(&guide(page), "rust"));
    let programs = [sdk, toolkit].concat();
    write("guide-sdk", "src/bin", &programs);
    let consumer = Consumer::of("guide-sdk", Runner::Cargo);
    for index in 1..=programs.len() {
        let cloud = TestCloud::suspended();
        let mut program = clean(Command::new("cargo"));
        program.args(["run", "--quiet", "--bin", &format!("block_{index}")]).current_dir(&consumer.dir);

        let output = program.envs(cloud.environment()).stdin(Stdio::null()).output().unwrap();

        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "program {index} of the guide: {told}");
        assert!(!output.stdout.is_empty(), "program {index} of the guide prints nothing");
        let (resumed, suspended) = cloud.counts();
        assert_eq!(resumed, suspended, "program {index} of the guide leaves its cluster running");
    }
}
