//! `init`: what it writes, what it leaves alone, and that the first test compiles in every edition.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Done, Run, World};

/// The harness, for a dependency by its path.
const HARNESS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Makes a package in a directory of the world.
fn package(world: &World, dir: &str, edition: &str, more: &str) {
    fs::create_dir_all(world.home().join(dir).join("src")).unwrap();
    world.write(&format!("{dir}/src/lib.rs"), "");
    let name = Path::new(dir).file_name().unwrap().to_str().unwrap();
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"{edition}\"\n{more}");
    world.write(&format!("{dir}/Cargo.toml"), &manifest);
}

fn world() -> World {
    let world = World::without_cloud();
    package(&world, "orders", "2021", "");
    world
}

fn init(world: &World, arguments: &[&str]) -> Run {
    world.stranger(&[&["init", "--dependency-path", HARNESS], arguments].concat()).within("orders")
}

/// Returns all files below a directory with their contents.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => drop(all.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    all
}

#[track_caller]
fn is_mistake(done: Done, parts: &[&str]) {
    done.expect(2).says(parts);
}

#[test]
fn a_fresh_package_gets_all_of_it_and_a_second_time_nothing_changes() {
    let world = world();
    let done = init(&world, &["--ci", "github"]).done().expect(0);
    let written = files(world.home());
    for name in ["tests/cratedb.rs", ".env.example", ".config/nextest.toml", ".github/workflows/cratedb.yml"] {
        assert!(done.stdout.contains(&format!("written             {name}\n")), "{name}: {}", done.stdout);
        assert!(written.contains_key(&world.home().join("orders").join(name)), "{name}");
    }
    let manifest = fs::read_to_string(world.home().join("orders/Cargo.toml")).unwrap();
    let (_, dev) = manifest.split_once("[dev-dependencies]\n").expect(&manifest);
    assert!(dev.starts_with("cratedb-test = {") && dev.contains("path = "), "{manifest}");
    assert!(done.stdout.contains("A test run would use a process of CrateDB 6.4.3"), "{}", done.stdout);
    assert!(done.stdout.contains("\n  cargo test --test cratedb\n"), "{}", done.stdout);

    let again = init(&world, &["--ci", "github"]).done().expect(0);
    assert_eq!(files(world.home()), written);
    assert!(again.stdout.contains("exists, left alone  tests/cratedb.rs\n"), "{}", again.stdout);
    assert!(!again.stdout.contains("written") && again.stdout.contains("not needed  "), "{}", again.stdout);
}

#[test]
fn what_exists_is_left_alone_and_what_it_may_lack_is_shown() {
    let world = world();
    let of_the_user = [
        "orders/tests/cratedb.rs",
        "orders/.env.example",
        "orders/.gitignore",
        "orders/.config/nextest.toml",
        "orders/.gitlab-ci.yml",
    ];
    for name in of_the_user {
        let path = world.home().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"\xff# of the user\r\n").unwrap();
    }
    world.write("orders/.env", "CRATEDB_CLUSTER_URL=http://127.0.0.1:9\n");
    let before = files(world.home());
    let done = init(&world, &[]).done().expect(0);
    let after = files(world.home());
    for (path, content) in &before {
        let is_manifest = path.ends_with("Cargo.toml");
        assert!(is_manifest || after[path] == *content, "{} was changed", path.display());
    }
    // Cargo has made this one.
    let new: Vec<_> =
        after.keys().filter(|path| !before.contains_key(*path) && !path.ends_with("Cargo.lock")).collect();
    assert!(new.is_empty(), "{new:?}");
    assert!(done.stdout.contains("terminate-after = 15") && done.stdout.contains("image: rust:1"), "{}", done.stdout);
}

#[test]
fn a_dry_run_shows_all_and_writes_nothing() {
    let world = world();
    let before = files(world.home());
    let done = init(&world, &["--dry-run", "--ci", "gitlab"]).done().expect(0);
    assert_eq!(files(world.home()), before);
    for part in [
        "would write         tests/cratedb.rs\n",
        "#[cratedb_cluster]",
        "image: rust:1",
        "would run           cargo add --dev",
    ] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
}

#[test]
fn without_a_package_it_is_a_mistake() {
    let world = world();
    fs::create_dir(world.home().join("empty")).unwrap();
    let of = |dir: &str, arguments: &[&str]| world.stranger(arguments).within(dir).done();
    is_mistake(of("empty", &["init"]), &["there is no package at ", "could not find `Cargo.toml`", "`cargo init`"]);
    is_mistake(
        of("empty", &["init", "--manifest-path", "../orders/Cargo.tml"]),
        &["there is no package at ../orders/Cargo.tml"],
    );
    is_mistake(of("empty", &["init", "../orders", "--manifest-path", "x"]), &["cannot be used with"]);
    is_mistake(of("empty", &["init", "--cluster-name", "ci"]), &["not about one cluster"]);
    world.write("orders/Cargo.toml", "[package\n");
    is_mistake(of("orders", &["init"]), &["there is no package at ", "Cargo.toml"]);
    assert!(!world.home().join("orders/tests").exists());
}

#[test]
fn the_root_of_a_workspace_names_its_packages() {
    let world = world();
    package(&world, "billing", "2024", "");
    world.write("Cargo.toml", "[workspace]\nmembers = [\"orders\", \"billing\"]\nresolver = \"3\"\n");
    let done = world.stranger(&["init"]).done();
    is_mistake(done, &["is that of a workspace, and of no package", "billing", "orders"]);
    // In a package of it, only the test is the package's.
    fs::create_dir(world.home().join(".github")).unwrap();
    init(&world, &[]).done().expect(0);
    let there = |name: &str| world.home().join(name).is_file();
    assert!(there("orders/tests/cratedb.rs") && there(".env.example") && there(".config/nextest.toml"));
    let workflow = fs::read_to_string(world.home().join(".github/workflows/cratedb.yml")).unwrap();
    assert!(workflow.contains("- run: cargo test --package orders\n"), "{workflow}");
}

#[test]
fn a_workflow_is_at_the_root_of_the_repository_and_an_env_that_git_sees_is_told() {
    let world = world();
    assert!(Command::new("git").args(["init", "--quiet"]).current_dir(world.home()).status().unwrap().success());
    let done = init(&world, &["--ci", "github"]).done().expect(0);
    let workflow = fs::read_to_string(world.home().join(".github/workflows/cratedb.yml")).unwrap();
    assert!(workflow.contains("working-directory: orders\n"), "{workflow}");
    assert!(done.stdout.contains("\n  echo .env >> "), "{}", done.stdout);
    world.write(".gitignore", ".env\n");
    let done = init(&world, &[]).done().expect(0);
    assert!(!done.stdout.contains("echo .env"), "{}", done.stdout);
}

#[test]
fn what_cannot_be_written_is_an_error_that_names_it() {
    let world = world();
    world.write("orders/tests", "a file");
    init(&world, &[]).done().expect(1).says(&["cannot write ", "orders/tests/cratedb.rs: "]);
    fs::remove_file(world.home().join("orders/tests")).unwrap();
    let orders = world.home().join("orders");
    fs::set_permissions(&orders, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write everywhere.
    if fs::write(orders.join("probe"), "").is_err() {
        init(&world, &[]).done().expect(1).says(&["cannot write ", "orders/tests/cratedb.rs: ", "denied"]);
    }
    fs::set_permissions(&orders, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_dependency_that_cargo_cannot_add_is_said_and_the_command_comes_first() {
    let world = world();
    let done = world.stranger(&["init", "--dependency-path", "/no/harness"]).within("orders").done().expect(1);
    assert!(done.stdout.contains("failed              cargo add --dev cratedb-test --path /no/harness\n"), "{done:?}");
    let (_, next) = done.stdout.split_once("\nNext:\n").unwrap();
    assert!(next.starts_with("  cargo add --dev cratedb-test --path /no/harness\n  cargo test"), "{next}");
    assert!(world.home().join("orders/tests/cratedb.rs").is_file());
}

#[test]
fn on_a_machine_that_can_start_no_server_it_names_the_ways_to_one() {
    let world = world();
    let run = init(&world, &[]).env("CRATEDB_VERSION", "6.4.99").env("CRATEDB_TEST_MIRROR", "/no/mirror");
    let done = run.done().expect(0);
    for part in ["A test run could not start:\n", "The shortest ways to one:\n", "CRATEDB_HOME"] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
}

#[test]
fn the_first_test_compiles_without_warnings_in_every_edition_and_is_formatted() {
    const EDITIONS: [&str; 4] = ["2015", "2018", "2021", "2024"];
    let world = World::without_cloud();
    // With less to build than the default features.
    let harness = format!(
        "[dev-dependencies]\ncratedb-test = {{ path = {HARNESS:?}, default-features = false, features = [\"harness\"] }}\n"
    );
    for edition in EDITIONS {
        package(&world, &format!("of{edition}"), edition, &harness);
        world.stranger(&["init"]).within(&format!("of{edition}")).done().expect(0);
        let test = world.home().join(format!("of{edition}/tests/cratedb.rs"));
        let check = Command::new("rustfmt").args(["--check", "--edition", edition]).arg(test).output().unwrap();
        assert!(check.status.success(), "{edition}: {}", String::from_utf8_lossy(&check.stdout));
    }
    let members = EDITIONS.map(|edition| format!("\"of{edition}\"")).join(", ");
    world.write("Cargo.toml", &format!("[workspace]\nmembers = [{members}]\nresolver = \"2\"\n"));
    fs::copy(Path::new(HARNESS).join("Cargo.lock"), world.home().join("Cargo.lock")).unwrap();
    // The directory outlives the test, so that the next run has the dependencies.
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("init");
    let check = ["check", "--workspace", "--tests", "--offline", "--quiet", "--target-dir", built.to_str().unwrap()];
    let run =
        Command::new("cargo").args(check).current_dir(world.home()).env("CARGO_INCREMENTAL", "0").output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && !said.contains("warning"), "{said}");
}
