//! The files of a cache, the JVM's messages about one that does not fit, and the lock of the process that makes it.

use std::os::unix::fs::MetadataExt as _;

use serde_json::json;

use super::*;
use crate::provider::Held;

fn about(home: &str) -> CacheManifest {
    CacheManifest::of(home.to_owned(), "25.0.3+9-LTS".to_owned())
}

fn cache(root: &Path, what: &str) -> AotCache {
    AotCache::of(root, &[what.to_owned()])
}

/// Publishes a cache from another file.
fn published(root: &Path, what: &str, home: &str) -> AotCache {
    let (made, cache) = (root.join("made"), cache(root, what));
    fs::write(&made, "classes").unwrap();
    cache.publish(&made, about(home), false).unwrap();
    cache
}

#[test]
fn what_a_jvm_says_of_a_cache_that_does_not_fit_is_recognised() {
    // Messages of JDK 25.0.3 about caches that are cut, overwritten, unreadable, of another class path, and missing.
    for line in [
        "[0.009s][warning][aot] The AOT cache has been truncated.",
        "[0.004s][warning][aot] Unable to read the file header.",
        "[0.010s][warning][aot] Failed to open AOT cache (Permission denied)",
        "[0.066s][warning][aot] Checksum verification failed.",
        "[0.009s][error  ][aot] Loading static archive failed.",
        "[0.003s][error][aot] An error has occurred while processing the AOT cache. Run with -Xlog:aot for details.",
        "[12.5s][warning][cds] shared class paths mismatch",
    ] {
        let log = format!("WARNING: Using incubator modules: jdk.incubator.vector\n{line}\n[1.0s][error][aot] more\n");
        assert_eq!(refusal(&log), Some(line));
    }
}

#[test]
fn what_a_server_says_is_no_refusal() {
    for line in [
        "",
        "WARNING: Using incubator modules: jdk.incubator.vector",
        "[2026-11-23T15:17:49,205][WARN ][o.e.b.BootstrapChecks    ] [n] JVM is using the serial collector",
        "[2026-11-23T15:17:49,205][ERROR][aot                      ] [n] x",
        "[0.009s][info][aot] Opened AOT cache",
        "[0.009s][warning][gc] no memory",
    ] {
        assert_eq!(refusal(line), None, "{line}");
    }
}

#[test]
fn only_a_runtime_that_knows_caches_gets_one() {
    let release = "IMPLEMENTOR=\"Eclipse Adoptium\"\nJAVA_RUNTIME_VERSION=\"25.0.3+9-LTS\"\nJAVA_VERSION=\"25.0.3\"\n";
    assert_eq!(runtime_in(release).as_deref(), Some("25.0.3+9-LTS"));
    assert_eq!(runtime_in("JAVA_VERSION=\"26-ea\"").as_deref(), Some("26-ea"));
    for none in [
        "JAVA_VERSION=\"24.0.2\"",
        "JAVA_VERSION=\"1.8.0_402\"",
        "JAVA_VERSION=\"x\"",
        "JAVA_VERSION_DATE=\"2026-04-21\"",
        "",
    ] {
        assert_eq!(runtime_in(none), None, "{none}");
    }
}

#[test]
fn a_cache_is_there_when_it_is_whole_and_gone_when_it_is_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), "a");
    assert_eq!(cache.flag(), None);
    cache.discard();
    let cache = published(dir.path(), "a", "/opt/crate");
    let file = cache.file().unwrap();
    assert_eq!(cache.flag(), Some(format!("-XX:AOTCache={}", file.display())));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    for damage in ["", "class", "classes and more"] {
        fs::write(&file, damage).unwrap();
        assert_eq!(cache.file(), None, "{damage}");
    }
    cache.discard();
    assert!(!cache.dir.exists());
}

#[test]
fn a_cache_for_another_user_can_be_read_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let (made, cache) = (dir.path().join("made"), cache(&dir.path().join("x/jvm"), "a"));
    fs::write(&made, "classes").unwrap();
    cache.publish(&made, about("/opt/crate"), true).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&dir.path().join("x")), mode(&cache.dir), mode(&cache.file().unwrap())), (0o755, 0o755, 0o644));
}

#[test]
fn a_new_cache_replaces_those_of_the_same_installation_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let [old, other] = [published(dir.path(), "old", "/opt/crate"), published(dir.path(), "other", "/opt/other")];
    let new = published(dir.path(), "new", "/opt/crate");
    assert!(new.file().is_some() && other.file().is_some());
    assert!(!old.dir.exists());
}

#[test]
fn what_another_user_puts_in_the_place_of_a_cache_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, link) = (dir.path().join("secret"), dir.path().join("link"));
    fs::write(&secret, "secret").unwrap();
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    let cache = cache(dir.path(), "a");
    assert!(cache.publish(&link, about("/opt/crate"), true).is_err());
    assert!(cache.publish(dir.path(), about("/opt/crate"), true).is_err());
    assert_eq!(cache.file(), None);
}

#[test]
fn a_path_that_a_start_script_would_not_keep_is_not_given_to_a_jvm() {
    for odd in ["with space", "dollar$", "colon:", "quote\"", "star*"] {
        let dir = tempfile::Builder::new().prefix(odd).tempdir().unwrap();
        let cache = published(dir.path(), "a", "/opt/crate");
        assert!(cache.file().is_some() && cache.flag().is_none(), "{odd}");
    }
}

#[test]
fn all_that_a_cache_depends_on_is_in_its_name() {
    let name = |parts: &[&str]| hash(&parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
    let all = [name(&[]), name(&[""]), name(&["a", "b"]), name(&["ab"]), name(&["b", "a"]), name(&["a", "b", ""])];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

fn training(root: &Path) -> Training {
    Training {
        cache: cache(root, "a"),
        about: about("/opt/crate"),
        subject: TrainingSubject::Process { home: "/opt/crate".into() },
    }
}

#[test]
fn after_a_failure_nothing_is_tried_until_a_cache_was_made_or_a_day_has_passed() {
    let dir = tempfile::tempdir().unwrap();
    let training = training(dir.path());
    assert!(training.is_due());
    training.note_failure(&crate::error::Error::new(crate::error::Kind::Provider, "no luck"));
    assert!(!training.is_due());
    let note = training.cache.beside("failed");
    assert_eq!(fs::read_to_string(&note).unwrap(), "no luck\n");
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 60 * 60);
    fs::File::options().write(true).open(&note).unwrap().set_modified(yesterday).unwrap();
    assert!(training.is_due());
    published(dir.path(), "a", "/opt/crate");
    assert!(!training.is_due() && !note.exists());
}

#[test]
fn what_a_killed_trainer_had_started_is_found_by_the_next_one_and_by_whoever_looks() {
    let dir = tempfile::tempdir().unwrap();
    let training = training(dir.path());
    let held = json!({ "provider": "process", "name": "x", "dir": "/x/cratedb-test-0123456789abcdef", "server": null });
    let held: Held = serde_json::from_value(held).unwrap();
    assert!(left_below(dir.path()).is_empty() && left_below(Path::new("/nowhere")).is_empty());
    // The trainer was killed: its lock is gone, and the content of the file stays.
    let lease = training.begin().unwrap().unwrap();
    lease.intends(&held);
    drop(lease);
    let mut lease = training.begin().unwrap().unwrap();
    assert_eq!(lease.left, Some(held.clone()));
    drop(lease);
    let left = left_below(dir.path());
    assert_eq!(left.iter().map(|lease| lease.left.clone()).collect::<Vec<_>>(), [Some(held)]);
    drop(left);
    lease = training.begin().unwrap().unwrap();
    lease.settle();
    drop(lease);
    assert!(left_below(dir.path()).is_empty());
    published(dir.path(), "a", "/opt/crate");
    assert!(training.begin().unwrap().is_none(), "another one was faster");
}

#[test]
fn a_cache_directory_that_cannot_be_used_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = training(&dir.path().join("file/jvm")).begin().err().unwrap().to_string();
    assert!(error.contains("file/jvm") && error.contains("Not a directory"), "{error}");
}
