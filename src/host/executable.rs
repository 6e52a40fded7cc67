//! Programs that tests make and run at once.
//!
//! Another process writes them. A child that a thread of this one starts meanwhile has a copy of each open file until
//! it executes its own program, and a file that is open for writing can't be executed: "text file busy".

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes a shell script of this text, which all users may run.
pub(crate) fn script(path: &Path, text: &str) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    write!(writer.stdin.take().unwrap(), "#!/bin/sh\n{text}\n").unwrap();
    assert!(writer.wait().unwrap().success(), "{} is not written", path.display());
}

/// Copies a program, and lets all users run it.
pub(crate) fn copy(from: &Path, to: &Path) {
    let copied = Command::new("sh").args(["-c", "cp \"$0\" \"$1\" && chmod 755 \"$1\""]).arg(from).arg(to).status();
    assert!(copied.unwrap().success(), "{} is not copied to {}", from.display(), to.display());
}
