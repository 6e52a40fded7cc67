//! What is listed and removed.

use super::*;

#[tokio::test]
async fn everything_is_listed_by_what_it_is_and_removed() {
    let bench = Bench::serving(&packed("6.4.3", 100_000));
    bench.server.next(&[Odd::Cut(50_000), Odd::Status(404)]);
    bench.fails().await;
    let cache = bench.releases.caches.0[0].clone();
    let other = |suffix: &str| cache.join(format!("releases/6.4.2-x{suffix}"));
    fs::create_dir_all(other("/lib")).unwrap();
    fs::create_dir_all(other(".tmp")).unwrap();
    fs::write(other(".tar.gz"), "x").unwrap();
    fs::write(other("/lib/ballast"), vec![1; 100_000]).unwrap();
    fs::create_dir_all(cache.join("jvm/0123abcd")).unwrap();
    fs::write(cache.join("jvm/0123abcd/about.json"), "{}").unwrap();
    fs::create_dir_all(cache.join("jvm/4567cdef.work")).unwrap();
    // None of ours: something else, and a way to somewhere else.
    fs::create_dir_all(cache.join("releases/Documents")).unwrap();
    std::os::unix::fs::symlink("/tmp", cache.join("releases/6.4.1-x")).unwrap();
    let listed = || {
        let all = keep::entries_of(&bench.releases.caches).unwrap();
        let name = |entry: &Entry| entry.path.file_name().unwrap().to_str().unwrap().to_owned();
        all.iter().map(|entry| (entry.kind, name(entry))).collect::<Vec<_>>()
    };
    let platform = Platform::of_this_machine().unwrap();
    assert_eq!(
        listed(),
        [
            (EntryKind::Release, "6.4.2-x".to_owned()),
            (EntryKind::Archive, "6.4.2-x.tar.gz".to_owned()),
            (EntryKind::Partial, "6.4.2-x.tmp".to_owned()),
            (EntryKind::Partial, format!("6.4.3-{platform}.tar.gz.part")),
            (EntryKind::Jvm, "0123abcd".to_owned()),
            (EntryKind::Partial, "4567cdef.work".to_owned()),
        ]
    );
    let all = keep::entries_of(&bench.releases.caches).unwrap();
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
    assert_eq!(keep::entries_of(&caches).unwrap().len(), 1);
    fs::set_permissions(dir.path().join("c/releases"), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(keep::entries_of(&caches).unwrap().is_empty());
    fs::rename(dir.path().join("c/releases"), dir.path().join("moved")).unwrap();
    fs::set_permissions(dir.path().join("moved"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(dir.path().join("moved"), dir.path().join("c/releases")).unwrap();
    assert!(keep::entries_of(&caches).unwrap().is_empty());
}

#[tokio::test]
async fn the_lock_of_a_cache_that_is_made_is_that_of_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("c/jvm/4567cdef.work")).unwrap();
    let lock = dir.path().join("c/jvm/4567cdef.lock");
    let held = crate::host::Locks::take().try_lock(&lock).unwrap();
    assert!(held.is_some());
    let all = keep::entries_of(&Caches(vec![dir.path().join("c")])).unwrap();
    assert_eq!(all[0].lock_path(), lock);
}
