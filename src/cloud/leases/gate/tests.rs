//! The decisions of the gate, one in each test.

mod exclusive;
mod stopped;

use super::*;
use crate::sharing::CutOff;

/// The server's clock is far from the local one, and the server was started a minute before.
const SERVER: Millis = 1_700_000_000_000;
const BOOTED: Millis = SERVER - 60_000;

fn lease(id: &str, renewed: Millis) -> Lease {
    Lease { id: id.to_owned(), joined: renewed, renewed, ..Lease::default() }
}

fn row(ours: bool, leases: &[Lease]) -> Row {
    Row { ours, leases: leases.to_vec(), ..Row::empty(SERVER) }
}

fn version(seq_no: i64) -> RowVersion {
    RowVersion { seq_no, primary_term: 1 }
}

/// Returns an answer at the local time `now`: the server's clock runs as fast.
fn seen(now: Millis, row: Row, seq_no: i64) -> Event {
    Event::Read(Seen::Row(row, version(seq_no), time(now)))
}

fn time(now: Millis) -> ServerTime {
    ServerTime { now: SERVER + now, booted: BOOTED }
}

fn applied(seq_no: i64) -> Event {
    Event::Wrote(Written::Applied(version(seq_no)))
}

fn new() -> Gate {
    Gate::new(lease("a", 0), Memory::default(), Limits::default())
}

/// Feeds an event whose only effect is a write, and returns the row.
#[track_caller]
fn written(gate: &mut Gate, now: Millis, event: Event) -> Row {
    let effects = gate.on(now, event);
    match &effects[..] {
        [Effect::Write(row, _)] | [Effect::Insert(row)] => row.clone(),
        _ => panic!("{effects:?}"),
    }
}

/// Returns a gate that joined at 0 with the version 2 of a row with these other leases.
fn joined(ours: bool, others: &[Lease]) -> Gate {
    let mut gate = new();
    assert_eq!(gate.on(0, Event::Join { woken: false }), [Effect::Read]);
    let row = written(&mut gate, 0, seen(0, row(ours, others), 1));
    assert_eq!(row.lease("a").unwrap().renewed, SERVER);
    assert_eq!(gate.on(0, applied(2))[0], Effect::Joined { ours });
    gate
}

/// Returns a gate that is alone on a cluster that it woke.
fn alone() -> Gate {
    joined(true, &[])
}

fn closing_of(row: &Row) -> (&str, Millis) {
    match &row.state {
        RowState::Closing { by, since } => (by, *since),
        RowState::Open => panic!("{row:?}"),
    }
}

#[test]
fn an_acquisition_takes_two_statements_and_a_suspension_one() {
    let mut gate = new();
    assert_eq!(gate.on(0, Event::Join { woken: true }), [Effect::Read]);
    let mine = written(&mut gate, 3, seen(0, Row::closing("z", BOOTED - 1), 7));
    assert!(mine.ours && mine.state == RowState::Open && mine.leases.len() == 1);
    assert_eq!(gate.on(6, applied(8)), [Effect::Joined { ours: true }, Effect::Turns(Turns::Shared)]);
    let effects = gate.on(5_000, Event::Leave(AtEnd::Auto));
    let [Effect::Write(closing, expected), Effect::Turns(Turns::None)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((closing_of(closing), *expected), (("a", SERVER + 4_997), version(8)));
    assert_eq!(gate.on(5_004, applied(9)), [Effect::Suspend { before: 19_997 }]);
    assert_eq!(gate.on(9_000, Event::Suspended { done: true }), [Effect::Left(Left::Suspended)]);
    assert_eq!(gate.deadline(), None);
}

#[test]
fn the_first_one_makes_the_table_and_the_row() {
    for woken in [true, false] {
        let mut gate = new();
        gate.on(0, Event::Join { woken });
        assert_eq!(gate.on(1, Event::Read(Seen::NoTable)), [Effect::MakeTable]);
        assert_eq!(gate.on(2, Event::TableMade(Ok(()))), [Effect::Read]);
        let effects = gate.on(3, Event::Read(Seen::NoRow(time(3))));
        let [Effect::Insert(first)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!((first.ours, first.leases.len()), (woken, 1), "nobody can have been there");
    }
}

#[test]
fn a_lease_is_renewed_every_20_s_with_the_servers_time() {
    let mut gate = alone();
    assert_eq!(gate.deadline(), Some(20_000));
    assert_eq!(gate.on(19_999, Event::Due), []);
    assert_eq!(gate.on(20_000, Event::Due), [Effect::Read]);
    let renewed = written(&mut gate, 20_000, seen(20_000, row(true, &[lease("a", SERVER)]), 2));
    assert_eq!(renewed.leases[0].renewed, SERVER + 20_000);
    assert_eq!(gate.on(20_000, applied(3)), []);
    assert_eq!(gate.deadline(), Some(40_000));
}

#[test]
fn others_are_looked_at_every_second() {
    let mut gate = joined(true, &[lease("b", SERVER)]);
    assert_eq!(gate.deadline(), Some(1_000));
    assert_eq!(gate.on(1_000, Event::Due), [Effect::Read]);
    let same = row(true, &[lease("b", SERVER), lease("a", SERVER)]);
    assert_eq!(gate.on(1_000, seen(1_000, same, 2)), [], "nothing to write");
    assert_eq!(gate.deadline(), Some(2_000));
}

#[test]
fn a_renewal_removes_the_dead_after_90_s_and_not_before() {
    for (age, stays) in [(90_000, true), (90_001, false)] {
        let mut gate = alone();
        gate.on(20_000, Event::Due);
        let other = lease("b", SERVER + 20_000 - age);
        let renewed = written(&mut gate, 20_000, seen(20_000, row(true, &[lease("a", SERVER), other]), 2));
        assert_eq!(renewed.lease("b").is_some(), stays, "{age}");
    }
}

#[test]
fn the_last_but_one_only_removes_its_lease() {
    let mut gate = joined(true, &[lease("b", SERVER)]);
    let effects = gate.on(500, Event::Leave(AtEnd::Auto));
    let Effect::Write(rest, _) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!((rest.ours, &rest.leases), (true, &vec![lease("b", SERVER)]));
    // The other one may be dead, and shows that it is not.
    assert_eq!(gate.on(500, applied(3)), []);
    assert_eq!(gate.on(1_500, Event::Due), [Effect::Read]);
    let same = row(true, &[lease("b", SERVER)]);
    assert_eq!(gate.on(1_500, seen(1_500, same.clone(), 3)), []);
    gate.on(2_500, Event::Due);
    let renewed = row(true, &[lease("b", SERVER + 2_000)]);
    assert_eq!(gate.clone().on(2_500, seen(2_500, renewed, 4)), [Effect::Left(Left::InUse)]);
    // Or it is dead, and was the last one.
    gate.on(2_500, seen(2_500, same.clone(), 3));
    gate.on(90_001, Event::Due);
    let closing = written(&mut gate, 90_001, seen(90_001, same, 3));
    assert_eq!(closing_of(&closing), ("a", SERVER + 90_001));
}

#[test]
fn a_keeper_from_which_another_takes_leave_shows_that_it_lives() {
    let mut gate = joined(true, &[lease("b", SERVER)]);
    gate.on(1_000, Event::Due);
    let left = written(&mut gate, 1_000, seen(1_000, row(true, &[lease("a", SERVER)]), 3));
    assert_eq!(left.lease("a").unwrap().renewed, SERVER + 1_000);
    // Once is enough.
    assert_eq!(gate.on(1_000, applied(4)), []);
    assert_eq!(gate.deadline(), Some(21_000));
}

#[test]
fn nothing_is_suspended_if_another_keeper_came_before_the_closing() {
    let mut gate = alone();
    let effects = gate.on(5_000, Event::Leave(AtEnd::Auto));
    assert!(matches!(effects[0], Effect::Write(..)), "{effects:?}");
    assert_eq!(gate.on(5_000, Event::Wrote(Written::Lost)), [Effect::Read]);
    let came = row(true, &[lease("a", SERVER), lease("b", SERVER + 4_900)]);
    let rest = written(&mut gate, 5_000, seen(5_000, came, 3));
    assert_eq!((&rest.state, rest.lease("a")), (&RowState::Open, None));
    assert_eq!(gate.on(5_000, applied(4)), []);
}

#[test]
fn a_lease_counts_until_90_s_after_its_renewal() {
    for (age, counts) in [(0, true), (30_001, true), (90_000, true), (90_001, false)] {
        let mut gate = joined(true, &[]);
        gate.on(20_000, Event::Due);
        let other = lease("b", SERVER + 20_000 - age);
        gate.on(20_000, seen(20_000, row(true, &[lease("a", SERVER + 19_000), other]), 2));
        let effects = gate.on(20_000, Event::Leave(AtEnd::Auto));
        let Effect::Write(row, _) = &effects[0] else { panic!("{age}: {effects:?}") };
        assert_eq!(row.state == RowState::Open, counts, "{age}: {row:?}");
    }
}

#[test]
fn a_request_leaves_within_15_s_after_the_closing_or_after_another_one() {
    for (late, suspends) in [(14_999, true), (15_000, false)] {
        let mut gate = alone();
        gate.on(1_000, Event::Leave(AtEnd::Auto));
        // The process was stopped before it took the answer.
        let effects = gate.on(1_000 + late, applied(3));
        match (&effects[..], suspends) {
            ([Effect::Suspend { before: 16_000 }], true) => {}
            ([Effect::Read], false) => {
                let again = written(&mut gate, 16_000, seen(16_000, Row::closing("a", SERVER + 1_000), 3));
                assert_eq!(closing_of(&again), ("a", SERVER + 16_000));
            }
            _ => panic!("{late}: {effects:?}"),
        }
    }
}

#[test]
fn a_request_that_failed_is_not_sent_again_before_the_closing_is_confirmed() {
    let mut gate = alone();
    gate.on(1_000, Event::Leave(AtEnd::Auto));
    gate.on(1_000, applied(3));
    assert_eq!(gate.on(2_000, Event::Suspended { done: false }), [Effect::Left(Left::Owed)]);
    assert_eq!(gate.on(3_000, Event::Leave(AtEnd::Auto)), [Effect::Read]);
    let again = written(&mut gate, 3_000, seen(3_000, Row::closing("a", SERVER + 1_000), 3));
    assert_eq!(closing_of(&again), ("a", SERVER + 3_000));
    assert_eq!(gate.on(3_000, applied(4)), [Effect::Suspend { before: 18_000 }]);

    gate.on(4_000, Event::Suspended { done: false });
    gate.on(4_400, Event::Leave(AtEnd::Auto));
    let taken_over = row(true, &[lease("b", SERVER + 4_500)]);
    assert_eq!(gate.on(5_000, seen(5_000, taken_over, 5)), [Effect::Left(Left::InUse)]);
}

#[test]
fn a_closing_without_an_answer_is_recognised() {
    let mut gate = alone();
    gate.on(1_000, Event::Leave(AtEnd::Auto));
    assert_eq!(gate.on(6_000, Event::Wrote(Written::Unknown)), [Effect::Read]);
    // Applied: written again, since the row may be what a late copy of the same write made it.
    let again = written(&mut gate, 6_000, seen(6_000, Row::closing("a", SERVER + 1_000), 3));
    assert_eq!(closing_of(&again), ("a", SERVER + 6_000));

    let mut gate = alone();
    gate.on(1_000, Event::Leave(AtEnd::Auto));
    gate.on(6_000, Event::Wrote(Written::Unknown));
    let closing = written(&mut gate, 6_000, seen(6_000, row(true, &[lease("a", SERVER)]), 2));
    assert_eq!(closing_of(&closing), ("a", SERVER + 6_000), "not applied: decided anew");
}

#[test]
fn a_join_without_an_answer_is_decided_anew() {
    for there in [true, false] {
        let mut gate = new();
        gate.on(0, Event::Join { woken: true });
        written(&mut gate, 0, seen(0, Row::closing("z", BOOTED - 1), 1));
        assert_eq!(gate.on(5_000, Event::Wrote(Written::Unknown)), [Effect::Read]);
        let found = if there { row(true, &[lease("a", SERVER)]) } else { Row::closing("z", BOOTED - 1) };
        let mine = written(&mut gate, 5_000, seen(5_000, found, 2));
        assert_eq!((mine.ours, mine.leases.len()), (true, 1), "{there}");
    }
}

#[test]
fn a_closing_is_waited_for_then_looked_at_and_taken_over_after_30_s() {
    let since = SERVER - 20_000;
    let closing = || Row { written: since, ..Row::closing("b", since) };
    let mut gate = new();
    gate.on(0, Event::Join { woken: false });
    assert_eq!(gate.on(0, seen(0, closing(), 1)), []);
    assert_eq!(gate.deadline(), Some(1_000));
    assert_eq!(gate.on(1_000, Event::Due), [Effect::MakeAvailable]);
    assert_eq!(gate.on(9_999, Event::Available { woken: false }), [Effect::Read]);
    assert_eq!(gate.on(9_999, seen(9_999, closing(), 1)), [], "29,999 ms");
    gate.on(10_999, Event::Due);
    gate.on(10_999, Event::Available { woken: false });
    assert_eq!(gate.on(10_999, seen(10_999, closing(), 1)), [Effect::MakeAvailable], "one more look");
    assert_eq!(gate.on(11_000, Event::Available { woken: false }), [Effect::Read]);
    let mine = written(&mut gate, 11_000, seen(11_000, closing(), 1));
    assert_eq!((mine.state, mine.ours, mine.leases.len()), (RowState::Open, true, 1));
}

#[test]
fn a_closing_whose_owner_speaks_again_is_not_taken_over() {
    let mut gate = new();
    gate.on(0, Event::Join { woken: false });
    assert_eq!(gate.on(0, seen(0, Row::closing("b", SERVER - 30_000), 1)), [Effect::MakeAvailable]);
    gate.on(0, Event::Available { woken: false });
    assert_eq!(gate.on(0, seen(0, Row::closing("b", SERVER - 1), 2)), []);
}

#[test]
fn a_closing_that_was_followed_by_a_start_is_over() {
    // A keeper woke it: it is ours. A person did: it is not.
    for woken in [true, false] {
        let mut gate = new();
        gate.on(0, Event::Join { woken });
        let mine = written(&mut gate, 0, seen(0, Row::closing("b", BOOTED - 1), 1));
        assert_eq!((mine.state, mine.ours), (RowState::Open, woken));
    }
    let mut gate = new();
    gate.on(0, Event::Join { woken: true });
    assert_eq!(
        gate.on(0, seen(0, Row::closing("b", BOOTED), 1)),
        [Effect::MakeAvailable],
        "a new one, after the start"
    );
}

#[test]
fn what_was_found_running_is_left_running() {
    let mut gate = joined(false, &[]);
    let effects = gate.on(0, Event::Leave(AtEnd::Auto));
    let Effect::Write(rest, _) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!((rest.ours, rest.leases.len(), &rest.state), (false, 0, &RowState::Open));
    assert_eq!(gate.on(0, applied(3)), [Effect::Left(Left::Running)]);
}

#[test]
fn what_another_keeper_woke_is_not_found_running() {
    // The row of a live lease, and one that a dead keeper of this life of the server left.
    for renewed in [SERVER - 1_000, SERVER - 95_000] {
        let mut gate = new();
        gate.on(0, Event::Join { woken: false });
        let found = Row { written: BOOTED, ..row(true, &[lease("b", renewed)]) };
        assert!(written(&mut gate, 0, seen(0, found, 1)).ours, "{renewed}");
    }
    let mut gate = new();
    gate.on(0, Event::Join { woken: false });
    let stale = Row { written: BOOTED - 1, ..row(true, &[lease("b", SERVER - 95_000)]) };
    assert!(!written(&mut gate, 0, seen(0, stale, 1)).ours, "started by a person since");
}

#[test]
fn the_policy_decides_about_the_last_one_only() {
    let mut gate = joined(false, &[]);
    let effects = gate.on(0, Event::Leave(AtEnd::Suspend));
    assert!(matches!(&effects[0], Effect::Write(row, _) if row.state != RowState::Open), "{effects:?}");

    let mut gate = alone();
    let effects = gate.on(0, Event::Leave(AtEnd::Keep));
    assert!(matches!(&effects[0], Effect::Write(row, _) if !row.ours), "a sweep must leave it: {effects:?}");
    assert_eq!(gate.on(0, applied(3)), [Effect::Left(Left::Running)]);

    let mut gate = joined(true, &[lease("b", SERVER)]);
    let effects = gate.on(0, Event::Leave(AtEnd::Keep));
    assert!(matches!(&effects[0], Effect::Write(row, _) if row.ours), "the other one decides: {effects:?}");
}

#[test]
fn a_sweep_suspends_what_the_harness_started_and_all_have_left() {
    let leave = |found: Row| {
        let mut sweep = new();
        assert_eq!(sweep.on(0, Event::Leave(AtEnd::Auto)), [Effect::Read]);
        sweep.on(0, seen(0, found, 1))
    };
    let dead = lease("b", SERVER - 90_001);
    assert!(
        matches!(&leave(row(true, std::slice::from_ref(&dead)))[..], [Effect::Write(row, _)] if row.state != RowState::Open)
    );
    assert_eq!(leave(row(false, std::slice::from_ref(&dead))), [Effect::Left(Left::Running)]);
    assert_eq!(leave(row(true, &[lease("b", SERVER)])), [], "it waits for a sign of life");
    let before = Row { written: BOOTED - 1, ..row(true, &[dead]) };
    assert_eq!(leave(before), [Effect::Left(Left::Running)], "a keeper is about to join, or a person started it");
    assert_eq!(leave(Row::closing("b", SERVER - 29_999)), [], "its owner is at it");
    assert_eq!(leave(Row::closing("b", SERVER - 30_000)), [Effect::Look { wait: true }]);

    let mut sweep = new();
    sweep.on(0, Event::Leave(AtEnd::Auto));
    assert_eq!(sweep.on(0, Event::Read(Seen::NoTable)), [Effect::Left(Left::Running)]);
}

#[test]
fn a_suspension_by_a_person_is_told() {
    let mut gate = alone();
    gate.on(20_000, Event::Due);
    assert_eq!(gate.on(25_000, Event::Read(Seen::Unreachable)), [Effect::Look { wait: false }]);
    let told = [Effect::Cut(CutOff::Suspended), Effect::Turns(Turns::None)];
    assert_eq!(gate.on(25_100, Event::Found { suspended: true }), told);
    assert_eq!(gate.on(26_000, Event::Leave(AtEnd::Auto)), [Effect::Read]);
    assert_eq!(gate.on(26_000, Event::Read(Seen::Unreachable)), [Effect::Look { wait: true }]);
    assert_eq!(gate.on(26_000, Event::Found { suspended: true }), [Effect::Left(Left::Suspended)]);

    let mut gate = alone();
    assert_eq!(gate.on(5_000, Event::Found { suspended: true }), told, "unasked, as tests had errors");
}

#[test]
fn without_sql_at_the_end_one_that_was_alone_suspends() {
    let mut gate = alone();
    gate.on(5_000, Event::Leave(AtEnd::Auto));
    assert_eq!(gate.on(10_000, Event::Wrote(Written::Unknown)), [Effect::Read]);
    assert_eq!(gate.on(15_000, Event::Read(Seen::Unreachable)), [Effect::Look { wait: true }]);
    assert_eq!(gate.on(15_100, Event::Found { suspended: false }), [Effect::Read]);
    assert_eq!(gate.on(20_000, Event::Read(Seen::Unreachable)), [Effect::Suspend { before: 35_000 }]);
}

#[test]
fn without_sql_at_the_end_one_that_was_not_alone_tries_for_10_minutes() {
    let mut gate = joined(true, &[lease("b", SERVER)]);
    gate.on(0, Event::Leave(AtEnd::Auto));
    let mut now = 0;
    let effects = loop {
        let silent = match gate.on(now, Event::Wrote(Written::Unknown)).is_empty() {
            true => gate.on(now, Event::Due),
            false => vec![Effect::Read],
        };
        assert_eq!(silent, [Effect::Read], "{now}");
        assert_eq!(gate.on(now, Event::Read(Seen::Unreachable)), [Effect::Look { wait: true }]);
        gate.on(now, Event::Found { suspended: false });
        let effects = gate.on(now, Event::Read(Seen::Unreachable));
        if !effects.is_empty() {
            break effects;
        }
        assert_eq!(gate.deadline(), Some(now + 5_000));
        now += 5_000;
    };
    assert_eq!((effects, now), (vec![Effect::Left(Left::Owed)], 600_000));
}

#[test]
fn without_a_row_the_machine_counts_as_the_only_one_and_says_so_once() {
    let refusals = [
        (Event::Read(Seen::NoTable), Event::TableMade(Err("no right".to_owned()))),
        (seen(0, row(false, &[]), 1), Event::Wrote(Written::Refused("read-only".to_owned()))),
    ];
    for (answer, refusal) in refusals {
        let mut gate = new();
        gate.on(0, Event::Join { woken: true });
        gate.on(0, answer);
        let effects = gate.on(0, refusal);
        let [Effect::Report(line), Effect::Joined { ours: true }, Effect::Turns(Turns::Shared)] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert!(line.contains("no right") || line.contains("read-only"), "{line}");
        assert_eq!(gate.deadline(), None);
        assert_eq!(gate.on(100, Event::WantAlone(true)), [Effect::Turns(Turns::Alone)]);
        let left = gate.on(200, Event::Leave(AtEnd::Auto));
        assert_eq!(left, [Effect::Suspend { before: 15_200 }, Effect::Turns(Turns::None)]);
    }
}

#[test]
fn a_newer_row_is_never_changed_and_its_cluster_never_suspended() {
    let mut gate = new();
    gate.on(0, Event::Join { woken: true });
    let effects = gate.on(0, Event::Read(Seen::Newer));
    let [Effect::Report(_), Effect::Joined { ours: false }, Effect::Turns(Turns::Shared)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(gate.on(1, Event::Leave(AtEnd::Suspend))[0], Effect::Left(Left::Newer));
}

#[test]
fn a_damaged_or_deleted_row_counts_others_that_come_back_within_a_minute() {
    for (answer, inserts) in [(Seen::NoRow(time(20_000)), true), (Seen::Damaged(version(5), time(20_000)), false)] {
        let mut gate = alone();
        gate.on(20_000, Event::Due);
        let effects = gate.on(20_000, Event::Read(answer));
        let again = match (&effects[0], inserts) {
            (Effect::Insert(row), true) | (Effect::Write(row, _), false) => row.clone(),
            _ => panic!("{effects:?}"),
        };
        assert_eq!((again.ours, again.leases.len()), (true, 2), "what this keeper knows stays");
        gate.on(20_000, applied(6));
        let effects = gate.on(20_000, Event::Leave(AtEnd::Auto));
        let Effect::Write(rest, _) = &effects[0] else { panic!("{effects:?}") };
        let rest = rest.clone();
        assert_eq!(gate.on(20_000, applied(7)), [], "it waits for the unknown ones");
        gate.on(79_000, Event::Due);
        assert_eq!(gate.on(79_000, seen(79_000, rest.clone(), 7)), []);
        gate.on(80_001, Event::Due);
        assert_eq!(closing_of(&written(&mut gate, 80_001, seen(80_001, rest, 7))).0, "a");
    }
}

#[test]
fn a_killed_keepers_successor_settles_what_it_began() {
    // It had asked for a resumption and had not joined.
    let mut gate = Gate::new(lease("a", 0), Memory { woken: true, ..Memory::default() }, Limits::default());
    gate.on(0, Event::Leave(AtEnd::Auto));
    let closing = written(&mut gate, 0, seen(0, Row::closing("z", BOOTED - 1), 1));
    assert_eq!(closing_of(&closing).0, "a");

    // It had closed, and may have asked for the suspension.
    let mut gate = new();
    gate.on(0, Event::Leave(AtEnd::Auto));
    let closing = written(&mut gate, 0, seen(0, Row::closing("a", SERVER - 1_000), 1));
    assert_eq!(closing_of(&closing), ("a", SERVER));
    let mut gate = new();
    gate.on(0, Event::Join { woken: false });
    assert_eq!(gate.on(0, seen(0, Row::closing("a", SERVER - 1_000), 1)), [], "the request may be on its way");
}

#[test]
fn a_successor_without_sql_follows_the_journal() {
    for (alone, suspends) in [(true, true), (false, false)] {
        let mut gate = Gate::new(lease("a", 0), Memory { woken: false, ours: true, alone }, Limits::default());
        assert_eq!(gate.on(0, Event::Leave(AtEnd::Auto)), [Effect::Read]);
        gate.on(0, Event::Read(Seen::Unreachable));
        gate.on(0, Event::Found { suspended: false });
        let effects = gate.on(0, Event::Read(Seen::Unreachable));
        assert_eq!(effects == [Effect::Suspend { before: 15_000 }], suspends, "{effects:?}");
    }
}
