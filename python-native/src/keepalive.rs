//! Pings on idle connections, to notice a peer that does not answer (gRFC A8).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

use crate::io::Readiness;

/// The options `grpc.keepalive_*`: when to ping, how long the peer may take to answer, and whether to ping without
/// calls.
#[derive(Clone, Copy)]
pub struct Settings {
    pub time: Duration,
    pub timeout: Duration,
    pub without_calls: bool,
}

impl Settings {
    /// Returns the settings from seconds.
    pub fn new((time, timeout, without_calls): (f64, f64, bool)) -> Self {
        Self { time: Duration::from_secs_f64(time), timeout: Duration::from_secs_f64(timeout), without_calls }
    }
}

/// What happens when the timer of a connection expires.
#[derive(Debug, PartialEq, Eq)]
pub enum Expired {
    Close,
    /// Set the timer again.
    Until(Instant),
    Nothing,
}

/// The pings of one connection.
pub struct Keepalive {
    settings: Settings,
    readiness: Arc<Readiness>,
    /// When the answer to the last ping has to arrive.
    until: Option<Instant>,
}

impl Keepalive {
    pub fn new(settings: Settings, readiness: Arc<Readiness>) -> Self {
        Self { settings, readiness, until: None }
    }

    /// Returns when the first timer expires.
    pub fn first(&self) -> Instant {
        Instant::now() + self.settings.time
    }

    /// Sends a ping if nothing has arrived since the last timer. Any bytes are an answer.
    pub fn expire(&mut self, pings: &mut PingPong, has_calls: bool) -> Expired {
        let now = Instant::now();
        if self.readiness.active.swap(false, Ordering::Relaxed) {
            self.until = None;
        } else if let Some(until) = self.until {
            if now < until {
                return Expired::Until(until);
            }
            let cause = format!("the peer sent nothing within {:?} after a ping", self.settings.timeout);
            let _ = self.readiness.failure.set(cause);
            return Expired::Close;
        } else if has_calls || self.settings.without_calls {
            // h2 sends the next ping after the answer to the last one was taken.
            let _ = pings.poll_pong(&mut Context::from_waker(Waker::noop()));
            if pings.send_ping(Ping::opaque()).is_ok() {
                self.until = Some(now + self.settings.timeout);
                return Expired::Until(now + self.settings.time.min(self.settings.timeout));
            }
        }
        Expired::Until(now + self.settings.time)
    }
}
