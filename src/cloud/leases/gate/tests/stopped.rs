//! Keepers that were stopped, or had no answer, until their lease was dead for others.

use super::*;

#[test]
fn no_test_begins_from_10_s_before_the_lease_may_be_dead() {
    let mut gate = alone();
    gate.on(20_000, Event::Due);
    gate.on(21_000, Event::Read(Seen::Unreachable));
    gate.on(21_000, Event::Found { suspended: false });
    assert_eq!(gate.on(79_999, Event::Due), [Effect::Read]);
    assert_eq!(gate.deadline(), Some(80_000));
    assert_eq!(gate.on(80_000, Event::Due), [Effect::Turns(Turns::None)]);
}

#[test]
fn a_keeper_that_was_thrown_out_joins_again_before_its_tests_go_on() {
    let mut gate = alone();
    assert_eq!(gate.on(200_000, Event::Due), [Effect::Read, Effect::Turns(Turns::None)]);
    let others = row(true, &[lease("b", SERVER + 199_000)]);
    let again = written(&mut gate, 200_000, seen(200_000, others, 9));
    assert!(again.lease("a").is_some() && again.lease("b").is_some() && again.ours);
    assert_eq!(gate.on(200_000, applied(10)), [Effect::Joined { ours: true }, Effect::Turns(Turns::Shared)]);
}

#[test]
fn a_keeper_that_was_thrown_out_tells_its_tests_if_the_cluster_went_away() {
    let stopped = |seen: Event| {
        let mut gate = alone();
        gate.on(200_000, Event::Due);
        gate.on(200_000, seen)
    };
    assert_eq!(stopped(seen(200_000, Row::closing("b", SERVER + 199_000), 9)), [Effect::Cut(CutOff::Expired)]);
    let time = ServerTime { now: SERVER + 200_000, booted: SERVER + 150_000 };
    let resumed = Event::Read(Seen::Row(row(true, &[lease("b", SERVER + 199_000)]), version(9), time));
    assert_eq!(stopped(resumed), [Effect::Cut(CutOff::Expired)]);
}

#[test]
fn a_node_that_was_started_again_costs_no_lease() {
    let mut gate = alone();
    gate.on(20_000, Event::Due);
    let time = ServerTime { now: SERVER + 20_000, booted: SERVER + 10_000 };
    let same = Event::Read(Seen::Row(row(true, &[lease("a", SERVER)]), version(2), time));
    assert!(written(&mut gate, 20_000, same).ours);
}

#[test]
fn a_keeper_that_was_stopped_while_it_left_reads_the_row_again() {
    for (taken, is_fresh) in [(20_001, true), (49_999, true), (50_000, false), (300_000, false)] {
        let mut gate = alone();
        gate.on(20_000, Event::Due);
        written(&mut gate, 20_000, seen(20_000, row(true, &[lease("a", SERVER)]), 2));
        assert_eq!(gate.on(20_001, Event::Leave(AtEnd::Auto)), [Effect::Turns(Turns::None)]);
        let effects = gate.on(taken, applied(3));
        match &effects[..] {
            [Effect::Write(row, _)] if is_fresh => assert_eq!(closing_of(row).0, "a"),
            [Effect::Read] if !is_fresh => {}
            _ => panic!("{taken}: {effects:?}"),
        }
    }
}

#[test]
fn a_renewal_whose_answer_was_taken_late_proves_nothing_about_the_time_between() {
    // Another keeper suspended the cluster meanwhile. If it runs, it was not started by the harness.
    for (booted, suspends) in [(BOOTED, true), (SERVER + 19_000, true), (SERVER + 150_000, false)] {
        let mut gate = alone();
        gate.on(20_000, Event::Due);
        written(&mut gate, 20_000, seen(20_000, row(true, &[lease("a", SERVER)]), 2));
        assert_eq!(gate.on(200_000, applied(3)), [Effect::Read, Effect::Turns(Turns::None)]);
        gate.on(200_000, Event::Leave(AtEnd::Auto));
        let time = ServerTime { now: SERVER + 200_000, booted };
        let closed = Event::Read(Seen::Row(Row::closing("b", SERVER + 18_000), version(9), time));
        let effects = gate.on(200_000, closed);
        assert_eq!(effects != [Effect::Left(Left::Running)], suspends, "{booted}: {effects:?}");
    }
}

#[test]
fn a_late_answer_does_not_make_a_keeper_alone() {
    let mut gate = joined(true, &[lease("b", SERVER)]);
    gate.on(20_000, Event::Due);
    let both = row(true, &[lease("a", SERVER), lease("b", SERVER)]);
    written(&mut gate, 20_000, seen(20_000, both, 2));
    gate.on(200_000, applied(3));
    assert!(!gate.is_alone(), "the other one lived when the row was written");
}
