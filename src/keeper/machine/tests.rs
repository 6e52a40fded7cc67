//! The decisions of the machine, one in each test.

mod aftermath;
mod explicit;
mod loss;
mod neighbours;

use super::*;
use crate::wire::CutReason;

const RUN: SessionId = SessionId(1);
const OTHER_RUN: SessionId = SessionId(2);
const CARGO: RunnerId = RunnerId(10);
const OTHER_CARGO: RunnerId = RunnerId(20);
const A: ClientId = ClientId(1);
const B: ClientId = ClientId(2);
const T1: AttemptId = AttemptId(1);
const T2: AttemptId = AttemptId(2);

fn join(session: SessionId, runner: RunnerId) -> Join {
    Join {
        session,
        runners: vec![(runner, true)],
        policy: Policy::default(),
        orphan: false,
        open: Vec::new(),
        explicit: None,
    }
}

fn begin(client: ClientId, attempt: AttemptId, mode: Mode) -> Event {
    Event::Begin { client, attempt, mode, parent: None }
}

/// Begins an exclusive attempt at `now` on a cluster that nobody uses, with the look before it.
fn begin_alone(machine: &mut Machine, now: Millis, client: ClientId, attempt: AttemptId) {
    let asked = machine.on(now, begin(client, attempt, Mode::Exclusive));
    let [Effect::Look(id, ..)] = asked[..] else { panic!("{asked:?}") };
    assert_eq!(machine.on(now, Event::Looked { id, ok: true }), [Effect::Granted(client, attempt)]);
}

fn new(word: Word) -> Machine {
    Machine::new(0, word, MachineLimits::default())
}

/// Returns a machine whose cluster is up for client `A` of run `RUN`.
fn up(ours: bool) -> Machine {
    let mut machine = new(Word::Clean);
    assert_eq!(machine.on(0, Event::Join(A, join(RUN, CARGO))), [Effect::Write(Word::MaybeUp), Effect::Acquire]);
    let word = if ours { Word::Up } else { Word::Clean };
    assert_eq!(machine.on(5, Event::Acquired { ours }), [Effect::Write(word), Effect::Ready(A)]);
    machine
}

#[test]
fn acquires_once_for_all_clients_that_wait() {
    let mut machine = new(Word::Clean);
    machine.on(0, Event::Join(A, join(RUN, CARGO)));
    assert_eq!(machine.on(1, Event::Join(B, join(RUN, CARGO))), []);
    assert_eq!(
        machine.on(5, Event::Acquired { ours: true }),
        [Effect::Write(Word::Up), Effect::Ready(A), Effect::Ready(B)]
    );
}

#[test]
fn one_waiter_of_each_session_speaks() {
    let mut machine = new(Word::Clean);
    machine.on(0, Event::Join(A, join(RUN, CARGO)));
    machine.on(1, Event::Join(B, join(RUN, CARGO)));
    machine.on(2, Event::Join(ClientId(3), join(OTHER_RUN, OTHER_CARGO)));
    assert_eq!(machine.waiting(), [(A, true), (B, false), (ClientId(3), true)]);
    machine.on(3, Event::Leave(A));
    assert_eq!(machine.waiting(), [(B, true), (ClientId(3), true)]);
}

#[test]
fn releases_when_the_runner_is_dead_and_no_client_is_connected() {
    let mut machine = up(true);
    assert_eq!(machine.on(10, Event::Leave(A)), [], "cargo may start the next binary");
    assert_eq!(machine.on(11, Event::RunnerGone(CARGO)), [Effect::Write(Word::MaybeDown), Effect::Release]);
    assert_eq!(machine.on(20, Event::Released { ok: true }), [Effect::Write(Word::Clean), Effect::Exit]);
}

#[test]
fn waits_for_a_lease_that_outlives_its_runner_but_not_for_ever() {
    let mut machine = up(true);
    assert_eq!(machine.on(10, Event::RunnerGone(CARGO)), []);
    assert_eq!(machine.deadline(), Some(30_010));
    assert_eq!(
        machine.on(30_010, Event::Due),
        [Effect::Cut(A, CutReason::RunOver), Effect::Write(Word::MaybeDown), Effect::Release]
    );
}

#[test]
fn leaves_a_cluster_that_was_found_running() {
    let mut machine = up(false);
    machine.on(10, Event::Leave(A));
    assert_eq!(machine.on(11, Event::RunnerGone(CARGO)), [Effect::Exit]);
}

#[test]
fn suspends_what_was_found_running_if_told_to() {
    let mut machine = new(Word::Clean);
    let policy = Policy { on_exit: crate::target::OnExit::Suspend, ..Policy::default() };
    machine.on(0, Event::Join(A, Join { policy, ..join(RUN, CARGO) }));
    machine.on(5, Event::Acquired { ours: false });
    machine.on(10, Event::Leave(A));
    assert_eq!(machine.on(11, Event::RunnerGone(CARGO)), [Effect::Write(Word::MaybeDown), Effect::Release]);
}

#[test]
fn two_runs_share_it_and_the_later_end_releases() {
    let mut machine = up(true);
    assert_eq!(machine.on(6, Event::Join(B, join(OTHER_RUN, OTHER_CARGO))), [Effect::Ready(B)]);
    machine.on(10, Event::Leave(A));
    assert_eq!(machine.on(11, Event::RunnerGone(CARGO)), []);
    machine.on(12, Event::Leave(B));
    assert_eq!(machine.on(13, Event::RunnerGone(OTHER_CARGO)), [Effect::Write(Word::MaybeDown), Effect::Release]);
}

#[test]
fn the_policy_of_the_session_that_ends_last_holds() {
    let mut machine = new(Word::Clean);
    let warm = Policy { keep_warm: 60_000, ..Policy::default() };
    machine.on(0, Event::Join(A, Join { policy: warm, ..join(RUN, CARGO) }));
    machine.on(1, Event::Acquired { ours: true });
    machine.on(2, Event::Join(B, join(OTHER_RUN, OTHER_CARGO)));
    machine.on(3, Event::Leave(B));
    machine.on(4, Event::RunnerGone(OTHER_CARGO));
    machine.on(5, Event::Leave(A));
    assert_eq!(machine.on(6, Event::RunnerGone(CARGO)), []);
    assert_eq!(machine.state(), MachineState::Warm { until: 60_006 });
}

#[test]
fn a_warm_cluster_is_joined_by_the_next_run_and_released_when_none_comes() {
    let mut machine = new(Word::Clean);
    let warm = Policy { keep_warm: 1_000, ..Policy::default() };
    machine.on(0, Event::Join(A, Join { policy: warm, ..join(RUN, CARGO) }));
    machine.on(1, Event::Acquired { ours: true });
    machine.on(2, Event::Leave(A));
    machine.on(3, Event::RunnerGone(CARGO));
    let again = Join { policy: warm, ..join(OTHER_RUN, OTHER_CARGO) };
    assert_eq!(machine.on(500, Event::Join(B, again)), [Effect::Ready(B)]);
    machine.on(600, Event::Leave(B));
    machine.on(601, Event::RunnerGone(OTHER_CARGO));
    assert_eq!(machine.deadline(), Some(1_601));
    assert_eq!(machine.on(1_601, Event::Due), [Effect::Write(Word::MaybeDown), Effect::Release]);
}

#[test]
fn an_acquisition_that_no_client_wants_any_more_is_finished_and_then_released() {
    let mut machine = new(Word::Clean);
    machine.on(0, Event::Join(A, join(RUN, CARGO)));
    machine.on(1, Event::Leave(A));
    assert_eq!(machine.on(2, Event::RunnerGone(CARGO)), []);
    assert_eq!(
        machine.on(3, Event::Acquired { ours: true }),
        [Effect::Write(Word::Up), Effect::Write(Word::MaybeDown), Effect::Release]
    );
}

#[test]
fn a_join_during_the_release_waits_and_acquires_anew() {
    let mut machine = up(true);
    machine.on(10, Event::Leave(A));
    machine.on(11, Event::RunnerGone(CARGO));
    assert_eq!(machine.on(12, Event::Join(B, join(OTHER_RUN, OTHER_CARGO))), []);
    assert_eq!(
        machine.on(20, Event::Released { ok: true }),
        [Effect::Write(Word::Clean), Effect::Write(Word::MaybeUp), Effect::Acquire]
    );
}

#[test]
fn a_failed_acquisition_is_told_to_its_session_at_once_and_tried_afresh_by_another() {
    let mut machine = new(Word::Clean);
    machine.on(0, Event::Join(A, join(RUN, CARGO)));
    assert_eq!(
        machine.on(1, Event::NotAcquired { maybe_up: false }),
        [Effect::Fail(A, FailReason::NotAcquired), Effect::Write(Word::Clean)]
    );
    assert_eq!(machine.on(2, Event::Join(B, join(RUN, CARGO))), [Effect::Fail(B, FailReason::NotAcquired)]);
    assert_eq!(
        machine.on(3, Event::Join(ClientId(3), join(OTHER_RUN, OTHER_CARGO))),
        [Effect::Write(Word::MaybeUp), Effect::Acquire]
    );
}

#[test]
fn a_failed_acquisition_that_may_have_left_something_is_released() {
    let mut machine = new(Word::Clean);
    machine.on(0, Event::Join(A, join(RUN, CARGO)));
    assert_eq!(
        machine.on(1, Event::NotAcquired { maybe_up: true }),
        [Effect::Fail(A, FailReason::NotAcquired), Effect::Write(Word::MaybeDown), Effect::Release]
    );
    assert_eq!(machine.on(2, Event::Join(B, join(RUN, CARGO))), [], "waits for the release");
    assert_eq!(
        machine.on(3, Event::Released { ok: true }),
        [Effect::Write(Word::Clean), Effect::Fail(B, FailReason::NotAcquired)]
    );
}

#[test]
fn a_failing_release_backs_off_and_in_the_end_leaves_the_debt_to_the_journal() {
    let mut machine = up(true);
    machine.on(10, Event::Leave(A));
    machine.on(11, Event::RunnerGone(CARGO));
    let (mut now, mut pauses) = (11, Vec::new());
    loop {
        assert_eq!(machine.on(now, Event::Released { ok: false }), []);
        let at = machine.deadline().unwrap();
        pauses.push((at - now) / 1_000);
        now = at;
        match machine.on(now, Event::Due).as_slice() {
            [Effect::Release] => {}
            [Effect::Exit] => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!((600_000..700_000).contains(&now), "gave up after {now} ms");
}

#[test]
fn a_killed_keeper_is_followed_by_one_that_adopts() {
    let mut machine = new(Word::Up);
    let again = Join { open: vec![(T1, Mode::Exclusive)], ..join(RUN, CARGO) };
    assert_eq!(machine.on(1, Event::Join(A, again)), [Effect::Probe]);
    assert_eq!(machine.on(2, Event::Join(B, join(RUN, CARGO))), []);
    assert_eq!(machine.on(3, Event::Probed { up: true }), [Effect::Ready(A), Effect::Ready(B)]);
    assert_eq!(machine.on(4, begin(B, T2, Mode::Shared)), [], "an exclusive attempt is open");
    assert_eq!(machine.on(500, Event::End { client: A, attempt: T1 }), [], "others may still repeat theirs");
    assert_eq!(machine.deadline(), Some(1_003));
    assert_eq!(machine.on(1_003, Event::Due), [Effect::Granted(B, T2)]);
    machine.on(1_100, Event::Leave(A));
    machine.on(1_100, Event::Leave(B));
    assert_eq!(machine.on(1_101, Event::RunnerGone(CARGO)), [Effect::Write(Word::MaybeDown), Effect::Release]);
}

#[test]
fn what_a_killed_keeper_left_and_is_gone_is_acquired_anew() {
    let mut machine = new(Word::MaybeUp);
    machine.on(1, Event::Join(A, join(RUN, CARGO)));
    assert_eq!(
        machine.on(3, Event::Probed { up: false }),
        [Effect::Write(Word::Clean), Effect::Write(Word::MaybeUp), Effect::Acquire]
    );
}

#[test]
fn what_a_killed_keeper_left_and_cannot_be_looked_at_is_released_and_not_handed_out() {
    let mut machine = new(Word::Up);
    machine.on(1, Event::Join(A, join(RUN, CARGO)));
    assert_eq!(
        machine.on(3, Event::NotProbed),
        [Effect::Fail(A, FailReason::NotAcquired), Effect::Write(Word::MaybeDown), Effect::Release]
    );
}

#[test]
fn a_keeper_without_a_client_exits_and_keeps_the_debt() {
    let mut machine = new(Word::Up);
    assert_eq!(machine.deadline(), Some(1_000));
    assert_eq!(machine.on(1_000, Event::Due), [Effect::Exit]);
}

#[test]
fn an_adopted_cluster_is_kept_until_clients_of_the_killed_keeper_can_be_back() {
    let mut machine = new(Word::Up);
    assert_eq!(machine.on(0, Event::Join(A, join(RUN, CARGO))), [Effect::Probe]);
    assert_eq!(machine.on(1, Event::RunnerGone(CARGO)), [Effect::Fail(A, FailReason::RunOver)]);
    machine.on(2, Event::Leave(A));
    assert_eq!(machine.on(5, Event::Probed { up: true }), [], "a test of another run may still use it");
    assert_eq!(machine.deadline(), Some(1_005));
    let mut alone = machine.clone();
    assert_eq!(alone.on(1_005, Event::Due), [Effect::Write(Word::MaybeDown), Effect::Release]);
    let open = vec![(T1, Mode::Shared)];
    machine.on(1_000, Event::Join(B, Join { open, ..join(OTHER_RUN, OTHER_CARGO) }));
    assert_eq!(machine.on(1_005, Event::Due), []);
}

#[test]
fn a_signal_cuts_all_clients_and_releases() {
    let mut machine = up(true);
    assert_eq!(
        machine.on(10, Event::Term),
        [Effect::Cut(A, CutReason::Terminated), Effect::Write(Word::MaybeDown), Effect::Release]
    );
    assert_eq!(machine.on(11, Event::Join(B, join(RUN, CARGO))), [Effect::Cut(B, CutReason::Terminated)]);
    assert_eq!(machine.on(20, Event::Released { ok: true }), [Effect::Write(Word::Clean), Effect::Exit]);
}

#[test]
fn the_maximum_lifetime_counts_from_the_last_beginning() {
    let mut machine = up(true);
    machine.on(1_000, begin(A, T1, Mode::Shared));
    assert_eq!(machine.deadline(), Some(7_201_000));
    assert_eq!(
        machine.on(7_201_000, Event::Due),
        [Effect::Cut(A, CutReason::MaxLifetime), Effect::Write(Word::MaybeDown), Effect::Release]
    );
}

#[test]
fn an_orphan_joins_what_is_up_and_starts_nothing() {
    let orphan = Join { orphan: true, runners: vec![], ..join(RUN, CARGO) };
    let mut machine = new(Word::Clean);
    assert_eq!(
        machine.on(0, Event::Join(A, orphan.clone())),
        [Effect::Fail(A, FailReason::RunOver)],
        "nothing is up and nobody alive wants it"
    );
    let mut machine = up(true);
    assert_eq!(machine.on(6, Event::Join(B, orphan)), [Effect::Ready(B)]);
    assert_eq!(machine.on(7, begin(B, T1, Mode::Shared)), [Effect::Granted(B, T1)]);
}

#[test]
fn nothing_new_is_granted_after_the_death_of_the_run() {
    let mut machine = up(true);
    begin_alone(&mut machine, 6, A, T1);
    machine.on(7, begin(A, T2, Mode::Shared));
    assert_eq!(machine.on(8, Event::RunnerGone(CARGO)), [Effect::Refused(A, T2, RefuseReason::RunOver)]);
    let third = AttemptId(3);
    assert_eq!(machine.on(9, begin(A, third, Mode::Shared)), [Effect::Refused(A, third, RefuseReason::RunOver)]);
}

#[test]
fn a_waiter_whose_run_dies_does_not_acquire_after_a_release() {
    let mut machine = up(true);
    machine.on(10, Event::Leave(A));
    machine.on(11, Event::RunnerGone(CARGO));
    machine.on(12, Event::Join(B, join(OTHER_RUN, OTHER_CARGO)));
    assert_eq!(machine.on(13, Event::RunnerGone(OTHER_CARGO)), [Effect::Fail(B, FailReason::RunOver)]);
    machine.on(14, Event::Leave(B));
    assert_eq!(machine.on(20, Event::Released { ok: true }), [Effect::Write(Word::Clean), Effect::Exit]);
}

#[test]
fn exclusive_waits_for_all_and_later_shared_queue_behind_it() {
    let mut machine = up(true);
    machine.on(6, Event::Join(B, join(OTHER_RUN, OTHER_CARGO)));
    assert_eq!(machine.on(7, begin(A, T1, Mode::Shared)), [Effect::Granted(A, T1)]);
    assert_eq!(machine.on(8, begin(B, T1, Mode::Exclusive)), []);
    assert_eq!(machine.on(9, begin(A, T2, Mode::Shared)), []);
    assert_eq!(machine.on(10, Event::End { client: A, attempt: T1 }), [Effect::Look(LookId(1), B, T1)]);
    assert_eq!(machine.on(11, Event::Looked { id: LookId(1), ok: true }), [Effect::Granted(B, T1)]);
    assert_eq!(machine.on(12, Event::Leave(B)), [Effect::Restore(LookId(2))], "also after a dead holder");
    assert_eq!(machine.on(13, Event::Restored(LookId(2))), [Effect::Granted(A, T2)]);
}

#[test]
fn an_attempt_inside_an_attempt_is_granted_at_once_or_refused() {
    let mut machine = up(true);
    begin_alone(&mut machine, 6, A, T1);
    let nested = |attempt, mode| Event::Begin { client: A, attempt, mode, parent: Some(T1) };
    assert_eq!(machine.on(7, nested(T2, Mode::Shared)), [Effect::Granted(A, T2)]);
    let third = AttemptId(3);
    assert_eq!(
        machine.on(8, nested(third, Mode::Exclusive)),
        [Effect::Refused(A, third, RefuseReason::NestedExclusive)]
    );
}

#[test]
fn waiting_in_vain_for_a_turn_is_an_error() {
    let mut machine = up(true);
    begin_alone(&mut machine, 6, A, T1);
    machine.on(7, begin(A, T2, Mode::Shared));
    assert_eq!(machine.deadline(), Some(900_007));
    assert_eq!(machine.on(900_007, Event::Due), [Effect::Refused(A, T2, RefuseReason::TimedOut)]);
    assert_eq!(machine.holders(), [(A, T1)]);
}

#[test]
fn tethered_ends_after_ten_seconds_without_a_lease() {
    let mut machine = up(true);
    assert_eq!(machine.on(6, Event::Tethered), []);
    assert_eq!(machine.on(10, Event::Leave(A)), []);
    assert_eq!(machine.deadline(), Some(10_010));
    assert_eq!(machine.on(10_010, Event::Due), [Effect::Write(Word::MaybeDown), Effect::Release]);
}

const T3: AttemptId = AttemptId(3);

/// Returns a machine where one test runs, one waits, and since `10` too many schemas wait to be dropped.
fn held_up() -> Machine {
    let mut machine = up(true);
    assert_eq!(machine.on(9, Event::Dropping(11)), []);
    assert_eq!(machine.on(9, begin(A, T1, Mode::Shared)), [Effect::Granted(A, T1)]);
    assert_eq!(machine.on(10, Event::Dropping(12)), []);
    assert_eq!(machine.on(11, begin(A, T2, Mode::Shared)), [], "it would make more");
    machine
}

#[test]
fn attempts_run_one_at_a_time_until_few_are_left() {
    let mut machine = held_up();
    assert_eq!(machine.on(12, begin(A, T3, Mode::Shared)), []);
    assert_eq!(machine.on(13, Event::End { client: A, attempt: T1 }), [Effect::Granted(A, T2)]);
    assert_eq!(machine.on(14, Event::Dropping(5)), [], "it could become large again at once");
    assert_eq!(machine.on(15, Event::Dropping(4)), [Effect::Granted(A, T3)]);
}

#[test]
fn no_attempt_waits_longer_than_ten_seconds_for_it() {
    let mut machine = held_up();
    assert_eq!(machine.deadline(), Some(10_010));
    assert_eq!(machine.on(10_010, Event::Due), [Effect::Granted(A, T2)]);
    assert_eq!(machine.on(10_011, Event::Dropping(99)), []);
    assert_eq!(machine.on(10_012, begin(A, T3, Mode::Shared)), [Effect::Granted(A, T3)]);
    // Once it was small again, it may count again.
    machine.on(10_013, Event::Dropping(0));
    machine.on(10_014, Event::Dropping(12));
    assert_eq!(machine.on(10_015, begin(A, AttemptId(4), Mode::Shared)), []);
}

#[test]
fn what_a_test_begins_inside_itself_is_not_held_up() {
    let mut machine = held_up();
    let inside = Event::Begin { client: A, attempt: T3, mode: Mode::Shared, parent: Some(T1) };
    assert_eq!(machine.on(12, inside), [Effect::Granted(A, T3)]);
}

#[test]
fn an_exclusive_attempt_waits_for_the_others_only() {
    let mut machine = up(true);
    machine.on(10, Event::Dropping(50));
    begin_alone(&mut machine, 11, A, T1);
}
