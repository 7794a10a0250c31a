//! Accepts connections until the server stops, and stops it without losing a call.

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

/// The pause after a failed accept(2). It fails at once for as long as the process has no file descriptor left, and
/// tonic retries without a pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have to move to another server before hyper ends their connections. They need milliseconds.
const MOVE_TIME: Duration = Duration::from_millis(500);

impl Listener {
    /// Returns a stream of connections, which ends when the listener is drained or dropped.
    ///
    /// Pass it to `serve_with_incoming_shutdown` of tonic together with [`std::future::pending`] as the signal. The
    /// server ends when the stream ends. Without a signal it would not wait for its calls. For hyper, wrap each
    /// connection in a `TokioIo`.
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
            // Clients in the backlog may have sent their calls already, so accept them too. No new ones can arrive,
            // because the path is removed or belongs to a successor. Call accept(2) directly, because tokio learns of a
            // connection later than the system.
            let Ok(listener) = listener.as_fd().try_clone_to_owned().map(net::UnixListener::from) else { return };
            while let Ok((stream, _)) = listener.accept() {
                yield stream
                    .set_nonblocking(true)
                    .and_then(|()| UnixStream::from_std(stream))
                    .map(|stream| Connection::new(stream, &stopping, open.clone()));
            }
            drop(open);
            // When the stream ends, tonic ends the connections that are still open.
            let _ = timeout(MOVE_TIME, all_closed.recv()).await;
        }
    }

    /// Stops the server without losing a call. It removes the path, so that a successor can start, tells clients to
    /// leave their connections, and waits up to `grace` for `server`, a task that serves [`incoming`](Self::incoming).
    ///
    /// # Errors
    ///
    /// [`Elapsed`]: calls still run after `grace`. They fail when the process exits.
    pub async fn drain<T>(self, server: impl Future<Output = T>, grace: Duration) -> Result<T, Elapsed> {
        drop(self);
        timeout(grace, server).await
    }
}
