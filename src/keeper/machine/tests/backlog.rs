//! Schemas that wait to be dropped hold attempts up, and never for ever.

use super::*;

const T3: AttemptId = AttemptId(3);

/// One test runs, one waits, and too much waits to be dropped since `10`.
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
fn nobody_waits_longer_than_ten_seconds_for_it() {
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
