//! In a terminal: progress that changes in place, questions, Ctrl-C.

use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Options, Request};

use crate::support::{Run, World, eventually};

fn world(time: Duration) -> World {
    World::of(Options::default().cluster(ClusterOptions::suspended("ci")).operation_time(time))
}

fn start(world: &World) -> Run {
    world.cli(&["start", "--cluster-name", "ci"])
}

#[test]
fn progress_is_one_line_with_the_time_and_is_erased_at_the_end() {
    let world = world(Duration::from_millis(2500));
    let screen = start(&world).in_a_terminal();
    screen.until("resuming cluster `ci`");
    // The time advances while nothing else changes.
    screen.until_any(&[" 1s resuming cluster `ci`", " 2s resuming cluster `ci`"]);
    assert_eq!(screen.seen().matches("resuming").count(), 1, "{}", screen.seen());
    let raw = screen.raw();
    let (code, seen) = screen.done();
    assert_eq!(code, Some(0), "{seen}");
    assert!(!seen.contains("resuming") && seen.contains("cluster `ci` answers at"), "{seen}");
    assert!(seen.contains("state           running"), "{seen}");
    assert!(raw.contains('\u{1b}'), "{raw:?}");
}

#[test]
fn a_terminal_in_ci_gets_plain_lines() {
    let world = world(Duration::from_millis(600));
    let (code, seen) = start(&world).env("CI", "true").in_a_terminal().done();
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("resuming cluster `ci`") && seen.contains("connecting to"), "{seen}");
}

#[test]
fn colours_are_for_terminals_and_for_users_who_ask_for_them() {
    let world = World::with([ClusterOptions::running("ci")]);
    let is_coloured = |run: Run| {
        let screen = run.in_a_terminal();
        screen.until("ci");
        let raw = screen.raw();
        assert_eq!(screen.done().0, Some(0));
        // What sets a colour, bold or dim, in contrast to what moves the cursor.
        raw.split('\u{1b}').skip(1).any(|part| {
            part.trim_start_matches(['[', ';'])
                .split_once('m')
                .is_some_and(|(code, _)| code.chars().all(|c| c.is_ascii_digit() || c == ';'))
        })
    };
    let info = |more: &[&str]| world.cli(&[&["info", "--cluster-name", "ci", "--quiet"], more].concat());
    assert!(is_coloured(info(&[])));
    assert!(!is_coloured(info(&["--color", "never"])));
    assert!(!is_coloured(info(&[]).env("NO_COLOR", "1")));
    assert!(is_coloured(info(&["--color", "always"]).env("NO_COLOR", "1")));
    let piped = |when: &str| info(&["--color", when]).done().expect(0).stdout.contains('\u{1b}');
    assert!(!piped("auto") && piped("always"));
}

#[test]
fn a_wide_table_is_wrapped_to_the_terminal_and_left_alone_in_a_pipe() {
    let world = World::with([ClusterOptions::running("ci")]);
    let text = "word ".repeat(60);
    let arguments = ["query", "--cluster-name", "ci", &format!("SELECT '{text}' AS long"), "--quiet"];
    let (code, seen) = world.cli(&arguments).in_a_terminal().done();
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.lines().filter(|line| line.contains("word")).count() > 2, "{seen}");
    let piped = world.cli(&arguments).done().expect(0).stdout;
    assert_eq!(piped.lines().filter(|line| line.contains("word")).count(), 1, "{piped}");
}

#[test]
fn ctrl_c_while_waiting_says_what_continues() {
    let world = world(Duration::ZERO);
    world.cloud().hold_next_operation("ci");
    let mut screen = start(&world).in_a_terminal();
    // The service has accepted it.
    screen.until("REGISTERED");
    screen.ctrl_c();
    let (code, seen) = screen.done();
    assert_eq!(code, Some(130), "{seen}");
    assert!(seen.contains("error: interrupted while resuming cluster `ci`"), "{seen}");
    assert!(seen.contains("continues in CrateDB Cloud; `cargo cratedb info --cluster-name ci`"), "{seen}");
    // It does continue.
    world.cloud().release("ci");
    eventually("the end of the resumption", || (!world.cloud().cluster("ci").suspended).then_some(()));
}

fn delete(world: &World) -> Run {
    world.cli(&["delete", "--cluster-name", "ci"])
}

#[test]
fn delete_asks_and_does_what_it_is_told() {
    let world = World::with([ClusterOptions::running("ci")]);
    let id = world.cloud().cluster("ci").id;
    for (answer, says) in
        [("n\r", "nothing was deleted"), ("\r", "nothing was deleted"), ("yep\r", "nothing was deleted")]
    {
        let mut screen = delete(&world).in_a_terminal();
        screen.until("[y/N]");
        assert!(screen.seen().contains(&format!("Delete cluster `ci` ({id}), cr1")), "{}", screen.seen());
        screen.press(answer);
        let (code, seen) = screen.done();
        assert_eq!(code, Some(1), "{seen}");
        assert!(seen.contains(says), "{seen}");
        assert_eq!(world.cloud().clusters().len(), 1, "{answer:?}");
    }
    let mut screen = delete(&world).in_a_terminal();
    screen.until("[y/N]");
    screen.press("yes\r");
    let (code, seen) = screen.done();
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("is deleted"), "{seen}");
    assert!(world.cloud().clusters().is_empty());
}

#[test]
fn ctrl_c_and_the_end_of_input_are_no_answer() {
    let world = World::with([ClusterOptions::running("ci")]);
    let mut screen = delete(&world).in_a_terminal();
    screen.until("[y/N]");
    screen.ctrl_c();
    let (code, seen) = screen.done();
    assert_eq!(code, Some(130), "{seen}");
    let mut screen = delete(&world).in_a_terminal();
    screen.until("[y/N]");
    screen.press("\u{4}");
    assert_eq!(screen.done().0, Some(1));
    assert_eq!(world.cloud().clusters().len(), 1);
}

#[test]
fn without_a_statement_a_terminal_is_not_waited_for() {
    let world = World::with([ClusterOptions::running("ci")]);
    let (code, seen) = world.cli(&["query", "--cluster-name", "ci"]).in_a_terminal().done();
    assert_eq!(code, Some(2), "{seen}");
    assert!(seen.contains("there is no statement"), "{seen}");
}

/// `test` with a command that reports Ctrl-C.
fn test(world: &World, on_ctrl_c: &str) -> Run {
    let script = format!("trap '{on_ctrl_c}' INT; echo running; while true; do sleep 0.05; done");
    world.cli(&["test", "--cluster-name", "ci", "--", "sh", "-c", &script])
}

fn until_asked_to_suspend(world: &World) {
    let accepted = |one: &Request| one.body["suspended"] == true && one.status == 200;
    eventually("the request to suspend", || world.simulator().requests().iter().any(accepted).then_some(()));
}

#[test]
fn ctrl_c_within_test_is_the_commands_and_reaches_it_once() {
    let world = world(Duration::from_millis(300));
    let mut screen = test(&world, "echo caught; exit 42").in_a_terminal();
    screen.until("running");
    screen.ctrl_c();
    let (code, seen) = screen.done();
    assert_eq!(code, Some(42), "{seen}");
    assert_eq!(seen.matches("caught").count(), 1, "{seen}");
    assert!(seen.contains("suspended after"), "{seen}");
    assert!(world.cloud().cluster("ci").suspended);
}

#[test]
fn a_command_that_dies_of_ctrl_c_gives_130_and_the_session_is_finished() {
    let world = world(Duration::from_millis(300));
    let mut screen =
        world.cli(&["test", "--cluster-name", "ci", "--", "sh", "-c", "echo running; exec sleep 600"]).in_a_terminal();
    screen.until("running");
    screen.ctrl_c();
    let (code, seen) = screen.done();
    assert_eq!(code, Some(130), "{seen}");
    assert!(world.cloud().cluster("ci").suspended, "{seen}");
}

#[test]
fn only_a_second_ctrl_c_ends_the_wait_for_the_end_of_the_session() {
    let world = world(Duration::ZERO);
    let mut screen = test(&world, "exit 42").in_a_terminal();
    screen.until("running");
    world.cloud().hold_next_operation("ci");
    screen.ctrl_c();
    screen.until("releasing the cluster");
    screen.ctrl_c();
    screen.until("once more");
    screen.ctrl_c();
    let (code, seen) = screen.done();
    assert_eq!(code, Some(42), "{seen}");
    assert!(seen.contains("the keeper releases the cluster"), "{seen}");
    until_asked_to_suspend(&world);
    world.cloud().release("ci");
    eventually("the suspension", || world.cloud().cluster("ci").suspended.then_some(()));
}

#[test]
fn ctrl_c_while_test_waits_for_the_cluster_starts_nothing() {
    let world = world(Duration::ZERO);
    world.cloud().hold_next_operation("ci");
    let mut screen = test(&world, "exit 42").in_a_terminal();
    screen.until("REGISTERED");
    screen.ctrl_c();
    let (code, seen) = screen.done();
    assert_eq!(code, Some(130), "{seen}");
    assert!(seen.contains("the command was not started") && !seen.contains("running\n"), "{seen}");
    world.cloud().release("ci");
    // The release waits for the operation that runs, and looks again after a while.
    until_asked_to_suspend(&world);
    eventually("the suspension", || world.cloud().cluster("ci").suspended.then_some(()));
}
