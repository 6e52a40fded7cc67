//! Where tests stand still until the observer says how to go on: files in `RELIABILITY_DIR`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

const LONGEST_STOP: Duration = Duration::from_secs(300);

fn file(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("RELIABILITY_DIR").expect("RELIABILITY_DIR")).join(name)
}

/// Tells whether the observer wants this process to stand still there.
pub fn stops_at(phase: &str) -> bool {
    std::env::var("RELIABILITY_PHASE").is_ok_and(|wanted| wanted == phase)
}

/// Says that this process stands still, in one step, so that readers find all of it.
pub fn say(name: &str) {
    let new = file(&format!("{name}.{}.new", std::process::id()));
    std::fs::write(&new, std::process::id().to_string()).expect("a file");
    std::fs::rename(new, file(name)).expect("a file");
}

/// Dies if that is the order. Returns true once the observer has let it go on.
pub fn may_go_on() -> bool {
    match std::fs::read_to_string(file("go")).unwrap_or_default().as_str() {
        "panic" => panic!("this test panics as planned"),
        "exit" => std::process::exit(3),
        order => order == "on",
    }
}

/// Stands still if the observer wants that here.
pub fn stop(phase: &str) {
    if stops_at(phase) {
        say("here");
        wait(Duration::from_millis(5));
    }
}

/// Stands still until the observer lets it go on, and looks that often whether it does.
pub fn wait(pause: Duration) {
    let deadline = Instant::now() + LONGEST_STOP;
    while !may_go_on() {
        assert!(Instant::now() < deadline, "nobody let this test go on");
        std::thread::park_timeout(pause);
    }
}
