//! Waits for the engine as Python requires it. Threads release the GIL and handle signals. Event loops use futures.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;

use crate::reactor::{Lead, Reactor, Waited, lock};

/// How often a waiting thread lets Python handle signals, as in grpcio (grpc/_common.py, MAXIMUM_WAIT_TIMEOUT).
const SIGNAL_PACE: Duration = Duration::from_millis(100);

/// Returns whether this is the main thread. Python handles signals only there.
fn handles_signals() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

/// Waits without the GIL. Returns None when the deadline has passed.
///
/// `flush` sends the frames that a poll creates, such as a window update.
pub fn blocking<T: Send>(
    py: Python<'_>,
    reactor: &Arc<Reactor>,
    deadline: Option<Instant>,
    flush: impl Fn() + Send + Sync,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
) -> PyResult<Option<T>> {
    // If the result is ready, return it without releasing the GIL.
    if let Poll::Ready(done) = poll(&mut Context::from_waker(Waker::noop())) {
        flush();
        return Ok(Some(done));
    }
    let mut poll = |cx: &mut Context<'_>| {
        let polled = poll(cx);
        flush();
        polled
    };
    loop {
        let until = if handles_signals() {
            let slice = Instant::now() + SIGNAL_PACE;
            Some(deadline.map_or(slice, |deadline| deadline.min(slice)))
        } else {
            deadline
        };
        match py.detach(|| reactor.wait(until, Lead::Preferred, || true, &mut poll)) {
            Waited::Done(done) => return Ok(Some(done)),
            Waited::TimedOut => {
                py.check_signals()?;
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Ok(None);
                }
            }
        }
    }
}

/// The futures that an event loop must resolve in its next turn.
pub struct Futures {
    ready: Mutex<Vec<Py<PyAny>>>,
    reactor: Arc<Reactor>,
    /// The thread that runs `turn` now.
    turning: Mutex<Option<ThreadId>>,
}

impl Futures {
    pub fn new(reactor: &Arc<Reactor>) -> Arc<Self> {
        Arc::new(Self { ready: Mutex::default(), reactor: Arc::clone(reactor), turning: Mutex::default() })
    }

    /// Returns a waker that resolves a future in the event loop.
    pub fn waker(self: &Arc<Self>, future: &Bound<'_, PyAny>) -> Waker {
        Waker::from(Arc::new(FutureWaker {
            futures: Arc::clone(self),
            future: Mutex::new(Some(future.clone().unbind())),
        }))
    }

    /// Handles the events of the reactor, and resolves the futures that are ready.
    pub fn turn(&self, py: Python<'_>) -> PyResult<()> {
        *lock(&self.turning) = Some(thread::current().id());
        self.reactor.turn(Some(Duration::ZERO));
        *lock(&self.turning) = None;
        let ready = std::mem::take(&mut *lock(&self.ready));
        for future in ready {
            let future = future.into_bound(py);
            if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
                future.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        Ok(())
    }
}

struct FutureWaker {
    futures: Arc<Futures>,
    future: Mutex<Option<Py<PyAny>>>,
}

impl Wake for FutureWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(future) = lock(&self.future).take() {
            lock(&self.futures.ready).push(future);
            // During a turn, that turn resolves the future. Otherwise wake the loop for the next turn.
            if *lock(&self.futures.turning) != Some(thread::current().id()) {
                self.futures.reactor.wake();
            }
        }
    }
}
