//! File access that can't block the caller for ever: regular files only, and a thread for calls on a disk that may not
//! answer, such as a network mount.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// Opens a file of the harness, which is a regular one and no link. Opening a FIFO would wait for the other end.
pub(crate) fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let opened = options.custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Err(error) if error.raw_os_error() != Some(libc::ENXIO) => Err(error),
        // ENXIO: a FIFO that no process reads, or a socket.
        _ => Err(io::Error::other("it is no regular file")),
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread that makes calls which may never return, for one caller at a time. It starts with the first call; where
/// there can be no thread, the caller makes the calls itself.
#[derive(Debug)]
pub(crate) struct DiskThread {
    jobs: OnceLock<Option<Sender<Job>>>,
    /// A call has begun and has not returned.
    busy: Arc<AtomicBool>,
}

impl DiskThread {
    pub(crate) const NAME: &str = "cratedb-disk";

    pub(crate) fn new() -> Self {
        Self { jobs: OnceLock::new(), busy: Arc::default() }
    }

    /// Makes a call and waits for it, at most for `patience`. Returns none if it takes longer, and at once as long as
    /// an earlier one has not returned. A call that took too long may still be carried out.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let Some(jobs) = self.jobs.get_or_init(start) else { return Some(call()) };
        if self.busy.swap(true, Ordering::AcqRel) {
            return None;
        }
        let (done, outcome) = sync_channel(1);
        let busy = self.busy.clone();
        let job = move || {
            let value = call();
            busy.store(false, Ordering::Release);
            let _ = done.send(value);
        };
        jobs.send(Box::new(job)).ok()?;
        outcome.recv_timeout(patience).ok()
    }
}

fn start() -> Option<Sender<Job>> {
    let (jobs, received) = channel::<Job>();
    let run = move || received.into_iter().for_each(|job| job());
    thread::Builder::new().name(DiskThread::NAME.to_owned()).spawn(run).ok().map(|_| jobs)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (file, fifo, link) = (dir.path().join("file"), dir.path().join("fifo"), dir.path().join("link"));
        let socket = dir.path().join("socket");
        std::fs::write(&file, "x").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        let began = Instant::now();
        let options: [&dyn Fn(&mut OpenOptions) -> &mut OpenOptions; 3] =
            [&|options| options.read(true), &|options| options.append(true), &|options| options.read(true).write(true)];
        for with in options {
            let open = |path: &std::path::PathBuf| open_regular(with(&mut OpenOptions::new()), path);
            open(&file).unwrap();
            for other in [&fifo, &socket] {
                assert_eq!(open(other).unwrap_err().to_string(), "it is no regular file", "{}", other.display());
            }
            assert_eq!(open(&link).unwrap_err().raw_os_error(), Some(libc::ELOOP));
            assert_eq!(open(&dir.path().join("gone")).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_call_that_hangs_is_left_alone_until_it_returns() {
        const LONG: Duration = Duration::from_secs(20);
        let disk = DiskThread::new();
        assert_eq!(disk.run(LONG, || 1), Some(1));
        let (answer, hangs) = mpsc::channel::<()>();
        let began = Instant::now();
        assert_eq!(disk.run(Duration::from_millis(20), move || hangs.recv().is_ok()), None);
        assert_eq!(disk.run(LONG, || 2), None, "the first call has not returned");
        assert!(began.elapsed() < LONG);
        answer.send(()).unwrap();
        while disk.busy.load(Ordering::Acquire) {
            assert!(began.elapsed() < LONG);
            thread::yield_now();
        }
        assert_eq!(disk.run(LONG, || 3), Some(3));
    }
}
