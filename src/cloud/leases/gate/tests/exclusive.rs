//! Tests that want the cluster alone, on one machine of several.

use super::*;

#[test]
fn an_exclusive_test_waits_until_the_others_are_drained() {
    let mut gate = joined(true, &[lease("b", SERVER)]);
    let wish = written(&mut gate, 100, Event::WantAlone(true));
    assert_eq!(wish.lease("a").unwrap().wish, Some(1));
    assert_eq!(gate.on(100, applied(3)), []);
    let mut drained = wish.clone();
    drained.leases.iter_mut().filter(|lease| lease.id == "b").for_each(|lease| lease.drained = true);
    gate.on(1_000, Event::Due);
    assert_eq!(gate.on(1_000, seen(1_000, drained, 4)), [Effect::Turns(Turns::Alone)]);
    let effects = gate.on(1_500, Event::WantAlone(false));
    assert!(matches!(&effects[0], Effect::Write(row, _) if row.lease("a").unwrap().wish.is_none()), "{effects:?}");
    // The others may have read that before its answer is here.
    assert_eq!(gate.on(1_501, Event::WantAlone(true)), []);
    assert_eq!(gate.turns(), Turns::Shared);
    let again = written(&mut gate, 1_502, applied(5));
    assert_eq!(again.lease("a").unwrap().wish, Some(1));
    assert_eq!(gate.on(1_503, applied(6)), [Effect::Turns(Turns::Alone)]);
}

#[test]
fn a_keeper_drains_for_another_and_begins_again_once_the_row_says_so() {
    let wish = |wish| Lease { wish, ..lease("b", SERVER) };
    let mut gate = joined(true, &[lease("b", SERVER)]);
    gate.on(1_000, Event::Due);
    let wanted = row(true, &[wish(Some(1)), lease("a", SERVER)]);
    assert_eq!(gate.on(1_000, seen(1_000, wanted.clone(), 3)), [Effect::Turns(Turns::None)]);
    let drained = written(&mut gate, 1_500, Event::Quiet);
    assert!(drained.lease("a").unwrap().drained);
    assert_eq!(gate.on(1_500, applied(4)), []);

    gate.on(2_500, Event::Due);
    let mut over = drained;
    over.leases.iter_mut().for_each(|lease| lease.wish = None);
    let back = written(&mut gate, 2_500, seen(2_500, over, 5));
    assert!(!back.lease("a").unwrap().drained);
    assert_eq!(gate.turns(), Turns::None, "another wish may come first");
    assert_eq!(gate.on(2_500, applied(6)), [Effect::Turns(Turns::Shared)]);
}

#[test]
fn a_keeper_that_joins_under_a_wish_is_drained_from_the_beginning() {
    let mut gate = new();
    gate.on(0, Event::Join { woken: false });
    let wish = Lease { wish: Some(1), ..lease("b", SERVER) };
    assert!(written(&mut gate, 0, seen(0, row(true, &[wish]), 1)).lease("a").unwrap().drained);
    assert_eq!(gate.on(0, applied(2)), [Effect::Joined { ours: true }, Effect::Turns(Turns::None)]);
}

#[test]
fn the_wish_of_a_dead_keeper_counts_no_more() {
    let mut gate = joined(true, &[Lease { wish: Some(1), ..lease("b", SERVER - 80_000) }]);
    assert_eq!(gate.turns(), Turns::None);
    let back = written(&mut gate, 10_001, Event::Due);
    assert!(!back.lease("a").unwrap().drained);
    assert!(gate.on(10_001, applied(3)).contains(&Effect::Turns(Turns::Shared)));
}

#[test]
fn a_wish_stands_behind_earlier_ones() {
    let mut gate = joined(true, &[Lease { wish: Some(7), ..lease("b", SERVER) }]);
    let wish = written(&mut gate, 0, Event::WantAlone(true));
    assert_eq!(wish.lease("a").unwrap().wish, Some(8));
    gate.on(0, applied(3));
    assert_eq!(gate.turns(), Turns::None);
}
