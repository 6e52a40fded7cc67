//! The one background thread of the process, on which the HTTP requests of tests run.
//!
//! Every `#[tokio::test]` has a runtime of its own, and a pooled connection dies with the runtime that opened it. So
//! connections live here, on a runtime that belongs to no test. A call spawns its work there and waits for it, on any
//! executor or without one.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

/// Linux keeps 15 bytes of a thread's name.
const THREAD_NAME: &str = "cratedb-test-io";

thread_local! {
    static IS_BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

/// Returns the runtime of the background thread, which starts with the first call and ends with the process.
pub(crate) fn handle() -> Handle {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    HANDLE.get_or_init(start).clone()
}

fn start() -> Handle {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a tokio runtime for cratedb-test");
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(THREAD_NAME.into())
        .spawn(move || {
            IS_BACKGROUND.set(true);
            runtime.block_on(std::future::pending::<()>());
        })
        .expect("a thread for the HTTP of cratedb-test");
    handle
}

/// Runs `work` on the background thread and waits for it, on any executor or without one. Dropping the future aborts
/// the work. A panic in it is forwarded.
pub(crate) async fn run<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    AbortOnDrop(handle().spawn(work)).await
}

/// Runs `work` on the background thread and parks the calling thread until it is done, also inside a runtime, where
/// tokio's own blocking calls panic. A panic in the work is forwarded.
///
/// Waits on a channel, not on a `JoinHandle`: if the task's budget is used up, a `JoinHandle` hands its wake-up to a
/// scheduler that can't run while this thread is parked.
pub(crate) fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    refuse_to_wait_for_itself();
    let (done, outcome) = mpsc::sync_channel(1);
    handle().spawn(async move {
        let _ = done.send(caught(work).await);
    });
    match outcome.recv() {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(mpsc::RecvError) => unreachable!("the runtime of {THREAD_NAME} lives as long as the process"),
    }
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

/// Panics on the background thread, which would wait for its own work.
pub(crate) fn refuse_to_wait_for_itself() {
    assert!(!is_background(), "cratedb-test: a blocking call on the thread {THREAD_NAME} would wait for itself");
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

impl<T> Future for AbortOnDrop<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match ready!(Pin::new(&mut self.0).poll(context)) {
            Ok(value) => Poll::Ready(value),
            // Only `drop` aborts, and the runtime is never shut down, so it was a panic.
            Err(error) => resume_unwind(error.into_panic()),
        }
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

    async fn thread_name() -> Option<String> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        thread::current().name().map(String::from)
    }

    #[test]
    fn works_on_a_foreign_executor() {
        assert_eq!(foreign_block_on(run(thread_name())).as_deref(), Some(THREAD_NAME));
    }

    #[tokio::test]
    async fn works_on_a_current_thread_runtime() {
        assert_eq!(run(thread_name()).await.as_deref(), Some(THREAD_NAME));
        assert_eq!(wait(thread_name()).as_deref(), Some(THREAD_NAME));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn works_on_a_multi_thread_runtime() {
        assert_eq!(run(thread_name()).await.as_deref(), Some(THREAD_NAME));
        let blocking = tokio::task::spawn_blocking(|| wait(thread_name()));
        assert_eq!(blocking.await.unwrap().as_deref(), Some(THREAD_NAME));
    }

    #[test]
    fn parks_a_thread_without_a_runtime() {
        assert_eq!(wait(thread_name()).as_deref(), Some(THREAD_NAME));
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
        .unwrap();
    }

    #[test]
    fn forwards_panics_and_survives_them() {
        let caught = catch_unwind(|| wait(async { panic!("of the work") })).map(|(): ()| ());
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"of the work"));
        let caught = catch_unwind(|| foreign_block_on(run(async { panic!("of the work") }))).map(|(): ()| ());
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"of the work"));
        assert_eq!(wait(async { 1 }), 1);
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
        }));
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(future);
        wait_for_drop.recv_timeout(Duration::from_secs(5)).expect("the work is dropped with the future");
        assert!(!finished.load(Ordering::Relaxed));
    }

    #[test]
    fn refuses_to_wait_for_itself() {
        let caught = catch_unwind(|| wait(async { wait(async {}) }));
        let text = *caught.unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("would wait for itself"), "{text}");
    }
}
