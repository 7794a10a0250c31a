//! Ends a server's calls when their deadline is over.
//!
//! tonic's own timer stops with the first headers, which a stream sends at once, and its status is `CANCELLED`
//! (`transport/service/grpc_timeout.rs`). A client that relies on the server, as Go's HTTP/2 does while a request's body
//! is open, would wait forever.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use async_stream::stream;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, timeout_at};
use tonic::{Status, body::Body, codegen::BoxFuture};
use tower::{Layer, Service};

#[derive(Clone, Debug)]
pub struct DeadlineLayer;

impl<S> Layer<S> for DeadlineLayer {
    type Service = EndsAtDeadline<S>;

    fn layer(&self, service: S) -> Self::Service {
        EndsAtDeadline { service }
    }
}

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
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let deadline = grpc_timeout(request.headers()).and_then(|time| Instant::now().checked_add(time));
        let call = self.service.call(request);
        let Some(deadline) = deadline else { return Box::pin(call) };
        Box::pin(async move {
            match timeout_at(deadline, call).await {
                Ok(response) => Ok(response?.map(|body| ends_at(deadline, body))),
                Err(_) => Ok(exceeded().into_http()),
            }
        })
    }
}

fn ends_at(deadline: Instant, mut body: Body) -> Body {
    if body.is_end_stream() {
        return body; // a status alone, which goes with the headers
    }
    Body::new(StreamBody::new(stream! {
        loop {
            match timeout_at(deadline, body.frame()).await {
                Ok(Some(frame)) => yield frame,
                Ok(None) => break,
                Err(_) => {
                    let mut trailers = HeaderMap::new();
                    yield exceeded().add_header(&mut trailers).map(|()| Frame::trailers(trailers));
                    break;
                }
            }
        }
    }))
}

fn exceeded() -> Status {
    Status::deadline_exceeded("the deadline that the caller has set is over")
}

/// The time that the caller gives: at most eight digits and a unit (grpc/grpc doc/PROTOCOL-HTTP2.md, "Requests").
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
