//! A program with a constructor of its own, which must not run in the keeper.

// SAFETY: writes a file before `main`, which needs nothing that `main` sets up.
#[ctor::ctor(unsafe)]
fn users_own() {
    if let Some(path) = std::env::var_os("ODD_CONSTRUCTED") {
        let name = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
        use std::io::Write as _;
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(name.as_bytes()));
    }
}

/// Names the crate, so that its constructor is linked.
pub fn link() {}
