//! Waits for the end of a process: by a descriptor of it, or by looking again and again where there is none.

use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::host::process::Identity;

/// The time between two looks at a process without a descriptor.
const LOOK: Duration = Duration::from_millis(100);

/// Returns once the process is dead. `descriptor` is the pidfd that the client sent: neither a number that is used
/// again nor a namespace can confuse it. Without one, the keeper opens a descriptor of its own.
pub(super) async fn end_of(process: Identity, descriptor: Option<OwnedFd>) {
    // SAFETY: the descriptor is owned by what registers it, and closed only after that.
    let register = |fd| unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.ok();
    if let Some(watched) = descriptor.or_else(|| process.watch()).and_then(register)
        && watched.readable().await.is_ok()
    {
        return;
    }
    looked_for(&process).await;
}

async fn looked_for(process: &Identity) {
    while process.is_alive() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Returns true if the process is dead already. `descriptor` is the one that the client sent.
pub(super) fn is_dead(process: &Identity, descriptor: Option<&OwnedFd>) -> bool {
    let Some(descriptor) = descriptor else { return !process.is_alive() };
    let mut asked = [rustix::event::PollFd::new(descriptor, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut asked, Some(&now)), Ok(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> (std::process::Child, Identity) {
        let child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of_pid(child.id()).unwrap();
        (child, identity)
    }

    /// Linux clients send a descriptor, those of macOS none; looking is for a keeper that may open none either.
    #[tokio::test]
    async fn a_death_is_noticed_by_each_way() {
        for way in ["sent", "opened", "looked"] {
            let (mut child, identity) = sleeper();
            let descriptor = crate::host::platform::handle(child.id()).filter(|_| way == "sent");
            assert!(!is_dead(&identity, descriptor.as_ref()));
            let process = identity.clone();
            let watching = tokio::spawn(async move {
                match way {
                    "looked" => looked_for(&process).await,
                    _ => end_of(process, descriptor).await,
                }
            });
            tokio::time::sleep(LOOK * 2).await;
            assert!(!watching.is_finished(), "{way}");
            child.kill().unwrap();
            tokio::time::timeout(Duration::from_secs(10), watching).await.unwrap().unwrap();
            assert!(is_dead(&identity, None));
            child.wait().unwrap();
        }
    }

    #[tokio::test]
    async fn a_process_whose_number_means_another_one_is_over() {
        let (mut child, identity) = sleeper();
        let before = Identity { start: identity.start - 1, ..identity };
        tokio::time::timeout(Duration::from_secs(10), end_of(before, None)).await.unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
