//! Caches: shared by several processes, listed, and removed unless in use.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

const INNER: &str = "CRATEDB_TEST_RELEASE_OF";

/// Plays the other process of the tests below: obtains 6.4.3 from a mirror into a cache, and prints its steps. Does
/// nothing as a test of its own.
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
    let downloads = Downloads {
        caches: Caches(vec![cache.into()]),
        limits: FetchLimits { stall: Duration::from_secs(60), ..QUICK },
    };
    let origin = Origin { mirror: Some(Secret::new(mirror)), digests: Vec::new() };
    let deadline = Instant::now() + Duration::from_secs(60);
    let obtained = downloads.obtain("6.4.3".parse().unwrap(), &origin, deadline, &Progress::new(sender)).await.unwrap();
    println!("\nobtained: {}", obtained.new);
    // It keeps the installation until it is told to end.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

struct Other(Child, BufReader<std::process::ChildStdout>);

impl Other {
    fn start(bench: &Bench) -> Self {
        let named = format!("{} {}", bench.server.url, bench.downloads.caches.0[0].display());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "provider::download::tests::caches::inner", "--nocapture"])
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
    // The first is killed in the middle, and the second continues where it ended.
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
        let mut all = content::entries_of(&bench.downloads.caches).unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    };
    assert_eq!((entry().kind, entry().in_use), (EntryKind::Installation, true));
    assert_eq!(remove(&entry()), Removal::InUse);
    assert!(bench.file("").join("bin/crate").exists());
    drop(other);
    assert!(!entry().in_use);
    assert_eq!(remove(&entry()), Removal::Removed);
    assert!(!bench.file("").exists() && bench.file(".json").exists(), "what was seen is remembered");
}

/// With a digest of the setting that the release does not have, and that another process does not ask for.
#[tokio::test]
async fn a_release_that_is_in_use_is_neither_used_nor_replaced_against_its_pin() {
    let archive = packed("6.4.3", 1000);
    let mut bench = Bench::serving(&packed("6.4.3", 1001));
    let mut other = Other::start(&bench);
    other.says("obtained: true");
    bench.server.has(&archive_of("6.4.3"), &archive);
    bench.origin.digests = vec![sha256(&archive)];
    let text = bench.obtain("6.4.3").await.unwrap_err().to_string();
    let user = format!("process {} uses it, so it can't be replaced now", other.0.id());
    says(text, &["cannot use CrateDB 6.4.3 in ", "CRATEDB_TEST_SHA256 has ", &user]);
    drop(other);
    let anew = bench.gets().await;
    assert_eq!((anew.new, anew.record.unwrap().sha256), (true, sha256(&archive)));
}

#[tokio::test]
async fn a_release_is_listed_with_the_archive_that_it_is_from() {
    let archive = packed("6.4.3", 1000);
    let bench = Bench::serving(&archive);
    bench.gets().await;
    let listed = || content::entries_of(&bench.downloads.caches).unwrap().remove(0).record;
    let record = listed().unwrap();
    assert_eq!((record.sha256, record.tree.unwrap().len()), (sha256(&archive), 64));
    fs::remove_file(bench.file(".json")).unwrap();
    assert_eq!(listed(), None);
}

#[tokio::test]
async fn everything_is_listed_by_what_it_is_and_removed() {
    let bench = Bench::serving(&packed("6.4.3", 100_000));
    bench.server.next(&[Odd::Cut(50_000), Odd::Status(404)]);
    bench.fails().await;
    let cache = bench.downloads.caches.0[0].clone();
    let other = |suffix: &str| cache.join(format!("releases/6.4.2-x{suffix}"));
    fs::create_dir_all(other("/lib")).unwrap();
    fs::create_dir_all(other(".tmp")).unwrap();
    fs::write(other(".tar.gz"), "x").unwrap();
    fs::write(other("/lib/ballast"), vec![1; 100_000]).unwrap();
    fs::create_dir_all(cache.join("jvm/0123abcd")).unwrap();
    fs::write(cache.join("jvm/0123abcd/about.json"), "{}").unwrap();
    fs::create_dir_all(cache.join("jvm/4567cdef.work")).unwrap();
    // Neither belongs to the harness: an unknown directory, and a link to another place.
    fs::create_dir_all(cache.join("releases/Documents")).unwrap();
    std::os::unix::fs::symlink("/tmp", cache.join("releases/6.4.1-x")).unwrap();
    let listed = || {
        let all = content::entries_of(&bench.downloads.caches).unwrap();
        let name = |entry: &CacheEntry| entry.path.file_name().unwrap().to_str().unwrap().to_owned();
        all.iter().map(|entry| (entry.kind, name(entry))).collect::<Vec<_>>()
    };
    let platform = Platform::of_this_machine().unwrap();
    assert_eq!(
        listed(),
        [
            (EntryKind::Installation, "6.4.2-x".to_owned()),
            (EntryKind::Archive, "6.4.2-x.tar.gz".to_owned()),
            (EntryKind::Partial, "6.4.2-x.tmp".to_owned()),
            (EntryKind::Partial, format!("6.4.3-{platform}.tar.gz.part")),
            (EntryKind::Jvm, "0123abcd".to_owned()),
            (EntryKind::Partial, "4567cdef.work".to_owned()),
        ]
    );
    let all = content::entries_of(&bench.downloads.caches).unwrap();
    assert!(all[0].size >= 100_000 && all.iter().all(|entry| !entry.in_use), "{all:?}");
    assert!(all.iter().all(|entry| entry.used.elapsed().is_ok_and(|age| age < Duration::from_secs(60))), "{all:?}");
    for entry in &all {
        assert_eq!(remove(entry), Removal::Removed, "{entry:?}");
    }
    assert_eq!(listed(), []);
    assert!(!bench.file(".tar.gz.part.json").exists());
}

#[tokio::test]
async fn nothing_is_listed_where_others_may_have_put_it() {
    let dir = tempfile::tempdir().unwrap();
    let caches = Caches(vec![dir.path().join("c")]);
    fs::create_dir_all(dir.path().join("c/releases/6.4.2-x")).unwrap();
    assert_eq!(content::entries_of(&caches).unwrap().len(), 1);
    fs::set_permissions(dir.path().join("c/releases"), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(content::entries_of(&caches).unwrap().is_empty());
    fs::rename(dir.path().join("c/releases"), dir.path().join("moved")).unwrap();
    fs::set_permissions(dir.path().join("moved"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(dir.path().join("moved"), dir.path().join("c/releases")).unwrap();
    assert!(content::entries_of(&caches).unwrap().is_empty());
}

#[tokio::test]
async fn the_lock_of_a_cache_that_is_made_is_that_of_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("c/jvm/4567cdef.work")).unwrap();
    let lock = dir.path().join("c/jvm/4567cdef.lock");
    let held = crate::host::Locks::take().try_lock(&lock).unwrap();
    assert!(held.is_some());
    let all = content::entries_of(&Caches(vec![dir.path().join("c")])).unwrap();
    assert_eq!(all[0].lock_path(), lock);
}
