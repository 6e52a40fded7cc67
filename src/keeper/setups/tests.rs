//! Which client does a setup, which wait, and what becomes of both, also in any order of claims, ends and deaths.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::error::{Error, Kind};

/// Errors can't be compared, but their texts can.
impl PartialEq for SetupNews {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

const RUN: SessionId = SessionId(1);
const OTHER: SessionId = SessionId(2);
const A: ClientId = ClientId(1);
const B: ClientId = ClientId(2);
const C: ClientId = ClientId(3);

fn told(client: ClientId, verdict: Verdict) -> SetupNews {
    SetupNews { client, name: "x".to_owned(), verdict }
}

fn done(schema: &str) -> Verdict {
    Verdict::Done { schema: schema.to_owned(), digest: None }
}

/// Returns a setup that `A` does, and for which `B` and `C` wait.
fn claimed() -> Setups {
    let mut all = Setups::default();
    assert_eq!(all.claim(A, RUN, "x", "a".into()), Some(told(A, Verdict::Yours)));
    assert_eq!(all.claim(B, RUN, "x", "b".into()), None);
    assert_eq!(all.claim(C, RUN, "x", "c".into()), None);
    all
}

#[test]
fn one_does_it_and_all_get_its_schema() {
    let mut all = claimed();
    assert_eq!(all.ended(A, RUN, "x", SetupOutcome::Done, None), (vec![told(B, done("a")), told(C, done("a"))], None));
    assert_eq!(all.claim(ClientId(4), RUN, "x", "d".into()), Some(told(ClientId(4), done("a"))));
    assert_eq!(all.leave(A), Default::default(), "what is done stays done");
    assert_eq!(all.retain(|session| session != RUN), ["a"]);
    assert_eq!(all.claim(B, RUN, "x", "b".into()), Some(told(B, Verdict::Yours)));
}

#[test]
fn a_failure_is_told_to_every_client_and_its_schema_is_dropped() {
    let error = Error::new(Kind::Session, "no");
    let failed = Verdict::Failed { error: error.clone() };
    let mut all = claimed();
    let (tells, left) = all.ended(A, RUN, "x", SetupOutcome::Failed { error }, None);
    assert_eq!((tells, left), (vec![told(B, failed.clone()), told(C, failed.clone())], Some("a".into())));
    assert_eq!(all.claim(A, RUN, "x", "again".into()), Some(told(A, failed)));
    assert_eq!(all.retain(|_| false), [""; 0]);
}

#[test]
fn what_tests_may_not_change_has_its_digest_until_a_test_changes_it() {
    let mut all = claimed();
    let proven = Verdict::Done { schema: "a".into(), digest: Some("d".into()) };
    let (tells, _) = all.ended(A, RUN, "x", SetupOutcome::Done, Some("d".into()));
    assert_eq!(tells, [told(B, proven.clone()), told(C, proven.clone())]);
    assert_eq!(all.claim(A, RUN, "x", "a2".into()), Some(told(A, proven)));
    let error = Error::new(Kind::Session, "`C` changed it");
    let spoiled = || SetupOutcome::Spoiled { error: error.clone() };
    // Others may still be in it, so that it is dropped with the session.
    assert_eq!(all.ended(C, RUN, "x", spoiled(), None), Default::default());
    for client in [A, B] {
        let failed = Verdict::Failed { error: error.clone() };
        assert_eq!(all.claim(client, RUN, "x", "again".into()), Some(told(client, failed)));
    }
    assert_eq!(all.leave(C), Default::default());
    assert_eq!(all.retain(|_| false), ["a"]);
}

#[test]
fn what_is_not_done_can_not_be_spoiled() {
    let mut all = claimed();
    let spoiled = SetupOutcome::Spoiled { error: Error::new(Kind::Session, "late") };
    assert_eq!(all.ended(B, RUN, "x", spoiled, None), Default::default());
    assert_eq!(all.ended(A, RUN, "x", SetupOutcome::Done, None), (vec![told(B, done("a")), told(C, done("a"))], None));
}

#[test]
fn a_death_passes_it_on_and_clients_that_wait_may_die_too() {
    let mut all = claimed();
    assert_eq!(all.leave(B), Default::default());
    assert_eq!(all.leave(A), (vec![told(C, Verdict::Yours)], vec!["a".into()]));
    assert_eq!(all.ended(A, RUN, "x", SetupOutcome::Done, None), Default::default(), "the dead say nothing");
    assert_eq!(all.leave(C), (vec![], vec!["c".into()]));
    assert_eq!(all.claim(B, RUN, "x", "b2".into()), Some(told(B, Verdict::Yours)));
}

#[test]
fn what_is_given_up_is_done_by_the_next() {
    let mut all = claimed();
    assert_eq!(all.ended(A, RUN, "x", SetupOutcome::GivenUp, None), (vec![told(B, Verdict::Yours)], Some("a".into())));
    assert_eq!(all.ended(B, RUN, "x", SetupOutcome::Done, None), (vec![told(C, done("b"))], None));
}

#[test]
fn who_only_waited_and_gives_up_waits_no_more() {
    let mut all = claimed();
    assert_eq!(all.ended(B, RUN, "x", SetupOutcome::GivenUp, None), Default::default());
    assert_eq!(all.claim(B, RUN, "x", "b2".into()), None);
    assert_eq!(all.leave(A), (vec![told(C, Verdict::Yours)], vec!["a".into()]), "B is behind C now");
    assert_eq!(all.ended(C, RUN, "x", SetupOutcome::Done, None), (vec![told(B, done("c"))], None));
}

#[test]
fn sessions_and_names_are_apart() {
    let mut all = claimed();
    assert_eq!(all.claim(B, OTHER, "x", "b".into()), Some(told(B, Verdict::Yours)));
    let yours = SetupNews { client: B, name: "y".to_owned(), verdict: Verdict::Yours };
    assert_eq!(all.claim(B, RUN, "y", "b".into()), Some(yours));
    assert_eq!(all.retain(|session| session == OTHER), ["a", "b"]);
}

#[test]
fn after_a_killed_keeper_those_who_know_are_believed() {
    let known = |done, schema: &str| KnownSetup { name: "x".into(), schema: schema.into(), done, digest: None };
    let mut all = Setups::default();
    all.recall(A, RUN, known(false, "a"));
    all.recall(B, RUN, known(true, "b"));
    assert_eq!(all.claim(C, RUN, "x", "c".into()), None, "A does it");
    assert_eq!(all.ended(A, RUN, "x", SetupOutcome::Done, None), (vec![told(C, done("a"))], None));
}

#[test]
fn on_a_new_cluster_everything_is_done_again_by_those_who_wait() {
    let mut all = claimed();
    assert_eq!(all.start_over(), [told(B, Verdict::Yours)]);
    assert_eq!(all.ended(A, RUN, "x", SetupOutcome::Done, None), Default::default(), "that was the old one");
    assert_eq!(all.ended(B, RUN, "x", SetupOutcome::Done, None), (vec![told(C, done("b"))], None));
    assert_eq!(all.start_over(), []);
    assert_eq!(all.claim(A, RUN, "x", "a2".into()), Some(told(A, Verdict::Yours)));
}

#[derive(Clone, Debug)]
enum SetupStep {
    Claim(u64),
    Done,
    GiveUp,
    Die(u64),
}

proptest! {
    /// At any time at most one client does it, it is done once, and no client that lives is forgotten.
    #[test]
    fn it_is_done_once_whatever_happens(steps in prop::collection::vec(prop_oneof![
        3 => (0..6u64).prop_map(SetupStep::Claim),
        1 => Just(SetupStep::Done),
        1 => Just(SetupStep::GiveUp),
        2 => (0..6u64).prop_map(SetupStep::Die),
    ], 0..80)) {
        let (mut all, mut worker, mut finished) = (Setups::default(), None, None);
        let (mut waiting, mut schemas) = (BTreeSet::new(), 0);
        for step in steps {
            let tells = match step {
                SetupStep::Claim(id) if !waiting.contains(&ClientId(id)) && worker != Some(ClientId(id)) => {
                    waiting.insert(ClientId(id));
                    schemas += 1;
                    all.claim(ClientId(id), RUN, "x", format!("s{schemas}")).into_iter().collect()
                }
                SetupStep::Claim(_) => Vec::new(),
                SetupStep::Done | SetupStep::GiveUp => match worker.take() {
                    Some(client) if matches!(step, SetupStep::Done) => {
                        prop_assert!(finished.is_none(), "it is done twice");
                        finished = Some(());
                        all.ended(client, RUN, "x", SetupOutcome::Done, None).0
                    }
                    Some(client) => all.ended(client, RUN, "x", SetupOutcome::GivenUp, None).0,
                    None => Vec::new(),
                },
                SetupStep::Die(id) => {
                    waiting.remove(&ClientId(id));
                    worker = worker.filter(|worker| *worker != ClientId(id));
                    all.leave(ClientId(id)).0
                }
            };
            for tell in tells {
                prop_assert!(waiting.remove(&tell.client), "{:?} did not ask", tell.client);
                match tell.verdict {
                    Verdict::Yours => {
                        prop_assert!(worker.is_none() && finished.is_none(), "two do it");
                        worker = Some(tell.client);
                    }
                    _ => prop_assert!(finished.is_some()),
                }
            }
            prop_assert!(waiting.is_empty() || worker.is_some(), "{waiting:?} wait for nobody");
        }
    }
}
