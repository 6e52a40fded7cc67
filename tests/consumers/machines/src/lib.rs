//! Tests of one of several machines. They write down when they begin and end, and use their cluster in between.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cratedb_test::blocking::Cluster;

/// A test that runs. Its end is written down however it ends, unless its process is killed.
struct Turn {
    mode: &'static str,
    test: &'static str,
}

impl Turn {
    /// Appends `<milliseconds> <machine> <begin|end> <shared|exclusive> <test>` to the file that `TURNS` names.
    fn say(&self, what: &str) {
        let path = std::env::var_os("TURNS").expect("TURNS");
        let machine = std::env::var("USER").expect("USER");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(format!("{now} {machine} {what} {} {}\n", self.mode, self.test).as_bytes()).unwrap();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.say("end");
    }
}

/// Uses the cluster for a random time, of which `PACE` gives the steps.
pub fn turn(mode: &'static str, test: &'static str) {
    let turn = Turn { mode, test };
    turn.say("begin");
    let pace = std::env::var("PACE").map_or(200, |pace| pace.parse().expect("milliseconds"));
    let cluster = Cluster::current().expect("this is a test with a cluster");
    cluster.execute("CREATE TABLE numbers (n INT)").unwrap();
    for n in 1..=5 {
        cluster.query("INSERT INTO numbers VALUES (?)").bind(n).execute().unwrap();
        std::thread::sleep(Duration::from_millis(RandomState::new().hash_one(n) % pace));
    }
    cluster.refresh().unwrap();
    assert_eq!(cluster.query("SELECT sum(n) FROM numbers").scalar::<i64>().unwrap(), 15);
}
