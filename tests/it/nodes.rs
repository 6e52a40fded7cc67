//! Tests clusters of three processes, which start together and end together however a run ends.

use crate::process::{self, Scene, victims};
use crate::support::consumer::Consumer;
use crate::support::home::TestHome;
use crate::support::run::{Plan, Runner, runners};

#[test]
fn all_tests_of_a_run_share_three_nodes_that_are_gone_afterwards() {
    for runner in runners() {
        let home = TestHome::with_stand_in();
        let consumer = victims(3, runner);
        Plan::new(&consumer, runner).args(&["--features", "nodes"]).home(&home).run().passed();
        home.ends_with(1);
        assert!(home.log().contains("starting 3 nodes of CrateDB from "), "{}", home.log());
    }
}

#[test]
fn a_runner_that_dies_leaves_nothing() {
    for moment in ["acquiring", "middle", "last"] {
        process::runner_dies_at(moment, 3);
    }
}

#[test]
fn test_processes_that_die_leave_nothing() {
    process::test_processes_die(3);
}

#[test]
fn after_the_death_of_the_keeper_the_tests_that_come_later_get_new_nodes() {
    process::keeper_dies(3);
}

#[test]
fn after_the_death_of_a_node_the_tests_that_come_later_get_as_many_as_they_ask_for() {
    process::node_dies(3);
}

#[test]
fn after_the_death_of_everybody_all_nodes_are_dead_and_the_next_run_removes_their_data() {
    process::all_die_and_the_next_run_repairs(3);
}

#[test]
fn after_the_death_of_everybody_a_sweep_from_anywhere_removes_the_data() {
    process::all_die_and_a_sweep_repairs(3);
}

#[test]
fn real_nodes_die_with_their_keeper_while_they_start_and_while_they_run() {
    process::real_servers_die(3);
}

#[test]
fn runs_share_three_real_nodes_that_are_gone_afterwards() {
    for runner in runners() {
        let Some(home) = TestHome::real() else { return };
        let consumer: Consumer = victims(3, runner);
        Plan::new(&consumer, runner).args(&["--features", "nodes"]).home(&home).run().passed();
        home.ends_with(1);
    }
}

#[test]
fn a_node_that_ends_at_start_is_an_error_with_the_end_of_its_log() {
    let script = "case \"$*\" in *node.name=node-2*) echo 'unknown setting [x]'; exit 1;; esac; sleep 1000 & wait";
    let scene = Scene::of(3, TestHome::with_script(script));
    let plan = Plan::new(&victims(3, Runner::Cargo), Runner::Cargo).args(&["--features", "nodes"]).home(&scene.home);
    let finished = plan.run().failed().says("node-2 ended (exit status: 1)").says("| unknown setting [x]");
    assert!(!finished.output.contains("node-1 ended"), "{}", finished.output);
    assert_eq!((scene.home.servers(), scene.home.directories()), (vec![], vec![]));
}
