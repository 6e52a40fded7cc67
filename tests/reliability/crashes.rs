//! The crash matrix on a Cloud cluster: is it suspended, and how soon?

use std::sync::Mutex;
use std::time::Duration;

use cratedb_cloud_simulator::Options;
use rustix::process::Pid;

use crate::matrix::{Actors, Cell, Phase, VICTIMS, Victim, cells, columns, ends_within, now, pid, some_cells};
use crate::project::{Left, Meet, left, plan};
use crate::support::cloud::{CLUSTER, TestCloud, suspendable};
use crate::support::processes;
use crate::support::run::Run;
use crate::tally::{Table, Tally};

/// A run with a test that stands still.
struct Scene {
    cell: Cell,
    cloud: TestCloud,
    meet: Meet,
    run: Run,
    test: Pid,
}

impl Scene {
    fn new(cell: Cell) -> Self {
        let options = Options::default().cluster(suspendable()).operation_time(Duration::from_millis(20));
        let (cloud, meet) = (TestCloud::with(options), Meet::new());
        let stops = if cell.phase == Phase::Releasing { Phase::Running } else { cell.phase };
        if cell.phase == Phase::Acquiring {
            cloud.simulator.cloud().hold_next_operation(CLUSTER);
        }
        let mut run = plan(cell.runner, "victim", &cloud, &meet, stops.name()).in_order().start();
        let test = pid(run.wait_for_file(&meet.here()).parse().unwrap());
        if cell.phase == Phase::Acquiring {
            cloud.wait_for_counts(1, 0);
        }
        Self { cell, cloud, meet, run, test }
    }

    /// Lets the victim die and all others end as they do by themselves. Returns when the last of the run was gone.
    fn play(&mut self) -> f64 {
        let run = [pid(self.run.id()), self.test].map(processes::watch);
        let mut gone = None;
        if self.cell.phase == Phase::Releasing {
            self.cloud.simulator.cloud().hold_next_operation(CLUSTER);
            self.meet.order("on");
            assert!(ends_within(Duration::from_secs(60), &run[0]), "{:?}", self.cell);
            gone = Some(now());
            self.run.wait();
            self.cloud.wait_for_counts(1, 1);
        }
        let keeper = (self.cell.victim == Victim::Keeper).then(|| self.cloud.keeper());
        Actors::of(&self.run, self.test, keeper).die(self.cell, &self.meet, || {
            if matches!(self.cell.phase, Phase::Acquiring | Phase::Releasing) {
                self.cloud.simulator.cloud().release(CLUSTER);
            }
        });
        self.meet.order("on");
        run.iter().for_each(|process| assert!(ends_within(Duration::from_secs(60), process), "{:?}", self.cell));
        let gone = gone.unwrap_or_else(now);
        self.run.wait();
        gone
    }

    fn suspended_at(&self) -> Option<f64> {
        let requests = self.cloud.simulator.requests();
        requests.iter().filter(|request| request.is_suspend()).map(|request| request.at_ms).next_back()
    }
}

fn examine(cell: Cell) -> Tally {
    let mut scene = Scene::new(cell);
    let gone = scene.play();
    let left = left(&scene.cloud);
    if left != Left::Suspended {
        println!("{cell:?}: {left:?}, {:?}; the keeper's log:\n{}", scene.cloud.counts(), scene.cloud.log());
    }
    let (resumes, suspends) = scene.cloud.counts();
    if (resumes, suspends) != (1, 1) {
        println!("{cell:?}: {resumes} resumes, {suspends} suspensions");
    }
    // A keeper that was told to end suspends before the run is over.
    let after = scene.suspended_at().map(|at| (at - gone).max(0.0));
    Tally { runs: 1, left: usize::from(left != Left::Suspended), times: after.into_iter().collect() }
}

/// Runs cells two at a time, and prints the table.
fn examine_all(cells: Vec<Cell>) {
    let (work, table) = (Mutex::new(cells.into_iter()), Mutex::new(Table::default()));
    let next = || work.lock().unwrap().next();
    let worker = || {
        while let Some(cell) = next() {
            let tally = examine(cell);
            table.lock().unwrap().add(&cell.row(), &cell.column(), &tally);
        }
    };
    std::thread::scope(|scope| [scope.spawn(worker), scope.spawn(worker)].map(|worker| worker.join().unwrap()));
    let table = table.into_inner().unwrap();
    println!("{}", table.show(&columns()));
    assert_eq!(table.left(), 0, "clusters were left running");
}

#[test]
fn every_victim_dies_every_death_once() {
    examine_all(some_cells(&VICTIMS));
}

#[test]
#[ignore = "the long form: every cell five times"]
fn every_cell_of_the_crash_matrix() {
    examine_all(cells(&VICTIMS).repeat(5));
}
