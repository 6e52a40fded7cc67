//! The recordings of sessions that come and go.

use std::path::Path;

use super::*;
use crate::host::Places;
use crate::recording::Event as Recorded;
use crate::wire::{FromClient, Named};

fn recorder(dir: &Path) -> Recorder {
    let places = Places { runtime: dir.to_owned(), state: dir.to_owned() };
    Recorder::new(&places.key("k"), |why| panic!("{why}"))
}

/// The hello of a process with an attempt that a killed keeper had granted.
fn hello(session: Option<&str>) -> Hello {
    let golden = include_str!("../../wire/golden-v1.ndjson").lines().next().unwrap();
    let FromClient::Hello(mut hello) = serde_json::from_str(golden).unwrap() else { panic!("{golden}") };
    hello.spec.project = "/p".to_owned();
    hello.session = session.map(|name| Named { name: name.into(), idle: 1 });
    *hello
}

fn fate(outcome: ClusterOutcome) -> Fate {
    Fate { outcome, detail: String::new(), recycled: RecycledCounts::default() }
}

/// Returns the events of every recording, the first first.
fn recorded(dir: &Path) -> Vec<Vec<Recorded>> {
    let mut paths: Vec<_> = crate::host::paths_in(&dir.join("recordings")).collect();
    paths.sort_by_key(|path| Name::read(path.file_name().unwrap().to_str().unwrap()).unwrap().number);
    let read = |path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().skip(1).map(|line| serde_json::from_str::<Line>(line).unwrap().event).collect()
    };
    paths.into_iter().map(read).collect()
}

fn words(events: &[Recorded]) -> Vec<String> {
    let word = |event| serde_json::to_value(event).unwrap()["e"].as_str().unwrap().to_owned();
    events.iter().map(word).collect()
}

const UP: MachineState = MachineState::Up;
const WARM: MachineState = MachineState::Warm { until: 9 };

#[test]
fn an_attempt_that_a_killed_keeper_had_granted_is_one_from_the_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = recorder(dir.path());
    recorder.joined(5, SessionId(1), ClientId(1), &hello(None));
    recorder.end_all(9);
    let [events] = &recorded(dir.path())[..] else { panic!() };
    assert_eq!(words(events), ["state", "joined", "begin", "grant", "closed"]);
    assert!(matches!(&events[3], Recorded::Grant { again: true, .. }), "{events:?}");
}

#[test]
fn sessions_without_a_project_are_not_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = recorder(dir.path());
    let mut hello = hello(None);
    hello.spec.project.clear();
    recorder.joined(0, SessionId(1), ClientId(1), &hello);
    recorder.effects(1, &[Effect::Ready(ClientId(1))], UP, None);
    recorder.end_all(9);
    assert!(!dir.path().join("recordings").exists());
}

#[test]
fn a_recording_goes_on_while_the_cluster_is_kept_and_ends_with_it_or_with_the_next_session() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = recorder(dir.path());
    recorder.joined(0, SessionId(1), ClientId(1), &hello(Some("one")));
    recorder.effects(1, &[], UP, None);
    recorder.event(2, &Event::Leave(ClientId(1)));
    recorder.effects(2, &[], WARM, None);
    recorder.over(2, SessionId(1), &fate(ClusterOutcome::Warm), true);
    recorder.joined(5, SessionId(2), ClientId(2), &hello(Some("two")));
    recorder.effects(5, &[], UP, None);
    recorder.event(6, &Event::Leave(ClientId(2)));
    recorder.effects(6, &[], WARM, None);
    recorder.over(6, SessionId(2), &fate(ClusterOutcome::Warm), true);
    recorder.effects(7, &[], MachineState::Releasing { since: 7, tries: 0 }, None);
    recorder.released(8, ClusterOutcome::Suspended, "");
    recorder.end_all(9);
    let [one, two] = &recorded(dir.path())[..] else { panic!() };
    let begins = ["state", "joined", "begin", "grant", "state", "left", "state", "over", "state"];
    assert_eq!(words(one)[..], [&begins[..], &["closed"]].concat());
    assert_eq!(words(two)[..], [&begins[..], &["closed"]].concat());
    assert!(matches!(one.last(), Some(Recorded::Closed { outcome, .. }) if outcome == "warm"), "{one:?}");
    assert!(matches!(two.last(), Some(Recorded::Closed { outcome, .. }) if outcome == "suspended"), "{two:?}");
    assert_eq!(two[0], Recorded::State { is: State::Warm }, "the cluster was there when it began");
}

#[test]
fn clients_that_are_sent_away_have_left_and_events_of_unknown_ones_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = recorder(dir.path());
    recorder.joined(0, SessionId(1), ClientId(1), &hello(None));
    let ended = Ended { passed: true, used: true, keep: true, settled: None };
    recorder.end(1, ClientId(7), AttemptId(1), ended);
    recorder.effects(2, &[Effect::Cut(ClientId(1), crate::wire::CutReason::RunOver)], MachineState::Down, None);
    recorder.end(3, ClientId(1), AttemptId(3), ended);
    recorder.event(4, &Event::Leave(ClientId(1)));
    recorder.end_all(9);
    assert_eq!(words(&recorded(dir.path())[0])[4..], ["state", "left", "closed"]);
}

#[test]
fn schemas_that_are_dropped_are_one_step_however_many_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = recorder(dir.path());
    recorder.joined(0, SessionId(1), ClientId(1), &hello(None));
    for count in [1, 2, 3, 1, 0, 0, 4] {
        recorder.event(1, &Event::Dropping(count));
    }
    recorder.end_all(9);
    assert_eq!(words(&recorded(dir.path())[0])[4..], ["step", "step", "step", "closed"]);
}

#[test]
fn a_keeper_to_which_nothing_happens_says_once_a_minute_that_it_lives() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = recorder(dir.path());
    recorder.joined(0, SessionId(1), ClientId(1), &hello(None));
    (0..=180).for_each(|second| recorder.pulse(second * 1000));
    recorder.end_all(180_000);
    assert_eq!(words(&recorded(dir.path())[0])[4..], ["alive", "alive", "alive", "closed"]);
}
