use cratedb_test::{Cluster, Result, cratedb_cluster};

/// B1: a test that waits for all of its children must not wait for the keeper.
#[cratedb_cluster]
async fn waits_for_all_children(cluster: Cluster) -> Result<()> {
    odd::link();
    cluster.execute("CREATE TABLE t (id INT)").await?;
    // SAFETY: waits for children; the status is not asked for.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 {}
    Ok(())
}

/// B10: a child without `exec` inherits the connection and lives on; the lease must not.
#[cratedb_cluster]
async fn leaves_a_forked_child(cluster: Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await?;
    if std::env::var_os("ODD_FORK").is_some() {
        // SAFETY: the child calls only functions that are safe after fork.
        unsafe {
            if libc::fork() == 0 {
                libc::close(0);
                libc::close(1);
                libc::close(2);
                libc::sleep(20);
                libc::_exit(0);
            }
        }
    }
    Ok(())
}
