//! Two processes that want the same release: one makes it, the other waits.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

const INNER: &str = "CRATEDB_TEST_RELEASE_OF";

/// Does nothing unless it is started by another test: obtains 6.4.3 from a mirror into a cache, and tells its steps.
#[tokio::test]
async fn inner() {
    let Ok(named) = std::env::var(INNER) else { return };
    let (mirror, cache) = named.split_once(' ').unwrap();
    let (sender, mut steps) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(step) = steps.recv().await {
            println!("\nstep: {step}");
        }
    });
    let releases =
        Releases { caches: Caches(vec![cache.into()]), patience: Patience { stall: Duration::from_secs(60), ..QUICK } };
    let origin = Origin { mirror: Some(Secret::new(mirror)), digests: Vec::new() };
    let deadline = Instant::now() + Duration::from_secs(60);
    let obtained = releases.obtain("6.4.3".parse().unwrap(), &origin, deadline, &Progress::new(sender)).await.unwrap();
    println!("\nobtained: {}", obtained.new);
    // Holds on to it until it is told to end.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

struct Other(Child, BufReader<std::process::ChildStdout>);

impl Other {
    fn start(bench: &Bench) -> Self {
        let named = format!("{} {}", bench.server.url, bench.releases.caches.0[0].display());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "provider::release::tests::sharing::inner", "--nocapture"])
            .env(INNER, named)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self(child, lines)
    }

    #[track_caller]
    fn says(&mut self, part: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            assert!(self.1.read_line(&mut line).unwrap() > 0, "`{part}` is not in:\n{all}");
            if line.contains(part) {
                return line;
            }
            all.push_str(&line);
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_second_waits_for_the_first_and_says_so() {
    let bench = Bench::serving(&packed("6.4.3", 300_000));
    bench.server.next(&[Odd::Stall(100_000)]);
    let mut first = Other::start(&bench);
    first.says("downloading CrateDB 6.4.3");
    let mut second = Other::start(&bench);
    second.says(&format!("waiting for process {}, which is making CrateDB 6.4.3 available", first.0.id()));
    // Killed in the middle: the second goes on where the first ended.
    drop(first);
    second.says("obtained: true");
    assert_eq!(bench.server.ranges(), [None, Some("bytes=100000-".to_owned())]);
    let mut third = Other::start(&bench);
    third.says("obtained: false");
}

#[test]
fn of_two_at_once_one_downloads() {
    let bench = Bench::serving(&packed("6.4.3", 300_000));
    let mut both = [Other::start(&bench), Other::start(&bench)];
    let mut told: Vec<String> = both.iter_mut().map(|other| other.says("obtained: ").trim().to_owned()).collect();
    told.sort();
    assert_eq!(told, ["obtained: false", "obtained: true"]);
    assert_eq!(bench.server.ranges(), [None]);
}

#[test]
fn what_somebody_uses_is_not_removed() {
    let bench = Bench::serving(&packed("6.4.3", 1000));
    let mut other = Other::start(&bench);
    other.says("obtained: true");
    let entry = || {
        let mut all = keep::entries_of(&bench.releases.caches).unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    };
    assert_eq!((entry().kind, entry().in_use), (EntryKind::Release, true));
    assert_eq!(remove(&entry()), Removal::InUse);
    assert!(bench.file("").join("bin/crate").exists());
    drop(other);
    assert!(!entry().in_use);
    assert_eq!(remove(&entry()), Removal::Removed);
    assert!(!bench.file("").exists() && bench.file(".json").exists(), "what was seen is remembered");
}
