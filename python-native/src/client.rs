//! The client: a channel to one socket, and its connections.

mod call;

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::PingPong;
use h2::client::{Builder, Connection, SendRequest};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

pub use call::ClientCall;
use call::{Core, State};

use crate::io::Io;
use crate::keepalive::{Expired, Keepalive, Settings};
use crate::keeper::keep;
use crate::link::{CONNECTION_WINDOW_BYTES, FRAME_BYTES, Link, Role, WINDOW_BYTES};
use crate::message::{Encoding, Outgoing, unknown_compression};
use crate::python::{Futures, blocking};
use crate::reactor::{Expire, Reactor, lock};
use crate::status::{Code, Seen, Status, add_metadata, format_timeout, message_of};
use crate::tls::ClientTls;

/// Every server accepts `localhost` over a socket. Kestrel and Rust's h2 refuse a path as :authority.
const AUTHORITY: &str = "localhost";

struct ClientRole {
    connection: Option<Connection<Io, Outgoing>>,
    news: Arc<Mutex<Vec<Arc<Core>>>>,
    keepalive: Option<(Keepalive, PingPong)>,
    early: Arc<Mutex<Vec<Weak<Core>>>>,
}

impl Role for ClientRole {
    fn poll_drive(&mut self, cx: &mut Context<'_>, link: &Arc<Link<Self>>) -> Poll<()> {
        let Some(connection) = self.connection.as_mut() else { return Poll::Ready(()) };
        // Each stream returns the reason for the end.
        let ended = std::future::Future::poll(Pin::new(connection), cx).map(|_| ());
        self.read_news();
        if !link.is_settled() && link.is_greeted() {
            link.settle();
            self.wake_early();
        }
        ended
    }

    fn expire(&mut self, link: &Link<Self>) -> Expired {
        match &mut self.keepalive {
            Some((keepalive, pings)) => keepalive.expire(pings, link.calls() > 0),
            None => Expired::Nothing,
        }
    }
}

impl ClientRole {
    /// Wakes the calls that started before the server sent its limit. They may exceed it.
    fn wake_early(&self) {
        let mut woken = Vec::new();
        lock(&self.early).retain(|core| {
            let Some(core) = core.upgrade() else { return false };
            let waits = !core.link.is_settled();
            woken.push(core);
            waits
        });
        for core in woken {
            core.waiting.wake_all();
        }
    }

    fn read_news(&self) {
        loop {
            let news = std::mem::take(&mut *lock(&self.news));
            if news.is_empty() {
                return;
            }
            for core in news {
                let waker = core.waker();
                let _ = core.poll_unary(&mut Context::from_waker(&waker), false);
            }
        }
    }
}

impl Drop for ClientRole {
    fn drop(&mut self) {
        // The end of the connection ends its streams.
        self.connection = None;
        self.read_news();
    }
}

/// One connection of a channel.
struct Connected {
    link: Arc<Link<ClientRole>>,
    sender: SendRequest<Outgoing>,
    /// The limit of streams: the expected one, until the server sends its own.
    limit: usize,
    is_limit_known: bool,
    /// A call has started on the connection since the last sweep.
    is_used: bool,
}

/// A place for a call: a connection, what starts streams on it, and the reference that counts the call.
type Place = (Arc<Link<ClientRole>>, SendRequest<Outgoing>, Arc<()>);

impl Connected {
    /// Returns whether the server accepts new streams on this connection. After GOAWAY it accepts none.
    fn is_open(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !self.link.is_closed() && !matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Returns whether the server allows a further stream. Asks h2 only at the limit, because that needs a lock.
    fn has_room(&mut self, calls: usize) -> bool {
        if (calls >= self.limit || !self.is_limit_known) && self.link.is_settled() {
            self.is_limit_known = true;
            self.limit = self.sender.current_max_send_streams().max(1);
        }
        calls < self.limit
    }

    fn take(&mut self) -> Place {
        self.is_used = true;
        (Arc::clone(&self.link), self.sender.clone(), self.link.count_call())
    }
}

/// The connections of a channel. Calls use the first one that has a free stream, so that the others become idle.
#[derive(Default)]
struct Connections {
    all: Vec<Connected>,
    /// The timer that closes idle connections runs.
    sweeps: bool,
}

/// The state that all calls of a channel share.
struct Shared {
    reactor: Arc<Reactor>,
    futures: Arc<Futures>,
    path: PathBuf,
    user_agent: HeaderValue,
    most_received: usize,
    most_sent: usize,
    decompresses: bool,
    tls: Option<Py<ClientTls>>,
    keepalive: Option<Settings>,
    connections: Mutex<Connections>,
    /// Calls with one response that have data to read.
    news: Arc<Mutex<Vec<Arc<Core>>>>,
    /// Calls that started before the server sent the limit of their connection.
    early: Arc<Mutex<Vec<Weak<Core>>>>,
    closed: AtomicBool,
}

/// How many streams to open before the server has sent its limit. Further calls wait for it, which takes less than a
/// millisecond. C-core waits too, and its server ends more streams than it allows with an error that cannot be retried.
const FIRST_STREAMS: usize = 1;

/// The limit of streams to expect from a server. It should be at least this (RFC 9113, section 6.5.2).
const EXPECTED_STREAMS: usize = 100;

/// The most connections of a channel, as in gRFC A105. When all of their streams are in use, further calls wait for the
/// streams of the connection with the fewest calls.
const MOST_CONNECTIONS: usize = 10;

/// A connection beyond the first closes after one to two times this long without a call. Another one takes less than
/// a millisecond, so that opening it again costs little.
const SWEEP: Duration = Duration::from_secs(1);

/// How many cancelled streams may still receive data. The data of further ones would be an error.
const MOST_RESETS: usize = 1000;

impl Shared {
    /// Returns a connection with a free stream, and the reference that counts the call. Opens a connection if no
    /// stream is free. It never waits, and takes microseconds.
    fn connection(self: &Arc<Self>) -> io::Result<Place> {
        let mut connections = lock(&self.connections);
        connections.all.retain(|each| !each.link.is_closed());
        let (mut open, mut least) = (0, None);
        for (at, each) in connections.all.iter_mut().enumerate() {
            if !each.is_open() {
                continue;
            }
            let calls = each.link.calls();
            if each.has_room(calls) {
                return Ok(each.take());
            }
            open += 1;
            if least.is_none_or(|(_, fewest)| calls < fewest) {
                least = Some((at, calls));
            }
        }
        if let Some((at, _)) = least {
            let limit = connections.all[at].limit.min(EXPECTED_STREAMS);
            let more = if open < MOST_CONNECTIONS { self.open(limit).ok() } else { None };
            let Some(mut more) = more else { return Ok(connections.all[at].take()) };
            let taken = more.take();
            connections.all.push(more);
            if !connections.sweeps {
                connections.sweeps = true;
                self.set_sweep();
            }
            return Ok(taken);
        }
        let mut first = self.open(EXPECTED_STREAMS)?;
        let taken = first.take();
        connections.all.push(first);
        Ok(taken)
    }

    /// Opens a connection. `limit` is the expected limit of streams.
    fn open(&self, limit: usize) -> io::Result<Connected> {
        let socket = dial(&self.path)?;
        let mut made = None;
        let tls = self.tls.as_ref().map(|tls| tls.get().connect()).transpose()?;
        let mut first_ping = None;
        let link = Link::start(&self.reactor, socket, tls, |io, readiness| {
            let mut builder = Builder::new();
            builder
                .enable_push(false)
                .initial_window_size(WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_frame_size(FRAME_BYTES)
                .max_send_buffer_size(FRAME_BYTES as usize)
                .max_concurrent_reset_streams(MOST_RESETS)
                .initial_max_send_streams(FIRST_STREAMS);
            let (sender, mut connection) = finish_now(builder.handshake(io)).map_err(io::Error::other)?;
            let keepalive = self.keepalive.zip(connection.ping_pong()).map(|(settings, pings)| {
                let keepalive = Keepalive::new(settings, Arc::clone(readiness));
                first_ping = Some(keepalive.first());
                (keepalive, pings)
            });
            made = Some(sender);
            Ok(ClientRole {
                connection: Some(connection),
                news: Arc::clone(&self.news),
                early: Arc::clone(&self.early),
                keepalive,
            })
        })?;
        if let Some(at) = first_ping {
            link.set_timer(at);
        }
        let sender = made.expect("the handshake creates it");
        link.drive();
        Ok(Connected { link, sender, limit, is_limit_known: false, is_used: false })
    }

    fn set_sweep(self: &Arc<Self>) {
        let weak: Weak<dyn Expire> = Arc::downgrade(self) as Weak<dyn Expire>;
        self.reactor.set_timer(Instant::now() + SWEEP, weak);
    }

    fn close_all(&self) {
        let all = std::mem::take(&mut lock(&self.connections).all);
        for each in all {
            each.link.close();
        }
    }

    /// Returns the status of a call that failed. If TLS or keepalive ended its connection, the details say why.
    fn explained(&self, link: &Link<ClientRole>, status: Status) -> Status {
        let Some(cause) = link.failure() else { return status };
        let path = self.path.display();
        if link.is_greeted() {
            return Status { details: format!("the connection to {path} failed: {cause}"), ..status };
        }
        Status { seen: Seen::NoServer, ..Status::new(Code::Unavailable, format!("cannot connect to {path}: {cause}")) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close_all();
    }
}

impl Expire for Shared {
    /// Closes the idle connections beyond the first.
    fn expire(self: Arc<Self>) {
        let mut connections = lock(&self.connections);
        let mut idle = Vec::new();
        let mut kept = Vec::new();
        for mut each in std::mem::take(&mut connections.all) {
            let is_used = std::mem::take(&mut each.is_used);
            if kept.is_empty() || is_used || each.link.calls() > 0 { &mut kept } else { &mut idle }.push(each);
        }
        connections.sweeps = kept.len() > 1;
        connections.all = kept;
        if connections.sweeps {
            self.set_sweep();
        }
        drop(connections);
        for each in idle {
            each.link.close();
        }
    }
}

/// Runs a handshake, which only writes to a buffer.
fn finish_now<T>(handshake: impl Future<Output = Result<T, h2::Error>>) -> Result<T, h2::Error> {
    let mut handshake = Box::pin(handshake);
    match handshake.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("the preface fits into the buffer"),
    }
}

fn dial(path: &std::path::Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// A channel to the server on a socket.
#[pyclass(frozen, module = "samehost_native._engine")]
pub struct Channel(Arc<Shared>);

/// The arguments of a new call.
struct Start<'a, 'py> {
    method: &'a str,
    metadata: Option<&'a Bound<'py, PyAny>>,
    timeout: Option<f64>,
    encoding: Encoding,
    reads_ahead: bool,
}

#[pymethods]
impl Channel {
    #[new]
    #[pyo3(signature = (path, *, user_agent, max_receive, max_send, decompress, in_loop, tls, keepalive))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        path: PathBuf,
        user_agent: &str,
        max_receive: usize,
        max_send: usize,
        decompress: bool,
        in_loop: bool,
        tls: Option<Py<ClientTls>>,
        keepalive: Option<(f64, f64, bool)>,
    ) -> PyResult<Self> {
        let reactor = Reactor::new()?;
        if !in_loop {
            keep(&reactor)?;
        }
        Ok(Self(Arc::new(Shared {
            futures: Futures::new(&reactor),
            reactor,
            path,
            user_agent: HeaderValue::from_str(user_agent).map_err(|_| {
                pyo3::exceptions::PyValueError::new_err(format!("invalid user agent {user_agent:?}: use ASCII"))
            })?,
            most_received: max_receive,
            most_sent: max_send,
            decompresses: decompress,
            tls,
            keepalive: keepalive.map(Settings::new),
            connections: Mutex::default(),
            news: Arc::default(),
            early: Arc::default(),
            closed: AtomicBool::new(false),
        })))
    }

    /// Returns the descriptor for an event loop. When it is readable, the loop calls `turn`.
    fn fileno(&self) -> i32 {
        self.0.reactor.as_fd().as_raw_fd()
    }

    /// Handles events and resolves futures. Call it in the thread of the event loop.
    fn turn(&self, py: Python<'_>) -> PyResult<()> {
        self.0.futures.turn(py)
    }

    /// Connects if the channel has no connection. Raises OSError if that fails.
    fn connect(&self) -> PyResult<()> {
        let is_open = lock(&self.0.connections).all.iter_mut().any(Connected::is_open);
        if is_open { Ok(()) } else { self.0.connection().map(drop).map_err(|error| os_error(&error)) }
    }

    /// Returns whether the channel has an open connection.
    fn is_connected(&self) -> bool {
        lock(&self.0.connections).all.iter().any(|each| !each.link.is_closed())
    }

    /// Starts a call. Raises OSError if the channel cannot connect.
    #[pyo3(signature = (method, metadata, timeout, encoding, one_response))]
    fn start(
        &self,
        py: Python<'_>,
        method: &str,
        metadata: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        encoding: &str,
        one_response: bool,
    ) -> PyResult<ClientCall> {
        let encoding = encoding_of(encoding)?;
        let start = Start { method, metadata, timeout, encoding, reads_ahead: one_response };
        let call = self.begin(py, &start, None)?;
        call.0.link.flush();
        Ok(call)
    }

    /// Starts a call with one request.
    #[pyo3(signature = (method, request, metadata, timeout, encoding, compress, one_response))]
    #[allow(clippy::too_many_arguments)]
    fn start_unary(
        &self,
        py: Python<'_>,
        method: &str,
        request: &Bound<'_, PyBytes>,
        metadata: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        encoding: &str,
        compress: bool,
        one_response: bool,
    ) -> PyResult<ClientCall> {
        let encoding = encoding_of(encoding)?;
        let start = Start { method, metadata, timeout, encoding, reads_ahead: one_response };
        let call = self.begin(py, &start, Some((message_of(request), compress)))?;
        call.0.link.flush();
        Ok(call)
    }

    /// Makes a call with one request and one response, and returns (code, details, response, initial, trailing, seen).
    #[pyo3(signature = (method, request, metadata, timeout, encoding, compress))]
    #[allow(clippy::too_many_arguments)]
    fn unary<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        request: &Bound<'py, PyBytes>,
        metadata: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
        encoding: &str,
        compress: bool,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let start = Start { method, metadata, timeout, encoding: encoding_of(encoding)?, reads_ahead: false };
        let call = self.begin(py, &start, Some((message_of(request), compress)))?;
        let core = &call.0;
        let message =
            blocking(py, &core.shared.reactor, core.deadline, || core.link.flush(), |cx| core.poll_unary(cx, true))?;
        call.outcome(py, message.flatten())
    }

    /// Ends all calls and starts no more.
    fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.close_all();
    }
}

impl Channel {
    fn begin(&self, py: Python<'_>, start: &Start<'_, '_>, request: Option<(Bytes, bool)>) -> PyResult<ClientCall> {
        let shared = &self.0;
        if shared.closed.load(Ordering::SeqCst) {
            return Err(pyo3::exceptions::PyValueError::new_err("the channel is closed"));
        }
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::USER_AGENT, shared.user_agent.clone());
        headers.insert("grpc-accept-encoding", HeaderValue::from_static(Encoding::ACCEPTED));
        if start.encoding != Encoding::Identity {
            headers.insert("grpc-encoding", HeaderValue::from_static(start.encoding.name()));
        }
        if let Some(metadata) = start.metadata {
            add_metadata(&mut headers, metadata)?;
        }
        let timeout =
            start.timeout.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let uri = Uri::builder()
            .scheme(if shared.tls.is_some() { "https" } else { "http" })
            .authority(AUTHORITY)
            .path_and_query(PathAndQuery::try_from(start.method).map_err(invalid_method)?)
            .build()
            .map_err(invalid_method)?;
        let mut call_request = Request::new(());
        *call_request.method_mut() = Method::POST;
        *call_request.uri_mut() = uri;
        *call_request.version_mut() = http::Version::HTTP_2;
        *call_request.headers_mut() = headers;
        let message = match request {
            None => Ok(None),
            Some((message, compress)) => {
                let encoding = if compress { start.encoding } else { Encoding::Identity };
                py.detach(|| Outgoing::new(message, encoding, shared.most_sent)).map(Some)
            }
        };
        let (link, mut sender, counted) = shared.connection().map_err(|error| os_error(&error))?;
        if let Some(timeout) = timeout {
            // To connect took some of the time. With more than is left, the server would take the end for a cancellation.
            let left = deadline.map_or(timeout, |at| at.saturating_duration_since(Instant::now()));
            call_request.headers_mut().insert("grpc-timeout", format_timeout(left));
        }
        let mut state = State { counted: Some(counted), ..State::default() };
        match message {
            Err(status) => state.end = Some(status),
            Ok(message) => match sender.send_request(call_request, false) {
                Ok((response, mut send)) => {
                    if let Some(message) = message {
                        let _ = send.send_data(message, true);
                    }
                    state.response = Some(response);
                    state.send = Some(send);
                    if !link.is_settled() {
                        state.early = Some(sender);
                    }
                }
                Err(error) => {
                    // Without a greeting, the program that accepted the connection may not speak HTTP/2.
                    let is_broken = (error.is_io() || error.is_go_away()) && !link.is_greeted();
                    let seen = if is_broken { Seen::NoServer } else { Seen::No };
                    let status = Status { seen, ..Status::from_h2(&error) };
                    state.end = Some(shared.explained(&link, status));
                }
            },
        }
        let is_early = state.early.is_some();
        let core = Arc::new(Core {
            shared: Arc::clone(shared),
            link,
            state: Mutex::new(state),
            deadline,
            encoding: start.encoding,
            timer: Mutex::default(),
            waiting: Arc::default(),
            reads_ahead: start.reads_ahead,
        });
        if core.reads_ahead {
            lock(&shared.news).push(Arc::clone(&core));
        }
        if is_early {
            lock(&shared.early).push(Arc::downgrade(&core));
        }
        Ok(ClientCall(core))
    }
}

fn invalid_method(_: impl std::error::Error) -> PyErr {
    pyo3::exceptions::PyValueError::new_err("invalid method name: use /package.Service/Method")
}

fn encoding_of(name: &str) -> PyResult<Encoding> {
    Encoding::parse(name).ok_or_else(|| pyo3::exceptions::PyValueError::new_err(unknown_compression(name)))
}

fn os_error(error: &io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(code) => PyOSError::new_err((code, error.to_string())),
        None => PyOSError::new_err(error.to_string()),
    }
}
