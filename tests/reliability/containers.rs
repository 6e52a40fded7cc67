//! The crash matrix with containers: this crate and testcontainers, by the number of containers that are left.

use std::time::Duration;

use crate::matrix::{Actors, Cell, Phase, Victim, columns, pid, some_cells};
use crate::project::{Meet, holds_within};
use crate::support::consumer::Consumer;
use crate::support::engine::TestEngine;
use crate::support::run::{Plan, Runner};
use crate::support::standin::docker;
use crate::support::{processes, skip};
use crate::tally::{Table, Tally};

/// The engine's time for what it was told, once all processes are gone. Its removals take some tenths of a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// The keeper is one of this crate only.
const VICTIMS: [Victim; 3] = [Victim::Test, Victim::Runner, Victim::Group];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    EachTest,
    Static,
    StaticWithWatchdog,
}

impl Kind {
    fn consumer(self, runner: Runner) -> Consumer {
        if self == Self::Ours {
            return Consumer::of("reliability", runner);
        }
        // The other project depends on it by its path.
        Consumer::of("reliability", runner);
        match self {
            Self::StaticWithWatchdog => Consumer::with_features("reliability-containers", "watchdog", runner),
            _ => Consumer::of("reliability-containers", runner),
        }
    }

    fn plan(self, cell: Cell, engine: &TestEngine, meet: &Meet) -> Plan {
        let plan = Plan::new(&self.consumer(cell.runner), cell.runner).args(&["--test", "victim"]).engine(engine);
        let plan = plan.env("RELIABILITY_IMAGE", image(engine)).env("RELIABILITY_PHASE", cell.phase.name());
        let plan = plan.env("RELIABILITY_DIR", meet.path().display().to_string());
        let plan = if self == Self::StaticWithWatchdog { plan.args(&["--features", "watchdog"]) } else { plan };
        let is_static = matches!(self, Self::Static | Self::StaticWithWatchdog);
        plan.env("RELIABILITY_SERVERS", if is_static { "static" } else { "each" }).in_order()
    }
}

fn image(engine: &TestEngine) -> String {
    engine.environment()["CRATEDB_TEST_IMAGE"].clone()
}

/// The containers of the image, whoever made them.
fn containers(image: &str) -> Vec<String> {
    let listed = docker(&["ps", "-a", "--format", "{{.Image}} {{.ID}}"]).unwrap();
    let ours = listed.lines().filter_map(|line| line.strip_prefix(image)?.strip_prefix(' '));
    ours.map(str::to_owned).collect()
}

/// Plays a cell to the end of its last process, and returns the number of containers that are left.
fn play(kind: Kind, cell: Cell, engine: &TestEngine) -> usize {
    let (meet, image) = (Meet::new(), image(engine));
    let mut run = kind.plan(cell, engine, &meet).start();
    let test = pid(run.wait_for_file(&meet.here()).parse().unwrap());
    if cell.phase == Phase::Acquiring {
        assert!(holds_within(Duration::from_secs(60), || !containers(&image).is_empty()), "no container is made");
    }
    Actors::of(&run, test, None).die(cell, &meet, || {});
    meet.order("on");
    run.wait();
    run.finish();
    assert!(holds_within(Duration::from_secs(60), || processes::keepers(engine.dir.path()).is_empty()), "{cell:?}");
    holds_within(PATIENCE, || containers(&image).is_empty());
    let left = containers(&image);
    left.iter().for_each(|id| drop(docker(&["rm", "-f", "-v", id])));
    left.len()
}

fn examine_all(kinds: &[Kind], cells: &[Cell]) {
    for kind in kinds {
        let Some(engine) = TestEngine::with_stand_in() else { return };
        let (mut table, mut most) = (Table::default(), 0);
        for cell in cells {
            let left = play(*kind, *cell, &engine);
            most = most.max(left);
            table.add(&cell.row(), &cell.column(), &Tally { runs: 1, left: usize::from(left > 0), times: vec![] });
        }
        println!("{kind:?}, at most {most} containers left by a run:\n{}", table.show(&columns()));
        if *kind == Kind::Ours {
            assert_eq!(table.left(), 0, "containers were left");
        }
    }
}

#[test]
fn every_victim_dies_once_with_a_container() {
    examine_all(&[Kind::Ours], &some_cells(&VICTIMS)[..4]);
}

/// What testcontainers leaves is counted and not judged.
#[test]
#[ignore = "the long form: this crate, and testcontainers in three ways"]
fn every_victim_dies_every_death_with_each_kind_of_container() {
    if docker(&["version"]).is_err() {
        return skip("docker", "no container engine answers");
    }
    let kinds = [Kind::Ours, Kind::EachTest, Kind::Static, Kind::StaticWithWatchdog];
    examine_all(&kinds, &some_cells(&VICTIMS));
}
