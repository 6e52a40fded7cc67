//! The looks before exclusive attempts and the repairs after them, in the fuzzer's world.

use super::*;

impl World {
    /// The loop ends the one before, as it does.
    pub(super) fn begin_look(&mut self, effect: Effect) {
        match effect {
            Effect::Look(..) => {
                assert_eq!(self.machine.state(), State::Up);
                assert!(!self.changed, "a look at what is not put back yet");
                assert!(self.clients.values().all(|client| client.granted.is_empty()), "a look beside tests");
            }
            _ => {
                let exclusive = |client: &Client| client.granted.values().any(|(mode, _)| *mode == Mode::Exclusive);
                // Who is cut may not know it yet.
                let ends = self.term || self.limit_passed || self.tethered;
                assert!(ends || !self.clients.values().any(exclusive), "put back under the test that changes it");
            }
        }
        self.look = Some(effect);
    }

    pub(super) fn finish_look(&mut self) {
        let ok = self.random.u8(..100) < 80;
        match self.look.take() {
            Some(Effect::Look(id, ..)) => {
                self.noted = ok;
                self.feed(Event::Looked { id, ok });
            }
            Some(Effect::Restore(id)) => {
                // Whether it worked or not: the loop has said so.
                (self.noted, self.changed) = (false, false);
                self.feed(Event::Restored(id));
            }
            _ => {}
        }
    }
}
