//! A process that uses the cluster and has no `cargo` above it.

use cratedb_test::{Result, blocking::Session};

fn main() -> Result<()> {
    let cluster = Session::current()?.cluster("alone")?;
    cluster.execute("CREATE TABLE t (id INT)")?;
    meeting::meet("alone");
    Ok(())
}
