//! Tests that die when and how `DEATH` says: `<moment>:<death>`, with files in `DEATH_DIR` to synchronise with the
//! observer.

use std::path::PathBuf;
use std::time::{Duration, Instant};

fn file(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("DEATH_DIR").expect("DEATH_DIR")).join(name)
}

/// Waits for a file, but not for ever.
pub fn wait_for(name: &str) {
    let deadline = Instant::now() + Duration::from_secs(100);
    while !file(name).exists() {
        assert!(Instant::now() < deadline, "nobody made {name}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

pub fn mark(name: &str) {
    std::fs::write(file(name), std::process::id().to_string()).unwrap();
}

fn planned(moment: &str) -> Option<String> {
    let plan = std::env::var("DEATH").ok()?;
    let (when, how) = plan.split_once(':')?;
    (when == moment).then(|| how.to_owned())
}

/// Dies, if this is the moment.
pub fn moment(name: &str) {
    if let Some(how) = planned(name) {
        die(&how);
    }
}

/// Dies while the cluster is awaited, if that is the plan: another thread does it, when it is told to.
pub fn while_acquiring() {
    if let Some(how) = planned("acquiring") {
        std::thread::spawn(move || {
            wait_for("now");
            die(&how);
        });
    }
}

fn die(how: &str) {
    match how {
        "fail" => assert_eq!(1, 2, "this test fails as planned"),
        "panic" => panic!("this test panics as planned"),
        "exit" => std::process::exit(3),
        "abort" => std::process::abort(),
        "kill" => {
            let killed = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
            panic!("still alive after {killed:?}");
        }
        "wait" => {
            mark("here");
            wait_for("go");
        }
        other => panic!("unknown death {other}"),
    }
}
