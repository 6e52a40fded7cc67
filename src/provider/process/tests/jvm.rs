//! Caches of the JVM, which are made after a session, used from then on, and never a reason to fail.

use super::*;
use crate::provider::jvm::{CacheLock, Training};

impl Bench {
    async fn start_and_end(&self) -> Option<Training> {
        let resource = self.acquire().await.unwrap();
        answers(&resource).await;
        let training = self.process.training.take();
        self.release(&resource.held, OnExit::Auto).await;
        training
    }

    /// Makes the cache as the trainer does after a session.
    async fn train(&self, training: &Training) -> CacheLock {
        let mut lease = training.begin().unwrap().unwrap();
        train(training, &self.process.home, &mut lease).await.unwrap();
        lease
    }

    fn caches(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.files.path().join("caches")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    }

    fn file(&self) -> PathBuf {
        let [dir] = &self.caches()[..] else { panic!("{:?}", self.caches()) };
        dir.join("crate.aot")
    }
}

/// Returns the log of a running server.
fn log_of(resource: &Resource) -> String {
    fs::read_to_string(processes(&resource.held).dir.join("server.log")).unwrap()
}

#[tokio::test]
async fn a_cache_is_made_after_the_first_session_and_used_from_then_on() {
    let bench = Bench::with_jvm();
    let training = bench.start_and_end().await.expect("nothing stands against a cache");
    assert_eq!(bench.caches(), Vec::<PathBuf>::new(), "a session makes none itself");
    let lease = bench.train(&training).await;
    assert_eq!(lease.left, None);
    assert_eq!(fs::read_to_string(bench.file()).unwrap(), "a cache\n");
    let resource = bench.acquire().await.unwrap();
    says(log_of(&resource), &["the cache is used"]);
    assert_eq!(bench.process.training.take(), None, "it is there");
    bench.release(&resource.held, OnExit::Auto).await;
}

#[tokio::test]
async fn a_trainer_leaves_nothing_and_its_lock_names_what_it_starts_before_it_does() {
    let bench = Bench::with_jvm();
    let training = bench.start_and_end().await.unwrap();
    fs::remove_file(bench.files.path().join("home/lib/simulator")).unwrap();
    let mut lease = training.begin().unwrap().unwrap();
    let error = train(&training, &bench.process.home, &mut lease).await.unwrap_err();
    says(error, &["cannot make a cache for the JVM", "the server ended", "the end of its log:"]);
    drop(lease);
    let locks = fs::read_dir(bench.files.path().join("caches")).unwrap().map(|entry| entry.unwrap().path());
    let locks: Vec<String> = locks.map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(locks, [""], "settled");
}

#[tokio::test]
async fn a_cache_that_does_not_fit_is_thrown_away_and_made_again() {
    let mut bench = Bench::with_jvm();
    let training = bench.start_and_end().await.unwrap();
    bench.train(&training).await;
    // The same length, since a file of another one is not given to a JVM at all.
    fs::write(bench.file(), "a mouse\n").unwrap();
    assert!(bench.start_and_end().await.is_some());
    assert_eq!(bench.caches(), Vec::<PathBuf>::new());
    says(bench.steps(), &["the JVM did not take its cache, which is thrown away"]);
}

#[tokio::test]
async fn a_cache_that_kills_its_jvm_costs_a_second_start_and_no_failure() {
    for nodes in [1, 3] {
        let mut bench = Bench::with_jvm();
        bench.process.nodes = nodes;
        let training = bench.start_and_end().await.unwrap();
        bench.train(&training).await;
        fs::write(bench.file(), "deadly\n\n").unwrap();
        assert!(bench.start_and_end().await.is_some());
        assert_eq!(bench.caches(), Vec::<PathBuf>::new());
        says(bench.steps(), &["the JVM ended with its cache; starting again without it"]);
    }
}

#[tokio::test]
async fn a_server_that_ends_with_a_cache_for_another_reason_is_not_started_twice() {
    let mut bench = Bench::with_jvm();
    let training = bench.start_and_end().await.unwrap();
    bench.train(&training).await;
    bench.steps();
    // The server fails after its JVM has taken the cache, since a JVM does not compare this file.
    executable::script(&bench.files.path().join("home/lib/simulator"), "echo no such setting; exit 1");
    let failed = bench.acquire().await.err().unwrap();
    says(failed.error, &["the server ended (exit status: 1)", "| the cache is used", "| no such setting"]);
    assert_eq!(bench.steps().matches("starting CrateDB from").count(), 1);
    assert_eq!(bench.caches().len(), 1);
}

#[tokio::test]
async fn no_cache_is_made_where_it_is_switched_off_or_no_jvm_could_use_it() {
    for (mode, release) in [
        (JvmCache::Off, "JAVA_VERSION=\"25.0.3\""),
        (JvmCache::Use, "JAVA_VERSION=\"25.0.3\""),
        (JvmCache::Make, "JAVA_VERSION=\"17.0.2\""),
        (JvmCache::Make, "what is this"),
    ] {
        let mut bench = Bench::with_jvm();
        bench.process.jvm_cache = mode;
        fs::write(bench.files.path().join("home/jdk/release"), release).unwrap();
        assert_eq!(bench.start_and_end().await, None, "{mode:?} {release}");
    }
}

#[tokio::test]
async fn a_cache_of_an_installation_that_changed_is_another_one() {
    let bench = Bench::with_jvm();
    let first = bench.start_and_end().await.unwrap();
    let home = bench.files.path().join("home");
    fs::write(home.join("lib/more.jar"), "").unwrap();
    let second = bench.start_and_end().await.unwrap();
    fs::write(home.join("jdk/release"), "JAVA_VERSION=\"25.0.4\"").unwrap();
    let third = bench.start_and_end().await.unwrap();
    assert!(first.cache != second.cache && second.cache != third.cache);
}
