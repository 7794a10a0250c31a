//! The Rust peer of samehost's interop matrix: gRPC over a Unix domain socket with tonic.

mod address;
mod cli;
mod connection;
mod deadline;
mod deadline_layer;
mod diagnosis;
mod dial;
mod folder;
mod greet;
mod greeter;
mod interop;
mod listen;
mod lock;
mod probe;
mod proto;
mod public_name;
mod serve;
mod takeover;
mod watch;
mod workers;

use std::{io, process::ExitCode};

use cli::Command;
use listen::Options;
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(code) => return code,
    };
    match run(command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Whoever read our output has gone, and knows.
            if !is_broken_pipe(&error) {
                cli::say(format_args!("{error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Serve { socket, mode, group, grace, trust_folder, takeover, on_removed } => {
            tracing_subscriber::fmt().with_max_level(Level::WARN).with_writer(io::stderr).init();
            let options = Options { implementation: serve::implementation(), mode, group, trust_folder, takeover };
            serve::serve(&socket, options, grace, on_removed).await.map(|()| true)
        }
        Command::Greet { socket, name, timeout } => greet::greet(&socket, name, timeout).await.map(|()| true),
        Command::Interop { socket, cases } => interop::runner::run(&socket, &cases).await,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
