//! Progress: a line that changes on a terminal, a new line for every change elsewhere.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cratedb_test::private::foreign;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Often enough for the spinner to look smooth.
const TICK: Duration = Duration::from_millis(100);

/// The time in which the same text takes one line only, where each takes a line of its own: two reasons that alternate
/// would fill a log.
const REST: Duration = Duration::from_secs(10);

/// More than any terminal has in one line.
const WIDTH: usize = 1000;

/// The progress of one wait, shared by its clones.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    last: Mutex<String>,
    /// The texts to show later, since another program has the terminal now.
    held_back: Mutex<Option<HeldBack>>,
    shown: Shown,
}

/// Texts and their lines, each text with its last line: two reasons that alternate for minutes are two lines.
#[derive(Debug, Default)]
struct HeldBack(Vec<(String, String)>);

impl HeldBack {
    fn add(&mut self, text: &str, line: String) {
        self.0.retain(|(known, _)| known != text);
        self.0.push((text.to_owned(), line));
    }
}

#[derive(Debug)]
enum Shown {
    Not,
    Lines(Mutex<Told>),
    Spinner(ProgressBar),
}

/// The texts of the last ten seconds.
#[derive(Debug, Default)]
struct Told(Vec<(String, Instant)>);

impl Told {
    /// Returns whether a text is worth a line.
    fn is_news(&mut self, text: &str, now: Instant) -> bool {
        self.0.retain(|(_, told)| now.duration_since(*told) < REST);
        if self.0.iter().any(|(told, _)| told == text) {
            return false;
        }
        self.0.push((text.to_owned(), now));
        true
    }
}

impl Progress {
    pub(crate) fn silent() -> Self {
        Self::new(Shown::Not)
    }

    pub(crate) fn lines() -> Self {
        Self::new(Shown::Lines(Mutex::default()))
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
        Self(Arc::new(Inner { began: Instant::now(), last: Mutex::default(), held_back: Mutex::default(), shown }))
    }

    /// Shows the next step, unless it is the same as the last one.
    pub(crate) fn say(&self, text: &str) {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == text {
            return;
        }
        let first = last.is_empty();
        text.clone_into(&mut last);
        let line = || format!("{} ({:.1} s)\n", foreign::block(text), self.seconds());
        if let Some(held_back) = &mut *self.held_back() {
            held_back.add(text, line());
            return;
        }
        match &self.0.shown {
            Shown::Not => {}
            // In one write, so that the lines of several processes don't mix.
            Shown::Lines(told) => {
                if !told.lock().unwrap_or_else(PoisonError::into_inner).is_news(text, Instant::now()) {
                    return;
                }
                let _ = io::stderr().write_all(line().as_bytes());
            }
            Shown::Spinner(bar) => spin(bar, text, first),
        }
    }

    /// Shows nothing from now on, until [`go_on`](Self::go_on): another program has the terminal.
    #[cfg(all(unix, feature = "sessions"))]
    pub(crate) fn hold_back(&self) {
        self.held_back().get_or_insert_default();
    }

    /// Shows what was held back: the last step, or all of them where each takes a line of its own.
    #[cfg(all(unix, feature = "sessions"))]
    pub(crate) fn go_on(&self) {
        // Locked in the order of `say`.
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_held_back();
        if let Shown::Spinner(bar) = &self.0.shown
            && !last.is_empty()
        {
            spin(bar, &last, true);
        }
    }

    fn write_held_back(&self) {
        let HeldBack(all) = self.held_back().take().unwrap_or_default();
        if let Shown::Lines(_) = &self.0.shown {
            let lines: String = all.into_iter().map(|(_, line)| line).collect();
            let _ = io::stderr().write_all(lines.as_bytes());
        }
    }

    fn held_back(&self) -> MutexGuard<'_, Option<HeldBack>> {
        self.0.held_back.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Removes the spinner, so that its line is free. Lines that were held back are shown.
    pub(crate) fn clear(&self) {
        self.write_held_back();
        if let Shown::Spinner(bar) = &self.0.shown {
            bar.finish_and_clear();
        }
    }
}

fn spin(bar: &ProgressBar, text: &str, first: bool) {
    bar.set_message(foreign::line(text, WIDTH));
    if first {
        bar.enable_steady_tick(TICK);
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

    #[test]
    #[cfg(all(unix, feature = "sessions"))]
    fn what_is_held_back_is_each_text_once_with_its_last_time() {
        let progress = Progress::lines();
        progress.hold_back();
        for text in ["resuming", "502", "connection refused", "502"] {
            progress.say(text);
        }
        let texts = |progress: &Progress| {
            let held_back = progress.held_back();
            held_back.as_ref().map(|held| held.0.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>())
        };
        assert_eq!(texts(&progress).unwrap(), ["resuming", "connection refused", "502"]);
        assert_eq!(progress.last().as_deref(), Some("502"), "it is known all the same");
        progress.go_on();
        assert_eq!(texts(&progress), None);
    }

    #[test]
    fn reasons_that_alternate_take_a_line_each_in_ten_seconds() {
        let (mut told, began) = (Told::default(), Instant::now());
        let mut says = |text: &str, at: u64| told.is_news(text, began + Duration::from_secs(at));
        let lines = (0..9).filter(|at| says(if at % 2 == 0 { "502" } else { "connection refused" }, *at)).count();
        assert_eq!(lines, 2);
        assert!(says("IN_PROGRESS", 9), "a new one is told at once");
        assert!(says("502", 10) && !says("502", 19) && says("502", 20), "and the same again after a while");
        assert!(told.0.len() <= 2, "{told:?}");
    }
}
