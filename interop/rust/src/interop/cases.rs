//! The official cases. Each case is a function with its name.
//!
//! Their requests are in `requests.rs`, and their assertions in `checks.rs`.

use std::time::Duration;

use clap::ValueEnum;
use http::uri::PathAndQuery;
use samehost::{Channel, SocketAddress, dial};
use serde::Serialize;
use tokio::{join, sync::mpsc, task::JoinSet, time::timeout};
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};
use tonic::{
    Code, Request, Status,
    body::Body,
    client::Grpc,
    codec::CompressionEncoding,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_prost::ProstCodec;
use tower::{Service, ServiceBuilder};

use super::{
    ECHO_INITIAL, ECHO_TRAILING,
    checks::{self, Failure, Outcome},
    compression::{self, CompressedFlags},
    duplex::Duplex,
    requests,
};
use crate::proto::{
    grpc::testing::{
        BoolValue, Empty, SimpleRequest, SimpleResponse, StreamingOutputCallRequest,
        test_service_client::TestServiceClient, unimplemented_service_client::UnimplementedServiceClient,
    },
    xds::service::orca::v3::open_rca_service_client::OpenRcaServiceClient,
};

/// How long an out-of-band report may take to arrive. The slowest interop servers send one each second.
const REPORT_TIME: Duration = Duration::from_secs(10);

/// The official cases. The last six need an account of Google's cloud.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Case {
    EmptyUnary,
    CacheableUnary,
    LargeUnary,
    ClientCompressedUnary,
    ServerCompressedUnary,
    ClientStreaming,
    ClientCompressedStreaming,
    ServerStreaming,
    ServerCompressedStreaming,
    PingPong,
    HalfDuplex,
    EmptyStream,
    CustomMetadata,
    StatusCodeAndMessage,
    SpecialStatusMessage,
    UnimplementedMethod,
    UnimplementedService,
    CancelAfterBegin,
    CancelAfterFirstResponse,
    TimeoutOnSleepingServer,
    PickFirstUnary,
    ConcurrentLargeUnary,
    RpcSoak,
    ChannelSoak,
    OrcaPerRpc,
    OrcaOob,
    ComputeEngineChannelCredentials,
    ComputeEngineCreds,
    GoogleDefaultCredentials,
    JwtTokenCreds,
    Oauth2AuthToken,
    PerRpcCreds,
}

/// Runs a case on a new channel. Returns None if this client does not have the case.
pub async fn run(case: Case, address: &SocketAddress) -> Option<Outcome> {
    let peer = match Peer::dial(address) {
        Ok(peer) => peer,
        Err(failure) => return Some(Err(failure)),
    };
    Some(match case {
        Case::EmptyUnary => empty_unary(&peer).await,
        Case::CacheableUnary => cacheable_unary(&peer).await,
        Case::LargeUnary => large_unary(&peer).await,
        Case::ClientCompressedUnary => client_compressed_unary(&peer).await,
        Case::ServerCompressedUnary => server_compressed_unary(&peer).await,
        Case::ClientStreaming => client_streaming(&peer).await,
        Case::ClientCompressedStreaming => client_compressed_streaming(&peer).await,
        Case::ServerStreaming => server_streaming(&peer).await,
        Case::ServerCompressedStreaming => server_compressed_streaming(&peer).await,
        Case::PingPong => ping_pong(&peer).await,
        Case::HalfDuplex => half_duplex(&peer).await,
        Case::EmptyStream => empty_stream(&peer).await,
        Case::CustomMetadata => custom_metadata(&peer).await,
        Case::StatusCodeAndMessage => status_code_and_message(&peer).await,
        Case::SpecialStatusMessage => special_status_message(&peer).await,
        Case::UnimplementedMethod => unimplemented_method(&peer).await,
        Case::UnimplementedService => unimplemented_service(&peer).await,
        Case::CancelAfterBegin => cancel_after_begin(&peer).await,
        Case::CancelAfterFirstResponse => cancel_after_first_response(&peer).await,
        Case::TimeoutOnSleepingServer => timeout_on_sleeping_server(&peer).await,
        Case::PickFirstUnary => pick_first_unary(&peer).await,
        Case::ConcurrentLargeUnary => concurrent_large_unary(&peer).await,
        Case::RpcSoak => checks::soak(async || large_unary(&peer).await).await,
        Case::ChannelSoak => checks::soak(async || large_unary(&Peer::dial(address)?).await).await,
        Case::OrcaPerRpc => orca_per_rpc(&peer).await,
        Case::OrcaOob => orca_oob(&peer).await,
        Case::ComputeEngineChannelCredentials
        | Case::ComputeEngineCreds
        | Case::GoogleDefaultCredentials
        | Case::JwtTokenCreds
        | Case::Oauth2AuthToken
        | Case::PerRpcCreds => return None,
    })
}

/// The server under test.
struct Peer {
    channel: Channel,
}

impl Peer {
    fn dial(address: &SocketAddress) -> Result<Self, Failure> {
        Ok(Self { channel: dial(address).map_err(|error| Failure(error.to_string()))? })
    }

    fn stub(&self) -> TestServiceClient<Channel> {
        TestServiceClient::new(self.channel.clone())
    }

    /// Returns a stub over layers that compress single messages and report which messages arrived compressed.
    fn compressing_stub(
        &self,
    ) -> TestServiceClient<
        impl Service<http::Request<Body>, Response = http::Response<Body>, Error = Status, Future: Send>,
    > {
        let service = ServiceBuilder::new()
            .map_request(compression::compress_request)
            .map_response(compression::note_response)
            .service(self.channel.clone());
        TestServiceClient::new(service).accept_compressed(CompressionEncoding::Gzip)
    }

    fn duplex(&self) -> Duplex {
        Duplex::new(&self.channel, Request::new(()))
    }

    /// Makes a `UnaryCall`, and returns its headers and trailers separately.
    ///
    /// A stub merges the trailers of a unary call into its headers. This makes the call as a stream with one response,
    /// where they stay separate.
    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<(MetadataMap, SimpleResponse, MetadataMap), Failure> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let path = PathAndQuery::from_static("/grpc.testing.TestService/UnaryCall");
        let response = grpc.server_streaming(request, path, ProstCodec::default()).await?;
        let (headers, mut responses, _) = response.into_parts();
        let Some(response) = responses.message().await? else {
            return Err(Failure("responses of a unary call: expected one, got none".into()));
        };
        checks::equal("whether a unary call has a second response", &responses.message().await?.is_some(), &false)?;
        Ok((headers, response, responses.trailers().await?.unwrap_or_default()))
    }
}

async fn empty_unary(peer: &Peer) -> Outcome {
    checks::empty(peer.stub().empty_call(Empty {}).await?.into_inner())
}

async fn large_unary(peer: &Peer) -> Outcome {
    checks::large(&peer.stub().unary_call(requests::large()).await?.into_inner())
}

/// tonic sends every call as a POST (`client/grpc.rs`), which no proxy caches. The responses are equal because the
/// server gives the same answer to the same request.
async fn cacheable_unary(peer: &Peer) -> Outcome {
    let message = requests::cacheable();
    let request = || {
        let mut request = Request::new(message.clone());
        // Some proxies cache nothing for callers on their own host.
        request.metadata_mut().insert("x-user-ip", MetadataValue::from_static("1.2.3.4"));
        request
    };
    let first = peer.stub().cacheable_unary_call(request()).await?.into_inner();
    let second = peer.stub().cacheable_unary_call(request()).await?.into_inner();
    checks::cached(first, second)
}

async fn client_compressed_unary(peer: &Peer) -> Outcome {
    let request =
        |compressed| SimpleRequest { expect_compressed: Some(BoolValue { value: compressed }), ..requests::large() };
    checks::status(peer.stub().unary_call(request(true)).await, Code::InvalidArgument)?;
    // Some servers compress the response too.
    let mut compressing =
        peer.stub().send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
    checks::large(&compressing.unary_call(request(true)).await?.into_inner())?;
    checks::large(&peer.stub().unary_call(request(false)).await?.into_inner())
}

async fn server_compressed_unary(peer: &Peer) -> Outcome {
    for compressed in [true, false] {
        let request = SimpleRequest { response_compressed: Some(BoolValue { value: compressed }), ..requests::large() };
        let response = peer.compressing_stub().unary_call(request).await?;
        let flag = response.extensions().get().and_then(CompressedFlags::pop);
        checks::equal("compressed flag of the response", &flag, &Some(compressed))?;
        checks::large(response.get_ref())?;
    }
    Ok(())
}

async fn client_streaming(peer: &Peer) -> Outcome {
    let inputs = tokio_stream::iter(requests::REQUEST_BYTES.map(requests::input));
    let response = peer.stub().streaming_input_call(inputs).await?.into_inner();
    checks::aggregated(response, requests::REQUEST_BYTES)
}

async fn client_compressed_streaming(peer: &Peer) -> Outcome {
    let [(probe_bytes, _), _] = requests::COMPRESSED_REQUESTS;
    let probe = tokio_stream::once(requests::input_expecting(probe_bytes, true));
    checks::status(peer.stub().streaming_input_call(probe).await, Code::InvalidArgument)?;

    let inputs = requests::COMPRESSED_REQUESTS.map(|(size, compressed)| requests::input_expecting(size, compressed));
    let flags: CompressedFlags = requests::COMPRESSED_REQUESTS.into_iter().map(|(_, compressed)| compressed).collect();
    let mut request = Request::new(tokio_stream::iter(inputs));
    request.extensions_mut().insert(flags);
    let response = peer.compressing_stub().streaming_input_call(request).await?.into_inner();
    checks::aggregated(response, requests::COMPRESSED_REQUESTS.map(|(size, _)| size))
}

async fn server_streaming(peer: &Peer) -> Outcome {
    let request = requests::output(0, &requests::RESPONSE_BYTES);
    let responses = peer.stub().streaming_output_call(request).await?.into_inner();
    let responses: Vec<_> = responses.collect::<Result<_, _>>().await?;
    checks::outputs(&responses, &requests::RESPONSE_BYTES)
}

async fn server_compressed_streaming(peer: &Peer) -> Outcome {
    let response = peer.compressing_stub().streaming_output_call(requests::compressed_output()).await?;
    let (_, mut stream, extensions) = response.into_parts();
    let (mut responses, mut flags) = (Vec::new(), Vec::new());
    while let Some(response) = stream.message().await? {
        responses.push(response);
        flags.push(extensions.get().and_then(CompressedFlags::pop));
    }
    checks::outputs(&responses, &requests::COMPRESSED_RESPONSES.map(|(size, _)| size))?;
    let expected = requests::COMPRESSED_RESPONSES.map(|(_, compressed)| Some(compressed));
    checks::equal("compressed flags of the responses", &flags.as_slice(), &expected.as_slice())
}

async fn ping_pong(peer: &Peer) -> Outcome {
    let mut stream = peer.duplex();
    for (request, size) in requests::ping_pong().zip(requests::RESPONSE_BYTES) {
        stream.send(request);
        checks::output(stream.receive().await?, size)?;
    }
    stream.half_close();
    checks::end(stream.receive().await?)
}

async fn half_duplex(peer: &Peer) -> Outcome {
    let outputs = tokio_stream::iter(requests::RESPONSE_BYTES.map(|size| requests::output(0, &[size])));
    let responses = peer.stub().half_duplex_call(outputs).await?.into_inner();
    let responses: Vec<_> = responses.collect::<Result<_, _>>().await?;
    checks::outputs(&responses, &requests::RESPONSE_BYTES)
}

async fn empty_stream(peer: &Peer) -> Outcome {
    let mut stream = peer.duplex();
    stream.half_close();
    checks::end(stream.receive().await?)
}

async fn custom_metadata(peer: &Peer) -> Outcome {
    let (initial, response, trailing) = peer.unary_call(with_metadata(requests::large())).await?;
    checks::large(&response)?;
    checks::echoes(&initial, &trailing)?;

    let mut stream = Duplex::new(&peer.channel, with_metadata(()));
    stream.send(requests::output(requests::LARGE_REQUEST_BYTES, &[requests::LARGE_RESPONSE_BYTES]));
    stream.half_close();
    checks::output(stream.receive().await?, requests::LARGE_RESPONSE_BYTES)?;
    checks::end(stream.receive().await?)?;
    let (initial, trailing) = stream.metadata().await?;
    checks::echoes(&initial, &trailing)
}

fn with_metadata<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert(ECHO_INITIAL, MetadataValue::from_static(requests::ECHO_INITIAL));
    metadata.insert_bin(ECHO_TRAILING, MetadataValue::from_bytes(requests::ECHO_TRAILING));
    request
}

async fn status_code_and_message(peer: &Peer) -> Outcome {
    let status = requests::status();
    let request = SimpleRequest { response_status: Some(status.clone()), ..Default::default() };
    checks::echoed_status(peer.stub().unary_call(request).await, &status)?;

    let mut stream = peer.duplex();
    stream.send(StreamingOutputCallRequest { response_status: Some(status.clone()), ..Default::default() });
    stream.half_close();
    checks::echoed_status(stream.receive().await, &status)
}

async fn special_status_message(peer: &Peer) -> Outcome {
    let status = requests::special_status();
    let request = SimpleRequest { response_status: Some(status.clone()), ..Default::default() };
    checks::echoed_status(peer.stub().unary_call(request).await, &status)
}

async fn unimplemented_method(peer: &Peer) -> Outcome {
    checks::status(peer.stub().unimplemented_call(Empty {}).await, Code::Unimplemented).map(drop)
}

async fn unimplemented_service(peer: &Peer) -> Outcome {
    let mut stub = UnimplementedServiceClient::new(peer.channel.clone());
    checks::status(stub.unimplemented_call(Empty {}).await, Code::Unimplemented).map(drop)
}

async fn cancel_after_begin(peer: &Peer) -> Outcome {
    let (_no_requests, receiver) = mpsc::unbounded_channel();
    let mut request = Request::new(UnboundedReceiverStream::new(receiver));
    let cancellation = request.cancellation_handle();
    let mut stub = peer.stub();
    let (result, ()) = join!(stub.streaming_input_call(request), async { cancellation.cancel() });
    checks::status(result, Code::Cancelled).map(drop)
}

async fn cancel_after_first_response(peer: &Peer) -> Outcome {
    let mut stream = peer.duplex();
    stream.send(requests::output(requests::REQUEST_BYTES[0], &[requests::RESPONSE_BYTES[0]]));
    checks::output(stream.receive().await?, requests::RESPONSE_BYTES[0])?;
    stream.cancel();
    checks::status(stream.receive().await, Code::Cancelled).map(drop)
}

async fn timeout_on_sleeping_server(peer: &Peer) -> Outcome {
    let mut request = Request::new(());
    request.set_timeout(requests::TIMEOUT);
    let mut stream = Duplex::new(&peer.channel, request);
    stream.send(requests::output(requests::REQUEST_BYTES[0], &[])); // a request for no response
    checks::status(stream.receive().await, Code::DeadlineExceeded).map(drop)
}

async fn pick_first_unary(peer: &Peer) -> Outcome {
    let mut ids = Vec::new();
    for _ in 0..requests::PICK_FIRST_CALLS {
        let request = SimpleRequest { fill_server_id: true, ..Default::default() };
        ids.push(peer.stub().unary_call(request).await?.into_inner().server_id);
    }
    checks::same_server(ids)
}

async fn concurrent_large_unary(peer: &Peer) -> Outcome {
    let mut calls = JoinSet::new();
    let request = requests::large();
    for _ in 0..requests::CONCURRENT_CALLS {
        let (mut stub, request) = (peer.stub(), request.clone());
        calls.spawn(async move { checks::large(&stub.unary_call(request).await?.into_inner()) });
    }
    while let Some(call) = calls.join_next().await {
        call.map_err(|error| Failure(format!("end of a call: expected a response or a status, got {error}")))??;
    }
    Ok(())
}

async fn orca_per_rpc(peer: &Peer) -> Outcome {
    let request = SimpleRequest { orca_per_query_report: Some(requests::report_of_call()), ..Default::default() };
    let (_, _, trailing) = peer.unary_call(Request::new(request)).await?;
    checks::reported_with_call(&trailing)
}

async fn orca_oob(peer: &Peer) -> Outcome {
    let mut stream = peer.duplex();
    let mut listener = OpenRcaServiceClient::new(peer.channel.clone());
    let mut reports = listener.stream_core_metrics(requests::listen()).await?.into_inner();
    for report in requests::reports_out_of_band() {
        let expected = checks::reported(report.clone());
        stream.send(requests::reporting(report));
        checks::output(stream.receive().await?, 1)?;
        let mut last = None;
        // Any number of older reports may arrive first.
        let arrived = timeout(REPORT_TIME, async {
            while last.as_ref() != Some(&expected) {
                last = Some(reports.message().await?.ok_or_else(|| {
                    Failure(format!("load report: expected {expected:?}, got the end of the stream"))
                })?);
            }
            Ok::<_, Failure>(())
        });
        match arrived.await {
            Ok(outcome) => outcome?,
            Err(_) => checks::equal(&format!("load report after {REPORT_TIME:?}"), &last, &Some(expected))?,
        }
    }
    stream.half_close();
    checks::end(stream.receive().await?)
}
