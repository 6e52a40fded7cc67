//! Whose word is believed, and what happens where words differ.

use super::*;

fn trust_of(obtained: &Obtained) -> Trust {
    obtained.record.as_ref().unwrap().trust
}

#[tokio::test]
async fn a_digest_that_a_setting_names_is_the_only_one() {
    let archive = packed("6.4.3", 1000);
    let mut bench = Bench::serving(&archive);
    bench.origin.digests = vec!["0".repeat(64)];
    // Also where the mirror agrees with itself.
    bench.server.has(&format!("{}.sha256", archive_of("6.4.3")), sha256(&archive).as_bytes());
    says(bench.fails().await, &["its SHA-256 is ", &sha256(&archive), "CRATEDB_TEST_SHA256 has 000"]);
    assert!(!bench.file(".tar.gz.part").exists() && !bench.file(".json").exists());
    bench.origin.digests.push(sha256(&archive));
    assert_eq!(trust_of(&bench.gets().await), Trust::Pinned);
}

#[tokio::test]
async fn the_digest_beside_the_archive_has_to_fit() {
    let archive = packed("6.4.3", 1000);
    let bench = Bench::serving(&archive);
    let beside = format!("{}.sha256", archive_of("6.4.3"));
    for (text, why) in [("0".repeat(64), "beside it has 000"), ("<html>".into(), "does not begin with a SHA-256")] {
        bench.server.has(&beside, text.as_bytes());
        says(bench.fails().await, &[why]);
    }
    bench.server.has(&beside, format!("{}  crate-6.4.3.tar.gz\n", sha256(&archive).to_uppercase()).as_bytes());
    assert_eq!(trust_of(&bench.gets().await), Trust::Beside);
}

#[tokio::test]
async fn what_was_seen_first_is_what_comes_later() {
    let (first, other) = (packed("6.4.3", 1000), packed("6.4.3", 1001));
    let mut bench = Bench::serving(&first);
    assert_eq!(trust_of(&bench.gets().await), Trust::FirstUse);
    fs::remove_dir_all(bench.file("")).unwrap();
    bench.server.has(&archive_of("6.4.3"), &other);
    // Also where the mirror agrees with itself.
    bench.server.has(&format!("{}.sha256", archive_of("6.4.3")), sha256(&other).as_bytes());
    let record = bench.file(".json").display().to_string();
    says(bench.fails().await, &["an earlier download of this release had ", &sha256(&first), "remove ", &record]);
    bench.server.has(&archive_of("6.4.3"), &first);
    assert_eq!(trust_of(&bench.gets().await), Trust::Remembered);

    fs::remove_dir_all(bench.file("")).unwrap();
    bench.server.has(&archive_of("6.4.3"), &other);
    bench.origin.digests = vec![sha256(&other)];
    assert_eq!(trust_of(&bench.gets().await), Trust::Pinned, "a setting is a choice");
}

#[tokio::test]
async fn an_archive_that_was_put_there_is_judged_by_the_same_rules() {
    let archive = packed("6.4.3", 1000);
    let mut bench = Bench::new();
    fs::create_dir_all(bench.file("").parent().unwrap()).unwrap();
    fs::write(bench.file(".tar.gz"), &archive).unwrap();
    bench.origin.digests = vec!["0".repeat(64)];
    says(bench.fails().await, &["CRATEDB_TEST_SHA256 has 000"]);
    bench.origin.digests.clear();
    fs::write(bench.file(".tar.gz.sha256"), "1".repeat(64)).unwrap();
    says(bench.fails().await, &["beside it has 111"]);
    fs::write(bench.file(".tar.gz.sha256"), sha256(&archive)).unwrap();
    assert_eq!(trust_of(&bench.gets().await), Trust::Beside);
}
