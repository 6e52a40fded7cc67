//! Not a project: files in `MEET_DIR` by which tests of other projects synchronise with their observers.

use std::path::PathBuf;
use std::time::{Duration, Instant};

fn file(name: &str) -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("MEET_DIR")?).join(name))
}

/// Says that this test is here and waits until it may go on, if an observer wants that.
pub fn meet(name: &str) {
    let (Some(here), Some(go)) = (file(&format!("{name}.here")), file(&format!("{name}.go"))) else { return };
    std::fs::write(here, std::process::id().to_string()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(100);
    while !go.exists() {
        assert!(Instant::now() < deadline, "nobody made {name}.go");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
