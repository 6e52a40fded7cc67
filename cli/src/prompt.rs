//! Asking the user, on a terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Whether there is somebody to ask.
pub(crate) fn somebody_is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question; anything but `y` or `yes` is no.
pub(crate) async fn confirmed(question: String) -> Result<bool, Failure> {
    // A thread of its own: reading can't be interrupted, waiting for it can.
    let answer = tokio::task::spawn_blocking(move || ask(&question)).await;
    let answer = answer.map_err(io::Error::other).and_then(|read| read);
    answer.map_err(|error| Failure::failed(format!("cannot read the answer: {error}")))
}

fn ask(question: &str) -> io::Result<bool> {
    io::stderr().write_all(format!("{question} [y/N] ").as_bytes())?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y\n", "YES\r\n", " yes "] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n", "ja", "yess", "y y"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}
