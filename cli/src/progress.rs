//! What is being waited for: a line that changes on a terminal, a new line for every change elsewhere.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Smooth enough to be seen to move.
const TICK: Duration = Duration::from_millis(100);

/// One wait. Clones are the same.
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
        // Cut to the terminal's width: a line that wraps can't be taken back.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
            bar.set_style(style);
        }
        Self::new(Shown::Spinner(bar))
    }

    fn new(shown: Shown) -> Self {
        Self(Arc::new(Inner { began: Instant::now(), last: Mutex::default(), shown }))
    }

    /// The next step. The same words again are no news.
    pub(crate) fn say(&self, text: &str) {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == text {
            return;
        }
        let first = last.is_empty();
        text.clone_into(&mut last);
        match &self.0.shown {
            Shown::Not => {}
            // In one write, so that lines of several processes don't mix.
            Shown::Lines => drop(io::stderr().write_all(format!("{text} ({:.1} s)\n", self.seconds()).as_bytes())),
            Shown::Spinner(bar) => {
                bar.set_message(text.to_owned());
                if first {
                    bar.enable_steady_tick(TICK);
                }
            }
        }
    }

    /// The next step, where saying it costs no line.
    pub(crate) fn say_in_passing(&self, text: &str) {
        if matches!(self.0.shown, Shown::Spinner(_)) {
            self.say(text);
        }
    }

    /// What was said last; nothing if there was nothing to wait for.
    pub(crate) fn last(&self) -> Option<String> {
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        Some(last.clone()).filter(|last| !last.is_empty())
    }

    /// How long it has taken, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.0.began.elapsed().as_secs_f64()
    }

    /// Takes the spinner away, so that what is written next has the line for itself.
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
