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

/// A stub's future ends when the headers have come, which most servers send with their first response. So it is not
/// waited for before the first response is.
enum Responses {
    Awaited(BoxFuture<Response<Streaming<StreamingOutputCallResponse>>, Status>),
    Begun(MetadataMap, Box<Streaming<StreamingOutputCallResponse>>),
}

impl Duplex {
    /// Prepares a call with this metadata and deadline; the call begins with the first wait for a response.
    pub fn new(channel: &Channel, request: Request<()>) -> Self {
        let (requests, receiver) = unbounded_channel();
        let mut stub = TestServiceClient::new(channel.clone());
        let mut request = request.map(|()| UnboundedReceiverStream::new(receiver));
        let cancellation = request.cancellation_handle();
        let call = Box::pin(async move { stub.full_duplex_call(request).await });
        Self { requests: Some(requests), responses: Responses::Awaited(call), cancellation: Some(cancellation) }
    }

    /// Sends a request; where the call has ended, the next response says why.
    pub fn send(&self, request: StreamingOutputCallRequest) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(request);
        }
    }

    /// Says that no request follows.
    pub fn half_close(&mut self) {
        self.requests = None;
    }

    pub fn cancel(&mut self) {
        if let Some(cancellation) = self.cancellation.take() {
            cancellation.cancel();
        }
    }

    /// Waits for a response; None is the end.
    pub async fn receive(&mut self) -> Result<Option<StreamingOutputCallResponse>, Status> {
        self.begun().await?.1.message().await
    }

    /// The headers, and the trailers of a call that has ended.
    pub async fn metadata(&mut self) -> Result<(MetadataMap, MetadataMap), Status> {
        let (headers, responses) = self.begun().await?;
        let headers = headers.clone();
        Ok((headers, responses.trailers().await?.unwrap_or_default()))
    }

    async fn begun(&mut self) -> Result<(&MetadataMap, &mut Streaming<StreamingOutputCallResponse>), Status> {
        if let Responses::Awaited(call) = &mut self.responses {
            let (headers, responses, _) = call.await?.into_parts();
            self.responses = Responses::Begun(headers, Box::new(responses));
        }
        match &mut self.responses {
            Responses::Begun(headers, responses) => Ok((headers, responses)),
            Responses::Awaited(_) => unreachable!("the call has just begun"),
        }
    }
}
