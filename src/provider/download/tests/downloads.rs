//! Downloads into the cache, all that can interrupt them, and the digests that archives must have.

use super::*;

const SIZE: usize = 300_000;

#[tokio::test]
async fn a_release_is_downloaded_once() {
    let archive = packed("6.4.3", SIZE);
    let mut bench = Bench::serving(&archive);
    let first = bench.gets().await;
    assert_eq!((first.new, first.dir.clone(), first.version.to_string()), (true, bench.file(""), "6.4.3".to_owned()));
    assert!(first.dir.join("bin/crate").is_file());
    let record = first.record.unwrap();
    assert_eq!((record.sha256.as_str(), record.size), (sha256(&archive).as_str(), archive.len() as u64));
    for gone in [".tar.gz.part", ".tar.gz.part.json", ".tmp"] {
        assert!(!bench.file(gone).exists(), "{gone} is left");
    }
    says(bench.steps(), &["downloading CrateDB 6.4.3 from http://", " bytes", "SHA-256", "trusted on first use"]);
    let requests = bench.server.requests();
    let again = bench.gets().await;
    assert_eq!((again.new, again.dir, bench.server.requests()), (false, bench.file(""), requests));
}

#[tokio::test]
async fn a_connection_that_is_cut_is_continued_where_it_ended() {
    let bench = Bench::serving(&packed("6.4.3", SIZE));
    bench.server.next(&[Odd::Cut(100_000), Odd::Status(503), Odd::Cut(50_000)]);
    bench.gets().await;
    let rest = |at: usize| Some(format!("bytes={at}-"));
    assert_eq!(bench.server.ranges(), [None, rest(100_000), rest(100_000), rest(150_000)]);
}

#[tokio::test]
async fn a_killed_download_is_continued_by_the_next_one() {
    let bench = Bench::serving(&packed("6.4.3", SIZE));
    bench.server.next(&[Odd::Cut(100_000), Odd::Status(404)]);
    bench.fails().await;
    assert_eq!(bench.part(), 100_000);
    bench.gets().await;
    assert_eq!(bench.server.ranges().last().unwrap().as_deref(), Some("bytes=100000-"));
}

#[tokio::test]
async fn what_was_complete_already_is_not_sent_again() {
    let archive = packed("6.4.3", SIZE);
    let bench = Bench::serving(&archive);
    bench.server.next(&[Odd::Cut(100_000), Odd::Status(404)]);
    bench.fails().await;
    fs::write(bench.file(".tar.gz.part"), &archive).unwrap();
    bench.gets().await;
    assert_eq!(bench.server.ranges().last().unwrap().clone(), Some(format!("bytes={}-", archive.len())));
}

#[tokio::test]
async fn a_file_that_changed_or_cannot_be_continued_begins_again() {
    type Change = fn(&Server);
    let changes: [(Change, Option<&str>); 3] = [
        (|server| server.tag(Some("\"two\"")), Some("bytes=100000-")),
        (Server::without_ranges, Some("bytes=100000-")),
        (|_| (), None),
    ];
    for (change, range) in changes {
        let bench = Bench::serving(&packed("6.4.3", SIZE));
        if range.is_none() {
            bench.server.tag(None);
        }
        bench.server.next(&[Odd::Cut(100_000), Odd::Status(404)]);
        bench.fails().await;
        change(&bench.server);
        bench.gets().await;
        assert_eq!(bench.server.ranges().last().unwrap().as_deref(), range);
    }
}

#[tokio::test]
async fn parts_of_different_files_are_noticed_and_begun_again() {
    let mut bench = Bench::serving(&packed("6.4.3", SIZE));
    bench.server.next(&[Odd::Cut(100_000), Odd::Status(404)]);
    bench.fails().await;
    let mut other = packed("6.4.3", SIZE);
    other.reverse();
    fs::write(bench.file(".tar.gz.part"), &other[..100_000]).unwrap();
    bench.gets().await;
    assert_eq!(bench.server.ranges()[2..], [Some("bytes=100000-".to_owned()), None]);
    says(bench.steps(), &["from the beginning, since", "it is damaged"]);
}

#[tokio::test]
async fn a_server_that_stalls_is_asked_again_and_given_up_when_it_brings_nothing() {
    let bench = Bench::serving(&packed("6.4.3", SIZE));
    bench.server.next(&[Odd::Stall(100_000), Odd::Silence]);
    bench.gets().await;
    let bench = Bench::serving(&packed("6.4.3", SIZE));
    bench.server.next(&[Odd::Stall(100_000), Odd::Silence, Odd::Silence, Odd::Silence, Odd::Silence]);
    says(bench.fails().await, &["cannot download http://", "nothing came any more"]);
    assert_eq!(bench.part(), 100_000, "kept for the next time");
}

#[tokio::test]
async fn without_a_mirror_the_error_has_the_address_and_the_place() {
    let place = |bench: &Bench| format!("put there by hand, as {}", bench.file(".tar.gz").display());
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://ada:geheim@{}/cratedb", listener.local_addr().unwrap())
    };
    let mut bench = Bench::new();
    bench.origin.mirror = Some(Secret::new(nobody));
    let text = bench.fails().await;
    let archive = format!("/cratedb/{}", archive_of("6.4.3"));
    says(
        &text,
        &["cannot download http://127.0.0.1:", &archive, "no connection", &place(&bench), "CRATEDB_TEST_MIRROR"],
    );
    assert!(!text.contains("geheim"), "{text}");

    let bench = Bench::new();
    says(bench.fails().await, &["there is no such release there (404", &place(&bench)]);
    assert_eq!(bench.server.requests(), 1, "a no is a no");
    let bench = Bench::serving(b"");
    bench.server.next(&[Odd::Status(500), Odd::Status(500), Odd::Status(500), Odd::Status(500)]);
    says(bench.fails().await, &["the answer is 500", &place(&bench)]);
    let bench = Bench::serving(b"");
    bench.server.next(&[Odd::Status(403)]);
    says(bench.fails().await, &["the answer is 403", &place(&bench)]);
}

#[tokio::test]
async fn a_server_that_does_not_say_how_long_it_is_will_do() {
    let bench = Bench::serving(&packed("6.4.3", SIZE));
    bench.server.next(&[Odd::NoLength]);
    assert!(bench.gets().await.new);
}

#[tokio::test]
async fn a_file_that_is_too_long_is_refused_and_not_kept_whether_its_length_is_known_or_not() {
    for odd in [Odd::Status(503), Odd::NoLength] {
        let mut bench = Bench::serving(&packed("6.4.3", SIZE));
        bench.downloads.limits.archive = SIZE as u64 / 2;
        bench.server.next(&[odd]);
        says(bench.fails().await, &["cannot download http://", "it is longer than 0 MiB, and no release is"]);
        assert!(!bench.file(".tar.gz.part").exists() && !bench.file(".tar.gz.part.json").exists());
    }
}

/// A body without a length and without an end, against the limit that is shipped for listings.
#[tokio::test]
async fn a_listing_without_end_is_read_up_to_the_limit() {
    let mut bench = Bench::serving(&packed("6.4.3", 10));
    bench.downloads.limits.index = Duration::from_secs(30);
    bench.server.next_listing(Odd::Endless("crate-6.4.3.tar.gz "));
    assert_eq!(bench.obtain("6.4").await.unwrap().version.to_string(), "6.4.3");
    says(bench.steps(), &["CrateDB 6.4 is 6.4.3, the newest at the mirror"]);
}

#[tokio::test]
async fn what_is_no_release_of_that_version_is_refused_and_not_kept() {
    let text = b"#!/bin/sh\n".as_slice();
    for (archive, why) in [
        (b"<html>no</html>".to_vec(), "it is damaged"),
        (packed("6.4.3", SIZE)[..SIZE / 2].to_vec(), "it is damaged"),
        (packed("6.4.2", 10), "it holds CrateDB 6.4.2"),
        (packed_of(&[("lib/crate-app-6.4.3.jar", text)]), "no bin/crate"),
        (packed_of(&[("bin/crate", text)]), "does not tell which version"),
    ] {
        let bench = Bench::serving(&archive);
        says(bench.fails().await, &["cannot use http://", "as CrateDB 6.4.3", why]);
        assert!(!bench.file(".tar.gz.part").exists() && !bench.file(".json").exists(), "{why}");
    }
}

#[tokio::test]
async fn plain_http_is_not_believed_and_not_followed() {
    let mut bench = Bench::new();
    // An address for documentation, to which no request is sent.
    bench.origin.mirror = Some(Secret::new("http://192.0.2.1/cratedb/"));
    says(bench.fails().await, &["cannot use http://192.0.2.1/", "plain http", "CRATEDB_TEST_SHA256", "https"]);
    let bench = Bench::serving(b"");
    for _ in 0..4 {
        bench.server.next(&[Odd::To("http://192.0.2.1/x?token=geheim".into())]);
    }
    let text = bench.fails().await;
    says(&text, &["a redirection to plain http, http://192.0.2.1/x, is not followed"]);
    assert!(!text.contains("geheim"), "{text}");
}

#[tokio::test]
async fn a_redirection_on_this_machine_is_followed() {
    let (bench, other) = (Bench::new(), Server::start());
    other.has("elsewhere", &packed("6.4.3", 10));
    bench.server.next(&[Odd::To(format!("{}elsewhere", other.url))]);
    assert!(bench.gets().await.new);
}

#[tokio::test]
async fn a_directory_is_a_mirror_too() {
    let mut bench = Bench::new();
    let mirror = bench.dir.path().join("mirror");
    bench.origin.mirror = Some(Secret::new(mirror.to_str().unwrap()));
    says(bench.fails().await, &["cannot use ", "/mirror/", "No such file", "CRATEDB_TEST_MIRROR"]);
    let path = mirror.join(archive_of("6.4.3"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, packed("6.4.3", 10)).unwrap();
    assert!(bench.obtain("6.4").await.unwrap().new);
    assert!(path.exists() && bench.server.requests() == 0);
}

#[tokio::test]
async fn an_archive_that_was_put_there_is_used_and_nobody_is_asked() {
    let bench = Bench::new();
    fs::create_dir_all(bench.file("").parent().unwrap()).unwrap();
    fs::write(bench.file(".tar.gz"), b"damaged").unwrap();
    says(bench.fails().await, &["cannot use ", "6.4.3-", ".tar.gz as CrateDB 6.4.3: it is damaged"]);
    fs::write(bench.file(".tar.gz"), packed("6.4.3", 10)).unwrap();
    assert!(bench.gets().await.new);
    assert!(bench.file(".tar.gz").exists(), "it is not ours");
    assert_eq!(bench.server.requests(), 0);
}

#[tokio::test]
async fn the_newest_patch_is_what_the_mirror_has_else_what_is_here_else_what_was_known() {
    let mut bench = Bench::new();
    let platform = Platform::of_this_machine().unwrap();
    bench.server.has(&format!("{platform}/"), br#"<a href="crate-6.4.3.tar.gz">"#);
    bench.server.has(&archive_of("6.4.3"), &packed("6.4.3", 10));
    assert_eq!(bench.obtain("6.4").await.unwrap().version.to_string(), "6.4.3");
    says(bench.steps(), &["CrateDB 6.4 is 6.4.3, the newest at the mirror"]);
    bench.server.has(&format!("{platform}/"), b"crate-6.4.9.tar.gz");
    says(bench.obtain("6.4").await.unwrap_err(), &["/crate-6.4.9.tar.gz"]);
    bench.origin.mirror = Some(Secret::new("http://127.0.0.1:1/"));
    bench.steps();
    assert_eq!(bench.obtain("6.4").await.unwrap().version.to_string(), "6.4.3");
    says(bench.steps(), &["6.4.3, the newest in the cache"]);
    says(bench.obtain("5.10").await.unwrap_err(), &["/crate-5.10.16.tar.gz", "no connection"]);
    says(bench.steps(), &["5.10.16, the newest when cratedb-test"]);
    says(
        bench.obtain("5.2").await.unwrap_err(),
        &["which release CrateDB 5.2 is", "can't be listed", "all three numbers"],
    );
}

#[tokio::test]
async fn when_nobody_waits_any_more_it_ends_and_keeps_what_has_come() {
    let mut bench = Bench::serving(&packed("6.4.3", SIZE));
    bench.downloads.limits.stall = Duration::from_secs(60);
    bench.server.next(&[Odd::Stall(100_000)]);
    let (wanted, hears) = watch::channel(true);
    bench.progress = bench.progress.clone().while_wanted(hears);
    let leaves = async {
        let look = || async { Ok(if bench.part() == 100_000 { Look::Ready(()) } else { Look::NotYet(String::new()) }) };
        wait::until("a part", wait::LOCAL, Instant::now() + Duration::from_secs(20), |_| (), look).await.unwrap();
        wanted.send(false).unwrap();
    };
    let began = Instant::now();
    let (text, ()) = tokio::join!(bench.fails(), leaves);
    says(text, &["no client waits for it any more"]);
    assert!(began.elapsed() < Duration::from_secs(20));
    wanted.send(true).unwrap();
    bench.gets().await;
    assert_eq!(bench.server.ranges().last().unwrap().as_deref(), Some("bytes=100000-"));
}

#[tokio::test]
async fn the_deadline_is_kept() {
    let mut bench = Bench::serving(&packed("6.4.3", SIZE));
    bench.downloads.limits.stall = Duration::from_secs(60);
    bench.server.next(&[Odd::Stall(100_000)]);
    let deadline = || Instant::now() + Duration::from_millis(300);
    let wanted = "6.4.3".parse().unwrap();
    let error = bench.downloads.obtain(wanted, &bench.origin, deadline(), &bench.progress).await.err().unwrap();
    assert!(error.is_timeout(), "{error}");
    says(error, &["gave up the download of http://", "only 100000 bytes of it have come in time"]);

    let mut silent = Bench::serving(&packed("6.4.3", SIZE));
    silent.downloads.limits.stall = Duration::from_secs(60);
    silent.server.next(&[Odd::Stall(0)]);
    let error = silent.downloads.obtain(wanted, &silent.origin, deadline(), &silent.progress).await.err().unwrap();
    assert!(error.is_timeout(), "{error}");
    says(error, &["gave up waiting for the download of http://", "no answer at all"]);
}

/// The test needs a file system of 512 KiB, and does nothing if this user can't mount one.
#[tokio::test]
async fn a_full_disk_is_told_before_and_while_it_fills() {
    let dir = open_dir();
    let small = dir.path().join("small");
    fs::create_dir(&small).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        std::process::Command::new(program).args(arguments).arg(&small).output().is_ok_and(|done| done.status.success())
    };
    if !run("mount", &["-t", "tmpfs", "-o", "size=512k,mode=755", "tmpfs"]) {
        return;
    }
    let bench = Bench::at(small.join("cache"), dir);
    bench.server.has(&archive_of("6.4.3"), &packed("6.4.3", SIZE));
    let before = bench.fails().await;
    bench.server.has(&archive_of("6.4.3"), &packed("6.4.3", 2_000_000));
    bench.server.next(&[Odd::NoLength]);
    let meanwhile = bench.fails().await;
    let left = bench.part();
    // Lazily, since a lock's file stays open until this process ends.
    assert!(run("umount", &["-l"]));
    says(before, &["there is no room for CrateDB 6.4.3 in ", "MiB are needed", "cache prune", "XDG_CACHE_HOME"]);
    says(meanwhile, &["cannot write ", "No space left"]);
    assert_eq!(left, 0, "what fills the disk is removed");
}

fn trust_of(obtained: &Installation) -> Trust {
    obtained.record.as_ref().unwrap().trust
}

#[tokio::test]
async fn a_digest_that_a_setting_names_is_the_only_one() {
    let archive = packed("6.4.3", 1000);
    let mut bench = Bench::serving(&archive);
    bench.origin.digests = vec!["0".repeat(64)];
    // The mirror agrees with itself.
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
    // The mirror agrees with itself.
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

/// Writes another file in the place of one, as an attacker would.
fn replace(file: PathBuf, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::metadata(&file).unwrap().permissions()).unwrap();
    fs::rename(new, file).unwrap();
}

#[tokio::test]
async fn a_pin_is_judged_at_each_use_and_not_only_when_a_release_comes() {
    let (first, other) = (packed("6.4.3", 1000), packed("6.4.3", 1001));
    let mut bench = Bench::serving(&first);
    bench.gets().await;
    bench.steps();
    // What is there is kept for those who want it, and not used.
    bench.origin.digests = vec!["0".repeat(64)];
    let text = bench.obtain("6.4.3").await.unwrap_err().to_string();
    let why = format!("is not used: the SHA-256 of its archive is {}, and CRATEDB_TEST_SHA256 has 000", sha256(&first));
    says(&text, &[&format!("its SHA-256 is {}, and CRATEDB_TEST_SHA256 has 000", sha256(&first)), &why]);
    says(bench.steps(), &[&why]);
    assert!(bench.file("").join("bin/crate").is_file());
    // It is taken as it is with its own digest, and replaced for another one.
    let requests = bench.server.requests();
    bench.origin.digests.push(sha256(&first));
    let same = bench.gets().await;
    assert_eq!((same.new, trust_of(&same), bench.server.requests()), (false, Trust::Pinned, requests));
    bench.origin.digests = vec![sha256(&other)];
    bench.server.has(&archive_of("6.4.3"), &other);
    let new = bench.gets().await;
    assert_eq!((new.new, trust_of(&new), new.record.unwrap().sha256), (true, Trust::Pinned, sha256(&other)));
    assert!(!bench.gets().await.new);
}

#[tokio::test]
async fn a_release_that_was_changed_after_it_was_unpacked_is_fetched_anew_if_it_is_pinned() {
    type Change = fn(&Bench);
    let changes: [(Change, &str); 4] = [
        (|bench| replace(bench.file("").join("bin/crate"), "#!/bin/sh\nexit 2\n"), "not those of its archive any more"),
        (|bench| fs::write(bench.file("").join("lib/evil.jar"), "").unwrap(), "not those of its archive any more"),
        (|bench| fs::remove_file(bench.file(".json")).unwrap(), "no record says which archive it is from"),
        (
            |bench| {
                let mut record = cache::ArchiveRecord::read(&bench.file(".json")).unwrap();
                record.tree = None;
                fs::write(bench.file(".json"), serde_json::to_vec(&record).unwrap()).unwrap();
            },
            "of an older cratedb-test",
        ),
    ];
    for (change, why) in changes {
        let archive = packed("6.4.3", 1000);
        let mut bench = Bench::serving(&archive);
        bench.origin.digests = vec![sha256(&archive)];
        bench.gets().await;
        assert!(!bench.gets().await.new);
        change(&bench);
        // Without a digest nothing is asked for, so what is there is used.
        let pinned = std::mem::take(&mut bench.origin.digests);
        assert!(!bench.gets().await.new, "{why}");
        bench.origin.digests = pinned;
        // Offline it is refused with the reason.
        let mirror = bench.origin.mirror.replace(Secret::new("http://127.0.0.1:1/"));
        says(bench.obtain("6.4.3").await.unwrap_err(), &["no connection", "is not used: ", why]);
        bench.origin.mirror = mirror;
        assert!(bench.gets().await.new, "{why}");
        assert_eq!(fs::read_to_string(bench.file("").join("bin/crate")).unwrap(), "#!/bin/sh\nexit 1\n");
        assert!(!bench.file("").join("lib/evil.jar").exists() && !bench.gets().await.new, "{why}");
    }
}

/// The file beside the release shows that the digest was computed: it is believed as long as nothing changed.
#[tokio::test]
async fn all_files_are_read_once_per_boot_and_change() {
    let archive = packed("6.4.3", 1000);
    let mut bench = Bench::serving(&archive);
    bench.origin.digests = vec![sha256(&archive)];
    bench.gets().await;
    bench.gets().await;
    let seen = fs::read_to_string(bench.file(".seen")).unwrap();
    let tree = bench.gets().await.record.unwrap().tree.unwrap();
    assert!(seen.contains(&tree));
    let says_that_it_is_different = |seen: &str| fs::write(bench.file(".seen"), seen.replace(&tree, "0")).unwrap();
    // It is believed for this boot and this state of the files.
    says_that_it_is_different(&seen);
    assert!(bench.gets().await.new, "it was believed");
    bench.gets().await;
    let again = fs::read_to_string(bench.file(".seen")).unwrap();
    let other_boot = again.replace("\"boot\":\"", "\"boot\":\"x");
    for stale in [other_boot, seen, "{".to_owned()] {
        says_that_it_is_different(&stale);
        assert!(!bench.gets().await.new, "{stale}");
    }
}
