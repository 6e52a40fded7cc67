//! The decision to start or wait, and reservations of real processes. Locks exclude nothing within one process.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn other(mib: u64, starting: bool) -> Reservation {
    Reservation { bytes: mib * MIB, server: "CrateDB 5.10 of /p".to_owned(), pid: 7, starting }
}

#[test]
fn one_node_needs_less_than_two_and_two_less_than_three() {
    assert_eq!(need(1), 812 * MIB);
    assert_eq!(need(3), 3 * 684 * MIB);
    assert!((1..9).all(|nodes| need(nodes) < need(nodes + 1)));
}

#[test]
fn what_starts_counts_and_what_is_up_does_not_count_twice() {
    let decide = |available: u64, others: &[Reservation]| decide(800 * MIB, Some(available * MIB), others);
    assert_eq!(decide(800, &[]), Decision::Start);
    assert_eq!(decide(1600, &[other(800, true)]), Decision::Start);
    assert_eq!(decide(1599, &[other(800, true)]), Decision::Wait);
    assert_eq!(decide(800, &[other(800, false)]), Decision::Start);
    assert_eq!(decide(799, &[other(800, false)]), Decision::Wait);
    // More is reserved than there is, by servers that were started in spite of it.
    assert_eq!(decide(100, &[other(800, true)]), Decision::Wait);
}

#[test]
fn a_server_that_never_fits_is_started_when_it_is_alone() {
    assert_eq!(decide(need(9), Some(MIB), &[]), Decision::StartInSpite);
    assert_eq!(decide(need(9), Some(0), &[]), Decision::StartInSpite);
}

#[test]
fn where_nobody_knows_nobody_waits() {
    assert_eq!(decide(need(1), None, &[other(9999, true)]), Decision::Start);
}

#[test]
fn who_waits_is_told_for_what_and_for_whom() {
    let own = Reservation { server: "CrateDB 6.4 of /q".to_owned(), ..other(812, true) };
    assert_eq!(
        whom(&own, &[other(812, true), Reservation { pid: 8, ..other(812, false) }]),
        "CrateDB 6.4 of /q needs 812 MiB; process 7 is starting CrateDB 5.10 of /p, process 8 has CrateDB 5.10 of /p"
    );
}

#[test]
fn the_available_memory_is_read() {
    assert_eq!(available_in("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
    assert_eq!(available_in("MemTotal: 9 kB\n"), None);
    // Other systems don't say.
    let says = Path::new("/proc/meminfo").exists();
    assert!(!says || available().is_some_and(|bytes| bytes > MIB));
}

/// Keepers come, get ready and go in any order, and a server takes its memory when it is up.
#[derive(Clone, Debug)]
enum Step {
    Come(u32),
    Up(usize),
    Go(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..4u32).prop_map(Step::Come),
        any::<usize>().prop_map(Step::Up),
        any::<usize>().prop_map(Step::Go),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn what_was_started_fits_unless_it_is_alone(memory in 0..8000u64, steps in steps()) {
        let memory = memory * MIB;
        let mut there: Vec<Reservation> = Vec::new();
        let mut waiting: Vec<u64> = Vec::new();
        for step in steps {
            match step {
                Step::Come(nodes) => waiting.push(need(nodes)),
                Step::Up(index) if !there.is_empty() => {
                    let index = index % there.len();
                    there[index].starting = false;
                }
                Step::Go(index) if !there.is_empty() => drop(there.remove(index % there.len())),
                _ => {}
            }
            waiting.retain(|need| {
                let up: u64 = there.iter().filter(|server| !server.starting).map(|server| server.bytes).sum();
                match decide(*need, Some(memory.saturating_sub(up)), &there) {
                    Decision::Wait => true,
                    decision => {
                        assert_eq!(decision == Decision::StartInSpite, *need > memory && there.is_empty());
                        there.push(other(need / MIB, true));
                        false
                    }
                }
            });
            let sum: u64 = there.iter().map(|server| server.bytes).sum();
            prop_assert!(sum <= memory || there.len() == 1, "{sum} of {memory}");
            // No keeper waits if no other one has memory: no deadlock.
            prop_assert!(waiting.is_empty() || !there.is_empty());
        }
    }
}

const RESERVE: &str = "CRATEDB_TEST_MEMORY_TO_RESERVE";

/// Plays the other keeper of the tests below. Does nothing as a test of its own.
#[test]
fn reserver() {
    if let Some(dir) = std::env::var_os(RESERVE) {
        let own = Reservation { pid: std::process::id(), ..other(812, true) };
        let Look::Ready(Some(mut turn)) = attempt(Path::new(&dir), &own) else { panic!("nothing was reserved") };
        println!("reserved");
        let mut input = std::io::stdin();
        input.read_exact(&mut [0]).unwrap();
        turn.reservation.starting = false;
        turn.write();
        println!("up");
        input.read_to_end(&mut Vec::new()).unwrap();
    }
}

struct Other {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Other {
    fn new(dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "provider::memory::tests::reserver", "--nocapture"])
            .env(RESERVE, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut other = Self { child, lines: Box::new(lines) };
        other.says("reserved");
        other
    }

    fn says(&mut self, text: &str) {
        assert!(self.lines.any(|line| line.ends_with(text)), "it never said {text}");
    }

    fn gets_ready(&mut self) {
        use std::io::Write as _;
        self.child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        self.says("up");
    }

    fn is_killed(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn reservations_are_seen_by_others_and_die_with_their_process() {
    let dir = tempfile::tempdir().unwrap();
    let seen = || others(dir.path(), &mut Locks::take());
    let (mut one, mut two) = (Other::new(dir.path()), Other::new(dir.path()));
    let mut pids: Vec<u32> = seen().iter().map(|reservation| reservation.pid).collect();
    pids.sort_unstable();
    let mut expected = [one.child.id(), two.child.id()];
    expected.sort_unstable();
    assert_eq!(pids, expected);
    assert!(seen().iter().all(|reservation| reservation.starting && reservation.bytes == 812 * MIB));
    one.gets_ready();
    assert_eq!(seen().iter().filter(|reservation| reservation.starting).count(), 1);
    one.is_killed();
    assert_eq!(seen().len(), 1);
    two.is_killed();
    assert_eq!(seen(), []);
}

#[test]
fn more_than_there_is_waits_for_the_others_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = Other::new(dir.path());
    let absurd = Reservation { bytes: u64::MAX, ..other(0, true) };
    let Look::NotYet(status) = attempt(dir.path(), &absurd) else { panic!("it did not wait") };
    assert!(status.contains(&format!("process {} is starting CrateDB 5.10 of /p", one.child.id())), "{status}");
    one.is_killed();
    let began = Instant::now();
    let Look::Ready(Some(turn)) = attempt(dir.path(), &absurd) else { panic!("it waited for nobody") };
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(turn);
}
