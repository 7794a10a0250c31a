//! A gRPC client on a Unix domain socket: `cargo run --bin client PATH NAME`

use std::{env, error::Error, time::Duration};

use samehost_example_rust::{GreetRequest, greeter_service_client::GreeterServiceClient};
use tonic::transport::{Endpoint, Uri};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(path), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("usage: client PATH NAME".into());
    };
    let channel = Endpoint::from_shared(format!("unix:{path}"))?
        .origin(Uri::from_static("http://localhost")) // sets :authority, which is "tonic" by default
        .timeout(Duration::from_secs(5))
        .connect()
        .await?;
    let response = GreeterServiceClient::new(channel).greet(GreetRequest { name }).await?;
    println!("{}", response.into_inner().message);
    Ok(())
}
