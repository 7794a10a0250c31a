//! Sends trailers with a call that succeeds. A `Response` of tonic has metadata only for the headers.

use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use tonic::body::Body;

/// Metadata for the trailers. A method adds it to the extensions of its response, and [`append`] sends it.
#[derive(Clone, Debug, Default)]
pub struct Trailers(pub HeaderMap);

/// Adds the [`Trailers`] of a response to the trailers that tonic sends. It is a layer below the stub.
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
