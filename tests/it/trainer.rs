//! Tests that the JVM's cache is made in the background, by a process whose death leaves nothing for long.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::sweep;
use crate::support::consumer::Consumer;
use crate::support::home::TestHome;
use crate::support::run::{Plan, Runner};
use crate::support::{processes, wait_within};

fn run(home: &TestHome) {
    Plan::new(&Consumer::of("basic", Runner::Cargo), Runner::Cargo).args(&["--tests"]).home(home).run().passed();
}

/// No trainer, no server, no data.
#[track_caller]
fn nothing_is_left(home: &TestHome) {
    wait_within(PATIENCE, "the trainer's end", || {
        hurry(home);
        match home.trainers() {
            none if none.is_empty() => Ok(()),
            some => Err((some, home.log())),
        }
    });
    assert_eq!((home.servers(), home.directories()), (vec![], vec![]), "{}", home.log());
}

/// A trainer has the least priority, and other tests keep the machine busy.
const PATIENCE: Duration = Duration::from_secs(300);

/// Root can give it more.
fn hurry(home: &TestHome) {
    for pid in home.trainers().into_iter().chain(home.servers().into_iter().map(|(server, _)| server)) {
        let group = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap());
        let _ = rustix::process::setpriority_pgrp(group, 0);
        let _ = fs::write(format!("/proc/{pid}/autogroup"), "0");
    }
}

#[track_caller]
fn wait_for_cache(home: &TestHome) -> PathBuf {
    let mut found = None;
    wait_within(PATIENCE, "a cache", || {
        hurry(home);
        found = home.caches().pop();
        if found.is_some() { Ok(()) } else { Err(home.log()) }
    });
    found.unwrap()
}

fn makes_a_cache_that_the_next_run_uses(home: &TestHome) {
    run(home);
    let cache = wait_for_cache(home);
    nothing_is_left(home);
    assert!(!home.log().contains("the JVM gets its cache"), "{}", home.log());
    run(home);
    home.ends_with(2);
    assert!(home.log().contains("the JVM gets its cache") && !home.log().contains("did not take"), "{}", home.log());
    assert_eq!((home.trainers(), home.caches()), (vec![], vec![cache]), "once is enough");
}

#[test]
fn a_run_is_followed_by_a_cache_that_the_next_one_uses() {
    makes_a_cache_that_the_next_run_uses(&TestHome::with_jvm());
}

#[test]
fn a_real_run_is_followed_by_a_cache_that_the_next_one_uses() {
    let Some(home) = TestHome::real_with_caches() else { return };
    makes_a_cache_that_the_next_run_uses(&home);
    // As a JVM sees it that is given the cache of another: it starts without.
    let cache = home.caches().remove(0);
    let length = fs::metadata(&cache).unwrap().len();
    fs::File::options().write(true).open(&cache).unwrap().set_len(length / 2).unwrap();
    fs::File::options().write(true).open(&cache).unwrap().set_len(length).unwrap();
    run(&home);
    assert!(home.log().contains("thrown away"), "{}", home.log());
    let again = wait_for_cache(&home);
    assert!(fs::metadata(again).unwrap().len() > 1 << 20);
    nothing_is_left(&home);
}

#[test]
fn where_ci_is_set_none_is_made_unless_it_is_asked_for() {
    let in_ci = |home: &TestHome, asked: &str| {
        let plan = Plan::new(&Consumer::of("basic", Runner::Cargo), Runner::Cargo).args(&["--tests"]).home(home);
        plan.env("CI", "true").env("CRATEDB_TEST_JVM_CACHE", asked).run().passed();
    };
    let without = TestHome::with_jvm();
    in_ci(&without, "auto");
    without.ends_with(1);
    nothing_is_left(&without);
    assert!(without.caches().is_empty());

    let with = TestHome::with_jvm();
    in_ci(&with, "1");
    // The keeper's end says nothing yet: a trainer's server may be there by then.
    wait_for_cache(&with);
    nothing_is_left(&with);
    with.ends_with(1);
    assert_eq!(with.caches().len(), 1);
}

/// A trainer whose server has been started and does not get on.
fn with_a_trainer_at_work() -> (TestHome, u32) {
    let home = TestHome::with_jvm_that("case $CRATE_JAVA_OPTS in *AOTMode=record*) exec sleep 1000 ;; esac");
    run(&home);
    let trainer = trainer_at_work(&home);
    (home, trainer)
}

#[track_caller]
fn trainer_at_work(home: &TestHome) -> u32 {
    let mut trainer = 0;
    wait_within(PATIENCE, "a trainer's server", || {
        hurry(home);
        match (&home.trainers()[..], home.servers().len()) {
            ([one], 1) => {
                trainer = *one;
                Ok(())
            }
            seen => Err((format!("{seen:?}"), home.log())),
        }
    });
    trainer
}

#[track_caller]
fn kill(home: &TestHome, trainer: u32) {
    processes::kill_and_wait(trainer);
    wait_within(Duration::from_secs(10), "the server's end", || match home.servers() {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    });
    assert_eq!(home.directories().len(), 1, "nobody is left who could remove its data");
}

#[test]
fn what_a_killed_trainer_leaves_is_removed_by_the_next_run() {
    let (home, trainer) = with_a_trainer_at_work();
    let left = home.directories();
    kill(&home, trainer);
    run(&home);
    assert!(!left[0].exists(), "{}", home.log());
    // It tries again, and is not to be left behind.
    kill(&home, trainer_at_work(&home));
    sweep(&home);
}

#[test]
fn what_a_killed_trainer_leaves_is_removed_by_a_sweep() {
    let (home, trainer) = with_a_trainer_at_work();
    kill(&home, trainer);
    let text = sweep(&home);
    assert!(text.contains("cache of the JVM") && text.contains(r#""outcome":"repaired""#), "{text}");
    assert_eq!(home.directories(), Vec::<PathBuf>::new());
    assert!(!sweep(&home).contains("cache of the JVM"), "once");
}

#[test]
fn a_run_does_not_wait_for_a_trainer_and_starts_no_second_one() {
    let (home, trainer) = with_a_trainer_at_work();
    run(&home);
    wait_within(PATIENCE, "the second one's end", || {
        hurry(&home);
        match (&home.trainers()[..], home.log().contains("another trainer makes it")) {
            ([one], true) if *one == trainer => Ok(()),
            (some, said) => Err((some.to_vec(), said)),
        }
    });
    assert_eq!(home.made(), 2);
    processes::kill_and_wait(trainer);
    sweep(&home);
}
