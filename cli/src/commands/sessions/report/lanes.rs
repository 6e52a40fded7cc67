//! Lanes: rows in which attempts stand so that none covers another.

use cratedb_test::private::control::report::{Attempt, ClusterUse};

/// With more processes than that, each does not get lanes of its own: under nextest, every test is a process.
const OWN_LANES: usize = 12;

/// Some lanes with a title.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) title: String,
    /// The attempts of each lane by their places, in the order of time.
    pub(super) lanes: Vec<Vec<usize>>,
}

/// Returns the end of what is drawn of an attempt.
pub(super) fn end_of(one: &Attempt, end: u64) -> u64 {
    one.ended.unwrap_or(if one.began.is_some() { end } else { one.turn.unwrap_or(one.asked) })
}

/// Distributes the attempts of a cluster, but for those inside others.
pub(super) fn groups(used: &ClusterUse, end: u64) -> Vec<Group> {
    let with_tests: Vec<usize> = (0..used.processes.len())
        .filter(|place| used.attempts.iter().any(|one| one.process == *place && !one.inside))
        .collect();
    if with_tests.len() > OWN_LANES {
        let title = format!("tests of {} processes", with_tests.len());
        return vec![Group { title, lanes: lanes(used, end, |_| true) }];
    }
    let group = |place: usize| {
        let process = &used.processes[place];
        let title = format!("process {}: {}", process.pid, process.program);
        Group { title, lanes: lanes(used, end, |one| one.process == place) }
    };
    with_tests.into_iter().map(group).collect()
}

fn lanes(used: &ClusterUse, end: u64, wanted: impl Fn(&Attempt) -> bool) -> Vec<Vec<usize>> {
    let places = (0..used.attempts.len()).filter(|at| !used.attempts[*at].inside && wanted(&used.attempts[*at]));
    let mut places: Vec<usize> = places.collect();
    places.sort_by_key(|at| used.attempts[*at].asked);
    let mut lanes: Vec<Vec<usize>> = Vec::new();
    let mut ends: Vec<u64> = Vec::new();
    for at in places {
        let one = &used.attempts[at];
        let lane = ends.iter().position(|end| *end <= one.asked).unwrap_or_else(|| {
            lanes.push(Vec::new());
            ends.push(0);
            lanes.len() - 1
        });
        lanes[lane].push(at);
        // One that takes no time covers the next one all the same.
        ends[lane] = end_of(one, end).max(one.asked + 1);
    }
    lanes
}
