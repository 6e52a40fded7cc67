//! Repeats attacks that once succeeded.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cratedb_cloud_simulator::Fault;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::cloud::{CLUSTER, TestCloud};
use crate::support::consumer::Consumer;
use crate::support::run::{Plan, Run, Runner, runners};
use crate::support::{processes, wait_for};

fn attacked() -> Consumer {
    Consumer::of("attacked", Runner::Cargo)
}

/// A run of one test binary, in order.
fn plan(consumer: &Consumer, cloud: &TestCloud, binary: &str) -> Plan {
    Plan::new(consumer, Runner::Cargo).args(&["--test", binary]).cloud(cloud)
}

/// A place where the attacker and the attacked meet.
struct Meeting(tempfile::TempDir);

impl Meeting {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, plan: Plan) -> Plan {
        plan.env("MEET_DIR", self.0.path().display().to_string())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn here(&self, run: &mut Run, name: &str) {
        run.wait_for_file(&self.file(&format!("{name}.here")));
    }

    fn go(&self, name: &str) {
        std::fs::write(self.file(&format!("{name}.go")), "x").unwrap();
    }
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn a_cluster_found_running_since_its_suspension_failed_is_still_owed() {
    let (consumer, cloud) = (attacked(), TestCloud::suspended());
    let (first, second) = (Meeting::new(), Meeting::new());
    let mut run = first.at(plan(&consumer, &cloud, "ends")).in_order().start();
    first.here(&mut run, "a");
    cloud.simulator.cloud().fault(Fault::on("PUT", "/suspend").status(403).always());
    first.go("a");
    run.finish().passed();
    wait_for(
        "the release to fail",
        || if cloud.log().contains("outcome=\"owed\"") { Ok(()) } else { Err(cloud.log()) },
    );
    let mut run = second.at(plan(&consumer, &cloud, "ends")).in_order().start();
    second.here(&mut run, "a");
    cloud.simulator.cloud().clear_faults();
    second.go("a");
    run.finish().passed();
    wait_for("the suspension", || match cloud.simulator.cloud().cluster(CLUSTER).running {
        false => Ok(()),
        true => Err(cloud.log()),
    });
}

#[test]
fn who_comes_with_a_wrong_secret_does_not_take_the_right_one_away() {
    let (consumer, cloud) = (attacked(), TestCloud::suspended());
    let warm = |plan: Plan| plan.env("CRATEDB_TEST_KEEP_WARM", "1h");
    warm(plan(&consumer, &cloud, "ends")).in_order().run().passed();
    plan(&consumer, &cloud, "ends").in_order().env("CRATEDB_CLOUD_API_SECRET", "mistyped").run().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn an_attempt_that_ends_while_a_new_keeper_takes_over_is_over() {
    let (consumer, cloud, meeting) = (attacked(), TestCloud::suspended(), Meeting::new());
    let plan = meeting.at(plan(&consumer, &cloud, "ends")).in_order().env("CRATEDB_TEST_START_TIMEOUT", "10s");
    let mut run = plan.start();
    meeting.here(&mut run, "a");
    cloud.simulator.cloud().fault(Fault::on("GET", "/clusters/").delay(Duration::from_secs(2)));
    let before = cloud.simulator.requests().len();
    kill(cloud.keeper(), Signal::KILL);
    wait_for("the next keeper to look", || match cloud.simulator.requests().len() {
        more if more > before => Ok(()),
        same => Err(same),
    });
    meeting.go("a");
    run.finish().passed();
    cloud.ends_with(1, 1);
    assert_eq!(cloud.log().matches("DROP").count(), 0, "{}", cloud.log());
}

#[test]
fn a_turn_that_nobody_waits_for_any_more_is_not_taken() {
    let (consumer, cloud) = (attacked(), TestCloud::suspended());
    let plan = plan(&consumer, &cloud, "given_up").in_order().env("CRATEDB_TEST_START_TIMEOUT", "10s");
    plan.run().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn a_process_that_ignores_its_children_or_changes_our_variable_gets_a_keeper() {
    let consumer = attacked();
    for attack in ["sigchld", "directory"] {
        let cloud = TestCloud::suspended();
        plan(&consumer, &cloud, "hostile").env("ATTACK", attack).args(&["spoils"]).run().passed();
        cloud.ends_with(1, 1);
    }
}

#[test]
fn a_task_of_an_exclusive_test_is_a_part_of_it() {
    let (consumer, cloud) = (attacked(), TestCloud::suspended());
    let plan = plan(&consumer, &cloud, "hostile").args(&["second_cluster"]).env("CRATEDB_TEST_START_TIMEOUT", "10s");
    plan.run().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn an_exclusive_test_does_not_wait_for_itself_on_any_thread() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("attacked", runner), TestCloud::suspended());
        let plan = Plan::new(&consumer, runner).args(&["--test", "workers"]).cloud(&cloud);
        let began = Instant::now();
        plan.in_order().env("CRATEDB_TEST_START_TIMEOUT", "60s").run().passed();
        assert!(began.elapsed() < Duration::from_secs(30), "somebody waited: {:?}", began.elapsed());
        cloud.ends_with(1, 1);
    }
}

#[test]
fn a_path_too_long_for_sockets_is_an_error_that_says_how_long_it_may_be() {
    let (consumer, cloud) = (attacked(), TestCloud::suspended());
    let deep = cloud.path().join("d".repeat(100)).display().to_string();
    let plan = plan(&consumer, &cloud, "hostile").args(&["spoils"]).env("CRATEDB_TEST_DIR", deep.clone());
    plan.run().failed().says(&format!("the path has {} bytes", deep.len())).says("at most");
}

/// A client of a later version, with the same runner above it, is told that waiting is in vain.
#[test]
fn two_protocols_in_one_run_are_an_error_and_not_a_wait() {
    use std::io::{Read as _, Write as _};
    let (consumer, cloud, meeting) = (attacked(), TestCloud::suspended(), Meeting::new());
    let mut run = meeting.at(plan(&consumer, &cloud, "ends")).in_order().start();
    meeting.here(&mut run, "a");
    let asked = |runner: u32| {
        let (start, namespace, boot) = (processes::start(runner), processes::namespace(), processes::boot());
        let name = processes::name(runner).unwrap();
        let hello = format!(
            r#"{{"type":"hello","protocol":77,"more":1,"runners":[{{"pid":{runner},"start":{start},"namespace":{namespace},"boot":"{boot}","name":"{name}"}}]}}"#
        );
        let mut socket = std::os::unix::net::UnixStream::connect(cloud.file("sock").unwrap()).unwrap();
        socket.write_all(&u32::try_from(hello.len()).unwrap().to_le_bytes()).unwrap();
        socket.write_all(hello.as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        serde_json::from_slice::<serde_json::Value>(&answer[4..]).unwrap()
    };
    let (own, other) = (asked(run.id()), asked(std::process::id()));
    assert_eq!((&own["type"], &own["protocol"], &own["same_run"]), (&"protocol".into(), &1.into(), &true.into()));
    assert_eq!(own["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(other["same_run"], false);
    meeting.go("a");
    run.finish().passed();
    cloud.ends_with(1, 1);
}

/// Without room for its log a keeper ends as soon as it begins.
#[test]
fn a_keeper_that_cannot_begin_is_an_error_and_not_a_wait() {
    let (consumer, cloud) = (attacked(), TestCloud::suspended());
    let run = |cloud: &TestCloud| plan(&consumer, cloud, "hostile").args(&["spoils"]).run();
    run(&cloud).passed();
    cloud.ends_with(1, 1);
    let log = cloud.file("log").unwrap();
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    let began = Instant::now();
    run(&cloud).failed().says("cannot start a keeper").says(&log.display().to_string());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_directory_that_is_open_to_others_is_refused_and_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |dir: &Path| std::fs::metadata(dir).unwrap().permissions().mode() & 0o7777;
    let (consumer, cloud) = (attacked(), TestCloud::suspended());
    std::fs::set_permissions(cloud.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    plan(&consumer, &cloud, "hostile").args(&["spoils"]).run().failed().says("others may write");
    assert_eq!(mode(cloud.path()), 0o1777);
    std::fs::set_permissions(cloud.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    plan(&consumer, &cloud, "hostile").args(&["spoils"]).run().passed();
    assert_eq!(mode(cloud.path()), 0o755);
    cloud.ends_with(1, 1);
}

/// Deletes files as a cleaner of temporary files does. The journal is elsewhere.
#[test]
fn a_keeper_whose_socket_and_locks_are_removed_stays_the_only_one() {
    let (consumer, cloud, meeting) = (attacked(), TestCloud::suspended(), Meeting::new());
    let mut run = meeting.at(plan(&consumer, &cloud, "ends")).in_order().start();
    meeting.here(&mut run, "a");
    for kind in ["sock", "keeper", "birth"] {
        std::fs::remove_file(cloud.file(kind).unwrap()).unwrap();
    }
    plan(&consumer, &cloud, "hostile").args(&["spoils"]).run().passed();
    meeting.go("a");
    run.finish().passed();
    cloud.ends_with(1, 1);
    assert_eq!(cloud.log().matches("a keeper was born").count(), 1, "{}", cloud.log());
}

/// The same with a cleaner that finds all files, and with a client that comes before the keeper notices it.
#[test]
fn of_two_keepers_of_one_cluster_the_one_without_a_journal_ends() {
    let (consumer, cloud, meeting) = (attacked(), TestCloud::suspended(), Meeting::new());
    let mut run = meeting.at(plan(&consumer, &cloud, "ends")).in_order().start();
    meeting.here(&mut run, "a");
    let first = cloud.keeper();
    // Stopped, so that the second one is surely first at the journal's place.
    kill(first, Signal::STOP);
    for kind in ["sock", "keeper", "birth", "journal"] {
        std::fs::remove_file(cloud.file(kind).unwrap()).unwrap();
    }
    let second = plan(&consumer, &cloud, "hostile").args(&["spoils"]).env("CRATEDB_TEST_KEEP_WARM", "1h");
    second.env("CRATEDB_TEST_ON_EXIT", "suspend").run().passed();
    assert_eq!(cloud.log().matches("a keeper was born").count(), 2, "{}", cloud.log());
    kill(first, Signal::CONT);
    wait_for("the first keeper's end", || match processes::is_dead(first) {
        true => Ok(()),
        false => Err(cloud.log()),
    });
    // The second one has a lease on the cluster, so the first one left it running.
    meeting.go("a");
    run.finish();
    let all = processes::keepers(cloud.path());
    all.into_iter().for_each(|pid| kill(pid, Signal::TERM));
    wait_for("the end of all", || match cloud.simulator.cloud().cluster(CLUSTER).running {
        false => Ok(()),
        true => Err(cloud.log()),
    });
}

#[test]
fn a_keeper_whose_files_are_all_removed_puts_them_back() {
    let (consumer, cloud, meeting) = (attacked(), TestCloud::suspended(), Meeting::new());
    let mut run = meeting.at(plan(&consumer, &cloud, "ends")).in_order().start();
    meeting.here(&mut run, "a");
    for kind in ["sock", "keeper", "birth", "journal"] {
        std::fs::remove_file(cloud.file(kind).unwrap()).unwrap();
    }
    wait_for("the files", || match ["sock", "keeper", "journal"].iter().find(|kind| cloud.file(kind).is_none()) {
        None => Ok(()),
        Some(kind) => Err(*kind),
    });
    let journal = String::from_utf8_lossy(&std::fs::read(cloud.file("journal").unwrap()).unwrap()).into_owned();
    assert!(journal.contains(r#""word":"up""#), "what is owed is written again");
    plan(&consumer, &cloud, "hostile").args(&["spoils"]).run().passed();
    meeting.go("a");
    run.finish().passed();
    cloud.ends_with(1, 1);
    assert_eq!(cloud.log().matches("a keeper was born").count(), 1, "{}", cloud.log());
}
