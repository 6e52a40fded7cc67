//! Decisions on a cluster that keepers of other machines use, too.

use super::*;
use crate::sharing::Turns;
use crate::target::OnSuspended;

/// Returns a machine with a lease on a cluster that is up for client `A` of run `RUN`.
fn leased(ours: bool, on_suspended: OnSuspended) -> Machine {
    let mut machine = new(Word::Clean);
    let policy = Policy { on_suspended, ..Policy::default() };
    machine.on(0, Event::Join(A, Join { policy, ..join(RUN, CARGO) }));
    machine.on(4, Event::Turns(Turns::Shared));
    machine.on(5, Event::Acquired { ours });
    machine
}

#[test]
fn an_exclusive_attempt_asks_for_room_and_waits_for_it() {
    let mut machine = leased(true, OnSuspended::Fail);
    assert_eq!(machine.on(6, begin(A, T1, Mode::Exclusive)), [Effect::WantAlone(true)]);
    let asked = machine.on(7, Event::Turns(Turns::Alone));
    let [Effect::Look(id, A, T1)] = asked[..] else { panic!("{asked:?}") };
    // Others took the room back meanwhile.
    machine.on(8, Event::Turns(Turns::Shared));
    assert_eq!(machine.on(9, Event::Looked { id, ok: true }), [Effect::Forget(id)]);
    let asked = machine.on(10, Event::Turns(Turns::Alone));
    let [Effect::Look(id, A, T1)] = asked[..] else { panic!("{asked:?}") };
    assert_eq!(machine.on(11, Event::Looked { id, ok: true }), [Effect::Granted(A, T1)]);
    let restores = machine.on(12, Event::End { client: A, attempt: T1 });
    let [Effect::Restore(id)] = restores[..] else { panic!("{restores:?}") };
    assert_eq!(machine.on(13, Event::Restored(id)), [Effect::WantAlone(false)]);
    // It may be alone no more, although it has not heard that.
    assert_eq!(machine.on(14, begin(A, T2, Mode::Exclusive)), [Effect::WantAlone(true)]);
    assert!(matches!(machine.on(15, Event::Turns(Turns::Alone))[..], [Effect::Look(_, A, T2)]));
}

#[test]
fn nothing_begins_while_others_want_to_be_alone_and_they_hear_when_nothing_runs() {
    let mut machine = leased(true, OnSuspended::Fail);
    assert_eq!(machine.on(6, begin(A, T1, Mode::Shared)), [Effect::Granted(A, T1)]);
    assert_eq!(machine.on(7, Event::Turns(Turns::None)), []);
    assert_eq!(machine.on(8, begin(A, T2, Mode::Shared)), []);
    assert_eq!(machine.on(9, Event::End { client: A, attempt: T1 }), [Effect::Quiet]);
    assert_eq!(machine.on(10, Event::Turns(Turns::Shared)), [Effect::Granted(A, T2)]);
}

#[test]
fn a_lease_on_a_cluster_that_is_not_ours_is_given_back_without_a_debt() {
    for ok in [true, false] {
        let mut machine = leased(false, OnSuspended::Fail);
        machine.on(6, Event::Leave(A));
        assert_eq!(machine.on(7, Event::RunnerGone(CARGO)), [Effect::Release]);
        assert_eq!(machine.on(8, Event::Released { ok }), [Effect::Exit]);
    }
}

#[test]
fn a_cluster_that_went_away_fails_its_sessions_or_is_acquired_again() {
    let mut machine = leased(true, OnSuspended::Fail);
    let told = machine.on(6, Event::CutOff);
    assert_eq!(told, [Effect::Fail(A, FailReason::NotAcquired), Effect::Write(Word::Clean)]);
    assert_eq!(machine.state(), MachineState::Failed);

    let mut machine = leased(true, OnSuspended::Resume);
    machine.on(6, begin(A, T1, Mode::Shared));
    let again = [Effect::Write(Word::Clean), Effect::Write(Word::MaybeUp), Effect::Acquire];
    assert_eq!(machine.on(7, Event::CutOff), again);
    machine.on(8, Event::Turns(Turns::Shared));
    assert_eq!(machine.on(9, Event::Acquired { ours: true }), [Effect::Write(Word::Up), Effect::Ready(A)]);
}
