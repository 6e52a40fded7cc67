//! The bill: how long clusters ran, in tests and idle. Time that several sessions of this machine shared is counted
//! once in their sum.

use std::collections::BTreeMap;

use super::model::{Bill, ClusterUse, End, PhaseKind, Session};

type Span = (u64, u64);

/// Returns the spans without overlaps, in their order.
fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|(from, to)| from < to);
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::new();
    for (from, to) in spans {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// Returns what two lists of spans without overlaps have in common.
fn common(one: &[Span], other: &[Span]) -> Vec<Span> {
    let (mut found, mut a, mut b) = (Vec::new(), 0, 0);
    while let (Some(x), Some(y)) = (one.get(a), other.get(b)) {
        let (from, to) = (x.0.max(y.0), x.1.min(y.1));
        if from < to {
            found.push((from, to));
        }
        if x.1 < y.1 { a += 1 } else { b += 1 }
    }
    found
}

fn length(spans: &[Span]) -> u64 {
    spans.iter().map(|(from, to)| to - from).sum()
}

/// The spans of one cluster.
#[derive(Default)]
struct Spans {
    starting: Vec<Span>,
    running: Vec<Span>,
    tests: Vec<Span>,
}

impl Spans {
    fn add(&mut self, used: &ClusterUse, offset: u64) {
        let at = |from: u64, to: u64| (from.saturating_add(offset), to.saturating_add(offset));
        for phase in &used.phases {
            let span = at(phase.from, phase.to);
            match phase.kind {
                PhaseKind::Starting => self.starting.push(span),
                kind if kind.runs() => self.running.push(span),
                _ => {}
            }
        }
        let end = used.end();
        let begun = used.attempts.iter().filter_map(|one| Some((one.began?, one.ended.unwrap_or(end))));
        self.tests.extend(begun.map(|(from, to)| at(from, to)));
    }

    fn bill(self) -> Bill {
        let running = union(self.running);
        let in_tests = length(&common(&running, &union(self.tests)));
        let running_ms = length(&running);
        Bill {
            starting_ms: length(&union(self.starting)),
            running_ms,
            in_tests_ms: in_tests,
            idle_ms: running_ms - in_tests,
            ..Bill::default()
        }
    }
}

/// Returns the bill of sessions, without a cost.
pub(super) fn bill<'a>(sessions: impl IntoIterator<Item = &'a Session>) -> Bill {
    bill_of(sessions, |_, _| true)
}

/// Returns how long the clusters ran that a price is for: those of CrateDB Cloud in a session that has one, else all.
pub(super) fn priced_ms<'a>(sessions: impl IntoIterator<Item = &'a Session>) -> u64 {
    let is_cloud = |used: &ClusterUse| used.provider == "cloud";
    bill_of(sessions, |session, used| is_cloud(used) || !session.clusters.iter().any(is_cloud)).running_ms
}

fn bill_of<'a>(
    sessions: impl IntoIterator<Item = &'a Session>,
    counts: impl Fn(&Session, &ClusterUse) -> bool,
) -> Bill {
    let mut clusters: BTreeMap<&str, Spans> = BTreeMap::new();
    let mut sum = Bill::default();
    for session in sessions {
        sum.at_least |= session.end != End::Over;
        for used in session.clusters.iter().filter(|used| counts(session, used)) {
            clusters.entry(&used.key).or_default().add(used, session.began_at_ms);
        }
    }
    for one in clusters.into_values().map(Spans::bill) {
        sum.starting_ms += one.starting_ms;
        sum.running_ms += one.running_ms;
        sum.in_tests_ms += one.in_tests_ms;
        sum.idle_ms += one.idle_ms;
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((0_u64..60, 0_u64..60), 0..8)
    }

    fn has(spans: &[Span], at: u64) -> bool {
        spans.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    proptest! {
        #[test]
        fn a_moment_is_in_a_union_if_it_is_in_one_and_in_common_if_it_is_in_both(one in spans(), other in spans()) {
            let (a, b) = (union(one.clone()), union(other.clone()));
            let both = common(&a, &b);
            for at in 0..60 {
                prop_assert_eq!(has(&a, at), has(&one, at));
                prop_assert_eq!(has(&both, at), has(&one, at) && has(&other, at));
            }
            for list in [&a, &b, &both] {
                prop_assert!(list.windows(2).all(|pair| pair[0].1 <= pair[1].0));
                let counted = (0..60).filter(|at| has(list, *at)).count() as u64;
                prop_assert_eq!(length(list), counted);
            }
        }
    }
}
