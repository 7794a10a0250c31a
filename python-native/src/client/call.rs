//! A call of a client.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, header};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::{ClientRole, Shared};
use crate::link::Link;
use crate::message::{Encoding, Incoming, Outgoing, encoding_in};
use crate::python::blocking;
use crate::reactor::{Expire, Timer, Wakers, lock};
use crate::status::{Code, Seen, Status, message_of, to_metadata};

#[derive(Default)]
pub(super) struct State {
    pub(super) response: Option<ResponseFuture>,
    pub(super) send: Option<SendStream<Outgoing>>,
    pub(super) incoming: Option<Incoming>,
    /// A message that was read to check whether the call has ended.
    pub(super) ahead: Option<Bytes>,
    pub(super) initial: Option<HeaderMap>,
    pub(super) end: Option<Status>,
    /// The sender of a call that started before the server sent its limit. It tells whether the stream has opened.
    pub(super) early: Option<SendRequest<Outgoing>>,
    /// Counts the call on its connection until it has ended.
    pub(super) counted: Option<Arc<()>>,
}

/// A call. The threads that wait for it and the timer of its deadline share it.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) link: Arc<Link<ClientRole>>,
    pub(super) state: Mutex<State>,
    pub(super) deadline: Option<Instant>,
    pub(super) encoding: Encoding,
    pub(super) timer: Mutex<Option<Timer>>,
    pub(super) waiting: Arc<Wakers>,
    /// The call has one response. It is read when it arrives, so that it does not delay other calls.
    pub(super) reads_ahead: bool,
}

/// The waker of a call for h2.
struct News(Weak<Core>);

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(core) = self.0.upgrade() {
            core.waiting.wake_all();
            if core.reads_ahead {
                // Read the response later, because h2 holds its lock now.
                let news = Arc::clone(&core.shared.news);
                lock(&news).push(core);
            }
        }
    }
}

impl Core {
    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::new(News(Arc::downgrade(self))))
    }

    fn poll_initial(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        if state.end.is_some() || state.initial.is_some() {
            return Poll::Ready(());
        }
        let Some(response) = state.response.as_mut() else { return Poll::Ready(()) };
        let result = ready!(std::future::Future::poll(Pin::new(response), cx));
        state.response = None;
        match result {
            Err(error) => {
                let mut status = self.failure(&error);
                if status.code == Code::Unavailable as i32 && !error.is_reset() && !self.link.is_greeted() {
                    status.seen = Seen::NoServer;
                }
                state.end = Some(self.shared.explained(&self.link, status));
            }
            Ok(response) => {
                let (head, body) = response.into_parts();
                let is_grpc = head
                    .headers
                    .get(header::CONTENT_TYPE)
                    .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
                if head.status != http::StatusCode::OK {
                    state.end = Some(Status::from_http(head.status));
                } else if body.is_end_stream() && head.headers.contains_key("grpc-status") {
                    state.end = Some(Status::from_trailers(head.headers));
                } else if !is_grpc {
                    state.end = Some(Status::new(Code::Unknown, "the server answered without gRPC"));
                } else {
                    match encoding_in(&head.headers) {
                        Err(status) => state.end = Some(status),
                        Ok(encoding) => {
                            state.incoming = Some(Incoming::new(
                                body,
                                self.shared.decompresses.then_some(encoding),
                                self.shared.most_received,
                            ));
                            state.initial = Some(head.headers);
                        }
                    }
                }
            }
        }
        if state.end.is_some() {
            state.counted = None;
        }
        Poll::Ready(())
    }

    /// Ends a call that started before the server sent its limit, if the limit keeps its stream from opening. The caller
    /// then retries it on another connection.
    fn retract(self: &Arc<Self>, state: &mut State) {
        if state.early.is_none() || !self.link.is_settled() {
            return;
        }
        let waker = self.waker();
        let is_open = state.early.take().is_none_or(|mut sender| {
            let polled = sender.poll_ready(&mut Context::from_waker(&waker));
            polled.is_ready()
        });
        if !is_open {
            let status = Status::new(Code::Unavailable, "the server allows no further stream on this connection");
            self.end(state, Status { seen: Seen::No, ..status });
        }
    }

    /// Returns the status of a call whose connection or stream failed.
    fn failure(&self, error: &h2::Error) -> Status {
        if self.shared.closed.load(Ordering::SeqCst) { channel_closed() } else { Status::from_h2(error) }
    }

    /// Ready when the metadata of the server have arrived or the call has ended.
    fn poll_initial_alone(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.waiting.add(cx);
        let waker = self.waker();
        let mut state = lock(&self.state);
        self.retract(&mut state);
        self.poll_initial(&mut state, &mut Context::from_waker(&waker))
    }

    /// Returns the next message, or None if the call has ended.
    fn poll_message(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.waiting.add(cx);
        let waker = self.waker();
        let cx = &mut Context::from_waker(&waker);
        let mut state = lock(&self.state);
        self.retract(&mut state);
        self.poll_next(&mut state, cx)
    }

    fn poll_next(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        ready!(self.poll_initial(state, cx));
        if state.end.is_some() {
            return Poll::Ready(None);
        }
        if let Some(message) = state.ahead.take() {
            return Poll::Ready(Some(message));
        }
        let Some(incoming) = state.incoming.as_mut() else { return Poll::Ready(None) };
        let status = match ready!(incoming.poll_message(cx)) {
            Ok(Some(message)) => return Poll::Ready(Some(message)),
            Ok(None) => match ready!(incoming.stream.poll_trailers(cx)) {
                Ok(trailers) => Status::from_trailers(trailers.unwrap_or_default()),
                Err(error) => self.failure(&error),
            },
            Err(_) if self.shared.closed.load(Ordering::SeqCst) => channel_closed(),
            Err(status) => status,
        };
        self.end(state, status);
        Poll::Ready(None)
    }

    /// Returns the only message of a call after the call has ended.
    ///
    /// `retries` means that the caller retries the call if no server has seen it.
    pub(super) fn poll_unary(self: &Arc<Self>, cx: &mut Context<'_>, retries: bool) -> Poll<Option<Bytes>> {
        self.waiting.add(cx);
        let waker = self.waker();
        let cx = &mut Context::from_waker(&waker);
        // Hold the lock for all steps, because the thread that drives the connection may read the same call.
        let mut state = lock(&self.state);
        let state = &mut *state;
        if retries {
            self.retract(state);
        }
        loop {
            let Some(message) = ready!(self.poll_next(state, cx)) else {
                return Poll::Ready(state.incoming.as_ref().and_then(|incoming| incoming.kept.clone()));
            };
            let first = state.incoming.as_mut().and_then(|incoming| incoming.kept.replace(message));
            if first.is_some() {
                self.end(state, Status::new(Code::Unimplemented, "the server sent more than one message"));
            }
        }
    }

    /// Ready when the call has ended. A call ends only after its messages have been read.
    fn poll_end(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.waiting.add(cx);
        let waker = self.waker();
        let mut state = lock(&self.state);
        self.retract(&mut state);
        if state.ahead.is_none() {
            match self.poll_next(&mut state, &mut Context::from_waker(&waker)) {
                Poll::Ready(Some(message)) => state.ahead = Some(message),
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        if state.end.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Sends a message after the previous one has been sent. Returns false if the call has ended.
    fn poll_send(self: &Arc<Self>, cx: &mut Context<'_>, message: &mut Option<Outgoing>, last: bool) -> Poll<bool> {
        self.waiting.add(cx);
        let waker = self.waker();
        let cx = &mut Context::from_waker(&waker);
        let mut state = lock(&self.state);
        self.retract(&mut state);
        let state = &mut *state;
        if state.end.is_some() {
            return Poll::Ready(false);
        }
        let Some(send) = state.send.as_mut() else { return Poll::Ready(false) };
        if send.capacity() == 0 {
            send.reserve_capacity(1);
            match send.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) if send.capacity() > 0 => {}
                Poll::Ready(Some(Ok(_))) | Poll::Pending => return Poll::Pending,
                // The response returns the reason.
                Poll::Ready(_) => return Poll::Ready(false),
            }
        }
        let message = message.take().expect("a message is sent once");
        Poll::Ready(send.send_data(message, last).is_ok())
    }

    fn end(&self, state: &mut State, status: Status) {
        if state.end.is_some() {
            return;
        }
        state.end = Some(status);
        state.counted = None;
        if let Some(send) = state.send.as_mut() {
            // Discard the data that the server has not received yet. This does not reset a stream that has ended.
            send.send_reset(Reason::CANCEL);
        }
        self.waiting.wake_all();
        if let Some(timer) = lock(&self.timer).take() {
            self.shared.reactor.cancel_timer(timer);
        }
    }

    /// Returns the earlier of the deadline and `timeout` seconds from now.
    fn until(&self, timeout: Option<f64>) -> Option<Instant> {
        let limit = timeout.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds.max(0.0)));
        match (limit, self.deadline) {
            (Some(limit), Some(deadline)) => Some(limit.min(deadline)),
            (limit, deadline) => limit.or(deadline),
        }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    fn end_with(&self, status: Status) {
        self.end(&mut lock(&self.state), status);
        self.link.flush();
    }
}

impl Expire for Core {
    fn expire(self: Arc<Self>) {
        self.end_with(deadline_exceeded());
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.end.is_none() {
            if let Some(send) = state.send.as_mut() {
                send.send_reset(Reason::CANCEL);
            }
        }
        state.send = None;
        state.incoming = None;
        state.response = None;
        self.link.flush();
    }
}

fn channel_closed() -> Status {
    Status::new(Code::Cancelled, "Channel closed!")
}

fn deadline_exceeded() -> Status {
    Status::new(Code::DeadlineExceeded, "Deadline Exceeded")
}

/// A call.
#[pyclass(frozen, module = "samehost_native._engine")]
pub struct ClientCall(pub(super) Arc<Core>);

#[pymethods]
impl ClientCall {
    /// Ends the call at its deadline, even if no thread waits for it.
    fn watch_deadline(&self) {
        if let Some(deadline) = self.0.deadline {
            let weak: Weak<dyn Expire> = Arc::downgrade(&self.0) as Weak<dyn Expire>;
            let timer = self.0.shared.reactor.set_timer(deadline, weak);
            *lock(&self.0.timer) = Some(timer);
        }
    }

    /// Waits for the next message. Returns None if the call has ended.
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let core = &self.0;
        let message =
            blocking(py, &core.shared.reactor, core.deadline, || core.link.flush(), |cx| core.poll_message(cx))?;
        let Some(message) = message else {
            core.end_with(deadline_exceeded());
            return Ok(None);
        };
        Ok(message.map(|message| PyBytes::new(py, &message)))
    }

    /// Returns the next message, or False if the call has ended. Otherwise returns None, and resolves the future later.
    fn receive_nowait<'py>(&self, py: Python<'py>, future: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let core = &self.0;
        let waker = core.shared.futures.waker(future);
        let polled = core.poll_message(&mut Context::from_waker(&waker));
        core.link.flush();
        Ok(match polled {
            Poll::Pending => None,
            Poll::Ready(None) => Some(false.into_pyobject(py)?.to_owned().into_any()),
            Poll::Ready(Some(message)) => Some(PyBytes::new(py, &message).into_any()),
        })
    }

    /// Waits for space and sends a message. Returns False if the call has ended.
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyBytes>, compress: bool, last: bool) -> PyResult<bool> {
        let core = &self.0;
        let Some(mut outgoing) = self.outgoing(py, message, compress) else { return Ok(false) };
        let sent = blocking(
            py,
            &core.shared.reactor,
            core.deadline,
            || core.link.flush(),
            |cx| core.poll_send(cx, &mut outgoing, last),
        )?;
        py.detach(|| core.link.flush());
        Ok(sent.unwrap_or(false))
    }

    /// Sends a message and returns True, or False if the call has ended. Returns None if there is no space, and
    /// resolves the future later.
    fn send_nowait(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyBytes>,
        compress: bool,
        last: bool,
        future: &Bound<'_, PyAny>,
    ) -> Option<bool> {
        let core = &self.0;
        let Some(mut outgoing) = self.outgoing(py, message, compress) else { return Some(false) };
        let waker = core.shared.futures.waker(future);
        let polled = core.poll_send(&mut Context::from_waker(&waker), &mut outgoing, last);
        core.link.flush();
        match polled {
            Poll::Pending => None,
            Poll::Ready(sent) => Some(sent),
        }
    }

    /// Ends the stream of requests.
    fn half_close(&self) {
        if let Some(send) = lock(&self.0.state).send.as_mut() {
            let _ = send.send_data(Outgoing::nothing(), true);
        }
        self.0.link.flush();
    }

    /// Waits until the metadata of the server have arrived or the call has ended.
    fn wait_initial(&self, py: Python<'_>) -> PyResult<()> {
        let core = &self.0;
        let done =
            blocking(py, &core.shared.reactor, core.deadline, || core.link.flush(), |cx| core.poll_initial_alone(cx))?;
        if done.is_none() {
            core.end_with(deadline_exceeded());
        }
        Ok(())
    }

    /// Returns whether the metadata of the server have arrived or the call has ended. If not, resolves the future
    /// later.
    fn initial_nowait(&self, future: &Bound<'_, PyAny>) -> bool {
        let core = &self.0;
        let waker = core.shared.futures.waker(future);
        core.poll_initial_alone(&mut Context::from_waker(&waker)).is_ready()
    }

    /// Waits until the call has ended.
    fn wait_end(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let core = &self.0;
        let until = core.until(timeout);
        let done = blocking(py, &core.shared.reactor, until, || core.link.flush(), |cx| core.poll_end(cx))?;
        if done.is_none() && core.is_late() {
            core.end_with(deadline_exceeded());
            return Ok(true);
        }
        Ok(done.is_some())
    }

    /// Resolves the future when the call has ended.
    fn end_nowait(&self, future: &Bound<'_, PyAny>) {
        let waker = self.0.shared.futures.waker(future);
        let _ = self.0.poll_end(&mut Context::from_waker(&waker));
    }

    /// Returns the same as `unary` if the call has ended. Otherwise returns None, and resolves the future later.
    fn unary_nowait<'py>(&self, py: Python<'py>, future: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let core = &self.0;
        let waker = core.shared.futures.waker(future);
        match core.poll_unary(&mut Context::from_waker(&waker), true) {
            Poll::Pending => Ok(None),
            Poll::Ready(message) => self.outcome(py, message).map(Some),
        }
    }

    /// Waits until the call has ended and returns the same as `unary`. Returns None after `timeout` seconds.
    fn unary_result<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let core = &self.0;
        let until = core.until(timeout);
        let message = blocking(py, &core.shared.reactor, until, || core.link.flush(), |cx| core.poll_unary(cx, true))?;
        if message.is_none() && !core.is_late() {
            return Ok(None);
        }
        self.outcome(py, message.flatten()).map(Some)
    }

    /// Returns the metadata of the server, which are empty before they arrive.
    fn initial_metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let state = lock(&self.0.state);
        let none = HeaderMap::new();
        Ok(to_metadata(py, state.initial.as_ref().unwrap_or(&none))?.into_pyobject(py)?.into_any())
    }

    /// Returns (code, details, trailing metadata, seen) if the call has ended, else None.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let state = lock(&self.0.state);
        let Some(status) = &state.end else { return Ok(None) };
        let trailers = to_metadata(py, &status.trailers)?;
        Ok(Some((status.code, &status.details, trailers, status.seen as u8).into_pyobject(py)?))
    }

    /// Ends the call with a status. Returns whether the call was still running.
    fn cancel(&self, code: i32, details: String) -> bool {
        let was_open = lock(&self.0.state).end.is_none();
        self.0.end_with(Status { code, ..Status::new(Code::Cancelled, details) });
        was_open
    }

    /// Returns the seconds until the deadline, or None without a deadline.
    fn time_remaining(&self) -> Option<f64> {
        self.0.deadline.map(|at| at.saturating_duration_since(Instant::now()).as_secs_f64())
    }
}

impl ClientCall {
    fn outgoing(&self, py: Python<'_>, message: &Bound<'_, PyBytes>, compress: bool) -> Option<Option<Outgoing>> {
        let core = &self.0;
        let encoding = if compress { core.encoding } else { Encoding::Identity };
        let message = message_of(message);
        match py.detach(|| Outgoing::new(message, encoding, core.shared.most_sent)) {
            Ok(outgoing) => Some(Some(outgoing)),
            Err(status) => {
                core.end_with(status);
                None
            }
        }
    }

    pub(super) fn outcome<'py>(&self, py: Python<'py>, message: Option<Bytes>) -> PyResult<Bound<'py, PyTuple>> {
        let core = &self.0;
        let mut state = lock(&core.state);
        if state.end.is_none() {
            core.end(&mut state, deadline_exceeded());
        }
        let status = state.end.as_ref().expect("the status was set above");
        let message = message.filter(|_| status.code == 0).map(|message| PyBytes::new(py, &message));
        let none = HeaderMap::new();
        let initial = to_metadata(py, state.initial.as_ref().unwrap_or(&none))?;
        let trailing = to_metadata(py, &status.trailers)?;
        let result = (status.code, &status.details, message, initial, trailing, status.seen as u8).into_pyobject(py)?;
        drop(state);
        core.link.flush();
        Ok(result)
    }
}
