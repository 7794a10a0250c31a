//! Statuses and metadata, on the wire and for Python.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

pyo3::create_exception!(
    samehost_native._engine,
    MetadataError,
    PyValueError,
    "HTTP/2 or gRPC does not allow a key or value of metadata."
);

/// The characters that `grpc-message` escapes: all but printable ASCII, and the percent sign.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Peers send base64 with or without padding (gRPC over HTTP/2, "Binary-Header").
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The status codes of gRPC that this engine creates itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// Whether a server has seen a call. A call that no server has seen can be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Yes = 0,
    No = 1,
    /// The program that accepted the connection does not speak HTTP/2.
    NoServer = 2,
}

/// The result of a call.
#[derive(Clone, Debug)]
pub struct Status {
    pub code: i32,
    pub details: String,
    pub trailers: Box<HeaderMap>,
    /// Whether the server has seen the call.
    pub seen: Seen,
}

impl Status {
    pub fn new(code: Code, details: impl Into<String>) -> Self {
        Self { code: code as i32, details: details.into(), trailers: Box::default(), seen: Seen::Yes }
    }

    /// Returns the status of a call whose connection or stream failed (gRPC over HTTP/2, "Errors").
    pub fn from_h2(error: &h2::Error) -> Self {
        let reason = error.reason().unwrap_or(Reason::NO_ERROR);
        if error.is_go_away() && error.is_remote() {
            // h2 returns this error only for streams that the server will not handle.
            let seen = if reason == Reason::NO_ERROR { Seen::No } else { Seen::Yes };
            return Self { seen, ..Self::new(Code::Unavailable, format!("the server closed the connection: {error}")) };
        }
        if !error.is_reset() {
            return Self::new(Code::Unavailable, format!("the connection failed: {error}"));
        }
        let code = match reason {
            Reason::REFUSED_STREAM => Code::Unavailable,
            Reason::CANCEL => Code::Cancelled,
            Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
            Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
            _ => Code::Internal,
        };
        let seen = if reason == Reason::REFUSED_STREAM { Seen::No } else { Seen::Yes };
        Self { seen, ..Self::new(code, format!("the stream was reset: {error}")) }
    }

    /// Reads the trailers of a call.
    pub fn from_trailers(mut trailers: HeaderMap) -> Self {
        let Some(code) = trailers.remove("grpc-status") else {
            return Self::new(Code::Unknown, "the server ended the call without a status");
        };
        let details = trailers
            .remove("grpc-message")
            .map_or_else(String::new, |message| percent_decode(message.as_bytes()).decode_utf8_lossy().into_owned());
        let code = code.to_str().ok().and_then(|code| code.parse().ok()).filter(|code| (0..=16).contains(code));
        Self { code: code.unwrap_or(Code::Unknown as i32), details, trailers: Box::new(trailers), seen: Seen::Yes }
    }

    /// Returns the status for an answer without gRPC (gRPC, "HTTP to gRPC Status Code Mapping").
    pub fn from_http(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        Self::new(code, format!("the server answered with HTTP status {}", status.as_u16()))
    }

    /// Returns the trailers of this status.
    pub fn to_trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::clone(&self.trailers);
        trailers.insert("grpc-status", HeaderValue::from(self.code));
        if !self.details.is_empty() {
            let message = utf8_percent_encode(&self.details, ESCAPED).to_string();
            if let Ok(message) = HeaderValue::try_from(message) {
                trailers.insert("grpc-message", message);
            }
        }
        trailers
    }
}

/// Parses `grpc-timeout`.
pub fn parse_timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Formats `grpc-timeout`, which has at most eight digits.
pub fn format_timeout(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let micros = left.as_micros();
    let text = if micros <= MOST {
        format!("{micros}u")
    } else if left.as_millis() <= MOST {
        format!("{}m", left.as_millis())
    } else {
        format!("{}S", u128::from(left.as_secs()).min(MOST))
    };
    HeaderValue::try_from(text).expect("digits and a letter")
}

/// Adds the metadata of a Python program.
pub fn add_metadata(headers: &mut HeaderMap, metadata: &Bound<'_, PyAny>) -> PyResult<()> {
    for pair in metadata.try_iter()? {
        let (key, value): (Bound<'_, PyString>, Bound<'_, PyAny>) = pair?.extract()?;
        let key = key.to_cow()?;
        let name = HeaderName::from_lowercase(key.as_bytes()).map_err(|_| {
            MetadataError::new_err(format!(
                "invalid metadata key {key:?}: use lowercase ASCII letters, digits, '-', '_' and '.'"
            ))
        })?;
        if key.starts_with("grpc-") && key != "grpc-status-details-bin" && !is_allowed_reserved(&key) {
            let fault = format!("invalid metadata key {key:?}: gRPC reserves it; use another key");
            return Err(MetadataError::new_err(fault));
        }
        let value = if key.ends_with("-bin") {
            let bytes: &Bound<'_, PyBytes> = value.cast().map_err(|_| {
                PyTypeError::new_err(format!("invalid metadata {key:?}: a key that ends in -bin needs bytes"))
            })?;
            HeaderValue::try_from(STANDARD_NO_PAD.encode(bytes.as_bytes()))
        } else if let Ok(text) = value.cast::<PyString>() {
            HeaderValue::from_str(&text.to_cow()?)
        } else {
            HeaderValue::from_bytes(value.cast::<PyBytes>()?.as_bytes())
        };
        let value =
            value.map_err(|_| MetadataError::new_err(format!("invalid metadata {key:?}: use printable ASCII")))?;
        headers.append(name, value);
    }
    Ok(())
}

fn is_allowed_reserved(key: &str) -> bool {
    matches!(
        key,
        "grpc-previous-rpc-attempts"
            | "grpc-retry-pushback-ms"
            | "grpc-trace-bin"
            | "grpc-tags-bin"
            | "grpc-internal-encoding-request"
    )
}

/// Returns whether a header belongs to the transport and not to the metadata of a call.
fn is_of_transport(name: &str) -> bool {
    matches!(
        name,
        "content-type"
            | "te"
            | "grpc-encoding"
            | "grpc-accept-encoding"
            | "grpc-timeout"
            | "grpc-status"
            | "grpc-message"
    )
}

/// Returns metadata for Python: pairs of a key and a string, or bytes if the key ends in -bin.
pub fn to_metadata<'py>(
    py: Python<'py>,
    headers: &HeaderMap,
) -> PyResult<Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)>> {
    let mut pairs = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let name = name.as_str();
        if is_of_transport(name) {
            continue;
        }
        let key = PyString::new(py, name);
        if name.ends_with("-bin") {
            // Values joined by commas are one header in HTTP and several in gRPC.
            for part in value.as_bytes().split(|byte| *byte == b',') {
                let bytes = BASE64.decode(part.trim_ascii()).unwrap_or_else(|_| part.to_vec());
                pairs.push((key.clone(), PyBytes::new(py, &bytes).into_any()));
            }
        } else {
            let text = String::from_utf8_lossy(value.as_bytes());
            pairs.push((key, PyString::new(py, &text).into_any()));
        }
    }
    Ok(pairs)
}

/// Returns the bytes of a message. Copies a short message, and keeps the Python object of a long one.
pub fn message_of(message: &Bound<'_, PyBytes>) -> Bytes {
    const SHORT_BYTES: usize = 4096;
    let bytes = message.as_bytes();
    if bytes.len() <= SHORT_BYTES {
        Bytes::copy_from_slice(bytes)
    } else {
        Bytes::from_owner(pyo3::pybacked::PyBackedBytes::from(message.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_formatted_with_at_most_eight_digits() {
        for (timeout, text) in [
            (Duration::ZERO, "0u"),
            (Duration::from_micros(99_999_999), "99999999u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(format_timeout(timeout), text);
        }
    }

    #[test]
    fn a_timeout_is_parsed_in_every_unit() {
        for (text, timeout) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("", None),
            ("7", None),
            ("S", None),
            ("-1S", None),
            ("123456789S", None),
        ] {
            assert_eq!(parse_timeout(&HeaderValue::from_static(text)), timeout, "{text:?}");
        }
    }

    #[test]
    fn a_status_is_the_same_after_trailers() {
        let mut sent = Status::new(Code::Unavailable, "50 % of \u{2603}\n");
        sent.trailers.insert("x-more", HeaderValue::from_static("yes"));
        let received = Status::from_trailers(sent.to_trailers());
        assert_eq!((received.code, received.details, received.trailers), (14, sent.details, sent.trailers));
    }

    #[test]
    fn trailers_without_a_status_are_unknown() {
        assert_eq!(Status::from_trailers(HeaderMap::new()).code, Code::Unknown as i32);
    }
}
