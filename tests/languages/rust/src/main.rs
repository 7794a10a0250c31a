//! Serves and calls an echo service with the library: `echo serve PATH`, `echo call PATH TEXT`.

use std::{env, error::Error, future::pending, time::Duration};

use proto::{
    EchoRequest, EchoResponse,
    echo_service_client::EchoServiceClient,
    echo_service_server::{EchoService, EchoServiceServer},
};
use samehost::{DeadlineLayer, Options, diagnose, dial, listen};
use tokio::signal::unix::{SignalKind, signal};
use tonic::{Request, Response, Status, transport::Server};

mod proto {
    tonic::include_proto!("echo.v1");
}

struct Echo;

#[tonic::async_trait]
impl EchoService for Echo {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let EchoRequest { text } = request.into_inner();
        Ok(Response::new(EchoResponse { text }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", path] => serve(path).await,
        ["call", path, text] => call(path, text).await,
        _ => Err("usage: echo serve PATH | echo call PATH TEXT".into()),
    }
}

async fn serve(path: &str) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let router = Server::builder()
        .layer(DeadlineLayer)
        .add_service(EchoServiceServer::new(Echo));
    let listener = listen(path, Options::default()).await?;
    let server = router.serve_with_incoming_shutdown(listener.incoming(), pending());
    let server = tokio::spawn(server);
    println!("listening on {path}");
    terminate.recv().await;
    let _ = listener.drain(server, Duration::from_secs(5)).await; // calls that run longer fail
    Ok(())
}

async fn call(path: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let mut client = EchoServiceClient::new(dial(path)?);
    let mut request = Request::new(EchoRequest { text: text.into() });
    request.set_timeout(Duration::from_secs(5)); // includes the wait for the server to start
    match client.echo(request).await {
        Ok(response) => println!("{}", response.into_inner().text),
        Err(status) => {
            diagnose(path).await?; // fails with the reason if no server answers
            return Err(status.into());
        }
    }
    Ok(())
}
