//! Nodes that end by themselves, and the cluster that takes the place of one that lost some.

use super::*;

const SOME: Event = Event::Lost { all: false };
const ALL: Event = Event::Lost { all: true };
const REPLACED: [Effect; 2] = [Effect::Write(Word::MaybeDown), Effect::Release];

/// Returns what follows until the next cluster is there: one for all clients, and nothing is granted before.
#[track_caller]
fn next_cluster(machine: &mut Machine, now: Millis) -> Vec<Effect> {
    assert!(machine.is_replacing());
    assert_eq!(
        machine.on(now, Event::Released { ok: true }),
        [Effect::Write(Word::Clean), Effect::Write(Word::MaybeUp), Effect::Acquire]
    );
    machine.on(now, Event::Acquired { ours: true })
}

#[test]
fn a_cluster_that_lost_a_node_is_replaced_before_the_next_attempt() {
    let mut machine = up(true);
    assert_eq!(machine.on(6, SOME), REPLACED);
    assert_eq!(machine.on(7, begin(A, T1, Mode::Shared)), [], "it waits for the other cluster");
    assert_eq!(next_cluster(&mut machine, 8), [Effect::Write(Word::Up), Effect::Ready(A), Effect::Granted(A, T1)]);
    assert!(!machine.is_replacing());
}

#[test]
fn an_attempt_that_runs_on_the_rest_is_not_disturbed_and_nothing_begins_beside_it() {
    let mut machine = up(true);
    machine.on(6, begin(A, T1, Mode::Shared));
    assert_eq!(machine.on(7, SOME), []);
    assert_eq!(machine.on(8, begin(A, T2, Mode::Shared)), []);
    // What it begins inside itself is a part of it.
    let nested = Event::Begin { client: A, attempt: AttemptId(3), mode: Mode::Shared, parent: Some(T1) };
    assert_eq!(machine.on(9, nested), [Effect::Granted(A, AttemptId(3))]);
    assert_eq!(machine.on(10, Event::End { client: A, attempt: AttemptId(3) }), []);
    assert_eq!(machine.on(11, Event::End { client: A, attempt: T1 }), REPLACED);
    assert_eq!(next_cluster(&mut machine, 12), [Effect::Write(Word::Up), Effect::Ready(A), Effect::Granted(A, T2)]);
}

#[test]
fn without_any_node_nothing_is_waited_for() {
    let mut machine = up(true);
    machine.on(6, begin(A, T1, Mode::Shared));
    assert_eq!(machine.on(7, SOME), []);
    assert_eq!(machine.on(8, ALL), REPLACED);
    assert_eq!(next_cluster(&mut machine, 9), [Effect::Write(Word::Up), Effect::Ready(A)]);
    assert_eq!(machine.on(10, Event::End { client: A, attempt: T1 }), []);
}

#[test]
fn what_an_exclusive_attempt_changed_goes_with_its_cluster() {
    let mut machine = up(true);
    begin_alone(&mut machine, 6, A, T1);
    machine.on(7, SOME);
    assert_eq!(machine.on(8, Event::End { client: A, attempt: T1 }), REPLACED);
    assert!(!machine.owes_aftermath());
    let mut looking = up(true);
    looking.on(6, begin(A, T1, Mode::Exclusive));
    assert_eq!(looking.on(7, ALL)[..], [&[Effect::Forget(LookId(1))], &REPLACED[..]].concat());
    let next = next_cluster(&mut looking, 8);
    assert_eq!(next, [Effect::Write(Word::Up), Effect::Ready(A), Effect::Look(LookId(2), A, T1)]);
}

#[test]
fn a_warm_cluster_that_lost_a_node_is_not_kept() {
    let mut machine = new(Word::Clean);
    let policy = Policy { keep_warm: 60_000, ..Policy::default() };
    machine.on(0, Event::Join(A, Join { policy, ..join(RUN, CARGO) }));
    machine.on(1, Event::Acquired { ours: true });
    machine.on(2, Event::Leave(A));
    machine.on(3, Event::RunnerGone(CARGO));
    assert!(matches!(machine.state(), MachineState::Warm { .. }));
    assert_eq!(machine.on(4, SOME), REPLACED);
    assert!(!machine.is_replacing(), "there is no client for another one");
    assert_eq!(machine.on(5, Event::Released { ok: true }), [Effect::Write(Word::Clean), Effect::Exit]);
}

#[test]
fn what_was_closed_for_clients_of_a_killed_keeper_is_not_waited_for_on_the_next_cluster() {
    let mut machine = new(Word::Up);
    machine.on(0, Event::Join(A, join(RUN, CARGO)));
    machine.on(5, Event::Probed { up: true });
    machine.on(6, begin(A, T1, Mode::Shared));
    assert_eq!(machine.on(7, SOME), REPLACED);
    assert_eq!(machine.deadline(), Some(900_006), "the end of its patience, and nothing that may have passed");
    assert_eq!(next_cluster(&mut machine, 8), [Effect::Write(Word::Up), Effect::Ready(A), Effect::Granted(A, T1)]);
}

#[test]
fn a_loss_that_is_told_too_late_means_nothing() {
    let mut machine = up(true);
    machine.on(6, ALL);
    assert_eq!(machine.on(7, ALL), [], "the nodes that a release ends");
    next_cluster(&mut machine, 8);
    let mut foreign = up(false);
    assert_eq!(foreign.on(6, ALL), [], "nobody watches a server that others manage");
    assert_eq!(foreign.on(7, begin(A, T1, Mode::Shared)), [Effect::Granted(A, T1)]);
}

#[test]
fn clusters_that_never_last_until_an_attempt_are_given_up() {
    let mut machine = up(true);
    machine.on(6, begin(A, T1, Mode::Shared));
    machine.on(7, Event::End { client: A, attempt: T1 });
    for now in [10, 20] {
        assert_eq!(machine.on(now, ALL), REPLACED);
        next_cluster(&mut machine, now);
    }
    let failed = Effect::Fail(A, FailReason::NotAcquired);
    assert_eq!(machine.on(30, ALL)[..], [&[failed], &REPLACED[..]].concat());
    machine.on(31, Event::Leave(A));
    machine.on(32, Event::Released { ok: true });
    let again = machine.on(33, Event::Join(B, join(RUN, CARGO)));
    assert_eq!(again, [Effect::Fail(B, FailReason::NotAcquired)], "the session knows it");
}
