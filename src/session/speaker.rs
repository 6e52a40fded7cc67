//! Shows people what a session waits for: one of its processes speaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::host::say;

/// The length of a wait that is worth a line.
pub(super) const SILENCE: Duration = Duration::from_millis(500);
/// The time after which a long wait is shown again.
pub(super) const AGAIN: Duration = Duration::from_secs(10);

/// Shows a line to people in a way of its own, in place of standard error.
pub(super) type Listener = Arc<dyn Fn(&str) + Send + Sync>;

/// Hands a line to the listener, or writes it to standard error.
pub(super) fn tell(listener: Option<&Listener>, text: &str) {
    match listener {
        Some(listener) => listener(text),
        None => say(text),
    }
}

/// Shows one wait, if the keeper chose this process to speak.
pub(super) struct Speaker {
    began: Instant,
    text: String,
    speaks: bool,
    said: Option<Instant>,
    /// Hears every step at once, and shows by itself how long it takes.
    listener: Option<Listener>,
}

impl Speaker {
    pub(super) fn new(listener: Option<Listener>) -> Self {
        Self { began: Instant::now(), text: String::new(), speaks: false, said: None, listener }
    }

    /// Notes the keeper's next step. A wait shows one line at first and one in [`AGAIN`] from then on, with the step at
    /// that time: reasons that take turns would be a flood.
    pub(super) fn step(&mut self, text: String, speaks: bool) {
        let news = text != self.text;
        self.text = text;
        if let Some(listener) = &self.listener {
            if news {
                listener(&self.text);
            }
            return;
        }
        self.speaks |= speaks;
    }

    /// Returns when to call [`Speaker::tick`] next.
    pub(super) fn next(&self) -> Instant {
        self.said.map_or(self.began + SILENCE, |said| said + AGAIN)
    }

    /// Shows the step if it is time to.
    pub(super) fn tick(&mut self) {
        if Instant::now() >= self.next() {
            self.show();
        }
    }

    fn show(&mut self) {
        self.said = Some(Instant::now());
        if self.speaks && !self.text.is_empty() {
            let waited = self.began.elapsed().as_secs_f64();
            say(&format!("{} ({waited:.1} s)", self.text));
        }
    }

    /// Says that the wait is over, if it was shown.
    pub(super) fn done(&self, what: &str) {
        if self.speaks && self.said.is_some() {
            say(&format!("{what} after {:.1} s", self.began.elapsed().as_secs_f64()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn steps_that_take_turns_do_not_bring_the_next_line_forward() {
        let mut speaker = Speaker::new(None);
        speaker.step("one".to_owned(), true);
        assert_eq!(speaker.next(), speaker.began + SILENCE, "a short wait is worth no line");
        speaker.show();
        let (said, next) = (speaker.said, speaker.next());
        assert!(said.is_some_and(|said| next == said + AGAIN));
        for turn in 0..100 {
            speaker.step(["two", "one", "three"][turn % 3].to_owned(), true);
            speaker.tick();
        }
        assert_eq!((speaker.said, speaker.next()), (said, next));
        assert_eq!(speaker.text, "two", "the next line has the last step");
    }

    #[test]
    fn a_listener_hears_each_change_of_step_once() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = heard.clone();
        let mut speaker = Speaker::new(Some(Arc::new(move |text: &str| ears.lock().unwrap().push(text.to_owned()))));
        for text in ["one", "one", "two", "one"] {
            speaker.step(text.to_owned(), false);
        }
        assert_eq!(*heard.lock().unwrap(), ["one", "two", "one"]);
    }
}
