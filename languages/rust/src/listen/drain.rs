//! Connections until a server stops, and its end without a lost call.

use std::{
    io,
    os::{fd::AsFd, unix::net},
    time::Duration,
};

use async_stream::stream;
use tokio::{
    net::UnixStream,
    sync::mpsc,
    time::{error::Elapsed, sleep, timeout},
};
use tokio_stream::Stream;

use super::Listener;
use crate::Connection;

/// For as long as a process has no file descriptor left, accept(2) fails at once, again and again, and tonic retries.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have to move elsewhere before hyper ends their connections. They need milliseconds.
const MOVE_TIME: Duration = Duration::from_millis(500);

impl Listener {
    /// Accepts connections until the listener is drained or dropped.
    ///
    /// Give it to tonic's `serve_with_incoming_shutdown` with a signal that never comes, [`std::future::pending`]: the
    /// server ends with the stream, and without a signal it would not wait for its calls. For hyper, put each connection
    /// into a `TokioIo`.
    pub fn incoming(&self) -> impl Stream<Item = io::Result<Connection>> + Send + use<> {
        let (listener, stopping) = (self.socket.clone(), self.stopping.clone());
        stream! {
            let (open, mut all_closed) = mpsc::channel(1);
            while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
                if accepted.is_err() {
                    sleep(ACCEPT_PAUSE).await;
                }
                yield accepted.map(|(stream, _)| Connection::new(stream, &stopping, open.clone()));
            }
            // Whoever waits to be accepted has sent its call already. No more can come, as the path is gone or a successor's;
            // and tokio learns of a connection later than the system, so it is the system that is asked.
            let Ok(listener) = listener.as_fd().try_clone_to_owned().map(net::UnixListener::from) else { return };
            while let Ok((stream, _)) = listener.accept() {
                yield stream
                    .set_nonblocking(true)
                    .and_then(|()| UnixStream::from_std(stream))
                    .map(|stream| Connection::new(stream, &stopping, open.clone()));
            }
            drop(open);
            // When the stream ends, tonic ends the connections that there still are.
            let _ = timeout(MOVE_TIME, all_closed.recv()).await;
        }
    }

    /// Stops without refusing a call that was already sent: removes the path, so that a successor may start, moves
    /// clients off their connections, and waits for `server`, a task that serves [`incoming`](Self::incoming).
    ///
    /// # Errors
    ///
    /// [`Elapsed`] if calls still run after the grace. They are cut when the process ends.
    pub async fn drain<T>(self, server: impl Future<Output = T>, grace: Duration) -> Result<T, Elapsed> {
        drop(self);
        timeout(grace, server).await
    }
}
