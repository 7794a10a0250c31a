//! One connection, whichever end it is: whoever has something for it, or hears that it is ready, drives it.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

use rustix::event::epoll::EventFlags;
use rustix::net::sockopt;

use crate::io::{Io, Readiness};
use crate::reactor::{Expire, Reactor, Source};

/// How much of a stream may arrive unread.
pub const WINDOW_BYTES: u32 = 1024 * 1024;

/// As much as HTTP/2 allows (RFC 9113, section 6.9.1): with less, streams that nobody reads would hold up all others.
pub const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// A message of 1 MiB is one frame. With HTTP/2's 16 KiB it takes 2.3 times as long.
pub const FRAME_BYTES: u32 = 1024 * 1024 + 1024;

/// What a socket may hold in each direction; the kernel allows net.core.wmem_max of it.
const SOCKET_BYTES: usize = 1024 * 1024;

const READ: u8 = 1;
const WRITE: u8 = 2;

/// The end of a connection: client or server.
pub trait Role: Send + Sized + 'static {
    /// Does all that can be done now; ready when the connection has ended.
    fn poll_drive(&mut self, cx: &mut Context<'_>, link: &Arc<Link<Self>>) -> Poll<()>;
}

/// A connection.
pub struct Link<R: Role> {
    pub reactor: Arc<Reactor>,
    socket: Arc<UnixStream>,
    readiness: Arc<Readiness>,
    role: Mutex<Option<R>>,
    /// There is something to do.
    wanted: AtomicBool,
    closed: AtomicBool,
    token: OnceLock<usize>,
    /// What epoll watches for.
    watched: AtomicU8,
}

impl<R: Role> Link<R> {
    /// Makes a connection of a socket, with the role that `start` makes of it.
    pub fn start(
        reactor: &Arc<Reactor>,
        socket: UnixStream,
        start: impl FnOnce(Io) -> io::Result<R>,
    ) -> io::Result<Arc<Self>> {
        let _ = sockopt::set_socket_send_buffer_size(&socket, SOCKET_BYTES);
        let readiness = Arc::new(Readiness::default());
        let socket = Arc::new(socket);
        let role = start(Io::new(Arc::clone(&socket), Arc::clone(&readiness))?)?;
        let link = Arc::new(Self {
            reactor: Arc::clone(reactor),
            socket,
            readiness,
            role: Mutex::new(Some(role)),
            wanted: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            token: OnceLock::new(),
            watched: AtomicU8::new(READ),
        });
        let source: Arc<dyn Source> = link.clone();
        let token = reactor.add(source, link.socket.as_fd())?;
        let _ = link.token.set(token);
        Ok(link)
    }

    /// The socket, for what the system knows of its peer.
    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Whether the peer has begun to speak HTTP/2.
    pub fn is_greeted(&self) -> bool {
        self.readiness.greeted.load(Ordering::Acquire)
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Lets the role do all it can, here or in the thread that is at it already.
    pub fn drive(self: &Arc<Self>) {
        self.wanted.store(true, Ordering::SeqCst);
        self.flush();
    }

    /// Drives it where h2 has said that it has something to send.
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

    /// Reads and drops what still comes; ready when the peer has closed the connection.
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

    /// Calls a function with the role, and drives it after that; not at all where the connection has ended.
    pub fn with(self: &Arc<Self>, act: impl FnOnce(&mut R)) {
        if let Some(role) = crate::reactor::lock(&self.role).as_mut() {
            act(role);
        }
        self.drive();
    }

    /// Closes the connection, whatever is in progress.
    pub fn close(&self) {
        if crate::reactor::lock(&self.role).take().is_some() {
            self.disconnect();
        }
    }

    fn disconnect(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // Calls hold the socket on, and the peer must not wait for them.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(token) = self.token.get() {
            self.reactor.remove(*token, self.socket.as_fd());
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

    /// Has epoll watch for what the connection waits for. While it can't write it may not read either, and must not be
    /// told again and again that it could.
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
        self.close();
    }
}

/// h2 wakes its connection when one of its streams has something to send. Whoever gave it that drives it then.
impl<R: Role> Wake for Link<R> {
    fn wake(self: Arc<Self>) {
        self.wanted.store(true, Ordering::SeqCst);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wanted.store(true, Ordering::SeqCst);
    }
}
