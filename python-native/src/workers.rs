//! The queue of calls that wait for a worker, and the workers that wait for a call.
//!
//! A worker that waits leads the reactor and runs the calls that it reads, so that a short handler needs no switch
//! between threads. No thread leads while the handler runs. If it runs longer than a tick, the guard makes another
//! worker lead.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::reactor::{Lead, Reactor, Waited, lock};
use crate::server::Shared;

/// After a handler that took long, this many calls make another worker lead at once.
const WARY_CALLS: usize = 64;

/// If a handler runs longer than one to two ticks, another worker leads.
const TICK: Duration = Duration::from_millis(1);

thread_local! {
    /// The queue, and the kind of its calls, from which this thread takes a call after its turn as the leader.
    static TAKES: Cell<Option<(usize, bool)>> = const { Cell::new(None) };
}

struct Calls<T> {
    ordinary: VecDeque<T>,
    exempt: VecDeque<T>,
    /// Workers to wake for each queue.
    waiting: Vec<(bool, Waker)>,
}

impl<T> Calls<T> {
    fn queue(&mut self, exempt: bool) -> &mut VecDeque<T> {
        if exempt { &mut self.exempt } else { &mut self.ordinary }
    }

    fn take_waiting(&mut self, exempt: bool) -> Option<Waker> {
        let at = self.waiting.iter().position(|(kind, _)| *kind == exempt)?;
        Some(self.waiting.swap_remove(at).1)
    }

    /// Forgets a worker that no longer waits, so that no call wakes it while it runs a handler.
    fn forget(&mut self, worker: &Waker) {
        self.waiting.retain(|(_, waker)| !waker.will_wake(worker));
    }
}

/// The queue of waiting calls.
pub struct Queue<T> {
    calls: Mutex<Calls<T>>,
    closed: AtomicBool,
    idle: AtomicUsize,
    /// The number of calls taken, which shows that workers make progress.
    taken: AtomicUsize,
    wary: AtomicUsize,
    /// The thread of the guard while it sleeps.
    asleep: Mutex<Option<Thread>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            calls: Mutex::new(Calls { ordinary: VecDeque::new(), exempt: VecDeque::new(), waiting: Vec::new() }),
            closed: AtomicBool::new(false),
            idle: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            wary: AtomicUsize::new(0),
            asleep: Mutex::default(),
        }
    }
}

impl<T> Queue<T> {
    /// Adds a call and wakes a worker, unless this thread takes the call itself.
    pub fn push(&self, call: T, exempt: bool) {
        let takes_it = TAKES.get() == Some((self.address(), exempt));
        let waker = {
            let mut calls = lock(&self.calls);
            calls.queue(exempt).push_back(call);
            if takes_it { None } else { calls.take_waiting(exempt) }
        };
        if takes_it {
            TAKES.set(None);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes a call of any kind.
    pub fn pop_any(&self) -> Option<T> {
        let mut calls = lock(&self.calls);
        calls.exempt.pop_front().or_else(|| calls.ordinary.pop_front())
    }

    pub fn idle(&self) -> usize {
        self.idle.load(Ordering::SeqCst)
    }

    /// Makes `next` return None to all workers.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut lock(&self.calls).waiting);
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Waits for a call, and leads the reactor meanwhile. A thread that waits for exempt calls runs no handlers, so it
    /// leads only if no other thread does.
    pub fn next(&self, reactor: &Arc<Reactor>, exempt: bool, deadline: Instant) -> Option<T> {
        let counted = usize::from(!exempt);
        self.idle.fetch_add(counted, Ordering::SeqCst);
        let hand_over =
            || self.wary.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let lead = if exempt { Lead::IfNoOther } else { Lead::Preferred };
        let mut own: Option<Waker> = None;
        let waited = reactor.wait(Some(deadline), lead, hand_over, |cx| {
            let mut calls = lock(&self.calls);
            if let Some(call) = calls.queue(exempt).pop_front() {
                return Poll::Ready(Some(call));
            }
            if self.closed.load(Ordering::SeqCst) {
                return Poll::Ready(None);
            }
            if !calls.waiting.iter().any(|(_, waker)| waker.will_wake(cx.waker())) {
                calls.waiting.push((exempt, cx.waker().clone()));
            }
            own.get_or_insert_with(|| cx.waker().clone());
            TAKES.set(Some((self.address(), exempt)));
            Poll::Pending
        });
        TAKES.set(None);
        if let Some(own) = own {
            let next = {
                let mut calls = lock(&self.calls);
                calls.forget(&own);
                // The wakeup for a call that is left may have reached this worker.
                if calls.queue(exempt).is_empty() { None } else { calls.take_waiting(exempt) }
            };
            if let Some(next) = next {
                next.wake();
            }
        }
        self.idle.fetch_sub(counted, Ordering::SeqCst);
        match waited {
            Waited::Done(Some(call)) => {
                self.taken.fetch_add(1, Ordering::SeqCst);
                if let Some(guard) = lock(&self.asleep).take() {
                    guard.unpark();
                }
                Some(call)
            }
            Waited::Done(None) | Waited::TimedOut => None,
        }
    }

    /// Runs the guard for one tick. If no worker has made progress since the last tick, makes a worker lead or take a
    /// call. Returns the progress, for the next tick.
    fn tick(&self, reactor: &Arc<Reactor>, seen: (usize, u64)) -> (usize, u64) {
        let now = (self.taken.load(Ordering::SeqCst), reactor.turns());
        let is_waiting = !lock(&self.calls).ordinary.is_empty();
        let is_stuck = now == seen && (!reactor.is_led() || is_waiting);
        if is_stuck {
            self.wary.store(WARY_CALLS, Ordering::SeqCst);
            if !reactor.promote() && reactor.try_lead() {
                reactor.turn(Some(TICK));
                reactor.stop_leading();
            }
        }
        now
    }
}

/// After this many ticks without a call, the guard sleeps until the next call.
const QUIET_TICKS: u32 = 100;

/// Starts the guard, a thread that watches the workers. It ends with the server.
pub fn start_guard(server: Weak<Shared>) -> std::io::Result<()> {
    let watch = move || {
        let mut seen = (0, 0);
        let mut quiet = 0;
        while let Some(shared) = server.upgrade() {
            let now = shared.queue.tick(&shared.reactor, seen);
            quiet = if now == seen && shared.reactor.is_led() { quiet + 1 } else { 0 };
            seen = now;
            if quiet < QUIET_TICKS {
                drop(shared);
                thread::sleep(TICK);
            } else {
                quiet = 0;
                *lock(&shared.queue.asleep) = Some(thread::current());
                drop(shared);
                thread::park_timeout(SLEEP);
            }
        }
    };
    thread::Builder::new().name("samehost-guard".into()).spawn(watch).map(drop)
}

/// How long a sleeping guard waits before it checks whether its server was dropped.
const SLEEP: Duration = Duration::from_secs(1);
