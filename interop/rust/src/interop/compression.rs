//! Compresses single messages, and detects which messages arrived compressed. tonic compresses all messages of a stream
//! or none, and does not report which ones arrived compressed.
//!
//! A tower layer below the stubs can do both, because it receives the messages of a call as they are on the wire. Each
//! has a prefix of a flag and a length (grpc/grpc doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"). The extensions of
//! requests and responses pass the flags between the layer and the code above the stub.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;

const PREFIX_BYTES: usize = 5;
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Whether each message in one direction of a call is compressed, in the order of the messages.
///
/// For incoming messages, the layer adds the flags and the code above the stub removes them. For outgoing messages, the
/// code adds them and the layer removes them. Each flag is added before its message is passed on.
#[derive(Clone, Debug, Default)]
pub struct CompressedFlags(Arc<Mutex<VecDeque<bool>>>);

impl CompressedFlags {
    pub fn push(&self, compressed: bool) {
        self.flags().push_back(compressed);
    }

    pub fn pop(&self) -> Option<bool> {
        self.flags().pop_front()
    }

    fn flags(&self) -> MutexGuard<'_, VecDeque<bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromIterator<bool> for CompressedFlags {
    fn from_iter<I: IntoIterator<Item = bool>>(flags: I) -> Self {
        Self(Arc::new(Mutex::new(flags.into_iter().collect())))
    }
}

/// Adds the flags of the messages of a request to its extensions, for a server.
pub fn note_request(mut request: Request<Body>) -> Request<Body> {
    let flags = CompressedFlags::default();
    request.extensions_mut().insert(flags.clone());
    request.map(|body| note(body, flags))
}

/// Adds the flags of the messages of a response to its extensions, for a client.
pub fn note_response(mut response: Response<Body>) -> Response<Body> {
    let flags = CompressedFlags::default();
    response.extensions_mut().insert(flags.clone());
    response.map(|body| note(body, flags))
}

/// Compresses the messages of a request according to the flags in its extensions, for a client.
pub fn compress_request(mut request: Request<Body>) -> Request<Body> {
    let Some(flags) = request.extensions().get().cloned() else { return request };
    request.headers_mut().insert(ENCODING, GZIP);
    request.map(|body| compress(body, flags))
}

/// Compresses the messages of a response according to the flags in its extensions, for a server.
pub fn compress_response(mut response: Response<Body>) -> Response<Body> {
    let Some(flags) = response.extensions().get().cloned() else { return response };
    response.headers_mut().insert(ENCODING, GZIP);
    response.map(|body| compress(body, flags))
}

/// Returns whether the peer accepts gzip.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all("grpc-accept-encoding")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|encodings| encodings.split(',').any(|encoding| encoding.trim() == "gzip"))
}

/// Passes a body on unchanged, and adds the flags of its messages to `flags`.
fn note(body: Body, flags: CompressedFlags) -> Body {
    let mut prefix = Vec::with_capacity(PREFIX_BYTES);
    let mut message_left = 0;
    Body::new(body.map_frame(move |frame| {
        if let Some(mut data) = frame.data_ref().map(AsRef::<[u8]>::as_ref) {
            while !data.is_empty() {
                let skipped = data.len().min(message_left);
                message_left -= skipped;
                data = &data[skipped..];
                let missing = data.len().min(PREFIX_BYTES - prefix.len());
                prefix.extend_from_slice(&data[..missing]);
                data = &data[missing..];
                if let [flag, a, b, c, d] = prefix[..] {
                    flags.push(flag == 1);
                    message_left = u32::from_be_bytes([a, b, c, d]) as usize;
                    prefix.clear();
                }
            }
        }
        frame
    }))
}

/// Compresses the messages of a body whose flag is true. A message without a flag stays uncompressed.
fn compress(body: Body, flags: CompressedFlags) -> Body {
    let mut waiting = BytesMut::new();
    Body::new(body.map_frame(move |frame| {
        frame.map_data(|data| {
            waiting.extend_from_slice(&data);
            let mut whole = BytesMut::new();
            while let Some(message) = take_message(&mut waiting) {
                match flags.pop() {
                    Some(true) => put_compressed(&mut whole, &message[PREFIX_BYTES..]),
                    _ => whole.extend_from_slice(&message),
                }
            }
            whole.freeze()
        })
    }))
}

/// Removes the first message, including its prefix, from the buffer. Returns None if the message is incomplete.
fn take_message(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = buffer.get(1..PREFIX_BYTES)?.try_into().ok()?;
    let end = PREFIX_BYTES + u32::from_be_bytes(length) as usize;
    (buffer.len() >= end).then(|| buffer.split_to(end).freeze())
}

fn put_compressed(buffer: &mut BytesMut, message: &[u8]) {
    let compressed = gzip(message).expect("writing to memory does not fail");
    let length = u32::try_from(compressed.len()).expect("a gRPC message has less than 4 GiB");
    buffer.extend_from_slice(&[1]);
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(&compressed);
}

fn gzip(message: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(message)?;
    encoder.finish()
}
