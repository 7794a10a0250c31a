//! A thread that serves idle channels, so that a channel reacts when its server pings or closes the connection.
//!
//! It waits for the reactors of all channels, and leads a reactor only if no thread of the program does. While a
//! channel is in use, the keeper receives none of its events, so it costs a call nothing.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use slab::Slab;

use crate::reactor::{Reactor, lock};

/// A channel is idle if it has not been used for one to two times this long.
const PACE: Duration = Duration::from_millis(10);

struct Keeper {
    epoll: std::os::fd::OwnedFd,
    kept: Mutex<Slab<Weak<Reactor>>>,
}

static KEEPER: OnceLock<Option<Arc<Keeper>>> = OnceLock::new();

/// Serves a reactor until it is dropped.
pub fn keep(reactor: &Arc<Reactor>) -> io::Result<()> {
    let keeper = KEEPER.get_or_init(|| Keeper::start().ok()).as_ref();
    let Some(keeper) = keeper else {
        return Err(io::Error::other("cannot start the thread for idle channels"));
    };
    let mut kept = lock(&keeper.kept);
    kept.retain(|_, reactor| reactor.strong_count() > 0);
    let token = kept.insert(Arc::downgrade(reactor));
    let result = epoll::add(&keeper.epoll, reactor.as_fd(), EventData::new_u64(token as u64), once());
    if result.is_err() {
        kept.remove(token);
    }
    Ok(result?)
}

fn once() -> EventFlags {
    EventFlags::IN | EventFlags::ONESHOT
}

impl Keeper {
    fn start() -> io::Result<Arc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let keeper = Arc::new(Self { epoll, kept: Mutex::default() });
        let copy = Arc::clone(&keeper);
        thread::Builder::new().name("samehost-keeper".into()).spawn(move || copy.run())?;
        Ok(keeper)
    }

    fn run(&self) {
        // The channels in use, with their numbers of turns at the last check.
        let mut busy: Vec<(usize, u64)> = Vec::new();
        loop {
            let pace = Timespec { tv_sec: 0, tv_nsec: PACE.subsec_nanos().into() };
            let mut events = Vec::with_capacity(64);
            let found = epoll::wait(&self.epoll, spare_capacity(&mut events), (!busy.is_empty()).then_some(&pace));
            if found.is_err() {
                continue; // a signal
            }
            for event in events {
                let token = event.data.u64() as usize;
                let Some(reactor) = lock(&self.kept).get(token).and_then(Weak::upgrade) else {
                    lock(&self.kept).try_remove(token);
                    continue;
                };
                if reactor.try_lead() {
                    reactor.turn(Some(Duration::ZERO));
                    reactor.stop_leading();
                    reactor.promote();
                }
                busy.push((token, reactor.turns()));
            }
            busy.retain_mut(|(token, turns)| {
                let Some(reactor) = lock(&self.kept).get(*token).and_then(Weak::upgrade) else {
                    lock(&self.kept).try_remove(*token);
                    return false;
                };
                let is_idle = reactor.turns() == *turns && !reactor.is_led();
                *turns = reactor.turns();
                if is_idle {
                    let data = EventData::new_u64(*token as u64);
                    let _ = epoll::modify(&self.epoll, reactor.as_fd(), data, once());
                }
                !is_idle
            });
        }
    }
}
