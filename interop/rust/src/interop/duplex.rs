//! A `FullDuplexCall` whose requests are sent one by one.

use samehost::Channel;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{CancellationHandle, Request, Response, Status, Streaming, codegen::BoxFuture, metadata::MetadataMap};

use crate::proto::grpc::testing::{
    StreamingOutputCallRequest, StreamingOutputCallResponse, test_service_client::TestServiceClient,
};

pub struct Duplex {
    requests: Option<UnboundedSender<StreamingOutputCallRequest>>,
    responses: Responses,
    cancellation: Option<CancellationHandle>,
}

/// The future of a stub ends when the headers arrive, and most servers send them only with their first response. So the
/// call is awaited together with the first response.
enum Responses {
    Awaited(BoxFuture<Response<Streaming<StreamingOutputCallResponse>>, Status>),
    Started(MetadataMap, Box<Streaming<StreamingOutputCallResponse>>),
}

impl Duplex {
    /// Prepares a call with this metadata and deadline. The call starts when the first response is awaited.
    pub fn new(channel: &Channel, request: Request<()>) -> Self {
        let (requests, receiver) = unbounded_channel();
        let mut stub = TestServiceClient::new(channel.clone());
        let mut request = request.map(|()| UnboundedReceiverStream::new(receiver));
        let cancellation = request.cancellation_handle();
        let call = Box::pin(async move { stub.full_duplex_call(request).await });
        Self { requests: Some(requests), responses: Responses::Awaited(call), cancellation: Some(cancellation) }
    }

    /// Sends a request. If the call has ended, `receive` returns the reason.
    pub fn send(&self, request: StreamingOutputCallRequest) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(request);
        }
    }

    /// Ends the stream of requests.
    pub fn half_close(&mut self) {
        self.requests = None;
    }

    pub fn cancel(&mut self) {
        if let Some(cancellation) = self.cancellation.take() {
            cancellation.cancel();
        }
    }

    /// Waits for a response. Returns None at the end of the stream.
    pub async fn receive(&mut self) -> Result<Option<StreamingOutputCallResponse>, Status> {
        self.started().await?.1.message().await
    }

    /// Returns the headers and trailers of a call that has ended.
    pub async fn metadata(&mut self) -> Result<(MetadataMap, MetadataMap), Status> {
        let (headers, responses) = self.started().await?;
        let headers = headers.clone();
        Ok((headers, responses.trailers().await?.unwrap_or_default()))
    }

    async fn started(&mut self) -> Result<(&MetadataMap, &mut Streaming<StreamingOutputCallResponse>), Status> {
        if let Responses::Awaited(call) = &mut self.responses {
            let (headers, responses, _) = call.await?.into_parts();
            self.responses = Responses::Started(headers, Box::new(responses));
        }
        match &mut self.responses {
            Responses::Started(headers, responses) => Ok((headers, responses)),
            Responses::Awaited(_) => unreachable!("the call has just started"),
        }
    }
}
