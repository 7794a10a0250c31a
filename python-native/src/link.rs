//! One connection, for clients and servers. A thread drives it when it has data to send or the socket is ready.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use rustix::event::epoll::EventFlags;
use rustix::net::sockopt;
use rustls::pki_types::CertificateDer;

use crate::io::{Io, Readiness};
use crate::keepalive::Expired;
use crate::reactor::{Expire, Reactor, Source, Timer};
use crate::tls::Tls;

/// How many bytes of a stream may arrive before they are read.
pub const WINDOW_BYTES: u32 = 1024 * 1024;

/// The most that HTTP/2 allows (RFC 9113, section 6.9.1). With less, streams that are not read would block all others.
pub const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// A message of 1 MiB fits into one frame. With HTTP/2's default of 16 KiB it takes 2.3 times as long.
pub const FRAME_BYTES: u32 = 1024 * 1024 + 1024;

/// How many bytes a socket may hold in each direction. The kernel limits it to net.core.wmem_max.
const SOCKET_BYTES: usize = 1024 * 1024;

const READ: u8 = 1;
const WRITE: u8 = 2;

/// One end of a connection: client or server.
pub trait Role: Send + Sized + 'static {
    /// Does all work that is possible now. Ready when the connection has ended.
    fn poll_drive(&mut self, cx: &mut Context<'_>, link: &Arc<Link<Self>>) -> Poll<()>;

    /// Decides what happens when a timer of the connection expires.
    fn expire(&mut self, link: &Link<Self>) -> Expired;
}

/// A connection.
pub struct Link<R: Role> {
    pub reactor: Arc<Reactor>,
    socket: Arc<UnixStream>,
    readiness: Arc<Readiness>,
    role: Mutex<Option<R>>,
    /// The role has work to do.
    wanted: AtomicBool,
    closed: AtomicBool,
    token: OnceLock<usize>,
    /// The timers of the connection that may still expire.
    timers: Mutex<Vec<Timer>>,
    /// The events that epoll watches.
    watched: AtomicU8,
    /// Each call of a client holds a reference.
    calls: Arc<()>,
    /// The settings of the server apply.
    settled: AtomicBool,
}

impl<R: Role> Link<R> {
    /// Creates a connection from a socket, without TLS or with it, and with the role that `start` returns. The caller
    /// drives it.
    pub fn start(
        reactor: &Arc<Reactor>,
        socket: UnixStream,
        tls: Option<Tls>,
        start: impl FnOnce(Io, &Arc<Readiness>) -> io::Result<R>,
    ) -> io::Result<Arc<Self>> {
        let _ = sockopt::set_socket_send_buffer_size(&socket, SOCKET_BYTES);
        let readiness = Arc::new(Readiness::default());
        let socket = Arc::new(socket);
        let role = start(Io::new(Arc::clone(&socket), Arc::clone(&readiness), tls)?, &readiness)?;
        let link = Arc::new(Self {
            reactor: Arc::clone(reactor),
            socket,
            readiness,
            role: Mutex::new(Some(role)),
            wanted: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            token: OnceLock::new(),
            timers: Mutex::default(),
            watched: AtomicU8::new(READ),
            calls: Arc::default(),
            settled: AtomicBool::new(false),
        });
        let source: Arc<dyn Source> = link.clone();
        // Another thread may lead and find that the connection has ended. It needs the token to stop watching.
        let role = crate::reactor::lock(&link.role);
        let token = reactor.add(source, link.socket.as_fd())?;
        let _ = link.token.set(token);
        drop(role);
        Ok(link)
    }

    /// Returns the socket.
    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Returns whether the peer has sent its first frame of HTTP/2.
    pub fn is_greeted(&self) -> bool {
        self.readiness.greeted.load(Ordering::Acquire)
    }

    /// Returns the certificates of the peer, its own first. Without TLS or without certificates, returns None.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.readiness.peer.get().map(Vec::as_slice)
    }

    /// Returns why TLS or keepalive failed.
    pub fn failure(&self) -> Option<&str> {
        self.readiness.failure.get().map(String::as_str)
    }

    /// Notes that the settings of the server apply.
    pub fn settle(&self) {
        self.settled.store(true, Ordering::SeqCst);
    }

    /// Returns whether the settings of the server apply.
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::SeqCst)
    }

    /// Returns a reference that counts a call of a client while it exists.
    pub fn count_call(&self) -> Arc<()> {
        Arc::clone(&self.calls)
    }

    /// Makes the role decide at a time what happens.
    pub fn set_timer(self: &Arc<Self>, at: Instant) -> Timer {
        let weak: Weak<dyn Expire> = Arc::downgrade(self) as Weak<dyn Expire>;
        let timer = self.reactor.set_timer(at, weak);
        let mut timers = crate::reactor::lock(&self.timers);
        timers.retain(|(at, _)| *at > Instant::now());
        timers.push(timer);
        timer
    }

    /// Returns how many calls a client has on this connection.
    pub fn calls(&self) -> usize {
        Arc::strong_count(&self.calls) - 1
    }

    /// Tells the client to open no further stream, when the role is driven next.
    pub fn announce_end(&self) {
        self.readiness.announces.store(true, Ordering::Release);
    }

    /// Returns whether the announcement is among the written frames.
    pub fn is_announced(&self) -> bool {
        !self.readiness.announces.load(Ordering::Acquire)
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Makes the role do all possible work, in this thread or in the one that drives it already.
    pub fn drive(self: &Arc<Self>) {
        self.wanted.store(true, Ordering::SeqCst);
        self.flush();
    }

    /// Drives the connection if h2 has data to send.
    pub fn flush(self: &Arc<Self>) {
        while self.wanted.load(Ordering::SeqCst) {
            let mut role = match self.role.try_lock() {
                Ok(role) => role,
                Err(TryLockError::WouldBlock) => return,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            };
            self.drive_locked(&mut role);
        }
    }

    /// Reads and discards input. Ready when the peer has closed the connection.
    pub fn poll_drop_input(&self) -> Poll<()> {
        let mut sink = [0; 16 * 1024];
        loop {
            match rustix::io::read(&*self.socket, &mut sink) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    self.readiness.readable.store(false, Ordering::SeqCst);
                    return Poll::Pending;
                }
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// Calls a function with the role, and then drives the connection. Does nothing if the connection has ended.
    pub fn with(self: &Arc<Self>, act: impl FnOnce(&mut R)) {
        if let Some(role) = crate::reactor::lock(&self.role).as_mut() {
            act(role);
        }
        self.drive();
    }

    /// Closes the connection and ends its calls.
    pub fn close(&self) {
        if crate::reactor::lock(&self.role).take().is_some() {
            self.disconnect();
        }
    }

    fn disconnect(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // Calls keep the socket open, so shut it down: the peer must not wait for them.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(token) = self.token.get() {
            self.reactor.remove(*token, self.socket.as_fd());
        }
        // A timer keeps the memory of its connection.
        for timer in std::mem::take(&mut *crate::reactor::lock(&self.timers)) {
            self.reactor.cancel_timer(timer);
        }
    }

    fn drive_locked(self: &Arc<Self>, role: &mut Option<R>) {
        let waker = Waker::from(Arc::clone(self));
        let mut cx = Context::from_waker(&waker);
        while self.wanted.swap(false, Ordering::SeqCst) {
            let Some(active) = role.as_mut() else { return };
            if active.poll_drive(&mut cx, self).is_ready() {
                *role = None;
                self.disconnect();
                return;
            }
        }
        self.watch();
    }

    /// Makes epoll watch for the events that the connection waits for. While the connection cannot write, it may not
    /// read either. Watching for input then would wake the reactor again and again.
    fn watch(&self) {
        let mut wanted = 0;
        if !self.readiness.readable.load(Ordering::SeqCst) {
            wanted |= READ;
        }
        if self.readiness.blocked.load(Ordering::SeqCst) {
            wanted |= WRITE;
        }
        if self.watched.swap(wanted, Ordering::SeqCst) != wanted {
            if let Some(token) = self.token.get() {
                let _ = self.reactor.watch(*token, self.socket.as_fd(), wanted & READ != 0, wanted & WRITE != 0);
            }
        }
    }
}

impl<R: Role> Source for Link<R> {
    fn ready(self: Arc<Self>, events: EventFlags) {
        if events.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR) {
            self.readiness.readable.store(true, Ordering::SeqCst);
        }
        if events.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            self.readiness.blocked.store(false, Ordering::SeqCst);
        }
        self.drive();
    }
}

impl<R: Role> Expire for Link<R> {
    fn expire(self: Arc<Self>) {
        let expired = crate::reactor::lock(&self.role).as_mut().map_or(Expired::Nothing, |role| role.expire(&self));
        match expired {
            Expired::Close => self.close(),
            Expired::Until(at) => {
                self.set_timer(at);
                self.drive();
            }
            Expired::Nothing => self.drive(),
        }
    }
}

/// h2 wakes its connection when one of its streams has data to send. The thread that added the data then drives it.
impl<R: Role> Wake for Link<R> {
    fn wake(self: Arc<Self>) {
        self.wanted.store(true, Ordering::SeqCst);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wanted.store(true, Ordering::SeqCst);
    }
}
