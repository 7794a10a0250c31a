//! A channel to a server on a Unix domain socket.
//!
//! The channel is a client of hyper-util, which stubs of tonic accept in place of a channel of tonic. A channel of
//! tonic loses calls: when it gives a call to a connection that is closing, the call fails with CANCELLED, "operation
//! was canceled". hyper-util sends such a call on the next connection (`retry_canceled_requests`). So no call is lost
//! when a server stops or limits the age of its connections, as all servers on C-core here do.
//!
//! A call whose connection breaks ends with UNAVAILABLE, as grpc/grpc doc/statuscodes.md requires. In tonic it would
//! end with UNKNOWN or CANCELLED.

use std::{error::Error, io, mem, path::Path, sync::Arc, time::Duration};

use http::{
    Request, Response, Uri,
    uri::{Authority, Scheme},
};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Builder, Client},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::UnixStream, time::sleep};
use tonic::{Status, body::Body};
use tower::{Layer, service_fn, util::BoxCloneSyncService};

use crate::{
    AddressError, DeadlineLayer, SocketAddress,
    client_stream::ClientStream,
    replay::{MAX_REPLAYS, Replay, is_unseen},
};

/// The pause between two attempts to connect. No backoff is needed, because a connection on the same machine succeeds
/// or fails at once.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The channel for a stub of tonic, as in `EchoServiceClient::new(channel)`. Clones share its connection.
pub type Channel = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// Returns a channel to the server at a path. The channel connects at the first call, and again at the first call after
/// the connection is lost.
///
/// A call waits until a server listens. It waits forever unless [`tonic::Request::set_timeout`] sets a deadline. The
/// channel sends `localhost` as `:authority`.
///
/// # Errors
///
/// [`AddressError`]: the address is invalid.
pub fn dial(path: impl AsRef<Path>) -> Result<Channel, AddressError> {
    dial_with(path, &Client::builder(TokioExecutor::new()))
}

/// Returns a channel as [`dial`] does, with the settings of `client`, such as larger windows.
///
/// # Errors
///
/// [`AddressError`]: the address is invalid.
pub fn dial_with(path: impl AsRef<Path>, client: &Builder) -> Result<Channel, AddressError> {
    let address = SocketAddress::new(path)?;
    let connector = service_fn(move |_: Uri| connect(address.clone()));
    let client = client.clone().http2_only(true).build(BoxCloneSyncService::new(connector));
    let service = service_fn(move |mut request: Request<Body>| {
        let client = client.clone();
        async move {
            // Every server accepts `localhost`. tonic's own `unix:` endpoints send `tonic`.
            let mut uri = mem::take(request.uri_mut()).into_parts();
            uri.scheme = Some(Scheme::HTTP);
            uri.authority = Some(Authority::from_static("localhost"));
            *request.uri_mut() = Uri::from_parts(uri).map_err(|error| Status::internal(error.to_string()))?;
            let (head, body) = request.into_parts();
            let replay = Replay::new(body);
            let mut replays = 0;
            loop {
                match client.request(Request::from_parts(head.clone(), replay.attempt())).await {
                    Ok(response) => {
                        replay.end();
                        return Ok(response.map(|body| Body::new(body.map_err(status))));
                    }
                    Err(error) if replays < MAX_REPLAYS && is_unseen(&error) && replay.is_possible() => replays += 1,
                    Err(error) => return Err(status(error)),
                }
            }
        }
    });
    Ok(BoxCloneSyncService::new(DeadlineLayer.layer(service)))
}

/// Returns the status of a failed call: the status or reset of either end, or else UNAVAILABLE, because the connection
/// broke.
fn status(error: impl Error + Send + Sync + 'static) -> Status {
    let mut cause: &(dyn Error + 'static) = &error;
    loop {
        if cause.is::<Status>() || cause.downcast_ref::<h2::Error>().is_some_and(|frame| frame.reason().is_some()) {
            return Status::from_error(Box::new(error));
        }
        let Some(source) = cause.source() else { break };
        cause = source;
    }
    let mut status = Status::unavailable(format!("the connection failed: {cause}"));
    status.set_source(Arc::new(error));
    status
}

/// Connects, and retries while no server listens. The deadline of a call ends the wait.
///
/// This is *wait for ready*, which tonic does not have. Without it, a call fails at once when no server listens, so
/// that calls are lost when a server restarts. Errors that do not go away, such as a missing permission, still fail at
/// once.
async fn connect(address: SocketAddress) -> io::Result<TokioIo<ClientStream>> {
    loop {
        match UnixStream::connect(address.path()).await {
            Ok(stream) => return Ok(TokioIo::new(ClientStream(stream))),
            Err(error) if is_passing(error.kind()) => sleep(RECONNECT_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

fn is_passing(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::NotFound // no server yet
            | io::ErrorKind::ConnectionRefused // a killed server left its file
            | io::ErrorKind::WouldBlock // the backlog is full: a nonblocking connect(2) to a Unix socket never waits
    )
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::body::Bytes;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };
    use tonic::Code;
    use tower::ServiceExt;

    use super::*;

    /// An empty SETTINGS frame, and HEADERS of the first stream with only `:status: 200` (RFC 7541, appendix A).
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const HEADERS: &[u8] = &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];

    /// A large message, which arrives whole.
    const MESSAGE: [u8; 4096] = [b'a'; 4096];

    /// Makes a call to a server that reads the call and sends the first answer on its first connection, the second on
    /// its second, and so on.
    async fn call(answers: Vec<Vec<u8>>) -> Result<Bytes, Status> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(SETTINGS).await.unwrap();
                let mut received = Vec::new();
                while !received.windows(MESSAGE.len()).any(|bytes| bytes == MESSAGE) {
                    assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
                }
                stream.write_all(&answer).await.unwrap();
            }
        });
        let request = Request::post("/a.Service/Call").body(Body::new(Full::from(&MESSAGE[..]))).unwrap();
        let response = dial(path).unwrap().oneshot(request).await?;
        Ok(response.into_body().collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn a_call_whose_connection_breaks_is_unavailable() {
        for answer in [Vec::new(), HEADERS.to_vec()] {
            let status = call(vec![answer]).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            assert!(status.message().starts_with("the connection failed: "), "{status:?}");
        }
    }

    #[tokio::test]
    async fn a_call_that_its_server_resets_is_cancelled() {
        let reset = vec![0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]; // RST_STREAM, CANCEL
        assert_eq!(call(vec![reset]).await.unwrap_err().code(), Code::Cancelled);
    }

    #[tokio::test]
    async fn a_call_that_its_server_has_not_seen_is_sent_again() {
        let answer = [HEADERS, &[0, 0, 2, 0, 1, 0, 0, 0, 1], b"ok"].concat(); // DATA, END_STREAM
        let goaway = vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // GOAWAY, no stream seen, NO_ERROR
        let refused = vec![0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7]; // RST_STREAM, REFUSED_STREAM
        assert_eq!(call(vec![goaway, refused, answer]).await.unwrap(), "ok");
    }

    #[tokio::test]
    async fn a_call_that_its_server_may_have_seen_is_not_sent_again() {
        let goaway = vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]; // GOAWAY, the call seen, NO_ERROR
        assert_eq!(call(vec![goaway]).await.unwrap_err().code(), Code::Unavailable);
    }
}
