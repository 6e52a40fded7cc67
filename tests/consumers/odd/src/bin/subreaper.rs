//! Runs a command and then waits for everything that is left of it, as some container inits and CI agents do.

use std::process::Command;

fn main() {
    #[cfg(target_os = "linux")]
    // SAFETY: changes who inherits the orphans of this process, nothing else.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    let mut arguments = std::env::args_os().skip(1);
    let status = Command::new(arguments.next().unwrap()).args(arguments).status().unwrap();
    let mut left = 0;
    // SAFETY: waits for children; the status is not asked for.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 {
        left += 1;
    }
    eprintln!("subreaper: waited for {left} more");
    std::process::exit(status.code().unwrap_or(1));
}
