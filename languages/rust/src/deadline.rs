//! Ends calls at their deadline, in a server and in a client.
//!
//! tonic's own timer stops at the first headers, which a stream sends at once, and its status is `CANCELLED`
//! (`transport/service/grpc_timeout.rs`; <https://github.com/grpc/grpc-rust/issues/75>). A client that relies on the
//! server, such as Go's HTTP/2 while the body of a request is open, would wait forever.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_stream::stream;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, timeout_at};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

/// Ends a call with `DEADLINE_EXCEEDED` at its deadline, even in the middle of a stream.
///
/// A [`Channel`](crate::Channel) includes this layer. Add it to a server with `Server::builder().layer(DeadlineLayer)`.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLayer;

impl<S> Layer<S> for DeadlineLayer {
    type Service = EndsAtDeadline<S>;

    fn layer(&self, service: S) -> Self::Service {
        EndsAtDeadline { service }
    }
}

/// The service that [`DeadlineLayer`] returns.
#[derive(Clone, Debug)]
pub struct EndsAtDeadline<S> {
    service: S,
}

impl<S> Service<Request<Body>> for EndsAtDeadline<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let deadline = grpc_timeout(request.headers()).and_then(|time| Instant::now().checked_add(time));
        let call = self.service.call(request);
        let Some(deadline) = deadline else { return Box::pin(call) };
        Box::pin(async move {
            match timeout_at(deadline, call).await {
                Ok(response) if Instant::now() < deadline => Ok(response?.map(|body| ends_at(deadline, body))),
                _ => Ok(exceeded().into_http()),
            }
        })
    }
}

/// Ends a body at the deadline. It ignores frames that arrive later, because the peer may have ended the call at the
/// same deadline with a reset (grpc/grpc doc/PROTOCOL-HTTP2.md, "Errors") or with CANCELLED.
fn ends_at(deadline: Instant, mut body: Body) -> Body {
    if body.is_end_stream() {
        return body; // the response is only a status, which is in the headers
    }
    Body::new(StreamBody::new(stream! {
        loop {
            match timeout_at(deadline, body.frame()).await {
                Ok(None) => break,
                Ok(Some(frame)) if Instant::now() < deadline => yield frame,
                _ => {
                    let mut trailers = HeaderMap::new();
                    yield exceeded().add_header(&mut trailers).map(|()| Frame::trailers(trailers));
                    break;
                }
            }
        }
    }))
}

fn exceeded() -> Status {
    Status::deadline_exceeded("the deadline of the call has passed")
}

/// Parses the timeout of a call: at most eight digits and a unit (grpc/grpc doc/PROTOCOL-HTTP2.md, "Requests").
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count = (digits.len() <= 8).then_some(digits)?.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_digits_and_a_unit() {
        for (text, time) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("99999999M", Some(Duration::from_secs(5_999_999_940))),
            ("1000000n", Some(Duration::from_millis(1))),
            ("1", None),
            ("m", None),
            ("123456789m", None),
            ("1ü", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
            assert_eq!(grpc_timeout(&headers), time, "{text:?}");
        }
    }
}
