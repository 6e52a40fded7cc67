//! Recordings as keepers leave them, and the sessions that they make.

use super::super::model::{AttemptResult, PhaseKind};
use super::super::price::{Price, cost_of};
use super::*;
use crate::recording::{Cluster, Event, Head, Line, State, Step};

const BEGAN: Millis = 1_790_000_000_000;

/// Writes recordings, line by line.
#[derive(Clone)]
struct Writer {
    head: Head,
    lines: Vec<Line>,
    alive: bool,
}

impl Writer {
    fn of(key: &str) -> Self {
        let head =
            Head { format: 1, project: "/p".into(), run: "r".into(), key: key.into(), began: BEGAN, ..Head::default() };
        Self { head, lines: Vec::new(), alive: false }
    }

    fn at(mut self, after: Millis) -> Self {
        self.head.began = BEGAN + after;
        self
    }

    fn named(mut self, name: &str) -> Self {
        self.head.name = Some(name.into());
        self
    }

    fn line(mut self, t: Millis, event: Event) -> Self {
        self.lines.push(Line { t, event });
        self
    }

    fn joined(self, t: Millis, c: u64) -> Self {
        self.line(t, Event::Joined { c, pid: 100 + c as u32, binary: "it".into() })
    }

    fn is(self, t: Millis, is: State) -> Self {
        self.line(t, Event::State { is })
    }

    fn up(self, t: Millis) -> Self {
        let cluster = Cluster { provider: "cloud".into(), name: "ci".into(), ..Cluster::default() };
        self.line(t, Event::Cluster(cluster)).is(t, State::Up)
    }

    fn begin(self, t: Millis, c: u64, a: u64, test: &str) -> Self {
        self.line(t, Event::Begin { c, a, test: test.into(), exclusive: test.contains("alone"), inside: false })
    }

    fn grant(self, t: Millis, c: u64, a: u64) -> Self {
        self.line(t, Event::Grant { c, a, schema: format!("s{a}"), premade: false, again: false })
    }

    fn end(self, t: Millis, c: u64, a: u64, passed: bool) -> Self {
        self.line(t, Event::End { c, a, passed, kept: !passed })
    }

    /// A test from its wish to its end.
    fn test(self, a: u64, test: &str, [asked, began, ended]: [Millis; 3]) -> Self {
        let mut all = self.begin(asked, 1, a, test).grant(began, 1, a).end(ended, 1, a, true);
        all.lines.sort_by_key(|line| line.t);
        all
    }

    fn closed(self, t: Millis, outcome: &str) -> Self {
        let closed = Event::Closed { outcome: outcome.into(), detail: String::new(), recycled: Default::default() };
        self.line(t, closed)
    }

    fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| serde_json::to_string(line).unwrap());
        let head = serde_json::to_string(&self.head).unwrap();
        std::iter::once(head).chain(lines).fold(String::new(), |text, line| text + &line + "\n")
    }

    fn tape(self) -> Tape {
        Tape { alive: self.alive, ..Tape::read(self.text().as_bytes()).unwrap() }
    }
}

fn of(writers: impl IntoIterator<Item = Writer>) -> Vec<Session> {
    sessions(writers.into_iter().map(Writer::tape).collect(), BEGAN + 60_000)
}

fn only(writers: impl IntoIterator<Item = Writer>) -> Session {
    let mut all = of(writers);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn kinds(session: &Session) -> Vec<(PhaseKind, u64, u64)> {
    session.clusters[0].phases.iter().map(|phase| (phase.kind, phase.from, phase.to)).collect()
}

fn bill_of(session: &Session) -> [u64; 4] {
    let Bill { starting_ms, running_ms, in_tests_ms, idle_ms, .. } = session.bill;
    [starting_ms, running_ms, in_tests_ms, idle_ms]
}

/// Resumed after 2 s, two tests beside each other, released after 10 s.
fn usual() -> Writer {
    Writer::of("k")
        .joined(0, 1)
        .is(0, State::Acquiring)
        .line(1, Event::Says { text: "resuming".into() })
        .up(2_000)
        .line(2_000, Event::Ready { c: 1 })
        .test(1, "m::a", [2_000, 2_001, 4_000])
        .test(2, "m::b", [2_000, 2_500, 5_000])
        .line(6_000, Event::Left { c: 1 })
        .is(6_000, State::Releasing)
        .closed(10_000, "suspended")
}

#[test]
fn a_session_has_its_phases_its_tests_and_its_bill() {
    let session = only([usual()]);
    assert_eq!((session.end, session.length, session.began_at_ms), (End::Over, 10_000, BEGAN));
    let expected =
        [(PhaseKind::Starting, 0, 2_000), (PhaseKind::Up, 2_000, 6_000), (PhaseKind::Releasing, 6_000, 10_000)];
    assert_eq!(kinds(&session), expected);
    assert_eq!(session.clusters[0].phases[0].says, ["resuming"]);
    // Both tests at the same time are paid once.
    assert_eq!(bill_of(&session), [2_000, 8_000, 2_999, 5_001]);
    assert!(!session.bill.at_least && session.notes.is_empty(), "{session:#?}");
    assert_eq!(session.results(), [("passed", 2)].into());
    let waits: Vec<_> = session.slowest_waits.iter().map(|wait| (wait.reason, wait.length)).collect();
    assert_eq!(waits, [(WaitReason::Cluster, 2_000), (WaitReason::Turn, 500)]);
}

#[test]
fn wherever_a_killed_keeper_stopped_the_report_is_whole_and_says_that_its_end_is_unknown() {
    let whole = usual();
    for count in 0..whole.lines.len() - 1 {
        let mut cut = whole.clone();
        cut.lines.truncate(count);
        let last = cut.lines.last().map_or(0, |line| line.t);
        let session = only([cut]);
        assert_eq!((session.end, session.length), (End::Unknown, last), "{count}");
        assert!(session.bill.at_least);
        assert_eq!(session.bill.running_ms, last.saturating_sub(2_000), "{count}");
        assert!(session.notes[0].contains("the end is not recorded"), "{:?}", session.notes);
        let [_, running, tests, idle] = bill_of(&session);
        assert_eq!(running, tests + idle);
    }
}

#[test]
fn the_session_of_a_living_keeper_goes_on_until_now() {
    let mut alive = Writer::of("k").joined(0, 1).up(1_000).begin(1_000, 1, 1, "m::a").grant(1_000, 1, 1);
    alive.alive = true;
    let session = only([alive]);
    assert_eq!((session.end, session.length), (End::Running, 60_000));
    assert_eq!(bill_of(&session), [0, 59_000, 59_000, 0]);
    assert_eq!(session.clusters[0].attempts[0].result, AttemptResult::Open);
    assert_eq!(session.notes, [""; 0]);
}

#[test]
fn an_attempt_whose_process_is_gone_is_lost_and_one_that_waited_is_too() {
    let session = only([Writer::of("k")
        .joined(0, 1)
        .up(0)
        .begin(0, 1, 1, "m::a")
        .grant(0, 1, 1)
        .begin(5, 1, 2, "m::b")
        .line(30, Event::Left { c: 1 })
        .closed(40, "left")]);
    let [a, b] = &session.clusters[0].attempts[..] else { panic!() };
    assert_eq!((&a.result, a.ended), (&AttemptResult::Lost, Some(30)));
    assert_eq!((&b.result, b.began, b.ended), (&AttemptResult::Lost, None, None));
    assert_eq!(bill_of(&session), [0, 40, 30, 10]);
}

#[test]
fn the_next_keeper_goes_on_with_the_attempts_of_a_killed_one() {
    let killed =
        Writer::of("k").joined(0, 1).is(0, State::Acquiring).up(1_000).begin(1_000, 1, 7, "m::a").grant(1_001, 1, 7);
    let next = Writer::of("k")
        .at(3_000)
        .joined(0, 1)
        .begin(0, 1, 7, "m::a")
        .line(0, Event::Grant { c: 1, a: 7, schema: "s7".into(), premade: false, again: true })
        .up(100)
        .end(2_000, 1, 7, true)
        .test(8, "m::b", [2_000, 2_000, 2_500])
        .closed(4_000, "suspended");
    let session = only([killed.clone(), next.clone()]);
    assert_eq!((session.end, session.clusters.len()), (End::Over, 1));
    let [a, b] = &session.clusters[0].attempts[..] else { panic!("{session:#?}") };
    assert_eq!((a.began, a.ended, &a.result), (Some(1_001), Some(5_000), &AttemptResult::Passed));
    assert_eq!((&*b.test, b.began), ("m::b", Some(5_000)));
    assert_eq!((session.clusters[0].processes.len(), session.test_processes()), (1, 1), "{session:#?}");
    // It ran in between, too: it was found running.
    assert!(kinds(&session).contains(&(PhaseKind::Up, 1_001, 3_000)), "{:?}", kinds(&session));
    // A server that is gone with its keeper did not.
    let other = Writer::of("k").at(3_000).joined(0, 1).is(50, State::Acquiring).up(100).closed(200, "removed");
    assert!(kinds(&only([killed.clone(), other])).contains(&(PhaseKind::Unknown, 1_001, 3_000)));
    // Names are used again and again, but the next session after a killed keeper goes on with it.
    assert_eq!(of([killed.clone().named("n"), next.clone().named("n")]).len(), 1);
    assert_eq!(of([killed.named("n"), next.at(2 * SOON).named("n")]).len(), 2);
}

#[test]
fn a_test_that_waited_while_its_keeper_was_killed_is_one_test() {
    let killed = Writer::of("k").joined(0, 1).up(0).begin(10, 1, 7, "m::a").grant(11, 1, 7).begin(20, 1, 8, "m::b");
    let next = Writer::of("k").at(3_000).joined(0, 1).begin(0, 1, 8, "m::b").up(100).grant(500, 1, 8);
    let session = only([killed, next.end(600, 1, 8, true).closed(700, "suspended")]);
    let [a, b] = &session.clusters[0].attempts[..] else { panic!("{session:#?}") };
    assert_eq!((&*a.test, &*b.test), ("m::a", "m::b"));
    assert_eq!((b.asked, b.began, &b.result), (20, Some(3_500), &AttemptResult::Passed));
}

#[test]
fn a_keeper_comes_after_the_one_before_it_whatever_the_clock_says() {
    let killed = Writer::of("k").joined(0, 1).up(0).begin(10, 1, 7, "m::a").grant(5_000, 1, 7);
    // Its clock is three seconds behind.
    let next = Writer::of("k").at(2_000).joined(0, 1).begin(0, 1, 7, "m::a");
    let again = Event::Grant { c: 1, a: 7, schema: "s7".into(), premade: false, again: true };
    let session = only([killed, next.line(0, again).up(0).end(5, 1, 7, true).closed(10, "suspended")]);
    let [a] = &session.clusters[0].attempts[..] else { panic!("{session:#?}") };
    assert_eq!((a.began, a.ended), (Some(5_000), Some(5_005)));
    assert_eq!(bill_of(&session), [0, 5_010, 5, 5_005]);
}

#[test]
fn a_price_is_for_clusters_of_the_cloud_if_there_are_some() {
    let price = Price::read("3.6", "--price").unwrap();
    let local = |provider: &str| {
        let cluster = Cluster { provider: provider.into(), name: "l".into(), ..Cluster::default() };
        Writer::of("l").joined(0, 1).line(0, Event::Cluster(cluster)).is(0, State::Up).closed(4_000, "removed")
    };
    let costs = |session: &mut Session| {
        session.price(&price);
        (session.bill.cost.as_ref().unwrap().amount * 1_000_000.0).round()
    };
    // From 2 s to 10 s.
    let mut mixed = only([usual(), local("process")]);
    assert_eq!((mixed.bill.running_ms, costs(&mut mixed)), (12_000, 8_000.0));
    let mut alone = only([local("process")]);
    assert_eq!(costs(&mut alone), 4_000.0);
    let both = [mixed, alone];
    let sum = cost_of(&both).unwrap();
    assert_eq!((sum.amount * 1_000_000.0).round(), 12_000.0);
}

#[test]
fn clusters_of_one_run_are_one_session_and_their_time_is_added_up() {
    let session = only([usual(), Writer { head: Head { key: "other".into(), ..usual().head }, ..usual() }.at(1_000)]);
    assert_eq!((session.clusters.len(), session.length), (2, 11_000));
    assert_eq!(bill_of(&session), [4_000, 16_000, 5_998, 10_002]);
    assert_eq!(session.clusters[1].attempts[0].asked, 3_000);
}

#[test]
fn sessions_beside_each_other_in_one_keeper_are_apart_and_their_common_time_counts_once() {
    let mut other = usual().at(4_000);
    other.head.run = "s".into();
    let all = of([usual(), other]);
    assert_eq!(all.iter().map(|one| one.began_at_ms - BEGAN).collect::<Vec<_>>(), [4_000, 0], "the last is first");
    let sum = bill(&all);
    // From 2 s to 10 s and from 6 s to 14 s.
    assert_eq!(sum.running_ms, 12_000);
    assert_eq!((sum.in_tests_ms, sum.idle_ms), (2 * 2_999, 12_000 - 2 * 2_999));
    assert_ne!(all[0].id, all[1].id);
}

#[test]
fn a_name_means_the_next_session_after_the_end_of_the_one_before() {
    let nightly = |after| usual().named("nightly").at(after);
    assert_eq!(of([nightly(0), nightly(20_000)]).len(), 2);
    // Another cluster of the same session, and one of the next.
    let other = |after| Writer { head: Head { key: "o".into(), ..nightly(after).head }, ..nightly(after) };
    assert_eq!(of([nightly(0), other(5_000)]).len(), 1);
    assert_eq!(of([nightly(0), other(20_000)]).len(), 2);
}

#[test]
fn a_clock_that_is_set_back_makes_no_time_negative_and_is_told() {
    let second = Writer { head: Head { key: "o".into(), began: BEGAN - 86_400_000, ..usual().head }, ..usual() };
    let session = only([usual(), second]);
    assert_eq!(session.length, 10_000);
    assert!(session.notes[0].contains("clock was set back"), "{:?}", session.notes);
    let mut alive = usual();
    (alive.alive, alive.head.began) = (true, BEGAN + 999_999_999);
    alive.lines.pop();
    assert_eq!(only([alive]).length, 6_000, "now is before it began");
}

#[test]
fn waits_say_what_was_waited_for() {
    let session = only([Writer::of("k")
        .joined(0, 1)
        .up(0)
        .test(1, "m::alone", [0, 0, 900])
        .test(2, "m::b", [100, 950, 960])
        .begin(1_000, 1, 3, "m::c")
        .line(1_050, Event::Turn { c: 1, a: 3 })
        .grant(1_400, 1, 3)
        .end(1_500, 1, 3, false)
        .closed(1_600, "left")]);
    let waits: Vec<_> =
        session.slowest_waits.iter().map(|one| (one.reason, &*one.who, one.length, one.behind.as_deref())).collect();
    let expected = [
        (WaitReason::Turn, "m::b", 850, Some("m::alone")),
        (WaitReason::Schema, "m::c", 350, None),
        (WaitReason::Turn, "m::c", 50, None),
    ];
    assert_eq!(waits[1..], expected);
    // The process never heard of the cluster.
    assert_eq!(waits[0], (WaitReason::Cluster, "it", 1_600, None));
}

#[test]
fn steps_have_a_beginning_and_an_end_also_where_one_is_missing() {
    let step = |step, on| Event::Step { step, on };
    let session = only([Writer::of("k")
        .up(0)
        .line(10, step(Step::Cleaning, true))
        .line(15, step(Step::Cleaning, true))
        .line(20, step(Step::Cleaning, false))
        .line(25, step(Step::Restore, false))
        .line(30, step(Step::Look, true))
        .closed(50, "left")]);
    let steps: Vec<_> = session.clusters[0].steps.iter().map(|one| (one.kind, one.from, one.to)).collect();
    assert_eq!(steps, [(PhaseKind::Cleaning, 10, 20), (PhaseKind::Look, 30, 50)]);
}

#[test]
fn events_that_were_lost_leave_no_hole_that_is_not_told() {
    let session = only([Writer::of("k")
        .up(0)
        .line(5, Event::Gap { lines: 3 })
        .grant(10, 4, 1)
        .end(20, 4, 1, true)
        .end(20, 4, 2, true)
        .line(25, Event::Full)
        .closed(30, "left")]);
    assert_eq!(session.clusters[0].attempts.len(), 1);
    assert_eq!(session.clusters[0].processes[0].program, "(not recorded)");
    assert!(session.notes[0].contains("3 events were not written"), "{:?}", session.notes);
    assert!(session.notes[1].contains("full 25 ms after its beginning"), "{:?}", session.notes);
}

#[test]
fn a_session_that_began_twice_in_a_refused_attempt_has_its_reason() {
    let why = "it waited too long for its turn";
    let session = only([Writer::of("k")
        .joined(0, 1)
        .up(0)
        .begin(1, 1, 1, "m::a")
        .line(9, Event::Refuse { c: 1, a: 1, why: why.into() })
        .line(10, Event::Left { c: 1 })
        .closed(11, "left")]);
    assert_eq!(session.clusters[0].attempts[0].result, AttemptResult::Refused(why.into()));
    assert_eq!(session.bill.in_tests_ms, 0);
}

/// Whatever lines are lost, out of order or twice there, a report can be made and its bill adds up.
#[test]
fn no_order_of_lines_breaks_a_report() {
    use proptest::prelude::*;
    let lines = usual().line(1, Event::Step { step: Step::Restore, on: true }).lines;
    let picks = prop::collection::vec((0..lines.len(), 0_u64..9_000), 0..30);
    proptest!(|(picks in picks)| {
        let picked = picks.iter().map(|(at, t)| Line { t: *t, event: lines[*at].event.clone() });
        let session = only([Writer { lines: picked.collect(), ..usual() }]);
        let [_, running, tests, idle] = bill_of(&session);
        prop_assert_eq!(running, tests + idle);
        prop_assert!(running <= session.length);
        let phases = &session.clusters[0].phases;
        prop_assert!(phases.windows(2).all(|pair| pair[0].to == pair[1].from), "{:?}", phases);
        for one in &session.clusters[0].attempts {
            prop_assert!(one.process < session.clusters[0].processes.len());
            prop_assert!(one.began.is_none_or(|began| began >= one.asked && one.ended.is_none_or(|end| end >= began)));
        }
    });
}
