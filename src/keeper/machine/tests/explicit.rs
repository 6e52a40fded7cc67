//! Sessions with a name: what they live by, and what ends them.

use super::*;

const IDLE: Millis = 600_000;
const HOLDER: RunnerId = RunnerId(30);
const C: ClientId = ClientId(3);

/// Returns the facts of a process that knows the name.
fn named(session: SessionId) -> Join {
    Join { runners: vec![], explicit: Some(IDLE), ..join(session, CARGO) }
}

fn holder(session: SessionId) -> Join {
    Join { explicit: Some(IDLE), ..join(session, HOLDER) }
}

/// Returns a machine whose cluster is up for client `A` of the explicit session `RUN`.
fn named_up(join: Join) -> Machine {
    let mut machine = new(Word::Clean);
    machine.on(0, Event::Join(A, join));
    machine.on(5, Event::Acquired { ours: true });
    machine
}

const LETS_GO: [Effect; 2] = [Effect::Write(Word::MaybeDown), Effect::Release];

#[test]
fn it_lives_without_a_client_until_it_was_idle_for_its_time() {
    let mut machine = named_up(named(RUN));
    assert_eq!(machine.on(10, Event::Leave(A)), []);
    assert_eq!(machine.on(500_000, Event::Join(B, named(RUN))), [Effect::Ready(B)]);
    assert_eq!(machine.on(1_000_000, Event::Due), [], "idle time counts only without a lease");
    assert_eq!(machine.on(1_000_001, Event::Leave(B)), []);
    assert_eq!(machine.deadline(), Some(1_600_001));
    assert_eq!(machine.on(1_600_001, Event::Due), LETS_GO);
}

#[test]
fn a_holder_that_died_before_it_was_heard_ends_it_for_all() {
    let dead = Join { runners: vec![(HOLDER, false)], ..holder(RUN) };
    let fails = |client| Effect::Fail(client, FailReason::RunOver);
    let mut machine = named_up(named(RUN));
    assert_eq!(machine.on(6, begin(A, T1, Mode::Shared)), [Effect::Granted(A, T1)]);
    assert_eq!(machine.on(10, Event::Join(B, dead.clone())), [fails(B)]);
    assert_eq!(machine.on(11, begin(A, T2, Mode::Shared)), [Effect::Refused(A, T2, RefuseReason::RunOver)]);
    assert_eq!(machine.deadline(), Some(30_010), "what runs has time to end");
    let mut machine = new(Word::Clean);
    machine.on(0, Event::Join(A, named(RUN)));
    assert_eq!(machine.on(1, Event::Join(B, dead)), [fails(A), fails(B)], "nothing is started for it any more");
}

#[test]
fn finished_it_ends_at_once() {
    let mut machine = named_up(named(RUN));
    machine.on(10, Event::Leave(A));
    assert_eq!(machine.on(20, Event::Finish(RUN)), LETS_GO);
    assert!(!machine.takes(RUN, false), "the name means a new session from now on");
}

#[test]
fn finished_it_cuts_who_has_nothing_to_do_and_gives_the_others_thirty_seconds() {
    let mut machine = named_up(named(RUN));
    machine.on(6, Event::Join(B, named(RUN)));
    begin_alone(&mut machine, 7, A, T1);
    machine.on(8, begin(A, T2, Mode::Shared));
    assert_eq!(
        machine.on(20, Event::Finish(RUN)),
        [Effect::Refused(A, T2, RefuseReason::RunOver), Effect::Cut(B, CutReason::RunOver)]
    );
    let third = AttemptId(3);
    assert_eq!(machine.on(30, begin(A, third, Mode::Shared)), [Effect::Refused(A, third, RefuseReason::RunOver)]);
    assert_eq!(machine.deadline(), Some(30_020));
    let over = [&[Effect::Cut(A, CutReason::RunOver), Effect::Restore(LookId(2))], &LETS_GO[..]].concat();
    let mut ends = machine.clone();
    assert_eq!(ends.on(40, Event::End { client: A, attempt: T1 }), over, "its last attempt ended");
    assert_eq!(machine.on(30_020, Event::Due), over);
}

#[test]
fn it_ends_with_its_holder_whoever_is_connected() {
    let mut machine = named_up(holder(RUN));
    machine.on(6, Event::Join(B, named(RUN)));
    machine.on(7, begin(B, T1, Mode::Shared));
    machine.on(10, Event::Leave(A));
    assert_eq!(machine.on(11, Event::RunnerGone(HOLDER)), [], "a test still runs");
    let over = [&[Effect::Cut(B, CutReason::RunOver)], &LETS_GO[..]].concat();
    assert_eq!(machine.on(12, Event::End { client: B, attempt: T1 }), over);
}

#[test]
fn two_that_hold_it_each_give_up_their_own_part() {
    let mut machine = named_up(holder(RUN));
    let other = RunnerId(31);
    machine.on(6, Event::Join(B, Join { runners: vec![(other, true)], ..holder(RUN) }));
    machine.on(7, Event::Leave(B));
    assert_eq!(machine.on(8, Event::LetGo(RUN, other)), [], "the first one still holds it");
    assert_eq!(machine.on(9, Event::LetGo(RUN, other)), [], "it has no part any more");
    machine.on(10, Event::Join(C, named(RUN)));
    assert_eq!(machine.on(11, begin(C, T1, Mode::Shared)), [Effect::Granted(C, T1)]);
    machine.on(12, Event::End { client: C, attempt: T1 });
    machine.on(13, Event::Leave(A));
    let over = [&[Effect::Cut(C, CutReason::RunOver)], &LETS_GO[..]].concat();
    let mut killed = machine.clone();
    assert_eq!(killed.on(14, Event::RunnerGone(HOLDER)), over);
    assert_eq!(machine.on(14, Event::LetGo(RUN, HOLDER)), over);
}

#[test]
fn who_gave_up_its_part_may_hold_it_again() {
    let mut machine = named_up(holder(RUN));
    machine.on(6, Event::Join(B, join(OTHER_RUN, OTHER_CARGO)));
    machine.on(7, Event::Leave(A));
    assert_eq!(machine.on(8, Event::LetGo(RUN, HOLDER)), []);
    assert!(!machine.takes(RUN, true), "it ended with the last part");
    let again = SessionId(77);
    assert_eq!(machine.on(9, Event::Join(A, holder(again))), [Effect::Ready(A)]);
    assert!(machine.is_held(again));
}

#[test]
fn what_a_dead_holder_started_begins_no_new_session_but_a_new_holder_does() {
    let mut machine = named_up(holder(RUN));
    machine.on(6, Event::Join(B, join(OTHER_RUN, OTHER_CARGO)));
    machine.on(10, Event::Leave(A));
    machine.on(11, Event::RunnerGone(HOLDER));
    assert!(machine.takes(RUN, false), "the name means the dead one");
    assert_eq!(machine.on(12, Event::Join(C, named(RUN))), [Effect::Fail(C, FailReason::RunOver)]);
    assert!(!machine.takes(RUN, true));
}

#[test]
fn while_its_holder_lives_it_is_never_idle() {
    let mut machine = named_up(holder(RUN));
    machine.on(10, Event::Leave(A));
    assert_eq!(machine.on(IDLE * 2, Event::Due), []);
    assert_eq!(machine.on(IDLE * 2 + 1, Event::RunnerGone(HOLDER)), LETS_GO);
}

#[test]
fn who_waits_when_it_is_finished_gets_no_cluster_and_nothing_is_left_running() {
    let mut machine = new(Word::Clean);
    machine.on(0, Event::Join(A, named(RUN)));
    assert_eq!(machine.on(1, Event::Finish(RUN)), [Effect::Fail(A, FailReason::RunOver)]);
    machine.on(2, Event::Leave(A));
    let up = [Effect::Write(Word::Up)];
    assert_eq!(machine.on(3, Event::Acquired { ours: true }), [&up[..], &LETS_GO[..]].concat());
}

#[test]
fn other_sessions_keep_the_cluster() {
    let mut machine = named_up(named(RUN));
    machine.on(6, Event::Join(B, join(OTHER_RUN, OTHER_CARGO)));
    machine.on(10, Event::Leave(A));
    assert_eq!(machine.on(20, Event::Finish(RUN)), []);
    machine.on(30, Event::Leave(B));
    assert_eq!(machine.on(31, Event::RunnerGone(OTHER_CARGO)), LETS_GO);
}

#[test]
fn a_killed_run_does_not_end_it() {
    let mut machine = named_up(named(RUN));
    machine.on(6, Event::Join(B, join(OTHER_RUN, OTHER_CARGO)));
    machine.on(10, Event::Leave(A));
    machine.on(20, Event::Leave(B));
    assert_eq!(machine.on(21, Event::RunnerGone(OTHER_CARGO)), []);
    assert_eq!(machine.on(IDLE + 10, Event::Due), LETS_GO);
}

#[test]
fn what_tethers_a_run_does_not_tether_it() {
    let mut machine = named_up(named(RUN));
    machine.on(6, Event::Join(B, join(OTHER_RUN, OTHER_CARGO)));
    machine.on(7, Event::Tethered);
    machine.on(10, Event::Leave(A));
    machine.on(11, Event::Leave(B));
    assert_eq!(machine.on(10_011, Event::Due), [], "idle only for ten seconds");
    assert_eq!(machine.on(IDLE + 10, Event::Due), LETS_GO);
}

#[test]
fn its_policy_holds_if_it_ends_last_unless_somebody_says_now() {
    let warm = Policy { keep_warm: 60_000, ..Policy::default() };
    let mut machine = named_up(Join { policy: warm, ..named(RUN) });
    machine.on(10, Event::Leave(A));
    let mut now = machine.clone();
    assert_eq!(machine.on(20, Event::Finish(RUN)), []);
    assert_eq!(machine.state(), MachineState::Warm { until: 60_020 });
    assert_eq!(machine.on(30, Event::Cool), LETS_GO);
    assert_eq!(now.on(20, Event::Cool), []);
    assert_eq!(now.on(20, Event::Finish(RUN)), LETS_GO);
}

#[test]
fn who_comes_after_it_was_not_wanted_warm_is_kept_warm_again() {
    let warm = Policy { keep_warm: 60_000, ..Policy::default() };
    let mut machine = named_up(Join { policy: warm, ..named(RUN) });
    machine.on(6, Event::Cool);
    machine.on(7, Event::Join(B, Join { policy: warm, ..named(RUN) }));
    machine.on(10, Event::Leave(A));
    machine.on(10, Event::Leave(B));
    assert_eq!(machine.on(20, Event::Finish(RUN)), []);
    assert_eq!(machine.state(), MachineState::Warm { until: 60_020 });
}

#[test]
fn after_a_failure_the_whole_run_is_told_and_the_next_one_tries_afresh() {
    let mut machine = new(Word::Clean);
    machine.on(0, Event::Join(A, named(RUN)));
    machine.on(1, Event::NotAcquired { maybe_up: false });
    machine.on(2, Event::Leave(A));
    assert_eq!(machine.on(5_000, Event::Join(B, named(RUN))), [Effect::Fail(B, FailReason::NotAcquired)]);
    machine.on(5_001, Event::Leave(B));
    assert_eq!(machine.deadline(), Some(15_001));
    assert_eq!(machine.on(15_001, Event::Due), [Effect::Exit]);
}

#[test]
fn the_maximum_lifetime_holds_for_it_too() {
    let mut machine = named_up(named(RUN));
    assert_eq!(machine.on(7_200_005, Event::Due), [&[Effect::Cut(A, CutReason::MaxLifetime)], &LETS_GO[..]].concat());
    machine.on(7_200_010, Event::Released { ok: true });
    assert_eq!(machine.state(), MachineState::Down, "somebody of it may still come");
    assert_eq!(machine.on(7_210_005, Event::Due), [Effect::Exit]);
}

#[test]
fn a_holder_that_was_dead_when_it_was_heard_gets_no_turn_while_others_live() {
    let mut machine = new(Word::Up);
    machine.on(1, Event::Join(A, Join { runners: vec![(HOLDER, false)], ..holder(RUN) }));
    machine.on(1, Event::Join(B, join(OTHER_RUN, OTHER_CARGO)));
    machine.on(2, Event::Probed { up: true });
    let refused = machine.on(3, begin(A, T1, Mode::Shared));
    assert_eq!(refused[0], Effect::Refused(A, T1, RefuseReason::RunOver));
}
