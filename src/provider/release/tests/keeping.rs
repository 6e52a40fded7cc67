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
