//! The server: listening sockets, their connections and calls.

use std::collections::HashMap;
use std::io;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Builder, Connection, Handshake, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::event::epoll::EventFlags;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustls::ServerConfig;

use crate::client::encoding_in;
use crate::io::{Io, Readiness};
use crate::keepalive::{Expired, Keepalive, Settings};
use crate::link::{CONNECTION_WINDOW_BYTES, FRAME_BYTES, Link, Role, WINDOW_BYTES};
use crate::message::{Encoding, Incoming, Outgoing};
use crate::python::{Futures, blocking};
use crate::reactor::{Expire, Reactor, Source, Timer, Wakers, lock};
use crate::status::{Code, Status, add_metadata, message_of, parse_timeout, to_metadata};
use crate::tls::{self, ServerTls};
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
    tls: Option<Arc<ServerConfig>>,
    /// How long a client may take for its handshakes: TLS and the preface of HTTP/2.
    handshake: Duration,
    keepalive: Option<Settings>,
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
        let Ok(tls) = self.tls.as_ref().map(tls::accept).transpose() else { return };
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
    end: End,
}

impl ServerRole {
    fn drain(&mut self) {
        if matches!(self.end, End::Open) {
            self.end = End::Wanted;
            self.keepalive = None; // its pings and those of the end have the same answers
        }
    }

    fn cancel_timer(&mut self) {
        if let Some(timer) = self.handshake.take() {
            self.shared.reactor.cancel_timer(timer);
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
        self.cancel_timer();
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
            }
            let Ok(mut connection) = ready!(handshake.as_mut().poll(cx)) else { return Poll::Ready(()) };
            self.cancel_timer();
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
        match (&self.stage, &mut self.keepalive, &mut self.pings) {
            (Stage::Open(connection), Some(keepalive), Some(pings)) => {
                keepalive.expire(pings, connection.has_streams())
            }
            (Stage::Open(_), ..) => Expired::Nothing,
            _ => Expired::Close,
        }
    }
}

#[derive(Default)]
struct State {
    respond: Option<SendResponse<Outgoing>>,
    send: Option<SendStream<Outgoing>>,
    incoming: Option<Incoming>,
    /// The request of a unary call.
    request: Option<Bytes>,
    /// The encoding of the response, after its headers have been sent.
    encoding: Option<Encoding>,
    timer: Option<Timer>,
    /// The call ended before it was answered: cancelled, disconnected, or the deadline has passed.
    over: bool,
    /// The name under which `next_over` reports that the call is over.
    watched: Option<u64>,
    expired: bool,
    finished: bool,
}

/// A call.
pub struct Core {
    shared: Arc<Shared>,
    link: Arc<Link<ServerRole>>,
    method: String,
    headers: HeaderMap,
    deadline: Option<Instant>,
    counted: bool,
    exempt: bool,
    state: Mutex<State>,
    waiting: Arc<Wakers>,
    /// The wakers for the end of the call before it has been answered.
    watching: Arc<Wakers>,
    /// The call waits for its only request. After that, it waits for a worker.
    awaits_request: AtomicBool,
}

/// The waker of a call for h2. It holds the only reference to a call that waits for its request.
struct News {
    core: Weak<Core>,
    _kept: Option<Arc<Core>>,
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(core) = self.core.upgrade() {
            core.waiting.wake_all();
            // Handle the event later, because h2 holds its lock now.
            let shared = Arc::clone(&core.shared);
            lock(&shared.news).push(core);
        }
    }
}

impl Core {
    fn accept(
        shared: &Arc<Shared>,
        link: &Arc<Link<ServerRole>>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Outgoing>,
    ) {
        let (head, body) = request.into_parts();
        let is_grpc =
            head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if head.method != Method::POST || !is_grpc {
            let status = if head.method == Method::POST { 415 } else { 405 };
            let mut response = Response::new(());
            *response.status_mut() = http::StatusCode::from_u16(status).expect("405 and 415 are valid");
            let _ = respond.send_response(response, true);
            return;
        }
        let encoding = match encoding_in(&head.headers) {
            Ok(encoding) => encoding,
            Err(status) => return refuse(&mut respond, &status),
        };
        let method = head.uri.path().to_owned();
        let kind = lock(&shared.kinds).get(&method).copied();
        let exempt = kind.is_some_and(|kind| kind.exempt);
        if !exempt && shared.active.fetch_add(1, Ordering::SeqCst) >= shared.most_calls {
            shared.active.fetch_sub(1, Ordering::SeqCst);
            return refuse(&mut respond, &Status::new(Code::ResourceExhausted, shared.refusal.clone()));
        }
        let timeout = head.headers.get("grpc-timeout").and_then(parse_timeout);
        let core = Arc::new(Self {
            shared: Arc::clone(shared),
            link: Arc::clone(link),
            method,
            headers: head.headers,
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            counted: !exempt,
            exempt,
            waiting: Arc::default(),
            watching: Arc::default(),
            awaits_request: AtomicBool::new(kind.is_some_and(|kind| kind.unary_request)),
            state: Mutex::new(State {
                respond: Some(respond),
                incoming: Some(Incoming::new(body, shared.decompresses.then_some(encoding), shared.most_received)),
                ..State::default()
            }),
        });
        if let Some(deadline) = core.deadline {
            let weak: Weak<dyn Expire> = Arc::downgrade(&core) as Weak<dyn Expire>;
            lock(&core.state).timer = Some(shared.reactor.set_timer(deadline, weak));
        }
        if !core.awaits_request.load(Ordering::SeqCst) {
            core.dispatch();
        }
        core.look();
    }

    fn waker(self: &Arc<Self>) -> Waker {
        let kept = self.awaits_request.load(Ordering::SeqCst).then(|| Arc::clone(self));
        Waker::from(Arc::new(News { core: Arc::downgrade(self), _kept: kept }))
    }

    /// Handles an event of the call.
    fn look(self: &Arc<Self>) {
        let waker = self.waker();
        let mut cx = Context::from_waker(&waker);
        if self.poll_over(&mut cx) {
            return;
        }
        if self.awaits_request.load(Ordering::SeqCst) {
            self.await_request(&mut cx);
        }
    }

    /// Passes the call to a worker when its only request has arrived, so that no worker waits for it.
    fn await_request(self: &Arc<Self>, cx: &mut Context<'_>) {
        let received = {
            let mut state = lock(&self.state);
            let state = &mut *state;
            if !self.awaits_request.load(Ordering::SeqCst) {
                return; // another thread was faster
            }
            let Some(incoming) = state.incoming.as_mut() else { return };
            let received = match incoming.poll_message(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(Some(message))) => {
                    state.request = Some(message);
                    Ok(())
                }
                Poll::Ready(Ok(None)) => Err(Status::new(Code::Unimplemented, "the call has no request")),
                Poll::Ready(Err(status)) => Err(status),
            };
            self.awaits_request.store(false, Ordering::SeqCst);
            received
        };
        match received {
            Ok(()) => self.dispatch(),
            Err(status) => self.finish(None, &status),
        }
    }

    fn dispatch(self: &Arc<Self>) {
        self.shared.queue.push(Arc::clone(self), self.exempt);
    }

    /// Returns whether the client has ended the call. If not, wakes the waker when it does.
    fn poll_over(&self, cx: &mut Context<'_>) -> bool {
        let mut state = lock(&self.state);
        let state = &mut *state;
        if state.over || state.finished {
            return state.over;
        }
        let polled = match (&mut state.send, &mut state.respond) {
            (Some(send), _) => send.poll_reset(cx),
            (None, Some(respond)) => respond.poll_reset(cx),
            _ => return state.over,
        };
        if polled.is_ready() {
            self.set_over(state);
        }
        state.over
    }

    fn set_over(&self, state: &mut State) {
        state.over = true;
        if let Some(name) = state.watched.take() {
            self.shared.overs.push(name, true);
        }
        self.waiting.wake_all();
        self.watching.wake_all();
    }

    /// Returns the next request, None after the last one, or an error if the call cannot continue.
    fn poll_receive(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        self.waiting.add(cx);
        let waker = self.waker();
        let cx = &mut Context::from_waker(&waker);
        let mut state = lock(&self.state);
        let state = &mut *state;
        if let Some(request) = state.request.take() {
            return Poll::Ready(Ok(Some(request)));
        }
        if state.over || state.finished {
            return Poll::Ready(Err(Status::new(Code::Cancelled, "the call is over")));
        }
        let Some(incoming) = state.incoming.as_mut() else { return Poll::Ready(Ok(None)) };
        incoming.poll_message(cx)
    }

    fn send_headers(state: &mut State, metadata: HeaderMap, encoding: Encoding) {
        let Some(mut respond) = state.respond.take() else { return };
        let mut response = Response::new(());
        *response.headers_mut() = metadata;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-accept-encoding", HeaderValue::from_static(Encoding::ACCEPTED));
        if encoding != Encoding::Identity {
            headers.insert("grpc-encoding", HeaderValue::from_static(encoding.name()));
        }
        state.encoding = Some(encoding);
        state.send = respond.send_response(response, false).ok();
    }

    /// Sends a message after the previous one has been sent. Returns false if the call is over.
    fn poll_send(self: &Arc<Self>, cx: &mut Context<'_>, message: &mut Option<Outgoing>) -> Poll<bool> {
        self.waiting.add(cx);
        let waker = self.waker();
        let cx = &mut Context::from_waker(&waker);
        let mut state = lock(&self.state);
        let state = &mut *state;
        if state.over || state.finished {
            return Poll::Ready(false);
        }
        let Some(send) = state.send.as_mut() else { return Poll::Ready(false) };
        if send.capacity() == 0 {
            send.reserve_capacity(1);
            match send.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) if send.capacity() > 0 => {}
                Poll::Ready(Some(Ok(_))) | Poll::Pending => return Poll::Pending,
                Poll::Ready(_) => {
                    self.set_over(state);
                    return Poll::Ready(false);
                }
            }
        }
        let message = message.take().expect("a message is sent once");
        Poll::Ready(send.send_data(message, false).is_ok())
    }

    /// Sends the last message, if any, and the status. Sends nothing if the call is over.
    fn finish(&self, message: Option<Outgoing>, status: &Status) {
        {
            let mut state = lock(&self.state);
            let state = &mut *state;
            if !state.finished {
                state.finished = true;
                self.release(state);
                if !state.over {
                    if message.is_some() && state.send.is_none() {
                        Self::send_headers(state, HeaderMap::new(), Encoding::Identity);
                    }
                    if let Some(mut send) = state.send.take() {
                        if let Some(message) = message {
                            let _ = send.send_data(message, false);
                        }
                        let _ = send.send_trailers(status.to_trailers());
                    } else if let Some(mut respond) = state.respond.take() {
                        refuse(&mut respond, status);
                    }
                }
                // Discard further requests: h2 resets the stream with NO_ERROR.
                state.incoming = None;
                self.waiting.wake_all();
            }
        }
        self.link.flush();
    }

    fn release(&self, state: &mut State) {
        if self.counted {
            self.shared.active.fetch_sub(1, Ordering::SeqCst);
        }
        if let Some(timer) = state.timer.take() {
            self.shared.reactor.cancel_timer(timer);
        }
    }
}

/// Answers with only a status.
fn refuse(respond: &mut SendResponse<Outgoing>, status: &Status) {
    let mut response = Response::new(());
    *response.headers_mut() = status.to_trailers();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let _ = respond.send_response(response, true);
}

impl Expire for Core {
    fn expire(self: Arc<Self>) {
        {
            let mut state = lock(&self.state);
            let state = &mut *state;
            state.timer = None;
            if state.finished || state.over {
                return;
            }
            state.expired = true;
            let status = Status::new(Code::DeadlineExceeded, "Deadline Exceeded");
            if let Some(mut send) = state.send.take() {
                if send.send_trailers(status.to_trailers()).is_err() {
                    send.send_reset(Reason::CANCEL);
                }
            } else if let Some(mut respond) = state.respond.take() {
                refuse(&mut respond, &status);
            }
            state.incoming = None;
            self.set_over(state);
        }
        self.link.flush();
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.finished {
            return;
        }
        // The call was not answered, because its queue or its handler was dropped.
        if self.counted {
            self.shared.active.fetch_sub(1, Ordering::SeqCst);
        }
        if let Some(send) = state.send.as_mut() {
            send.send_reset(Reason::CANCEL);
        } else if let Some(respond) = state.respond.as_mut() {
            respond.send_reset(Reason::CANCEL);
        }
        state.send = None;
        state.respond = None;
        state.incoming = None;
        self.link.flush();
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
    #[pyo3(signature = (*, max_calls, refusal, max_receive, max_send, decompress, tls, handshake, keepalive))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        max_calls: usize,
        refusal: String,
        max_receive: usize,
        max_send: usize,
        decompress: bool,
        tls: Option<&ServerTls>,
        handshake: f64,
        keepalive: Option<(f64, f64, bool)>,
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
            tls: tls.map(ServerTls::config),
            handshake: Duration::from_secs_f64(handshake),
            keepalive: keepalive.map(Settings::new),
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

/// A call, for its handler.
#[pyclass(frozen, module = "samehost_native._engine")]
pub struct ServerCall(Arc<Core>);

#[pymethods]
impl ServerCall {
    #[getter]
    fn method(&self) -> &str {
        &self.0.method
    }

    /// Returns the metadata of the client.
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(to_metadata(py, &self.0.headers)?.into_pyobject(py)?.into_any())
    }

    /// Returns the request of a unary call. Returns None if it has not arrived or was already returned.
    fn request<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        lock(&self.0.state).request.take().map(|request| PyBytes::new(py, &request))
    }

    /// Returns (pid, uid, gid) of the client at the time when it connected (SO_PEERCRED).
    fn peer_credentials(&self) -> PyResult<(i32, u32, u32)> {
        let found = socket_peercred(self.0.link.socket()).map_err(io::Error::from)?;
        Ok((found.pid.as_raw_nonzero().get(), found.uid.as_raw(), found.gid.as_raw()))
    }

    /// Returns the certificate of the client in DER, its subject, its common name and its alternative names. Returns
    /// None if the client has no certificate.
    fn peer_certificate(&self, py: Python<'_>) -> Option<(Py<PyBytes>, tls::Names)> {
        let certificate = self.0.link.peer_certificates()?.first()?;
        Some((PyBytes::new(py, certificate).unbind(), tls::names(certificate)?))
    }

    /// Returns whether the connection has TLS.
    fn is_encrypted(&self) -> bool {
        self.0.shared.tls.is_some()
    }

    /// Waits for the next request. Returns None after the last one, and False if the call is over.
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let core = &self.0;
        let received = blocking(py, &core.shared.reactor, None, || core.link.flush(), |cx| core.poll_receive(cx))?;
        received.map_or(Ok(None), |received| self.received(py, received))
    }

    /// Returns the same as `receive`, or True if it would wait. Then resolves the future later.
    fn receive_nowait<'py>(&self, py: Python<'py>, future: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let core = &self.0;
        let waker = core.shared.futures.waker(future);
        let polled = core.poll_receive(&mut Context::from_waker(&waker));
        core.link.flush();
        match polled {
            Poll::Pending => Ok(Some(true.into_pyobject(py)?.to_owned().into_any())),
            Poll::Ready(received) => self.received(py, received),
        }
    }

    /// Sends the headers of the response.
    fn send_initial(&self, metadata: Option<&Bound<'_, PyAny>>, encoding: &str, flush: bool) -> PyResult<()> {
        let mut headers = HeaderMap::new();
        if let Some(metadata) = metadata {
            add_metadata(&mut headers, metadata)?;
        }
        let encoding = Encoding::parse(encoding).unwrap_or(Encoding::Identity);
        {
            let mut state = lock(&self.0.state);
            if !state.over && !state.finished {
                Core::send_headers(&mut state, headers, encoding);
            }
        }
        if flush {
            self.0.link.flush();
        }
        Ok(())
    }

    /// Waits for space and sends a message. Returns False if the call is over.
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyBytes>, compress: bool) -> PyResult<bool> {
        let core = &self.0;
        let Some(mut outgoing) = self.outgoing(py, message, compress) else { return Ok(false) };
        let sent =
            blocking(py, &core.shared.reactor, None, || core.link.flush(), |cx| core.poll_send(cx, &mut outgoing))?;
        py.detach(|| core.link.flush());
        Ok(sent.unwrap_or(false))
    }

    /// Sends a message and returns True, or False if the call is over. Returns None if there is no space, and resolves
    /// the future later.
    fn send_nowait(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyBytes>,
        compress: bool,
        future: &Bound<'_, PyAny>,
    ) -> Option<bool> {
        let core = &self.0;
        let Some(mut outgoing) = self.outgoing(py, message, compress) else { return Some(false) };
        let waker = core.shared.futures.waker(future);
        let polled = core.poll_send(&mut Context::from_waker(&waker), &mut outgoing);
        core.link.flush();
        match polled {
            Poll::Pending => None,
            Poll::Ready(sent) => Some(sent),
        }
    }

    /// Sends the last message, if any, and the status.
    #[pyo3(signature = (code, details, trailing, message, compress))]
    fn finish(
        &self,
        py: Python<'_>,
        code: i32,
        details: String,
        trailing: Option<&Bound<'_, PyAny>>,
        message: Option<&Bound<'_, PyBytes>>,
        compress: bool,
    ) -> PyResult<()> {
        let mut status = Status { code, details, ..Status::new(Code::Ok, "") };
        if let Some(trailing) = trailing {
            add_metadata(&mut status.trailers, trailing)?;
        }
        let message = match message {
            None => None,
            Some(message) => match self.outgoing(py, message, compress) {
                None => return Ok(()),
                some => some.flatten(),
            },
        };
        py.detach(|| self.0.finish(message, &status));
        Ok(())
    }

    /// Returns whether the client still waits for the answer.
    fn is_active(&self) -> bool {
        let core = &self.0;
        let mut state = lock(&core.state);
        if core.link.is_closed() && !state.over {
            core.set_over(&mut state);
        }
        !state.over && !state.finished
    }

    /// Makes `next_over` return a name if the call ends before it is answered. Returns False if it has ended.
    fn watch(&self, name: u64) -> bool {
        let mut state = lock(&self.0.state);
        state.watched = Some(name);
        !state.over && !state.finished
    }

    /// Resolves a future if the call ends before it is answered. Returns whether it has ended.
    fn watch_over(&self, future: &Bound<'_, PyAny>) -> bool {
        let core = &self.0;
        let waker = core.shared.futures.waker(future);
        core.watching.add(&Context::from_waker(&waker));
        lock(&core.state).over
    }

    /// Returns whether the deadline has passed.
    fn is_expired(&self) -> bool {
        lock(&self.0.state).expired
    }

    /// Returns the seconds until the deadline, or None without a deadline.
    fn time_remaining(&self) -> Option<f64> {
        self.0.deadline.map(|at| at.saturating_duration_since(Instant::now()).as_secs_f64())
    }
}

impl ServerCall {
    fn received<'py>(
        &self,
        py: Python<'py>,
        received: Result<Option<Bytes>, Status>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match received {
            Ok(Some(message)) => Ok(Some(PyBytes::new(py, &message).into_any())),
            Ok(None) => Ok(None),
            Err(status) => {
                if !lock(&self.0.state).over {
                    self.0.finish(None, &status);
                }
                Ok(Some(false.into_pyobject(py)?.to_owned().into_any()))
            }
        }
    }

    /// Returns the message to send. If it is too long, ends the call and returns None.
    fn outgoing(&self, py: Python<'_>, message: &Bound<'_, PyBytes>, compress: bool) -> Option<Option<Outgoing>> {
        let core = &self.0;
        let encoding =
            if compress { lock(&core.state).encoding.unwrap_or(Encoding::Identity) } else { Encoding::Identity };
        let message = message_of(message);
        match py.detach(|| Outgoing::new(message, encoding, core.shared.most_sent)) {
            Ok(outgoing) => Some(Some(outgoing)),
            Err(status) => {
                core.finish(None, &status);
                None
            }
        }
    }
}
