//! The look before an exclusive attempt, the repair after it, and what waits for them.

use super::*;

const FIRST: LookId = LookId(1);
const SECOND: LookId = LookId(2);

/// Returns a machine where an attempt of `A` runs alone.
fn alone() -> Machine {
    let mut machine = up(true);
    begin_alone(&mut machine, 6, A, T1);
    machine
}

fn end(client: ClientId, attempt: AttemptId) -> Event {
    Event::End { client, attempt }
}

#[test]
fn shared_attempts_need_no_look() {
    let mut machine = up(true);
    assert_eq!(machine.on(6, begin(A, T1, Mode::Shared)), [Effect::Granted(A, T1)]);
    assert_eq!(machine.on(7, end(A, T1)), []);
    assert_eq!(machine.on(8, begin(A, T2, Mode::Shared)), [Effect::Granted(A, T2)]);
}

#[test]
fn no_attempt_begins_before_everything_is_restored() {
    let mut machine = alone();
    assert_eq!(machine.on(7, begin(A, T2, Mode::Shared)), []);
    assert_eq!(machine.on(8, end(A, T1)), [Effect::Restore(SECOND)]);
    assert!(machine.owes_aftermath());
    assert_eq!(machine.on(9, Event::Restored(FIRST)), [], "an answer to something else");
    assert_eq!(machine.on(10, Event::Restored(SECOND)), [Effect::Granted(A, T2)]);
    assert!(!machine.owes_aftermath());
}

#[test]
fn the_next_exclusive_attempt_gets_a_look_of_its_own() {
    let mut machine = alone();
    machine.on(7, begin(A, T2, Mode::Exclusive));
    machine.on(8, end(A, T1));
    assert_eq!(machine.on(9, Event::Restored(SECOND)), [Effect::Look(LookId(3), A, T2)]);
    assert_eq!(machine.on(10, Event::Looked { id: LookId(3), ok: true }), [Effect::Granted(A, T2)]);
}

#[test]
fn a_failed_look_is_no_reason_not_to_test_and_leaves_nothing_to_put_back() {
    let mut machine = up(true);
    machine.on(6, begin(A, T1, Mode::Exclusive));
    assert_eq!(machine.on(7, Event::Looked { id: FIRST, ok: false }), [Effect::Granted(A, T1)]);
    machine.on(8, begin(A, T2, Mode::Shared));
    assert_eq!(machine.on(9, end(A, T1)), [Effect::Granted(A, T2)]);
}

#[test]
fn a_look_without_an_answer_is_waited_for_ten_seconds() {
    let mut machine = up(true);
    machine.on(6, begin(A, T1, Mode::Exclusive));
    assert_eq!(machine.deadline(), Some(10_006));
    assert_eq!(machine.on(10_006, Event::Due), [Effect::Forget(FIRST), Effect::Granted(A, T1)]);
    assert_eq!(machine.on(10_007, Event::Looked { id: FIRST, ok: true }), [], "too late");
    assert_eq!(machine.on(10_008, end(A, T1)), []);
}

#[test]
fn a_repair_without_an_end_is_waited_for_thirty_seconds() {
    let mut machine = alone();
    machine.on(7, begin(A, T2, Mode::Shared));
    machine.on(8, end(A, T1));
    assert_eq!(machine.deadline(), Some(30_008));
    assert_eq!(machine.on(30_008, Event::Due), [Effect::Forget(SECOND), Effect::Granted(A, T2)]);
    assert_eq!(machine.on(30_009, Event::Restored(SECOND)), []);
}

#[test]
fn who_goes_during_the_look_makes_it_void() {
    let mut machine = up(true);
    machine.on(6, begin(A, T1, Mode::Exclusive));
    assert_eq!(machine.on(7, begin(A, T2, Mode::Shared)), []);
    assert_eq!(machine.on(8, end(A, T1)), [Effect::Forget(FIRST), Effect::Granted(A, T2)]);
    assert_eq!(machine.on(9, Event::Looked { id: FIRST, ok: true }), []);
}

#[test]
fn what_is_still_open_inside_the_test_does_not_delay_the_repair() {
    let mut machine = alone();
    machine.on(7, Event::Begin { client: A, attempt: T2, mode: Mode::Shared, parent: Some(T1) });
    assert_eq!(machine.on(8, end(A, T1)), [Effect::Restore(SECOND)]);
}

#[test]
fn a_killed_keeper_s_successor_puts_back_what_its_journal_says() {
    let mut machine = new(Word::Up).owing_aftermath(true);
    let again = Join { open: vec![(T1, Mode::Exclusive)], ..join(RUN, CARGO) };
    machine.on(1, Event::Join(A, again));
    machine.on(2, Event::Join(B, join(RUN, CARGO)));
    machine.on(3, Event::Probed { up: true });
    assert_eq!(machine.on(4, begin(B, T2, Mode::Shared)), []);
    assert_eq!(machine.on(2_000, Event::Due), [], "the test goes on");
    assert_eq!(machine.on(2_001, end(A, T1)), [Effect::Restore(FIRST)]);
    assert_eq!(machine.on(2_002, Event::Restored(FIRST)), [Effect::Granted(B, T2)]);
}

#[test]
fn a_test_that_died_with_its_keeper_is_cleaned_up_after_too() {
    // A cluster that was found running: its journal owes no release.
    let mut machine = new(Word::Clean).owing_aftermath(true);
    machine.on(1, Event::Join(A, join(RUN, CARGO)));
    machine.on(3, Event::Acquired { ours: false });
    assert_eq!(machine.on(4, begin(A, T1, Mode::Shared)), [], "its process may come back");
    assert_eq!(machine.deadline(), Some(1_003));
    assert_eq!(machine.on(1_003, Event::Due), [Effect::Restore(FIRST)]);
    assert_eq!(machine.on(1_004, Event::Restored(FIRST)), [Effect::Granted(A, T1)]);
}

#[test]
fn a_release_begins_what_is_owed_and_does_not_wait_here() {
    let mut machine = alone();
    machine.on(7, Event::RunnerGone(CARGO));
    // The lease goes with its open attempt, and the session with the lease.
    assert_eq!(
        machine.on(8, Event::Leave(A)),
        [Effect::Restore(SECOND), Effect::Write(Word::MaybeDown), Effect::Release]
    );
    assert_eq!(machine.on(9, Event::Restored(SECOND)), []);
    assert!(!machine.owes_aftermath());
}

#[test]
fn what_a_release_did_not_wait_for_is_done_when_the_cluster_is_up_again() {
    let mut machine = alone();
    machine.on(7, Event::RunnerGone(CARGO));
    machine.on(8, Event::Leave(A));
    machine.on(9, Event::Join(B, join(OTHER_RUN, OTHER_CARGO)));
    machine.on(10, Event::Released { ok: true });
    assert_eq!(machine.on(20, Event::Acquired { ours: true }), [Effect::Write(Word::Up), Effect::Ready(B)]);
    assert_eq!(machine.on(1_020, Event::Due), [Effect::Restore(LookId(3))]);
}

#[test]
fn a_signal_during_the_look_ends_it() {
    let mut machine = up(true);
    machine.on(6, begin(A, T1, Mode::Exclusive));
    let effects = machine.on(7, Event::Term);
    assert_eq!(
        effects,
        [Effect::Cut(A, CutReason::Terminated), Effect::Forget(FIRST), Effect::Write(Word::MaybeDown), Effect::Release]
    );
}
