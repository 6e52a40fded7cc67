//! `test` around a real container: the session is outside, the tests are inside.

#[allow(dead_code)] // The engine and the program are of interest here.
#[path = "../../../src/provider/container/standin.rs"]
pub(crate) mod standin;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use cratedb_cloud_simulator::ClusterOptions;

use crate::sessions::{ONCE, changes, test};
use crate::support::{Done, World, eventually};
use standin::docker;

/// The variables that a process in a container needs for its session and its cluster.
const PASSED: [&str; 6] = [
    "CRATEDB_TEST_SESSION",
    "CRATEDB_TEST_SESSION_IDLE",
    "CRATEDB_CLOUD_ENDPOINT",
    "CRATEDB_CLOUD_API_KEY",
    "CRATEDB_CLOUD_API_SECRET",
    "CRATEDB_CLUSTER_NAME",
];

/// An image of the test program of this crate and its libraries, and nothing else.
struct Image(String);

impl Image {
    /// Makes the image. Returns nothing without a container engine, unless `CRATEDB_TEST_REQUIRE` demands one.
    fn new() -> Option<Self> {
        if let Err(why) = docker(&["version", "--format", "{{.Server.Version}}"]) {
            let required = std::env::var("CRATEDB_TEST_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|name| name == "docker"), "CRATEDB_TEST_REQUIRE names docker, but {why}");
            let _ = writeln!(std::io::stderr(), "skipped: no container engine ({why})");
            return None;
        }
        let (root, program) = (tempfile::tempdir().unwrap(), std::env::current_exe().unwrap());
        std::fs::copy(&program, root.path().join("tests")).unwrap();
        let libraries = Command::new("ldd").arg(&program).output().unwrap();
        let libraries = String::from_utf8(libraries.stdout).unwrap();
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            let copy = root.path().join(library.trim_start_matches('/'));
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::copy(library, copy).unwrap();
        }
        Some(Self::import(root.path()))
    }

    fn import(root: &Path) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let tag = format!("cratedb-test-contained:{}-{number}", std::process::id());
        let archive = root.join("image.tar");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(root).args(["--exclude", "./image.tar", "-cf"]).arg(&archive).arg(".");
        assert!(tar.status().unwrap().success(), "tar failed");
        docker(&["import", "--change", r#"ENTRYPOINT ["/tests"]"#, archive.to_str().unwrap(), &tag]).unwrap();
        Self(tag)
    }

    /// Runs one test in a container of this image, with a session around it.
    fn run(&self, world: &World, options: &[&str]) -> Done {
        let user = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        // The engine that these tests were given. Other programs here get none.
        let engine = std::env::var("DOCKER_HOST").map(|host| format!("DOCKER_HOST={host}"));
        let mut words = vec!["--", "env"];
        match &engine {
            Ok(engine) => words.push(engine),
            Err(_) => words.extend(["-u", "DOCKER_HOST"]),
        }
        words.extend(["docker", "run", "--rm", "--network", "host", "--user", &user]);
        PASSED.iter().for_each(|name| words.extend(["-e", name]));
        words.extend(options);
        words.extend([self.0.as_str(), "--ignored", "--exact", "sessions::joins_the_session"]);
        test(world, &words).done()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = docker(&["image", "rm", &self.0]);
    }
}

fn world() -> World {
    World::with([ClusterOptions::suspended("ci")])
}

#[test]
fn tests_in_a_container_belong_to_the_session_around_it() {
    let Some(image) = Image::new() else { return };
    let world = world();
    let directory = world.home().join("state").display().to_string();
    let mounted = format!("{directory}:{directory}");

    let done = image.run(&world, &["-e", "CRATEDB_TEST_DIR", "-v", &mounted]).expect(0);

    assert!(done.stdout.contains("1 passed"), "{done:#?}");
    // A process that finds the keeper does not print which cluster it uses: the command line did that outside.
    assert!(!done.stderr.contains("found running") && !done.stderr.contains("can't outlive"), "{done:#?}");
    assert_eq!(changes(&world), ONCE);
    assert!(world.cloud().cluster("ci").suspended);
}

/// The guide says that this is how to recognise it. The lease of the keeper in the container outlives it for 90 s.
#[test]
fn tests_in_a_container_without_the_keepers_directory_say_that_other_machines_use_the_cluster() {
    let Some(image) = Image::new() else { return };
    let world = world();

    let done = image.run(&world, &["--tmpfs", "/tmp:mode=1777"]).expect(0);

    done.says(&["other machines use it, too; the last one suspends it", "waiting until this lease is renewed or dead"]);
    assert_eq!(changes(&world), ONCE, "the session around it resumed the cluster and suspends it");
}

#[test]
fn a_container_that_is_killed_ends_its_session() {
    let Some(image) = Image::new() else { return };
    let world = world();
    let directory = world.home().join("state").display().to_string();
    let (mounted, name) = (format!("{directory}:{directory}"), format!("cratedb-test-killed-{}", std::process::id()));
    let options = ["--name", &name, "-e", "CRATEDB_TEST_DIR", "-v", &mounted, "-e", "CONTAINED_WAITS=1"];
    let killed = std::thread::scope(|scope| {
        let run = scope.spawn(|| image.run(&world, &options));
        eventually("the test in the container", || docker(&["logs", &name]).ok()?.contains("waits").then_some(()));
        docker(&["kill", &name]).unwrap();
        run.join().unwrap()
    });
    killed.expect(137);
    assert_eq!(changes(&world), ONCE);
    assert!(world.cloud().cluster("ci").suspended);
}
