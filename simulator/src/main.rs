//! The command line of the simulator.

use std::process::ExitCode;

fn main() -> ExitCode {
    cratedb_cloud_simulator::cli::main()
}
