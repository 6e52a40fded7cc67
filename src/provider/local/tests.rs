//! A machine without a container engine. Which engine there is follows from the environment, so each case is a process of
//! its own: this test again, with another environment.

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::provider::{Intents, Progress, Provider};
use crate::target::{LocalTarget, Target};

const INNER: &str = "CRATEDB_TEST_INNER_CASE";
const BEGIN: &str = "<<<";

/// What an acquisition says with this engine, and how long it took to say it.
fn failure_with(engine: &str) -> (String, Duration) {
    let begun = Instant::now();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "provider::local::tests::inner_case", "--nocapture"])
        .env("DOCKER_HOST", engine)
        .env("XDG_CACHE_HOME", std::env::temp_dir().join("cratedb-test-no-cache"))
        .env(INNER, "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, text) =
        text.split_once(BEGIN).unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (text.split(">>>").next().unwrap().to_owned(), begun.elapsed())
}

/// Does nothing unless it is started by another test.
#[tokio::test]
async fn inner_case() {
    if std::env::var_os(INNER).is_none() {
        return;
    }
    let target = LocalTarget::of_image("crate:6.4.3");
    let provider = Provider::chain(&Target::Local(target)).unwrap();
    let progress = Progress::new(tokio::sync::mpsc::unbounded_channel().0);
    let intents = Intents::new(Arc::new(|_| panic!("nothing is started")));
    let failed = provider.acquire(Instant::now() + Duration::from_secs(60), &progress, &intents).await.err().unwrap();
    assert!(!failed.maybe_up);
    let held = serde_json::json!({ "provider": "container", "name": "cratedb-test-00000000" });
    let kept = provider.recover(&held, Instant::now() + Duration::from_secs(60), &progress).await.err().unwrap();
    println!("{BEGIN}{}\n---\n{kept}>>>", failed.error);
}

#[track_caller]
fn is_one_error_with_four_entries(engine: &str, container: &str) {
    let (text, took) = failure_with(engine);
    let (failure, kept) = text.split_once("\n---\n").unwrap();
    let lines: Vec<_> = failure.lines().collect();
    assert_eq!(lines[0], "no CrateDB for the tests: nothing is configured, and this machine can start nothing");
    assert_eq!(lines[1], "  url: CRATEDB_CLUSTER_URL is not set");
    assert_eq!(lines[2], "  cloud: neither CRATEDB_CLUSTER_ID nor CRATEDB_CLUSTER_NAME is set");
    let named = format!("  container: no engine at {engine}, which DOCKER_HOST names: ");
    let unusable = format!("  container: no engine: DOCKER_HOST can't be used: `{engine}`");
    let expected = if engine.contains(':') { named } else { unusable };
    assert!(lines[3].starts_with(&expected) && lines[3].contains(container), "{text}");
    assert!(lines[4].starts_with("  process: cannot download http://127.0.0.1:1/"), "{text}");
    assert!(
        lines[4].contains("no connection") && lines[5].starts_with("    it can be put there by hand, as "),
        "{text}"
    );
    assert_eq!(lines.len(), 7, "{text}");
    assert!(kept.starts_with("cannot remove container cratedb-test-00000000: no engine"), "{text}");
    assert!(kept.ends_with("when it runs again: docker rm -v -f cratedb-test-00000000"), "{text}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn without_an_engine_there_is_one_error_with_four_entries() {
    is_one_error_with_four_entries("unix:///nowhere/docker.sock", "/nowhere/docker.sock");
    is_one_error_with_four_entries("tcp://127.0.0.1:1", "refused");
}

#[test]
fn an_engine_that_hangs_is_given_up_after_a_second() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    is_one_error_with_four_entries(&format!("unix://{}", socket.display()), "did not answer within 900ms");
}

#[test]
fn an_engine_that_is_none_is_told() {
    is_one_error_with_four_entries("nonsense", "accepted: unix:///path, tcp://host:port");
}

/// With these files in its `lib/`; none without a `lib/`.
#[cfg(feature = "process")]
fn fits(jars: Option<&[&str]>, wanted: Option<&str>) -> (crate::Result<bool>, String) {
    let home = tempfile::tempdir().unwrap();
    if let Some(jars) = jars {
        std::fs::create_dir(home.path().join("lib")).unwrap();
        jars.iter().for_each(|jar| std::fs::write(home.path().join("lib").join(jar), "").unwrap());
    }
    let version = wanted.map(|wanted| wanted.parse().unwrap());
    let local = super::Local::new(LocalTarget { version, ..LocalTarget::of_image("crate:6.4.3") });
    let (sender, mut steps) = tokio::sync::mpsc::unbounded_channel();
    let fits = local.fits(home.path().to_str().unwrap(), &Progress::new(sender));
    (fits, steps.try_recv().unwrap_or_default())
}

#[test]
#[cfg(feature = "process")]
fn an_installation_of_another_version_than_a_test_wants_is_passed_over_and_that_is_said() {
    let jars = ["crate-server-6.4.3.jar", "crate-app-6.4.3.jar", "crate-libs-cli-6.4.3.jar", "lucene-core-10.4.0.jar"];
    for wanted in [None, Some("6.4"), Some("6.4.3")] {
        let (fits, said) = fits(Some(&jars), wanted);
        assert!(fits.unwrap() && said.is_empty(), "{wanted:?}: {said}");
    }
    for wanted in ["5.10", "6.4.2"] {
        let (fits, said) = fits(Some(&jars), Some(wanted));
        assert!(!fits.unwrap() && said.contains(&format!("it has CrateDB 6.4.3, not {wanted}")), "{said}");
    }
    let (unknown, _) = fits(Some(&["lucene-core-10.4.0.jar"]), Some("6.4.3"));
    assert!(unknown.unwrap_err().to_string().contains("there is no crate-app-<version>.jar"));
    // Nothing is asked for, or it is no installation at all, which is said when it is used.
    assert!(fits(Some(&[]), None).0.unwrap() && fits(None, Some("6.4.3")).0.unwrap());
}
