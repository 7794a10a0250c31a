//! Messages on the wire: a flag for compression of one byte, a length of four bytes, and the message (gRPC over HTTP/2,
//! "Length-Prefixed-Message").

use std::io::{IoSlice, Read, Write};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use h2::RecvStream;
use http::{HeaderMap, HeaderValue};

use crate::status::{Code, Status};

const PREFIX_BYTES: usize = 5;

/// A compression of messages, as `grpc-encoding` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Deflate,
    Gzip,
}

impl Encoding {
    /// The value of `grpc-accept-encoding`: the compressions that this end accepts.
    pub const ACCEPTED: &str = "identity, deflate, gzip";

    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "identity" => Some(Self::Identity),
            "deflate" => Some(Self::Deflate),
            "gzip" => Some(Self::Gzip),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Deflate => "deflate",
            Self::Gzip => "gzip",
        }
    }

    fn compress(self, message: &[u8]) -> std::io::Result<Bytes> {
        Ok(match self {
            Self::Identity => Bytes::copy_from_slice(message),
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(message)?;
                encoder.finish()?.into()
            }
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(message)?;
                encoder.finish()?.into()
            }
        })
    }

    /// Decompresses up to `most` bytes, so that a small message cannot fill the memory.
    fn decompress(self, message: &[u8], most: usize) -> Result<Bytes, Status> {
        let mut whole = Vec::new();
        let limit = most as u64 + 1;
        let result = match self {
            Self::Identity => {
                return Err(Status::new(Code::Internal, "a message is compressed, but the call has no compression"));
            }
            Self::Deflate => ZlibDecoder::new(message).take(limit).read_to_end(&mut whole),
            Self::Gzip => GzDecoder::new(message).take(limit).read_to_end(&mut whole),
        };
        if let Err(error) = result {
            return Err(Status::new(Code::Internal, format!("cannot decompress a {} message: {error}", self.name())));
        }
        if whole.len() > most {
            return Err(too_long(format!("more than {most}"), most));
        }
        Ok(whole.into())
    }
}

/// Returns the encoding in the headers.
pub fn encoding_in(headers: &HeaderMap) -> Result<Encoding, Status> {
    let Some(name) = headers.get("grpc-encoding") else { return Ok(Encoding::Identity) };
    name.to_str().ok().and_then(Encoding::parse).ok_or_else(|| {
        let name = String::from_utf8_lossy(name.as_bytes());
        let mut status = Status::new(Code::Unimplemented, unknown_compression(&name));
        status.trailers.insert("grpc-accept-encoding", HeaderValue::from_static(Encoding::ACCEPTED));
        status
    })
}

pub fn unknown_compression(name: &str) -> String {
    format!("invalid compression {name:?}: use {}", Encoding::ACCEPTED)
}

fn too_long(length: impl std::fmt::Display, most: usize) -> Status {
    Status::new(
        Code::ResourceExhausted,
        format!("a message of {length} bytes is longer than the limit of {most} bytes"),
    )
}

/// A message to send. Its prefix is separate, so that the message is not copied.
pub struct Outgoing {
    prefix: [u8; PREFIX_BYTES],
    sent: usize,
    message: Bytes,
}

impl Outgoing {
    /// Compresses a message and adds its prefix.
    pub fn new(message: Bytes, encoding: Encoding, most: usize) -> Result<Self, Status> {
        if message.len() > most {
            return Err(Status::new(
                Code::ResourceExhausted,
                format!("the message to send has {} bytes, more than the limit of {most} bytes", message.len()),
            ));
        }
        let (compressed, message) = match encoding {
            Encoding::Identity => (0, message),
            other => {
                let packed = other
                    .compress(&message)
                    .map_err(|error| Status::new(Code::Internal, format!("cannot compress a message: {error}")))?;
                // As in C-core, a message that does not get shorter is sent uncompressed.
                if packed.len() < message.len() { (1, packed) } else { (0, message) }
            }
        };
        let length =
            u32::try_from(message.len()).map_err(|_| too_long(message.len(), u32::MAX as usize))?.to_be_bytes();
        let prefix = [compressed, length[0], length[1], length[2], length[3]];
        Ok(Self { prefix, sent: 0, message })
    }

    /// Returns an empty message, which ends a stream.
    pub fn nothing() -> Self {
        Self { prefix: [0; PREFIX_BYTES], sent: PREFIX_BYTES, message: Bytes::new() }
    }
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        PREFIX_BYTES - self.sent + self.message.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.sent < PREFIX_BYTES { &self.prefix[self.sent..] } else { &self.message }
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for part in [&self.prefix[self.sent..], &self.message] {
            if !part.is_empty() && filled < into.len() {
                into[filled] = IoSlice::new(part);
                filled += 1;
            }
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        let of_prefix = count.min(PREFIX_BYTES - self.sent);
        self.sent += of_prefix;
        self.message.advance(count - of_prefix);
    }
}

/// Reads messages from a stream, one at a time, and opens the windows for more.
pub struct Incoming {
    pub stream: RecvStream,
    /// None passes compressed messages on unchanged.
    encoding: Option<Encoding>,
    most: usize,
    /// The rest of the last frame.
    rest: Bytes,
    prefix: [u8; PREFIX_BYTES],
    filled: usize,
    body: Option<Vec<u8>>,
    /// A message that waits for the end of its call.
    pub kept: Option<Bytes>,
}

impl Incoming {
    pub fn new(stream: RecvStream, encoding: Option<Encoding>, most: usize) -> Self {
        Self {
            stream,
            encoding,
            most,
            rest: Bytes::new(),
            prefix: [0; PREFIX_BYTES],
            filled: 0,
            body: None,
            kept: None,
        }
    }

    /// Returns the next message, or None after the last one.
    pub fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            if let Some(message) = self.next_of_rest()? {
                return Poll::Ready(Ok(Some(message)));
            }
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(bytes)) => {
                    // An error here means that the stream has ended. The next poll returns it.
                    let _ = self.stream.flow_control().release_capacity(bytes.len());
                    self.rest = bytes;
                }
                Some(Err(error)) => return Poll::Ready(Err(Status::from_h2(&error))),
                None if self.filled == 0 => return Poll::Ready(Ok(None)),
                None => {
                    return Poll::Ready(Err(Status::new(
                        Code::Internal,
                        "the stream ended in the middle of a message",
                    )));
                }
            }
        }
    }

    fn length(&self) -> usize {
        u32::from_be_bytes([self.prefix[1], self.prefix[2], self.prefix[3], self.prefix[4]]) as usize
    }

    fn next_of_rest(&mut self) -> Result<Option<Bytes>, Status> {
        if self.filled < PREFIX_BYTES {
            let taken = self.rest.len().min(PREFIX_BYTES - self.filled);
            self.prefix[self.filled..self.filled + taken].copy_from_slice(&self.rest[..taken]);
            self.rest.advance(taken);
            self.filled += taken;
            if self.filled < PREFIX_BYTES {
                return Ok(None);
            }
            if self.prefix[0] > 1 {
                return Err(Status::new(
                    Code::Internal,
                    format!("a message starts with byte {}; expected 0 or 1", self.prefix[0]),
                ));
            }
            if self.length() > self.most {
                return Err(too_long(self.length(), self.most));
            }
        }
        let length = self.length();
        let whole = match self.body.as_mut() {
            None if self.rest.len() >= length => self.rest.split_to(length),
            body => {
                let body = match body {
                    Some(body) => body,
                    None => self.body.insert(Vec::with_capacity(length)),
                };
                let taken = self.rest.len().min(length - body.len());
                body.extend_from_slice(&self.rest[..taken]);
                self.rest.advance(taken);
                if body.len() < length {
                    return Ok(None);
                }
                std::mem::take(body).into()
            }
        };
        self.body = None;
        self.filled = 0;
        match self.encoding {
            Some(encoding) if self.prefix[0] == 1 => encoding.decompress(&whole, self.most).map(Some),
            _ => Ok(Some(whole)),
        }
    }
}
