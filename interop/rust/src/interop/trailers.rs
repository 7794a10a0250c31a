//! Trailers of a call that succeeds: tonic's `Response` has metadata for the headers alone.

use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use tonic::body::Body;

/// Metadata that a method puts into its response's extensions, for [`append`] to send in the trailers.
#[derive(Clone, Debug, Default)]
pub struct Trailers(pub HeaderMap);

/// Adds the response's [`Trailers`] to those that tonic ends the body with; a layer below the stub.
pub fn append(mut response: Response<Body>) -> Response<Body> {
    let Some(Trailers(added)) = response.extensions_mut().remove() else { return response };
    response.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                trailers.extend(added.clone());
            }
            frame
        }))
    })
}
