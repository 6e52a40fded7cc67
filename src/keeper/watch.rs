//! Waits for the end of a process: by its descriptor, or where there are none by looking again and again.

use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::host::process::Identity;

/// How often a process without a descriptor is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Returns once the process is dead. `descriptor` is its pidfd, which neither a number used again nor a namespace can
/// confuse.
pub(super) async fn end_of(process: Identity, descriptor: Option<OwnedFd>) {
    // SAFETY: the descriptor is owned by what registers it, and closed only after that.
    let register = |fd| unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.ok();
    if let Some(watched) = descriptor.and_then(register)
        && watched.readable().await.is_ok()
    {
        return;
    }
    while process.is_alive() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the process behind a descriptor is dead already.
pub(super) fn is_dead(process: &Identity, descriptor: Option<&OwnedFd>) -> bool {
    let Some(descriptor) = descriptor else { return !process.is_alive() };
    let mut asked = [rustix::event::PollFd::new(descriptor, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut asked, Some(&now)), Ok(1))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn sleeper() -> (std::process::Child, Identity, OwnedFd) {
        let child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
        let descriptor = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let own = Identity::own().unwrap();
        let start = crate::host::process::start_of(child.id()).unwrap();
        let identity = Identity { pid: child.id(), start, name: "sleep".into(), ..own };
        (child, identity, descriptor)
    }

    #[tokio::test]
    async fn a_death_is_noticed_by_descriptor_and_by_looking() {
        for by_descriptor in [true, false] {
            let (mut child, identity, descriptor) = sleeper();
            let descriptor = by_descriptor.then_some(descriptor);
            assert!(!is_dead(&identity, descriptor.as_ref()));
            child.kill().unwrap();
            tokio::time::timeout(Duration::from_secs(10), end_of(identity.clone(), descriptor)).await.unwrap();
            assert!(is_dead(&identity, None));
            child.wait().unwrap();
        }
    }
}
