//! The testcontainers module for CrateDB, in a separate project: the usual solution without this harness.

use std::process::{Command, Output};

use crate::support::consumer::{Consumer, clean};
use crate::support::run::Runner;

const IMAGE: &str = "crate:6.4.3";

pub struct Module {
    consumer: Consumer,
    /// Set if the module does not start on this machine without `discovery.type=single-node`.
    single_node: bool,
}

impl Module {
    /// Finds out how the module starts here. Returns `None`, and says so, if no engine has the image.
    pub fn find() -> Option<Self> {
        let image = Command::new("docker").args(["image", "inspect", IMAGE]).output();
        if !image.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no engine has the image {IMAGE}");
            return None;
        }
        let as_it_is = Self { consumer: Consumer::of("bench-module", Runner::Cargo), single_node: false };
        Some(match as_it_is.start() {
            Ok(_) => as_it_is,
            Err(output) => {
                eprintln!("the module of testcontainers does not start here as it is:\n{output}");
                Self { single_node: true, ..as_it_is }
            }
        })
    }

    pub fn name(&self) -> &'static str {
        match self.single_node {
            false => "the module of testcontainers as it is",
            true => "the module of testcontainers, with discovery.type=single-node",
        }
    }

    /// Returns the milliseconds until the cluster is healthy, or the output if it fails. The consumer measures the
    /// time, so that the runner's own start is not part of it.
    pub fn start(&self) -> Result<f64, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let run = self.test("start", file.path(), &[]);
        match run.status.success() {
            true => Ok(std::fs::read_to_string(file.path()).unwrap().parse().unwrap()),
            false => Err(String::from_utf8_lossy(&run.stdout).into_owned()),
        }
    }

    /// Runs one of its test files, which writes samples to `out`.
    pub fn test(&self, name: &str, out: &std::path::Path, args: &[&str]) -> Output {
        let mut command = clean(Command::new("cargo"));
        command.current_dir(&self.consumer.dir).args(["test", "--test", name, "--"]).args(args).env("BENCH_OUT", out);
        if self.single_node {
            command.env("BENCH_SINGLE_NODE", "1");
        }
        command.output().unwrap()
    }
}
