//! A channel to a server on a Unix domain socket.
//!
//! It is hyper-util's client, which tonic's stubs take as well as tonic's own channel: that one hands a call to a
//! connection that is just being closed, and the call fails as CANCELLED, "operation was canceled". hyper-util gets a
//! call back that has not been sent, and sends it on the next connection (`retry_canceled_requests`). So a server may
//! stop, or limit the age of its connections as all on C-core here do, and no call is lost.
//!
//! A call whose connection breaks ends as UNAVAILABLE, as grpc/grpc doc/statuscodes.md has it; tonic would say UNKNOWN
//! or CANCELLED.

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

use crate::{AddressError, DeadlineLayer, SocketAddress};

/// From one attempt to the next: a server on the same machine is there at once or not yet, so no backoff is needed.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// What tonic's stubs take, as in `EchoServiceClient::new(channel)`. Clones share its connection.
pub type Channel = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// Returns a channel to the server at a path. It dials with the first call, and again with the first call after a
/// connection was lost.
///
/// A call waits for a server that starts later, until the time of [`tonic::Request::set_timeout`] is over, or else for
/// ever. It sends `localhost` as `:authority`.
///
/// # Errors
///
/// [`AddressError`] if the path is invalid.
pub fn dial(path: impl AsRef<Path>) -> Result<Channel, AddressError> {
    dial_with(path, &Client::builder(TokioExecutor::new()))
}

/// Does what [`dial`] does, with the settings of a client of your own, such as larger windows.
///
/// # Errors
///
/// [`AddressError`] if the path is invalid.
pub fn dial_with(path: impl AsRef<Path>, client: &Builder) -> Result<Channel, AddressError> {
    let address = SocketAddress::new(path)?;
    let connector = service_fn(move |_: Uri| connect(address.clone()));
    let client = client.clone().http2_only(true).build(BoxCloneSyncService::new(connector));
    let service = service_fn(move |mut request: Request<Body>| {
        let client = client.clone();
        async move {
            // tonic's own `unix:` endpoints send `tonic`; `localhost` is what every server takes.
            let mut uri = mem::take(request.uri_mut()).into_parts();
            uri.scheme = Some(Scheme::HTTP);
            uri.authority = Some(Authority::from_static("localhost"));
            *request.uri_mut() = Uri::from_parts(uri).map_err(|error| Status::internal(error.to_string()))?;
            Ok(client.request(request).await.map_err(status)?.map(|body| Body::new(body.map_err(status))))
        }
    });
    Ok(BoxCloneSyncService::new(DeadlineLayer.layer(service)))
}

/// What a call ends with: what the peer or this client said of it, or else UNAVAILABLE, as its connection broke.
fn status(error: impl Error + Send + Sync + 'static) -> Status {
    let mut cause: &(dyn Error + 'static) = &error;
    loop {
        if cause.is::<Status>() || cause.downcast_ref::<h2::Error>().is_some_and(|frame| frame.reason().is_some()) {
            return Status::from_error(Box::new(error));
        }
        let Some(source) = cause.source() else { break };
        cause = source;
    }
    let mut status = Status::unavailable(format!("the connection broke: {cause}"));
    status.set_source(Arc::new(error));
    status
}

/// Connects, and waits for as long as nobody listens; the deadline of a call ends it.
///
/// This is the *wait for ready* that tonic does not have: a call that meets no server would fail at once, and a
/// restart would lose it. What waiting can't cure, such as a lack of permission, fails at once all the same.
async fn connect(address: SocketAddress) -> io::Result<TokioIo<UnixStream>> {
    loop {
        match UnixStream::connect(address.path()).await {
            Ok(stream) => return Ok(TokioIo::new(stream)),
            Err(error) if is_passing(error.kind()) => sleep(RECONNECT_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

fn is_passing(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::NotFound // no server yet
            | io::ErrorKind::ConnectionRefused // a killed one has left its file
            | io::ErrorKind::WouldBlock // its queue is full: a nonblocking connect(2) to a Unix socket never waits
    )
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };
    use tonic::Code;
    use tower::ServiceExt;

    use super::*;

    /// An empty SETTINGS frame, and HEADERS of the first stream that say only `:status: 200` (RFC 7541, appendix A).
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const HEADERS: &[u8] = &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];

    async fn call(said: &'static [u8]) -> Status {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(said).await.unwrap();
            while stream.read(&mut [0; 1024]).await.unwrap() < 1024 {} // the call has come with its large message
        });
        let request = Request::post("/a.Service/Call").body(Body::new("a".repeat(4096))).unwrap();
        match dial(path).unwrap().oneshot(request).await {
            Ok(response) => response.into_body().collect().await.unwrap_err(),
            Err(status) => status,
        }
    }

    #[tokio::test]
    async fn a_call_whose_connection_breaks_is_unavailable() {
        for said in [SETTINGS.to_vec(), [SETTINGS, HEADERS].concat()] {
            let status = call(said.leak()).await;
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            assert!(status.message().starts_with("the connection broke: "), "{status:?}");
        }
    }

    #[tokio::test]
    async fn a_call_that_its_server_resets_is_not() {
        let refused = [SETTINGS, &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]].concat(); // RST_STREAM, CANCEL
        assert_eq!(call(refused.leak()).await.code(), Code::Cancelled);
    }
}
