//! Progress: a line that changes on a terminal, a new line for every change elsewhere.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cratedb_test::private::foreign;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Often enough for the spinner to look smooth.
const TICK: Duration = Duration::from_millis(100);

/// More than any terminal has in one line.
const WIDTH: usize = 1000;

/// The progress of one wait, shared by its clones.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    last: Mutex<String>,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Not,
    Lines,
    Spinner(ProgressBar),
}

impl Progress {
    pub(crate) fn silent() -> Self {
        Self::new(Shown::Not)
    }

    pub(crate) fn lines() -> Self {
        Self::new(Shown::Lines)
    }

    pub(crate) fn spinner() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // Cut to the terminal's width, since a line that wraps can't be erased.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
            bar.set_style(style);
        }
        Self::new(Shown::Spinner(bar))
    }

    fn new(shown: Shown) -> Self {
        Self(Arc::new(Inner { began: Instant::now(), last: Mutex::default(), shown }))
    }

    /// Shows the next step, unless it is the same as the last one.
    pub(crate) fn say(&self, text: &str) {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == text {
            return;
        }
        let first = last.is_empty();
        text.clone_into(&mut last);
        match &self.0.shown {
            Shown::Not => {}
            // In one write, so that the lines of several processes don't mix.
            Shown::Lines => {
                let line = format!("{} ({:.1} s)\n", foreign::block(text), self.seconds());
                let _ = io::stderr().write_all(line.as_bytes());
            }
            Shown::Spinner(bar) => {
                bar.set_message(foreign::line(text, WIDTH));
                if first {
                    bar.enable_steady_tick(TICK);
                }
            }
        }
    }

    /// Shows the next step where that takes no line of its own.
    pub(crate) fn say_in_passing(&self, text: &str) {
        if matches!(self.0.shown, Shown::Spinner(_)) {
            self.say(text);
        }
    }

    /// Returns the last step, nothing if there was nothing to wait for.
    pub(crate) fn last(&self) -> Option<String> {
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        Some(last.clone()).filter(|last| !last.is_empty())
    }

    /// Returns the time since the wait began, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.0.began.elapsed().as_secs_f64()
    }

    /// Removes the spinner, so that its line is free.
    pub(crate) fn clear(&self) {
        if let Shown::Spinner(bar) = &self.0.shown {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_what_was_said_last() {
        let progress = Progress::silent();
        assert_eq!(progress.last(), None);
        progress.say("resuming");
        progress.clone().say("waiting");
        assert_eq!(progress.last().as_deref(), Some("waiting"));
    }
}
