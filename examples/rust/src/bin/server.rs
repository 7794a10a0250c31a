//! A gRPC server on a Unix domain socket: `cargo run --bin server [PATH]`

use std::{env, error::Error, fs};

use samehost_example_rust::{
    GreetRequest, GreetResponse,
    greeter_service_server::{GreeterService, GreeterServiceServer},
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, transport::Server};

struct Greeter;

#[tonic::async_trait]
impl GreeterService for Greeter {
    async fn greet(&self, request: Request<GreetRequest>) -> Result<Response<GreetResponse>, Status> {
        let message = format!("Hello, {}!", request.into_inner().name);
        Ok(Response::new(GreetResponse { message }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).unwrap_or("/tmp/greeter.sock".into());
    let _ = fs::remove_file(&path); // a killed server leaves its socket
    let listener = UnixListener::bind(&path)?;
    println!("listening on {path}");
    Server::builder()
        .add_service(GreeterServiceServer::new(Greeter))
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await?;
    Ok(())
}
