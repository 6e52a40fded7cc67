//! Tests with tables and rows from files beside them: the files become part of the binary, and errors name their place.

use crate::support::cloud::TestCloud;
use crate::support::consumer::Consumer;
use crate::support::run::{Plan, Runner, runners};

#[test]
fn tests_find_what_files_and_functions_made() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("fixtures", runner), TestCloud::suspended());
        let finished = Plan::new(&consumer, runner).cloud(&cloud).run().passed().never_says("warning");
        for test in ["of_a_unit_test", "of_an_example", "beside_the_module", "rows_keep_their_values"] {
            assert!(finished.output.contains(test), "{}", finished.output);
        }
        cloud.ends_with(1, 1);
    }
}

#[test]
fn what_is_wrong_in_a_file_or_a_function_is_named() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("fixtures", runner), TestCloud::suspended());
        let plan = Plan::new(&consumer, runner).cloud(&cloud).args(&["--test", "files", "--no-fail-fast"]);
        let plan = match runner {
            Runner::Cargo => plan.args(&["--", "--ignored"]),
            Runner::Nextest => plan.args(&["--run-ignored", "only"]),
        };
        plan.run()
            .failed()
            .says("cannot execute tests/fixtures/broken.sql, line 4: cannot execute statement 3 of 4, `INSERT INTO no_such_table")
            .says("the test `files::broken_statements` was not run")
            .says("this test was not run, so it did not panic")
            .says("cannot read tests/fixtures/ragged.csv, line 3: it has 3 fields, and the first line names 2 columns")
            .says("cannot insert tests/fixtures/bad.ndjson, lines 1 to 2, into readings")
            .says("cannot set up the schema of the test `files::a_set_up_that_fails`")
            .says("that_fails`: the set-up's own words")
            // What was executed counts as a use.
            .says("of `files::broken_statements` is kept")
            .never_says("was not to be run")
            .never_says("test result: ok");
        cloud.ends_with(1, 1);
    }
}

#[test]
fn a_file_that_changes_is_read_again() {
    let (consumer, cloud) = (Consumer::of("changing", Runner::Cargo), TestCloud::suspended());
    let plan = || Plan::new(&consumer, Runner::Cargo).cloud(&cloud);
    plan().run().passed();
    let changed = "CREATE TABLE changing (x INT); INSERT INTO changing VALUES (2)";
    std::fs::write(consumer.dir.join("src/fixtures/changing.sql"), changed).unwrap();
    plan().env("CHANGED_TO", "2").run().passed();
    cloud.ends_with(2, 2);
}
