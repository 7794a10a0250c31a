//! Deadlines for whole calls. tonic's own timer watches only for the headers of the response, and ends a call with
//! CANCELLED (`transport/service/grpc_timeout.rs` and `status.rs`; <https://github.com/grpc/grpc-rust/issues/75>).

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Status};

/// Makes a call and reads its responses, and ends it with `DEADLINE_EXCEEDED` when the time is over.
///
/// A call that was cancelled when its time was over was cancelled because of that, be it by tonic's own timer
/// (`TimeoutExpired`) or by the server's, which then resets the stream (grpc/grpc doc/PROTOCOL-HTTP2.md, "Errors").
pub async fn within<T>(time: Duration, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let start = Instant::now();
    match timeout(time, call).await {
        Ok(Err(status)) if status.code() != Code::Cancelled || start.elapsed() < time => Err(status),
        Ok(Ok(response)) => Ok(response),
        _ => Err(Status::deadline_exceeded(format!("no end within {time:?}"))),
    }
}

/// A request that tells the server how long the caller will wait.
pub fn request<T>(message: T, time: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}
