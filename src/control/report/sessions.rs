//! Joins the recordings of keepers into sessions: those of several clusters of one run, and those of a killed keeper
//! and its successor.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::bill::bill;
use super::model::{Attempt, Bill, ClusterUse, End, Session, Wait, WaitReason};
use super::tape::Tape;
use super::text::span;
use super::uses::{Played, play};
use crate::host::short_hash;
use crate::wait::Millis;

/// A recording of a name that was used before belongs to the same session if it follows a killed keeper so soon.
const SOON: Millis = 15 * 60 * 1000;
/// The longest waits that are told.
const WAITS: usize = 10;
/// Shorter waits are none.
const WAIT: Millis = 10;

/// The recordings of one session, the first first.
struct Group {
    tapes: Vec<Tape>,
    end: Millis,
}

/// Makes sessions out of recordings, which come in the order in which they began. The last session is the first.
/// `now` is the time of day, for keepers that are alive.
pub(super) fn sessions(tapes: Vec<Tape>, now: Millis) -> Vec<Session> {
    let mut groups: Vec<Group> = Vec::new();
    for tape in tapes {
        let end = tape.head.began.saturating_add(length(&tape, now));
        // A sign may have several sessions, of which the last one may go on.
        let last = groups.iter_mut().rev().find(|group| {
            let head = &group.tapes[0].head;
            (&head.project, &head.run) == (&tape.head.project, &tape.head.run)
        });
        match last.filter(|group| group.goes_on_with(&tape)) {
            Some(group) => {
                group.end = group.end.max(end);
                group.tapes.push(tape);
            }
            None => groups.push(Group { tapes: vec![tape], end }),
        }
    }
    groups.into_iter().rev().map(|group| group.session(now)).collect()
}

/// Returns how long a recording is: until its last event, or until now if its keeper is alive.
fn length(tape: &Tape, now: Millis) -> Millis {
    match tape.alive && !tape.is_closed() {
        true => now.saturating_sub(tape.head.began).max(tape.length()),
        false => tape.length(),
    }
}

impl Group {
    fn goes_on_with(&self, tape: &Tape) -> bool {
        // A runner is the same process; only a name can mean another session.
        if tape.head.name.is_none() {
            return true;
        }
        let before = self.tapes.iter().rev().find(|one| one.head.key == tape.head.key);
        match before {
            Some(before) => !before.is_closed() && tape.head.began < self.end.saturating_add(SOON),
            None => tape.head.began <= self.end,
        }
    }

    fn session(self, now: Millis) -> Session {
        let head = self.tapes[0].head.clone();
        let mut notes = Vec::new();
        let mut clusters: Vec<ClusterUse> = Vec::new();
        let mut last: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        let mut begun = 0;
        for tape in &self.tapes {
            let mut offset = tape.head.began.saturating_sub(head.began);
            if tape.head.began < head.began.saturating_add(begun) {
                notes
                    .push("this machine's clock was set back during the session: later times are too early".to_owned());
                offset = begun;
            }
            begun = offset;
            if let Some(before) = clusters.iter().find(|one| one.key == tape.head.key) {
                // A step back that the beginnings don't show: a keeper comes after the one before it.
                offset = offset.max(before.end());
            }
            last.insert(tape.head.key.clone(), (tape.is_closed(), tape.alive));
            let Played { made, again, notes: told } = play(tape, length(tape, now));
            notes.extend(told);
            let made = made.moved(offset);
            match clusters.iter_mut().find(|one| one.key == made.key) {
                Some(before) => before.follow(Played { made, again, notes: Vec::new() }),
                None => clusters.push(made),
            }
        }
        let end = match last.values().find(|(closed, _)| !closed) {
            None => End::Over,
            Some(_) if last.values().any(|(closed, alive)| !closed && *alive) => End::Running,
            Some(_) => End::Unknown,
        };
        if end == End::Unknown {
            notes.push(unknown_end(&clusters, &last));
        }
        notes.dedup();
        let mut session = Session {
            id: short_hash(&format!("{} {}", head.run, head.began))[..8].to_owned(),
            name: head.name,
            project: head.project,
            began_at_ms: head.began,
            length: clusters.iter().map(ClusterUse::end).max().unwrap_or_default(),
            end,
            slowest_waits: waits(&clusters),
            clusters,
            bill: Bill::default(),
            notes,
        };
        session.bill = bill([&session]);
        session
    }
}

fn unknown_end(clusters: &[ClusterUse], last: &BTreeMap<String, (bool, bool)>) -> String {
    let open = clusters.iter().filter(|one| last.get(&one.key).is_some_and(|(closed, _)| !closed));
    let until = open.map(ClusterUse::end).max().unwrap_or_default();
    format!(
        "the end is not recorded: the keeper was killed, or could not write, {} after the beginning or later; `cargo \
         cratedb status` says whether anything is left",
        span(until)
    )
}

/// Returns the longest waits. Of those for one cluster only the longest is one of them.
fn waits(clusters: &[ClusterUse]) -> Vec<Wait> {
    let mut all: Vec<Wait> = clusters.iter().flat_map(of_cluster).collect();
    all.retain(|wait| wait.length >= WAIT);
    all.sort_by_key(|wait| (Reverse(wait.length), wait.from));
    all.truncate(WAITS);
    all
}

fn of_cluster(used: &ClusterUse) -> Vec<Wait> {
    let end = used.end();
    let cluster = used.processes.iter().map(|one| Wait {
        reason: WaitReason::Cluster,
        who: one.program.clone(),
        pid: one.pid,
        from: one.joined,
        length: one.ready.or(one.left).unwrap_or(end).saturating_sub(one.joined),
        behind: None,
    });
    let longest = cluster.max_by_key(|wait| (wait.length, Reverse(wait.from)));
    let of_tests = used.attempts.iter().flat_map(|one| {
        let turn = one.turn.or(one.began).or(one.ended).unwrap_or(end);
        let wait = |reason, from, to: Millis| Wait {
            reason,
            who: one.test.clone(),
            pid: used.processes.get(one.process).map_or(0, |process| process.pid),
            from,
            length: to.saturating_sub(from),
            behind: None,
        };
        let behind = |mut wait: Wait| {
            wait.behind = ahead(used, one, turn).map(|other| other.test.clone());
            wait
        };
        let schema = one.turn.map(|turn| wait(WaitReason::Schema, turn, one.began.unwrap_or(end)));
        let turn = wait(WaitReason::Turn, one.asked, turn);
        let turn = if turn.length >= WAIT { behind(turn) } else { turn };
        [Some(turn), schema].into_iter().flatten()
    });
    let mut tests: Vec<Wait> = of_tests.collect();
    tests.extend(longest);
    tests
}

/// Returns the exclusive test that held the cluster while another one waited.
fn ahead<'a>(used: &'a ClusterUse, waited: &Attempt, until: Millis) -> Option<&'a Attempt> {
    let held = |one: &&Attempt| {
        let Some(began) = one.began else { return false };
        one.exclusive && began <= until && one.ended.unwrap_or(until) > waited.asked && !std::ptr::eq(*one, waited)
    };
    used.attempts
        .iter()
        .filter(held)
        .max_by_key(|one| one.ended.unwrap_or(until).min(until).saturating_sub(waited.asked))
}

#[cfg(test)]
mod tests;
