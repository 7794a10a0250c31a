//! A connection of a server that loses no call when it ends. Hyper's graceful shutdown loses calls in two ways.
//!
//! Hyper sends GOAWAY and a PING. It ignores streams that arrive after the answer to the PING, and h2 ends the whole
//! connection with a protocol error at a `WINDOW_UPDATE` for one of them. C-core (grpcio, grpc++, Ruby) answers the
//! PING before it writes the calls that are in its queue. So `Connection` sends GOAWAY before hyper does, and the queue
//! of the client is empty when the PING arrives.
//!
//! Hyper also closes the connection as soon as it has written its last answer, before the client has read it. When a
//! client then writes to the closed socket, the write fails, and C-core and others drop the data that they have not
//! read. So `Connection` waits until the client closes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    sync::mpsc,
    time::{Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, UdsConnectInfo};

use crate::authority::AuthorityFilter;

/// How long a client has to close a connection after the server has sent its last frame.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// The first of the two GOAWAY frames of RFC 9113, section 6.8: `NO_ERROR` with the highest possible stream, so that
/// the client opens no new stream and none is refused. Hyper may send the same frame again.
const GO_AWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// A connection of [`Listener::incoming`](crate::Listener::incoming).
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    authority: AuthorityFilter,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    output: Output,
    closing: Option<Pin<Box<Sleep>>>,
    /// The receiver of this channel ends when all connections are closed.
    _open: mpsc::Sender<()>,
}

/// What has been written. GOAWAY must come after the first frame of h2 and between frames. h2 flushes only after whole
/// frames.
#[derive(Debug, PartialEq, Eq)]
enum Output {
    Nothing,
    PartOfAFrame,
    WholeFrames,
    GoAway,
}

impl Connection {
    pub(crate) fn new(stream: UnixStream, stopping: &CancellationToken, open: mpsc::Sender<()>) -> Self {
        let stopping = Box::pin(stopping.clone().cancelled_owned());
        let authority = AuthorityFilter::new();
        Self { stream, authority, stopping, output: Output::Nothing, closing: None, _open: open }
    }

    /// Sends GOAWAY once, when the server stops and no frame is half written.
    fn poll_go_away(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.output == Output::WholeFrames
            && self.stopping.as_mut().poll(context).is_ready()
            && let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(context, &GO_AWAY)
        {
            // Linux writes this few bytes to a Unix socket either completely or not at all.
            if written? < GO_AWAY.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.output = Output::GoAway;
        }
        Ok(())
    }

    fn wrote(&mut self) {
        if self.output != Output::GoAway {
            self.output = Output::PartOfAFrame;
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_go_away(context)?; // in poll_read, because h2 always waits for the next frame
        let old = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        self.authority.filter(&mut into.filled_mut()[old..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.wrote();
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wrote();
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if self.output == Output::PartOfAFrame {
            self.output = Output::WholeFrames;
        }
        self.poll_go_away(context)?;
        Poll::Ready(Ok(()))
    }

    /// Shuts down the writing side, and then discards input until the client closes or `CLOSE_TIME` has passed.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let closing = this.closing.get_or_insert_with(|| Box::pin(sleep(CLOSE_TIME)));
        let mut ignored = [0; 4096];
        while closing.as_mut().poll(context).is_pending() {
            let mut into = ReadBuf::new(&mut ignored);
            match ready!(Pin::new(&mut this.stream).poll_read(context, &mut into)) {
                Ok(()) if !into.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Connected for Connection {
    type ConnectInfo = UdsConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        join,
    };

    use super::*;

    fn connected(stopping: &CancellationToken) -> (Connection, UnixStream) {
        let (server, client) = UnixStream::pair().unwrap();
        (Connection::new(server, stopping, mpsc::channel(1).0), client)
    }

    #[tokio::test]
    async fn sends_go_away_once_and_only_after_a_whole_frame() {
        let stopping = CancellationToken::new();
        let (mut server, mut client) = connected(&stopping);
        server.write_all(b"fra").await.unwrap();
        stopping.cancel();
        server.write_all(b"me").await.unwrap();
        server.flush().await.unwrap();
        server.write_all(b"frame").await.unwrap();
        server.flush().await.unwrap();
        drop(server);
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, [b"frame", &GO_AWAY[..], b"frame"].concat());
    }

    #[tokio::test]
    async fn sends_go_away_while_it_waits_for_a_frame() {
        let stopping = CancellationToken::new();
        let (mut server, mut client) = connected(&stopping);
        server.write_all(b"frame").await.unwrap();
        server.flush().await.unwrap();
        let client = async {
            client.read_exact(&mut [0; 5]).await.unwrap();
            stopping.cancel();
            let mut received = [0; GO_AWAY.len()];
            client.read_exact(&mut received).await.unwrap();
            drop(client);
            received
        };
        let (read, received) = join!(server.read_u8(), client);
        assert_eq!(received, GO_AWAY);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn closes_after_its_client() {
        let (mut server, mut client) = connected(&CancellationToken::new());
        let client = async {
            assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
            client.write_all(b"a last frame that is discarded").await.unwrap();
            drop(client);
        };
        let (closed, ()) = join!(server.shutdown(), client);
        closed.unwrap();
    }
}
