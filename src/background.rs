//! The one background thread of the process, on which the HTTP requests of tests run.
//!
//! Every `#[tokio::test]` has a runtime of its own, and a pooled connection dies with the runtime that opened it. So
//! connections live here, on a runtime that belongs to no test. A call spawns its work there and waits for it, on any
//! executor or without one.

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::error::{Error, Kind, Result};

/// Linux keeps 15 bytes of a thread's name.
const THREAD_NAME: &str = "cratedb-test-io";

thread_local! {
    static IS_BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

static HANDLE: Mutex<Option<Handle>> = Mutex::new(None);

/// Returns the runtime of the background thread, which starts with the first call and ends with the process.
///
/// Where the process may have no further thread or descriptor, that is an error, and the next call tries again.
pub(crate) fn handle() -> Result<Handle> {
    let mut known = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*known {
        Some(handle) => Ok(handle.clone()),
        None => Ok(known.insert(start().map_err(|error| no_thread(&error))?).clone()),
    }
}

/// Reports whether a runtime is that of the background thread, which need not have started.
#[cfg(any(feature = "tokio-postgres", feature = "postgres", feature = "sqlx"))]
pub(crate) fn is_runtime(id: tokio::runtime::Id) -> bool {
    HANDLE.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|handle| handle.id() == id)
}

/// Starts the thread. It makes its runtime itself: one that is dropped by an async caller, for want of a thread, would
/// panic.
fn start() -> io::Result<Handle> {
    let (started, outcome) = mpsc::sync_channel(1);
    thread::Builder::new().name(THREAD_NAME.into()).spawn(move || {
        IS_BACKGROUND.set(true);
        match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let _ = started.send(Ok(runtime.handle().clone()));
                runtime.block_on(std::future::pending::<()>());
            }
            Err(error) => drop(started.send(Err(error))),
        }
    })?;
    outcome.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}

fn no_thread(error: &io::Error) -> Error {
    Error::new(Kind::Session, "cannot start a thread for the work of cratedb-test")
        .because(error)
        .hint("it takes a thread and a few descriptors; `ulimit -u` and `ulimit -n` show how many a process may have")
}

/// Runs `work` on the background thread and waits for it, on any executor or without one. Dropping the future aborts
/// the work. A panic in it is an error: `#[should_panic]` would take it for success.
pub(crate) async fn run<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    AbortOnDrop(handle()?.spawn(work)).await
}

/// Runs `work` on the background thread and parks the calling thread until it is done, also inside a runtime, where
/// tokio's own blocking calls panic. A panic in the work is an error.
///
/// Waits on a channel, not on a `JoinHandle`: if the task's budget is used up, a `JoinHandle` hands its wake-up to a
/// scheduler that can't run while this thread is parked.
pub(crate) fn wait<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    refuse_to_wait_for_itself()?;
    let (done, outcome) = mpsc::sync_channel(1);
    handle()?.spawn(async move {
        let _ = done.send(caught(work).await);
    });
    judged(outcome.recv().ok())
}

/// Runs work that blocks on a thread of its own, and awaits it. Where there can be no thread, that is an error; tokio's
/// `spawn_blocking` would panic.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (done, outcome) = oneshot::channel();
    let run = move || drop(done.send(catch_unwind(AssertUnwindSafe(work))));
    thread::Builder::new().name("cratedb-test-bl".into()).spawn(run).map_err(|error| no_thread(&error))?;
    judged(outcome.await.ok())
}

/// Runs work of the harness and turns a panic in it into an error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    judged(Some(catch_unwind(AssertUnwindSafe(work))))
}

/// Does the same for work that is awaited.
pub(crate) async fn guarded_work<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    judged(Some(caught(work).await))
}

/// Returns the result of work that may have panicked; none if its thread is gone.
fn judged<T>(outcome: Option<thread::Result<Result<T>>>) -> Result<T> {
    match outcome {
        Some(Ok(result)) => result,
        Some(Err(panic)) => Err(panicked(&*panic)),
        None => Err(Error::new(Kind::Session, "a thread of cratedb-test ended in the middle of its work")),
    }
}

/// Makes the error of work of the harness that panicked.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Error {
    Error::new(Kind::Session, "cratedb-test panicked").because(text_of(panic))
}

/// Returns the text of a panic.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// Drives a future on the calling thread, also inside a runtime, where tokio's own `block_on` panics. The future need
/// not be `Send`.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    // In a task whose budget is used up, tokio hands the wake-up to a scheduler that can't run while this thread is
    // parked.
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Reports whether this is the background thread.
pub(crate) fn is_background() -> bool {
    IS_BACKGROUND.get()
}

/// Refuses a blocking call on the background thread, which would wait for its own work.
pub(crate) fn refuse_to_wait_for_itself() -> Result<()> {
    match is_background() {
        true => {
            Err(Error::new(Kind::Usage, format!("a blocking call on the thread {THREAD_NAME} would wait for itself")))
        }
        false => Ok(()),
    }
}

/// Runs `work` and returns a panic in it as a value.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> thread::Result<T> {
    let mut work = Box::pin(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<Result<T>> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let outcome = ready!(Pin::new(&mut self.0).poll(context));
        // Only `drop` aborts, and the runtime is never shut down, so an error is a panic.
        Poll::Ready(judged(outcome.map(Ok).or_else(|error| error.try_into_panic().map(Err)).ok()))
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    /// A minimal executor that is not part of tokio, like those of smol and `futures::executor`.
    pub(crate) fn foreign_block_on<T>(future: impl Future<Output = T>) -> T {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::park(),
            }
        }
    }

    async fn thread_name() -> Result<String> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(thread::current().name().unwrap_or_default().to_owned())
    }

    #[test]
    fn works_on_a_foreign_executor() {
        assert_eq!(foreign_block_on(run(thread_name())).unwrap(), THREAD_NAME);
    }

    #[tokio::test]
    async fn works_on_a_current_thread_runtime() {
        assert_eq!(run(thread_name()).await.unwrap(), THREAD_NAME);
        assert_eq!(wait(thread_name()).unwrap(), THREAD_NAME);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn works_on_a_multi_thread_runtime() {
        assert_eq!(run(thread_name()).await.unwrap(), THREAD_NAME);
        let blocking = tokio::task::spawn_blocking(|| wait(thread_name()));
        assert_eq!(blocking.await.unwrap().unwrap(), THREAD_NAME);
    }

    #[test]
    fn parks_a_thread_without_a_runtime() {
        assert_eq!(wait(thread_name()).unwrap(), THREAD_NAME);
    }

    #[tokio::test]
    async fn parks_in_a_task_whose_budget_is_used_up() {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..1000 {
            sender.send(()).unwrap();
        }
        tokio::spawn(async move {
            poll_fn(|context| {
                while receiver.poll_recv(context).is_ready() {}
                assert!(!receiver.is_empty(), "the budget ended the loop, not the channel");
                Poll::Ready(wait(thread_name()))
            })
            .await
        })
        .await
        .unwrap()
        .unwrap();
    }

    #[test]
    fn a_panic_is_an_error_and_the_thread_survives_it() {
        let works: [&dyn Fn() -> Result<()>; 5] = [
            &|| wait(async { panic!("of the {}", "work") }),
            &|| foreign_block_on(run(async { panic!("of the work") })),
            &|| foreign_block_on(blocking(|| panic!("of the work"))),
            &|| guarded(|| panic!("of the work")),
            &|| wait(async { std::panic::panic_any(7) }),
        ];
        let texts = works.map(|work| work().unwrap_err().to_string());
        assert_eq!(texts[..4], ["cratedb-test panicked: of the work"; 4]);
        assert_eq!(texts[4], "cratedb-test panicked: without a message");
        assert_eq!(wait(async { Ok(1) }).unwrap(), 1);
    }

    /// A process that may have no further thread can't make one with so large a stack either.
    #[test]
    fn without_a_thread_or_descriptors_there_is_an_error_and_no_panic() {
        const CHILD: &str = "CRATEDB_TEST_NO_THREAD";
        if std::env::var_os(CHILD).is_some() {
            let outcomes = [
                wait(async { Ok(()) }),
                foreign_block_on(run(async { Ok(()) })),
                foreign_block_on(blocking(|| Ok(()))),
                handle().map(drop),
            ];
            for outcome in outcomes {
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains("cannot start a thread") && error.contains("ulimit -u"), "{error}");
            }
            return;
        }
        let name = "background::tests::without_a_thread_or_descriptors_there_is_an_error_and_no_panic";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", name, "--test-threads=1"])
            .env(CHILD, "1")
            .env("RUST_MIN_STACK", (1_u64 << 50).to_string());
        let output = child.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    }

    #[test]
    fn aborts_the_work_when_the_future_is_dropped() {
        struct Tell(Arc<AtomicBool>, mpsc::Sender<()>);
        impl Drop for Tell {
            fn drop(&mut self) {
                let _ = self.1.send(());
            }
        }
        let finished = Arc::new(AtomicBool::new(false));
        let (dropped, wait_for_drop) = mpsc::channel();
        let tell = Tell(finished.clone(), dropped);
        let mut future = Box::pin(run(async move {
            std::future::pending::<()>().await;
            tell.0.store(true, Ordering::Relaxed);
            Ok(())
        }));
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(future);
        wait_for_drop.recv_timeout(Duration::from_secs(5)).expect("the work is dropped with the future");
        assert!(!finished.load(Ordering::Relaxed));
    }

    #[test]
    fn refuses_to_wait_for_itself() {
        let text = wait(async { wait(async { Ok(()) }) }).unwrap_err().to_string();
        assert!(text.contains("would wait for itself"), "{text}");
    }
}
