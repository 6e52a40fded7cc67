//! Real processes with the stand-in as `bin/crate`, and with scripts that behave as broken servers.

mod jvm;
mod nodes;
mod trouble;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::*;
use crate::host::{executable, platform};
use crate::provider::Ours;
use crate::provider::container::standin;
use crate::provider::tests::{answers, as_journalled, drained, json, says};
use crate::sql::{SqlClient, Wallet};

struct Bench {
    process: ProcessProvider,
    /// The directory of `CRATEDB_HOME`, and of data that is not in memory.
    files: tempfile::TempDir,
    progress: Progress,
    steps: UnboundedReceiver<String>,
    intents: Arc<Mutex<Vec<Value>>>,
}

impl Bench {
    /// Makes a `bin/crate` of this text, with files that the server's user can read.
    fn with_script(text: &str) -> Self {
        Self::with(|program| executable::script(program, text))
    }

    fn with_stand_in() -> Self {
        Self::with(|program| executable::copy(&standin::binary(), program))
    }

    /// Makes a stand-in whose start script behaves as one with a JVM. See the script.
    fn with_jvm() -> Self {
        let mut bench = Self::with(|program| executable::script(program, include_str!("standin.sh")));
        let home = bench.files.path().join("home");
        executable::copy(&standin::binary(), &home.join("lib/simulator"));
        fs::create_dir(home.join("jdk")).unwrap();
        fs::write(home.join("jdk/release"), "JAVA_VERSION=\"25.0.3\"\n").unwrap();
        for path in [home.join("jdk"), home.join("jdk/release")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        bench.process.jvm_cache = JvmCache::Make;
        bench.process.caches = Some(bench.files.path().join("caches"));
        bench
    }

    fn with(write: impl FnOnce(&Path)) -> Self {
        let files = tempfile::tempdir().unwrap();
        let home = files.path().join("home");
        for dir in [home.join("bin"), home.join("lib"), files.path().join("disk")] {
            fs::create_dir_all(dir).unwrap();
        }
        write(&home.join("bin/crate"));
        for path in [files.path(), &home, &home.join("bin"), &home.join("lib")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(files.path().join("disk"), fs::Permissions::from_mode(0o777)).unwrap();
        let (sender, steps) = mpsc::unbounded_channel();
        let process = ProcessProvider::new(home.to_str().unwrap(), &LocalTarget::of_image(""));
        Self { process, files, progress: Progress::new(sender), steps, intents: Arc::default() }
    }

    fn on_disk(mut self) -> Self {
        self.process.bases = DataDirs { memory: "/nowhere".into(), disk: vec![self.files.path().join("disk")] };
        self
    }

    async fn acquire(&self) -> Acquired {
        self.acquire_within(Duration::from_secs(30)).await
    }

    async fn acquire_within(&self, limit: Duration) -> Acquired {
        let kept = self.intents.clone();
        let intents = Intents::new(Arc::new(move |held| {
            let Held::Process(processes) = &held else { panic!("{held:?}") };
            assert_eq!(processes.dir.exists(), processes.server.is_some(), "no intent, no call");
            kept.lock().unwrap().push(json(&held));
            Ok(())
        }));
        self.process.acquire(Instant::now() + limit, &self.progress, &intents).await
    }

    /// Returns the error of an acquisition that must leave nothing.
    async fn fails(&self) -> String {
        let failed = self.acquire().await.err().unwrap();
        assert!(!failed.maybe_up);
        if !self.intents.lock().unwrap().is_empty() {
            is_gone(&self.dir());
        }
        failed.error.to_string()
    }

    async fn release(&self, held: &impl Serialize, on_exit: OnExit) -> Released {
        release(&processes(held), on_exit, &self.progress).await.unwrap()
    }

    fn intent(&self, number: usize) -> Value {
        self.intents.lock().unwrap()[number].clone()
    }

    fn dir(&self) -> PathBuf {
        self.intent(0)["dir"].as_str().unwrap().into()
    }

    fn steps(&mut self) -> String {
        drained(&mut self.steps)
    }
}

/// Returns the record as it comes back from the journal.
fn processes(held: &impl Serialize) -> HeldProcesses {
    let Held::Process(held) = as_journalled(held) else { panic!("{}", json(held)) };
    held
}

/// Returns the names of processes that carry a server's mark.
fn alive(dir: &Path) -> Vec<String> {
    let mark = format!("{}={}", command::MARK, dir.display()).into_bytes();
    let marked = |pid: &u32| platform::environment(*pid).split(|byte| *byte == 0).any(|entry| entry == mark);
    platform::pids().into_iter().filter(marked).filter_map(|pid| Some(platform::look(pid)?.name)).collect()
}

#[track_caller]
fn is_gone(dir: &Path) {
    assert_eq!(alive(dir), Vec::<String>::new());
    assert!(!dir.exists(), "{} is still there", dir.display());
}

#[tokio::test]
async fn a_process_is_started_answers_and_is_removed_with_its_data() {
    for on_disk in [false, true] {
        let mut bench = Bench::with_stand_in();
        if on_disk {
            bench = bench.on_disk();
        }
        let resource = bench.acquire().await.unwrap();
        answers(&resource).await;
        let dir = bench.dir();
        assert_eq!(
            (alive(&dir), resource.ours, resource.provider.as_str()),
            (vec!["crate".into()], Ours::Started, "process")
        );
        says(&resource.name, &["process cratedb-test-", "(pid "]);
        assert!(resource.http_url.starts_with("http://127.0.0.1:"), "{}", resource.http_url);
        assert_eq!(json(&resource.held), bench.intent(1), "the journal's last word");
        assert_eq!(bench.release(&resource.held, OnExit::Auto).await, Released::Removed);
        is_gone(&dir);
        assert_eq!(bench.release(&resource.held, OnExit::Auto).await, Released::Removed, "again");
        assert_eq!(dir.starts_with(bench.files.path()), on_disk);
        says(bench.steps(), &["starting CrateDB from ", "with its data", "waiting for process ", "ending process "]);
    }
}

#[tokio::test]
async fn a_server_never_runs_as_root_and_its_data_is_closed_to_others() {
    use std::os::unix::fs::MetadataExt as _;
    let bench = Bench::with_stand_in();
    let resource = bench.acquire().await.unwrap();
    let pid = json(&resource.held)["server"]["pid"].as_u64().unwrap();
    let owner = std::process::Command::new("ps").args(["-o", "uid=", "-p", &pid.to_string()]).output().unwrap();
    let owner: u32 = String::from_utf8(owner.stdout).unwrap().trim().parse().unwrap();
    let dir = fs::metadata(bench.dir()).unwrap();
    bench.release(&resource.held, OnExit::Auto).await;
    assert_ne!(owner, 0);
    assert_eq!((dir.uid(), dir.mode() & 0o777), (owner, 0o700));
}

#[tokio::test]
async fn a_process_of_a_killed_keeper_is_removed_whatever_the_journal_knows_of_it() {
    for known in [0, 1] {
        let bench = Bench::with_stand_in();
        bench.acquire().await.unwrap();
        for _ in 0..2 {
            let deadline = Instant::now() + Duration::from_secs(30);
            remove(&processes(&bench.intent(known)), deadline, &bench.progress).await.unwrap();
            is_gone(&bench.dir());
        }
    }
}

#[tokio::test]
async fn a_process_number_that_somebody_else_has_now_is_left_alone() {
    let bench = Bench::with_stand_in();
    let resource = bench.acquire().await.unwrap();
    let mut other = std::process::Command::new("sleep").arg("100").spawn().unwrap();
    let mut held = json(&resource.held);
    held["server"]["pid"] = other.id().into();
    bench.release(&held, OnExit::Auto).await;
    let lives = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(lives);
    is_gone(&bench.dir());
}

#[tokio::test]
async fn only_directories_of_ours_are_removed() {
    let (bench, precious) = (Bench::with_stand_in(), tempfile::tempdir().unwrap());
    let held = serde_json::json!({ "provider": "process", "name": "x", "dir": precious.path(), "server": null });
    let error = remove(&processes(&held), Instant::now() + Duration::from_secs(9), &bench.progress).await.unwrap_err();
    says(error, &["no directory that a server was given"]);
    assert!(precious.path().exists());
}

/// The server dies with the thread that started it: a keeper's only one, or here one of another test.
#[test]
fn a_process_dies_with_its_keeper_unless_it_is_to_be_kept() {
    for outlives in [false, true] {
        let (dir, resource, bench) = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut bench = Bench::with_stand_in();
            bench.process.outlives = outlives;
            let resource = runtime.block_on(bench.acquire()).unwrap();
            (bench.dir(), resource, bench)
        })
        .join()
        .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        if outlives {
            let Released::Left(line) = runtime.block_on(bench.release(&resource.held, OnExit::Keep)) else { panic!() };
            says(line, &["left running", "CRATEDB_TEST_ON_EXIT=keep", "kill -9 ", "rm -rf "]);
            runtime.block_on(answers(&resource));
        } else {
            let began = Instant::now();
            while !alive(&dir).is_empty() {
                assert!(began.elapsed() < Duration::from_secs(10), "{:?} lives", alive(&dir));
                std::thread::park_timeout(Duration::from_millis(2));
            }
        }
        assert_eq!(runtime.block_on(bench.release(&resource.held, OnExit::Auto)), Released::Removed);
        is_gone(&dir);
    }
}

#[tokio::test]
async fn a_server_that_ends_at_start_is_an_error_with_its_last_lines() {
    for on_disk in [false, true] {
        let mut bench =
            Bench::with_script("for i in 1 2 3; do echo line $i; done; echo 'no such setting' >&2; exit 78");
        if on_disk {
            bench = bench.on_disk();
        }
        let text = bench.fails().await;
        says(
            &text,
            &[
                "cannot start CrateDB from ",
                "the server ended (exit status: 78)",
                "the end of its log:",
                "| line 3",
                "| no such setting",
            ],
        );
    }
    let silent = Bench::with_script("exit 1").fails().await;
    says(silent, &["its log is empty"]);
}

#[tokio::test]
async fn a_server_without_its_java_is_told() {
    let text = Bench::with_script("exec \"$(dirname \"$0\")/../jdk/bin/java\" -version").fails().await;
    says(text, &["the server ended (exit status: 127)", "jdk/bin/java", "has its own Java runtime in jdk/"]);
}

#[tokio::test]
async fn a_server_that_never_gets_ready_is_given_up_with_all_its_children() {
    let address = "echo '[x][INFO ][o.e.h.n.Netty4HttpServerTransport] publish_address {127.0.0.1:1}, bound'";
    for (first, awaited) in [("echo thinking", "the address in the log"), (address, "SQL at http://127.0.0.1:1")] {
        // One child is in the process group, and one has left it.
        let bench = Bench::with_script(&format!("{first}; sleep 1000 & setsid sleep 1000 & wait"));
        let failed = bench.acquire_within(Duration::from_millis(500)).await.err().unwrap();
        assert!(failed.error.is_timeout() && !failed.maybe_up, "{}", failed.error);
        says(failed.error, &["gave up waiting for ", awaited, "the end of its log:"]);
        is_gone(&bench.dir());
    }
}

#[tokio::test]
async fn an_installation_that_cannot_be_used_is_an_error_that_names_it() {
    let empty = tempfile::tempdir().unwrap();
    let file = empty.path().join("file");
    fs::write(&file, "").unwrap();
    for (home, why) in
        [("/no/such/place", "No such file"), (file.to_str().unwrap(), "no directory"), ("/usr", "bin/crate: ")]
    {
        let bench = Bench::with_script("exit 0");
        let target = |named: Option<&str>| LocalTarget { home: named.map(Into::into), ..LocalTarget::of_image("") };
        let bench = Bench { process: ProcessProvider::new(home, &target(Some(home))), ..bench };
        let text = bench.fails().await;
        says(&text, &[&format!("cannot use CRATEDB_HOME=`{home}`"), why, "accepted: ", "bin/crate and lib/"]);
        let bench = Bench { process: ProcessProvider::new(home, &target(None)), ..bench };
        let text = bench.fails().await;
        says(&text, &[&format!("cannot use the downloaded release in {home}"), why, "downloaded again"]);
        assert!(bench.intents.lock().unwrap().is_empty(), "nothing was touched");
    }
    let mut closed = Bench::with_script("exit 0");
    closed.process.named = true;
    for (path, mode) in [("home/bin/crate", 0o644), ("home/bin/crate", 0o700), ("home", 0o700), ("home/lib", 0o000)] {
        let path = closed.files.path().join(path);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        // The owner may do all that, but root's servers run as nobody.
        if mode & 0o700 != 0o700 || rustix::process::geteuid().is_root() {
            says(closed.fails().await, &["cannot use CRATEDB_HOME=", "it can't be used", "chmod -R a+rX"]);
        }
        fs::set_permissions(&path, before).unwrap();
    }
}

#[tokio::test]
async fn without_a_place_for_the_data_nothing_is_started() {
    let mut bench = Bench::with_stand_in();
    bench.process.bases = DataDirs { memory: "/nowhere".into(), disk: vec!["/proc/x".into()] };
    says(bench.fails().await, &["cannot make a data directory", "/proc/x: ", "XDG_CACHE_HOME"]);
    assert!(bench.intents.lock().unwrap().is_empty());
}
