//! A call of a server.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::net::sockopt::socket_peercred;

use super::{ServerRole, Shared};
use crate::link::Link;
use crate::message::{Encoding, Incoming, Outgoing, encoding_in};
use crate::python::blocking;
use crate::reactor::{Expire, Timer, Wakers, lock};
use crate::status::{Code, Status, add_metadata, message_of, parse_timeout, to_metadata};
use crate::tls;

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
    pub(super) fn accept(
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
    pub(super) fn look(self: &Arc<Self>) {
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

/// A call, for its handler.
#[pyclass(frozen, module = "samehost_native._engine")]
pub struct ServerCall(pub(super) Arc<Core>);

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
