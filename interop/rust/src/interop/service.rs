//! grpc.testing.TestService. It has no `UnimplementedCall`, so that the generated code returns UNIMPLEMENTED.

use std::{convert::Infallible, pin::Pin, process, sync::Arc, time::Duration};

use async_stream::try_stream;
use http::HeaderMap;
use nix::unistd::gethostname;
use tokio::{sync::Mutex, time::sleep};
use tokio_stream::{Stream, StreamExt};
use tonic::{
    Code, Request, Response, Status, Streaming, async_trait,
    body::Body,
    codec::CompressionEncoding,
    metadata::{MetadataMap, MetadataValue},
    server::NamedService,
    service::LayerExt,
};
use tower::{Service, ServiceBuilder};

use super::{
    ECHO_INITIAL, ECHO_TRAILING,
    compression::{self, CompressedFlags, takes_gzip},
    orca::{self, LoadReports, load_report},
    trailers::{self, Trailers},
};
use crate::proto::grpc::testing::{
    BoolValue, EchoStatus, Empty, Payload, PayloadType, ResponseParameters, SimpleRequest, SimpleResponse,
    StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse,
    test_service_server::{TestService, TestServiceServer},
};

/// The longest message that gRPC receives by default.
const MAX_MESSAGE_BYTES: i32 = 4 * 1024 * 1024;

/// Lets a proxy cache a response, for the time in the official description.
const CACHEABLE: &str = "max-age=60, public";

type Responses = Pin<Box<dyn Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send>>;

/// The service under test.
pub struct InteropService {
    reports: LoadReports,
    /// Held by the client that sets the out-of-band report. The server has one report, and each client expects its own.
    reports_turn: Arc<Mutex<()>>,
    hostname: String,
    /// A name that identifies this process.
    server_id: String,
}

impl InteropService {
    pub fn new(reports: LoadReports) -> nix::Result<Self> {
        let hostname = gethostname()?.to_string_lossy().into_owned();
        let server_id = format!("{hostname}-{}", process::id());
        Ok(Self { reports, reports_turn: Arc::default(), hostname, server_id })
    }

    /// Returns the service with the layers that it needs below its stub.
    pub fn into_server(
        self,
    ) -> impl NamedService
    + Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static {
        ServiceBuilder::new()
            .map_request(compression::note_request)
            .map_response(compression::compress_response)
            .map_response(trailers::append)
            .named_layer(TestServiceServer::new(self).accept_compressed(CompressionEncoding::Gzip))
    }
}

#[async_trait]
impl TestService for InteropService {
    async fn empty_call(&self, _request: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    /// Returns the payload, status, metadata and load report of the request.
    async fn unary_call(&self, request: Request<SimpleRequest>) -> Result<Response<SimpleResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        check_compressed(request.expect_compressed, extensions.get())?;
        let mut trailers = echoed(&metadata, ECHO_TRAILING);
        if let Some(report) = request.orca_per_query_report {
            trailers.insert_bin(orca::TRAILER, orca::serialized(report));
        }
        refuse(request.response_status, request.response_type, [request.response_size]).map_err(|mut status| {
            *status.metadata_mut() = trailers.clone();
            status
        })?;
        let mut response = Response::new(SimpleResponse {
            payload: Some(zeros(request.response_size)),
            server_id: if request.fill_server_id { self.server_id.clone() } else { String::new() },
            hostname: self.hostname.clone(),
            ..Default::default()
        });
        *response.metadata_mut() = echoed(&metadata, ECHO_INITIAL);
        response.extensions_mut().insert(Trailers(trailers.into_headers()));
        if is_true(request.response_compressed) && takes_gzip(metadata.as_ref()) {
            response.extensions_mut().insert(CompressedFlags::from_iter([true]));
        }
        Ok(response)
    }

    /// Returns the payload of the request, and lets a proxy cache the response.
    async fn cacheable_unary_call(&self, request: Request<SimpleRequest>) -> Result<Response<SimpleResponse>, Status> {
        let payload = request.into_inner().payload;
        let mut response = Response::new(SimpleResponse { payload, ..Default::default() });
        response.metadata_mut().insert("cache-control", MetadataValue::from_static(CACHEABLE));
        Ok(response)
    }

    /// Returns all responses that the request lists.
    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Responses>, Status> {
        let flags = outgoing_flags(request.metadata());
        Ok(response(flags.clone(), outputs(request.into_inner(), flags)))
    }

    /// Returns the sum of the sizes of the payloads.
    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let (_, extensions, mut requests) = request.into_parts();
        let mut size = 0;
        while let Some(request) = requests.message().await? {
            check_compressed(request.expect_compressed, extensions.get())?;
            size += request.payload.unwrap_or_default().body.len();
        }
        let aggregated_payload_size = i32::try_from(size).unwrap_or(i32::MAX);
        Ok(Response::new(StreamingInputCallResponse { aggregated_payload_size }))
    }

    /// Answers each request when it arrives.
    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let (metadata, _, mut requests) = request.into_parts();
        let (reports, turn) = (self.reports.clone(), self.reports_turn.clone());
        let flags = outgoing_flags(&metadata);
        let responses_flags = flags.clone();
        let mut response = response(
            flags,
            try_stream! {
                let mut my_turn = None;
                while let Some(mut request) = requests.message().await? {
                    if let Some(report) = request.orca_oob_report.take() {
                        if my_turn.is_none() {
                            my_turn = Some(turn.clone().lock_owned().await);
                        }
                        reports.set(load_report(report));
                    }
                    for await response in outputs(request, responses_flags.clone()) {
                        yield response?;
                    }
                }
            },
        );
        *response.metadata_mut() = echoed(&metadata, ECHO_INITIAL);
        response.extensions_mut().insert(Trailers(echoed(&metadata, ECHO_TRAILING).into_headers()));
        Ok(response)
    }

    /// Answers the requests after all have arrived.
    async fn half_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let flags = outgoing_flags(request.metadata());
        let requests = request.into_inner();
        Ok(response(
            flags.clone(),
            try_stream! {
                let requests: Vec<_> = requests.collect::<Result<_, _>>().await?;
                for request in requests {
                    for await response in outputs(request, flags.clone()) {
                        yield response?;
                    }
                }
            },
        ))
    }
}

/// Returns the flags for the responses of a stream. Returns None if the caller does not accept gzip.
fn outgoing_flags(metadata: &MetadataMap) -> Option<CompressedFlags> {
    takes_gzip(metadata.as_ref()).then(CompressedFlags::default)
}

fn response(
    flags: Option<CompressedFlags>,
    responses: impl Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send + 'static,
) -> Response<Responses> {
    let mut response: Response<Responses> = Response::new(Box::pin(responses));
    if let Some(flags) = flags {
        response.extensions_mut().insert(flags);
    }
    response
}

/// Returns the responses that one request of a stream lists.
fn outputs(
    request: StreamingOutputCallRequest,
    flags: Option<CompressedFlags>,
) -> impl Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send {
    try_stream! {
        let sizes = request.response_parameters.iter().map(|parameters| parameters.size);
        refuse(request.response_status, request.response_type, sizes)?;
        for parameters in request.response_parameters {
            // A sleep of zero takes a millisecond, because tokio's timer counts milliseconds.
            if let Ok(interval @ 1..) = parameters.interval_us.try_into() {
                sleep(Duration::from_micros(interval)).await;
            }
            if let Some(flags) = &flags {
                flags.push(is_true(parameters.compressed));
            }
            yield output(&parameters);
        }
    }
}

fn output(parameters: &ResponseParameters) -> StreamingOutputCallResponse {
    StreamingOutputCallResponse {
        payload: Some(zeros(parameters.size)),
        // All callers have the address of a socket without a name.
        peer_socket_address: if is_true(parameters.fill_peer_socket_address) { "unix:".into() } else { String::new() },
    }
}

/// Ends a call with the status of its request, or with an error if the request is invalid.
fn refuse(status: Option<EchoStatus>, payload_type: i32, sizes: impl IntoIterator<Item = i32>) -> Result<(), Status> {
    match status {
        Some(EchoStatus { code, message }) if code != 0 => return Err(Status::new(Code::from_i32(code), message)),
        _ => {}
    }
    if payload_type != PayloadType::Compressable as i32 {
        let fault = format!("invalid response_type: {payload_type}; use 0");
        return Err(Status::invalid_argument(fault));
    }
    match sizes.into_iter().find(|size| !(0..=MAX_MESSAGE_BYTES).contains(size)) {
        Some(size) => {
            Err(Status::invalid_argument(format!("invalid size: {size} bytes; use 0 to {MAX_MESSAGE_BYTES}")))
        }
        None => Ok(()),
    }
}

/// Refuses a message whose compression differs from `expected`. Each invocation removes the flag of one message.
fn check_compressed(expected: Option<BoolValue>, flags: Option<&CompressedFlags>) -> Result<(), Status> {
    let compressed = flags.and_then(CompressedFlags::pop).unwrap_or_default();
    match expected {
        Some(BoolValue { value }) if value != compressed => {
            let actual = if compressed { "compressed" } else { "uncompressed" };
            Err(Status::invalid_argument(format!("expect_compressed is {value}, but the message is {actual}")))
        }
        _ => Ok(()),
    }
}

/// Returns the metadata of the caller with this key.
fn echoed(metadata: &MetadataMap, key: &'static str) -> MetadataMap {
    let mut echoed = HeaderMap::new();
    for value in metadata.as_ref().get_all(key) {
        echoed.append(key, value.clone());
    }
    MetadataMap::from_headers(echoed)
}

fn is_true(value: Option<BoolValue>) -> bool {
    value.is_some_and(|value| value.value)
}

fn zeros(size: i32) -> Payload {
    Payload { body: vec![0; size.try_into().unwrap_or(0)].into(), ..Default::default() }
}
