//! A channel to a server on a Unix domain socket. Copy this file to call one.
//!
//! It is hyper-util's client, which tonic's stubs take as well as tonic's own channel: that one hands a call to a
//! connection that is just being closed, and the call fails as CANCELLED, "operation was canceled". hyper-util gets a
//! call back that has not been sent, and sends it on the next connection (`retry_canceled_requests`). So a server may
//! stop, or limit the age of its connections as all on C-core here do, and no call is lost.

use std::{io, path::PathBuf, time::Duration};

use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::UnixStream, time::sleep};
use tonic::{body::Body, transport::Uri};
use tower::{service_fn, util::BoxCloneSyncService};

use crate::address::SocketAddress;

/// From one attempt to the next: a server on the same machine is there at once or not yet, so no backoff is needed.
pub const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

pub type Channel = Client<BoxCloneSyncService<Uri, TokioIo<UnixStream>, io::Error>, Body>;

/// Makes a channel that dials with its first call, and again with the first call after a connection was lost.
pub fn dial(address: &SocketAddress) -> Channel {
    let path = address.path().to_owned();
    let connector = service_fn(move |_: Uri| connect(path.clone()));
    Client::builder(TokioExecutor::new()).http2_only(true).build(BoxCloneSyncService::new(connector))
}

/// What a stub is made with, `Stub::with_origin(channel, origin())`: no address here, but what it sends as
/// `:authority`, and `localhost` is what every server takes. tonic's own `unix:` endpoints send `tonic`.
pub fn origin() -> Uri {
    Uri::from_static("http://localhost")
}

/// Connects, and waits for as long as nobody listens; the deadline of a call ends it.
///
/// This is the *wait for ready* that tonic does not have: a call that meets no server would fail at once, and a
/// restart would lose it. What waiting can't cure, such as a lack of permission, fails at once all the same.
async fn connect(path: PathBuf) -> io::Result<TokioIo<UnixStream>> {
    loop {
        match UnixStream::connect(&path).await {
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
