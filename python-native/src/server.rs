//! The server: listening sockets and their connections.

mod call;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use h2::server::{Builder, Connection, Handshake};
use h2::{Ping, PingPong};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::event::epoll::EventFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

pub use call::{Core, ServerCall};

use crate::io::{Io, Readiness};
use crate::keepalive::{Expired, Keepalive, Settings};
use crate::link::{CONNECTION_WINDOW_BYTES, FRAME_BYTES, Link, Role, WINDOW_BYTES};
use crate::message::Outgoing;
use crate::python::{Futures, blocking};
use crate::reactor::{Expire, Reactor, Source, Timer, Wakers, lock};
use crate::tls::ServerTls;
use crate::workers::{self, Queue};

/// The properties of a method that matter before its handler runs.
#[derive(Clone, Copy)]
struct Kind {
    /// The method has one request, which is read before the handler runs.
    unary_request: bool,
    /// Calls are not counted and have their own queue, as for health.
    exempt: bool,
}

/// The state that all connections of a server share.
pub struct Shared {
    pub reactor: Arc<Reactor>,
    futures: Arc<Futures>,
    kinds: Mutex<HashMap<String, Kind>>,
    most_received: usize,
    most_sent: usize,
    decompresses: bool,
    most_calls: usize,
    refusal: String,
    tls: Option<Py<ServerTls>>,
    /// How long a client may take for its handshakes: TLS and the preface of HTTP/2.
    handshake: Duration,
    keepalive: Option<Settings>,
    /// How old a connection gets.
    age: Option<Duration>,
    /// The number of counted calls in progress.
    active: AtomicUsize,
    /// Calls with an event to handle.
    news: Mutex<Vec<Arc<Core>>>,
    /// Calls that wait for a worker.
    pub queue: Queue<Arc<Core>>,
    /// The names of watched calls that ended before they were answered.
    overs: Queue<u64>,
    /// The wakers for the end of the last connection.
    waiting: Arc<Wakers>,
    listeners: Mutex<Vec<Arc<Listener>>>,
    links: Mutex<Vec<Weak<Link<ServerRole>>>>,
    connections: AtomicUsize,
    draining: AtomicBool,
}

/// A listening socket.
struct Listener {
    shared: Arc<Shared>,
    socket: UnixListener,
    token: Mutex<Option<usize>>,
}

impl Listener {
    /// Accepts all connections in the backlog.
    fn accept(self: &Arc<Self>) {
        loop {
            match self.socket.accept() {
                Ok((socket, _)) => self.shared.connect(socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // The process may have no descriptor left. Pause, because epoll would report the socket again and
                    // again.
                    self.watch(false);
                    let weak: Weak<dyn Expire> = Arc::downgrade(self) as Weak<dyn Expire>;
                    self.shared.reactor.set_timer(Instant::now() + ACCEPT_PAUSE, weak);
                    return;
                }
            }
        }
    }

    fn watch(&self, wanted: bool) {
        if let Some(token) = *lock(&self.token) {
            let _ = self.shared.reactor.watch(token, self.socket.as_fd(), wanted, false);
        }
    }

    fn close(&self) {
        if let Some(token) = lock(&self.token).take() {
            self.shared.reactor.remove(token, self.socket.as_fd());
        }
    }
}

impl Source for Listener {
    fn ready(self: Arc<Self>, _: EventFlags) {
        self.accept();
    }
}

impl Expire for Listener {
    fn expire(self: Arc<Self>) {
        self.watch(true);
    }
}

/// The pause of a server that cannot accept connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Shared {
    fn connect(self: &Arc<Self>, socket: UnixStream) {
        let Ok(tls) = self.tls.as_ref().map(|tls| tls.get().accept()).transpose() else { return };
        let made = Link::start(&self.reactor, socket, tls, |io, readiness| {
            let mut builder = Builder::new();
            builder
                .initial_window_size(WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_frame_size(FRAME_BYTES)
                .max_send_buffer_size(FRAME_BYTES as usize)
                .max_concurrent_streams(MOST_STREAMS)
                .max_pending_accept_reset_streams(MOST_UNSEEN_RESETS)
                .max_concurrent_reset_streams(MOST_STREAMS as usize)
                // h2 never lowers this count, and refused uploads add to it. With its limit of 1024, a connection would
                // end with all its calls. An attacker gains nothing: a call counts until its handler has returned.
                .max_local_error_reset_streams(None)
                .max_header_list_size(MOST_HEADER_BYTES);
            Ok(ServerRole {
                shared: Arc::clone(self),
                readiness: Arc::clone(readiness),
                stage: Stage::Handshake(Box::pin(builder.handshake(io.accept_paths()))),
                handshake: None,
                pings: None,
                keepalive: None,
                moves: None,
                end: End::Open,
            })
        });
        let Ok(link) = made else { return }; // no descriptor or memory is left, and the connection is closed
        self.connections.fetch_add(1, Ordering::SeqCst);
        {
            let mut links = lock(&self.links);
            if links.len() == links.capacity() {
                links.retain(|link| link.strong_count() > 0);
            }
            links.push(Arc::downgrade(&link));
        }
        if self.draining.load(Ordering::SeqCst) {
            link.with(ServerRole::drain);
        } else {
            link.drive();
        }
    }
}

impl Shared {
    fn poll_quiet(&self, cx: &Context<'_>) -> Poll<()> {
        self.waiting.add(cx);
        if self.connections.load(Ordering::SeqCst) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        for listener in std::mem::take(&mut *lock(&self.listeners)) {
            listener.accept();
            listener.close();
        }
        let links: Vec<_> = lock(&self.links).iter().filter_map(Weak::upgrade).collect();
        for link in links {
            link.with(ServerRole::drain);
        }
    }

    fn abort(&self) {
        let links = std::mem::take(&mut *lock(&self.links));
        for link in links.iter().filter_map(Weak::upgrade) {
            link.close();
        }
    }

    fn handle_news(&self) {
        loop {
            let news = std::mem::take(&mut *lock(&self.news));
            if news.is_empty() {
                return;
            }
            for core in news {
                core.look();
            }
        }
    }
}

/// The most open streams of one connection. A client that needs more waits or opens another connection.
///
/// The server may answer all of them before their requests have arrived. With h2's limit of 50 for such streams, the
/// rest of the requests would be an error.
const MOST_STREAMS: u32 = 1000;

/// The most calls that a client may cancel before the server has seen them. With more, the connection ends, and its
/// other calls with it, so that an attacker cannot fill the memory (CVE-2023-44487). h2 reads everything that has
/// arrived before it hands over the first call, and a client that starts and cancels calls without a pause can write
/// thousands meanwhile. 2,700 sometimes exceeded a limit of 1000.
const MOST_UNSEEN_RESETS: usize = 10_000;

/// The most metadata of a call. C-core has 16 KiB (GRPC_DEFAULT_ABSOLUTE_MAX_METADATA_SIZE) and accepts more from large
/// calls.
const MOST_HEADER_BYTES: u32 = 64 * 1024;

enum Stage {
    Handshake(Pin<Box<Handshake<Io, Outgoing>>>),
    Open(Box<Connection<Io, Outgoing>>),
    /// All frames have been sent, and the client must read them. If the socket were closed while the client writes, the
    /// client would lose the unread frames, which tell it that the server has not seen its last calls.
    Lingering,
    Closed,
}

/// Returns a time that differs from the given one by up to 10 %, so that not all clients connect again at once (gRFC A9).
fn varied(time: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) as u32;
    time.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}

/// How long a client may take to close a connection after the server has ended it.
const LINGER: Duration = Duration::from_secs(1);

/// The steps in which a connection ends without losing a call. h2 sends GOAWAY with a PING, and ignores the calls that
/// arrive after its answer. At the first WINDOW_UPDATE for such a call, h2 ends the connection with PROTOCOL_ERROR. But
/// C-core answers a PING before it writes the calls in its queue. So announce the end first. When the client has
/// answered a PING after the announcement, its queue is empty at the PING of h2.
enum End {
    Open,
    Wanted,
    Announced,
    Pinged,
    Shutdown,
}

struct ServerRole {
    shared: Arc<Shared>,
    readiness: Arc<Readiness>,
    stage: Stage,
    /// The timer of the handshakes.
    handshake: Option<Timer>,
    pings: Option<PingPong>,
    keepalive: Option<Keepalive>,
    /// The timer that moves the client to a new connection.
    moves: Option<Timer>,
    end: End,
}

impl ServerRole {
    fn drain(&mut self) {
        if matches!(self.end, End::Open) {
            self.end = End::Wanted;
            self.keepalive = None; // its pings and those of the end have the same answers
        }
    }

    /// Takes the next step to the end of the connection. Returns whether h2 has to be polled again.
    fn poll_end(&mut self, cx: &mut Context<'_>, link: &Link<Self>) -> bool {
        let (Stage::Open(connection), Some(pings)) = (&mut self.stage, &mut self.pings) else { return false };
        self.end = match self.end {
            End::Wanted => {
                link.announce_end();
                End::Announced
            }
            End::Announced if link.is_announced() => {
                if pings.send_ping(Ping::opaque()).is_err() {
                    // The answer to a ping of keepalive is still to come, or the connection has ended.
                    return matches!(pings.poll_pong(cx), Poll::Ready(Ok(_)));
                }
                End::Pinged
            }
            End::Pinged => {
                if pings.poll_pong(cx).is_pending() {
                    return false;
                }
                connection.graceful_shutdown();
                End::Shutdown
            }
            _ => return false,
        };
        true
    }
}

impl Drop for ServerRole {
    fn drop(&mut self) {
        // The end of the connection ends its streams.
        self.stage = Stage::Closed;
        self.shared.handle_news();
        if self.shared.connections.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.shared.waiting.wake_all();
        }
    }
}

impl Role for ServerRole {
    fn poll_drive(&mut self, cx: &mut Context<'_>, link: &Arc<Link<Self>>) -> Poll<()> {
        if let Stage::Handshake(handshake) = &mut self.stage {
            if self.handshake.is_none() {
                self.handshake = Some(link.set_timer(Instant::now() + self.shared.handshake));
                self.moves = self.shared.age.map(|age| link.set_timer(Instant::now() + varied(age)));
            }
            let Ok(mut connection) = ready!(handshake.as_mut().poll(cx)) else { return Poll::Ready(()) };
            if let Some(timer) = self.handshake.take() {
                self.shared.reactor.cancel_timer(timer);
            }
            self.pings = connection.ping_pong();
            if let (Some(settings), End::Open) = (self.shared.keepalive, &self.end) {
                let keepalive = Keepalive::new(settings, Arc::clone(&self.readiness));
                link.set_timer(keepalive.first());
                self.keepalive = Some(keepalive);
            }
            self.stage = Stage::Open(Box::new(connection));
        }
        let ended = loop {
            let connection = match &mut self.stage {
                Stage::Open(connection) => connection,
                Stage::Lingering => return link.poll_drop_input(),
                _ => return Poll::Ready(()),
            };
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => Core::accept(&self.shared, link, request, respond),
                Poll::Ready(Some(Err(_))) => break Poll::Ready(()),
                Poll::Ready(None) => {
                    self.stage = Stage::Lingering;
                    let _ = link.socket().shutdown(Shutdown::Write);
                    link.set_timer(Instant::now() + LINGER);
                    break link.poll_drop_input();
                }
                Poll::Pending if self.poll_end(cx, link) => {}
                Poll::Pending => break Poll::Pending,
            }
        };
        self.shared.handle_news();
        ended
    }

    fn expire(&mut self, _: &Link<Self>) -> Expired {
        if self.moves.take_if(|(at, _)| *at <= Instant::now()).is_some() {
            self.drain();
            return Expired::Nothing;
        }
        match (&self.stage, &mut self.keepalive, &mut self.pings) {
            (Stage::Open(connection), Some(keepalive), Some(pings)) => {
                keepalive.expire(pings, connection.has_streams())
            }
            (Stage::Open(_), ..) => Expired::Nothing,
            _ => Expired::Close,
        }
    }
}

/// A server on any number of sockets.
#[pyclass(frozen, module = "samehost_native._engine")]
pub struct Server(Arc<Shared>);

impl Drop for Server {
    fn drop(&mut self) {
        // Listeners and connections keep the shared state alive, so close them.
        self.0.drain();
        self.0.abort();
    }
}

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (*, max_calls, refusal, max_receive, max_send, decompress, tls, handshake, keepalive, age))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        max_calls: usize,
        refusal: String,
        max_receive: usize,
        max_send: usize,
        decompress: bool,
        tls: Option<Py<ServerTls>>,
        handshake: f64,
        keepalive: Option<(f64, f64, bool)>,
        age: Option<f64>,
    ) -> PyResult<Self> {
        let reactor = Reactor::new()?;
        Ok(Self(Arc::new(Shared {
            futures: Futures::new(&reactor),
            reactor,
            kinds: Mutex::default(),
            most_received: max_receive,
            most_sent: max_send,
            decompresses: decompress,
            most_calls: max_calls,
            refusal,
            tls,
            handshake: Duration::from_secs_f64(handshake),
            keepalive: keepalive.map(Settings::new),
            age: age.map(Duration::from_secs_f64),
            active: AtomicUsize::new(0),
            news: Mutex::default(),
            queue: Queue::default(),
            overs: Queue::default(),
            waiting: Arc::default(),
            listeners: Mutex::default(),
            links: Mutex::default(),
            connections: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
        })))
    }

    /// Registers the properties of a method.
    fn register(&self, method: String, unary_request: bool, exempt: bool) {
        lock(&self.0.kinds).insert(method, Kind { unary_request, exempt });
    }

    /// Serves on a listening Unix socket, with a copy of its descriptor.
    fn listen(&self, py: Python<'_>, descriptor: i32) -> PyResult<()> {
        let socket = UnixListener::from(copy_of(py, descriptor)?);
        socket.set_nonblocking(true)?;
        let listener = Arc::new(Listener { shared: Arc::clone(&self.0), socket, token: Mutex::default() });
        let source: Arc<dyn Source> = listener.clone();
        let token = self.0.reactor.add(source, listener.socket.as_fd())?;
        *lock(&listener.token) = Some(token);
        lock(&self.0.listeners).push(listener);
        Ok(())
    }

    /// Returns the descriptor for an event loop. When it is readable, the loop calls `turn`.
    fn fileno(&self) -> i32 {
        self.0.reactor.as_fd().as_raw_fd()
    }

    /// Handles events and returns the new calls. Call it in the thread of the event loop.
    fn turn(&self, py: Python<'_>) -> PyResult<Vec<ServerCall>> {
        self.0.futures.turn(py)?;
        Ok(std::iter::from_fn(|| self.0.queue.pop_any()).map(ServerCall).collect())
    }

    /// Waits for a call. Returns None after `timeout` seconds or after `release_workers`.
    ///
    /// With `exempt`, returns only calls of exempt methods. Otherwise returns only other calls.
    fn next(&self, py: Python<'_>, exempt: bool, timeout: f64) -> Option<ServerCall> {
        let deadline = Instant::now() + Duration::from_secs_f64(timeout);
        let shared = &self.0;
        py.detach(|| shared.queue.next(&shared.reactor, exempt, deadline)).map(ServerCall)
    }

    /// Starts the thread that makes another worker lead when a handler takes long.
    fn start_guard(&self) -> PyResult<()> {
        Ok(workers::start_guard(Arc::downgrade(&self.0))?)
    }

    /// Returns how many workers wait for a call.
    fn idle(&self) -> usize {
        self.0.queue.idle()
    }

    /// Makes `next` and `next_over` return None from now on.
    fn release_workers(&self) {
        self.0.queue.close();
        self.0.overs.close();
    }

    /// Accepts the connections in the backlogs, closes the listeners, and sends GOAWAY to all clients.
    fn drain(&self, py: Python<'_>) {
        py.detach(|| self.0.drain());
    }

    /// Closes all connections and ends their calls.
    fn abort(&self, py: Python<'_>) {
        py.detach(|| self.0.abort());
    }

    /// Waits until the last connection has ended. Returns False after `timeout` seconds.
    fn wait_quiet(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let shared = &self.0;
        let deadline = Instant::now() + Duration::from_secs_f64(timeout);
        Ok(blocking(py, &shared.reactor, Some(deadline), || (), |cx| shared.poll_quiet(cx))?.is_some())
    }

    /// Returns whether the server has no connection. If not, resolves the future when the last one ends.
    fn quiet_nowait(&self, future: &Bound<'_, PyAny>) -> bool {
        let waker = self.0.futures.waker(future);
        self.0.poll_quiet(&Context::from_waker(&waker)).is_ready()
    }

    /// Waits for a watched call that ends before it is answered, and returns its name. Returns None after `timeout`
    /// seconds.
    fn next_over(&self, py: Python<'_>, timeout: f64) -> Option<u64> {
        let deadline = Instant::now() + Duration::from_secs_f64(timeout);
        let shared = &self.0;
        py.detach(|| shared.overs.next(&shared.reactor, true, deadline))
    }

    /// Returns the number of connections.
    fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    /// Returns the number of counted calls in progress.
    fn active(&self) -> usize {
        self.0.active.load(Ordering::SeqCst)
    }
}

/// Copies a descriptor of Python. Rust cannot use its number without unsafe code, so Python sends it over a socket.
fn copy_of(py: Python<'_>, descriptor: i32) -> PyResult<OwnedFd> {
    let (ours, theirs) = UnixStream::pair()?;
    let module = py.import("socket")?;
    let sender =
        module.call_method1("socket", (1, 1, 0, py.import("os")?.call_method1("dup", (theirs.as_raw_fd(),))?))?;
    module.call_method1("send_fds", (&sender, [PyBytes::new(py, b".")], [descriptor]))?;
    sender.call_method0("close")?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut received = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(&ours, &mut [IoSliceMut::new(&mut byte)], &mut received, flags).map_err(io::Error::from)?;
    let copies = received.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    copies.flatten().next().ok_or_else(|| PyOSError::new_err(format!("cannot copy descriptor {descriptor}")))
}
