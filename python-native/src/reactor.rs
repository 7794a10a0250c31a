//! Waits for sockets and timers without a thread of its own. One of the threads that wait for a call leads: it waits in
//! epoll for all of them, and the others sleep. An event loop leads its reactor alone, through the descriptor.
//!
//! So a call needs no switch between threads: the thread that waits for an answer reads it itself.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};
use slab::Slab;

const WAKEUP: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// How many events one system call may return.
const EVENTS: usize = 64;

/// Locks a mutex, even after another thread panicked with it. The state is then no worse than after a broken
/// connection.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The owner of a socket, which acts when the socket is ready.
pub trait Source: Send + Sync {
    /// Reads, writes or accepts, without blocking.
    fn ready(self: Arc<Self>, events: EventFlags);
}

/// The owner of a timer.
pub trait Expire: Send + Sync {
    /// Acts when the timer expires. The thread that leads calls it and holds no lock.
    fn expire(self: Arc<Self>);
}

type Timers = BTreeMap<(Instant, u64), Weak<dyn Expire>>;

/// Identifies a timer, to cancel it.
pub type Timer = (Instant, u64);

/// Waits for many sockets and timers.
pub struct Reactor {
    epoll: OwnedFd,
    wakeup: OwnedFd,
    timer: OwnedFd,
    sources: Mutex<Slab<Arc<dyn Source>>>,
    timers: Mutex<Timers>,
    next_timer: AtomicU64,
    armed: Mutex<Option<Instant>>,
    led: AtomicBool,
    /// The leader gives the lead to a follower that prefers to lead.
    yields: AtomicBool,
    /// The leader is in epoll_wait or about to enter it, so that it must be woken.
    sleeping: AtomicBool,
    followers: Mutex<Vec<Arc<Waiter>>>,
    turns: AtomicU64,
}

/// Whether a thread that waits prefers to lead.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// The thread itself handles what it reads, so nothing switches to another thread.
    Preferred,
    /// Another thread handles most of what it reads.
    IfNoOther,
}

/// A thread that waits.
struct Waiter {
    thread: Thread,
    lead: Lead,
    notified: AtomicBool,
    leads: AtomicBool,
    /// Another thread gave it the lead.
    given: AtomicBool,
    reactor: Weak<Reactor>,
}

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notified.store(true, Ordering::SeqCst);
        if !self.leads.load(Ordering::SeqCst) {
            self.thread.unpark();
        } else if let Some(reactor) = self.reactor.upgrade() {
            // A leader that does not sleep polls again before it does.
            if reactor.sleeping.load(Ordering::SeqCst) {
                reactor.wake();
            }
        }
    }
}

/// All wakers of a call. h2 keeps one waker for each direction of a stream, but a call can have more: one that reads,
/// one that writes, and one for its end. So an event wakes all of them, and each polls again.
#[derive(Default)]
pub struct Wakers(Mutex<Vec<Waker>>);

impl Wakers {
    /// Adds the waker of the context, and returns the waker for h2.
    pub fn add(self: &Arc<Self>, cx: &Context<'_>) -> Waker {
        let mut wakers = lock(&self.0);
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        Waker::from(Arc::clone(self))
    }

    pub fn wake_all(&self) {
        let wakers = std::mem::take(&mut *lock(&self.0));
        for waker in wakers {
            waker.wake();
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

fn take_preferred(followers: &mut Vec<Arc<Waiter>>) -> Option<Arc<Waiter>> {
    let at = followers.iter().rposition(|follower| follower.lead == Lead::Preferred)?;
    Some(followers.remove(at))
}

/// The result of a wait.
pub enum Waited<T> {
    Done(T),
    TimedOut,
}

impl Reactor {
    pub fn new() -> io::Result<Arc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wakeup = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &wakeup, EventData::new_u64(WAKEUP), EventFlags::IN)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Arc::new(Self {
            epoll,
            wakeup,
            timer,
            sources: Mutex::default(),
            timers: Mutex::default(),
            next_timer: AtomicU64::new(0),
            armed: Mutex::new(None),
            led: AtomicBool::new(false),
            yields: AtomicBool::new(false),
            sleeping: AtomicBool::new(false),
            followers: Mutex::default(),
            turns: AtomicU64::new(0),
        }))
    }

    /// Returns the descriptor that is readable when `turn` has work.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Watches a socket and keeps its source until `remove`.
    pub fn add(&self, source: Arc<dyn Source>, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let token = lock(&self.sources).insert(source);
        let result =
            epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), EventFlags::IN | EventFlags::RDHUP);
        if let Err(error) = result {
            lock(&self.sources).remove(token);
            return Err(error.into());
        }
        Ok(token)
    }

    /// Changes the events for which a socket is watched.
    pub fn watch(&self, token: usize, socket: BorrowedFd<'_>, read: bool, write: bool) -> io::Result<()> {
        let mut events = EventFlags::empty();
        events.set(EventFlags::IN | EventFlags::RDHUP, read);
        events.set(EventFlags::OUT, write);
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(token as u64), events)?)
    }

    /// Stops watching a socket.
    pub fn remove(&self, token: usize, socket: BorrowedFd<'_>) {
        let _ = epoll::delete(&self.epoll, socket);
        let source = lock(&self.sources).try_remove(token);
        drop(source); // without a lock, because it may close a connection
    }

    /// Makes a leader in epoll_wait return.
    pub fn wake(&self) {
        let _ = rustix::io::write(&self.wakeup, &1u64.to_ne_bytes());
    }

    /// Sets a timer.
    pub fn set_timer(&self, at: Instant, what: Weak<dyn Expire>) -> Timer {
        let timer = (at, self.next_timer.fetch_add(1, Ordering::Relaxed));
        let is_first = {
            let mut timers = lock(&self.timers);
            timers.insert(timer, what);
            timers.first_key_value().is_some_and(|(first, _)| *first == timer)
        };
        if is_first {
            self.arm();
        }
        timer
    }

    /// Cancels a timer. The timer of the kernel may still expire once, which does no harm.
    pub fn cancel_timer(&self, timer: Timer) {
        lock(&self.timers).remove(&timer);
    }

    fn arm(&self) {
        let Some(first) = lock(&self.timers).first_key_value().map(|((at, _), _)| *at) else { return };
        let mut armed = lock(&self.armed);
        if armed.is_some_and(|at| at <= first) {
            return;
        }
        *armed = Some(first);
        // Zero would disarm the timer.
        let left = first.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: left.as_secs().min(i32::MAX as u64) as _, tv_nsec: left.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
    }

    fn expire_timers(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.timer, &mut count);
        *lock(&self.armed) = None;
        loop {
            let due = {
                let mut timers = lock(&self.timers);
                match timers.first_key_value() {
                    Some((timer, _)) if timer.0 <= Instant::now() => timers.pop_first(),
                    _ => None,
                }
            };
            match due {
                Some((_, what)) => {
                    if let Some(what) = what.upgrade() {
                        what.expire();
                    }
                }
                None => break,
            }
        }
        self.arm();
    }

    /// Waits for events for up to `timeout`, and passes them to their sources.
    pub fn turn(&self, timeout: Option<Duration>) {
        let mut events = Vec::with_capacity(EVENTS);
        let timeout = timeout.map(|left| Timespec {
            tv_sec: left.as_secs().min(i32::MAX as u64) as _,
            tv_nsec: left.subsec_nanos().into(),
        });
        let found = epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref());
        self.sleeping.store(false, Ordering::SeqCst);
        if found.is_err() {
            return; // a signal
        }
        for event in events {
            match event.data.u64() {
                WAKEUP => {
                    let mut count = [0; 8];
                    let _ = rustix::io::read(&self.wakeup, &mut count);
                }
                TIMER => self.expire_timers(),
                token => {
                    let source = lock(&self.sources).get(token as usize).cloned();
                    if let Some(source) = source {
                        source.ready(event.flags);
                    }
                }
            }
        }
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of turns, which shows whether the reactor is in use.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Makes this thread the leader, unless another thread leads.
    pub fn try_lead(&self) -> bool {
        !self.led.swap(true, Ordering::SeqCst)
    }

    /// Returns whether a thread leads.
    pub fn is_led(&self) -> bool {
        self.led.load(Ordering::SeqCst)
    }

    pub fn stop_leading(&self) {
        self.yields.store(false, Ordering::SeqCst);
        self.led.store(false, Ordering::SeqCst);
    }

    /// Wakes a waiting thread to lead. Returns false if no thread waits.
    pub fn promote(&self) -> bool {
        let follower = {
            let mut followers = lock(&self.followers);
            take_preferred(&mut followers).or_else(|| followers.pop())
        };
        follower.is_some_and(|follower| {
            follower.thread.unpark();
            true
        })
    }

    /// Gives the lead to a waiting thread that prefers it. Returns false if there is none.
    fn give_lead(&self) -> bool {
        let mut followers = lock(&self.followers);
        let Some(follower) = take_preferred(&mut followers) else { return false };
        self.yields.store(false, Ordering::SeqCst);
        follower.given.store(true, Ordering::SeqCst); // with the lock, so that a thread that ends its wait sees it
        follower.thread.unpark();
        true
    }

    /// Waits until `poll` is ready or the deadline has passed. Leads if no other thread does.
    ///
    /// `hand_over` returns whether another waiting thread leads at once when this one stops.
    pub fn wait<T>(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        lead: Lead,
        hand_over: impl Fn() -> bool,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Waited<T> {
        let waiter = Arc::new(Waiter {
            thread: thread::current(),
            lead,
            notified: AtomicBool::new(false),
            leads: AtomicBool::new(false),
            given: AtomicBool::new(false),
            reactor: Arc::downgrade(self),
        });
        let waker = Waker::from(Arc::clone(&waiter));
        let mut cx = Context::from_waker(&waker);
        let mut leads = false;
        let result = loop {
            waiter.notified.store(false, Ordering::SeqCst);
            if let Poll::Ready(done) = poll(&mut cx) {
                break Waited::Done(done);
            }
            let left = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break Waited::TimedOut,
                left => left,
            };
            if !leads && (waiter.given.swap(false, Ordering::SeqCst) || self.try_lead()) {
                leads = true;
                lock(&self.followers).retain(|follower| !Arc::ptr_eq(follower, &waiter));
                self.yields.store(lead == Lead::IfNoOther, Ordering::SeqCst);
            }
            if leads && lead == Lead::IfNoOther && self.give_lead() {
                leads = false;
                waiter.leads.store(false, Ordering::SeqCst);
            }
            if leads {
                waiter.leads.store(true, Ordering::SeqCst);
                self.sleeping.store(true, Ordering::SeqCst);
                if waiter.notified.load(Ordering::SeqCst) {
                    self.sleeping.store(false, Ordering::SeqCst);
                } else {
                    self.turn(left);
                }
                continue;
            }
            {
                let mut followers = lock(&self.followers);
                if !followers.iter().any(|follower| Arc::ptr_eq(follower, &waiter)) {
                    followers.push(Arc::clone(&waiter));
                }
            }
            if lead == Lead::Preferred && self.yields.load(Ordering::SeqCst) {
                self.wake();
            }
            // The leader may have stopped before this thread was in the list.
            if !self.is_led() || waiter.notified.load(Ordering::SeqCst) {
                continue;
            }
            match left {
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        };
        if !leads {
            lock(&self.followers).retain(|follower| !Arc::ptr_eq(follower, &waiter));
            leads = waiter.given.load(Ordering::SeqCst);
        }
        if leads {
            self.stop_leading();
            if hand_over() {
                self.promote();
            }
        } else {
            // This thread may have been woken to lead, so wake another one instead.
            if !self.is_led() && hand_over() {
                self.promote();
            }
        }
        result
    }
}
