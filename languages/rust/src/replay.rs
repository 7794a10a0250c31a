//! Sends a call again that its server has not seen.
//!
//! A server that ends a connection reports which calls it has not seen (RFC 9113, 6.8). They are safe to send again, and
//! gRPC's libraries do so (gRFC A6). hyper-util does so only for a call that it has not begun to send.

use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use h2::Reason;
use hyper::body::{Bytes, Frame};
use tonic::{Status, body::Body};

/// How often a call is sent again. A slow client may meet several connections that end.
pub const MAX_REPLAYS: usize = 10;

/// How much of a call is kept to send it again: twice the longest message.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// The body of a call that can be sent again.
pub struct Replay(Arc<Mutex<State>>);

struct State {
    /// What has been sent, or `None` if it cannot be sent again.
    sent: Option<Vec<Bytes>>,
    sent_bytes: usize,
    rest: Body,
    attempts: usize,
}

impl Replay {
    pub fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(State { sent: Some(Vec::new()), sent_bytes: 0, rest: body, attempts: 0 })))
    }

    /// Returns the body from its start, for the next attempt. The bodies of earlier attempts end.
    pub fn attempt(&self) -> Body {
        let mut state = lock(&self.0);
        state.attempts += 1;
        let number = state.attempts;
        drop(state); // because Body looks at the attempt
        Body::new(Attempt { state: self.0.clone(), number, next: 0 })
    }

    pub fn is_possible(&self) -> bool {
        lock(&self.0).sent.is_some()
    }

    /// Keeps no more of the call, because its server has seen it.
    pub fn end(&self) {
        lock(&self.0).sent = None;
    }
}

struct Attempt {
    state: Arc<Mutex<State>>,
    number: usize,
    /// The index in `sent` of the next data.
    next: usize,
}

impl hyper::body::Body for Attempt {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let state = &mut *lock(&this.state);
        if this.number < state.attempts {
            return Poll::Ready(None); // a later attempt waits for the rest of the body
        }
        if let Some(data) = state.sent.as_ref().and_then(|sent| sent.get(this.next)) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if state.rest.is_end_stream() {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut state.rest).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            this.next += 1;
            state.sent_bytes += data.len();
            if state.sent_bytes > KEPT_BYTES {
                state.sent = None;
            }
            if let Some(sent) = &mut state.sent {
                sent.push(data.clone());
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.state);
        state.rest.is_end_stream() && state.sent.as_ref().is_none_or(|sent| sent.len() <= self.next)
    }
}

/// Returns whether a call failed that its server has not seen: hyper has not sent it, or the server has refused it.
pub fn is_unseen(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        // h2 reports GOAWAY only to calls that are newer than the last one that the server has seen.
        let is_leaving = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
        return error.is_remote() && (is_leaving || error.reason() == Some(Reason::REFUSED_STREAM));
    }
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) || error.source().is_some_and(is_unseen)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
