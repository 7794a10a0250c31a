//! The command `greet`: makes all four kinds of call of Greeter, one after the other, and prints them.

use std::{
    io::{self, Write},
    time::Duration,
};

use samehost::{Channel, SocketAddress, dial};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Status};

use crate::{
    explain::{explain, wait_for_server},
    proto::samehost::greeter::v1::{
        ConverseRequest, GreetInLanguagesRequest, GreetRequest, GreetTogetherRequest,
        greeter_service_client::GreeterServiceClient,
    },
};

const GUESTS: [&str; 2] = ["Grace", "Edsger"];

/// The messages of one call, in order.
struct Exchange {
    method: &'static str,
    sent: Vec<String>,
    received: Vec<String>,
}

/// Waits for the server, makes the calls, and prints each call when it ends.
///
/// The wait and each call may take up to `time`.
pub async fn greet(address: &SocketAddress, name: String, time: Duration) -> anyhow::Result<()> {
    wait_for_server(address, time).await?;
    let mut caller = Caller { stub: GreeterServiceClient::new(dial(address)?), name, time };
    print(address, caller.greet().await).await?;
    print(address, caller.greet_in_languages().await).await?;
    print(address, caller.greet_together().await).await?;
    print(address, caller.converse().await).await
}

async fn print(address: &SocketAddress, call: Result<Exchange, Status>) -> anyhow::Result<()> {
    let exchange = match call {
        Ok(exchange) => exchange,
        Err(status) => return Err(explain(&status, address).await),
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", exchange.method)?;
    for text in exchange.sent {
        writeln!(out, "  > {text}")?;
    }
    for text in exchange.received {
        writeln!(out, "  < {text}")?;
    }
    Ok(out.flush()?)
}

struct Caller {
    stub: GreeterServiceClient<Channel>,
    name: String,
    time: Duration,
}

impl Caller {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.time);
        request
    }

    async fn greet(&mut self) -> Result<Exchange, Status> {
        let message = GreetRequest { name: self.name.clone() };
        let response = self.stub.greet(self.request(message)).await?.into_inner();
        Ok(Exchange { method: "Greet", sent: vec![self.name.clone()], received: vec![response.message] })
    }

    async fn greet_in_languages(&mut self) -> Result<Exchange, Status> {
        let message = GreetInLanguagesRequest { name: self.name.clone(), ..Default::default() };
        let mut responses = self.stub.greet_in_languages(self.request(message)).await?.into_inner();
        let mut received = Vec::new();
        while let Some(response) = responses.message().await? {
            received.push(format!("{}: {}", response.language, response.message));
        }
        Ok(Exchange { method: "GreetInLanguages", sent: vec![self.name.clone()], received })
    }

    async fn greet_together(&mut self) -> Result<Exchange, Status> {
        let party = vec![self.name.clone(), GUESTS[0].into(), GUESTS[1].into()];
        let requests = party.clone().into_iter().map(|name| GreetTogetherRequest { name });
        let requests = self.request(tokio_stream::iter(requests));
        let response = self.stub.greet_together(requests).await?.into_inner();
        Ok(Exchange { method: "GreetTogether", sent: party, received: vec![response.message] })
    }

    /// Each request depends on the previous response, so the loop sends the requests through a channel.
    async fn converse(&mut self) -> Result<Exchange, Status> {
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        let (requests, queue) = mpsc::unbounded_channel();
        let mut requests = Some(requests);
        let mut request = |text: Option<String>| {
            if let Some(text) = text {
                sent.push(text.clone());
                // This fails only if the call has ended, and then the stream of responses returns the reason.
                let _ = requests.as_ref().map(|requests| requests.send(ConverseRequest { text }));
            } else {
                requests = None;
            }
        };
        // Send the first request before the call starts. Most servers send headers only with their first response, and
        // tonic returns the stream of responses only after the headers.
        request(Some(format!("{} here.", self.name)));
        let stream = self.request(UnboundedReceiverStream::new(queue));
        let mut responses = self.stub.converse(stream).await?.into_inner();
        while let Some(response) = responses.message().await? {
            request(match received.len() {
                0 => Some(format!("I heard: {}", response.text)),
                1 => Some("Goodbye!".into()),
                _ => None,
            });
            received.push(response.text);
        }
        Ok(Exchange { method: "Converse", sent, received })
    }
}
